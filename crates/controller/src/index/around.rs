//! Which Ingresses name the same hosts and Services.

use edgeward_routing::host::HostPattern;
use hashbrown::HashMap;

use super::dirty::Around;
use crate::annotation::{self, aliases_in};
use crate::object::{Ingress, IngressBackend, Kind, NamespacedName};
use crate::translate::other_name;

/// The hosts that an Ingress names, in rules, `tls` and annotations. One without rules has to do with any host.
pub(crate) fn hosts(ingress: &Ingress) -> impl Iterator<Item = HostPattern> {
    let has_annotation = |name: &str| ingress.meta.annotations.keys().any(|key| key.ends_with(name));
    // The default backend of a canary is for the routes of any host.
    let is_for_every = ingress.rules.is_empty() || ingress.default_backend.is_some() && has_annotation("/canary");
    let every = is_for_every.then_some(HostPattern::Any);
    let of_rules = ingress.rules.iter().map(|rule| &rule.host);
    let others = has_annotation("/from-to-www-redirect");
    let others = of_rules.clone().filter(move |_| others).map(|host| other_name(host));
    let all = of_rules.chain(ingress.tls.iter().flat_map(|tls| &tls.hosts));
    let aliases = ingress.meta.annotations.iter().filter(|(key, _)| key.ends_with("/server-alias"));
    let aliases = aliases.flat_map(|(_, value)| aliases_in(value)).flat_map(|alias| {
        // It takes the place of the wildcard host too.
        let wildcard = match &alias {
            HostPattern::Below(suffix) => Some(HostPattern::Wildcard(suffix.clone())),
            _ => None,
        };
        wildcard.into_iter().chain([alias])
    });
    // What is no host is reported, and no other Ingress has to do with it.
    let all = every.into_iter().chain(all.filter_map(|host| host.parse().ok()));
    all.chain(others.filter_map(|host| host.parse().ok())).chain(aliases)
}

/// The Services that an Ingress names, in rules and annotations.
pub(super) fn services(ingress: &Ingress) -> impl Iterator<Item = NamespacedName> {
    let of_rules = ingress.rules.iter().flat_map(|rule| rule.paths.iter().flatten()).map(|path| &path.backend);
    let stand_ins = ingress.meta.annotations.iter().filter(|(key, _)| key.ends_with("/default-backend"));
    let stand_ins = stand_ins
        .map(|(_, name)| NamespacedName { namespace: ingress.meta.name.namespace.clone(), name: name.trim().into() });
    let named = of_rules.chain(&ingress.default_backend).filter_map(|backend| match backend {
        IngressBackend::Service { name, .. } => {
            let namespace = ingress.meta.name.namespace.clone();
            Some(NamespacedName { namespace, name: name.as_str().into() })
        }
        IngressBackend::Resource { .. } | IngressBackend::Missing => None,
    });
    named.chain(stand_ins)
}

/// Whether an Ingress has an annotation about the Services that it names, and so about what others get of them, whatever its
/// prefix.
pub(super) fn says_of_services(ingress: &Ingress) -> bool {
    let mut names = ingress.meta.annotations.keys().filter_map(|key| key.split_once('/'));
    names.any(|(_, name)| annotation::concerns_services(name))
}

/// The Secrets and ConfigMaps that the annotations of an Ingress name, whatever their prefix.
fn objects(ingress: &Ingress) -> impl Iterator<Item = (Kind, NamespacedName)> {
    ingress.meta.annotations.iter().filter_map(|(key, value)| {
        let kind = annotation::named_kind(key.split_once('/')?.1)?;
        let name = NamespacedName::relative(value.trim(), &ingress.meta.name.namespace)?;
        Some((kind, name))
    })
}

/// Who names what.
#[derive(Debug, Default)]
pub(super) struct Namers {
    hosts: HashMap<HostPattern, Names>,
    services: HashMap<NamespacedName, Names>,
    /// Of the Services those that somebody who names them says something about, and who.
    discussed: HashMap<NamespacedName, Names>,
    objects: HashMap<(Kind, NamespacedName), Names>,
}

/// Names, sorted: nearly always one, and at times thousands.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<NamespacedName>);

