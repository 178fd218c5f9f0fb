//! Certificates of clients: which host asks for one, and what a handshake came to.
//!
//! Whatever a client shows, the handshake goes through, so that the answer can say what is wrong with it. Such hosts give no
//! session tickets: each handshake asks anew, and so none skips what another one found.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use edgeward_routing::Snapshot;
use edgeward_routing::host::Host;
use edgeward_routing::policy::client_certificate::Verdict;
use edgeward_routing::policy::{ClientAuthority, ClientCertificate, Verify};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ResolvesServerCert, ServerConfig, ServerConnection};
use rustls::{DigitallySignedStruct, DistinguishedName, PeerMisbehaved, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::chain::{self, Trusted};
use super::der::public_key;
use super::{Made, ServerConfigs, name};
use crate::connection::AskedClient;

/// The largest certificate of a client, in bytes. Connections keep them.
const LARGEST: usize = 16 << 10;

/// What is kept of an authority for all handshakes.
struct Parsed {
    /// Asks for certificates, under the settings that were current when it was last needed.
    asking: ArcSwapOption<Asking>,
    trusted: Trusted,
}

/// A configuration that asks for certificates.
struct Asking {
    /// That of hosts that do not.
    plain: Arc<ServerConfig>,
    config: Arc<ServerConfig>,
}

impl ServerConfigs {
    /// The configuration for a server name, and in whose name it asks for a certificate. `None` where TLS cannot be spoken.
    pub(super) fn of_name(
        &self,
        snapshot: &Snapshot,
        server_name: Option<&str>,
    ) -> Option<(Arc<ServerConfig>, Option<Arc<ClientAuthority>>)> {
        let made = self.made(&snapshot.settings.tls)?;
        let host = server_name.and_then(Host::normalize);
        let routes = snapshot.routes.host(host.as_ref().map_or("", Host::as_str));
        let policies = routes.and_then(|routes| routes.routes().first()?.policies.host.as_ref());
        let own = policies.map(|policies| &policies.tls).filter(|own| !own.is_empty());
        let of_host = match own {
            Some(own) => Some(self.made_of_host(own, &snapshot.settings.tls, made)?),
            None => None,
        };
        let made = of_host.as_deref().map_or(made, |of_host| &of_host.made);
        let asked = policies.and_then(|policies| policies.client_certificates.as_ref());
        let authority = asked.filter(|asked| asked.verify != Verify::Off).map(|asked| &asked.authority);
        let config = authority.and_then(|authority| {
            let config = self.asking(made, authority)?;
            Some((config, Arc::clone(authority)))
        });
        Some(match config {
            Some((config, authority)) => (config, Some(authority)),
            // Without the question no certificate counts, so that the host refuses its clients.
            None => (Arc::clone(&made.config), None),
        })
    }

    /// What is kept of an authority.
    fn of_authority<'a>(&self, authority: &'a ClientAuthority) -> Option<&'a Parsed> {
        let parse = || Parsed { asking: ArcSwapOption::empty(), trusted: Trusted::by(authority) };
        authority.parsed.get_or_init(parse)
    }

    /// What asks for certificates in the name of an authority. `None` where that is not possible.
    fn asking(&self, made: &Made, authority: &ClientAuthority) -> Option<Arc<ServerConfig>> {
        let parsed = self.of_authority(authority)?;
        let known = parsed.asking.load_full().filter(|asking| Arc::ptr_eq(&asking.plain, &made.config));
        if let Some(known) = known {
            return Some(Arc::clone(&known.config));
        }
        let config = self.make_asking(made, authority)?;
        let asking = Asking { plain: Arc::clone(&made.config), config: Arc::clone(&config) };
        parsed.asking.store(Some(Arc::new(asking)));
        Some(config)
    }

    fn make_asking(&self, made: &Made, authority: &ClientAuthority) -> Option<Arc<ServerConfig>> {
        let subjects = authority.certificates.iter().filter_map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some(DistinguishedName::from(certificate.subject().as_raw().to_vec()))
        });
        let verifier = AnyCertificate {
            subjects: subjects.collect(),
            algorithms: self.provider.signature_verification_algorithms,
        };
        let built = ServerConfig::builder_with_provider(Arc::clone(&made.provider))
            .with_protocol_versions(made.versions)
            .map(|builder| {
                builder
                    .with_client_cert_verifier(Arc::new(verifier))
                    .with_cert_resolver(Arc::clone(&self.resolver) as Arc<dyn ResolvesServerCert>)
            });
        match built {
            Ok(mut config) => {
                config.session_storage = Arc::clone(&made.config.session_storage);
                config.alpn_protocols.clone_from(&made.config.alpn_protocols);
                config.send_tls13_tickets = 0;
                Some(Arc::new(config))
            }
            Err(error) => {
                tracing::error!(%error, "clients cannot be asked for certificates; their hosts refuse them");
                None
            }
        }
    }

    /// What a finished handshake, which asked in the name of `authority`, found.
    pub(crate) fn found(&self, authority: &ClientAuthority, tls: &ServerConnection) -> AskedClient {
        let chain = tls.peer_certificates().unwrap_or_default();
        let certificate = chain.first().map(|leaf| {
            let parsed = self.of_authority(authority).filter(|_| leaf.len() <= LARGEST);
            let Some(Parsed { trusted, .. }) = parsed else { return ClientCertificate::bad("certificate too large") };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            let algorithms = &self.provider.signature_verification_algorithms;
            let verdict = chain::verdict(authority, trusted, chain, now, algorithms);
            if let Verdict::Bad(why) = verdict {
                return ClientCertificate::bad(why);
            }
            let parsed = X509Certificate::from_der(leaf).ok().map(|(_, parsed)| parsed);
            let written = |of: fn(&X509Certificate<'_>) -> String| parsed.as_ref().map_or_else(String::new, of).into();
            ClientCertificate {
                subject: written(|certificate| name::written(certificate.subject())),
                issuer: written(|certificate| name::written(certificate.issuer())),
                der: leaf.to_vec().into(),
                escaped: OnceLock::new(),
                verdict,
            }
        });
        AskedClient { asked: authority.fingerprint, certificate }
    }
}

/// Takes every certificate whose key the client has. What it is worth is judged behind the handshake.
#[derive(Debug)]
struct AnyCertificate {
    /// Whose certificates are asked for.
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| bad_encoding())?;
        let (algorithm, key) = public_key(parsed.public_key().raw).ok_or_else(bad_encoding)?;
        let known = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
        let (_, known) = known.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let is_signed = known.iter().any(|known| {
            known.public_key_alg_id().as_ref() == algorithm
                && known.verify_signature(key, message, signature.signature()).is_ok()
        });
        match is_signed {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(rustls::CertificateError::BadSignature.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| bad_encoding())?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn bad_encoding() -> rustls::Error {
    rustls::CertificateError::BadEncoding.into()
}
