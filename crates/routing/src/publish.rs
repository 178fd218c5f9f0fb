//! The one place where a snapshot becomes current.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::snapshot::Snapshot;

/// Writes the current snapshot. There is one, and it is not `Clone`: one owner decides what is current.
#[derive(Debug)]
pub struct Publisher(Arc<ArcSwap<Snapshot>>);

/// Reads the current snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotReader(Arc<ArcSwap<Snapshot>>);

impl Publisher {
    /// Starts with `snapshot` as the current one.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    /// A reader of what this publisher publishes.
    pub fn reader(&self) -> SnapshotReader {
        SnapshotReader(Arc::clone(&self.0))
    }

    /// Swaps `snapshot` in. It takes effect for the next request; requests under way keep the one they loaded.
    pub fn publish(&mut self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}

impl SnapshotReader {
    /// Takes the current snapshot. Load it once per request and keep it to the request's end.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
}

#[cfg(test)]
mod tests;
