//! Rules: the routes of every host, which of two wins, and what takes the rest of a host.

use std::collections::BTreeMap;

use edgeward_routing::backend::BackendKey;
use edgeward_routing::host::HostPattern;
use edgeward_routing::origin::Origin;
use edgeward_routing::path::PathPattern;
use edgeward_routing::policy::{Policies, SslRedirect};

use super::backend::References;
use super::class::Owned;
use super::options::Options;
use crate::configmap::Configuration;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{IngressPath, IngressRule};

/// The routes of all hosts, before backends have numbers.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) hosts: BTreeMap<HostPattern, HostPlan>,
}

/// The routes of one host.
#[derive(Default)]
pub(super) struct HostPlan {
    /// The first Ingress with a rule for the host, and its place in the order.
    oldest: Option<usize>,
    /// The first Ingress with a rule for the host and a `tls` section.
    pub(super) tls: Option<usize>,
    /// Why every route of the host is closed.
    closed: Option<Box<str>>,
    /// In order of precedence.
    pub(super) routes: Vec<PlannedRoute>,
    /// Which route has which path, in the form in which two are the same.
    taken: BTreeMap<PathPattern, usize>,
}

/// A route before backends have numbers.
pub(super) struct PlannedRoute {
    pub(super) path: PathPattern,
    /// `None` is the default backend of the snapshot.
    pub(super) target: Option<BackendKey>,
    pub(super) policies: Policies,
    pub(super) origin: Origin,
    pub(super) fallback: bool,
}

impl Plan {
    /// The backends that routes name.
    pub(super) fn targets(&self) -> impl Iterator<Item = &BackendKey> {
        self.hosts.values().flat_map(|host| &host.routes).filter_map(|route| route.target.as_ref())
    }

    /// Whether a certificate is configured for a host, by itself or by the wildcard above it (row 15 of ingress-nginx's
    /// semantics: a `tls` section counts for all rule hosts of its Ingress).
    pub(super) fn has_certificate(&self, host: &HostPattern) -> bool {
        let has = |host: &HostPattern| self.hosts.get(host).is_some_and(|plan| plan.tls.is_some());
        match host {
            HostPattern::Any => false,
            HostPattern::Wildcard(_) => has(host),
            HostPattern::Exact(name) => {
                has(host) || name.split_once('.').is_some_and(|(_, suffix)| has(&HostPattern::Wildcard(suffix.into())))
            }
        }
    }
}

/// Plans the routes of these Ingresses, of which the earlier win.
pub(super) fn plan<'a>(
    index: &'a Index,
    options: &'a Options,
    configuration: &'a Configuration,
    owned: &'a [Owned<'a>],
    references: &mut References<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Plan {
    let mut planner = Planner { index, options, configuration, owned, references, diagnostics, plan: Plan::default() };
    let defaults: Vec<_> = (0..owned.len()).map(|at| planner.default_backend(at)).collect();
    // An Ingress that is only a default backend takes `/` of all hosts before any rule can (createServers runs before
    // the paths are added); to the specification it is what no rule takes.
    if !options.is_strict() {
        planner.add_catch_alls(&defaults);
    }
    for at in 0..owned.len() {
        planner.add_rules(at);
    }
    if options.is_strict() {
        planner.add_catch_alls(&defaults);
    }
    planner.add_fallbacks(&defaults);
    planner.plan
}

struct Planner<'a, 'r> {
    index: &'a Index,
    options: &'a Options,
    configuration: &'a Configuration,
    owned: &'a [Owned<'a>],
    references: &'r mut References<'a>,
    diagnostics: &'r mut Vec<Diagnostic>,
    plan: Plan,
}

/// What `spec.defaultBackend` says.
enum DefaultBackend {
    /// There is none.
    Absent,
    /// It names no Service: the snapshot's default backend.
    Unusable,
    /// A Service port.
    Backend(BackendKey),
}

