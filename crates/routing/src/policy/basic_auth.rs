//! `auth-type: basic`: users and passwords (RFC 7617).

use std::fmt;
use std::sync::Arc;

use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use base64::{Engine, alphabet};

use crate::decide::RequestHead;

/// Asks for a user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// What the client is told that it is for (`auth-realm`): visible ASCII and blanks, without `"` and `\`.
    pub realm: Box<str>,
    /// Who may pass.
    pub users: Arc<Users>,
}

impl BasicAuth {
    /// What a client is told that has not said who it is: the value of `WWW-Authenticate`.
    pub fn challenge(&self) -> String {
        format!("Basic realm=\"{}\"", self.realm)
    }
}

/// Users and what their passwords are compared with. Nothing shows them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Users {
    by_name: Box<[(Box<[u8]>, Password)]>,
    /// The one whose password is the most work to compare.
    dearest: usize,
}

impl Users {
    /// Users by name. Of two with the same name the first counts, as in nginx.
    pub fn new(mut users: Vec<(Box<[u8]>, Password)>) -> Self {
        // It is stable, so that the first stays in front.
        users.sort_by(|a, b| a.0.cmp(&b.0));
        users.dedup_by(|later, first| later.0 == first.0);
        let dearest = (0..users.len()).max_by_key(|at| users[*at].1.work()).unwrap_or_default();
        Self { by_name: users.into(), dearest }
    }

    /// What the password of a user is compared with.
    pub fn find(&self, name: &[u8]) -> Option<&Password> {
        let place = self.by_name.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(&self.by_name[place].1)
    }

    /// The password that is the most work to compare, for work that takes as long as for any who is known.
    pub fn dearest(&self) -> Option<&Password> {
        self.by_name.get(self.dearest).map(|(_, password)| password)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether nobody may pass.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.len())
    }
}

/// What a password is compared with: the kinds that nginx knows, and those of crypt(3) behind it.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// `{PLAIN}`: the password itself.
    Plain(Box<[u8]>),
    /// `{SHA}` and, with a salt, `{SSHA}`.
    Sha1 {
        /// The digest of password and salt.
        digest: [u8; 20],
        /// Behind the password; empty for `{SHA}`.
        salt: Box<[u8]>,
    },
    /// Traditional crypt(3): 25 passes of DES, of whose password 8 characters count.
    Des {
        /// The salt, as crypt's base 64 has it.
        salt: [u8; 2],
        /// The digest in crypt's base 64.
        digest: [u8; 11],
    },
    /// `$apr1$` and `$1$`: a thousand rounds of MD5.
    Md5 {
        /// The prefix, which is part of what is hashed: `$apr1$` or `$1$`.
        prefix: &'static str,
        /// At most 8 bytes.
        salt: Box<[u8]>,
        /// The digest in crypt's base 64.
        digest: [u8; 22],
    },
    /// `$2a$`, `$2b$` and `$2y$`.
    Bcrypt {
        /// Two to the power of this are the rounds: 4 to [`MAX_BCRYPT_COST`](Self::MAX_BCRYPT_COST).
        cost: u32,
        /// The salt.
        salt: [u8; 16],
        /// The digest, which lacks its last byte.
        digest: [u8; 23],
    },
    /// `$5$`: SHA-256 in rounds.
    Sha256(Rounds),
    /// `$6$`: SHA-512 in rounds.
    Sha512(Rounds),
    /// What no password gives.
    Never,
}

/// SHA-crypt with its parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct Rounds {
    /// 1000 to [`Password::MAX_ROUNDS`].
    pub rounds: u32,
    /// At most 16 bytes.
    pub salt: Box<[u8]>,
    /// The digest in crypt's base 64.
    pub digest: Box<[u8]>,
}

impl Password {
    /// The dearest bcrypt that is worked out; one step more doubles the time. This one takes about a second.
    pub const MAX_BCRYPT_COST: u32 = 14;

    /// The most rounds of SHA-crypt that are worked out: about a second of work.
    pub const MAX_ROUNDS: u32 = 1_000_000;

