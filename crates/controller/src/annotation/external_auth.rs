//! A service that is asked whether a request may pass.

use super::{Annotation, Group, Guard, Scope};

pub(super) static GROUP: Group = Group {
    name: "External authentication",
    doc: "A service that is asked whether a request may pass.",
    annotations: &[
        Annotation::later(
            "auth-always-set-cookie",
            Scope::Route,
            "Whether cookies of the authentication service also reach the client when it refuses.",
        ),
        Annotation::later(
            "auth-cache-duration",
            Scope::Route,
            "How long answers of the authentication service are kept.",
        ),
        Annotation::later("auth-cache-key", Scope::Route, "What answers of the authentication service are kept by."),
        Annotation::later(
            "auth-keepalive",
            Scope::Route,
            "Number of idle connections kept to the authentication service.",
        ),
        Annotation::later(
            "auth-keepalive-requests",
            Scope::Route,
            "Requests on one connection to the authentication service.",
        ),
        Annotation::later(
            "auth-keepalive-share-vars",
            Scope::Route,
            "Whether the subrequest shares its variables with the request.",
        ),
        Annotation::later(
            "auth-keepalive-timeout",
            Scope::Route,
            "How long an idle connection to the authentication service is kept.",
        ),
        Annotation::later("auth-method", Scope::Route, "Method of the request to the authentication service."),
        Annotation::later(
            "auth-proxy-set-headers",
            Scope::Route,
            "ConfigMap with headers for the authentication service.",
        ),
        Annotation::later(
            "auth-request-redirect",
            Scope::Route,
            "What the authentication service is told to redirect to.",
        ),
        Annotation::later(
            "auth-response-headers",
            Scope::Route,
            "Headers of the authentication service's answer that go to the application.",
        )
        .meanwhile("the application does not get them"),
        Annotation::later(
            "auth-signin",
            Scope::Route,
            "Where clients are sent that the authentication service does not know.",
        ),
        Annotation::later(
            "auth-signin-redirect-param",
            Scope::Route,
            "Query parameter of that page which holds the way back.",
        ),
        Annotation::later("auth-url", Scope::Route, "Asks this service whether a request may pass.")
            .guarding(Guard::NotBlank),
        Annotation::later(
            "enable-global-auth",
            Scope::Route,
            "Whether the global authentication service is asked here.",
        ),
    ],
};
