//! Hosts whose routes are closed because what guards them cannot be enforced.

use super::{Place, PlannedRoute, Planner};
use crate::diagnostic::Severity;
use crate::translate::class::Owned;

impl Planner<'_, '_> {
    /// Closes a host for a namespace because an Ingress guards paths there that cannot be told from others; nothing when it
    /// guards none. Guarding or closing its own routes would leave what they miss to the routes of others. Those of other
    /// namespaces lead to other applications, and are not the Ingress's to close.
    pub(super) fn close_host(&mut self, host: usize, owned: &Owned<'_>, place: Place, why: &str) {
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
    pub(super) fn close_hosts(&mut self) {
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
