//! TLS with clients.

use std::time::Duration;

use crate::attachment::Attachment;

/// TLS on all HTTPS listeners. The defaults are Mozilla's "intermediate" without finite-field Diffie-Hellman.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest version that is spoken, which is no older.
    pub max_version: TlsVersion,
    /// The cipher suites of TLS 1.2, at least one; `None` for all. TLS 1.3 has those that it has.
    pub ciphers: Option<Box<[Cipher]>>,
    /// Whether their order decides, rather than the client's.
    pub prefers_own_order: bool,
    /// The groups of the key exchange, at least one; `None` for all. The client's order decides.
    pub groups: Option<Box<[Group]>>,
    /// Whether clients may resume sessions by tickets.
    pub tickets: bool,
    /// How long a ticket is good, up to [`TlsSettings::LONGEST_TICKET`] (ConfigMap `ssl-session-timeout`).
    pub ticket_lifetime: Duration,
    /// Whether the hybrid key exchange X25519MLKEM768 is offered. The order of the client decides: one that puts X25519 first
    /// gets that, without a second round trip.
    pub post_quantum: bool,
    /// Whether HTTP/2 is offered, and on plain-text listeners spoken with clients that know it beforehand.
    pub http2: bool,
    /// Whether handshakes fail that are for no host of a rule (ConfigMap `ssl-reject-handshake`).
    pub rejects_unknown: bool,
    /// The data plane's own: what it makes of these.
    pub made: Attachment,
}

impl TlsSettings {
    /// The longest that a ticket can be good: whoever learns its key reads what was said under it.
    pub const LONGEST_TICKET: Duration = Duration::from_secs(24 * 3600);
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            min_version: TlsVersion::V1_2,
            max_version: TlsVersion::V1_3,
            ciphers: None,
            prefers_own_order: false,
            groups: None,
            tickets: true,
            ticket_lifetime: Duration::from_secs(12 * 3600),
            post_quantum: true,
            http2: true,
            rejects_unknown: false,
            made: Attachment::default(),
        }
    }
}

impl PartialEq for TlsSettings {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            min_version,
            max_version,
            ciphers,
            prefers_own_order,
            groups,
            tickets,
            ticket_lifetime,
            post_quantum,
            http2,
            rejects_unknown,
            made: _,
        } = self;
        *min_version == other.min_version
            && *max_version == other.max_version
            && *ciphers == other.ciphers
            && *prefers_own_order == other.prefers_own_order
            && *groups == other.groups
            && *tickets == other.tickets
            && *ticket_lifetime == other.ticket_lifetime
            && *post_quantum == other.post_quantum
            && *http2 == other.http2
            && *rejects_unknown == other.rejects_unknown
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

/// A cipher suite of TLS 1.2. There are none but these: each is authenticated, and has forward secrecy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`
    EcdsaAes128,
    /// `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384`
    EcdsaAes256,
    /// `TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`
    EcdsaChaCha20,
    /// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`
    RsaAes128,
    /// `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`
    RsaAes256,
    /// `TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256`
    RsaChaCha20,
}

impl Cipher {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::EcdsaAes128,
        Self::EcdsaAes256,
        Self::EcdsaChaCha20,
        Self::RsaAes128,
        Self::RsaAes256,
        Self::RsaChaCha20,
    ];

    /// The suite that OpenSSL has under this name, if it is one of these.
    pub fn of_openssl(name: &str) -> Option<Self> {
        Some(match name {
            "ECDHE-ECDSA-AES128-GCM-SHA256" => Self::EcdsaAes128,
            "ECDHE-ECDSA-AES256-GCM-SHA384" => Self::EcdsaAes256,
            "ECDHE-ECDSA-CHACHA20-POLY1305" => Self::EcdsaChaCha20,
            "ECDHE-RSA-AES128-GCM-SHA256" => Self::RsaAes128,
            "ECDHE-RSA-AES256-GCM-SHA384" => Self::RsaAes256,
            "ECDHE-RSA-CHACHA20-POLY1305" => Self::RsaChaCha20,
            _ => return None,
        })
    }
}

/// A group of the key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// X25519
    X25519,
    /// P-256
    P256,
    /// P-384
    P384,
    /// The hybrid of ML-KEM-768 and X25519.
    X25519MlKem768,
}

impl Group {
    /// The group that OpenSSL has under this name, if it is one of these.
    pub fn of_openssl(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "x25519" => Self::X25519,
            "prime256v1" | "p-256" | "secp256r1" => Self::P256,
            "secp384r1" | "p-384" => Self::P384,
            "x25519mlkem768" => Self::X25519MlKem768,
            _ => return None,
        })
    }
}
