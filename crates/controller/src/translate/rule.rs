//! Rules: the routes of every host, which of two wins, and what takes the rest of a host.

mod alias;
mod closed;
mod dropped;
mod host;
mod path;
mod pattern;
mod place;
mod rest;

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::host::HostPattern;
use edgeward_routing::origin::Origin;
use edgeward_routing::path::{PathPattern, PathRegex};
use edgeward_routing::policy::{HostPolicies, Policies};
use edgeward_routing::table::RouteTable;
use hashbrown::HashMap;

use super::backend::{ReferenceId, References};
use super::canary::CanaryTarget;
use super::class::Owned;
use super::client_certificate::{self, Asked};
use super::options::Options;
use super::policy;
use super::upstream_tls::with_upstream_tls;
use crate::configmap::Configuration;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::IngressRule;

pub(super) use alias::{LEFT_OUT, shares_room};
use dropped::Served;
pub(crate) use host::other_name;
use path::is_regular_expression;
pub(super) use place::{Path, Place};
use rest::DefaultBackend;

/// The routes of all hosts, before backends have numbers. It borrows from the objects: of thousands of routes most are
/// those of the previous snapshot, and become no new objects.
pub(super) struct Plan<'a> {
    /// In the order in which Ingresses name them.
    pub(super) hosts: Vec<HostPlan<'a>>,
    by_host: HashMap<HostPattern, usize>,
    /// The routes of hosts that are not planned because they are as they were.
    pub(super) others: Option<&'a RouteTable>,
}

/// The routes of one host.
pub(super) struct HostPlan<'a> {
    pub(super) host: HostPattern,
    /// The Ingress that decides about what no rule of the host takes, by its place in the order: the first with a rule for
    /// the host. Any host is nobody's in ingress-nginx (the `_` server), so that there it is the first that asks for it
    /// with a `defaultBackend`, except under `Strict`.
    pub(super) owner: Option<usize>,
    /// The first Ingress with a rule for the host and a `tls` section.
    pub(super) tls: Option<usize>,
    /// Whether all paths of the host are regular expressions.
    has_patterns: bool,
    /// The first Ingress with a rule for the host that asks for other names.
    aliases: Option<usize>,
    /// The number of the host whose other name this is.
    pub(super) alias_of: Option<usize>,
    /// Of which namespaces all routes are closed, and why.
    closed: BTreeMap<Arc<str>, Box<str>>,
    /// The first Ingress with a rule for the host that asks for a redirect from its other name.
    from_to_www: Option<usize>,
    /// The first Ingress with a rule for the host that names a CA for its endpoints.
    upstream_tls: Option<usize>,
    /// The Ingresses with a rule for the host that ask for its TLS to be passed on.
    passes_tls: Vec<usize>,
    /// What holds for all its routes.
    policies: HostPolicies,
    /// The first Ingress that asks for certificates of its clients.
    client_certificates: Option<usize>,
    /// All Ingresses that ask for them.
    asking: Vec<usize>,
    /// In order of precedence.
    pub(super) routes: Vec<PlannedRoute<'a>>,
}

/// A route before backends have numbers.
#[derive(Clone)]
pub(super) struct PlannedRoute<'a> {
    pub(super) path: Path<'a>,
    /// Its path, where that is a regular expression.
    pub(super) pattern: Option<Arc<PathRegex>>,
    /// `None` is the default backend of the snapshot.
    pub(super) target: Option<ReferenceId>,
    pub(super) policies: Policies,
    pub(super) by: &'a Owned<'a>,
    pub(super) place: Place,
    pub(super) fallback: bool,
}

const ROOT: Path<'static> = Path::Prefix("/");

impl PlannedRoute<'_> {
    /// Its path as the table has it.
    pub(super) fn pattern(&self) -> PathPattern {
        match &self.pattern {
            Some(pattern) => PathPattern::Regex(Arc::clone(pattern)),
            None => PathPattern::from(self.path),
        }
    }

    /// Whether that is this one.
    pub(super) fn has_path(&self, path: &PathPattern) -> bool {
        match (path, &self.pattern) {
            (PathPattern::Regex(old), Some(pattern)) => old == pattern,
            (PathPattern::Exact(old), None) => self.path == Path::Exact(old),
            (PathPattern::Prefix(old), None) => self.path == Path::Prefix(old),
            _ => false,
        }
    }
}

