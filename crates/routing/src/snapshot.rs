//! The immutable whole of routing state.

use std::sync::Arc;

use crate::backend::{BackendId, Backends};
use crate::certificate::CertificateTable;
use crate::settings::Settings;
use crate::table::RouteTable;

/// What one request sees from its first byte to its last. Parts that a change does not touch are shared with the
/// snapshot before.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Number of this snapshot; the first published one is 1, and 0 is the empty one before it.
    pub generation: u64,
    /// All routes, indexed.
    pub routes: Arc<RouteTable>,
    /// All backends that the routes name, and the default backend.
    pub backends: Arc<Backends>,
    /// The backend for requests that no route takes.
    pub default_backend: Option<BackendId>,
    /// Certificates by server name.
    pub certificates: Arc<CertificateTable>,
    /// What holds for every route.
    pub settings: Arc<Settings>,
}

impl Snapshot {
    /// The snapshot before the first: it routes nothing.
    pub fn empty(settings: Settings) -> Self {
        Self {
            generation: 0,
            routes: Arc::default(),
            backends: Arc::default(),
            default_backend: None,
            certificates: Arc::default(),
            settings: Arc::new(settings),
        }
    }
}
