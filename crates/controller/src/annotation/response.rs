//! What is changed in the answers of the application.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "Response headers",
    doc: "What is changed in the answers of the application.",
    annotations: &[
        Annotation::later("custom-headers", Scope::Route, "ConfigMap with response headers to add."),
        Annotation::later("http2-push-preload", Scope::Route, "HTTP/2 push, which no browser takes any more."),
        Annotation::later("proxy-cookie-domain", Scope::Route, "Replaces the domain of the application's cookies.")
            .meanwhile("they are passed on as they are"),
        Annotation::later("proxy-cookie-path", Scope::Route, "Replaces the path of the application's cookies.")
            .meanwhile("they are passed on as they are"),
        Annotation::later("proxy-redirect-from", Scope::Route, "What is replaced in `Location` of the application.")
            .meanwhile("it is passed on as it is"),
        Annotation::later("proxy-redirect-to", Scope::Route, "What it is replaced with."),
    ],
};
