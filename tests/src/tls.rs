//! A TLS client that shows what the server did: which certificate, which protocol.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificate::Pair;

/// What the client says and wants in the handshake.
#[derive(Debug, Clone, Default)]
pub struct Hello {
    server_name: Option<String>,
    alpn: Vec<Vec<u8>>,
    root: Option<CertificateDer<'static>>,
    client_certificate: Option<Pair>,
    tls12: bool,
    first: Vec<u8>,
    /// Sessions are resumed only under the very configuration that they began with.
    shared: Option<Arc<OnceLock<Arc<ClientConfig>>>>,
}

impl Hello {
    /// Without a server name; any certificate is accepted.
    pub fn nameless() -> Self {
        Self::default()
    }

    /// With this server name; any certificate is accepted.
    pub fn name(server_name: &str) -> Self {
        Self { server_name: Some(server_name.to_owned()), ..Self::default() }
    }

    /// With these protocols in ALPN, best first.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Accepts only a certificate for the server name under this root.
    #[must_use]
    pub fn verify(mut self, root: CertificateDer<'static>) -> Self {
        self.root = Some(root);
        self
    }

    /// Offers a client certificate.
    #[must_use]
    pub fn client_certificate(mut self, pair: Pair) -> Self {
        self.client_certificate = Some(pair);
        self
    }

    /// Speaks TLS 1.2 only.
    #[must_use]
    pub fn tls12(mut self) -> Self {
        self.tls12 = true;
        self
    }

    /// Sends this with the last message of the handshake, in one write.
    #[must_use]
    pub fn saying(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.first = bytes.into();
        self
    }

    /// Remembers sessions for the connections of this `Hello` and its clones, to resume them.
    #[must_use]
    pub fn resuming(mut self) -> Self {
        self.shared = Some(Arc::default());
        self
    }

    /// Does the handshake.
    pub async fn connect(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = match &self.shared {
            Some(shared) => match shared.get() {
                Some(config) => config.clone(),
                None => {
                    let config = Arc::new(self.config().map_err(std::io::Error::other)?);
                    shared.get_or_init(|| config).clone()
                }
            },
            None => Arc::new(self.config().map_err(std::io::Error::other)?),
        };
        let name = self.server_name.as_deref().unwrap_or("nameless.invalid");
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let say_first = |tls: &mut ClientConnection| {
            // Kept until it can be encrypted; what is longer than the buffer for that is a mistake of the test.
            tls.writer().write_all(&self.first).expect("the first bytes are few");
        };
        TlsConnector::from(config).connect_with(name, stream, say_first).await
    }

    fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[&rustls::SupportedProtocolVersion] =
            if self.tls12 { &[&rustls::version::TLS12] } else { rustls::DEFAULT_VERSIONS };
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
        let verifier: Arc<dyn ServerCertVerifier> = match &self.root {
            Some(root) => {
                let mut roots = RootCertStore::empty();
                roots.add(root.clone())?;
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .build()
                    .map_err(|e| rustls::Error::General(e.to_string()))?
            }
            None => Arc::new(AcceptAny(provider.clone())),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.client_certificate {
            Some(pair) => {
                let key = provider.key_provider.load_private_key(pair.key())?;
                let certified = CertifiedKey::new(pair.chain(), key);
                builder.with_client_cert_resolver(Arc::new(Always(Arc::new(certified))))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_sni = self.server_name.is_some();
        if self.shared.is_none() {
            config.resumption = Resumption::disabled();
        }
        Ok(config)
    }
}

/// The certificate that the server showed.
///
/// # Panics
///
/// When it showed none, which TLS does not allow.
pub fn peer_certificate(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().and_then(|chain| chain.first()).expect("the server shows a certificate").clone()
}

/// Subject and DNS names of a certificate, as `CN=a,O=b`.
///
/// # Panics
///
/// When it is no certificate.
pub fn describe(certificate: &CertificateDer<'_>) -> (String, Vec<String>) {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).expect("a certificate");
    let subject = parsed
        .subject()
        .iter_attributes()
        .map(|attribute| {
            let kind = x509_parser::objects::oid2abbrev(attribute.attr_type(), x509_parser::objects::oid_registry())
                .unwrap_or("?");
            format!("{kind}={}", attribute.as_str().unwrap_or("?"))
        })
        .collect::<Vec<_>>();
    let names = match parsed.subject_alternative_name() {
        Ok(Some(extension)) => extension
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    (subject.join(","), names)
}

/// Shows this certificate whoever asks. The library's own way reads it first, and takes none of version 1.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Accepts every certificate, but checks that the server has the key of the one it shows.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
