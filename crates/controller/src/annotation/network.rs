//! Who may ask, by address.

use super::{Annotation, Group, Guard, Scope};

pub(super) static GROUP: Group = Group {
    name: "Networks",
    doc: "Who may ask, by address.",
    annotations: &[
        Annotation::later("allowlist-source-range", Scope::Route, "Networks that may ask; everybody else gets 403.")
            .guarding(Guard::Present)
            .aliased(&["whitelist-source-range"]),
        Annotation::later("denylist-source-range", Scope::Route, "Networks that get 403.").guarding(Guard::Present),
        Annotation::later("satisfy", Scope::Route, "Whether all guards must let a request pass or one is enough."),
    ],
};
