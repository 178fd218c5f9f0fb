//! Certificates that clients have to show.

use super::{Annotation, Group, Guard, Scope};

pub(super) static GROUP: Group = Group {
    name: "Client certificates",
    doc: "Certificates that clients have to show.",
    annotations: &[
        Annotation::later("auth-tls-error-page", Scope::Host, "Where clients without a valid certificate are sent."),
        Annotation::later("auth-tls-match-cn", Scope::Host, "Common name that client certificates must have."),
        Annotation::later(
            "auth-tls-pass-certificate-to-upstream",
            Scope::Host,
            "Whether the application gets the client's certificate in a header.",
        ),
        Annotation::later(
            "auth-tls-secret",
            Scope::Host,
            "Secret with the CA whose client certificates are asked for.",
        )
        .guarding(Guard::ClientCertificate),
        Annotation::later(
            "auth-tls-verify-client",
            Scope::Host,
            "Whether a client certificate must be there, may be there, or is not asked for.",
        ),
        Annotation::later("auth-tls-verify-depth", Scope::Host, "Longest chain of client certificates."),
    ],
};
