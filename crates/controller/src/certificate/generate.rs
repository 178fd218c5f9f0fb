//! The default certificate where none is given: self-signed, made at start, kept in memory only.

use edgeward_routing::certificate::Certificate;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{CertificateError, assemble};

/// Why no default certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A name is no DNS name, or the key could not be made.
    #[error("cannot make a self-signed certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// What was made does not parse.
    #[error("cannot read back the self-signed certificate: {0}")]
    Parse(#[from] CertificateError),
}

/// Makes a self-signed ECDSA P-256 certificate for these names. Its subject is the one that ingress-nginx's default
/// certificate has (internal/net/ssl GetFakeSSLCert), by which monitoring tells that no real one was configured. It is
/// valid for a year: a restart makes a new one.
pub fn generate_default(names: &[String]) -> Result<Certificate, GenerateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Acme Co");
    params.distinguished_name.push(DnType::CommonName, "Kubernetes Ingress Controller Fake Certificate");
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let midnight = |date: Date| {
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    // A day back, for clients whose clock is behind.
    params.not_before = midnight(today.saturating_sub(1.day()));
    params.not_after = midnight(today.saturating_add(366.days()));
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(assemble(vec![certificate.der().clone()], key, None)?)
}
