//! Requests under way, for each client.

use super::client::{Client, Map, Parts};

/// How many requests each client has under way. A client without any is not in it, so that it is no larger than what the
/// limits on connections let in.
#[derive(Debug, Default)]
pub(super) struct Counts(Parts<Map<u32>>);

impl Counts {
    /// Counts one more, unless there are so many.
    pub(super) fn begin(&self, client: Client, most: u32) -> bool {
        let mut part = self.0.of(client);
        let count = part.entry(client).or_default();
        let is_within = *count < most;
        if is_within {
            *count += 1;
        }
        is_within
    }

    /// Counts one less.
    pub(super) fn end(&self, client: Client) {
        let mut part = self.0.of(client);
        match part.get_mut(&client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = part.remove(&client),
        }
    }

    /// How many clients have a request under way.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.0.sum(Map::len)
    }
}
