//! A Secret and the certificate in it, parsed once per content.

use std::sync::{Arc, OnceLock};

use edgeward_routing::certificate::Certificate;

use crate::certificate::{self, CertificateError, KEYS};
use crate::object::Secret;

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
}

impl SecretEntry {
    /// The entry that follows `old` when the Secret is now `secret`, and whether what is read of it is the same.
    pub(super) fn successor(old: Option<Self>, secret: Secret) -> (Self, bool) {
        let Some(old) = old else {
            return (Self { secret, parsed: OnceLock::new(), last_good: None }, false);
        };
        let same = KEYS.iter().all(|key| old.secret.data.get(*key) == secret.data.get(*key));
        if same {
            return (Self { secret, ..old }, true);
        }
        let last_good = old.parsed.into_inner().and_then(Result::ok).or(old.last_good);
        (Self { secret, parsed: OnceLock::new(), last_good }, false)
    }

    pub(super) fn value(&self, key: &str) -> Option<&[u8]> {
        self.secret.data.get(key).map(Vec::as_slice)
    }

    pub(super) fn certificate(&self) -> CertificateState<'_> {
        match self.parsed.get_or_init(|| certificate::parse(&self.secret).map(Arc::new)) {
            Ok(certificate) => CertificateState::Good(certificate),
            Err(error) => CertificateState::Broken { error, last_good: self.last_good.as_ref() },
        }
    }
}
