//! The index: the latest version of every watched object, with one owner.
//!
//! It keeps objects as the sources parsed them and judges none of them; what they mean is decided by
//! [`crate::translate`]. What it adds is what a rebuild needs to be fast: the slices of a Service, the certificate of a
//! Secret parsed once per content, and, for every change, what that change can have an effect on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::change::Change;
use crate::diagnostic::Diagnostic;
use crate::htdigest::Htdigest;
use crate::htpasswd::Htpasswd;
use crate::object::{
    ConfigMap, EndpointSlice, Ingress, IngressClass, Kind, Namespace, NamespacedName, Object, ObjectRef, Secret,
    Service,
};
use crate::resolve::{Resolution, canonical_name};
use crate::spread::spread;

mod around;
mod dirty;
mod secret;

pub use dirty::{Around, Dirty};
pub(crate) use secret::USERS_KEY;
pub use secret::{CertificateState, UsersForm};

pub(crate) use around::hosts;
use around::{Namers, Names};
use secret::SecretEntry;

/// Below this number of certificates, threads cost more than they save.
const MIN_CERTIFICATES_PER_THREAD: usize = 16;

/// The latest version of every watched object.
#[derive(Debug, Default)]
pub struct Index {
    ingresses: BTreeMap<NamespacedName, Arc<Ingress>>,
    namers: Namers,
    classes: BTreeMap<NamespacedName, IngressClass>,
    services: HashMap<NamespacedName, Service>,
    slices: HashMap<NamespacedName, EndpointSlice>,
    /// The names of the slices of each Service, sorted so that joining them does not depend on the order of arrival.
    slices_of: HashMap<NamespacedName, Names>,
    secrets: HashMap<NamespacedName, SecretEntry>,
    config_maps: HashMap<NamespacedName, ConfigMap>,
    /// The ConfigMap whose content is kept when it is removed, and that content.
    held_config_map: Option<NamespacedName>,
    vanished_config_map: Option<ConfigMap>,
    namespaces: HashMap<NamespacedName, Namespace>,
    /// The Services behind each external name.
    external: BTreeMap<Box<str>, BTreeSet<NamespacedName>>,
    resolutions: BTreeMap<Box<str>, Resolution>,
    source_diagnostics: Arc<[Diagnostic]>,
    skipped: BTreeMap<String, usize>,
    is_out_of_contact: bool,
    listed: BTreeSet<Kind>,
    recalled: BTreeSet<Kind>,
    refused: BTreeSet<Kind>,
}

impl Index {
    /// An index without objects, none of whose kinds has been listed.
    pub fn new() -> Self {
        Self::default()
    }

    /// An index of these objects with every kind listed: what `edgeward check` and tests translate.
    pub fn of(objects: impl IntoIterator<Item = Object>) -> Self {
        let mut index = Self::new();
        for object in objects {
            index.apply(Change::Apply(Box::new(object)));
        }
        index.listed.extend(Kind::ALL);
        index
    }

