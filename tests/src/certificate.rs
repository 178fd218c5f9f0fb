//! Throw-away certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its key.
#[derive(Clone)]
pub struct Pair {
    /// The chain in PEM, leaf first.
    pub certificate_pem: String,
    /// The key in PEM, PKCS#8.
    pub key_pem: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(..)")
    }
}

impl Pair {
    /// The certificate in DER.
    ///
    /// # Panics
    ///
    /// When it is not PEM.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).expect("a certificate in PEM")
    }

    /// The certificate and those of the authorities behind it, in DER.
    ///
    /// # Panics
    ///
    /// When one is not PEM.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        let certificates = CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes());
        certificates.map(|certificate| certificate.expect("certificates in PEM")).collect()
    }

    /// The key in DER.
    ///
    /// # Panics
    ///
    /// When it is not PEM.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("a key in PEM")
    }
}

/// Which key a certificate is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256
    Ecdsa,
    /// RSA with 2048 bits
    Rsa,
    /// Ed25519
    Ed25519,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now and for decades.
    Current,
    /// It ended years ago.
    Expired,
}

/// A certificate authority of one test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(..)")
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When rcgen cannot make it.
    pub fn new() -> Self {
        let (key, params) = Self::material("Edgeward tests");
        let certificate = params.self_signed(&key).expect("a self-signed certificate");
        Self::of(key, params, &certificate)
    }

    /// An authority whose own certificate this one has issued.
    ///
    /// # Panics
    ///
    /// When rcgen cannot make it.
    #[must_use]
    pub fn intermediate(&self, name: &str) -> Self {
        let (key, params) = Self::material(name);
        let certificate = params.signed_by(&key, &self.issuer).expect("a signed certificate");
        Self::of(key, params, &certificate)
    }

    fn material(name: &str) -> (KeyPair, CertificateParams) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("an ECDSA key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (key, params)
    }

    fn of(key: KeyPair, params: CertificateParams, certificate: &rcgen::Certificate) -> Self {
        let (pem, certificate) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), certificate, pem }
    }

    /// Its certificate, for clients that verify.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Its certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        self.pem.clone()
    }

    /// A valid ECDSA certificate for an address.
    ///
    /// # Panics
    ///
    /// When rcgen cannot make it.
    pub fn issue_for_address(&self, common_name: &str, address: std::net::IpAddr) -> Pair {
        self.issue_as(common_name, &[&address.to_string()], KeyKind::Ecdsa, Validity::Current)
    }

    /// A certificate for server names; the first is the common name too.
    ///
    /// # Panics
    ///
    /// When rcgen cannot make it.
    pub fn issue(&self, names: &[&str], kind: KeyKind, validity: Validity) -> Pair {
        self.issue_as(names.first().copied().unwrap_or_default(), names, kind, validity)
    }

    /// A certificate whose common name is another than the first of its server names.
    ///
    /// # Panics
    ///
    /// When rcgen cannot make it.
    pub fn issue_as(&self, common_name: &str, names: &[&str], kind: KeyKind, validity: Validity) -> Pair {
        let key = match kind {
            KeyKind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyKind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            KeyKind::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
        }
        .expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("server names");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = match validity {
            Validity::Current => (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1)),
            Validity::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
        };
        let certificate = params.signed_by(&key, &self.issuer).expect("a signed certificate");
        Pair { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    /// A valid ECDSA certificate of a client, which says nothing of what it is for.
    ///
    /// # Panics
    ///
    /// When rcgen cannot make it.
    pub fn client(&self, common_name: &str) -> Pair {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &self.issuer).expect("a signed certificate");
        Pair { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    /// A valid ECDSA certificate for one name.
    pub fn pair(&self, name: &str) -> Pair {
        self.issue(&[name], KeyKind::Ecdsa, Validity::Current)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
