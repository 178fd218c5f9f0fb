//! What is written down of requests.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "Logs and traces",
    doc: "What is written down of requests.",
    annotations: &[
        Annotation::later("enable-access-log", Scope::Route, "Whether requests are logged.")
            .meanwhile("they are logged as everywhere"),
        Annotation::later("enable-opentelemetry", Scope::Route, "Whether requests are traced."),
        Annotation::later("opentelemetry-operation-name", Scope::Route, "Name of the span."),
        Annotation::later(
            "opentelemetry-trust-incoming-span",
            Scope::Route,
            "Whether spans of the client are continued.",
        ),
    ],
};
