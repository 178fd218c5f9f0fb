//! Backends: a named group of endpoints (a Service and its port), and how requests are spread over them.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::affinity::Affinity;
use crate::attachment::Attachment;
use crate::canary::Canary;
use crate::endpoint::Endpoint;
use crate::template::Template;

/// Identity of a backend: stable across snapshots, and never made by joining strings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey {
    /// The Service's namespace.
    pub namespace: Arc<str>,
    /// The Service's name.
    pub service: Arc<str>,
    /// The port as the Ingress names it: a number or a name.
    pub port: Arc<str>,
}

impl fmt::Display for BackendKey {
    /// `<namespace>-<service>-<port>`: `$proxy_upstream_name` of ingress-nginx's access log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.namespace, self.service, self.port)
    }
}

/// Number of a backend in [`Backends`]. Routes hold this, never endpoints, so that an endpoint change does no route work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u32);

/// All backends of a snapshot.
///
/// A [`BackendId`] means the same backend in every snapshot that has it, so that backends come and go without a change to
/// the routes of others.
#[derive(Debug, Default, Clone)]
pub struct Backends {
    all: Vec<Arc<Backend>>,
    numbers: Arc<Numbers>,
}

/// Which backend has which number.
#[derive(Debug, Default)]
pub struct Numbers {
    /// By place in the list.
    ids: Vec<BackendId>,
    /// The place of each number; [`NOWHERE`] for one that is free.
    places: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Numbers {
    /// The numbers, in the order of the backends.
    pub fn ids(&self) -> &[BackendId] {
        &self.ids
    }

    fn new(ids: Vec<BackendId>) -> Self {
        let len = ids.iter().map(|id| id.0 as usize + 1).max().unwrap_or_default();
        let mut places = vec![NOWHERE; len];
        for (place, id) in (0..).zip(&ids) {
            places[id.0 as usize] = place;
        }
        Self { ids, places }
    }
}

impl Backends {
    /// These backends, numbered in their order.
    pub fn new(all: Vec<Arc<Backend>>) -> Self {
        let ids = (0..).map(BackendId).take(all.len()).collect();
        Self { all, numbers: Arc::new(Numbers::new(ids)) }
    }

    /// The numbers in a list with these keys that follows this one: a key that is known keeps its number. Both lists are
    /// sorted by key.
    pub fn number<'k>(&self, keys: impl ExactSizeIterator<Item = &'k BackendKey> + Clone) -> Arc<Numbers> {
        if self.all.len() == keys.len() && self.all.iter().zip(keys.clone()).all(|(old, key)| old.key == *key) {
            return Arc::clone(&self.numbers);
        }
        let mut known = self.iter().peekable();
        let mut is_taken = vec![false; self.numbers.places.len()];
        let kept: Vec<Option<BackendId>> = keys
            .map(|key| {
                while known.next_if(|(_, old)| old.key < *key).is_some() {}
                let (id, _) = known.next_if(|(_, old)| old.key == *key)?;
                is_taken[id.0 as usize] = true;
                Some(id)
            })
            .collect();
        let mut free = (0..).filter(|number| is_taken.get(*number as usize) != Some(&true)).map(BackendId);
        let ids = kept.into_iter().filter_map(|id| id.or_else(|| free.next())).collect();
        Arc::new(Numbers::new(ids))
    }

    /// These backends, with the [numbers](Self::number) that they were given.
    pub fn numbered(all: Vec<Arc<Backend>>, numbers: Arc<Numbers>) -> Self {
        Self { all, numbers }
    }

    /// What follows these: backends with a key that is known keep their number. Both lists are sorted by key.
    pub fn followed_by(&self, all: Vec<Arc<Backend>>) -> Self {
        let numbers = self.number(all.iter().map(|backend| &backend.key));
        Self::numbered(all, numbers)
    }

    /// All of them, in the order in which they were given.
    pub fn all(&self) -> &[Arc<Backend>] {
        &self.all
    }

