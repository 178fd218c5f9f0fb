//! Part of the requests for another version.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "Canaries",
    doc: "Part of the requests for another version.",
    annotations: &[
        Annotation::later(
            "canary",
            Scope::Backend,
            "Marks an Ingress as the alternative of another one with the same hosts and paths.",
        ),
        Annotation::later(
            "canary-by-cookie",
            Scope::Backend,
            "Cookie that sends a client to the canary (`always`) or keeps it off (`never`).",
        ),
        Annotation::later("canary-by-header", Scope::Backend, "Header that sends a request to the canary."),
        Annotation::later(
            "canary-by-header-pattern",
            Scope::Backend,
            "Pattern that the value of that header must match.",
        ),
        Annotation::later("canary-by-header-value", Scope::Backend, "Value that this header must have."),
        Annotation::later("canary-weight", Scope::Backend, "Share of requests that go to the canary."),
        Annotation::later("canary-weight-total", Scope::Backend, "What the weight is a share of."),
    ],
};
