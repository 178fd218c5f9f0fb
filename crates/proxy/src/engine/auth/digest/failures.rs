//! Clients whose answers were wrong, and how many of them.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use super::SHARDS;
use crate::engine::auth::kept::Kept;

/// So many wrong answers are heard (nginx-http-auth-digest `auth_digest_maxtries`).
const TRIES: u32 = 5;

/// For so long after the last of them none is, in milliseconds (`auth_digest_evasion_time`).
const EVASION: u64 = 300_000;

/// So many clients are kept behind each lock at least, and twice as many at most: 3 MiB.
const ROOM: usize = 1024;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Failures {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = Kept<IpAddr, Failed, ROOM>;

/// What is known of a client.
#[derive(Debug, Clone, Copy)]
struct Failed {
    tries: u32,
    until: u64,
}

impl Failures {
    /// Whether a client is not heard now.
    pub(super) fn are_too_many(&self, client: IpAddr, now: u64) -> bool {
        self.shard(client).find(&client).is_some_and(|failed| failed.tries >= TRIES && now < failed.until)
    }

    /// Counts a wrong answer.
    pub(super) fn count(&self, client: IpAddr, now: u64) {
        let mut shard = self.shard(client);
        let before = shard.find(&client).filter(|failed| now <= failed.until).map_or(0, |failed| failed.tries);
        shard.insert(client, Failed { tries: before + 1, until: now + EVASION });
    }

    /// Forgets the wrong answers of a client that has given a right one.
    pub(super) fn forget(&self, client: IpAddr) {
        let mut shard = self.shard(client);
        if shard.find(&client).is_some() {
            shard.insert(client, Failed { tries: 0, until: 0 });
        }
    }

    fn shard(&self, client: IpAddr) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[self.hasher.hash_one(client) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn after_five_wrong_answers_a_client_is_not_heard_for_five_minutes() {
        let failures = Failures::default();
        let [client, other] = [1, 2].map(|number| Ipv4Addr::from_bits(number).into());
        for at in 0..4 {
            failures.count(client, at);
            assert!(!failures.are_too_many(client, at));
        }
        failures.forget(client);
        for at in 10..15 {
            assert!(!failures.are_too_many(client, at));
            failures.count(client, at);
        }
        assert!(failures.are_too_many(client, 14) && failures.are_too_many(client, 14 + EVASION - 1));
        assert!(!failures.are_too_many(other, 14));
        assert!(!failures.are_too_many(client, 14 + EVASION));
        failures.count(client, 15 + EVASION);
        assert!(!failures.are_too_many(client, 15 + EVASION));
    }
}
