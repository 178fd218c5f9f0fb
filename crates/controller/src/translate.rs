//! From the objects of the index to a snapshot: pure, total and deterministic.
//!
//! `translate` never fails. What is wrong becomes a diagnostic with its origin, and everything that is right is served
//! beside it. The order in which objects arrived has no effect; the previous snapshot has one only on identity: parts
//! that came out equal are shared with it, and endpoints keep their living state.
//!
//! ```text
//! class   whose Ingresses they are, and in which order they count
//! rule    their hosts and paths: which route wins, what takes the rest of a host
//! backend the Service ports that the routes name, and how requests are spread over them
//! endpoint the addresses behind a Service port
//! tls     which certificate answers to which name
//! share   what is taken over from the previous snapshot
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::Backends;

use crate::annotation;
use crate::configmap;
use crate::diagnostic::Diagnostic;
use crate::index::Index;
use crate::object::NamespacedName;

mod backend;
mod class;
mod endpoint;
mod options;
mod rule;
mod share;
mod tls;

pub use endpoint::ENDPOINT_CODES;
pub use options::{Clock, Compatibility, EDGEWARD_CONTROLLER, Options};

/// What a translation gives.
#[derive(Debug, Clone)]
pub struct Translation {
    /// The snapshot. Its generation is the one after the previous snapshot's.
    pub snapshot: Snapshot,
    /// What is wrong with the objects, sorted, each once.
    pub diagnostics: Vec<Diagnostic>,
    /// The Ingresses that are served, those first that win where two want the same.
    pub owned: Vec<NamespacedName>,
}

impl Translation {
    fn new(snapshot: Snapshot, mut diagnostics: Vec<Diagnostic>, owned: Vec<NamespacedName>) -> Self {
        diagnostics.sort();
        diagnostics.dedup();
        Self { snapshot, diagnostics, owned }
    }
}

/// Translates all objects.
pub fn translate(index: &Index, options: &Options, previous: &Snapshot) -> Translation {
    let mut diagnostics = Vec::new();
    let mut reader = annotation::Reader::new(&options.annotations_prefix);
    let configuration = configmap::read(index, options, &mut diagnostics);
    let owned = class::owned(index, options, &mut reader, &mut diagnostics);
    let mut references = backend::References::new(index, options);
    let default_backend = references.add_default(&mut diagnostics);
    let plan = rule::plan(options, &configuration, &owned, &mut references, &mut diagnostics);
    let built = references.build(&configuration, previous, &mut reader, &mut diagnostics);
    let certificates = tls::certificates(index, options, &owned, &plan, previous, &mut diagnostics);
    let snapshot = Snapshot {
        generation: previous.generation.saturating_add(1),
        routes: share::routes(&plan, &built, &configuration.settings, previous),
        default_backend: default_backend.and_then(|id| built.id(id)),
        backends: share::backends(built.backends, previous),
        certificates: share::certificates(certificates, previous),
        settings: share::settings(&configuration.settings, previous),
    };
    let owned = owned.iter().map(|owned| owned.ingress.meta.name.clone()).collect();
    Translation::new(snapshot, diagnostics, owned)
}

/// Renews the endpoints of these Services and nothing else: the routes are those of `previous`, and so is every other
/// backend. Whether an endpoint exists is decided by slices and name resolution only, so that this is the whole effect
/// of a change in them. The diagnostics are those with [`ENDPOINT_CODES`] about these Services, and no Ingress is named.
pub fn refresh_endpoints(
    index: &Index,
    options: &Options,
    previous: &Snapshot,
    services: &BTreeSet<NamespacedName>,
) -> Translation {
    let mut diagnostics = Vec::new();
    let mut renewed = Vec::new();
    for service in services {
        for (at, old) in backend::of_service(&previous.backends.0, service) {
            let new = backend::with_endpoints(index, options, old, &mut diagnostics);
            if !Arc::ptr_eq(old, &new) {
                renewed.push((at, new));
            }
        }
    }
    let mut snapshot = Snapshot { generation: previous.generation.saturating_add(1), ..previous.clone() };
    if !renewed.is_empty() {
        let mut backends = previous.backends.0.clone();
        for (at, new) in renewed {
            backends[at] = new;
        }
        snapshot.backends = Arc::new(Backends(backends));
    }
    Translation::new(snapshot, diagnostics, Vec::new())
}

/// Whether two snapshots share every part, so that publishing the second would change nothing.
pub fn is_same(a: &Snapshot, b: &Snapshot) -> bool {
    Arc::ptr_eq(&a.routes, &b.routes)
        && Arc::ptr_eq(&a.backends, &b.backends)
        && Arc::ptr_eq(&a.certificates, &b.certificates)
        && Arc::ptr_eq(&a.settings, &b.settings)
        && a.default_backend == b.default_backend
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
