//! Which client addresses may ask.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A set of networks. An IPv4 client counts as one whether its address is written as IPv4 or mapped into IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSet {
    /// Disjoint and sorted, as [`contains`](Self::contains) needs them.
    v4: Box<[Ipv4Net]>,
    v6: Box<[Ipv6Net]>,
}

impl NetworkSet {
    /// Whether the address is in one of the networks: a binary search, so that long lists cost little.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let after = self.v4.partition_point(|network| network.network() <= address);
                after.checked_sub(1).is_some_and(|at| self.v4[at].contains(&address))
            }
            IpAddr::V6(address) => {
                let after = self.v6.partition_point(|network| network.network() <= address);
                after.checked_sub(1).is_some_and(|at| self.v6[at].contains(&address))
            }
        }
    }

    /// Whether no address is in it.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl FromIterator<IpNet> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => v4.push(network),
                IpNet::V6(network) => match network.addr().to_ipv4_mapped() {
                    // A prefix of less than 96 bits has more in it than mapped addresses.
                    Some(mapped) if network.prefix_len() >= 96 => {
                        v4.extend(Ipv4Net::new(mapped, network.prefix_len() - 96));
                    }
                    _ => v6.push(network),
                },
            }
        }
        let (mut v4, mut v6) = (Ipv4Net::aggregate(&v4), Ipv6Net::aggregate(&v6));
        v4.sort_unstable();
        v6.sort_unstable();
        Self { v4: v4.into(), v6: v6.into() }
    }
}

impl fmt::Display for NetworkSet {
    /// The networks, with commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.v4.iter().map(|network| IpNet::V4(*network)).chain(self.v6.iter().map(|n| IpNet::V6(*n)));
        for (at, network) in all.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{network}")?;
        }
        Ok(())
    }
}

/// The networks of a route (`denylist-source-range`, `allowlist-source-range` and the ConfigMap's lists, which routes
/// without their own share).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks {
    /// Who is refused, whatever `allowed` says.
    pub denied: Option<Arc<NetworkSet>>,
    /// Who is let in; everybody else is refused.
    pub allowed: Option<Arc<NetworkSet>>,
}

/// What the networks of a route say of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may ask, which is enough under [`Satisfy::Any`].
    Allowed,
    /// It may not ask.
    Refused,
    /// They say nothing of it.
    Silent,
}

impl Networks {
    /// What they say of a client: the deny list first (nginx ngx_http_access_module, in the order of nginx.tmpl).
    pub fn judge(&self, client: IpAddr) -> Verdict {
        if self.denied.as_ref().is_some_and(|denied| denied.contains(client)) {
            return Verdict::Refused;
        }
        match &self.allowed {
            Some(allowed) if allowed.contains(client) => Verdict::Allowed,
            Some(_) => Verdict::Refused,
            None => Verdict::Silent,
        }
    }
}

/// Whether a request must pass all guards of its route, networks and authentication, or one of them (`satisfy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Satisfy {
    /// All of them.
    #[default]
    All,
    /// One of them.
    Any,
}

#[cfg(test)]
mod tests;
