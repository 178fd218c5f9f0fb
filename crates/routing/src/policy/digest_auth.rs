//! `auth-type: digest`: users, and digests of their passwords (RFC 7616), as nginx-http-auth-digest asks for them: MD5, and
//! always with `qop=auth`, without which a nonce could not be counted.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use md5::{Digest as _, Md5};

use crate::affinity::hexadecimal;
use crate::decide::RequestHead;
use crate::path::origin_form;

/// Asks for a user and the proof that it knows its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestAuth {
    /// What the client is told that it is for (`auth-realm`): visible ASCII and blanks, without `"` and `\`. It is part of
    /// what is digested.
    pub realm: Box<str>,
    /// Who may pass.
    pub users: Arc<Users>,
}

impl DigestAuth {
    /// What a client is told that has not proved who it is: the value of `WWW-Authenticate`. A nonce that is `stale` was
    /// answered rightly, and too late or too often.
    pub fn challenge(&self, nonce: &str, is_stale: bool) -> String {
        let stale = if is_stale { ", stale=\"true\"" } else { "" };
        format!("Digest algorithm=\"MD5\", qop=\"auth\", realm=\"{}\", nonce=\"{nonce}\"{stale}", self.realm)
    }

    /// What is known of the password of a user.
    pub fn find(&self, user: &[u8]) -> Option<&Secret> {
        self.users.find(user, self.realm.as_bytes())
    }
}

/// The MD5 of user, realm and password (`HA1` in RFC 7616), as hexadecimal digits: as good as the password. Nothing shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl Secret {
    /// What stands for the secret of a user whom nobody knows: no user is asked for in less time than another.
    pub const OF_NOBODY: Self = Self([b'-'; 32]);
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

/// A user and a realm.
type Name = (Box<[u8]>, Box<[u8]>);

/// Users of realms and what their answers are computed with. Nothing shows them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Users(Box<[(Name, Secret)]>);

impl Users {
    /// Users by name and realm. Of two that are the same the first counts.
    pub fn new(mut users: Vec<(Name, Secret)>) -> Self {
        // It is stable, so that the first stays in front.
        users.sort_by(|a, b| a.0.cmp(&b.0));
        users.dedup_by(|later, first| later.0 == first.0);
        Self(users.into())
    }

    fn find(&self, user: &[u8], realm: &[u8]) -> Option<&Secret> {
        let place = self.0.binary_search_by(|((name, of), _)| (&**name, &**of).cmp(&(user, realm))).ok()?;
        Some(&self.0[place].1)
    }

    /// Whether anybody is known in a realm.
    pub fn has_realm(&self, realm: &str) -> bool {
        self.0.iter().any(|((_, of), _)| **of == *realm.as_bytes())
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.0.len())
    }
}

/// The longest header field that is read. Those of browsers have some hundred bytes besides the target.
const MAX_LENGTH: usize = 16 << 10;

/// What a client has answered to a challenge.
pub struct Answer<'a> {
    user: Cow<'a, [u8]>,
    realm: Cow<'a, [u8]>,
    uri: Cow<'a, [u8]>,
    nonce: Cow<'a, [u8]>,
    cnonce: Cow<'a, [u8]>,
    /// As digits, which are what is digested.
    count: Cow<'a, [u8]>,
    response: Cow<'a, [u8]>,
}

impl<'a> Answer<'a> {
    /// Of a request; `None` where it has none that can be read. Whatever is missing, there twice, or of another kind than the
    /// challenge offers makes it one that cannot be.
    pub fn of(head: &'a impl RequestHead) -> Option<Self> {
        let mut values = head.header_values("authorization");
        // Of two nobody knows which one counts.
        let value = values.next().filter(|_| values.next().is_none())?;
        Self::parse(value)
    }