    /// Takes in one change and says what a rebuild must redo because of it.
    pub fn apply(&mut self, change: Change) -> Dirty {
        match change {
            Change::Apply(object) => self.insert(*object),
            Change::Remove(reference) => self.remove(&reference),
            Change::Reset(kind, objects) => self.reset(kind, objects),
            Change::Listed(kind, names) => self.finish_list(kind, &names),
            Change::Recall(kind, objects) => {
                let is_listed = self.listed.contains(&kind) && !self.refused.contains(&kind);
                if is_listed || (self.refused.contains(&kind) && objects.is_empty()) {
                    return Dirty::default();
                }
                self.listed.insert(kind);
                self.recalled.insert(kind);
                let newer: BTreeSet<_> = self.names(kind).into_iter().collect();
                let mut dirty = Dirty::default();
                for object in objects.into_iter().filter(|object| !newer.contains(object.name())) {
                    dirty |= self.insert(object);
                }
                dirty
            }
            Change::Refused(kind) => {
                let mut dirty = self.refuse(kind);
                // Nothing is known of it, and so nothing that may be out of date.
                dirty.diagnostics |= self.count(kind) == 0 && self.recalled.remove(&kind);
                dirty
            }
            Change::RecallRefused(kind) => {
                if self.listed.contains(&kind) {
                    return Dirty::default();
                }
                self.recalled.insert(kind);
                self.refuse(kind)
            }
            Change::Contact(has_contact) => {
                let changed = self.is_out_of_contact == has_contact;
                self.is_out_of_contact = !has_contact;
                Dirty { diagnostics: changed, ..Dirty::default() }
            }
            Change::Diagnostics(diagnostics) => {
                let changed = *self.source_diagnostics != *diagnostics;
                self.source_diagnostics = diagnostics.into();
                Dirty { diagnostics: changed, ..Dirty::default() }
            }
            Change::Skipped(skipped) => {
                let changed = self.skipped != skipped;
                self.skipped = skipped;
                Dirty { diagnostics: changed, ..Dirty::default() }
            }
        }
    }

    /// Takes in what an external name resolved to. A failure keeps the addresses found before it.
    pub fn set_resolved(&mut self, name: &str, answer: Result<Vec<IpAddr>, String>) -> Dirty {
        let name = canonical_name(name);
        let Some(services) = self.external.get(&name) else {
            // The last Service with this name went away while it was being resolved.
            self.resolutions.remove(&name);
            return Dirty::default();
        };
        if !self.resolutions.entry(name).or_default().record(answer) {
            return Dirty::default();
        }
        Dirty { endpoints: services.clone(), ..Dirty::default() }
    }

    /// Whether every watched kind has been listed once. Before that nothing may be published: an object that is not
    /// here yet would look deleted.
    pub fn is_listed(&self) -> bool {
        self.listed.len() == Kind::ALL.len()
    }

    /// Whether objects of a kind may not be read.
    pub fn is_refused(&self, kind: Kind) -> bool {
        self.refused.contains(&kind)
    }

    /// All Ingresses, by namespace and name.
    pub fn ingresses(&self) -> impl Iterator<Item = &Ingress> {
        self.ingresses.values().map(AsRef::as_ref)
    }

    /// An Ingress.
    pub fn ingress(&self, name: &NamespacedName) -> Option<&Ingress> {
        self.ingresses.get(name).map(AsRef::as_ref)
    }

    /// What changed, and the Ingresses that have to do with it, and what they name. `None` where there are more than `most`.
    pub fn neighbourhood(&self, around: &Around, most: usize) -> Option<Around> {
        self.namers.neighbourhood(around, |name| self.ingress(name), most)
    }

    /// All IngressClasses, in the order of their names.
    pub fn classes(&self) -> impl Iterator<Item = &IngressClass> {
        self.classes.values()
    }

    /// An IngressClass.
    pub fn class(&self, name: &str) -> Option<&IngressClass> {
        self.classes.get(&NamespacedName::new("", name))
    }

    /// A Service.
    pub fn service(&self, name: &NamespacedName) -> Option<&Service> {
        self.services.get(name)
    }

    /// The slices of a Service, by name.
    pub fn slices(&self, service: &NamespacedName) -> impl Iterator<Item = &EndpointSlice> {
        self.slices_of.get(service).into_iter().flat_map(Names::iter).filter_map(|name| self.slices.get(name))
    }

