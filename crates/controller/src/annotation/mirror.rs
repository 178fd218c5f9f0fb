//! Copies of requests.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "Mirroring",
    doc: "Copies of requests.",
    annotations: &[
        Annotation::later("mirror-host", Scope::Route, "`Host` header of mirrored requests."),
        Annotation::later("mirror-request-body", Scope::Route, "Whether mirrored requests have the body."),
        Annotation::later("mirror-target", Scope::Route, "Where a copy of every request is sent.")
            .meanwhile("nothing is mirrored"),
    ],
};
