//! What of hosts and paths is matched, and what the application gets.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "Paths and hosts",
    doc: "What of hosts and paths is matched, and what the application gets.",
    annotations: &[
        Annotation::later("enable-rewrite-log", Scope::Route, "Whether nginx logs its rewrites."),
        Annotation::later("rewrite-target", Scope::Route, "Path that the application gets instead.")
            .meanwhile("the application gets the path as it came"),
        Annotation::later("server-alias", Scope::Host, "Further host names.").meanwhile("they answer 404"),
        Annotation::later("use-regex", Scope::Route, "Whether paths are regular expressions.")
            .meanwhile("paths are plain text, so that one with a pattern in it matches almost nothing"),
        Annotation::later("x-forwarded-prefix", Scope::Route, "Value of `X-Forwarded-Prefix` to the application."),
    ],
};