    /// What the Secret of this name offers as a certificate. The first call parses it; later ones do not.
    pub fn certificate(&self, name: &NamespacedName) -> CertificateState<'_> {
        self.secrets.get(name).map_or(CertificateState::Missing, SecretEntry::certificate)
    }

    /// Parses the certificates of these Secrets, on all cores where there are many that were not parsed yet.
    pub(crate) fn parse_certificates(&self, names: impl Iterator<Item = NamespacedName>) {
        let entries = names.filter_map(|name| self.secrets.get(&name));
        let entries: Vec<_> = entries.filter(|entry| !entry.is_certificate_parsed()).collect();
        spread(&entries, entries.len() / MIN_CERTIFICATES_PER_THREAD, |entry| {
            entry.certificate();
        });
    }

    /// What a Secret holds under a key.
    pub fn secret_value(&self, name: &NamespacedName, key: &str) -> Option<&[u8]> {
        self.secrets.get(name)?.value(key)
    }

    /// The users that a Secret holds; `None` when there is no such Secret, or no list of users in it. The first call parses
    /// it; later ones do not.
    pub(crate) fn users(&self, secret: &NamespacedName, form: UsersForm) -> Option<&Htpasswd> {
        self.secrets.get(secret)?.users(form)
    }

    /// The users that a Secret holds with digests of their passwords, likewise.
    pub(crate) fn digests(&self, secret: &NamespacedName, form: UsersForm) -> Option<&Htdigest> {
        self.secrets.get(secret)?.digests(form)
    }

    /// The labels of a Namespace; none are known of one that is not there.
    pub fn labels_of_namespace(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(&NamespacedName::new("", name)).map(|namespace| &namespace.labels)
    }

    /// A ConfigMap.
    pub fn config_map(&self, name: &NamespacedName) -> Option<&ConfigMap> {
        self.config_maps.get(name)
    }

    /// Has the content of this ConfigMap kept when it is removed, instead of that of the one named before.
    pub fn hold_config_map(&mut self, name: Option<NamespacedName>) {
        if self.held_config_map != name {
            self.held_config_map = name;
            self.vanished_config_map = None;
        }
    }

    /// What this ConfigMap held when it was removed, if it is the one of [`Self::hold_config_map`].
    pub fn vanished_config_map(&self, name: &NamespacedName) -> Option<&ConfigMap> {
        self.vanished_config_map.as_ref().filter(|map| map.meta.name == *name)
    }

    /// What is known of an external name; `None` before its first answer.
    pub fn resolution(&self, name: &str) -> Option<&Resolution> {
        self.resolutions.get(&canonical_name(name))
    }

    /// The external names that need resolving, in canonical form.
    pub fn external_names(&self) -> impl Iterator<Item = &str> {
        self.external.keys().map(AsRef::as_ref)
    }

    /// Whether the source cannot see all of the objects, which may be others by now.
    pub fn is_out_of_contact(&self) -> bool {
        self.is_out_of_contact || !self.recalled.is_empty()
    }

    /// What the source itself has to say.
    pub fn source_diagnostics(&self) -> &Arc<[Diagnostic]> {
        &self.source_diagnostics
    }

    /// How many objects of kinds that are not watched the source has passed over, by `apiVersion Kind`.
    pub fn skipped(&self) -> &BTreeMap<String, usize> {
        &self.skipped
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Ingress => self.ingresses.len(),
            Kind::IngressClass => self.classes.len(),
            Kind::Service => self.services.len(),
            Kind::EndpointSlice => self.slices.len(),
            Kind::Secret => self.secrets.len(),
            Kind::ConfigMap => self.config_maps.len(),
            Kind::Namespace => self.namespaces.len(),
        }
    }

    fn names(&self, kind: Kind) -> Vec<NamespacedName> {
        match kind {
            Kind::Ingress => self.ingresses.keys().cloned().collect(),
            Kind::IngressClass => self.classes.keys().cloned().collect(),
            Kind::Service => self.services.keys().cloned().collect(),
            Kind::EndpointSlice => self.slices.keys().cloned().collect(),
            Kind::Secret => self.secrets.keys().cloned().collect(),
            Kind::ConfigMap => self.config_maps.keys().cloned().collect(),
            Kind::Namespace => self.namespaces.keys().cloned().collect(),
        }
    }

    fn refuse(&mut self, kind: Kind) -> Dirty {
        self.listed.insert(kind);
        Dirty::everything_if(self.refused.insert(kind))
    }

    /// Makes `objects` all there is of a kind. It works by difference, so that listing again what is known already
    /// changes nothing and parses no certificate twice.
    fn reset(&mut self, kind: Kind, objects: Vec<Object>) -> Dirty {
        let objects: Vec<_> = objects.into_iter().filter(|object| object.kind() == kind).collect();
        let mut names: Vec<_> = objects.iter().map(|object| object.name().clone()).collect();
        names.sort_unstable();
        names.dedup();
        let mut dirty = Dirty::default();
        for object in objects {
            dirty |= self.insert(object);
        }
        dirty |= self.finish_list(kind, &names);
        dirty
    }

    /// Takes away what is not among the names of a kind, each of which has been inserted.
    fn finish_list(&mut self, kind: Kind, listed: &[NamespacedName]) -> Dirty {
        let mut dirty = Dirty::everything_if(self.refused.remove(&kind));
        dirty.diagnostics |= self.recalled.remove(&kind);
        self.listed.insert(kind);
        if self.count(kind) > listed.len() {
            let listed: BTreeSet<_> = listed.iter().collect();
            for name in self.names(kind).into_iter().filter(|name| !listed.contains(name)) {
                dirty |= self.remove(&ObjectRef { kind, name });
            }
        }
        dirty
    }

    fn insert(&mut self, object: Object) -> Dirty {
        let name = object.name().clone();
        match object {
            Object::Ingress(ingress) => self.insert_ingress(name, ingress),
            Object::IngressClass(class) => {
                let same = self.classes.get(&name) == Some(&class);
                self.classes.insert(name, class);
                Dirty::everything_if(!same)
            }
            Object::Service(service) => self.insert_service(name, service),
            Object::EndpointSlice(slice) => self.insert_slice(name, slice),
            Object::Secret(secret) => self.insert_secret(name, secret),
            Object::ConfigMap(map) => {
                let same = (self.config_maps.get(&name))
                    .is_some_and(|old| (&old.data, &old.unreadable) == (&map.data, &map.unreadable));
                self.config_maps.insert(name.clone(), map);
                if same {
                    return Dirty::default();
                }
                let mut dirty = self.around_namers(Kind::ConfigMap, &name);
                dirty |= Dirty::config_map(name);
                dirty
            }
            Object::Namespace(namespace) => {
                let same = self.namespaces.get(&name).is_some_and(|old| old.labels == namespace.labels);
                self.namespaces.insert(name, namespace);
                Dirty::everything_if(!same)
            }
        }
    }

    fn remove(&mut self, reference: &ObjectRef) -> Dirty {
        let name = &reference.name;
        match reference.kind {
            Kind::Ingress => {
                let Some(old) = self.ingresses.remove(name) else { return Dirty::default() };
                self.namers.remove(&old);
                Dirty::around(Around::ingress([&*old]))
            }
            Kind::IngressClass => Dirty::everything_if(self.classes.remove(name).is_some()),
            Kind::Service => {
                let Some(old) = self.services.remove(name) else { return Dirty::default() };
                self.unlink_external(name, &old);
                Dirty::around(Around::service(name.clone()))
            }
            Kind::EndpointSlice => {
                let Some(old) = self.slices.remove(name) else { return Dirty::default() };
                self.unlink_slice(name, &old)
            }
            Kind::Secret => {
                if self.secrets.remove(name).is_none() {
                    return Dirty::default();
                }
                Dirty { certificates: true, ..self.around_namers(Kind::Secret, name) }
            }
            Kind::ConfigMap => {
                let Some(old) = self.config_maps.remove(name) else { return Dirty::default() };
                if self.held_config_map.as_ref() == Some(name) {
                    self.vanished_config_map = Some(old);
                }
                let mut dirty = Dirty::config_map(name.clone());
                dirty |= self.around_namers(Kind::ConfigMap, name);
                dirty
            }
            Kind::Namespace => Dirty::everything_if(self.namespaces.remove(name).is_some()),
        }
    }

    fn insert_ingress(&mut self, name: NamespacedName, ingress: Arc<Ingress>) -> Dirty {
        let old = self.ingresses.remove(&name);
        if old.as_ref() == Some(&ingress) {
            self.ingresses.insert(name, ingress);
            return Dirty::default();
        }
        if let Some(old) = &old {
            self.namers.remove(old);
        }
        self.namers.add(&ingress);
        let around = Around::ingress(old.iter().chain([&ingress]).map(AsRef::as_ref));
        self.ingresses.insert(name, ingress);
        Dirty::around(around)
    }

    fn insert_service(&mut self, name: NamespacedName, service: Service) -> Dirty {
        if self.services.get(&name) == Some(&service) {
            return Dirty::default();
        }
        if let Some(old) = self.services.remove(&name) {
            self.unlink_external(&name, &old);
        }
        if let Some(external) = service.external_name.as_deref().filter(|external| external.parse::<IpAddr>().is_err())
        {
            self.external.entry(canonical_name(external)).or_default().insert(name.clone());
        }
        self.services.insert(name.clone(), service);
        Dirty::around(Around::service(name))
    }

    fn unlink_external(&mut self, name: &NamespacedName, service: &Service) {
        let Some(external) = service.external_name.as_deref().map(canonical_name) else { return };
        let Some(services) = self.external.get_mut(&external) else { return };
        services.remove(name);
        if services.is_empty() {
            self.external.remove(&external);
            self.resolutions.remove(&external);
        }
    }

    fn insert_slice(&mut self, name: NamespacedName, slice: EndpointSlice) -> Dirty {
        let mut dirty = Dirty::default();
        if let Some(old) = self.slices.remove(&name) {
            // Its metadata changes with every update of the slice; only these three have a meaning here.
            if (&old.service, &old.ports, &old.endpoints) == (&slice.service, &slice.ports, &slice.endpoints) {
                self.slices.insert(name, slice);
                return dirty;
            }
            dirty |= self.unlink_slice(&name, &old);
        }
        if let Some(service) = service_of(&slice) {
            self.slices_of.entry(service.clone()).or_default().insert(&name);
            dirty.endpoints.insert(service);
        }
        self.slices.insert(name, slice);
        dirty
    }

    fn unlink_slice(&mut self, name: &NamespacedName, slice: &EndpointSlice) -> Dirty {
        let mut dirty = Dirty::default();
        if let Some(service) = service_of(slice) {
            if let Some(names) = self.slices_of.get_mut(&service) {
                names.remove(name);
                if names.is_empty() {
                    self.slices_of.remove(&service);
                }
            }
            dirty.endpoints.insert(service);
        }
        dirty
    }

    fn insert_secret(&mut self, name: NamespacedName, secret: Secret) -> Dirty {
        let (entry, changed) = SecretEntry::successor(self.secrets.remove(&name), secret);
        self.secrets.insert(name.clone(), entry);
        let around = if changed.data { self.around_namers(Kind::Secret, &name) } else { Dirty::default() };
        Dirty { certificates: changed.certificate, ..around }
    }

    /// What is around the Ingresses whose annotations name an object, as if they had changed themselves.
    fn around_namers(&self, kind: Kind, name: &NamespacedName) -> Dirty {
        let namers = self.namers.of_object(kind, name);
        Dirty::around(Around::ingress(namers.filter_map(|name| self.ingress(name))))
    }
}

fn service_of(slice: &EndpointSlice) -> Option<NamespacedName> {
    let name = Arc::clone(slice.service.as_ref()?);
    Some(NamespacedName { namespace: Arc::clone(&slice.meta.name.namespace), name })
}

#[cfg(test)]
mod tests;
