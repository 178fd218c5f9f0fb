//! A Secret and the certificate or the users in it, parsed once per content.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use edgeward_routing::certificate::Certificate;

use crate::certificate::{self, CertificateError, KEYS};
use crate::htdigest::{self, Htdigest};
use crate::htpasswd::{self, Htpasswd};
use crate::object::Secret;

/// The key of a list of users (`auth-secret-type: auth-file`; ingress-nginx auth/main.go).
pub(crate) const USERS_KEY: &str = "auth";

/// How a Secret holds users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsersForm {
    /// As one list, under the key `auth`.
    #[default]
    List,
    /// Each key is a user.
    Map,
}

/// What a Secret offers as a certificate.
#[derive(Debug, Clone, Copy)]
pub enum CertificateState<'a> {
    /// There is no such Secret.
    Missing,
    /// It holds a certificate that fits its key.
    Good(&'a Arc<Certificate>),
    /// It holds none that can be served.
    Broken {
        /// Why.
        error: &'a CertificateError,
        /// What it held before it was broken, if that was ever served. ingress-nginx goes on serving it (recorded:
        /// sequence "late secret").
        last_good: Option<&'a Arc<Certificate>>,
    },
}

#[derive(Debug)]
pub(super) struct SecretEntry {
    secret: Secret,
    /// Filled on first use: most Secrets of a cluster are no certificates, and most certificates are not ours.
    parsed: OnceLock<Result<Arc<Certificate>, CertificateError>>,
    last_good: Option<Arc<Certificate>>,
    /// The users, in both forms. Few Secrets hold any.
    users: Users,
}

/// The users of a Secret, as each scheme reads them.
#[derive(Debug, Default)]
struct Users {
    passwords: [OnceLock<Option<Htpasswd>>; 2],
    digests: [OnceLock<Option<Htdigest>>; 2],
}

/// What of a Secret has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed {
    /// What certificates are read from.
    pub(super) certificate: bool,
    /// Anything that it holds.
    pub(super) data: bool,
}

impl SecretEntry {
    /// The entry that follows `old` when the Secret is now `secret`, and what of it has changed.
    pub(super) fn successor(old: Option<Self>, secret: Secret) -> (Self, Changed) {
        let users = Users::default();
        let Some(old) = old else {
            let entry = Self { secret, parsed: OnceLock::new(), last_good: None, users };
            return (entry, Changed { certificate: true, data: true });
        };
        let certificate = KEYS.iter().any(|key| old.secret.data.get(*key) != secret.data.get(*key));
        let changed = Changed { certificate, data: old.secret.data != secret.data };
        if !changed.data {
            return (Self { secret, ..old }, changed);
        }
        if !certificate {
            return (Self { secret, users, ..old }, changed);
        }
        let last_good = old.parsed.into_inner().and_then(Result::ok).or(old.last_good);
        (Self { secret, parsed: OnceLock::new(), last_good, users }, changed)
    }

    pub(super) fn users(&self, form: UsersForm) -> Option<&Htpasswd> {
        let read = || self.list(form).map(|list| htpasswd::parse(&list));
        self.users.passwords[form as usize].get_or_init(read).as_ref()
    }

    pub(super) fn digests(&self, form: UsersForm) -> Option<&Htdigest> {
        let read = || self.list(form).map(|list| htdigest::parse(&list));
        self.users.digests[form as usize].get_or_init(read).as_ref()
    }

    /// The users as one list.
    fn list(&self, form: UsersForm) -> Option<Cow<'_, [u8]>> {
        match form {
            UsersForm::List => self.value(USERS_KEY).map(Cow::Borrowed),
            UsersForm::Map => {
                // As ingress-nginx writes it to a file (auth/main.go dumpSecretAuthMap).
                let lines = self.secret.data.iter().map(|(user, password)| [user.as_bytes(), password].join(&b':'));
                Some(lines.collect::<Vec<_>>().join(&b'\n').into())
            }
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&[u8]> {
        self.secret.data.get(key).map(Vec::as_slice)
    }

    pub(super) fn is_certificate_parsed(&self) -> bool {
        self.parsed.get().is_some()
    }

    pub(super) fn certificate(&self) -> CertificateState<'_> {
        match self.parsed.get_or_init(|| certificate::parse(&self.secret).map(Arc::new)) {
            Ok(certificate) => CertificateState::Good(certificate),
            Err(error) => CertificateState::Broken { error, last_good: self.last_good.as_ref() },
        }
    }
}