impl HostPlan<'_> {
    fn new(host: HostPattern) -> Self {
        Self {
            host,
            owner: None,
            tls: None,
            has_patterns: false,
            aliases: None,
            alias_of: None,
            closed: BTreeMap::new(),
            from_to_www: None,
            upstream_tls: None,
            passes_tls: Vec::new(),
            policies: HostPolicies::default(),
            client_certificates: None,
            asking: Vec::new(),
            routes: Vec::new(),
        }
    }
}

impl Plan<'_> {
    /// What is planned for the host pattern itself; `None` when no rule names it.
    pub(super) fn of_pattern(&self, host: &HostPattern) -> Option<&HostPlan<'_>> {
        self.by_host.get(host).and_then(|at| self.hosts.get(*at))
    }

    /// Whether a certificate is configured for a host, by itself or by the wildcard above it (row 15 of ingress-nginx's
    /// semantics: a `tls` section counts for all rule hosts of its Ingress).
    pub(super) fn has_certificate(&self, host: &HostPattern) -> bool {
        let has = |host: &HostPattern| match self.of_pattern(host) {
            Some(plan) => plan.tls.is_some(),
            None => self.others.and_then(|others| others.of_pattern(host)).is_some_and(|host| host.has_certificate),
        };
        match host {
            HostPattern::Any | HostPattern::Below(_) | HostPattern::Beginning(_) | HostPattern::Regex(_) => false,
            HostPattern::Wildcard(_) => has(host),
            HostPattern::Exact(name) => {
                has(host) || name.split_once('.').is_some_and(|(_, suffix)| has(&HostPattern::Wildcard(suffix.into())))
            }
        }
    }

    /// The number of a host, which is there from now on.
    fn number(&mut self, host: HostPattern) -> usize {
        let Self { hosts, by_host, .. } = self;
        *by_host.entry(host).or_insert_with_key(|host| {
            hosts.push(HostPlan::new(host.clone()));
            hosts.len() - 1
        })
    }
}

/// Plans the routes of these Ingresses, of which the earlier win.
pub(super) fn plan<'a>(
    options: &'a Options,
    configuration: &'a Configuration,
    index: &Index,
    owned: &'a [Owned<'a>],
    references: &mut References<'a>,
    previous: &Snapshot,
    diagnostics: &mut Vec<Diagnostic>,
) -> Plan<'a> {
    let plan = Plan { hosts: Vec::new(), by_host: HashMap::with_capacity(owned.len()), others: None };
    let taken = HashMap::with_capacity(owned.len());
    let policies = owned.iter().map(|owned| {
        if owned.is_dropped() {
            return Policies { closed: owned.settings.closed.clone(), ..Policies::default() };
        }
        let policies = owned.guards.over(policy::of_ingress(index, configuration, owned, diagnostics));
        policy::report_passthrough(options, owned, &policies, diagnostics);
        let policies = with_upstream_tls(index, owned, policies, diagnostics);
        let policies = Policies { limits: policy::limits(owned, previous), ..policies };
        match references.add_stand_in(owned, diagnostics) {
            Some(backend) => policy::answered_by(configuration, &owned.settings, backend, policies),
            None => policies,
        }
    });
    let policies = policies.collect();
    let asked = owned.iter().map(|owned| client_certificate::of_ingress(index, options, owned, diagnostics)).collect();
    let (leftovers, doubtful, canaries) = (Vec::new(), Vec::new(), Vec::new());
    let mut planner = Planner {
        options,
        configuration,
        owned,
        policies,
        asked,
        served: Served::of(owned),
        references,
        diagnostics,
        plan,
        taken,
        leftovers,
        doubtful,
        canaries,
    };
    let defaults: Vec<_> = owned.iter().map(|owned| planner.default_backend(owned)).collect();
    // An Ingress that is only a default backend takes `/` of all hosts before any rule can (createServers runs before
    // the paths are added); to the specification it is what no rule takes.
    if !options.is_strict() {
        planner.add_catch_alls(&defaults);
    }
    for (at, default) in defaults.iter().enumerate() {
        planner.add_rules(at, *default);
    }
    if options.is_strict() {
        planner.add_catch_alls(&defaults);
    }
    planner.add_fallbacks(&defaults);
    // Before patterns leave out any route: `taken` counts all of them.
    planner.add_alternatives();
    planner.match_patterns(previous);
    planner.add_other_names();
    planner.close_hosts();
    planner.pass_tls(&defaults);
    planner.add_host_policies();
    planner.share_upstream_tls();
    planner.add_aliases();
    planner.plan
}

