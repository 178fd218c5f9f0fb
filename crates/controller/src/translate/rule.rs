//! Rules: the routes of every host, which of two wins, and what takes the rest of a host.

mod alias;
mod dropped;
mod pattern;
mod place;

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::host::HostPattern;
use edgeward_routing::origin::Origin;
use edgeward_routing::path::{BadPath, PathPattern, PathRegex};
use edgeward_routing::policy::{HostPolicies, Policies, SslRedirect, Verify};
use edgeward_routing::table::RouteTable;
use hashbrown::HashMap;

use self::dropped::Served;
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
use crate::object::{IngressPath, IngressRule};

pub(super) use place::{Path, Place};

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
    /// What holds for all its routes.
    policies: HostPolicies,
    /// The first Ingress that asks for certificates of its clients.
    client_certificates: Option<usize>,
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
            policies: HostPolicies::default(),
            client_certificates: None,
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

    /// Reports hosts whose clients have to show a certificate, where requests in the clear, which have none, are served too. It
    /// is so in ingress-nginx.
    pub(super) fn report_clear(&self, owned: &[Owned<'_>], diagnostics: &mut Vec<Diagnostic>) {
        for plan in &self.hosts {
            let HostPlan { host, policies, client_certificates: Some(at), .. } = plan else { continue };
            let asks = policies.client_certificates.as_ref().is_some_and(|asked| asked.verify == Verify::On);
            let is_served = |route: &PlannedRoute<'_>| match route.policies.ssl_redirect {
                _ if route.policies.closed.is_some() => false,
                SslRedirect::Always => false,
                SslRedirect::WithCertificate => !self.has_certificate(host),
                SslRedirect::Off => true,
            };
            if !asks || policies.refused.is_some() || !plan.routes.iter().any(is_served) {
                continue;
            }
            let message = format!(
                "clients of host `{host}` have to show a certificate, but requests in the clear are served without one"
            );
            let origin = owned[*at].origin.at(Place::Rules.to_string());
            let mend =
                "give the host a `tls` section, and do not switch `ssl-redirect` off; or set `force-ssl-redirect`";
            diagnostics.push(Diagnostic::new(Severity::Warning, "ClientCertificateClear", origin, message, mend));
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
    let asked = owned.iter().map(|owned| client_certificate::of_ingress(index, owned, diagnostics)).collect();
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
    planner.add_host_policies();
    planner.share_upstream_tls();
    planner.close_hosts();
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

/// What `spec.defaultBackend` says.
#[derive(Clone, Copy, PartialEq)]
enum DefaultBackend {
    /// There is none.
    Absent,
    /// It names no Service: the snapshot's default backend.
    Unusable,
    /// A Service port.
    Backend(ReferenceId),
    /// Nothing answers: a value drops the Ingress.
    Dropped,
}

impl<'a> Planner<'a, '_> {
    pub(super) fn say(&mut self, severity: Severity, code: &'static str, origin: Origin, message: String, mend: &str) {
        self.diagnostics.push(Diagnostic::new(severity, code, origin, message, mend));
    }

    fn default_backend(&mut self, owned: &'a Owned<'a>) -> DefaultBackend {
        if owned.is_canary() {
            self.add_canary_default(owned);
            return DefaultBackend::Absent;
        }
        let Some(backend) = &owned.ingress.default_backend else { return DefaultBackend::Absent };
        if owned.is_dropped() {
            return DefaultBackend::Dropped;
        }
        let field = || Place::DefaultBackend.to_string();
        match self.references.add(owned, backend, field, self.diagnostics) {
            Some(id) => DefaultBackend::Backend(id),
            None => DefaultBackend::Unusable,
        }
    }

    /// Adds the Ingresses without rules: each is a default backend for every host, and the first wins.
    fn add_catch_alls(&mut self, defaults: &[DefaultBackend]) {
        for (at, (owned, default)) in self.owned.iter().zip(defaults).enumerate() {
            if !owned.ingress.rules.is_empty() || owned.is_canary() {
                continue;
            }
            let target = match default {
                DefaultBackend::Absent if owned.is_dropped() => continue,
                DefaultBackend::Absent => {
                    let message = "the Ingress has neither rules nor a default backend: it serves nothing".to_owned();
                    let origin = owned.origin.at("spec");
                    self.say(Severity::Warning, "EmptyIngress", origin, message, "add rules, or remove the Ingress");
                    continue;
                }
                _ if self.options.disable_catch_all => {
                    let message = "an Ingress that is only a default backend is left out".to_owned();
                    let mend = "remove `--disable-catch-all`, or give it rules";
                    self.say(
                        Severity::Warning,
                        "CatchAllDisabled",
                        owned.origin.at(Place::DefaultBackend.to_string()),
                        message,
                        mend,
                    );
                    continue;
                }
                DefaultBackend::Unusable => continue,
                DefaultBackend::Dropped if !self.counts(owned, &HostPattern::Any) => continue,
                DefaultBackend::Dropped => {
                    self.report_kept_closed(owned, &HostPattern::Any, Place::DefaultBackend);
                    None
                }
                DefaultBackend::Backend(target) => Some(*target),
            };
            // Its redirects do not count: they would take every unknown host to HTTPS (createServers).
            let policies = Policies {
                ssl_redirect: SslRedirect::Off,
                redirect: None,
                sets_session: false,
                ..self.policies[at].clone()
            };
            let host = self.plan.number(HostPattern::Any);
            let place = Place::DefaultBackend;
            self.ask(at, host);
            self.insert(
                host,
                PlannedRoute { path: ROOT, pattern: None, target, policies, by: owned, place, fallback: true },
            );
        }
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
                    plan.policies.passes_tls |= owned.settings.passes_tls
                        && self.options.enable_ssl_passthrough
                        && plan.host != HostPattern::Any;
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

    /// Has a host ask of its clients what this Ingress asks for, unless an earlier one has said. That one of them cannot be
    /// read refuses everybody (controller.go, AuthTLSError).
    fn ask(&mut self, at: usize, host: usize) {
        let HostPlan { policies, client_certificates, .. } = &mut self.plan.hosts[host];
        match &self.asked[at] {
            None => {}
            Some(Err(why)) => _ = policies.refused.get_or_insert_with(|| why.clone()),
            Some(Ok(asked)) => {
                client_certificates.get_or_insert(at);
                let known = policies.client_certificates.get_or_insert_with(|| asked.clone());
                if known != asked {
                    let host = &self.plan.hosts[host].host;
                    let message = format!(
                        "what this Ingress asks of clients of `{host}` does not count: an earlier one has said"
                    );
                    let mend = "write the same `auth-tls-*` annotations into both";
                    let origin = self.owned[at].origin.at(Place::Rules.to_string());
                    self.say(Severity::Warning, "ClientCertificateConflict", origin, message, mend);
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

    /// The path of a rule, and its text: an empty one is `/`, and a type that is absent or ImplementationSpecific is
    /// Prefix (internal/k8s SetDefaultNGINXPathType).
    pub(super) fn pattern(
        &mut self,
        owned: &Owned<'_>,
        path: &'a IngressPath,
        place: Place,
    ) -> Option<(Path<'a>, &'a str)> {
        let text = if path.path.is_empty() { "/" } else { path.path.as_str() };
        if let Err(error) = PathPattern::check(text) {
            let message = format!("path {text:?} {error}: it is left out");
            let origin = owned.origin.at(format!("{place}.path"));
            self.say(Severity::Error, "InvalidPath", origin, message, "write a path that starts with `/`");
            return None;
        }
        match path.path_type.as_deref() {
            Some("Exact") => Some((Path::Exact(text), text)),
            Some("Prefix" | "ImplementationSpecific") => Some((Path::Prefix(text), text)),
            None => {
                // In the removed versions it did not exist, or could be left out.
                if owned.ingress.legacy.is_none() {
                    let message =
                        "there is no pathType: it is taken for `Prefix`, but the API server refuses the Ingress";
                    let origin = owned.origin.at(format!("{place}.pathType"));
                    let mend = "write `pathType: Prefix`";
                    self.say(Severity::Warning, "PathTypeMissing", origin, message.to_owned(), mend);
                }
                Some((Path::Prefix(text), text))
            }
            Some(other) => {
                let message = format!("`{other}` is no path type: the path is left out");
                let origin = owned.origin.at(format!("{place}.pathType"));
                let mend = "use `Exact`, `Prefix` or `ImplementationSpecific`";
                self.say(Severity::Error, "InvalidPathType", origin, message, mend);
                None
            }
        }
    }

    /// Whether any request may have a path; one that is compared with what no request has is reported.
    pub(super) fn takes_requests(&mut self, owned: &Owned<'_>, path: &IngressPath, text: &str, place: Place) -> bool {
        if owned.settings.paths.use_regex || owned.settings.paths.target.is_some() || is_regular_expression(path) {
            return true;
        }
        let mend = match PathPattern::normalized(text) {
            Ok(form) if form == text => return true,
            Ok(form) => format!("write `{form}`"),
            // A `%` that escapes nothing is a plain character.
            Err(BadPath::BadEncoding) => return true,
            Err(_) => "remove it: such requests are refused with 400".to_owned(),
        };
        let message = format!(
            "path `{text}` takes no request that is written like it: requests are decoded and normalised before they \
             are compared"
        );
        let origin = owned.origin.at(format!("{place}.path"));
        self.say(Severity::Warning, "PathNotNormalized", origin, message, &mend);
        false
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

    /// Gives every host its implicit `/`: the default backend of its owner, else the global one, under the policies of that
    /// Ingress (createServers), so that what guards its paths guards the rest too.
    fn add_fallbacks(&mut self, defaults: &[DefaultBackend]) {
        for host in 0..self.plan.hosts.len() {
            let Some(at) = self.plan.hosts[host].owner else { continue };
            if self.taken.contains_key(&(host, self.identity(ROOT))) {
                continue;
            }
            let by = &self.owned[at];
            let (target, place) = match defaults[at] {
                DefaultBackend::Backend(id) => (Some(id), Place::DefaultBackend),
                DefaultBackend::Unusable | DefaultBackend::Dropped => (None, Place::DefaultBackend),
                DefaultBackend::Absent => (None, Place::Rules),
            };
            let policies = policy::at_path(self.configuration, &self.policies[at], "/");
            // Clients get their session by a path alone (controller.go getBackendServers).
            let policies = Policies { sets_session: false, ..policies };
            self.insert(host, PlannedRoute { path: ROOT, pattern: None, target, policies, by, place, fallback: true });
        }
        for (host, at) in std::mem::take(&mut self.leftovers) {
            self.report_leftovers(host, at, defaults[at]);
        }
    }

    /// Reports an Ingress that asks for what the rules of a host leave over, where it goes elsewhere.
    fn report_leftovers(&mut self, host: usize, at: usize, default: DefaultBackend) {
        let plan = &self.plan.hosts[host];
        let Some(rest) = self.taken.get(&(host, self.identity(ROOT))).map(|route| &plan.routes[*route]) else { return };
        let wanted = match default {
            DefaultBackend::Backend(id) => Some(id),
            DefaultBackend::Absent | DefaultBackend::Unusable | DefaultBackend::Dropped => None,
        };
        // A rule for `/` is no mistake: nothing is left over.
        if !rest.fallback || rest.target == wanted {
            return;
        }
        let message = format!(
            "this default backend has no effect on host `{}`: {} comes first, and what no rule takes goes where that says",
            plan.host, rest.by.origin
        );
        let origin = self.owned[at].origin.at(Place::DefaultBackend.to_string());
        let mend = "name the same default backend in both, or add a rule for the path `/`";
        self.say(Severity::Warning, "DefaultBackendIgnored", origin, message, mend);
    }

    /// Adds the other names of hosts that redirect from them, where no rule has them (pkg/util/ingress BuildRedirects).
    fn add_other_names(&mut self) {
        for host in 0..self.plan.hosts.len() {
            let HostPlan { host: HostPattern::Exact(name), from_to_www: Some(at), tls, .. } = &self.plan.hosts[host]
            else {
                continue;
            };
            let (at, tls, name) = (*at, *tls, name.clone());
            let other = other_name(&name);
            let Ok(pattern @ HostPattern::Exact(_)) = other.parse::<HostPattern>() else { continue };
            let by = &self.owned[at];
            if self.plan.of_pattern(&pattern).is_some() {
                let message = format!("there is no redirect from `{other}` to `{name}`: a rule has that name");
                let origin = by.origin.at(Place::Rules.to_string());
                let mend = "remove `from-to-www-redirect`, or the rules for the other name";
                self.say(Severity::Warning, "RedirectConflict", origin, message, mend);
                continue;
            }
            let number = self.plan.number(pattern);
            let plan = &mut self.plan.hosts[number];
            plan.tls = tls;
            plan.owner = Some(at);
            plan.policies.other_name = Some(name);
            let policies = Policies::default();
            let place = Place::Rules;
            self.insert(
                number,
                PlannedRoute { path: ROOT, pattern: None, target: None, policies, by, place, fallback: true },
            );
        }
    }

    /// Gives the routes of each host what holds for it as a whole.
    fn add_host_policies(&mut self) {
        for plan in &mut self.plan.hosts {
            // Of several the one of the route that nginx has first: the longest path (controller.go, sort of locations).
            let roots = plan.routes.iter().filter_map(|route| {
                let (Path::Exact(path) | Path::Prefix(path)) = route.path;
                Some((path.len(), path, route.by.settings.redirects.app_root.as_ref()?))
            });
            plan.policies.app_root =
                roots.max_by_key(|(length, path, _)| (*length, *path)).map(|(.., root)| root.clone());
            if plan.policies == HostPolicies::default() {
                continue;
            }
            let policies = Arc::new(std::mem::take(&mut plan.policies));
            for route in &mut plan.routes {
                route.policies.host = Some(Arc::clone(&policies));
            }
        }
    }

    /// Has what the first Ingress of a host with a CA asks for hold for all routes of the host that have nothing of their own
    /// (nginx.tmpl SERVER: `proxy_ssl_trusted_certificate`).
    fn share_upstream_tls(&mut self) {
        if self.configuration.upstream_tls_of_routes_only {
            return;
        }
        for plan in &mut self.plan.hosts {
            let Some(tls) = plan.upstream_tls.and_then(|at| self.policies[at].upstream_tls.as_ref()) else { continue };
            for route in &mut plan.routes {
                route.policies.upstream_tls.get_or_insert_with(|| Arc::clone(tls));
            }
        }
    }

    /// Closes a host for a namespace because an Ingress guards paths there that cannot be told from others; nothing when it
    /// guards none. Guarding or closing its own routes would leave what they miss to the routes of others. Those of other
    /// namespaces lead to other applications, and are not the Ingress's to close.
    fn close_host(&mut self, host: usize, owned: &Owned<'_>, place: Place, why: &str) {
        if !owned.settings.is_guarded {
            return;
        }
        let reason = owned.settings.closed.clone().unwrap_or_else(|| "it guards its routes".into());
        let plan = &mut self.plan.hosts[host];
        let namespace = owned.namespace();
        if plan.closed.contains_key(&namespace) {
            return;
        }
        let message =
            format!("{reason}, and {why}: all routes of namespace `{namespace}` on host `{}` answer 503", plan.host);
        plan.closed.insert(namespace, reason);
        let mend = "guard paths that are plain text, or keep all Ingresses of this host on another controller";
        self.say(Severity::Error, "HostClosed", owned.origin.at(place.to_string()), message, mend);
    }

    /// Closes, each for a namespace, the hosts of which one Ingress guards the whole, or paths that are plain text but do not look like it.
    fn close_hosts(&mut self) {
        for (host, at, place) in std::mem::take(&mut self.doubtful) {
            let (plan, by) = (&self.plan.hosts[host], &self.owned[at]);
            let is_route = |route: &PlannedRoute<'_>| std::ptr::eq(route.by, by) && route.place == place;
            if !plan.has_patterns && !plan.routes.iter().any(|route| is_route(route) && route.pattern.is_some()) {
                self.close_host(host, by, place, "a path that it guards is a regular expression");
            }
        }
        for plan in &mut self.plan.hosts {
            for route in &mut plan.routes {
                if let Some(reason) = plan.closed.get(&route.by.ingress.meta.name.namespace) {
                    route.policies.closed.get_or_insert_with(|| reason.clone());
                }
            }
        }
    }
}

/// The name with `www.` for one without, and the one without for one with.
pub(crate) fn other_name(name: &str) -> String {
    name.strip_prefix("www.").map_or_else(|| format!("www.{name}"), str::to_owned)
}

/// Whether a path looks like a regular expression. Only paths that are not held to be plain by their type are meant as
/// one.
fn is_regular_expression(path: &IngressPath) -> bool {
    let is_plain = matches!(path.path_type.as_deref(), Some("Exact" | "Prefix"));
    !is_plain && path.path.contains(['^', '$', '(', ')', '[', ']', '{', '}', '|', '*', '+', '?', '\\'])
}