    /// All of them with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (BackendId, &Arc<Backend>)> {
        self.numbers.ids.iter().copied().zip(&self.all)
    }

    /// The backend with a key, of those that [are sorted by it](Self::followed_by).
    pub fn by_key(&self, key: &BackendKey) -> Option<&Arc<Backend>> {
        self.all.get(self.all.binary_search_by(|backend| backend.key.cmp(key)).ok()?)
    }

    /// The backend of `id`; `None` only for an id of another snapshot.
    pub fn by_id(&self, id: BackendId) -> Option<&Arc<Backend>> {
        self.all.get(*self.numbers.places.get(id.0 as usize)? as usize)
    }
}

/// How a request picks one of the endpoints.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum LoadBalance {
    /// Each endpoint in turn, starting at a random one. ingress-nginx: `round_robin` (default).
    #[default]
    RoundRobin,
    /// The one of two random endpoints that has fewer requests in flight. `edgeward.dev/load-balance: least-request`.
    LeastRequest,
    /// The one of two random endpoints with the lower peak-EWMA response time times requests in flight.
    /// ingress-nginx: `ewma`.
    PeakEwma,
    /// Consistent hashing (ketama) over the text of a template. ingress-nginx: `upstream-hash-by`.
    ConsistentHash(Template),
    /// Consistent hashing to one of the groups that the endpoints form in their order, so many in each, the last one filled
    /// up with the first of all; of the group a random one. ingress-nginx: `upstream-hash-by-subset`.
    SubsetHash(Template, NonZeroUsize),
}

impl LoadBalance {
    /// The text whose hash picks, where one does.
    pub fn hashed(&self) -> Option<&Template> {
        match self {
            Self::ConsistentHash(template) | Self::SubsetHash(template, _) => Some(template),
            Self::RoundRobin | Self::LeastRequest | Self::PeakEwma => None,
        }
    }
}

/// An opt-in active health check (`edgeward.dev/health-check-*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Port to ask on; the endpoint's own when `None`.
    pub port: Option<u16>,
    /// Time between two probes of one endpoint; jittered by a tenth either way.
    pub interval: Duration,
    /// Time after which a probe has failed.
    pub timeout: Duration,
    /// Successes in a row that make a failing endpoint healthy again (at least 1).
    pub healthy_threshold: u32,
    /// Failures in a row that take an endpoint out (at least 1).
    pub unhealthy_threshold: u32,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Probe {
    /// A TCP connection opens.
    Tcp,
    /// `GET path` over HTTP/1.1 answers with a status in the inclusive range.
    Http {
        /// The request path.
        path: String,
        /// The `Host` header; the endpoint's address when `None`.
        host: Option<String>,
        /// Lowest and highest status that count as success.
        expected: (u16, u16),
    },
}

/// A named group of endpoints.
#[derive(Debug)]
pub struct Backend {
    /// Who it is.
    pub key: BackendKey,
    /// `key` as the access log writes it.
    pub name: Box<str>,
    /// How a request picks an endpoint. ingress-nginx keeps this per upstream: the oldest Ingress that references the
    /// Service port decides (controller.go createUpstreams).
    pub load_balance: LoadBalance,
    /// How a client stays with one endpoint, which comes before `load_balance`.
    pub affinity: Option<Affinity>,
    /// Where part of its requests go instead.
    pub canary: Option<Canary>,
    /// Whether its one endpoint is the address of the Service itself (`service-upstream`).
    pub is_service_upstream: bool,
    /// The active health check, if one is asked for.
    pub health_check: Option<HealthCheck>,
    /// Time over which a new endpoint's share grows to a full one; zero switches slow start off.
    pub slow_start: Duration,
    /// Endpoints to balance over, sorted by address. They are the ready ones, or, when there are none, the terminating
    /// ones that still serve.
    pub endpoints: Box<[Endpoint]>,
    /// Round-robin position: at first [`random_cursor`], then taken over from the previous snapshot with the endpoint
    /// state.
    pub cursor: Arc<AtomicUsize>,
    /// The data plane's own: how keys find one of `endpoints`, as a hash ring or by name.
    pub ring: Attachment,
}

/// Where the round robin of a new backend starts: anywhere, so that proxies which start together do not all send their
/// first requests to the same endpoint.
pub fn random_cursor() -> Arc<AtomicUsize> {
    // Far from the end of the range, where a step would break the turn.
    Arc::new(AtomicUsize::new(fastrand::u16(..).into()))
}

#[cfg(test)]
mod tests;
