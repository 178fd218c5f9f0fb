//! How much one client address may ask: rates as nginx's leaky bucket has them, and requests under way.
//!
//! What is counted is living state: a [`Zone`] for each Ingress, which all its routes share and which outlives snapshots.

mod buckets;
mod client;
mod counts;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use buckets::Buckets;
use client::Client;
use counts::Counts;

use super::networks::NetworkSet;

/// The limits of a route (`limit-rps`, `limit-rpm`, `limit-connections`).
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Where its clients are counted.
    pub zone: Arc<Zone>,
    /// Requests per second.
    pub per_second: Option<Rate>,
    /// Requests per minute.
    pub per_minute: Option<Rate>,
    /// Requests that one client may have under way.
    pub connections: Option<u32>,
    /// Clients that are not counted (`limit-allowlist`).
    pub exempt: NetworkSet,
}

/// A rate, and how far above it a client may be (nginx ngx_http_limit_req_module, `burst` with `nodelay`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Thousandths of a request per second; at least 1.
    thousandths: u64,
    /// Thousandths of a request.
    burst: u64,
}

impl Rate {
    /// So many requests a second, at least one, and so many more at once.
    pub fn per_second(requests: u64, burst: u64) -> Self {
        Self { thousandths: requests.max(1).saturating_mul(1000), burst: burst.saturating_mul(1000) }
    }

    /// So many requests a minute, at least one, and so many more at once. It is rounded down to thousandths of a request per
    /// second, as nginx does.
    pub fn per_minute(requests: u64, burst: u64) -> Self {
        Self { thousandths: requests.max(1).saturating_mul(1000) / 60, burst: burst.saturating_mul(1000) }
    }
}

impl fmt::Display for Rate {
    /// Thousandths of a request per second, and the burst in requests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/1000 burst {}", self.thousandths, self.burst / 1000)
    }
}

/// Which limit a request is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// A rate.
    Rate,
    /// The number of requests under way.
    Connections,
}

impl Limits {
    /// Counts a request of a client, or says which limit it is over: the rates first, as nginx has them. `now` is the time
    /// since any point in the past that is the same for all calls.
    ///
    /// What is given back holds the place of the request among those under way for as long as it lives.
    ///
    /// # Errors
    ///
    /// The limit that the request is over. It counts for nothing then.
    pub fn admit(&self, client: IpAddr, now: Duration) -> Result<Option<UnderWay>, Over> {
        if self.exempt.contains(client) {
            return Ok(None);
        }
        self.count(Client::from(client), now)
    }

    /// The same, where clients are told apart by a text that their requests come to. One without a text is not counted.
    ///
    /// # Errors
    ///
    /// As for [`Limits::admit`].
    pub fn admit_named(&self, client: IpAddr, name: &[u8], now: Duration) -> Result<Option<UnderWay>, Over> {
        if name.is_empty() || self.exempt.contains(client) {
            return Ok(None);
        }
        self.count(Client::named(name), now)
    }

    fn count(&self, client: Client, now: Duration) -> Result<Option<UnderWay>, Over> {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let Zone { per_second, per_minute, .. } = &*self.zone;
        let is_within = match (&self.per_second, &self.per_minute) {
            (Some(second), Some(minute)) => {
                // A request that one refuses does not count for the other.
                let is_within = per_second.has_room(client, now, second) && per_minute.take(client, now, minute);
                if is_within {
                    per_second.charge(client, now, second);
                }
                is_within
            }
            (Some(second), None) => per_second.take(client, now, second),
            (None, Some(minute)) => per_minute.take(client, now, minute),
            (None, None) => true,
        };
        if !is_within {
            return Err(Over::Rate);
        }
        let Some(most) = self.connections else { return Ok(None) };
        if !self.zone.under_way.begin(client, most) {
            return Err(Over::Connections);
        }
        Ok(Some(UnderWay { zone: Arc::clone(&self.zone), client }))
    }
}

/// Where the clients of an Ingress are counted. Its memory is bounded, see [`Buckets`]; as long as nobody asks it takes none.
pub struct Zone {
    name: Box<str>,
    per_second: Buckets,
    per_minute: Buckets,
    under_way: Counts,
}

impl Zone {
    /// An empty zone with the identity of its Ingress.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            per_second: Buckets::default(),
            per_minute: Buckets::default(),
            under_way: Counts::default(),
        }
    }

    /// The identity of its Ingress.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name).finish()
    }
}

/// Zones are what they count for: two with the same name mean the same limit.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A request under way, which counts until this is dropped.
#[derive(Debug)]
pub struct UnderWay {
    zone: Arc<Zone>,
    client: Client,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.zone.under_way.end(self.client);
    }
}

#[cfg(test)]
mod tests;
