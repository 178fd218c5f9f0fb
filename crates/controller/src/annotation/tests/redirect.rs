use edgeward_routing::policy::Redirect;

use super::{Bad, Effect, Good, IngressSettings};

pub(super) const GOOD: &[Good] = &[
    ("ssl-redirect", "false", |s| s.redirects.ssl == Some(false)),
    ("ssl-redirect", "T", |s| s.redirects.ssl == Some(true)),
    ("force-ssl-redirect", "true", |s| s.redirects.force_ssl == Some(true)),
    ("app-root", "/app/x", |s| s.redirects.app_root.as_deref() == Some("/app/x")),
    ("from-to-www-redirect", "true", |s| s.redirects.from_to_www),
    ("permanent-redirect", "https://a.test/x?y=1&z", |s| is_redirect(s, 301, "https://a.test/x?y=1&z")),
    ("permanent-redirect", "/relative", |s| is_redirect(s, 301, "/relative")),
    ("permanent-redirect-code", "308", |s| s.redirects.redirect().is_none()),
    ("preserve-trailing-slash", "true", |s| s.redirects.keeps_slash == Some(true)),
    ("relative-redirects", "true", |s| s.redirects.is_relative == Some(true)),
    ("temporal-redirect", "http://a.test", |s| is_redirect(s, 302, "http://a.test")),
    ("temporal-redirect-code", "307", |s| s.redirects.redirect().is_none()),
    ("use-port-in-redirects", "true", |s| s.redirects.has_port == Some(true)),
];

fn is_redirect(settings: &IngressSettings, status: u16, location: &str) -> bool {
    settings.redirects.redirect() == Some(Redirect { status, location: location.into() })
}

pub(super) const BAD: &[Bad] = &[
    ("ssl-redirect", &["", "yes", "on", " true"], Effect::Default),
    ("force-ssl-redirect", &["maybe"], Effect::Default),
    ("app-root", &["", "x", "/x;y", "http://a.test/x", "/$1"], Effect::Default),
    ("from-to-www-redirect", &["www"], Effect::Default),
    (
        "permanent-redirect",
        &["https://a.test/$uri", "https://a.test/#f", "javascript:alert", "", "/a\r\nb"],
        Effect::Drops,
    ),
    ("permanent-redirect-code", &["abc", "301.5", ""], Effect::Drops),
    ("preserve-trailing-slash", &["x"], Effect::Default),
    ("relative-redirects", &["x"], Effect::Default),
    ("temporal-redirect", &["/relative", "a.test"], Effect::Default),
    ("temporal-redirect", &["https://a.test$request_uri", "ftp://a.test"], Effect::Drops),
    ("temporal-redirect-code", &["x"], Effect::Drops),
    ("use-port-in-redirects", &["x"], Effect::Default),
];
