//! Connections per client address.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// Locks that the addresses are spread over, so that workers seldom meet.
const SHARDS: usize = 16;

/// Counts connections by client address. Without a limit it counts nothing and costs nothing.
#[derive(Debug)]
pub(super) struct Clients {
    limit: usize,
    hasher: RandomState,
    shards: Arc<[Shard; SHARDS]>,
}

type Shard = Mutex<HashMap<IpAddr, usize, RandomState>>;

/// One connection in the count; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    shards: Arc<[Shard; SHARDS]>,
    shard: usize,
    client: IpAddr,
}

impl Clients {
    /// At most `limit` connections per client; 0 for no limit.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, hasher: RandomState::default(), shards: Arc::default() }
    }

    /// Counts one more connection of `client`.
    ///
    /// # Errors
    ///
    /// When the client has as many as it may have.
    pub(super) fn seat(&self, client: IpAddr) -> Result<Option<Seat>, Full> {
        if self.limit == 0 {
            return Ok(None);
        }
        let client = network(client);
        // The shard's own map looks at other bits of a hash with another seed.
        let shard = self.hasher.hash_one(client) as usize % SHARDS;
        let mut counts = lock(&self.shards[shard]);
        let count = counts.entry(client).or_insert(0);
        if *count >= self.limit {
            return Err(Full);
        }
        *count += 1;
        Ok(Some(Seat { shards: Arc::clone(&self.shards), shard, client }))
    }
}

/// The client has as many connections as it may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = lock(&self.shards[self.shard]);
        if let Entry::Occupied(mut entry) = counts.entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

fn lock(shard: &Shard) -> MutexGuard<'_, HashMap<IpAddr, usize, RandomState>> {
    // No code can panic while it holds this lock.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who counts as one client: an IPv4 address, or the /64 that every IPv6 host has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_client_has_its_own_count() {
        let clients = Clients::new(2);
        let first = clients.seat(ip("192.0.2.1")).unwrap();
        let second = clients.seat(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(clients.seat(ip("192.0.2.1")).err(), Some(Full));
        assert!(clients.seat(ip("192.0.2.2")).is_ok());
        drop(first);
        assert!(clients.seat(ip("192.0.2.1")).is_ok());
        drop(second);
        assert!(clients.shards.iter().all(|shard| lock(shard).is_empty()));
    }

    #[test]
    fn a_v6_client_is_a_whole_network() {
        let clients = Clients::new(1);
        let _seat = clients.seat(ip("2001:db8::1")).unwrap();
        assert!(clients.seat(ip("2001:db8::ffff:2")).is_err());
        assert!(clients.seat(ip("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn zero_is_no_limit() {
        let clients = Clients::new(0);
        assert!((0..100).all(|_| matches!(clients.seat(ip("192.0.2.1")), Ok(None))));
    }
}
