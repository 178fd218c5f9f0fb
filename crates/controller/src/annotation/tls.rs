//! How TLS is spoken with clients.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "TLS to clients",
    doc: "How TLS is spoken with clients.",
    annotations: &[
        Annotation::later("ssl-ciphers", Scope::Host, "TLS ciphers of the hosts.")
            .meanwhile("all ciphers are AEAD with forward secrecy, and cannot be chosen"),
        Annotation::later("ssl-passthrough", Scope::Host, "Passes TLS through to the endpoints.")
            .meanwhile("TLS ends here"),
        Annotation::later("ssl-prefer-server-ciphers", Scope::Host, "Whether the order of those ciphers counts.")
            .meanwhile("the order of the client counts"),
    ],
};
