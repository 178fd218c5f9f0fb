//! What no rule of a host takes: Ingresses that are only a default backend, and the rest of each host.

use edgeward_routing::host::HostPattern;
use edgeward_routing::policy::{Policies, SslRedirect};

use super::{Place, PlannedRoute, Planner, ROOT};
use crate::diagnostic::Severity;
use crate::translate::backend::ReferenceId;
use crate::translate::class::Owned;
use crate::translate::policy;

/// What `spec.defaultBackend` says.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum DefaultBackend {
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
    pub(super) fn default_backend(&mut self, owned: &'a Owned<'a>) -> DefaultBackend {
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
    pub(super) fn add_catch_alls(&mut self, defaults: &[DefaultBackend]) {
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

    /// Gives every host its implicit `/`: the default backend of its owner, else the global one, under the policies of that
    /// Ingress (createServers), so that what guards its paths guards the rest too.
    pub(super) fn add_fallbacks(&mut self, defaults: &[DefaultBackend]) {
        for host in 0..self.plan.hosts.len() {
            let Some(at) = self.plan.hosts[host].owner else { continue };
            if self.taken.contains_key(&(host, self.identity(ROOT))) {
                continue;
            }
            self.insert(host, self.rest(at, defaults));
        }
        for (host, at) in std::mem::take(&mut self.leftovers) {
            self.report_leftovers(host, at, defaults[at]);
        }
    }

    /// What takes the rest of a host of this Ingress.
    pub(super) fn rest(&self, at: usize, defaults: &[DefaultBackend]) -> PlannedRoute<'a> {
        let by = &self.owned[at];
        let (target, place) = match defaults[at] {
            DefaultBackend::Backend(id) => (Some(id), Place::DefaultBackend),
            DefaultBackend::Unusable | DefaultBackend::Dropped => (None, Place::DefaultBackend),
            DefaultBackend::Absent => (None, Place::Rules),
        };
        let policies = policy::at_path(self.configuration, &self.policies[at], "/");
        // Clients get their session by a path alone (controller.go getBackendServers).
        let policies = Policies { sets_session: false, ..policies };
        PlannedRoute { path: ROOT, pattern: None, target, policies, by, place, fallback: true }
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
}
