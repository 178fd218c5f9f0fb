//! Users and passwords as `htpasswd` writes them, read once (nginx ngx_http_auth_basic_module.c and ngx_crypt.c).

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use edgeward_routing::policy::basic_auth::{Password, Rounds, Users};

/// What a list of users says.
#[derive(Debug, Default)]
pub(crate) struct Htpasswd {
    /// Who may pass.
    pub(crate) users: std::sync::Arc<Users>,
    /// The numbers of the entries that no password fits. They let nobody in, as in nginx.
    pub(crate) unusable: Vec<usize>,
    /// The numbers of the entries whose passwords are easily found out by whoever reads the list.
    pub(crate) weak: Vec<usize>,
    /// The entries that would let somebody in elsewhere, and are not understood here: their numbers, and what they are.
    pub(crate) refused: Vec<(usize, &'static str)>,
}

/// Whether a value of a Secret is the password of a user for sure: the values of other Secrets are nobody's business.
pub(crate) fn is_password(value: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 10] =
        [b"$apr1$", b"$1$", b"$2a$", b"$2b$", b"$2y$", b"$5$", b"$6$", b"{SHA}", b"{SSHA}", b"{PLAIN}"];
    PREFIXES.iter().any(|prefix| value.starts_with(prefix))
}

/// Whether values of a Secret are the passwords of users and nothing else. Under DES they look like other words of 13 letters,
/// so that one alone shows nothing.
pub(crate) fn are_passwords<'v>(mut values: impl Iterator<Item = &'v Vec<u8>>) -> bool {
    values.all(|value| is_password(value) || des(value.trim_ascii_end()).is_some())
}

/// Reads a list: a user, `:` and a password on each line. What follows behind a second `:` has no meaning, and neither has
/// a line that begins with `#`.
pub(crate) fn parse(list: &[u8]) -> Htpasswd {
    let mut htpasswd = Htpasswd::default();
    let mut users = Vec::new();
    let lines = list.split(|byte| *byte == b'\n').enumerate();
    for (at, line) in lines.filter(|(_, line)| !matches!(line.first(), None | Some(b'#' | b'\r'))) {
        let mut parts = line.split(|byte| *byte == b':');
        let (Some(name), Some(rest)) = (parts.next(), parts.next()) else { continue };
        let text = rest.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let password = password(text).unwrap_or_else(|what| {
            htpasswd.refused.push((at + 1, what));
            Password::Never
        });
        match password {
            Password::Never => htpasswd.unusable.push(at + 1),
            Password::Des { .. } => htpasswd.weak.push(at + 1),
            _ => {}
        }
        users.push((name.into(), password));
    }
    htpasswd.users = Users::new(users).into();
    htpasswd
}

/// Reads one password.
///
/// # Errors
///
/// What it is, when passwords fit it that cannot be told here.
fn password(text: &[u8]) -> Result<Password, &'static str> {
    if let Some(plain) = text.strip_prefix(b"{PLAIN}") {
        return Ok(Password::Plain(plain.into()));
    }
    if let Some(encoded) = text.strip_prefix(b"{SHA}") {
        return Ok(sha1(encoded, true).unwrap_or(Password::Never));
    }
    if let Some(encoded) = text.strip_prefix(b"{SSHA}") {
        return Ok(sha1(encoded, false).unwrap_or(Password::Never));
    }
    if let Some(rest) = text.strip_prefix(b"$apr1$") {
        return Ok(md5("$apr1$", rest).unwrap_or(Password::Never));
    }
    if let Some(rest) = text.strip_prefix(b"$1$") {
        return Ok(md5("$1$", rest).unwrap_or(Password::Never));
    }
    if let Some(rest) = text.strip_prefix(b"$5$") {
        return rounds(rest, 43).map(|rounds| rounds.map_or(Password::Never, Password::Sha256));
    }
    if let Some(rest) = text.strip_prefix(b"$6$") {
        return rounds(rest, 86).map(|rounds| rounds.map_or(Password::Never, Password::Sha512));
    }
    match text {
        [b'$', b'2', b'a' | b'b' | b'y', b'$', rest @ ..] => bcrypt(rest),
        [b'$', b'2', b'x', b'$', ..] => Err("bcrypt of the kind `$2x$`"),
        [b'_', rest @ ..] if rest.len() == 19 && rest.iter().all(|byte| is_crypt(*byte)) => {
            Err("the extended crypt(3) with DES of BSDi")
        }
        _ => Ok(des(text).unwrap_or(Password::Never)),
    }
}

