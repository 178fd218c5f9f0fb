//! What is remembered of a worker's clients: as much as has a place, and no password.

use hashbrown::HashSet;

/// What somebody is known by: an HMAC.
pub(super) type Key = [u8; 32];

/// So many are remembered at least, and twice as many at most: 300 KiB.
const ROOM: usize = 4096;

/// Keys, of which those that nobody has asked for go first.
#[derive(Debug, Default)]
pub(super) struct Known {
    young: HashSet<Key>,
    old: HashSet<Key>,
}

impl Known {
    /// Whether a key is known.
    pub(super) fn contains(&mut self, key: &Key) -> bool {
        if self.young.contains(key) {
            return true;
        }
        let is_old = self.old.contains(key);
        if is_old {
            self.insert(*key);
        }
        is_old
    }

    /// Remembers a key.
    pub(super) fn insert(&mut self, key: Key) {
        if self.young.len() >= ROOM {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let key = |number: usize| {
            let mut key = Key::default();
            key[..8].copy_from_slice(&number.to_ne_bytes());
            key
        };
        let mut known = Known::default();
        for number in 0..10 * ROOM {
            known.insert(key(number));
            assert!(known.contains(&key(0)), "{number}");
            assert!(known.young.len() + known.old.len() <= 2 * ROOM);
        }
        assert!(!known.contains(&key(1)));
    }
}