    /// How much work comparing is, in rounds of SHA-crypt: the dearest of each kind take as long.
    fn work(&self) -> u64 {
        match self {
            Self::Never => 0,
            Self::Plain(_) => 1,
            Self::Sha1 { .. } => 2,
            Self::Des { .. } => 15,
            Self::Md5 { .. } => 500,
            Self::Sha256(rounds) | Self::Sha512(rounds) => u64::from(rounds.rounds),
            Self::Bcrypt { cost, .. } => (u64::from(Self::MAX_ROUNDS) << cost) >> Self::MAX_BCRYPT_COST,
        }
    }

    /// Whether comparing costs next to nothing.
    pub fn is_cheap(&self) -> bool {
        matches!(self, Self::Plain(_) | Self::Sha1 { .. } | Self::Never)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a password")
    }
}

/// A user and a password, as a client sends them.
pub struct Credentials {
    bytes: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// Of a request; `None` where it has none that can be read (nginx ngx_http_auth_basic_user).
    pub fn of(head: &impl RequestHead) -> Option<Self> {
        const LENIENT: GeneralPurpose = GeneralPurpose::new(
            &alphabet::STANDARD,
            GeneralPurposeConfig::new()
                .with_decode_padding_mode(DecodePaddingMode::Indifferent)
                .with_decode_allow_trailing_bits(true),
        );
        let mut values = head.header_values("authorization");
        // Of two nobody knows which one counts.
        let value = values.next().filter(|_| values.next().is_none())?;
        let (scheme, encoded) = value.split_at_checked(6)?;
        let bytes = LENIENT.decode(encoded.trim_ascii()).ok().filter(|_| scheme.eq_ignore_ascii_case(b"basic "))?;
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        Some(Self { bytes, colon })
    }

    /// The user.
    pub fn user(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    /// The password.
    pub fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Head;

    /// Else an answer that comes at once would tell that there is no such user.
    #[test]
    fn the_stand_in_for_unknown_users_is_the_dearest_password() {
        let rounds = |rounds| Rounds { rounds, salt: Box::default(), digest: Box::default() };
        let kinds = [
            Password::Never,
            Password::Plain(Box::default()),
            Password::Sha1 { digest: [0; 20], salt: Box::default() },
            Password::Des { salt: *b"..", digest: *b"..........." },
            Password::Md5 { prefix: "$1$", salt: Box::default(), digest: [0; 22] },
            Password::Bcrypt { cost: 4, salt: [0; 16], digest: [0; 23] },
            Password::Sha512(rounds(5000)),
            Password::Bcrypt { cost: 10, salt: [0; 16], digest: [0; 23] },
            Password::Sha256(rounds(Password::MAX_ROUNDS - 1)),
            Password::Bcrypt { cost: Password::MAX_BCRYPT_COST, salt: [0; 16], digest: [0; 23] },
        ];
        assert!(Users::default().dearest().is_none());
        for dearest in 0..kinds.len() {
            for is_reversed in [false, true] {
                let users = kinds[..=dearest].iter().cloned().enumerate();
                let name = |at: usize| Box::from([if is_reversed { 100 - at as u8 } else { at as u8 }].as_slice());
                let users = Users::new(users.map(|(at, password)| (name(at), password)).collect());
                assert!(users.dearest() == Some(&kinds[dearest]), "{dearest}");
            }
        }
    }

    #[test]
    fn credentials_are_read_as_nginx_reads_them() {
        let read = |values: &[&'static str]| {
            let head = values.iter().fold(Head::get("a.test", "/"), |head, value| head.with("authorization", value));
            let credentials = Credentials::of(&head)?;
            Some((credentials.user().to_vec(), credentials.password().to_vec()))
        };
        let expected = Some((b"u".to_vec(), b"se:cret".to_vec()));
        for value in ["Basic dTpzZTpjcmV0", "basic dTpzZTpjcmV0", "BASIC   dTpzZTpjcmV0  "] {
            assert_eq!(read(&[value]), expected, "{value}");
        }
        assert_eq!(read(&["Basic dTo"]), Some((b"u".to_vec(), Vec::new())), "without padding");
        for value in ["", "Basic", "Basic ", "Basic !!!", "Bearer dTpzZTpjcmV0", "Basic dXNlcg=="] {
            assert_eq!(read(&[value]), None, "{value}");
        }
        assert_eq!(read(&["Basic dTpzZTpjcmV0", "Basic dTpzZTpjcmV0"]), None);
    }
}
