//! A client as it is counted.

use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// An address as one number, in which an IPv4 address is the same as the one mapped into IPv6, and its hash: a request is
/// looked up several times. The hash has a secret of the process in it, for clients choose their addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    address: u128,
    hash: u64,
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let address = address.to_bits();
        Self { address, hash: SECRET.hash_one(address) }
    }
}

impl Client {
    /// A client that is known by some text. Two texts come to the same client only by a chance of one in 2^128.
    pub(super) fn named(text: &[u8]) -> Self {
        static SECRETS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        let [high, low] = SECRETS.each_ref().map(|secret| secret.hash_one(text));
        Self { address: u128::from(high) << 64 | u128::from(low), hash: low }
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for Client {}

impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// What is kept of clients.
pub(super) type Map<T> = HashMap<Client, T, BuildHasherDefault<Hashed>>;

/// The hash that a [`Client`] has.
#[derive(Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only whole numbers are hashed here.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Clients in parts that are locked one at a time, for the time of one look-up: workers meet only in the same part.
#[derive(Debug, Default)]
pub(super) struct Parts<T>([Mutex<T>; PARTS]);

/// How many parts there are.
pub(super) const PARTS: usize = 16;

impl<T> Parts<T> {
    /// The part that a client is in. Nothing that is done under its lock can be left half done.
    pub(super) fn of(&self, client: Client) -> MutexGuard<'_, T> {
        // Bits of the hash that the maps have no use for while they are small.
        let place = (client.hash >> 32) as usize % PARTS;
        self.0[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all of them come to.
    #[cfg(test)]
    pub(super) fn sum(&self, count: impl Fn(&T) -> usize) -> usize {
        self.0.iter().map(|part| part.lock().map_or(0, |part| count(&part))).sum()
    }
}