fn des(text: &[u8]) -> Option<Password> {
    let (salt, digest) = text.split_first_chunk::<2>().filter(|_| text.iter().all(|byte| is_crypt(*byte)))?;
    Some(Password::Des { salt: *salt, digest: digest.try_into().ok()? })
}

/// A character of crypt's base 64.
fn is_crypt(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

fn sha1(encoded: &[u8], is_whole: bool) -> Option<Password> {
    let decoded = STANDARD.decode(encoded).ok()?;
    let (digest, salt) = decoded.split_first_chunk::<20>()?;
    (salt.is_empty() || !is_whole).then(|| Password::Sha1 { digest: *digest, salt: salt.into() })
}

fn md5(prefix: &'static str, rest: &[u8]) -> Option<Password> {
    let (salt, digest) = rest.split_at(rest.iter().position(|byte| *byte == b'$')?);
    let digest = digest[1..].try_into().ok()?;
    (salt.len() <= 8).then(|| Password::Md5 { prefix, salt: salt.into(), digest })
}

fn bcrypt(rest: &[u8]) -> Result<Password, &'static str> {
    let (Some(cost), true) = (rest.get(..2), rest.get(2) == Some(&b'$')) else { return Ok(Password::Never) };
    let Some(cost) = number(cost).filter(|cost| (4..=31).contains(cost)) else { return Ok(Password::Never) };
    if cost > Password::MAX_BCRYPT_COST {
        return Err("bcrypt at a cost of more than 14");
    }
    // The last characters have bits that have no meaning; crypt(3) gives them as zero.
    let base = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);
    let [Some(salt), Some(digest)] = [rest.get(3..25), rest.get(25..)] else { return Ok(Password::Never) };
    let decoded = |text| base.decode(text).ok();
    let read = || Some((decoded(salt)?.try_into().ok()?, decoded(digest)?.try_into().ok()?));
    Ok(read().map_or(Password::Never, |(salt, digest)| Password::Bcrypt { cost, salt, digest }))
}

