//! Certificates towards endpoints.

use super::{Annotation, Group, Guard, Scope};

pub(super) static GROUP: Group = Group {
    name: "TLS to endpoints",
    doc: "Certificates towards endpoints.",
    annotations: &[
        Annotation::later("proxy-ssl-ciphers", Scope::Backend, "TLS ciphers towards the endpoints."),
        Annotation::later("proxy-ssl-name", Scope::Backend, "Name that the endpoints' certificates must have."),
        Annotation::later("proxy-ssl-protocols", Scope::Backend, "TLS versions towards the endpoints."),
        Annotation::later(
            "proxy-ssl-secret",
            Scope::Backend,
            "Secret with the client certificate towards the endpoints and the CA of theirs.",
        )
        .meanwhile("no client certificate is shown"),
        Annotation::later("proxy-ssl-server-name", Scope::Backend, "Whether that name is sent in the handshake."),
        Annotation::later("proxy-ssl-verify", Scope::Backend, "Whether the endpoints' certificates are verified.")
            .guarding(Guard::On)
            .meanwhile("they are not verified"),
        Annotation::later("proxy-ssl-verify-depth", Scope::Backend, "Longest chain of the endpoints' certificates."),
    ],
};
