//! A slot in routing data for what another layer computes once and wants to find again without a second table.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Holds at most one value of any type, computed on first use.
///
/// Metric handles, parsed TLS keys and hash rings belong to a route, certificate or backend, but their types belong to
/// the proxy. Each owner uses one slot with one type; the slot is dropped with what it hangs on.
#[derive(Default, Clone)]
pub struct Attachment(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Attachment {
    /// Returns the value, computing it if this is the first call.
    ///
    /// Returns `None` when the slot already holds a value of another type, which is a programming error of the caller.
    pub fn get_or_init<T: Any + Send + Sync>(&self, init: impl FnOnce() -> T) -> Option<&T> {
        self.get_or_share(|| Arc::new(init()))
    }

    /// The same for a value that hangs on others too.
    pub fn get_or_share<T: Any + Send + Sync>(&self, init: impl FnOnce() -> Arc<T>) -> Option<&T> {
        self.0.get_or_init(|| init()).downcast_ref()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "Attachment(set)" } else { "Attachment(unset)" })
    }
}
