//! Certificates by server name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::attachment::Attachment;
use crate::host::HostPattern;
use crate::origin::Origin;

/// A private key in DER. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PrivateKey {
    /// PKCS#8, PKCS#1 or SEC1 bytes.
    pub der: Box<[u8]>,
    /// Which of the three it is.
    pub format: KeyFormat,
}

/// The encoding of a [`PrivateKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFormat {
    /// `BEGIN PRIVATE KEY`
    Pkcs8,
    /// `BEGIN RSA PRIVATE KEY`
    Pkcs1,
    /// `BEGIN EC PRIVATE KEY`
    Sec1,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, redacted)", self.format)
    }
}

/// A certificate chain with its key, known to fit each other.
#[derive(Debug)]
pub struct Certificate {
    /// SHA-256 over the chain: identity of the parsed key in the data plane.
    pub fingerprint: [u8; 32],
    /// DER, leaf first.
    pub chain: Vec<Box<[u8]>>,
    /// The leaf's key.
    pub key: PrivateKey,
    /// Subject of the leaf, as `CN=example.com,O=Example`.
    pub subject: String,
    /// DNS names the leaf is good for: its subject alternative names, or its common name where it has none.
    pub names: Vec<String>,
    /// Those of the names that hosts can fall under.
    pub hosts: BTreeSet<HostPattern>,
    /// Start of validity, seconds since the epoch.
    pub not_before: i64,
    /// End of validity, seconds since the epoch.
    pub not_after: i64,
    /// Serial number of the leaf in hexadecimal.
    pub serial: String,
    /// The Secret it came from; `None` for the generated default certificate.
    pub origin: Option<Origin>,
    /// The data plane's own: the parsed key.
    pub parsed: Attachment,
}

impl Certificate {
    /// Whether it is good for every host of a pattern.
    pub fn covers(&self, host: &HostPattern) -> bool {
        self.hosts.contains(host) || host.wildcard_above().is_some_and(|wildcard| self.hosts.contains(&wildcard))
    }
}

/// What session tickets are sealed with by every instance that has it. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct TicketSecret {
    /// Bytes that nobody can guess: [`TicketSecret::MIN_BYTES`] or more.
    pub bytes: Box<[u8]>,
    /// The data plane's own: what keys are derived from.
    pub parsed: Attachment,
}

impl TicketSecret {
    /// The fewest bytes that make a key of 256 bits.
    pub const MIN_BYTES: usize = 32;
}

impl PartialEq for TicketSecret {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(redacted)")
    }
}

/// Which certificate answers to which server name, and what tickets are sealed with.
#[derive(Debug, Clone, Default)]
pub struct CertificateTable {
    /// By host pattern; `HostPattern::Any` is not used here.
    pub by_host: BTreeMap<HostPattern, Arc<Certificate>>,
    /// For no server name, and for names without a certificate.
    pub default: Option<Arc<Certificate>>,
    /// The first seals session tickets, and any of them opens one. Without any, the process has one of its own.
    pub ticket_secrets: Vec<TicketSecret>,
}

impl CertificateTable {
    /// The certificate for a normalised server name: exact, then one-label wildcard, then the default
    /// (ingress-nginx certificate.lua).
    pub fn find(&self, server_name: Option<&str>) -> Option<&Arc<Certificate>> {
        server_name
            .and_then(|name| {
                let host = HostPattern::Exact(name.into());
                self.by_host.get(&host).or_else(|| self.by_host.get(&host.wildcard_above()?))
            })
            .or(self.default.as_ref())
    }
}

#[cfg(test)]
mod tests;
