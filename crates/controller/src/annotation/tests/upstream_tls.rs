use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("proxy-ssl-secret", "default/ca", |s| s.upstream_tls.secret == Some(("default".into(), "ca".into()))),
    ("proxy-ssl-name", "$host", |s| s.upstream_tls.name.as_ref().is_some_and(|name| name.to_string() == "$host")),
    ("proxy-ssl-server-name", "on", |s| s.upstream_tls.sends_name),
    ("proxy-ssl-verify", "on", |s| s.upstream_tls.verifies && s.closed.is_none()),
    ("proxy-ssl-verify", "off", |s| !s.upstream_tls.verifies && s.closed.is_none()),
    ("proxy-ssl-verify-depth", "3", |s| s.upstream_tls.depth == 3),
    ("proxy-ssl-verify-depth", "0", |s| s.upstream_tls.depth == 1),
    ("proxy-ssl-protocols", "TLSv1.3 TLSv1.2", |s| s.upstream_tls.versions == Some((true, true))),
    ("proxy-ssl-ciphers", "HIGH:!aNULL:!MD5", |s| s.upstream_tls.suites.is_empty()),
    ("proxy-ssl-ciphers", "ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA", |s| {
        *s.upstream_tls.suites == ["ECDHE-RSA-AES128-GCM-SHA256"]
    }),
];

pub(super) const BAD: &[Bad] = &[
    ("proxy-ssl-secret", &[""], Effect::Default),
    ("proxy-ssl-secret", &["ca", "a/b/c", "/ca", "default/"], Effect::Closes),
    ("proxy-ssl-secret", &["default/ca;", "a\"b/c"], Effect::Drops),
    ("proxy-ssl-name", &["", "a b", "$nothing", "a;b", "\u{e9}.test"], Effect::Default),
    ("proxy-ssl-server-name", &["", "true", "On"], Effect::Default),
    ("proxy-ssl-verify", &[""], Effect::Default),
    ("proxy-ssl-verify", &["true", "On", "yes", "of"], Effect::Closes),
    ("proxy-ssl-verify-depth", &["", "-1", "deep"], Effect::Default),
    ("proxy-ssl-protocols", &["", "TLSv1", "TLSv1.2TLSv1.3", "TLSv1.2,TLSv1.3"], Effect::Default),
    ("proxy-ssl-ciphers", &["", "a;b", "AES128-SHA"], Effect::Default),
];
