//! Other names of hosts (`server-alias`).

use edgeward_routing::certificate::CertificateTable;
use edgeward_routing::host::HostPattern;
use edgeward_routing::origin::Origin;
use edgeward_routing::policy::HostPolicies;
use hashbrown::{HashMap, HashSet};

use super::{HostPlan, Place, Plan, Planner};
use crate::diagnostic::Severity;

/// So many other names every host has, whatever the others have. Each of them has all routes of the host.
const NAMES: usize = 4;

/// The most routes that all hosts have together under their further names: what objects take is a multiple of their size, and no
/// more than this beside it.
const ROUTES: usize = 65_536;

/// The code of the diagnostic about other names for which there is no room.
pub(in super::super) const LEFT_OUT: &str = "AliasesLeftOut";

/// Whether an Ingress with these other names may ask for a part of what is there for all hosts.
pub(in super::super) fn shares_room(aliases: &[HostPattern]) -> bool {
    aliases.iter().map(names_of).sum::<usize>() > NAMES
}

impl Plan<'_> {
    /// Learns which other names have a certificate: those that the one of their host is for (controller.go
    /// configureCertificates).
    pub(in super::super) fn certify_aliases(&mut self, certificates: &CertificateTable) {
        for at in 0..self.hosts.len() {
            let HostPlan { host, alias_of: Some(main), .. } = &self.hosts[at] else { continue };
            let tls = self.hosts[*main].tls.filter(|_| certificates.by_host.contains_key(host));
            self.hosts[at].tls = tls;
        }
    }
}

impl Planner<'_, '_> {
    /// Gives the other names of hosts the routes of their hosts, where no rule and no redirect has them. Of two hosts with the
    /// same other name the first in the alphabet has it, as nginx has them in that order.
    pub(super) fn add_aliases(&mut self) {
        let named =
            self.plan.hosts.iter().zip(0..).filter_map(|(plan, host)| Some((name(&plan.host), host, plan.aliases?)));
        let mut named: Vec<(String, usize, usize)> = named.collect();
        named.sort();
        let rooms = self.rooms(named.iter().map(|(_, host, by)| (*by, *host)).collect());
        let mut expressions = HashSet::new();
        for (name, main, by) in named {
            let by = &self.owned[by];
            let mut left = rooms.get(&main).copied().unwrap_or_default();
            for alias in &by.settings.paths.aliases {
                // `*.x` is a name like the wildcard host; what is one label below it may have a certificate.
                let wildcard = match alias {
                    HostPattern::Below(suffix) => Some(HostPattern::Wildcard(suffix.clone())),
                    _ => None,
                };
                let names: Vec<HostPattern> = [alias.as_alias_of(&name)].into_iter().chain(wildcard).collect();
                let Some(rest) = left.checked_sub(names.len()) else {
                    self.report_left_out(main, alias, by.origin.at(Place::Rules.to_string()));
                    break;
                };
                // Of two hosts with the same expression the first takes all.
                if matches!(alias, HostPattern::Regex(_)) && !expressions.insert(alias) {
                    self.report_alias(main, alias, alias, by.origin.at(Place::Rules.to_string()));
                    continue;
                }
                let taken = names.iter().find_map(|name| self.plan.of_pattern(name));
                if let Some(taken) = taken {
                    if taken.host != self.plan.hosts[main].host {
                        self.report_alias(main, alias, &taken.host.clone(), by.origin.at(Place::Rules.to_string()));
                    }
                    continue;
                }
                left = rest;
                for name in names {
                    self.add_alias(main, name);
                }
            }
        }
    }

    /// How many other names each of these hosts may have, which the Ingress in front of it asks for. The earlier ones have their share
    /// of what is there for all before the later ones.
    fn rooms(&self, mut named: Vec<(usize, usize)>) -> HashMap<usize, usize> {
        named.sort_unstable();
        let mut left = ROUTES;
        let room = |(by, host): (usize, usize)| {
            let routes = self.plan.hosts[host].routes.len().max(1);
            let aliases = &self.owned[by].settings.paths.aliases;
            let further = aliases.iter().map(names_of).sum::<usize>().saturating_sub(NAMES).min(left / routes);
            left -= further * routes;
            (host, NAMES + further)
        };
        named.into_iter().map(room).collect()
    }

    fn add_alias(&mut self, main: usize, name: HostPattern) {
        let number = self.plan.number(name);
        let HostPlan { owner, ref routes, .. } = self.plan.hosts[main];
        let routes = routes.clone();
        let plan = &mut self.plan.hosts[number];
        plan.owner = owner;
        plan.alias_of = Some(main);
        plan.policies = HostPolicies::default();
        plan.routes = routes;
    }

    fn report_alias(&mut self, main: usize, alias: &HostPattern, taken: &HostPattern, origin: Origin) {
        let host = &self.plan.hosts[main].host;
        let message = format!("`{alias}` is no other name of `{host}`: there is a host `{taken}`");
        let mend = "take it off `server-alias`, or remove the other one";
        self.say(Severity::Warning, "AliasConflict", origin, message, mend);
    }

    fn report_left_out(&mut self, main: usize, alias: &HostPattern, origin: Origin) {
        let host = &self.plan.hosts[main].host;
        let message = format!(
            "`{alias}` and what `server-alias` has behind it are no other names of `{host}`: beyond the first {NAMES} names of each, \
             all hosts would have more than {ROUTES} routes under their other names"
        );
        let mend = "name fewer hosts, split the paths of the host, or write rules for these names";
        self.say(Severity::Error, LEFT_OUT, origin, message, mend);
    }

    /// Reports the other names that an Ingress asks for, where those of another one count (controller.go createServers).
    pub(super) fn report_passed_over(&mut self, host: usize, first: usize, at: usize) {
        let (first, host) = (&self.owned[first].origin, &self.plan.hosts[host].host);
        let message = format!("`server-alias` has no effect on host `{host}`: the other names are those of {first}");
        let mend = "name all of them there";
        self.say(Severity::Warning, "AliasConflict", self.owned[at].origin.at(Place::Rules.to_string()), message, mend);
    }
}

/// How many names an alias comes to: `*.x` is two.
fn names_of(alias: &HostPattern) -> usize {
    if matches!(alias, HostPattern::Below(_)) { 2 } else { 1 }
}

/// A host as ingress-nginx writes it.
fn name(host: &HostPattern) -> String {
    if *host == HostPattern::Any { "_".to_owned() } else { host.to_string() }
}
