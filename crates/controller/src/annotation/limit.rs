//! How often one client may ask.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "Limits on clients",
    doc: "How often one client may ask.",
    annotations: &[
        Annotation::later("limit-allowlist", Scope::Route, "Networks that limits do not count.")
            .aliased(&["limit-whitelist"]),
        Annotation::later("limit-burst-multiplier", Scope::Route, "How far above its rate a client may burst."),
        Annotation::later("limit-connections", Scope::Route, "Requests that one client address may have under way.")
            .meanwhile("there is no such limit"),
        Annotation::later("limit-rpm", Scope::Route, "Requests per minute that one client address may send.")
            .meanwhile("there is no such limit"),
        Annotation::later("limit-rps", Scope::Route, "Requests per second that one client address may send.")
            .meanwhile("there is no such limit"),
    ],
};