impl Names {
    pub(super) fn insert(&mut self, name: &NamespacedName) {
        if let Err(place) = self.0.binary_search(name) {
            // One in most cases, for which the usual growth would take memory for four.
            if self.0.is_empty() {
                self.0.reserve_exact(1);
            }
            self.0.insert(place, name.clone());
        }
    }

    pub(super) fn remove(&mut self, name: &NamespacedName) {
        if let Ok(place) = self.0.binary_search(name) {
            self.0.remove(place);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, NamespacedName> {
        self.0.iter()
    }
}

/// Hosts in a neighbourhood for each Ingress that it may have: more are translated with everything, on a thread of its own.
const HOSTS: usize = 4;

/// Where no more Ingresses than this name a Service, all of them are looked at.
const FEW: usize = if cfg!(test) { 1 } else { 8 };

impl Namers {
    pub(super) fn add(&mut self, ingress: &Ingress) {
        for host in hosts(ingress) {
            self.hosts.entry(host).or_default().insert(&ingress.meta.name);
        }
        for service in services(ingress) {
            if says_of_services(ingress) {
                self.discussed.entry(service.clone()).or_default().insert(&ingress.meta.name);
            }
            self.services.entry(service).or_default().insert(&ingress.meta.name);
        }
        for object in objects(ingress) {
            self.objects.entry(object).or_default().insert(&ingress.meta.name);
        }
    }

    pub(super) fn remove(&mut self, ingress: &Ingress) {
        for host in hosts(ingress) {
            take(&mut self.hosts, &host, &ingress.meta.name);
        }
        for service in services(ingress) {
            take(&mut self.services, &service, &ingress.meta.name);
            take(&mut self.discussed, &service, &ingress.meta.name);
        }
        for object in objects(ingress) {
            take(&mut self.objects, &object, &ingress.meta.name);
        }
    }

    /// The Ingresses whose annotations name an object.
    pub(super) fn of_object(&self, kind: Kind, name: &NamespacedName) -> impl Iterator<Item = &NamespacedName> {
        self.objects.get(&(kind, name.clone())).into_iter().flat_map(Names::iter)
    }

    /// What has to do with what changed: no other Ingress names any of it, but for Services that many name and nobody says
    /// anything about. `None` where it has more than `most` Ingresses.
    pub(super) fn neighbourhood<'i>(
        &self,
        around: &Around,
        ingress: impl Fn(&NamespacedName) -> Option<&'i Ingress>,
        most: usize,
    ) -> Option<Around> {
        let Around { ingresses, hosts: changed_hosts, services: changed_services, named } = around.clone();
        let mut found = Around { ingresses, ..Around::default() };
        let (mut new_hosts, mut new_services) = (Vec::from_iter(changed_hosts), Vec::from_iter(changed_services));
        let mut new_named = Vec::from_iter(named);
        loop {
            let namers = if let Some(host) = new_hosts.pop() {
                let namers = self.hosts.get(&host);
                if found.hosts.insert(host) { namers } else { None }
            } else if let Some(service) = new_services.pop() {
                let namers = self.services.get(&service);
                if found.services.insert(service) { namers } else { None }
            } else if let Some(service) = new_named.pop() {
                let is_shared = self.services.get(&service).is_some_and(|names| names.len() > FEW);
                match is_shared && !self.discussed.contains_key(&service) {
                    true => _ = found.named.insert(service),
                    false => new_services.push(service),
                }
                None
            } else {
                found.named.retain(|service| !found.services.contains(service));
                return Some(found);
            };
            for name in namers.into_iter().flat_map(Names::iter) {
                if found.ingresses.insert(name.clone())
                    && let Some(ingress) = ingress(name)
                {
                    new_hosts.extend(hosts(ingress));
                    new_named.extend(services(ingress));
                }
                if found.ingresses.len() > most || new_hosts.len() + found.hosts.len() > most * HOSTS {
                    return None;
                }
            }
        }
    }
}

fn take<K: std::hash::Hash + Eq>(namers: &mut HashMap<K, Names>, key: &K, name: &NamespacedName) {
    if let Some(names) = namers.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            namers.remove(key);
        }
    }
}
