//! Users and digests of their passwords as `htdigest` writes them, read once (ngx_http_auth_digest_module.c).

use std::sync::Arc;

use edgeward_routing::policy::digest_auth::{Secret, Users};

/// What a list of users says.
#[derive(Debug, Default)]
pub(crate) struct Htdigest {
    /// Who may pass.
    pub(crate) users: Arc<Users>,
    /// The numbers of the entries that no password fits. They let nobody in, as in ingress-nginx.
    pub(crate) unusable: Vec<usize>,
}

/// Whether a value of a Secret is the realm and the digest of a user for sure: the values of other Secrets are nobody's
/// business.
pub(crate) fn is_digest(value: &[u8]) -> bool {
    let mut parts = value.trim_ascii_end().split(|byte| *byte == b':');
    matches!((parts.next(), parts.next(), parts.next()), (Some(_), Some(digest), None) if secret(digest).is_some())
}

/// Reads a list: user, realm and digest on each line, with colons between them. A line with a `#` before the digest has no
/// meaning.
pub(crate) fn parse(list: &[u8]) -> Htdigest {
    let mut htdigest = Htdigest::default();
    let mut users = Vec::new();
    let lines = list.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for (at, line) in lines.enumerate().filter(|(_, line)| !matches!(line.first(), None | Some(b'#'))) {
        match entry(line) {
            Some(user) => users.push(user),
            None => htdigest.unusable.push(at + 1),
        }
    }
    htdigest.users = Users::new(users).into();
    htdigest
}

/// User and realm, and what is known of the password.
type User = ((Box<[u8]>, Box<[u8]>), Secret);

fn entry(line: &[u8]) -> Option<User> {
    let mut parts = line.split(|byte| *byte == b':');
    let (user, realm, digest) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || user.is_empty() || user.contains(&b'#') || realm.contains(&b'#') {
        return None;
    }
    Some(((user.into(), realm.into()), secret(digest)?))
}

/// The digits are what is digested, and clients write them in lower case.
fn secret(digest: &[u8]) -> Option<Secret> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digest.try_into().ok().filter(|digits: &[u8; 32]| digits.iter().all(is_digit)).map(Secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use edgeward_routing::policy::DigestAuth;
    use proptest::prelude::*;

    use super::*;

    const HA1: &str = "939e7578ed9e3c518a452acee763bce9";

    #[test]
    fn entries_are_read_and_those_that_nobody_fits_are_told() {
        let list = format!(
            "# u:R:{HA1}\n\nu:R:{HA1}\r\nu:S:{HA1}\nv:R:x\nw:R:{HA1}:more\nno colon\nx:R:{}\n:R:{HA1}\ny#:R:{HA1}\nu:$apr1$a$b\nz:R:{HA1}",
            HA1.to_uppercase()
        );
        let read = parse(list.as_bytes());
        assert_eq!(read.unusable, [5, 6, 7, 8, 9, 10, 11]);
        let known = |user: &str, realm: &str| {
            DigestAuth { realm: realm.into(), users: Arc::clone(&read.users) }.find(user.as_bytes()).is_some()
        };
        for (user, realm, is_known) in [
            ("u", "R", true),
            ("u", "S", true),
            ("z", "R", true),
            ("z", "S", false),
            ("v", "R", false),
            ("x", "R", false),
        ] {
            assert_eq!(known(user, realm), is_known, "{user} {realm}");
        }
        assert!(!format!("{read:?}").contains(HA1));
    }

    #[test]
    fn a_digest_is_told_from_other_values_of_secrets() {
        assert!(is_digest(format!("R:{HA1}").as_bytes()) && is_digest(format!("R:{HA1}\n").as_bytes()));
        for other in ["", HA1, "R:x", &format!("a:b:{HA1}"), &format!("R:{HA1}0"), "postgres://u:p@h"] {
            assert!(!is_digest(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "(.|:|#|\n|[0-9a-f]{32})*") {
            parse(text.as_bytes());
            is_digest(text.as_bytes());
        }
    }
}
