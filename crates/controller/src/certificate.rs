//! Certificates: from the PEM of a Secret to what the data plane serves, and the one made up where none is given.

use std::sync::Arc;

use aws_lc_rs::digest;
use edgeward_routing::certificate::{Certificate, KeyFormat, PrivateKey};
use edgeward_routing::host::HostPattern;
use edgeward_routing::origin::Origin;
use edgeward_routing::policy::Authority;
use rustls::crypto::aws_lc_rs::sign;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509Name};

use crate::object::{Kind, Secret};

mod generate;

pub use generate::{GenerateError, generate_default};

/// The key of a Secret's data that holds the certificate chain.
pub const CERTIFICATE_KEY: &str = "tls.crt";

/// The key of a Secret's data that holds the private key.
pub const PRIVATE_KEY_KEY: &str = "tls.key";

/// The key of a Secret's data that holds what session tickets are sealed with.
pub const TICKET_KEY: &str = "ticket.key";

/// The key of a Secret's data that holds what session tickets were sealed with before.
pub const PREVIOUS_TICKET_KEY: &str = "ticket.previous.key";

/// The key of a Secret's data that holds the certificates of the authority that client certificates are of.
pub const AUTHORITY_KEY: &str = "ca.crt";

/// The key of a Secret's data that holds lists of revoked client certificates.
pub const REVOCATION_KEY: &str = "ca.crl";

/// Everything that is read of a Secret.
pub(crate) const KEYS: [&str; 6] =
    [CERTIFICATE_KEY, PRIVATE_KEY_KEY, TICKET_KEY, PREVIOUS_TICKET_KEY, AUTHORITY_KEY, REVOCATION_KEY];

/// Why a Secret holds no certificate that can be served. None of the texts shows anything of the private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A key of the data is missing or empty.
    #[error("its data has no `{0}`")]
    NoData(&'static str),
    /// `tls.crt` is not PEM, or holds no certificate.
    #[error("its `tls.crt` holds no PEM block `CERTIFICATE`")]
    NoCertificate,
    /// A certificate of the chain does not parse.
    #[error("certificate {position} of its `tls.crt` does not parse: {reason}")]
    BadCertificate {
        /// Position in the chain, from 1.
        position: usize,
        /// What the parser says.
        reason: String,
    },
    /// `tls.key` is not PEM, or holds no private key.
    #[error("its `tls.key` holds no PEM block `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`")]
    NoPrivateKey,
    /// The private key is broken, or of a kind that TLS servers do not use.
    #[error("its `tls.key` is no usable RSA (2048 bits or more), ECDSA (P-256, P-384, P-521) or Ed25519 key")]
    BadPrivateKey,
    /// The private key is another certificate's.
    #[error("its `tls.key` does not belong to the first certificate of its `tls.crt`")]
    KeyMismatch,
}

impl CertificateError {
    /// What to do about it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::NoData(_) => {
                "make it with `kubectl create secret tls NAME --cert=FILE --key=FILE`, \
                                or give it both `tls.crt` and `tls.key`"
            }
            Self::NoCertificate | Self::BadCertificate { .. } => {
                "put the PEM text of the certificate chain there, the server's certificate first"
            }
            Self::NoPrivateKey => "put the PEM text of the unencrypted private key there",
            Self::BadPrivateKey => "make a new key of one of these kinds and have its certificate issued anew",
            Self::KeyMismatch => {
                "put the key there that the certificate was issued for, and the server's certificate first in the chain"
            }
        }
    }
}

