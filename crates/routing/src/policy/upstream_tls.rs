//! `proxy-ssl-*`: what is shown to endpoints that speak TLS, and what they have to show.

use std::sync::Arc;

use crate::attachment::Attachment;
use crate::certificate::Certificate;
use crate::template::Template;

/// TLS towards the endpoints of a route. Two routes share a connection only when this is one and the same.
#[derive(Debug)]
pub struct UpstreamTls {
    /// The name that a certificate must have, and that is sent.
    pub name: Template,
    /// Whether it is sent (SNI).
    pub sends_name: bool,
    /// Whether certificates are verified. Only with [authorities](Self::authorities).
    pub verifies: bool,
    /// Who may have issued them, or which they may be.
    pub authorities: Box<[Authority]>,
    /// The most certificates between that of the endpoint and an authority.
    pub depth: u8,
    /// What is shown to the endpoints.
    pub identity: Option<Arc<Certificate>>,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
    /// Whether TLS 1.3 is spoken.
    pub tls13: bool,
    /// The cipher suites of TLS 1.2, by their names in OpenSSL; all where it is empty.
    pub suites: Box<[&'static str]>,
    /// The data plane's own: the client.
    pub client: Attachment,
}

/// A certificate that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// DER.
    pub der: Box<[u8]>,
    /// Start of validity, seconds since the epoch.
    pub not_before: i64,
    /// End of validity, seconds since the epoch.
    pub not_after: i64,
}

impl UpstreamTls {
    /// The name where none is asked for: that of ingress-nginx's `upstream`, which no certificate has.
    pub const NAMELESS: &'static str = "upstream_balancer";

    /// The cipher suites of TLS 1.2 that there are, as OpenSSL calls them.
    pub const SUITES: [&'static str; 6] = [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ];
}

impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        // A key that is known to fit its chain is known by it.
        let shown = |tls: &Self| tls.identity.as_ref().map(|identity| identity.fingerprint);
        (&self.name, self.sends_name, self.verifies, self.depth, self.tls12, self.tls13)
            == (&other.name, other.sends_name, other.verifies, other.depth, other.tls12, other.tls13)
            && self.authorities == other.authorities
            && self.suites == other.suites
            && shown(self) == shown(other)
    }
}

impl Eq for UpstreamTls {}