pub(super) struct Planner<'a, 'r> {
    pub(super) options: &'a Options,
    configuration: &'a Configuration,
    owned: &'a [Owned<'a>],
    /// Those of each of them.
    policies: Vec<Policies>,
    /// What each of them asks of clients.
    asked: Vec<Asked>,
    /// Where Ingresses are served, as far as any is dropped.
    served: Served,
    pub(super) references: &'r mut References<'a>,
    pub(super) diagnostics: &'r mut Vec<Diagnostic>,
    plan: Plan<'a>,
    /// Which route of a host has which path, in the form in which two are the same.
    taken: HashMap<(usize, Path<'a>), usize>,
    /// Which Ingress asks for what the rules of which host leave over.
    leftovers: Vec<(usize, usize)>,
    /// Paths of Ingresses whose guards cannot be enforced that look like regular expressions: the host, the Ingress, the place.
    doubtful: Vec<(usize, usize, Place)>,
    /// What canaries name, in the order of their Ingresses.
    pub(super) canaries: Vec<CanaryTarget<'a>>,
}

impl<'a> Planner<'a, '_> {
    pub(super) fn say(&mut self, severity: Severity, code: &'static str, origin: Origin, message: String, mend: &str) {
        self.diagnostics.push(Diagnostic::new(severity, code, origin, message, mend));
    }

    fn add_rules(&mut self, at: usize, default: DefaultBackend) {
        let owned = &self.owned[at];
        for (number, rule) in owned.ingress.rules.iter().enumerate() {
            match rule.host.parse::<HostPattern>() {
                Ok(host) if owned.is_canary() => self.add_canary_paths(owned, &host, number, rule),
                Ok(host) if !self.counts(owned, &host) => {}
                Ok(host) => {
                    if owned.is_dropped() {
                        self.report_kept_closed(owned, &host, Place::Rule(number));
                    }
                    let may_be_owner = host != HostPattern::Any
                        || self.options.is_strict()
                        || matches!(default, DefaultBackend::Backend(_) | DefaultBackend::Dropped);
                    let host = self.plan.number(host);
                    let plan = &mut self.plan.hosts[host];
                    if may_be_owner {
                        plan.owner.get_or_insert(at);
                    }
                    if !matches!(default, DefaultBackend::Absent | DefaultBackend::Dropped) {
                        self.leftovers.push((host, at));
                    }
                    if !owned.ingress.tls.is_empty() && !owned.is_dropped() {
                        plan.tls.get_or_insert(at);
                    }
                    let upstream_tls = self.policies[at].upstream_tls.as_ref();
                    if upstream_tls.is_some_and(|tls| !tls.authorities.is_empty()) {
                        plan.upstream_tls.get_or_insert(at);
                    }
                    let passes_tls = owned.settings.passes_tls && self.options.enable_ssl_passthrough;
                    if passes_tls && plan.host != HostPattern::Any && plan.passes_tls.last() != Some(&at) {
                        plan.passes_tls.push(at);
                    }
                    if owned.settings.redirects.from_to_www {
                        plan.from_to_www.get_or_insert(at);
                    }
                    if !owned.settings.paths.aliases.is_empty() {
                        let first = *plan.aliases.get_or_insert(at);
                        if first != at {
                            self.report_passed_over(host, first, at);
                        }
                    }
                    let plan = &mut self.plan.hosts[host];
                    if let Some(reason) = owned.settings.closed.as_ref().filter(|_| owned.settings.closes_hosts) {
                        plan.closed.entry(owned.namespace()).or_insert_with(|| reason.clone());
                    }
                    // ingress-nginx asks nobody where a rule has no paths (controller.go getBackendServers).
                    if rule.paths.is_some() || self.plan.hosts[host].host == HostPattern::Any {
                        self.ask(at, host);
                    }
                    self.speak_tls(at, host);
                    self.add_paths(at, host, number, rule);
                }
                Err(error) => {
                    let message = format!("host `{}` {error}: the rule is left out", rule.host);
                    let mend = "write a DNS name, with `*.` in front for exactly one more label";
                    let origin = owned.origin.at(format!("spec.rules[{number}].host"));
                    self.say(Severity::Error, "InvalidHost", origin, message, mend);
                }
            }
        }
    }

    fn add_paths(&mut self, by: usize, host: usize, number: usize, rule: &'a IngressRule) {
        let owned = &self.owned[by];
        for (at, path) in rule.paths.iter().flatten().enumerate() {
            let place = Place::Path(number, at);
            let Some((pattern, text)) = self.pattern(owned, path, place) else {
                self.close_host(host, owned, place, "a path that it guards is left out");
                continue;
            };
            if !self.takes_requests(owned, path, text, place) {
                self.close_host(host, owned, place, "a path that it guards takes no request");
            }
            if is_regular_expression(path) && owned.settings.closed.is_some() {
                self.doubtful.push((host, by, place));
            }
            let field = || format!("{place}.backend");
            let target = match owned.is_dropped() {
                true => None,
                false => self.references.add(owned, &path.backend, field, self.diagnostics),
            };
            if let Some(target) = target {
                self.references.add_session(target, owned);
            }
            let policies = policy::at_path(self.configuration, &self.policies[by], text);
            self.insert(
                host,
                PlannedRoute { path: pattern, pattern: None, target, policies, by: owned, place, fallback: false },
            );
        }
    }

    /// Adds a route unless its host and path are taken (getBackendServers: same path and same type).
    fn insert(&mut self, host: usize, route: PlannedRoute<'a>) {
        let identity = (host, self.identity(route.path));
        let plan = &mut self.plan.hosts[host];
        if let Some(&winner) = self.taken.get(&identity) {
            let winner = &plan.routes[winner];
            let winner = winner.by.origin.at(winner.place.to_string());
            let message =
                format!("host `{}` {} is already taken by {winner}", plan.host, PathPattern::from(route.path));
            let mend = "remove one of the two, or change its host, path or path type";
            self.say(Severity::Warning, "RouteConflict", route.by.origin.at(route.place.to_string()), message, mend);
            return;
        }
        if let Some(target) = route.target {
            self.references.mark_used(target);
        }
        self.taken.insert(identity, plan.routes.len());
        plan.routes.push(route);
    }

    /// The backend of the route with this host and path.
    pub(super) fn target(&self, host: &HostPattern, path: Path<'a>) -> Option<ReferenceId> {
        let host = *self.plan.by_host.get(host)?;
        let route = *self.taken.get(&(host, self.identity(path)))?;
        self.plan.hosts[host].routes[route].target
    }

    /// The backends of all routes for any host.
    pub(super) fn any_host_targets(&self) -> Vec<ReferenceId> {
        let plan = self.plan.of_pattern(&HostPattern::Any);
        plan.iter().flat_map(|plan| &plan.routes).filter_map(|route| route.target).collect()
    }

    /// The form in which two paths are the same: a Prefix without its trailing slash where that means nothing.
    fn identity(&self, path: Path<'a>) -> Path<'a> {
        match path {
            Path::Prefix(text) if self.options.is_strict() => Path::Prefix(text.strip_suffix('/').unwrap_or(text)),
            path => path,
        }
    }
}
