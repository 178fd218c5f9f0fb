//! The hash ring of a backend: which endpoint a key belongs to, for [`LoadBalance::ConsistentHash`], or which group of
//! them, for [`LoadBalance::SubsetHash`].
//!
//! The points of an endpoint depend on its address alone (every weight is 1), so every node with the same endpoints sends
//! a key to the same one, and an endpoint that comes or goes moves only the keys that are its own.
//!
//! [`LoadBalance::ConsistentHash`]: edgeward_routing::backend::LoadBalance::ConsistentHash
//! [`LoadBalance::SubsetHash`]: edgeward_routing::backend::LoadBalance::SubsetHash

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use edgeward_routing::backend::Backend;
use pingora::lb;
use pingora::lb::selection::consistent::{KetamaHashing, OwnedNodeIterator};
use pingora::lb::selection::{BackendIter, BackendSelection};
use pingora::protocols::l4::socket::SocketAddr;

/// Points that Ketama sets for an endpoint of weight 1. Walking this many for each endpoint goes round the whole ring.
const POINTS_PER_ENDPOINT: usize = 160;

/// What [`Backend::ring`] holds.
struct Ring {
    points: Arc<KetamaHashing>,
    /// Length of [`Backend::endpoints`] when the ring was made.
    endpoints: usize,
}

/// The index of an endpoint in [`Backend::endpoints`], carried by its entry in the ring.
#[derive(Clone, Copy)]
struct EndpointIndex(usize);

/// Indexes into [`Backend::endpoints`] in the order of the ring, starting at the endpoint that `key` belongs to; each at
/// most once, and all of them when the caller goes on.
///
/// The first call for a backend makes its ring, which takes about ten microseconds for each endpoint. Every later call
/// is a search in it; only the second endpoint that is asked for costs an allocation.
pub fn endpoints_for(backend: &Backend, key: &[u8]) -> impl Iterator<Item = usize> + Send + use<> {
    let ring = backend.ring.get_or_init(|| Ring::new(backend));
    ring.map(|ring| Order::new(ring, key)).into_iter().flatten()
}

/// The same in the order of the groups of `size` that the endpoints form: those of the group that `key` belongs to first,
/// beginning with a random one of them.
pub fn grouped_endpoints_for(
    backend: &Backend,
    size: NonZeroUsize,
    key: &[u8],
) -> impl Iterator<Item = usize> + Send + use<> {
    let count = backend.endpoints.len();
    let size = size.get().min(count.max(1));
    let ring = backend.ring.get_or_init(|| Ring::of_groups(count.div_ceil(size)));
    let groups = ring.map(|ring| Order::new(ring, key)).into_iter().flatten();
    groups.flat_map(move |group| {
        let start = fastrand::usize(..size);
        // The last group is filled up with the first endpoints (ingress-nginx balancer/chashsubset.lua).
        (0..size).map(move |step| (group * size + (start + step) % size) % count)
    })
}

impl Ring {
    /// A ring of groups, which have no address: their number stands for one.
    fn of_groups(count: usize) -> Self {
        let entry = |number: usize| {
            let mut ext = lb::Extensions::new();
            ext.insert(EndpointIndex(number));
            let address = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
            lb::Backend { addr: SocketAddr::Inet((address, 0).into()), weight: 1, ext }
        };
        let entries: BTreeSet<lb::Backend> = (0..count).map(entry).collect();
        Self { points: Arc::new(KetamaHashing::build(&entries)), endpoints: count }
    }

    fn new(backend: &Backend) -> Self {
        let entries: BTreeSet<lb::Backend> = backend
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| {
                let mut ext = lb::Extensions::new();
                ext.insert(EndpointIndex(index));
                lb::Backend { addr: SocketAddr::Inet(endpoint.addr), weight: 1, ext }
            })
            .collect();
        Self { points: Arc::new(KetamaHashing::build(&entries)), endpoints: backend.endpoints.len() }
    }
}

/// A walk round the ring that gives each endpoint once.
struct Order {
    points: OwnedNodeIterator,
    /// Points that have not been walked yet; the ring itself has no end.
    points_left: usize,
    endpoints: usize,
    given: usize,
    first: usize,
    /// Which endpoints have been given, by index; empty until a second one is asked for.
    seen: Vec<bool>,
}

impl Order {
    fn new(ring: &Ring, key: &[u8]) -> Self {
        Self {
            points: ring.points.iter(key),
            points_left: ring.endpoints.saturating_mul(POINTS_PER_ENDPOINT),
            endpoints: ring.endpoints,
            given: 0,
            first: 0,
            seen: Vec::new(),
        }
    }

    /// Notes that the endpoint at `index` is given now. Returns whether it had not been before.
    fn note(&mut self, index: usize) -> bool {
        if self.given == 0 {
            self.first = index;
            return true;
        }
        if self.seen.is_empty() {
            self.seen = vec![false; self.endpoints];
            self.seen[self.first] = true;
        }
        !std::mem::replace(&mut self.seen[index], true)
    }
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.given < self.endpoints && self.points_left > 0 {
            self.points_left -= 1;
            let EndpointIndex(index) = *self.points.next()?.ext.get::<EndpointIndex>()?;
            if self.note(index) {
                self.given += 1;
                return Some(index);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
