//! How TLS is spoken with clients.

use super::value::BOOL;
use super::{Annotation, Group, Scope, invalid, parse_bool};

pub(super) static GROUP: Group = Group {
    name: "TLS to clients",
    doc: "How TLS is spoken with clients.",
    annotations: &[
        Annotation::later("ssl-ciphers", Scope::Host, "TLS ciphers of the hosts.")
            .meanwhile("all ciphers are AEAD with forward secrecy, and cannot be chosen"),
        Annotation::honoured(
            "ssl-passthrough",
            Scope::Host,
            |value, settings| {
                settings.passes_tls = parse_bool(value).ok_or_else(|| invalid(BOOL))?;
                Ok(())
            },
            "Passes TLS of the hosts on, by the name that the client sends, to the endpoints of the path `/`; it needs \
             `--enable-ssl-passthrough`. No other annotation has an effect on it but those about networks.",
        )
        .differing(
            "the endpoints are connected to, not the address of their Service; only Ingresses of the namespace that has the host, by \
             its first Ingress, may ask, and its path `/` gets the connections; where that asks who the clients are, its own \
             Ingress must have the annotation",
        )
        .but_for(&["false"]),
        Annotation::later("ssl-prefer-server-ciphers", Scope::Host, "Whether the order of those ciphers counts.")
            .meanwhile("the order of the client counts"),
    ],
};
