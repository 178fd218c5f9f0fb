//! TLS towards endpoints: what is shown to them, and what they have to show.

use std::sync::Arc;

use edgeward_routing::policy::UpstreamTls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme, SupportedCipherSuite,
    version,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::resolve::parsed;

/// A client that takes every certificate, as nginx does where it is not told otherwise.
pub(crate) fn unverified() -> Option<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier { trust: None, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// The client for these terms, which agrees on this protocol. `None` where there can be none: the controller has made sure of
/// what it is made of.
pub(crate) fn client_config(tls: &UpstreamTls, protocol: &[u8]) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(CryptoProvider { cipher_suites: suites(tls), ..aws_lc_rs::default_provider() });
    let verifier =
        Verifier { trust: if tls.verifies { Some(Trust::of(tls)?) } else { None }, provider: Arc::clone(&provider) };
    let versions = [(tls.tls12, &version::TLS12), (tls.tls13, &version::TLS13)];
    let versions: Vec<_> = versions.into_iter().filter(|(is_on, _)| *is_on).map(|(_, version)| version).collect();
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions).ok()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &tls.identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(parsed(identity)?))),
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = tls.sends_name;
    config.alpn_protocols = vec![protocol.to_vec()];
    Some(Arc::new(config))
}

/// The suites that are asked for; those of TLS 1.3 are always among them, as with OpenSSL.
fn suites(tls: &UpstreamTls) -> Vec<SupportedCipherSuite> {
    let mut suites = aws_lc_rs::default_provider().cipher_suites;
    if !tls.suites.is_empty() {
        suites.retain(|suite| {
            let is_new = suite.version().version == ProtocolVersion::TLSv1_3;
            is_new || tls.suites.iter().any(|name| openssl_name(*suite).as_deref() == Some(name))
        });
    }
    suites
}

/// `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384` is `ECDHE-RSA-AES256-GCM-SHA384` there.
fn openssl_name(suite: SupportedCipherSuite) -> Option<String> {
    let name = suite.suite().as_str()?.strip_prefix("TLS_")?.replace("_WITH_", "_").replace("AES_", "AES");
    Some(name.trim_end_matches("_SHA256").to_owned())
        .filter(|short| short.ends_with("POLY1305"))
        .or(Some(name))
        .map(|name| name.replace('_', "-"))
}

/// Who is trusted.
#[derive(Debug)]
struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    /// Those that an endpoint may have itself, with their validity.
    pinned: Vec<(Box<[u8]>, i64, i64)>,
    depth: u8,
}

impl Trust {
    fn of(tls: &UpstreamTls) -> Option<Self> {
        let mut anchors = Vec::new();
        let mut pinned = Vec::new();
        for authority in &tls.authorities {
            let der = CertificateDer::from(&*authority.der);
            anchors.push(anchor_from_trusted_cert(&der).ok()?.to_owned());
            pinned.push((authority.der.clone(), authority.not_before, authority.not_after));
        }
        Some(Self { anchors, pinned, depth: tls.depth })
    }
}

/// Takes the certificates that are trusted, or every one.
#[derive(Debug)]
struct Verifier {
    trust: Option<Trust>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn verify(
        &self,
        trust: &Trust,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        let certificate = EndEntityCert::try_from(leaf).map_err(|_| CertificateError::BadEncoding)?;
        // A certificate that is its own authority is no end of a chain to WebPKI, but it is what many endpoints have.
        let pinned = trust.pinned.iter().find(|(der, ..)| **der == **leaf);
        if let Some((_, not_before, not_after)) = pinned {
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            if now < *not_before {
                return Err(CertificateError::NotValidYet);
            }
            if now > *not_after {
                return Err(CertificateError::Expired);
            }
        } else {
            let path = certificate.verify_for_usage(
                self.provider.signature_verification_algorithms.all,
                &trust.anchors,
                intermediates,
                now,
                KeyUsage::server_auth(),
                None,
                Some(&|path| match path.intermediate_certificates().count() <= usize::from(trust.depth) {
                    true => Ok(()),
                    false => Err(webpki::Error::UnknownIssuer),
                }),
            );
            path.map_err(|error| match error {
                webpki::Error::CertExpired { .. } => CertificateError::Expired,
                webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
                _ => CertificateError::UnknownIssuer,
            })?;
        }
        certificate.verify_is_valid_for_subject_name(name).map_err(|_| CertificateError::NotValidForName)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(trust) = &self.trust {
            self.verify(trust, end_entity, intermediates, server_name, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
