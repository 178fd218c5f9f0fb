//! How much harm an annotation can do in the hands of whoever may write Ingresses, as ingress-nginx rates it.

use super::{Annotation, Status};

/// The risk of an annotation (docs/user-guide/nginx-configuration/annotations-risk.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Risk {
    /// A switch or a number.
    Low,
    /// Text that ends up in paths, header fields and the like.
    Medium,
    /// Where requests are sent, and what hosts are called.
    #[default]
    High,
    /// Text for the configuration of nginx.
    Critical,
}

impl Risk {
    /// The risk of this name, whatever its case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let is = |word: &str| name.trim().eq_ignore_ascii_case(word);
        [("low", Self::Low), ("medium", Self::Medium), ("high", Self::High), ("critical", Self::Critical)]
            .into_iter()
            .find_map(|(word, risk)| is(word).then_some(risk))
    }

    /// The risk of an annotation of ingress-nginx. All snippets are of the highest.
    pub(super) fn of(annotation: &Annotation) -> Self {
        let name = annotation.name;
        match annotation.status {
            Status::Refused if name.ends_with("-snippet") => Self::Critical,
            _ if HIGH.contains(&name) => Self::High,
            _ if MEDIUM.contains(&name) => Self::Medium,
            _ => Self::Low,
        }
    }

    /// Its name in a sentence.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

pub(super) const HIGH: [&str; 10] = [
    "auth-signin",
    "auth-tls-error-page",
    "auth-tls-match-cn",
    "auth-url",
    "mirror-host",
    "mirror-target",
    "modsecurity-transaction-id",
    "proxy-ssl-name",
    "server-alias",
    "upstream-hash-by",
];

pub(super) const MEDIUM: [&str; 45] = [
    "affinity-mode",
    "allowlist-source-range",
    "app-root",
    "auth-cache-duration",
    "auth-cache-key",
    "auth-proxy-set-headers",
    "auth-realm",
    "auth-request-redirect",
    "auth-response-headers",
    "auth-secret",
    "auth-signin-redirect-param",
    "auth-tls-secret",
    "auth-tls-verify-client",
    "canary-by-cookie",
    "canary-by-header",
    "canary-by-header-pattern",
    "canary-by-header-value",
    "cors-allow-headers",
    "cors-allow-methods",
    "cors-allow-origin",
    "cors-expose-headers",
    "custom-headers",
    "denylist-source-range",
    "fastcgi-index",
    "fastcgi-params-configmap",
    "force-ssl-redirect",
    "opentelemetry-operation-name",
    "permanent-redirect",
    "preserve-trailing-slash",
    "proxy-body-size",
    "proxy-cookie-domain",
    "proxy-cookie-path",
    "proxy-next-upstream",
    "proxy-redirect-from",
    "proxy-redirect-to",
    "proxy-ssl-ciphers",
    "proxy-ssl-secret",
    "rewrite-target",
    "session-cookie-domain",
    "session-cookie-expires",
    "session-cookie-max-age",
    "session-cookie-name",
    "session-cookie-path",
    "temporal-redirect",
    "x-forwarded-prefix",
];
