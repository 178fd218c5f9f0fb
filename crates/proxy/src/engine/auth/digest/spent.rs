//! What has been used of the nonces that somebody has answered rightly.

use std::mem;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::SHARDS;
use super::nonce::Nonce;

/// How long a nonce may be answered first, in milliseconds (nginx-http-auth-digest `auth_digest_timeout`).
const UNUSED: u64 = 60_000;

/// How long it may be answered from then on (`auth_digest_expires`).
const USED: u64 = 10_000;

/// Counts from here on are not taken (`auth_digest_replays`).
const REPLAYS: u32 = 20;

/// Nonces in one generation of one shard: 2 MiB are all at most.
const ROOM: usize = 1024;

/// What the use of a nonce with a count is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The first with this count.
    First,
    /// One of an old nonce, or with a count that none has.
    TooLate,
    /// One that there was, or may have been.
    Again,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Spent([Mutex<Part>; SHARDS]);

/// Two generations: when the young one is full, or all before it have run out, it becomes the old one and the old one is
/// forgotten. What may have been in that is not taken any more: nothing is taken twice, however many there are.
#[derive(Debug, Default)]
struct Part {
    young: HashMap<Nonce, Used>,
    old: HashMap<Nonce, Used>,
    /// When the young generation began.
    began: u64,
    /// Nonces of before this are taken only if they are known.
    forgotten: u64,
}

/// What has been used of a nonce.
#[derive(Debug, Clone, Copy)]
struct Used {
    until: u64,
    /// A bit for each count.
    counts: u32,
}

impl Spent {
    /// Uses a nonce of this process.
    pub(super) fn spend(&self, nonce: &Nonce, count: u32, now: impl Fn() -> u64) -> Use {
        if count >= REPLAYS {
            return Use::TooLate;
        }
        let shard = &self.0[usize::from(nonce.number()) % SHARDS];
        let mut part = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that no nonce is younger than what is done here.
        let now = now();
        part.spend(nonce, 1 << count, now)
    }
}

impl Part {
    fn spend(&mut self, nonce: &Nonce, count: u32, now: u64) -> Use {
        if self.young.len() >= ROOM || now.saturating_sub(self.began) > UNUSED + USED {
            self.old = mem::take(&mut self.young);
            self.forgotten = mem::replace(&mut self.began, now);
        }
        let is_unknown = |time| now >= time + UNUSED || time <= self.forgotten;
        let known = self.old.remove(nonce);
        let used = match self.young.entry(*nonce) {
            Entry::Occupied(used) => used.into_mut(),
            Entry::Vacant(place) => match known {
                Some(used) => place.insert(used),
                None if is_unknown(nonce.time()) => return Use::TooLate,
                None => place.insert(Used { until: now + USED, counts: 0 }),
            },
        };
        if now >= used.until {
            Use::TooLate
        } else if used.counts & count != 0 {
            Use::Again
        } else {
            used.counts |= count;
            Use::First
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_of_a_nonce_is_good_once_and_for_a_while() {
        let spent = Spent::default();
        let nonce = Nonce::given(1_000);
        let use_at = |count, now| spent.spend(&nonce, count, || now);
        assert_eq!(use_at(1, 60_999), Use::First);
        assert_eq!(use_at(1, 60_999), Use::Again);
        assert_eq!(use_at(3, 61_500), Use::First);
        assert_eq!(use_at(2, 61_500), Use::First);
        assert_eq!(use_at(19, 70_998), Use::First);
        assert_eq!((use_at(20, 61_500), use_at(u32::MAX, 61_500)), (Use::TooLate, Use::TooLate));
        assert_eq!(use_at(4, 70_999), Use::TooLate);
        assert_eq!(use_at(1, 1_000_000), Use::TooLate);
        assert_eq!(spent.spend(&Nonce::given(1_000), 1, || 61_000), Use::TooLate);
    }

    #[test]
    fn nothing_is_taken_twice_when_there_is_no_more_room() {
        let mut part = Part::default();
        let first = Nonce::given(10);
        assert_eq!(part.spend(&first, 2, 11), Use::First);
        for number in 0..10 * ROOM as u64 {
            let now = 12 + number / 100;
            assert_eq!(part.spend(&Nonce::given(now), 2, now + 1), Use::First, "{number}");
            assert_ne!(part.spend(&first, 2, now), Use::First, "{number}");
            assert!(part.young.len() + part.old.len() <= 2 * ROOM);
        }
        let late = Nonce::given(11);
        assert_eq!(part.spend(&late, 2, 5_000), Use::TooLate);
    }
}
