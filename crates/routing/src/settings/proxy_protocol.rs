//! PROXY protocol with load balancers in front.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

/// Whether and from whom PROXY protocol headers are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Whether every connection begins with a header. One without is then closed (ConfigMap `use-proxy-protocol`).
    pub enabled: bool,
    /// The networks of the load balancers. A connection from elsewhere is closed, for its header could say anything.
    /// Nobody by default.
    pub trusted: Vec<IpNet>,
    /// Total time for the header (ConfigMap `proxy-protocol-header-timeout`).
    pub timeout: Duration,
}

impl Default for ProxyProtocol {
    fn default() -> Self {
        Self { enabled: false, trusted: Vec::new(), timeout: Duration::from_secs(5) }
    }
}

impl ProxyProtocol {
    /// Whether `peer` may speak for others.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&peer.to_canonical()))
    }
}