    /// Of a value of `Authorization`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (scheme, mut rest) = value.split_at_checked(7).filter(|_| value.len() <= MAX_LENGTH)?;
        if !scheme.eq_ignore_ascii_case(b"digest ") {
            return None;
        }
        const NAMES: [&str; 9] = ["username", "realm", "uri", "nonce", "cnonce", "nc", "response", "qop", "algorithm"];
        let mut found: [Option<Cow<'a, [u8]>>; NAMES.len()] = Default::default();
        while let Some((name, value)) = parameter(&mut rest)? {
            let Some(place) = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes())) else {
                continue;
            };
            if found[place].replace(value).is_some() {
                return None;
            }
        }
        let [user, realm, uri, nonce, cnonce, count, response, qop, algorithm] = found;
        let is_spoken =
            qop?.eq_ignore_ascii_case(b"auth") && algorithm.is_none_or(|it| it.eq_ignore_ascii_case(b"md5"));
        let answer = Self {
            user: user?,
            realm: realm?,
            uri: uri?,
            nonce: nonce?,
            cnonce: cnonce?,
            count: count?,
            response: response?,
        };
        let is_count = matches!(answer.count.len(), 1..=8) && answer.count.iter().all(u8::is_ascii_hexdigit);
        // It is said back to the client.
        let is_plain = !answer.cnonce.is_empty() && !answer.cnonce.iter().any(|byte| matches!(byte, b'"' | b'\\'));
        (is_spoken && is_count && is_plain).then_some(answer)
    }

    /// The user.
    pub fn user(&self) -> &[u8] {
        &self.user
    }

    /// What it answers to.
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// The how manieth request with this nonce it is, as the client counts.
    pub fn count(&self) -> u32 {
        std::str::from_utf8(&self.count)
            .ok()
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .unwrap_or(u32::MAX)
    }

    /// What the proof is, as hexadecimal digits.
    pub fn response(&self) -> &[u8] {
        &self.response
    }

    /// Whether it is about this request and this realm. As in nginx-http-auth-digest, a client may leave the query out
    /// (.NET does).
    pub fn is_about(&self, head: &impl RequestHead, realm: &str) -> bool {
        let rest = origin_form(head.target()).as_bytes().strip_prefix(&*self.uri);
        rest.is_some_and(|rest| matches!(rest, [] | [b'?', ..]))
            && !self.uri.is_empty()
            && *self.realm == *realm.as_bytes()
    }

    /// What the proof of one who knows the secret is.
    pub fn expected(&self, secret: &Secret, method: &str) -> String {
        let target = md5(&[method.as_bytes(), &self.uri]);
        md5(&[&secret.0, &self.nonce, &self.count, &self.cnonce, b"auth", target.as_bytes()])
    }

    /// What the proxy proves in turn: the value of `Authentication-Info` (RFC 7616 section 3.5).
    pub fn acknowledgement(&self, secret: &Secret) -> Vec<u8> {
        let proof = self.expected(secret, "");
        let parts: [&[u8]; 6] =
            [b"qop=\"auth\", rspauth=\"", proof.as_bytes(), b"\", cnonce=\"", &self.cnonce, b"\", nc=", &self.count];
        parts.concat()
    }
}

/// The digest of parts with colons between them, as hexadecimal digits.
fn md5(parts: &[&[u8]]) -> String {
    let mut hash = Md5::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hexadecimal(&hash.finalize().into())
}

/// The next parameter of a list (RFC 9110 section 11.2), taken from its front: `Some(None)` at its end, `None` where it is
/// malformed.
#[expect(clippy::type_complexity, reason = "a name and a value")]
fn parameter<'a>(rest: &mut &'a [u8]) -> Option<Option<(&'a [u8], Cow<'a, [u8]>)>> {
    let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b',');
    let start = rest.iter().position(|byte| !is_between(byte)).unwrap_or(rest.len());
    let text = &rest[start..];
    if text.is_empty() {
        return Some(None);
    }
    let (name, text) = text.split_at(text.iter().position(|byte| !is_token(*byte))?);
    let text = text.strip_prefix(b"=").filter(|_| !name.is_empty())?;
    let (value, text) = match text.strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (value, text) = text.split_at(text.iter().position(|byte| !is_token(*byte)).unwrap_or(text.len()));
            (Cow::Borrowed(value), text)
        }
    };
    let is_apart = text.trim_ascii_start().first().is_none_or(|byte| *byte == b',');
    *rest = text;
    (is_apart && !value.is_empty()).then_some(Some((name, value)))
}

/// A quoted string behind its first quote (RFC 9110 section 5.6.4), and what follows it.
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if text[end] == b'"' {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = text[..end].to_vec();
    let mut rest = text[end..].iter();
    loop {
        match rest.next()? {
            b'"' => return Some((Cow::Owned(value), rest.as_slice())),
            b'\\' => value.push(*rest.next()?),
            byte => value.push(*byte),
        }
    }
}

