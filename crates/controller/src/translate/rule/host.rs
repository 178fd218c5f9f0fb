//! What holds for a host as a whole: client certificates, redirects, the CA of its endpoints.

use std::sync::Arc;

use edgeward_routing::host::HostPattern;
use edgeward_routing::policy::{HostPolicies, HostTls, Passthrough, Policies, SslRedirect, Verify};

use super::rest::DefaultBackend;
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
        let HostPlan { policies, client_certificates, asking, .. } = &mut self.plan.hosts[host];
        if self.asked[at].is_some() {
            asking.push(at);
        }
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

    /// Decides, once for each host, where its TLS goes if that is asked (`ssl-passthrough`). That is up to the namespace of the first
    /// Ingress with a rule for the host, whatever others add: to its path `/`. Of the guards of that only the networks hold for the
    /// connections, so that where it asks who the clients are, its own Ingress has to say that it does without.
    pub(super) fn pass_tls(&mut self, defaults: &[DefaultBackend]) {
        let owned = self.owned;
        for host in 0..self.plan.hosts.len() {
            let asking = std::mem::take(&mut self.plan.hosts[host].passes_tls);
            let Some(owner) = self.plan.hosts[host].owner.filter(|_| !asking.is_empty()) else { continue };
            let namespace = &owned[owner].ingress.meta.name.namespace;
            let is_own = |by: &Owned<'_>| by.ingress.meta.name.namespace == *namespace;
            let (own, others): (Vec<usize>, Vec<usize>) = asking.into_iter().partition(|at| is_own(&owned[*at]));
            let first = &owned[owner].origin;
            let why = format!("whether it is says the namespace of {first}, which has the host");
            self.report_not_passed(host, &others, &why, "remove `ssl-passthrough`");
            if own.is_empty() {
                continue;
            }
            let plan = &self.plan.hosts[host];
            let of_path = |path| plan.routes.iter().find(|route| route.path == path && is_own(route.by));
            let root = [Path::Exact("/"), ROOT].into_iter().find_map(of_path).cloned();
            let root = root.unwrap_or_else(|| self.rest(owner, defaults));
            let Some(target) = root.target else {
                let why = format!("no path `/` of namespace `{namespace}` has a Service");
                self.report_not_passed(host, &own, &why, "add a rule for the path `/`");
                continue;
            };
            // What is closed or refused ends here, where clients are told.
            let mut asked = plan.asking.iter().filter(|at| is_own(&owned[**at])).map(|at| &self.asked[*at]);
            let is_refused = asked.clone().any(|asked| matches!(asked, Some(Err(_))));
            if is_refused || root.policies.closed.is_some() || plan.closed.contains_key(namespace) {
                continue;
            }
            let asks_certificates = asked.any(|asked| matches!(asked, Some(Ok(asked)) if asked.verify != Verify::Off));
            let says_so = own.iter().any(|at| std::ptr::eq(&owned[*at], root.by));
            if (asks_certificates || root.policies.asks_who()) && !says_so {
                let why = format!("its path `/`, which is that of {}, asks who the clients are", root.by.origin);
                self.report_not_passed(host, &own, &why, "write `ssl-passthrough` into that Ingress");
                continue;
            }
            self.references.mark_used(target);
            let Policies { networks, timeouts, retry, .. } = root.policies;
            self.plan.hosts[host].policies.passthrough = Some(Arc::new(Passthrough {
                backend: self.references.key(target).clone(),
                networks,
                connect_timeout: timeouts.connect,
                tries: retry.tries.max(1),
            }));
        }
    }

    fn report_not_passed(&mut self, host: usize, asking: &[usize], why: &str, mend: &str) {
        for at in asking {
            let message =
                format!("TLS of host `{}` is not passed on for this Ingress: {why}", self.plan.hosts[host].host);
            let origin = self.owned[*at].origin.at(Place::Rules.to_string());
            self.say(Severity::Warning, "PassthroughIgnored", origin, message, mend);
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
