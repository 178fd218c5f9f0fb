use edgeward_routing::affinity::{AffinityMode, SameSite};

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("affinity", " cookie ", |s| s.affinity.is_by_cookie),
    ("affinity-mode", "balanced", |s| s.affinity.mode == Some(AffinityMode::Balanced)),
    ("affinity-mode", "persistent", |s| s.affinity.mode == Some(AffinityMode::Persistent)),
    ("affinity-canary-behavior", "legacy", |s| s.affinity.leaves_canary),
    ("affinity-canary-behavior", "sticky", |s| !s.affinity.leaves_canary),
    ("session-cookie-change-on-failure", "true", |s| s.affinity.cookie.changes_on_failure),
    ("session-cookie-conditional-samesite-none", "true", |s| s.affinity.cookie.spares_old_clients),
    ("session-cookie-domain", "a.test", |s| s.affinity.cookie.domain.as_deref() == Some("a.test")),
    ("session-cookie-expires", "172800", |s| s.affinity.cookie.expires == Some(172_800)),
    ("session-cookie-expires", "-1", |s| s.affinity.cookie.expires == Some(-1)),
    ("session-cookie-max-age", "0", |s| s.affinity.cookie.max_age == Some(0)),
    ("session-cookie-name", "route", |s| &*s.affinity.cookie.name == "route"),
    ("session-cookie-name", "bad name", |s| &*s.affinity.cookie.name == "bad name"),
    ("session-cookie-path", "/two", |s| s.affinity.cookie.path.as_deref() == Some("/two")),
    ("session-cookie-samesite", " Lax", |s| s.affinity.cookie.same_site == Some(SameSite::Lax)),
    ("session-cookie-samesite", "None", |s| s.affinity.cookie.same_site == Some(SameSite::None)),
    ("session-cookie-secure", "true", |s| s.affinity.cookie.is_secure),
];

pub(super) const BAD: &[Bad] = &[
    ("affinity", &["", "ip", "Cookie", "cookie,ip"], Effect::Default),
    ("affinity-mode", &["", "sticky", "Persistent"], Effect::Default),
    ("affinity-canary-behavior", &["", "main"], Effect::Default),
    ("session-cookie-change-on-failure", &["", "yes"], Effect::Default),
    ("session-cookie-conditional-samesite-none", &["on"], Effect::Default),
    ("session-cookie-domain", &["", "a.test; Secure", "a.test\r\nx: y"], Effect::Default),
    ("session-cookie-expires", &["", "abc", "abc5", "1h", "99999999999999999999"], Effect::Default),
    ("session-cookie-max-age", &["", "1.5", "999999999999999"], Effect::Default),
    ("session-cookie-name", &["", "a=b", "a;b", "a\tb", "é"], Effect::Default),
    ("session-cookie-path", &["", "/a;b", "/(.*)", "/a\nb"], Effect::Default),
    ("session-cookie-samesite", &["", "bogus", "strict"], Effect::Default),
    ("session-cookie-secure", &["maybe"], Effect::Default),
];
