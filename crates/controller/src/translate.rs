//! From the objects of the index to a snapshot: pure, total and deterministic.
//!
//! `translate` never fails. What is wrong becomes a diagnostic with its origin, and everything that is right is served
//! beside it. The order in which objects arrived has no effect; the previous snapshot has one only on identity: parts
//! that came out equal are shared with it, and endpoints keep their living state.
//!
//! ```text
//! class   whose Ingresses they are, and in which order they count
//! client_certificate what their hosts ask of clients
//! policy  what their annotations come to, and `upstream_tls` what they do with a Secret
//! guard   what these name of other objects: who may pass
//! rule    their hosts and paths: which route wins, what takes the rest of a host
//! canary  which backends have an alternative
//! backend the Service ports that the routes name, and how requests are spread over them
//! endpoint the addresses behind a Service port
//! tls     which certificate answers to which name
//! share   what is taken over from the previous snapshot
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::BackendId;
use edgeward_routing::host::HostPattern;
use edgeward_routing::route::Target;

use self::backend::name_of;
use crate::annotation;
use crate::configmap;
use crate::diagnostic::Diagnostic;
use crate::index::{Around, Index};
use crate::object::{Ingress, Kind, NamespacedName};

mod backend;
mod canary;
mod class;
mod client_certificate;
mod endpoint;
mod guard;
mod options;
pub(crate) mod policy;
mod rule;
mod share;
mod tls;
mod upstream_tls;

pub use endpoint::ENDPOINT_CODES;
pub(crate) use endpoint::is_about_endpoints;
pub use options::{Clock, Compatibility, EDGEWARD_CONTROLLER, Options};
pub(crate) use rule::other_name;

/// The most Ingresses that are translated around a change.
const NEIGHBOURS: usize = 512;

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
    let configuration = configmap::read(index, options, &mut diagnostics);
    let mut reader = annotation::Reader::new(&options.annotations_prefix, options.refused).up_to(configuration.risk);
    let mut owned = class::owned(index.ingresses(), index, options, &mut reader, &mut diagnostics);
    guard::find(index, options, &configuration, &mut owned, &mut diagnostics);
    let mut references = backend::References::new(index, options);
    let default_backend = references.add_default(&mut diagnostics);
    let mut plan = rule::plan(options, &configuration, index, &owned, &mut references, previous, &mut diagnostics);
    let built = references.build(&configuration, previous, [], &mut reader, &mut diagnostics);
    let known = previous.certificates.by_host.values().chain(&previous.certificates.default);
    let certificates = tls::certificates(index, options, &owned, &plan, known, &mut diagnostics);
    plan.certify_aliases(&certificates);
    plan.report_clear(&owned, &mut diagnostics);
    let snapshot = Snapshot {
        generation: previous.generation.saturating_add(1),
        routes: share::routes(&plan, &built, &configuration.settings, previous),
        default_backend: default_backend.and_then(|id| built.id(id)),
        backends: built.backends,
        certificates: share::certificates(certificates, previous),
        settings: share::settings(&configuration.settings, previous),
    };
    let served = owned.iter().filter(|owned| !owned.is_dropped());
    let owned = served.map(|owned| owned.ingress.meta.name.clone()).collect();
    Translation::new(snapshot, diagnostics, owned)
}

/// What is current: the snapshot and what was said with it.
#[derive(Debug, Clone, Copy)]
pub struct Current<'c> {
    /// The snapshot.
    pub snapshot: &'c Snapshot,
    /// The diagnostics of its translation.
    pub diagnostics: &'c [Diagnostic],
    /// The Ingresses that it serves, those first that win.
    pub owned: &'c [NamespacedName],
}