/// A character of a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;
    use crate::fixture::Head;

    /// The example of RFC 2617 section 3.5, which is one in MD5 with `qop=auth`; the password is `Circle Of Life`.
    const EXAMPLE: &str = "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
        nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, nc=00000001, cnonce=\"0a4f113b\", \
        response=\"6629fae49393a05397450978507c4ef1\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    const SECRET: Secret = Secret(*b"939e7578ed9e3c518a452acee763bce9");

    fn request(authorization: &'static str) -> Head {
        Head::get("a.test", "/dir/index.html").with("authorization", authorization)
    }

    #[test]
    fn the_example_of_the_standard_fits() {
        let head = request(EXAMPLE);
        let answer = Answer::of(&head).unwrap();
        assert_eq!(answer.expected(&SECRET, "GET").as_bytes(), answer.response());
        assert_ne!(answer.expected(&SECRET, "POST").as_bytes(), answer.response());
        assert_ne!(answer.expected(&Secret::OF_NOBODY, "GET").as_bytes(), answer.response());
        assert_eq!((answer.user(), answer.count()), (b"Mufasa".as_slice(), 1));
        let said = String::from_utf8(answer.acknowledgement(&SECRET)).unwrap();
        let target = md5(&[b"", b"/dir/index.html"]);
        let proof = md5(&[&SECRET.0, answer.nonce(), b"00000001", b"0a4f113b", b"auth", target.as_bytes()]);
        assert_eq!(said, format!("qop=\"auth\", rspauth=\"{proof}\", cnonce=\"0a4f113b\", nc=00000001"));
    }

    #[test]
    fn an_answer_is_about_one_target_of_one_realm() {
        let head = request(EXAMPLE);
        let answer = Answer::of(&head).unwrap();
        for (target, is_it) in [
            ("/dir/index.html", true),
            ("/dir/index.html?a=b", true),
            ("/dir/index.htm", false),
            ("/dir/index.html/", false),
            ("/dir/index.htmlx?a", false),
            ("/other", false),
        ] {
            assert_eq!(answer.is_about(&Head::get("a.test", target), "testrealm@host.com"), is_it, "{target}");
        }
        assert!(!answer.is_about(&head, "other"));
    }

    #[test]
    fn what_is_not_whole_is_no_answer() {
        let read = |value: String| Answer::of(&request(value.leak())).is_some();
        assert!(read(EXAMPLE.to_owned()));
        for name in ["username", "realm", "nonce", "uri", "qop", "nc", "cnonce", "response"] {
            assert!(!read(EXAMPLE.replace(&format!("{name}="), "x=")), "{name}");
            assert!(!read(format!("{EXAMPLE}, {name}=1")), "{name} twice");
        }
        for (from, to) in [
            ("Digest ", "Basic "),
            ("qop=auth", "qop=auth-int"),
            ("nc=00000001", "nc=000000001"),
            ("nc=00000001", "nc=x"),
            ("0a4f113b", "a\\\"b"),
            ("\"0a4f113b\"", "\"0a4f113b"),
            (", opaque", " opaque"),
            (", opaque", ", algorithm=SHA-256, opaque"),
            ("username=\"Mufasa\"", "username=\"\""),
            ("username=", "user name="),
            ("opaque=\"", "=\""),
        ] {
            assert!(!read(EXAMPLE.replacen(from, to, 1)), "{to}");
        }
        assert!(!read(format!("{EXAMPLE}, more={}", "x".repeat(MAX_LENGTH))));
        assert!(Answer::of(&request(EXAMPLE).with("authorization", EXAMPLE)).is_none());
    }

    #[test]
    fn quotes_and_names_are_read_as_the_standard_writes_them() {
        let text =
            EXAMPLE.replace("\"Mufasa\"", "\"Mu\\\"fa\\\\sa\"").replace("qop=auth", "QOP=\"auth\" ,, algorithm=MD5");
        assert_eq!(Answer::of(&request(text.leak())).unwrap().user(), b"Mu\"fa\\sa");
    }

    #[test]
    fn users_are_those_of_the_realm() {
        let user =
            |user: &str, realm: &str, digit| ((user.as_bytes().into(), realm.as_bytes().into()), Secret([digit; 32]));
        let users = Users::new(vec![user("u", "R", b'1'), user("u", "S", b'2'), user("u", "R", b'3')]);
        let of = |realm: &str| DigestAuth { realm: realm.into(), users: Arc::new(users.clone()) };
        assert_eq!(of("R").find(b"u"), Some(&Secret([b'1'; 32])));
        assert_eq!(of("S").find(b"u"), Some(&Secret([b'2'; 32])));
        assert_eq!((of("R").find(b"v"), of("T").find(b"u")), (None, None));
        assert!(users.has_realm("R") && !users.has_realm("T"));
        assert!(!format!("{users:?}{:?}", of("R").find(b"u")).contains('1'));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "(digest |username|nc|=|\"|\\\\|,| |[a-z0-9]|.)*") {
            let _ = Answer::of(&request(format!("Digest {text}").leak()));
        }
    }
}
