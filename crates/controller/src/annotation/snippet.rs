//! Text for a configuration file that is not there.

use super::{Annotation, Group, Guard, Scope};

pub(super) static GROUP: Group = Group {
    name: "Snippets and ModSecurity",
    doc: "Text for a configuration file that is not there.",
    annotations: &[
        Annotation::refused("auth-snippet", Scope::Route, "nginx configuration for the authentication request.")
            .guarding(Guard::NotBlank)
            .instead("use `auth-method`, `auth-proxy-set-headers` and the other `auth-*` annotations"),
        Annotation::refused("configuration-snippet", Scope::Route, "nginx configuration for the routes.")
            .guarding(Guard::NotBlank)
            .instead(
                "use `custom-headers` for response headers, `permanent-redirect` or `rewrite-target` for redirects and rewrites, and \
                 `allowlist-source-range` or `auth-url` for guards",
            ),
        Annotation::refused("enable-modsecurity", Scope::Route, "Inspects requests with ModSecurity.")
            .guarding(Guard::True)
            .instead(FIREWALL),
        Annotation::refused("enable-owasp-core-rules", Scope::Route, "Loads the OWASP core rules into ModSecurity.")
            .guarding(Guard::True)
            .instead(FIREWALL),
        Annotation::refused("modsecurity-snippet", Scope::Route, "Rules for ModSecurity.")
            .guarding(Guard::NotBlank)
            .instead(FIREWALL),
        Annotation::refused("modsecurity-transaction-id", Scope::Route, "Transaction identity for ModSecurity.")
            .instead("remove it: every request has the identity that `X-Request-ID` carries"),
        Annotation::refused("server-snippet", Scope::Host, "nginx configuration for the hosts.")
            .guarding(Guard::NotBlank)
            .instead(
                "use `server-alias`, `app-root` and `from-to-www-redirect`, or an Ingress for each path that the snippet answers",
            ),
        Annotation::refused("stream-snippet", Scope::Route, "nginx configuration for TCP and UDP.")
            .guarding(Guard::NotBlank)
            .instead("expose the TCP or UDP port with a Service of its own"),
    ],
};

const FIREWALL: &str = "put a web application firewall between Edgeward and the application";
