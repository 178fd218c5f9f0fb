//! TLS on the HTTPS listeners.

mod chain;
mod client_certificate;
mod der;
mod hkdf;
mod name;
mod records;
mod resolve;
mod stream;
mod ticket;
pub(crate) mod upstream;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use edgeward_routing::attachment::Attachment;
use edgeward_routing::policy::HostTls;
use edgeward_routing::settings::{Cipher, Group, TlsSettings, TlsVersion};
use edgeward_routing::{Snapshot, SnapshotReader};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCert, ServerConfig};
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion, SupportedProtocolVersion};

use crate::connection::{Alpn, TlsSession};
use resolve::Resolver;
use ticket::Tickets;

pub(crate) use stream::{Hello, TlsStream};

/// The versions, the newest first.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// What is made of settings, for all handshakes.
struct Made {
    config: Arc<ServerConfig>,
    provider: Arc<CryptoProvider>,
    versions: &'static [&'static SupportedProtocolVersion],
}

/// What is made for a host with terms of its own, under the settings that were current when it was last needed.
struct MadeOfHost {
    /// That of hosts without.
    plain: Arc<ServerConfig>,
    made: Made,
}

/// The configurations of all HTTPS listeners: one for hosts that ask for no certificate, and one for each authority. They are made
/// at the first handshake under settings that are new, and kept with those.
pub(crate) struct ServerConfigs {
    snapshots: SnapshotReader,
    resolver: Arc<Resolver>,
    tickets: Arc<Tickets>,
    /// Settings aside.
    provider: CryptoProvider,
}

impl ServerConfigs {
    /// With certificates by server name from the current snapshot.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub(crate) fn new(snapshots: SnapshotReader) -> Result<Self, rustls::Error> {
        let mut provider = default_provider();
        hkdf::install(&mut provider);
        let resolver = Arc::new(Resolver::new(snapshots.clone()));
        let tickets = Arc::new(Tickets::new(snapshots.clone())?);
        Ok(Self { snapshots, resolver, tickets, provider })
    }

    /// The routes and settings of this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.load()
    }

    /// What is made of `settings`. `None` where they leave nothing to speak TLS with, which is said once.
    fn made<'a>(&self, settings: &'a TlsSettings) -> Option<&'a Made> {
        let make = || {
            let made = self.make(settings);
            made.inspect_err(|error| tracing::error!(%error, "TLS cannot be set up; handshakes fail")).ok()
        };
        settings.made.get_or_init(make)?.as_ref()
    }

    /// What is made for a host with `own` terms, where `plain` is made of `settings`. `None` where they leave nothing to speak
    /// TLS with.
    fn made_of_host(&self, own: &HostTls, settings: &TlsSettings, plain: &Made) -> Option<Arc<MadeOfHost>> {
        let kept = own.made.get_or_init(ArcSwapOption::<MadeOfHost>::empty)?;
        if let Some(known) = kept.load_full().filter(|known| Arc::ptr_eq(&known.plain, &plain.config)) {
            return Some(known);
        }
        let settings = TlsSettings {
            ciphers: own.ciphers.clone().or_else(|| settings.ciphers.clone()),
            prefers_own_order: own.prefers_own_order.unwrap_or(settings.prefers_own_order),
            made: Attachment::default(),
            ..settings.clone()
        };
        let made = self.make(&settings);
        let made = made.inspect_err(|error| tracing::error!(%error, "TLS of a host cannot be set up; handshakes fail"));
        let made = Arc::new(MadeOfHost { plain: Arc::clone(&plain.config), made: made.ok()? });
        kept.store(Some(Arc::clone(&made)));
        Some(made)
    }

    /// Early data is off: it can be replayed.
    fn make(&self, settings: &TlsSettings) -> Result<Made, rustls::Error> {
        let mut provider = self.provider.clone();
        provider.kx_groups.retain(|group| offers(settings, group.name()));
        if let Some(ciphers) = &settings.ciphers {
            let chosen: Vec<_> = ciphers.iter().map(|cipher| suite(*cipher)).collect();
            provider.cipher_suites.retain(|suite| suite.tls13().is_some() || chosen.contains(&suite.suite()));
            // Those of TLS 1.3 stay in front: they are in nobody's list.
            provider.cipher_suites.sort_by_key(|known| chosen.iter().position(|suite| *suite == known.suite()));
        }
        let versions: &'static [&'static SupportedProtocolVersion] = match (settings.min_version, settings.max_version)
        {
            (TlsVersion::V1_2, TlsVersion::V1_3) => &VERSIONS,
            (TlsVersion::V1_3, _) => &VERSIONS[..1],
            (TlsVersion::V1_2, TlsVersion::V1_2) => &VERSIONS[1..],
        };
        let provider = Arc::new(provider);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.resolver) as Arc<dyn ResolvesServerCert>);
        // Tickets need no memory here; the default would be a cache of 256 sessions behind one lock.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if settings.tickets {
            config.ticketer = Arc::clone(&self.tickets) as Arc<dyn ProducesTickets>;
            // One for the one that a resumption uses up; each costs as much as a key of the handshake.
            config.send_tls13_tickets = 1;
        } else {
            config.send_tls13_tickets = 0;
        }
        config.ignore_client_order = settings.prefers_own_order;
        config.alpn_protocols = if settings.http2 { vec![b"h2".to_vec()] } else { Vec::new() };
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(Made { config: Arc::new(config), provider, versions })
    }
}

/// Whether settings offer a group of the key exchange.
fn offers(settings: &TlsSettings, group: NamedGroup) -> bool {
    let known = match group {
        NamedGroup::X25519 => Group::X25519,
        NamedGroup::secp256r1 => Group::P256,
        NamedGroup::secp384r1 => Group::P384,
        NamedGroup::X25519MLKEM768 if settings.post_quantum => Group::X25519MlKem768,
        NamedGroup::X25519MLKEM768 => return false,
        _ => return settings.groups.is_none(),
    };
    settings.groups.as_ref().is_none_or(|groups| groups.contains(&known))
}

fn suite(cipher: Cipher) -> rustls::CipherSuite {
    use rustls::CipherSuite as S;
    match cipher {
        Cipher::EcdsaAes128 => S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Cipher::EcdsaAes256 => S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Cipher::EcdsaChaCha20 => S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        Cipher::RsaAes128 => S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Cipher::RsaAes256 => S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Cipher::RsaChaCha20 => S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

/// What a finished handshake agreed on, and what it found of the client where it asked in the name of somebody.
pub(crate) fn session(configs: &ServerConfigs, stream: &TlsStream) -> TlsSession {
    let tls = stream.session();
    TlsSession {
        server_name: tls.server_name().map(Into::into),
        version: match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher: tls.negotiated_cipher_suite().map_or("", |suite| openssl_name(suite.suite())),
        alpn: match tls.alpn_protocol() {
            None => Alpn::None,
            Some(b"h2") => Alpn::Http2,
            Some(_) => Alpn::Http1,
        },
        resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        client: stream.asked().map(|authority| Box::new(configs.found(authority, tls))),
    }
}

/// The name that OpenSSL, and so every access log of nginx, has for a cipher suite.
fn openssl_name(suite: rustls::CipherSuite) -> &'static str {
    use rustls::CipherSuite as S;
    match suite {
        S::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        S::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        S::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests;
