//! What a snapshot takes over from the one before: every part that came out equal, by identity.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::{Backend, BackendId, Backends, Numbers};
use edgeward_routing::certificate::CertificateTable;
use edgeward_routing::host::HostPattern;
use edgeward_routing::path::PathPattern;
use edgeward_routing::policy::Policies;
use edgeward_routing::route::{Route, Target};
use edgeward_routing::settings::Settings;
use edgeward_routing::table::{HostRoutes, RouteTable};
use hashbrown::HashMap;

use super::backend::Built;
use super::rule::{HostPlan, Plan, PlannedRoute};

/// The route table of a plan. Routes that did not change stay the same objects, with what the data plane hung on them;
/// so do hosts whose routes did not, and the whole table when none did. Only what did change costs memory.
pub(super) fn routes(plan: &Plan<'_>, built: &Built, settings: &Settings, previous: &Snapshot) -> Arc<RouteTable> {
    let hosts = Sharer::new(plan, built, settings, previous).hosts();
    if previous.routes.hosts().count() == hosts.len() && hosts.iter().all(|host| is_of(&previous.routes, host)) {
        return Arc::clone(&previous.routes);
    }
    Arc::new(RouteTable::of(hosts))
}

/// The route table of the previous snapshot with the routes of some hosts as they are planned now.
pub(super) fn routes_of(
    hosts: &BTreeSet<HostPattern>,
    plan: &Plan<'_>,
    built: &Built,
    settings: &Settings,
    previous: &Snapshot,
) -> Arc<RouteTable> {
    let planned = Sharer::new(plan, built, settings, previous).hosts();
    let old = hosts.iter().filter_map(|host| previous.routes.of_pattern(host));
    if old.count() == planned.len() && planned.iter().all(|host| is_of(&previous.routes, host)) {
        return Arc::clone(&previous.routes);
    }
    Arc::new(previous.routes.with(hosts, planned))
}

/// Whether a table has these very routes. The order of hosts means nothing, and a part that is translated puts its hosts last.
fn is_of(table: &RouteTable, host: &Arc<HostRoutes>) -> bool {
    table.of_pattern(&host.host).is_some_and(|known| Arc::ptr_eq(known, host))
}

struct Sharer<'p> {
    plan: &'p Plan<'p>,
    built: &'p Built,
    settings: &'p Settings,
    previous: &'p Snapshot,
    /// Whether paths mean what they meant before.
    is_indexed_alike: bool,
    /// Policies that new routes were given, the last ones behind.
    recent: VecDeque<Arc<Policies>>,
}

/// Among how many of the last policies equal ones are looked for.
const RECENT: usize = 16;

impl<'p> Sharer<'p> {
    fn new(plan: &'p Plan<'p>, built: &'p Built, settings: &'p Settings, previous: &'p Snapshot) -> Self {
        let is_indexed_alike = previous.settings.trailing_slash == settings.trailing_slash;
        Self { plan, built, settings, previous, is_indexed_alike, recent: VecDeque::new() }
    }

    fn hosts(mut self) -> Vec<Arc<HostRoutes>> {
        let plan = self.plan;
        plan.hosts.iter().filter(|host| !host.routes.is_empty()).map(|host| self.host(host)).collect()
    }

    /// Whether a number means the backend that it meant before.
    fn is_kept(&self, id: BackendId) -> bool {
        let old = self.previous.backends.by_id(id);
        old.zip(self.built.backends.by_id(id)).is_some_and(|(old, new)| old.key == new.key)
    }

    fn host(&mut self, plan: &HostPlan<'_>) -> Arc<HostRoutes> {
        let has_certificate = self.plan.has_certificate(&plan.host);
        let known = self.previous.routes.of_pattern(&plan.host);
        let old_routes = known.map_or(&[][..], |known| known.routes());
        if let Some(known) = known
            && self.is_indexed_alike
            && known.has_certificate == has_certificate
            && old_routes.len() == plan.routes.len()
            && old_routes.iter().zip(&plan.routes).all(|(old, planned)| self.is_equal(old, planned))
        {
            return Arc::clone(known);
        }
        let old_routes: HashMap<&PathPattern, &Arc<Route>> = old_routes.iter().map(|old| (&old.path, old)).collect();
        let routes = plan.routes.iter().map(|planned| {
            let path = planned.pattern();
            match old_routes.get(&path).filter(|old| self.is_equal(old, planned)) {
                Some(old) => Arc::clone(old),
                None => Arc::new(self.route(plan, planned, path)),
            }
        });
        let routes: Vec<_> = routes.collect();
        Arc::new(HostRoutes::new(plan.host.clone(), has_certificate, self.settings.trailing_slash, routes))
    }

