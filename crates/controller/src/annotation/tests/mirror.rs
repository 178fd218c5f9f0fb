use super::{Bad, Effect, Good, IngressSettings};

pub(super) const GOOD: &[Good] = &[
    ("mirror-target", "http://10.0.0.9:8080$request_uri", |s| {
        let mirror = mirror(s);
        (&*mirror.authority, mirror.is_tls, mirror.path.to_string().as_str(), mirror.host.to_string().as_str())
            == ("10.0.0.9:8080", false, "$request_uri", "10.0.0.9")
    }),
    ("mirror-target", "https://m.test/fixed", |s| mirror(s).is_tls && mirror(s).has_body),
    ("mirror-target", "https://m.test", |s| mirror(s).path.parts.is_empty()),
    ("mirror-host", "m.$host", |s| s.mirror.host.is_some() && s.mirror.mirror().is_none()),
    ("mirror-request-body", "off", |s| s.mirror.lacks_body),
];

fn mirror(settings: &IngressSettings) -> edgeward_routing::policy::Mirror {
    settings.mirror.mirror().unwrap()
}

pub(super) const BAD: &[Bad] = &[
    (
        "mirror-target",
        &[
            "",
            "foo",
            "ftp://a.test",
            "http://",
            "http://$host/",
            "http://a b/",
            "http://a.test/$nothing",
            "http://a.test/;",
            "http://u@a.test/",
        ],
        Effect::Default,
    ),
    ("mirror-host", &["", "a b", "$nothing", "a\r\nX: y"], Effect::Default),
    ("mirror-request-body", &["", "true"], Effect::Default),
];
