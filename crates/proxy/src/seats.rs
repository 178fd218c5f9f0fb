//! How many of something each one has at a time, as connections each client.

use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// Locks that the keys are spread over, so that workers seldom meet.
const SHARDS: usize = 16;

/// Counts by key. Without a limit it counts nothing and costs nothing.
#[derive(Debug)]
pub(crate) struct Seats<K> {
    limit: usize,
    hasher: RandomState,
    shards: Arc<[Shard<K>; SHARDS]>,
}

type Shard<K> = Mutex<HashMap<K, usize, RandomState>>;

/// One in the count; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat<K: Hash + Eq + Copy> {
    shards: Arc<[Shard<K>; SHARDS]>,
    shard: usize,
    key: K,
}

impl<K: Hash + Eq + Copy> Seats<K> {
    /// At most `limit` for each key; 0 for no limit.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, hasher: RandomState::default(), shards: Arc::new(std::array::from_fn(|_| Mutex::default())) }
    }

    /// Counts one more of `key`.
    ///
    /// # Errors
    ///
    /// When it has as many as it may have.
    pub(crate) fn seat(&self, key: K) -> Result<Option<Seat<K>>, Full> {
        if self.limit == 0 {
            return Ok(None);
        }
        // The shard's own map looks at other bits of a hash with another seed.
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        let mut counts = lock(&self.shards[shard]);
        let count = counts.entry(key).or_insert(0);
        if *count >= self.limit {
            return Err(Full);
        }
        *count += 1;
        Ok(Some(Seat { shards: Arc::clone(&self.shards), shard, key }))
    }
}

/// A key has as many as it may have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<K: Hash + Eq + Copy> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.shards[self.shard]);
        if let Entry::Occupied(mut entry) = counts.entry(self.key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

fn lock<K>(shard: &Shard<K>) -> MutexGuard<'_, HashMap<K, usize, RandomState>> {
    // No code can panic while it holds this lock.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who counts as one client: an IPv4 address, or the /64 that every IPv6 host has to itself.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn of(text: &str) -> IpAddr {
        network(text.parse().unwrap())
    }

    #[test]
    fn each_client_has_its_own_count() {
        let clients = Seats::new(2);
        let first = clients.seat(of("192.0.2.1")).unwrap();
        let second = clients.seat(of("::ffff:192.0.2.1")).unwrap();
        assert_eq!(clients.seat(of("192.0.2.1")).err(), Some(Full));
        assert!(clients.seat(of("192.0.2.2")).is_ok());
        drop(first);
        assert!(clients.seat(of("192.0.2.1")).is_ok());
        drop(second);
        assert!(clients.shards.iter().all(|shard| lock(shard).is_empty()));
    }

    #[test]
    fn a_v6_client_is_a_whole_network() {
        let clients = Seats::new(1);
        let _seat = clients.seat(of("2001:db8::1")).unwrap();
        assert!(clients.seat(of("2001:db8::ffff:2")).is_err());
        assert!(clients.seat(of("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn zero_is_no_limit() {
        let clients = Seats::new(0);
        assert!((0..100).all(|_| matches!(clients.seat(of("192.0.2.1")), Ok(None))));
    }
}