/// Reads the certificate of a Secret: `tls.crt` and `tls.key`, whatever its type is.
pub fn parse(secret: &Secret) -> Result<Certificate, CertificateError> {
    let data =
        |key: &'static str| secret.data.get(key).filter(|value| !value.is_empty()).ok_or(CertificateError::NoData(key));
    let chain = CertificateDer::pem_slice_iter(data(CERTIFICATE_KEY)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| CertificateError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(data(PRIVATE_KEY_KEY)?).map_err(|_| CertificateError::NoPrivateKey)?;
    assemble(chain, key, Some(secret.meta.origin(Kind::Secret)))
}

/// The certificates of authorities in PEM; `None` where one does not parse, or there is none.
pub(crate) fn authorities(pem: &[u8]) -> Option<Box<[Authority]>> {
    let mut authorities = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let (not_before, not_after) =
            (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        authorities.push(Authority { not_before, not_after, der: der.as_ref().into() });
    }
    (!authorities.is_empty()).then(|| authorities.into())
}

fn assemble(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    origin: Option<Origin>,
) -> Result<Certificate, CertificateError> {
    let mut fingerprint = digest::Context::new(&digest::SHA256);
    let mut leaf = None;
    for (index, der) in chain.iter().enumerate() {
        fingerprint.update(der);
        let bad = |reason: String| CertificateError::BadCertificate { position: index + 1, reason };
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| bad(error.to_string()))?;
        leaf.get_or_insert(parsed);
    }
    let leaf = leaf.ok_or(CertificateError::NoCertificate)?;
    let signer = signing_key(&key, &leaf).map_err(|_| CertificateError::BadPrivateKey)?;
    match CertifiedKey::new(chain.clone(), signer).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => return Err(CertificateError::KeyMismatch),
        Err(error) => return Err(CertificateError::BadCertificate { position: 1, reason: error.to_string() }),
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(fingerprint.finish().as_ref());
    let names = names(&leaf);
    Ok(Certificate {
        fingerprint: digest,
        subject: subject(leaf.subject()),
        // An empty name would parse as every host.
        hosts: names.iter().filter_map(|name| name.parse().ok()).filter(|host| *host != HostPattern::Any).collect(),
        names,
        not_before: leaf.validity().not_before.timestamp(),
        not_after: leaf.validity().not_after.timestamp(),
        serial: leaf.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
        chain: chain.iter().map(|der| der.as_ref().into()).collect(),
        key: PrivateKey { der: key.secret_der().into(), format: format_of(&key) },
        origin,
        parsed: Default::default(),
    })
}

/// The key as rustls reads it. To find out of which kind a key is, it reads it as one of RSA first, and so would check those
/// on curves, nearly all that are issued today, twice: what the certificate is for is tried before.
fn signing_key(key: &PrivateKeyDer<'_>, leaf: &X509Certificate<'_>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    let is_on_curve = leaf.public_key().algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY;
    let ecdsa = if is_on_curve { sign::any_ecdsa_type(key).ok() } else { None };
    ecdsa.map_or_else(|| sign::any_supported_type(key), Ok)
}

fn format_of(key: &PrivateKeyDer<'_>) -> KeyFormat {
    match key {
        PrivateKeyDer::Pkcs1(_) => KeyFormat::Pkcs1,
        PrivateKeyDer::Sec1(_) => KeyFormat::Sec1,
        _ => KeyFormat::Pkcs8,
    }
}

/// A name as RFC 4514 orders it, the most specific part first: `CN=example.com,O=Example`.
fn subject(name: &X509Name<'_>) -> String {
    let registry = x509_parser::objects::oid_registry();
    let mut parts: Vec<String> = name
        .iter_attributes()
        .map(|attribute| {
            let kind = x509_parser::objects::oid2abbrev(attribute.attr_type(), registry)
                .map_or_else(|_| attribute.attr_type().to_id_string(), ToOwned::to_owned);
            format!("{kind}={}", attribute.as_str().unwrap_or("?"))
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

/// The DNS names of a certificate. One without any is judged by its common name, as ingress-nginx does (controller.go
/// createServers; recorded: c096).
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for extension in leaf.extensions() {
        if let ParsedExtension::SubjectAlternativeName(alternatives) = extension.parsed_extension() {
            names.extend(alternatives.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            }));
        }
    }
    if names.is_empty() {
        names.extend(
            leaf.subject().iter_common_name().filter_map(|name| Some(name.as_str().ok()?.to_ascii_lowercase())),
        );
    }
    names
}

#[cfg(test)]
mod tests;
