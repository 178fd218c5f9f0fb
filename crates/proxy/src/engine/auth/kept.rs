//! What is kept of clients and their requests: as much as has a place, by keys that tell nothing.

use std::hash::Hash;

use aws_lc_rs::hmac;
use hashbrown::HashMap;

/// What something is kept by: an HMAC.
pub(super) type Key = [u8; 32];

/// The key of the parts that `tell` tells, each with its length.
pub(super) fn key(key: &hmac::Key, tell: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Key {
    let mut context = hmac::Context::with_key(key);
    tell(&mut |part| {
        context.update(&part.len().to_ne_bytes());
        context.update(part);
    });
    let mut out = Key::default();
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// Values by their keys, of which those that nobody has asked for go first: so many are kept at least, and twice as many at
/// most.
#[derive(Debug)]
pub(super) struct Kept<K, V, const ROOM: usize> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V, const ROOM: usize> Default for Kept<K, V, ROOM> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Hash + Eq + Copy, V: Clone, const ROOM: usize> Kept<K, V, ROOM> {
    /// The value of a key, which is among the last to go from here on.
    pub(super) fn find(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(*key, value.clone());
        Some(value)
    }

    /// Keeps a value.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= ROOM {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 4096;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let key = |number: usize| {
            let mut key = Key::default();
            key[..8].copy_from_slice(&number.to_ne_bytes());
            key
        };
        let mut kept = Kept::<Key, (), ROOM>::default();
        for number in 0..10 * ROOM {
            kept.insert(key(number), ());
            assert!(kept.find(&key(0)).is_some(), "{number}");
            assert!(kept.len() <= 2 * ROOM);
        }
        assert!(kept.find(&key(1)).is_none());
    }
}
