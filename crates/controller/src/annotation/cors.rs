//! What scripts of other origins may do.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "CORS",
    doc: "What scripts of other origins may do.",
    annotations: &[
        Annotation::later(
            "cors-allow-credentials",
            Scope::Route,
            "Whether browsers may send credentials across origins.",
        ),
        Annotation::later("cors-allow-headers", Scope::Route, "Request headers that browsers may send across origins."),
        Annotation::later("cors-allow-methods", Scope::Route, "Methods that browsers may use across origins."),
        Annotation::later("cors-allow-origin", Scope::Route, "Origins that browsers may ask from."),
        Annotation::later(
            "cors-expose-headers",
            Scope::Route,
            "Response headers that scripts of other origins may read.",
        ),
        Annotation::later("cors-max-age", Scope::Route, "How long browsers may keep the answer to a preflight."),
        Annotation::later("enable-cors", Scope::Route, "Answers preflights and adds CORS headers.")
            .meanwhile("preflights go to the application"),
    ],
};
