//! Requests under way, for each client.

use std::hash::RandomState;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// How many requests each client has under way. A client without any is not in it, so that it is no larger than what the
/// limits on connections let in.
#[derive(Debug, Default)]
pub(super) struct Counts {
    parts: [Mutex<HashMap<u128, u32, RandomState>>; PARTS],
    placing: RandomState,
}

const PARTS: usize = 16;

impl Counts {
    fn part(&self, client: u128) -> MutexGuard<'_, HashMap<u128, u32, RandomState>> {
        let place = std::hash::BuildHasher::hash_one(&self.placing, client) as usize % PARTS;
        // Nothing that is done under the lock can be left half done.
        self.parts[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more, unless there are so many.
    pub(super) fn begin(&self, client: u128, most: u32) -> bool {
        let mut part = self.part(client);
        let count = part.get(&client).copied().unwrap_or_default();
        if count >= most {
            return false;
        }
        part.insert(client, count + 1);
        true
    }

    /// Counts one less.
    pub(super) fn end(&self, client: u128) {
        let mut part = self.part(client);
        match part.get_mut(&client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = part.remove(&client),
        }
    }

    /// How many clients have a request under way.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.parts.iter().map(|part| part.lock().map_or(0, |part| part.len())).sum()
    }
}