/// Translates again what is around a change: every Ingress that names a host or a Service that the changed ones name, and
/// so on, and renews the endpoints of some Services. All others have nothing to do with it, so that this is what
/// [`translate`] would give, at a cost that does not depend on how many there are. `None` where it would be too many, or where
/// more than their own hosts is concerned.
pub fn refresh_ingresses(
    index: &Index,
    options: &Options,
    current: Current<'_>,
    around: &Around,
    endpoints: &BTreeSet<NamespacedName>,
) -> Option<Translation> {
    let part = index.neighbourhood(around, NEIGHBOURS)?;
    // Whether a wildcard has a certificate matters to the hosts below it, whoever names them; and which of two names that are
    // patterns takes a host depends on all of them.
    if part.hosts.iter().any(|host| matches!(host, HostPattern::Wildcard(_)) || host.is_listed()) {
        return None;
    }
    // Whether any host is served matters to the hosts of those that are dropped.
    let is_dropped = |diagnostic: &Diagnostic| diagnostic.code == annotation::DROPPED;
    if part.hosts.contains(&HostPattern::Any) && current.diagnostics.iter().any(is_dropped) {
        return None;
    }
    let previous = current.snapshot;
    let mut said = Vec::new();
    // What is wrong with it has been said.
    let configuration = configmap::read(index, options, &mut Vec::new());
    let mut reader = annotation::Reader::new(&options.annotations_prefix, options.refused).up_to(configuration.risk);
    let ingresses = part.ingresses.iter().filter_map(|name| index.ingress(name));
    let mut owned = class::owned(ingresses, index, options, &mut reader, &mut said);
    guard::find(index, options, &configuration, &mut owned, &mut said);
    // How many other names a host has depends on those of all others, once they are many.
    let is_left_out = |diagnostic: &Diagnostic| diagnostic.code == rule::LEFT_OUT;
    if owned.iter().any(|owned| rule::shares_room(&owned.settings.paths.aliases))
        || current.diagnostics.iter().any(is_left_out)
    {
        return None;
    }
    // What stays of them depends on who is served on any host and on those that are wildcards.
    if owned.iter().any(class::Owned::is_dropped) {
        return None;
    }
    let mut references = backend::References::new(index, options);
    let names_default = options.default_backend_service.as_ref().is_some_and(|name| part.services.contains(name));
    let default_backend = names_default.then(|| references.add_default(&mut said));
    let mut plan = rule::plan(options, &configuration, index, &owned, &mut references, previous, &mut said);
    plan.others = Some(&previous.routes);
    // Many name such a Service, so that this mostly finds one soon.
    let is_used_elsewhere = |id: BackendId| {
        let elsewhere = previous.routes.hosts().filter(|routes| !part.hosts.contains(&routes.host));
        let mut targets = elsewhere.flat_map(|routes| routes.routes()).map(|route| route.target);
        previous.default_backend == Some(id) || targets.any(|target| target == Target::Backend(id))
    };
    if !references.are_kept(&part.named, &previous.backends, is_used_elsewhere) {
        return None;
    }
    let others = previous.backends.all().iter().filter(|backend| !part.services.contains(&name_of(&backend.key)));
    let others = others.map(|old| match endpoints.contains(&name_of(&old.key)) {
        true => backend::with_endpoints(index, options, old, &mut said),
        false => Arc::clone(old),
    });
    let others: Vec<_> = others.collect();
    let built = references.build(&configuration, previous, others, &mut reader, &mut said);
    let known = part.hosts.iter().filter_map(|host| previous.certificates.by_host.get(host));
    let known = known.chain(&previous.certificates.default);
    let certificates = tls::certificates(index, options, &owned, &plan, known, &mut said);
    plan.certify_aliases(&certificates);
    plan.report_clear(&owned, &mut said);
    let snapshot = Snapshot {
        generation: previous.generation.saturating_add(1),
        routes: share::routes_of(&part.hosts, &plan, &built, &configuration.settings, previous),
        default_backend: default_backend.map_or(previous.default_backend, |id| id.and_then(|id| built.id(id))),
        backends: Arc::clone(&built.backends),
        certificates: share::certificates_of(&part.hosts, &certificates, previous),
        settings: Arc::clone(&previous.settings),
    };
    let is_about_part = |diagnostic: &Diagnostic| {
        let is_of_part = diagnostic.origin.as_ref().is_some_and(|origin| {
            let name = NamespacedName::of(origin);
            match origin.kind {
                kind if kind == Kind::Ingress.name() => part.ingresses.contains(&name),
                kind if kind == Kind::Service.name() => part.services.contains(&name),
                _ => false,
            }
        });
        is_of_part || is_about_endpoints(diagnostic, endpoints)
    };
    let mut diagnostics: Vec<_> =
        current.diagnostics.iter().filter(|diagnostic| !is_about_part(diagnostic)).cloned().collect();
    diagnostics.extend(said.into_iter().filter(is_about_part));
    let served: Vec<&Ingress> = owned.iter().map(|owned| owned.ingress).collect();
    Some(Translation::new(
        snapshot,
        diagnostics,
        class::merged(current.owned, &part.ingresses, &served, index, options),
    ))
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
        for (at, old) in backend::of_service(previous.backends.all(), service) {
            let new = backend::with_endpoints(index, options, old, &mut diagnostics);
            if !Arc::ptr_eq(old, &new) {
                renewed.push((at, new));
            }
        }
    }
    let mut snapshot = Snapshot { generation: previous.generation.saturating_add(1), ..previous.clone() };
    if !renewed.is_empty() {
        let mut backends = previous.backends.all().to_vec();
        for (at, new) in renewed {
            backends[at] = new;
        }
        snapshot.backends = Arc::new(previous.backends.followed_by(backends));
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
