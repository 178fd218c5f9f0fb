//! `ssl-ciphers` and `ssl-prefer-server-ciphers`: how TLS is spoken with the clients of one host.

use crate::attachment::Attachment;
use crate::settings::Cipher;

/// What a host lays down for its handshakes, in place of what holds for all.
#[derive(Debug, Clone, Default)]
pub struct HostTls {
    /// The cipher suites of TLS 1.2, at least one.
    pub ciphers: Option<Box<[Cipher]>>,
    /// Whether their order counts, rather than the client's.
    pub prefers_own_order: Option<bool>,
    /// The data plane's own: what it makes of these.
    pub made: Attachment,
}

impl HostTls {
    /// Whether it lays nothing down.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl PartialEq for HostTls {
    fn eq(&self, other: &Self) -> bool {
        let Self { ciphers, prefers_own_order, made: _ } = self;
        *ciphers == other.ciphers && *prefers_own_order == other.prefers_own_order
    }
}

impl Eq for HostTls {}
