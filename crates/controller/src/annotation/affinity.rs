//! Clients that stay with one endpoint.

use super::{Annotation, Group, Scope};

pub(super) static GROUP: Group = Group {
    name: "Session affinity",
    doc: "Clients that stay with one endpoint.",
    annotations: &[
        Annotation::later(
            "affinity",
            Scope::Backend,
            "Keeps a client on one endpoint with a cookie (`cookie` is the only value).",
        )
        .meanwhile("every request is balanced by itself"),
        Annotation::later(
            "affinity-canary-behavior",
            Scope::Backend,
            "Whether affinity also holds between main and canary (`sticky`) or not (`legacy`).",
        ),
        Annotation::later(
            "affinity-mode",
            Scope::Backend,
            "Whether a client moves when endpoints are added (`balanced`) or stays (`persistent`).",
        ),
        Annotation::later(
            "session-cookie-change-on-failure",
            Scope::Backend,
            "Whether the cookie is set anew when its endpoint fails.",
        ),
        Annotation::later(
            "session-cookie-conditional-samesite-none",
            Scope::Backend,
            "Whether old browsers get no `SameSite=None`.",
        ),
        Annotation::later("session-cookie-domain", Scope::Backend, "Domain of the affinity cookie."),
        Annotation::later("session-cookie-expires", Scope::Backend, "Seconds after which the affinity cookie expires."),
        Annotation::later("session-cookie-max-age", Scope::Backend, "`Max-Age` of the affinity cookie."),
        Annotation::later("session-cookie-name", Scope::Backend, "Name of the affinity cookie."),
        Annotation::later("session-cookie-path", Scope::Backend, "Path of the affinity cookie."),
        Annotation::later("session-cookie-samesite", Scope::Backend, "`SameSite` of the affinity cookie."),
        Annotation::later("session-cookie-secure", Scope::Backend, "Whether the affinity cookie is `Secure`."),
    ],
};
