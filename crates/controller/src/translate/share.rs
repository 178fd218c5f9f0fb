//! What a snapshot takes over from the one before: every part that came out equal, by identity.

use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::{Backend, Backends};
use edgeward_routing::certificate::CertificateTable;
use edgeward_routing::host::HostPattern;
use edgeward_routing::path::PathPattern;
use edgeward_routing::route::{Route, Target};
use edgeward_routing::settings::Settings;
use edgeward_routing::table::RouteTable;
use hashbrown::HashMap;

use super::backend::id_of;
use super::rule::Plan;

/// The route table of a plan. Routes that did not change stay the same objects, with what the data plane hung on them.
pub(super) fn routes(
    plan: Plan,
    backends: &[Arc<Backend>],
    settings: &Settings,
    previous: &Snapshot,
) -> Arc<RouteTable> {
    let known: HashMap<(&HostPattern, &PathPattern), &Arc<Route>> = previous
        .routes
        .hosts()
        .iter()
        .flat_map(|host| host.routes())
        .map(|route| ((&route.host, &route.path), route))
        .collect();
    let certified: HashMap<HostPattern, bool> =
        plan.hosts.keys().map(|host| (host.clone(), plan.has_certificate(host))).collect();
    let has_certificate = |host: &HostPattern| certified.get(host).copied().unwrap_or_default();
    let mut routes: Vec<Arc<Route>> = Vec::new();
    for (host, host_plan) in plan.hosts {
        for planned in host_plan.routes {
            let id = planned.target.as_ref().and_then(|key| id_of(backends, key));
            let route = Route {
                host: host.clone(),
                path: planned.path,
                target: id.map_or(Target::Default, Target::Backend),
                policies: planned.policies,
                origin: planned.origin,
                service: planned.target.as_ref().map_or_else(Box::default, |key| Box::from(&*key.service)),
                fallback: planned.fallback,
                metrics: Default::default(),
            };
            let old = known.get(&(&route.host, &route.path)).copied();
            routes.push(match old.filter(|old| is_equal(old, &route) && means_the_same(old, backends, previous)) {
                Some(old) => Arc::clone(old),
                None => Arc::new(route),
            });
        }
    }
    let is_unchanged = previous.settings.trailing_slash == settings.trailing_slash
        && previous.backends.0.iter().map(|backend| &backend.key).eq(backends.iter().map(|backend| &backend.key))
        && previous.routes.hosts().iter().all(|host| host.has_certificate == has_certificate(&host.host))
        && previous.routes.len() == routes.len()
        && previous.routes.hosts().iter().flat_map(|host| host.routes()).zip(&routes).all(|(a, b)| Arc::ptr_eq(a, b));
    if is_unchanged {
        return Arc::clone(&previous.routes);
    }
    Arc::new(RouteTable::new(routes, settings.trailing_slash, has_certificate))
}

/// Whether two routes are equal in everything but what the data plane hung on them.
fn is_equal(a: &Route, b: &Route) -> bool {
    a.target == b.target
        && a.fallback == b.fallback
        && a.service == b.service
        && a.origin == b.origin
        && a.policies == b.policies
        && a.path == b.path
        && a.host == b.host
}

/// Whether the number of a route's backend means the same backend as before.
fn means_the_same(route: &Route, backends: &[Arc<Backend>], previous: &Snapshot) -> bool {
    let Target::Backend(id) = route.target else { return true };
    match (previous.backends.by_id(id), backends.get(id.0 as usize)) {
        (Some(old), Some(new)) => old.key == new.key,
        _ => false,
    }
}

pub(super) fn backends(backends: Vec<Arc<Backend>>, previous: &Snapshot) -> Arc<Backends> {
    let is_unchanged = previous.backends.0.len() == backends.len()
        && previous.backends.0.iter().zip(&backends).all(|(a, b)| Arc::ptr_eq(a, b));
    if is_unchanged { Arc::clone(&previous.backends) } else { Arc::new(Backends(backends)) }
}

pub(super) fn certificates(table: CertificateTable, previous: &Snapshot) -> Arc<CertificateTable> {
    let old = &previous.certificates;
    let is_unchanged = old.default.as_ref().map(Arc::as_ptr) == table.default.as_ref().map(Arc::as_ptr)
        && old.by_host.len() == table.by_host.len()
        && old.by_host.iter().zip(&table.by_host).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1));
    if is_unchanged { Arc::clone(old) } else { Arc::new(table) }
}

pub(super) fn settings(settings: Settings, previous: &Snapshot) -> Arc<Settings> {
    if *previous.settings == settings { Arc::clone(&previous.settings) } else { Arc::new(settings) }
}
