//! Which Ingresses name the same hosts and Services.

use std::collections::BTreeSet;

use edgeward_routing::host::HostPattern;
use hashbrown::HashMap;

use super::dirty::Around;
use crate::object::{Ingress, IngressBackend, NamespacedName};

/// The hosts that an Ingress names, in rules and `tls`. One without rules takes requests of every host.
pub(super) fn hosts(ingress: &Ingress) -> impl Iterator<Item = HostPattern> {
    let every = ingress.rules.is_empty().then_some(HostPattern::Any);
    let of_rules = ingress.rules.iter().map(|rule| &rule.host);
    let all = of_rules.chain(ingress.tls.iter().flat_map(|tls| &tls.hosts));
    // What is no host is reported, and no other Ingress has to do with it.
    every.into_iter().chain(all.filter_map(|host| host.parse().ok()))
}

/// The Services that an Ingress names.
pub(super) fn services(ingress: &Ingress) -> impl Iterator<Item = NamespacedName> {
    let of_rules = ingress.rules.iter().flat_map(|rule| rule.paths.iter().flatten()).map(|path| &path.backend);
    of_rules.chain(&ingress.default_backend).filter_map(|backend| match backend {
        IngressBackend::Service { name, .. } => {
            let namespace = ingress.meta.name.namespace.clone();
            Some(NamespacedName { namespace, name: name.as_str().into() })
        }
        IngressBackend::Resource { .. } | IngressBackend::Missing => None,
    })
}

/// Who names what.
#[derive(Debug, Default)]
pub(super) struct Namers {
    hosts: HashMap<HostPattern, Vec<NamespacedName>>,
    services: HashMap<NamespacedName, Vec<NamespacedName>>,
}

/// Ingresses that have to do with each other, and what they name: no other Ingress names any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbourhood {
    /// The Ingresses, those that changed among them, also if they are gone.
    pub ingresses: BTreeSet<NamespacedName>,
    /// Hosts.
    pub hosts: BTreeSet<HostPattern>,
    /// Services.
    pub services: BTreeSet<NamespacedName>,
}

impl Namers {
    pub(super) fn add(&mut self, ingress: &Ingress) {
        for host in hosts(ingress).collect::<BTreeSet<_>>() {
            self.hosts.entry(host).or_default().push(ingress.meta.name.clone());
        }
        for service in services(ingress).collect::<BTreeSet<_>>() {
            self.services.entry(service).or_default().push(ingress.meta.name.clone());
        }
    }

    pub(super) fn remove(&mut self, ingress: &Ingress) {
        for host in hosts(ingress) {
            take(&mut self.hosts, &host, &ingress.meta.name);
        }
        for service in services(ingress) {
            take(&mut self.services, &service, &ingress.meta.name);
        }
    }

    /// The neighbourhood of what changed; `None` where it has more than `most` Ingresses.
    pub(super) fn neighbourhood<'i>(
        &self,
        around: &Around,
        ingress: impl Fn(&NamespacedName) -> Option<&'i Ingress>,
        most: usize,
    ) -> Option<Neighbourhood> {
        let Around { ingresses, hosts: named, services: used } = around.clone();
        let mut found = Neighbourhood { ingresses, ..Neighbourhood::default() };
        let (mut new_hosts, mut new_services) = (Vec::from_iter(named), Vec::from_iter(used));
        loop {
            let namers = if let Some(host) = new_hosts.pop() {
                let namers = self.hosts.get(&host);
                if found.hosts.insert(host) { namers } else { None }
            } else if let Some(service) = new_services.pop() {
                let namers = self.services.get(&service);
                if found.services.insert(service) { namers } else { None }
            } else {
                return Some(found);
            };
            for name in namers.into_iter().flatten() {
                if found.ingresses.insert(name.clone())
                    && let Some(ingress) = ingress(name)
                {
                    new_hosts.extend(hosts(ingress));
                    new_services.extend(services(ingress));
                }
            }
            if found.ingresses.len() > most {
                return None;
            }
        }
    }
}

fn take<K: std::hash::Hash + Eq>(namers: &mut HashMap<K, Vec<NamespacedName>>, key: &K, name: &NamespacedName) {
    if let Some(names) = namers.get_mut(key) {
        names.retain(|known| known != name);
        if names.is_empty() {
            namers.remove(key);
        }
    }
}
