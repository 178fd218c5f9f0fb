//! Parts of old snapshots, kept until no request holds them.

use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::Backends;
use edgeward_routing::certificate::CertificateTable;
use edgeward_routing::table::RouteTable;
use tokio::task::spawn_blocking;

/// Freeing a table of thousands of routes takes milliseconds, and whoever lets go of it last pays. With a reference kept
/// here, that is never a worker that serves requests.
#[derive(Debug, Default)]
pub(super) struct Retired {
    routes: Vec<Arc<RouteTable>>,
    backends: Vec<Arc<Backends>>,
    certificates: Vec<Arc<CertificateTable>>,
}

impl Retired {
    /// Takes the parts of `old` that `current` does not share.
    pub(super) fn take(&mut self, old: Snapshot, current: &Snapshot) {
        if !Arc::ptr_eq(&old.routes, &current.routes) {
            self.routes.push(old.routes);
        }
        if !Arc::ptr_eq(&old.backends, &current.backends) {
            self.backends.push(old.backends);
        }
        if !Arc::ptr_eq(&old.certificates, &current.certificates) {
            self.certificates.push(old.certificates);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.backends.is_empty() && self.certificates.is_empty()
    }

    /// Frees, off the async threads, what nobody else holds any more.
    pub(super) fn sweep(&mut self) {
        let free = (unheld(&mut self.routes), unheld(&mut self.backends), unheld(&mut self.certificates));
        if !(free.0.is_empty() && free.1.is_empty() && free.2.is_empty()) {
            spawn_blocking(move || drop(free));
        }
    }
}

/// Takes out what only this list holds. Nobody can take a new reference to it: it is not current.
fn unheld<T>(parts: &mut Vec<Arc<T>>) -> Vec<Arc<T>> {
    parts.extract_if(.., |part| Arc::strong_count(part) == 1).collect()
}
