//! What a change can have an effect on.

use std::collections::BTreeSet;
use std::ops::BitOrAssign;

use crate::object::NamespacedName;

/// What a rebuild must redo. Several are merged with `|=`; the default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Everything: routes, backends, certificates and settings.
    pub everything: bool,
    /// Which certificate answers to which name.
    pub certificates: bool,
    /// The endpoints of these Services.
    pub endpoints: BTreeSet<NamespacedName>,
    /// Everything, if one of these ConfigMaps is the one that holds the options. Others change often: leader election
    /// writes one every two seconds.
    pub config_maps: BTreeSet<NamespacedName>,
    /// What the source says beside its objects: nothing to rebuild, but something to report.
    pub diagnostics: bool,
}

impl Dirty {
    pub(super) fn everything_if(changed: bool) -> Self {
        Self { everything: changed, ..Self::default() }
    }

    pub(super) fn config_map_if(changed: bool, name: NamespacedName) -> Self {
        Self { config_maps: changed.then_some(name).into_iter().collect(), ..Self::default() }
    }

    /// Whether more than endpoints must be redone, given the ConfigMap that holds the options.
    pub fn needs_translation(&self, config_map: Option<&NamespacedName>) -> bool {
        self.everything || self.certificates || config_map.is_some_and(|name| self.config_maps.contains(name))
    }
}

impl BitOrAssign for Dirty {
    fn bitor_assign(&mut self, other: Self) {
        self.everything |= other.everything;
        self.certificates |= other.certificates;
        self.endpoints.extend(other.endpoints);
        self.config_maps.extend(other.config_maps);
        self.diagnostics |= other.diagnostics;
    }
}