    fn target(&self, planned: &PlannedRoute<'_>) -> Target {
        planned.target.and_then(|target| self.built.id(target)).map_or(Target::Default, Target::Backend)
    }

    /// Whether a route of the previous snapshot, whose host is the same, is what is planned.
    fn is_equal(&self, old: &Route, planned: &PlannedRoute<'_>) -> bool {
        let target = self.target(planned);
        let is_kept = match target {
            Target::Backend(id) => self.is_kept(id),
            Target::Default => true,
        };
        let origin = &planned.by.origin;
        is_kept
            && old.target == target
            && old.fallback == planned.fallback
            && *old.policies == planned.policies
            && planned.has_path(&old.path)
            && planned.place.is_written(&old.origin.field)
            && (&old.origin.name, &old.origin.namespace) == (&origin.name, &origin.namespace)
    }

    /// These policies, as one object with equal ones of other routes. Most Ingresses ask for little, and for the same, so that
    /// a few objects are those of nearly all routes, and stay in the processor's caches.
    fn policies(&mut self, planned: &Policies) -> Arc<Policies> {
        let known = self.recent.iter().rev().find(|known| ***known == *planned);
        let policies = known.map_or_else(|| Arc::new(planned.clone()), Arc::clone);
        self.recent.retain(|known| !Arc::ptr_eq(known, &policies));
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(&policies));
        policies
    }

    fn route(&mut self, plan: &HostPlan<'_>, planned: &PlannedRoute<'_>, path: PathPattern) -> Route {
        let target = self.target(planned);
        let backend = match target {
            Target::Backend(id) => self.built.backends.by_id(id),
            Target::Default => None,
        };
        Route {
            host: plan.host.clone(),
            path,
            target,
            policies: self.policies(&planned.policies),
            origin: planned.by.origin.at(planned.place.to_string()),
            service: backend.map_or_else(Box::default, |backend| Box::from(&*backend.key.service)),
            fallback: planned.fallback,
            metrics: Default::default(),
        }
    }
}

/// These backends, sorted by key, with their numbers.
pub(super) fn backends(backends: Vec<Arc<Backend>>, numbers: Arc<Numbers>, previous: &Snapshot) -> Arc<Backends> {
    let old = previous.backends.all();
    let is_unchanged = old.len() == backends.len() && old.iter().zip(&backends).all(|(a, b)| Arc::ptr_eq(a, b));
    if is_unchanged { Arc::clone(&previous.backends) } else { Arc::new(Backends::numbered(backends, numbers)) }
}

pub(super) fn certificates(table: CertificateTable, previous: &Snapshot) -> Arc<CertificateTable> {
    let old = &previous.certificates;
    let is_unchanged = old.default.as_ref().map(Arc::as_ptr) == table.default.as_ref().map(Arc::as_ptr)
        && old.ticket_secrets == table.ticket_secrets
        && old.by_host.len() == table.by_host.len()
        && old.by_host.iter().zip(&table.by_host).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1));
    if is_unchanged { Arc::clone(old) } else { Arc::new(table) }
}

/// The certificates of the previous snapshot with those of some hosts taken from `part`.
pub(super) fn certificates_of(
    hosts: &BTreeSet<HostPattern>,
    part: &CertificateTable,
    previous: &Snapshot,
) -> Arc<CertificateTable> {
    let old = &previous.certificates;
    let pointer = |table: &CertificateTable, host| table.by_host.get(host).map(Arc::as_ptr);
    if hosts.iter().all(|host| pointer(old, host) == pointer(part, host)) {
        return Arc::clone(old);
    }
    let mut table = CertificateTable::clone(old);
    for host in hosts {
        match part.by_host.get(host) {
            Some(certificate) => _ = table.by_host.insert(host.clone(), Arc::clone(certificate)),
            None => _ = table.by_host.remove(host),
        }
    }
    Arc::new(table)
}

pub(super) fn settings(settings: &Settings, previous: &Snapshot) -> Arc<Settings> {
    if previous.settings.as_ref() == settings {
        return Arc::clone(&previous.settings);
    }
    let mut settings = settings.clone();
    if previous.settings.tls == settings.tls {
        // With what the data plane has made of it.
        settings.tls = previous.settings.tls.clone();
    }
    Arc::new(settings)
}
