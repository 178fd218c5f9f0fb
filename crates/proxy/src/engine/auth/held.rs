//! What is there by a key as long as somebody holds it.

use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// Values by their keys, each with the number of those who hold it. As many as are held.
#[derive(Debug)]
pub(super) struct HeldValues<K, V>(Mutex<HashMap<K, (usize, Arc<V>)>>);

/// A value; when the last one of it is dropped, it is gone.
pub(super) struct Held<'v, K: Hash + Eq, V> {
    all: &'v HeldValues<K, V>,
    key: K,
    value: Arc<V>,
}

impl<K, V> Default for HeldValues<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Copy, V> HeldValues<K, V> {
    /// The value of a key, which is made if nobody holds it.
    pub(super) fn hold(&self, key: K, new: impl FnOnce() -> V) -> Held<'_, K, V> {
        let mut values = self.lock();
        let (count, value) = values.entry(key).or_insert_with(|| (0, Arc::new(new())));
        *count += 1;
        Held { all: self, key, value: Arc::clone(value) }
    }
}

impl<K, V> HeldValues<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, (usize, Arc<V>)>> {
        // No code can panic while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl<K: Hash + Eq, V> Deref for Held<'_, K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<K: Hash + Eq, V> Drop for Held<'_, K, V> {
    fn drop(&mut self) {
        let mut values = self.all.lock();
        if let Some((count, _)) = values.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                values.remove(&self.key);
            }
        }
    }
}
