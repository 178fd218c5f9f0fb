//! What holds for a host as a whole: client certificates, redirects, the CA of its endpoints.

use std::sync::Arc;

use edgeward_routing::host::HostPattern;
use edgeward_routing::policy::{HostPolicies, HostTls, Policies, SslRedirect, Verify};

use super::{HostPlan, Path, Place, Plan, PlannedRoute, Planner, ROOT};
use crate::diagnostic::{Diagnostic, Severity};
use crate::translate::class::Owned;

impl Plan<'_> {
    /// Reports hosts whose clients have to show a certificate, where requests in the clear, which have none, are served too. It
    /// is so in ingress-nginx.
    pub(in super::super) fn report_clear(&self, owned: &[Owned<'_>], diagnostics: &mut Vec<Diagnostic>) {
        for plan in &self.hosts {
            let HostPlan { host, client_certificates: Some(at), .. } = plan else { continue };
            let is_asked = |policies: &HostPolicies| {
                let asked = policies.client_certificates.as_ref().filter(|_| policies.refused.is_none());
                asked.is_some_and(|asked| asked.verify == Verify::On)
            };
            let is_served = |route: &PlannedRoute<'_>| match route.policies.ssl_redirect {
                _ if route.policies.closed.is_some() => false,
                SslRedirect::Always => false,
                SslRedirect::WithCertificate => !self.has_certificate(host),
                SslRedirect::Off => true,
            };
            let is_clear =
                |route: &PlannedRoute<'_>| route.policies.host.as_deref().is_some_and(is_asked) && is_served(route);
            if !plan.routes.iter().any(is_clear) {
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
}

impl Planner<'_, '_> {
    /// Has a host ask of its clients what this Ingress asks for, unless an earlier one has said. That one of them cannot be
    /// read refuses everybody (controller.go, AuthTLSError).
    pub(super) fn ask(&mut self, at: usize, host: usize) {
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

    /// Has TLS of a host be spoken as this Ingress asks for it, in what no earlier one has said (controller.go, SSLCiphers).
    pub(super) fn speak_tls(&mut self, at: usize, host: usize) {
        let owned = &self.owned[at];
        let HostTls { ciphers, prefers_own_order, .. } = &owned.settings.tls;
        let HostPlan { host, policies: HostPolicies { tls, .. }, .. } = &mut self.plan.hosts[host];
        if ciphers.is_some() && tls.ciphers.is_none() {
            tls.ciphers.clone_from(ciphers);
        }
        tls.prefers_own_order = tls.prefers_own_order.or(*prefers_own_order);
        let counts = (ciphers.is_none() || *ciphers == tls.ciphers)
            && (prefers_own_order.is_none() || *prefers_own_order == tls.prefers_own_order);
        if !counts {
            let message =
                format!("the ciphers that this Ingress asks for do not count for `{host}`: an earlier one has said");
            let mend = "write the same `ssl-ciphers` and `ssl-prefer-server-ciphers` into both";
            let origin = owned.origin.at(Place::Rules.to_string());
            self.say(Severity::Warning, "CiphersConflict", origin, message, mend);
        }
    }

    /// Adds the other names of hosts that redirect from them, where no rule has them (pkg/util/ingress BuildRedirects).
    pub(super) fn add_other_names(&mut self) {
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

    /// Has TLS passed on to routes for whose host that is asked (`ssl-passthrough`), in their own namespace: the route for `/` gets
    /// all connections of the host, and none of its guards but the networks. Where it asks who the clients are, its own
    /// Ingress has to say that it does without.
    pub(super) fn pass_tls(&mut self) {
        let owned = self.owned;
        for host in 0..self.plan.hosts.len() {
            let HostPlan { host, passes_tls, policies, routes, .. } = &mut self.plan.hosts[host];
            let asks = policies.client_certificates.as_ref().is_some_and(|asked| asked.verify != Verify::Off);
            let asking = std::mem::take(passes_tls);
            for route in routes.iter_mut() {
                route.policies.passes_tls = asking.iter().any(|at| match asks || route.policies.asks_who() {
                    true => std::ptr::eq(&owned[*at], route.by),
                    false => owned[*at].namespace() == route.by.namespace(),
                });
            }
            let root =
                [Path::Exact("/"), ROOT].into_iter().find_map(|path| routes.iter().find(|route| route.path == path));
            let Some(root) = root.filter(|root| !root.policies.passes_tls) else { continue };
            let (host, root) = (host.to_string(), root.by.origin.at(root.place.to_string()));
            for at in asking {
                let message = format!(
                    "TLS of host `{host}` is not passed on (`ssl-passthrough`): its path `/` is that of {root}, which is in \
                     another namespace, or asks who the clients are"
                );
                let mend = "write `ssl-passthrough` into that Ingress";
                let origin = owned[at].origin.at(Place::Rules.to_string());
                self.say(Severity::Warning, "PassthroughIgnored", origin, message, mend);
            }
        }
    }

    /// Gives the routes of each host what holds for it as a whole.
    pub(super) fn add_host_policies(&mut self) {
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
    pub(super) fn share_upstream_tls(&mut self) {
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
}

/// The name with `www.` for one without, and the one without for one with.
pub(crate) fn other_name(name: &str) -> String {
    name.strip_prefix("www.").map_or_else(|| format!("www.{name}"), str::to_owned)
}
