//! Ingresses that a value drops: on hosts where others are served, the routes of those would take what they guard.

use edgeward_routing::host::HostPattern;
use hashbrown::HashSet;

use super::{Place, Planner, other_name};
use crate::diagnostic::Severity;
use crate::translate::class::Owned;

/// The names under which Ingresses are served.
#[derive(Default)]
pub(super) struct Served {
    names: HashSet<HostPattern>,
    /// Those of them that are more than a look into a table.
    listed: Vec<HostPattern>,
}

impl Served {
    pub(super) fn of(owned: &[Owned<'_>]) -> Self {
        let mut served = Self::default();
        // Nobody asks in most cases.
        if owned.iter().any(Owned::is_dropped) {
            for owned in owned.iter().filter(|owned| !owned.is_dropped() && !owned.is_canary()) {
                served.add(owned);
            }
        }
        served
    }

    fn add(&mut self, owned: &Owned<'_>) {
        let hosts = owned.ingress.rules.iter().map(|rule| rule.host.as_str());
        self.names.extend(hosts.clone().filter_map(|host| host.parse().ok()));
        if owned.settings.redirects.from_to_www {
            self.names.extend(hosts.filter_map(|host| other_name(host).parse().ok()));
        }
        if owned.ingress.rules.is_empty() && owned.ingress.default_backend.is_some() {
            self.names.insert(HostPattern::Any);
        }
        let (listed, names) =
            owned.settings.paths.aliases.iter().cloned().partition::<Vec<_>, _>(HostPattern::is_listed);
        self.listed.extend(listed);
        self.names.extend(names);
    }

    /// Whether requests for a host would be served if no rule named it but those that are served.
    pub(super) fn has(&self, host: &HostPattern) -> bool {
        self.names.contains(host)
            || self.names.contains(&HostPattern::Any)
            || host.wildcard_above().is_some_and(|above| self.names.contains(&above))
            || self.listed.iter().any(|name| name.covers(host))
    }
}

impl Planner<'_, '_> {
    /// Whether the rules of an Ingress for this host count: always, unless a value drops it and nobody else is served there or
    /// under another name that it gives the host.
    pub(super) fn counts(&self, owned: &Owned<'_>, host: &HostPattern) -> bool {
        let mut names = owned.settings.paths.aliases.iter().chain([host]);
        !owned.is_dropped() || names.any(|name| self.served.has(name))
    }

    /// Reports that routes of an Ingress that a value drops are there, but closed.
    pub(super) fn report_kept_closed(&mut self, owned: &Owned<'_>, host: &HostPattern, place: Place) {
        let message = format!(
            "a value of this Ingress is none, and it guards its routes: those of host `{host}`, where other Ingresses are \
             served, answer 503"
        );
        let mend = "correct the value";
        self.say(Severity::Error, "RouteClosed", owned.origin.at(place.to_string()), message, mend);
    }
}
