//! The client of authentication services: one per worker, which keeps connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::time::timeout;

/// How long a connection may take to be opened.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection that nobody needs is kept, and how many to one service.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_PER_HOST: usize = 32;

/// The largest head of an answer.
const HEAD: usize = 64 << 10;

/// So much of a body is read, and dropped, so that the connection can be kept.
const BODY: usize = 64 << 10;

/// How long that may take.
const BODY_TIME: Duration = Duration::from_secs(5);

/// See the [module](self).
#[derive(Debug, Clone)]
pub(super) struct Client(legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Client {
    /// `None` when the TLS library has no protocol to speak.
    pub(super) fn new() -> Option<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().ok()?;
        // As ingress-nginx does: `proxy_ssl_verify` is off for authentication services.
        let tls = tls.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_buf_size(HEAD)
            .set_host(false)
            .build(connector.wrap_connector(tcp));
        Some(Self(client))
    }

    /// The head of what a service answers. A connection that ends without an answer may have been kept for too long: what can
    /// be asked twice is.
    pub(super) async fn ask(&self, request: Request<Empty<Bytes>>) -> Option<Parts> {
        let again = request.method().is_safe().then(|| request.clone());
        let mut answered = self.0.request(request).await;
        if let (Err(error), Some(again)) = (&answered, again)
            && !error.is_connect()
        {
            answered = self.0.request(again).await;
        }
        match answered {
            Ok(response) => {
                let (head, body) = response.into_parts();
                // Nobody waits for it. A connection with more to come is closed with what is left.
                tokio::spawn(timeout(BODY_TIME, Limited::new(body, BODY).collect()));
                Some(head)
            }
            Err(error) => {
                tracing::debug!(%error, "an authentication service did not answer");
                None
            }
        }
    }
}

/// Takes every certificate. What is signed with it is checked all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
