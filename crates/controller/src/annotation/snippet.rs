//! Text for a configuration file that is not there.

use super::{Annotation, Group, Guard, Scope};

pub(super) static GROUP: Group = Group {
    name: "Snippets and ModSecurity",
    doc: "Text for a configuration file that is not there.",
    annotations: &[
        Annotation::refused("auth-snippet", Scope::Route, "nginx configuration for the authentication request.")
            .guarding(Guard::NotBlank),
        Annotation::refused("configuration-snippet", Scope::Route, "nginx configuration for the routes.")
            .guarding(Guard::NotBlank),
        Annotation::refused("enable-modsecurity", Scope::Route, "Inspects requests with ModSecurity.")
            .guarding(Guard::True),
        Annotation::refused("enable-owasp-core-rules", Scope::Route, "Loads the OWASP core rules into ModSecurity.")
            .guarding(Guard::True),
        Annotation::refused("modsecurity-snippet", Scope::Route, "Rules for ModSecurity.").guarding(Guard::NotBlank),
        Annotation::refused("modsecurity-transaction-id", Scope::Route, "Transaction identity for ModSecurity."),
        Annotation::refused("server-snippet", Scope::Host, "nginx configuration for the hosts.")
            .guarding(Guard::NotBlank),
        Annotation::refused("stream-snippet", Scope::Route, "nginx configuration for TCP and UDP.")
            .guarding(Guard::NotBlank),
    ],
};