fn rounds(rest: &[u8], length: usize) -> Result<Option<Rounds>, &'static str> {
    let (rounds, rest) = match rest.strip_prefix(b"rounds=") {
        None => (Some(5000), rest),
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b'$').unwrap_or(rest.len());
            // What crypt(3) would write in another way fits no password.
            let rounds = number(&rest[..end]).filter(|rounds| *rounds >= 1000 && rest[0] != b'0');
            (rounds, rest.get(end + 1..).unwrap_or_default())
        }
    };
    let Some(at) = rest.iter().position(|byte| *byte == b'$') else { return Ok(None) };
    let (salt, digest) = (&rest[..at], &rest[at + 1..]);
    if salt.len() > 16 || digest.len() != length || !digest.iter().all(|byte| is_crypt(*byte)) {
        return Ok(None);
    }
    match rounds {
        Some(rounds) if rounds > Password::MAX_ROUNDS => Err("SHA-crypt in more than 1,000,000 rounds"),
        rounds => Ok(rounds.map(|rounds| Rounds { rounds, salt: salt.into(), digest: digest.into() })),
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Password {
        let read = parse(format!("u:{text}").as_bytes());
        assert!(read.refused.is_empty(), "{text}: {:?}", read.refused);
        read.users.find(b"u").unwrap().clone()
    }

    #[test]
    fn each_kind_is_known() {
        let digest = "h9FWgUz3n9YxylKLlR5SQ/";
        assert!(matches!(one("{PLAIN}a b"), Password::Plain(plain) if *plain == *b"a b"));
        assert!(matches!(one("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="), Password::Sha1 { salt, .. } if salt.is_empty()));
        assert!(
            matches!(one("{SSHA}5en6G6MezRroT3XKqkdPOmY/BfRhYmM="), Password::Sha1 { salt, .. } if *salt == *b"abc")
        );
        assert!(matches!(one(&format!("$apr1$abcdefgh${digest}")), Password::Md5 { prefix: "$apr1$", .. }));
        assert!(matches!(one(&format!("$1$abc${digest}")), Password::Md5 { prefix: "$1$", .. }));
        let bcrypt = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
        assert!(matches!(one(bcrypt), Password::Bcrypt { cost: 5, .. }));
        let sha256 = "gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.";
        assert!(matches!(one(&format!("$5$abcdefgh${sha256}")), Password::Sha256(Rounds { rounds: 5000, .. })));
        let des = one("abNANd1rDfiNc");
        assert!(matches!(des, Password::Des { salt, digest } if (&salt, &digest) == (b"ab", b"NANd1rDfiNc")));
        let rounds = one(&format!("$5$rounds=1234$abcdefgh${sha256}"));
        assert!(matches!(rounds, Password::Sha256(Rounds { rounds: 1234, salt, .. }) if *salt == *b"abcdefgh"));
    }

    #[test]
    fn what_no_password_fits_lets_nobody_in() {
        let sha256 = "gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.";
        for text in [
            "secret",
            "abNANd1rDfiN",
            "abNANd1rDfiNcc",
            "abNANd1rDfiN!",
            "",
            "{SHA}x",
            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfRhYmM=",
            "$apr1$abcdefgh$short",
            "$apr1$abcdefghi$h9FWgUz3n9YxylKLlR5SQ/",
            "$2y$03$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
            "$2y$05$tooshort",
            "$9$x$y",
            &format!("$5$rounds=999$abcdefgh${sha256}"),
            &format!("$5$rounds=$abcdefgh${sha256}"),
            &format!("$5$rounds=01000$abcdefgh${sha256}"),
            &format!("$5$aaaaaaaaaaaaaaaaa${sha256}"),
            "$6$abcdefgh$short",
        ] {
            assert!(one(text) == Password::Never, "{text}");
        }
    }

    #[test]
    fn what_would_let_somebody_in_elsewhere_is_refused() {
        for text in [
            "_J9..rasmBYk8r9AiWNc",
            "$2x$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
            "$2y$15$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
            "$5$rounds=1000001$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.",
        ] {
            let read = parse(format!("# c\na:{{PLAIN}}b\nu:{text}").as_bytes());
            assert_eq!(read.refused.first().map(|(at, _)| *at), Some(3), "{text}");
        }
    }

    #[test]
    fn lines_are_read_as_nginx_reads_them() {
        let read = parse(b"# comment\n\r\n\nu:{PLAIN}1:extra\nv:{PLAIN}2\r\nu:{PLAIN}3\nno colon\nw:bare\n");
        let plain = |name: &[u8]| match read.users.find(name) {
            Some(Password::Plain(plain)) => plain.to_vec(),
            _ => panic!("{name:?}"),
        };
        assert_eq!((plain(b"u"), plain(b"v")), (b"1".to_vec(), b"2".to_vec()));
        assert_eq!((read.users.len(), read.unusable.as_slice()), (3, &[8][..]));
        assert!(read.users.find(b"no colon").is_none());
    }

    #[test]
    fn nothing_shows_a_password() {
        let read = parse(b"u:{PLAIN}hunter2");
        assert!(!format!("{read:?} {:?}", read.users.find(b"u")).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "(.|\\$|rounds=|[0-9]|\\{SHA\\}|:|\n)*") {
            parse(text.as_bytes());
            let _ = password(text.as_bytes());
        }
    }
}