const DEFAULT_BACKEND: &str = "spec.defaultBackend";

impl<'a> Planner<'a, '_> {
    fn say(&mut self, severity: Severity, code: &'static str, origin: Origin, message: String, mend: &str) {
        self.diagnostics.push(Diagnostic::new(severity, code, origin, message, mend));
    }

    fn default_backend(&mut self, at: usize) -> DefaultBackend {
        let owned = &self.owned[at];
        let Some(backend) = &owned.ingress.default_backend else { return DefaultBackend::Absent };
        match self.references.add(self.index, owned, backend, DEFAULT_BACKEND, self.diagnostics) {
            Some(key) => DefaultBackend::Backend(key),
            None => DefaultBackend::Unusable,
        }
    }

    /// Adds the Ingresses without rules: each is a default backend for every host, and the first wins.
    fn add_catch_alls(&mut self, defaults: &[DefaultBackend]) {
        for (owned, default) in self.owned.iter().zip(defaults) {
            if !owned.ingress.rules.is_empty() {
                continue;
            }
            match default {
                DefaultBackend::Absent => {
                    let message = "the Ingress has neither rules nor a default backend: it serves nothing".to_owned();
                    let origin = owned.origin.at("spec");
                    self.say(Severity::Warning, "EmptyIngress", origin, message, "add rules, or remove the Ingress");
                }
                _ if self.options.disable_catch_all => {
                    let message = "an Ingress that is only a default backend is left out".to_owned();
                    let mend = "remove `--disable-catch-all`, or give it rules";
                    self.say(Severity::Warning, "CatchAllDisabled", owned.origin.at(DEFAULT_BACKEND), message, mend);
                }
                DefaultBackend::Unusable => {}
                DefaultBackend::Backend(key) => {
                    // Its redirects do not count: they would take every unknown host to HTTPS (createServers).
                    let policies = Policies {
                        ssl_redirect: SslRedirect::Off,
                        ..self.configuration.policies(&owned.settings, "/")
                    };
                    let route = PlannedRoute {
                        path: PathPattern::Prefix("/".into()),
                        target: Some(key.clone()),
                        policies,
                        origin: owned.origin.at(DEFAULT_BACKEND),
                        fallback: true,
                    };
                    self.insert(&HostPattern::Any, route);
                }
            }
        }
    }

    fn add_rules(&mut self, at: usize) {
        let owned = &self.owned[at];
        for (number, rule) in owned.ingress.rules.iter().enumerate() {
            let field = format!("spec.rules[{number}]");
            match rule.host.parse::<HostPattern>() {
                Ok(host) => {
                    let plan = self.plan.hosts.entry(host.clone()).or_default();
                    plan.oldest.get_or_insert(at);
                    if !owned.ingress.tls.is_empty() {
                        plan.tls.get_or_insert(at);
                    }
                    if owned.settings.closes_hosts && plan.closed.is_none() {
                        plan.closed.clone_from(&owned.settings.closed);
                    }
                    self.add_paths(owned, &host, rule, &field);
                }
                Err(error) => {
                    let message = format!("host `{}` {error}: the rule is left out", rule.host);
                    let mend = "write a DNS name, with `*.` in front for exactly one more label";
                    self.say(Severity::Error, "InvalidHost", owned.origin.at(format!("{field}.host")), message, mend);
                }
            }
        }
    }

    fn add_paths(&mut self, owned: &'a Owned<'a>, host: &HostPattern, rule: &IngressRule, field: &str) {
        for (number, path) in rule.paths.iter().flatten().enumerate() {
            let field = format!("{field}.http.paths[{number}]");
            let Some(pattern) = self.pattern(owned, path, &field) else { continue };
            let backend = format!("{field}.backend");
            let target = self.references.add(self.index, owned, &path.backend, &backend, self.diagnostics);
            let policies = self.configuration.policies(&owned.settings, pattern.as_str());
            let origin = owned.origin.at(field);
            self.insert(host, PlannedRoute { path: pattern, target, policies, origin, fallback: false });
        }
    }

    /// The path of a rule: an empty one is `/`, and a type that is absent or ImplementationSpecific is Prefix
    /// (internal/k8s SetDefaultNGINXPathType).
    fn pattern(&mut self, owned: &Owned<'_>, path: &IngressPath, field: &str) -> Option<PathPattern> {
        let text = if path.path.is_empty() { "/" } else { &path.path };
        if let Err(error) = PathPattern::check(text) {
            let message = format!("path {text:?} {error}: it is left out");
            let origin = owned.origin.at(format!("{field}.path"));
            self.say(Severity::Error, "InvalidPath", origin, message, "write a path that starts with `/`");
            return None;
        }
        match path.path_type.as_deref() {
            Some("Exact") => Some(PathPattern::Exact(text.into())),
            None | Some("Prefix" | "ImplementationSpecific") => Some(PathPattern::Prefix(text.into())),
            Some(other) => {
                let message = format!("`{other}` is no path type: the path is left out");
                let origin = owned.origin.at(format!("{field}.pathType"));
                let mend = "use `Exact`, `Prefix` or `ImplementationSpecific`";
                self.say(Severity::Error, "InvalidPathType", origin, message, mend);
                None
            }
        }
    }

    /// Adds a route unless its host and path are taken (getBackendServers: same path and same type).
    fn insert(&mut self, host: &HostPattern, route: PlannedRoute) {
        let identity = self.identity(&route.path);
        let plan = self.plan.hosts.entry(host.clone()).or_default();
        if let Some(&winner) = plan.taken.get(&identity) {
            let winner = &plan.routes[winner];
            let message = format!("host `{host}` {} is already taken by {}", route.path, winner.origin);
            let mend = "remove one of the two, or change its host, path or path type";
            self.say(Severity::Warning, "RouteConflict", route.origin, message, mend);
            return;
        }
        plan.taken.insert(identity, plan.routes.len());
        plan.routes.push(route);
    }

    /// The form in which two paths are the same: a Prefix without its trailing slash where that means nothing.
    fn identity(&self, path: &PathPattern) -> PathPattern {
        match path {
            PathPattern::Prefix(text) if self.options.is_strict() => {
                PathPattern::Prefix(text.strip_suffix('/').unwrap_or(text).into())
            }
            _ => path.clone(),
        }
    }

    /// Gives every host its implicit `/`: the default backend of the first Ingress that names the host, else the global
    /// one, under the policies of that Ingress (createServers), so that what guards its paths guards the rest too.
    fn add_fallbacks(&mut self, defaults: &[DefaultBackend]) {
        let root = PathPattern::Prefix("/".into());
        let identity = self.identity(&root);
        for (host, plan) in &mut self.plan.hosts {
            // The rest of all hosts has no owner in ingress-nginx: it is the built-in default server's.
            let has_owner = *host != HostPattern::Any || self.options.is_strict();
            if let Some(at) = plan.oldest
                && has_owner
                && !plan.taken.contains_key(&identity)
            {
                let owned = &self.owned[at];
                let (target, field) = match &defaults[at] {
                    DefaultBackend::Backend(key) => (Some(key.clone()), DEFAULT_BACKEND),
                    DefaultBackend::Unusable => (None, DEFAULT_BACKEND),
                    DefaultBackend::Absent => (None, "spec.rules"),
                };
                plan.routes.push(PlannedRoute {
                    path: root.clone(),
                    target,
                    policies: self.configuration.policies(&owned.settings, "/"),
                    origin: owned.origin.at(field),
                    fallback: true,
                });
            }
            if let Some(reason) = &plan.closed {
                for route in &mut plan.routes {
                    route.policies.closed.get_or_insert_with(|| reason.clone());
                }
            }
        }
    }
}
