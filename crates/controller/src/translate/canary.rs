//! Canaries: Ingresses that add no route, but an alternative to the backend of a route that is there (ingress-nginx
//! controller.go mergeAlternativeBackends; row 29 of its semantics).

use edgeward_routing::host::HostPattern;

use super::backend::{Alternative, ReferenceId};
use super::class::Owned;
use super::rule::{Path, Place, Planner};
use crate::diagnostic::Severity;
use crate::object::IngressRule;

/// A Service port that a canary names.
pub(super) struct CanaryTarget<'a> {
    by: &'a Owned<'a>,
    place: Place,
    /// The route that it is an alternative to; `None` is every route that no host leads to.
    route: Option<(HostPattern, Path<'a>)>,
    backend: ReferenceId,
}

impl<'a> Planner<'a, '_> {
    /// Takes in the `defaultBackend` of a canary.
    pub(super) fn add_canary_default(&mut self, owned: &'a Owned<'a>) {
        let is_served = !owned.ingress.rules.is_empty() || !self.options.disable_catch_all;
        let Some(backend) = owned.ingress.default_backend.as_ref().filter(|_| is_served) else { return };
        let place = Place::DefaultBackend;
        if let Some(backend) = self.references.add(owned, backend, || place.to_string(), self.diagnostics) {
            self.canaries.push(CanaryTarget { by: owned, place, route: None, backend });
        }
    }

    /// Takes in the paths of one rule of a canary.
    pub(super) fn add_canary_paths(
        &mut self,
        owned: &'a Owned<'a>,
        host: &HostPattern,
        number: usize,
        rule: &'a IngressRule,
    ) {
        for (at, path) in rule.paths.iter().flatten().enumerate() {
            let place = Place::Path(number, at);
            let Some((pattern, text)) = self.pattern(owned, path, place) else { continue };
            self.takes_requests(owned, path, text, place);
            let field = || format!("{place}.backend");
            if let Some(backend) = self.references.add(owned, &path.backend, field, self.diagnostics) {
                let route = Some((host.clone(), pattern));
                self.canaries.push(CanaryTarget { by: owned, place, route, backend });
            }
        }
    }

    /// Makes canaries the alternatives of the backends that their routes lead to.
    pub(super) fn add_alternatives(&mut self) {
        for CanaryTarget { by, place, route, backend } in std::mem::take(&mut self.canaries) {
            let mains = match &route {
                Some((host, path)) => Vec::from_iter(self.target(host, *path)),
                None => self.any_host_targets(),
            };
            let mut found =
                Err("no route of another Ingress with the same host, path and path type leads to a Service");
            for main in mains {
                match self.references.add_alternative(main, backend, by.settings.affinity.leaves_canary) {
                    Alternative::Taken => found = Ok(()),
                    Alternative::Refused(why) => found = found.or(Err(why)),
                }
            }
            if let Err(why) = found {
                let message = format!("no request goes to this canary: {why}");
                let mend = "give it the namespace, host, path and path type of its main Ingress, and a Service port of its own";
                self.say(Severity::Warning, "CanaryIgnored", by.origin.at(place.to_string()), message, mend);
            }
        }
    }
}
