//! What a change can have an effect on.

use std::collections::BTreeSet;
use std::ops::BitOrAssign;

use edgeward_routing::host::HostPattern;

use super::Index;
use super::around::says_of_services;
use crate::configmap::named;
use crate::object::{Ingress, NamespacedName};

/// What a rebuild must redo. Several are merged with `|=`; the default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Everything: routes, backends, certificates and settings.
    pub everything: bool,
    /// Which certificate answers to which name.
    pub certificates: bool,
    /// What is around these, unless everything is.
    pub around: Around,
    /// The endpoints of these Services.
    pub endpoints: BTreeSet<NamespacedName>,
    /// Everything, if one of these ConfigMaps is the one that holds the options, or one that it names. Others change often: leader election
    /// writes one every two seconds.
    pub config_maps: BTreeSet<NamespacedName>,
    /// What the source says beside its objects: nothing to rebuild, but something to report.
    pub diagnostics: bool,
}

/// Ingresses and Services that changed, and what they name or named: whatever else names it too may be served otherwise. And
/// so on: [`Index::neighbourhood`](super::Index::neighbourhood).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// Ingresses that changed, also if they are gone.
    pub ingresses: BTreeSet<NamespacedName>,
    /// Hosts that they name or named, in rules and `tls`.
    pub hosts: BTreeSet<HostPattern>,
    /// Services that changed, or that those name or named which say something about them.
    pub services: BTreeSet<NamespacedName>,
    /// Other Services that they name or named. Where many name one and nobody says anything about it, what has to do with it
    /// stays as it is: such a Service is here in a neighbourhood too, and all others are in `services`.
    pub named: BTreeSet<NamespacedName>,
}

impl Around {
    /// So many Ingresses and Services are as much as everything.
    const MOST: usize = 256;

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn service(name: NamespacedName) -> Self {
        Self { services: [name].into(), ..Self::default() }
    }

    pub(super) fn ingress<'i>(versions: impl IntoIterator<Item = &'i Ingress>) -> Self {
        let mut around = Self::default();
        for version in versions {
            around.ingresses.insert(version.meta.name.clone());
            around.hosts.extend(super::around::hosts(version));
            let services = if says_of_services(version) { &mut around.services } else { &mut around.named };
            services.extend(super::around::services(version));
        }
        around
    }
}

impl Dirty {
    pub(super) fn around(around: Around) -> Self {
        Self { around, ..Self::default() }
    }

    pub(super) fn everything_if(changed: bool) -> Self {
        Self { everything: changed, ..Self::default() }
    }

    pub(super) fn config_map(name: NamespacedName) -> Self {
        Self { config_maps: [name].into(), ..Self::default() }
    }

    /// Whether everything must be redone, given the ConfigMap that holds the options.
    pub fn needs_translation(&self, index: &Index, options: Option<&NamespacedName>) -> bool {
        let is_of_options = |options: &NamespacedName| {
            self.config_maps.contains(options)
                || !self.config_maps.is_empty() && named(index, options).any(|name| self.config_maps.contains(&name))
        };
        self.everything || self.certificates || options.is_some_and(is_of_options)
    }
}

impl BitOrAssign for Dirty {
    fn bitor_assign(&mut self, other: Self) {
        self.everything |= other.everything;
        self.certificates |= other.certificates;
        self.around.ingresses.extend(other.around.ingresses);
        self.around.hosts.extend(other.around.hosts);
        self.around.services.extend(other.around.services);
        self.around.named.extend(other.around.named);
        let Around { ingresses, services, named, .. } = &self.around;
        self.everything |= ingresses.len() + services.len() + named.len() > Around::MOST;
        if self.everything {
            self.around = Around::default();
        }
        self.endpoints.extend(other.endpoints);
        self.config_maps.extend(other.config_maps);
        self.diagnostics |= other.diagnostics;
    }
}
