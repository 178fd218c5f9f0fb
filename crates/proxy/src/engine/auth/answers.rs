//! Answers of authentication services that are kept (`auth-cache-key`).
//!
//! The workers share them, behind locks that are held for a look-up: without an answer that is kept, a worker would wait for
//! one that is not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::HeaderMap;

use super::kept::{Kept, Key};

/// Locks.
const SHARDS: usize = 16;

/// So many answers are kept behind each lock at least, and twice as many at most.
const ROOM: usize = 256;

/// An answer with larger fields is not kept: all that are take 64 MiB at most.
const FIELDS: usize = 8 << 10;

/// An answer.
pub(super) struct KeptAnswer {
    pub(super) until: Instant,
    pub(super) status: u16,
    pub(super) fields: HeaderMap,
}

type Shard = Kept<Key, Arc<KeptAnswer>, ROOM>;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Answers([Mutex<Shard>; SHARDS]);

impl Answers {
    /// The answer that is kept by a key, if its time is not over.
    pub(super) fn find(&self, key: &Key) -> Option<Arc<KeptAnswer>> {
        let found = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner).find(key);
        found.filter(|answer| answer.until > Instant::now())
    }

    /// Keeps an answer.
    pub(super) fn insert(&self, key: Key, kept: KeptAnswer) {
        let size: usize = kept.fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size <= FIELDS {
            self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::new(kept));
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        &self.0[usize::from(key[0]) % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use super::*;

    fn kept(status: u16, until: Instant) -> KeptAnswer {
        KeptAnswer { until, status, fields: HeaderMap::new() }
    }

    #[test]
    fn an_answer_is_kept_for_its_time_and_while_there_is_room() {
        let answers = Answers::default();
        let now = Instant::now();
        answers.insert([1; 32], kept(200, now + Duration::from_secs(60)));
        answers.insert([2; 32], kept(200, now));
        assert_eq!(answers.find(&[1; 32]).unwrap().status, 200);
        assert!(answers.find(&[2; 32]).is_none() && answers.find(&[3; 32]).is_none());
        for number in 0..10_000u32 {
            let mut key = [0; 32];
            key[1..5].copy_from_slice(&number.to_ne_bytes());
            answers.insert(key, kept(401, now + Duration::from_secs(60)));
        }
        assert!(answers.0[0].lock().unwrap().len() <= 2 * ROOM);
    }

    #[test]
    fn a_large_answer_is_not_kept() {
        let answers = Answers::default();
        let mut large = kept(200, Instant::now() + Duration::from_secs(60));
        large.fields.insert("x-large", "x".repeat(FIELDS).try_into().unwrap());
        answers.insert([1; 32], large);
        assert!(answers.find(&[1; 32]).is_none());
    }
}
