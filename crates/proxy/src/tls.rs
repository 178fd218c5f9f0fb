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

use edgeward_routing::SnapshotReader;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion, SupportedProtocolVersion};

use crate::connection::{Alpn, TlsSession};
use resolve::Resolver;
use ticket::Tickets;

pub(crate) use client_certificate::ServerConfigs;
pub(crate) use stream::{Hello, TlsStream};

/// TLS settings of all HTTPS listeners. The defaults are Mozilla's "intermediate" without finite-field Diffie-Hellman,
/// which rustls does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Whether clients may resume sessions by tickets, for twelve hours.
    pub tickets: bool,
    /// Whether the hybrid key exchange X25519MLKEM768 is offered. The order of the client decides: one that puts X25519 first
    /// gets that, without a second round trip.
    pub post_quantum: bool,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { min_version: TlsVersion::V1_2, tickets: true, post_quantum: true, http2: true }
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2
    V1_2,
    /// TLS 1.3
    V1_3,
}

/// The versions, the newest first.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// Makes the configurations that all workers share, with certificates by server name from the current snapshot.
/// Early data is off: it can be replayed.
pub(crate) fn server_config(options: &TlsOptions, snapshots: SnapshotReader) -> Result<ServerConfigs, rustls::Error> {
    let mut provider = default_provider();
    if !options.post_quantum {
        provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    }
    hkdf::install(&mut provider);
    let versions: &'static [&'static SupportedProtocolVersion] = match options.min_version {
        TlsVersion::V1_2 => &VERSIONS,
        TlsVersion::V1_3 => &VERSIONS[..1],
    };
    let provider = Arc::new(provider);
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver::new(snapshots.clone())));
    // Tickets need no memory here; the default would be a cache of 256 sessions behind one lock.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if options.tickets {
        config.ticketer = Arc::new(Tickets::new(snapshots.clone())?);
        // One for the one that a resumption uses up; each costs as much as a key of the handshake.
        config.send_tls13_tickets = 1;
    } else {
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = if options.http2 { vec![b"h2".to_vec()] } else { Vec::new() };
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(ServerConfigs { plain: Arc::new(config), provider, versions, snapshots })
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
