use edgeward_routing::policy::Substitution;

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("custom-headers", " other/headers ", |s| {
        s.response.custom_headers.as_ref().is_some_and(|name| name.to_string() == "other/headers")
    }),
    ("http2-push-preload", "true", |s| *s == Default::default()),
    ("proxy-cookie-domain", "up.test down.test", |s| {
        s.response.cookie_domain == Some(Substitution::domain("up.test", "down.test").ok())
    }),
    ("proxy-cookie-domain", "off", |s| s.response.cookie_domain == Some(None)),
    ("proxy-cookie-path", "/one/  /two/", |s| {
        s.response.cookie_path == Some(Substitution::prefix("/one/", "/two/").ok())
    }),
    ("proxy-cookie-path", "off", |s| s.response.cookie_path == Some(None)),
    ("proxy-redirect-from", "http://up.test/", |s| s.response.redirect_from.as_deref() == Some("http://up.test/")),
    ("proxy-redirect-from", "~up.test/", |s| s.response.redirect_from.as_deref() == Some("~up.test/")),
    ("proxy-redirect-to", "off", |s| s.response.redirect_to.as_deref() == Some("off")),
];

pub(super) const BAD: &[Bad] = &[
    ("custom-headers", &["", "  ", "a/b;c"], Effect::Default),
    ("custom-headers", &["headers", "a/b/c"], Effect::Closes),
    ("http2-push-preload", &[""], Effect::Default),
    ("http2-push-preload", &["yes"], Effect::Drops),
    ("proxy-cookie-domain", &["", "one", "a b c", "a b;", "~? x"], Effect::Default),
    ("proxy-cookie-path", &["", "/one", "~^/x(.*)$ /y$1", "/a /b /c"], Effect::Default),
    ("proxy-redirect-from", &["", "~*^http://up[.]test/(.*)$", "a b", "~?"], Effect::Default),
    ("proxy-redirect-to", &["", "/$1", "a b", "a\r\nb"], Effect::Default),
];
