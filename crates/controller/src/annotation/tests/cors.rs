use edgeward_routing::policy::cors::Origins;

use super::{Bad, Effect, Good, IngressSettings, read_all};

pub(super) const GOOD: &[Good] = &[
    ("enable-cors", "true", |s| s.cors.is_on),
    ("cors-allow-origin", "http://o.test, https://*.wild.test,", |s| origins(s) == "http://o.test https://*.wild.test"),
    ("cors-allow-origin", "*, http://o.test", |s| origins(s) == "*"),
    ("cors-allow-origin", "null", |s| origins(s) == "null"),
    ("cors-allow-credentials", "false", |s| s.cors.allow_credentials == Some(false)),
    ("cors-allow-methods", "GET, POST", |s| s.cors.methods.as_deref() == Some("GET, POST")),
    ("cors-allow-methods", " GET POST,PUT ", |s| s.cors.methods.as_deref() == Some("GET POST,PUT")),
    ("cors-allow-headers", "X-A, x_b", |s| s.cors.headers.as_deref() == Some("X-A, x_b")),
    ("cors-expose-headers", "*, X-12", |s| s.cors.expose.as_deref() == Some("*, X-12")),
    ("cors-max-age", "600", |s| s.cors.max_age == Some(600)),
];

fn origins(settings: &IngressSettings) -> String {
    match settings.cors.origins.as_ref().unwrap() {
        Origins::Any => "*".to_owned(),
        Origins::Listed(patterns) => patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

pub(super) const BAD: &[Bad] = &[
    ("enable-cors", &["", "maybe"], Effect::Default),
    ("cors-allow-origin", &["", " "], Effect::Default),
    ("cors-allow-credentials", &["x"], Effect::Default),
    (
        "cors-allow-methods",
        &["", "GET;evil", "GET  POST", "GET ,POST", ",GET", "GET,,POST", "G3T", "GET\nPOST"],
        Effect::Default,
    ),
    ("cors-allow-headers", &["", "X-A;X-B", "X-A\r\nX-B: c"], Effect::Default),
    ("cors-expose-headers", &["", "X A: b", "$host"], Effect::Default),
    ("cors-max-age", &["", "x", "1.5", "10s"], Effect::Default),
];

#[test]
fn what_is_no_origin_is_left_out_and_grants_nothing() {
    for (value, expected) in [
        ("not an origin", ""),
        ("http://o.test, b_d://x", "http://o.test"),
        ("http://o.test;evil", ""),
        ("http://o.test/path https://p.test", ""),
    ] {
        let (settings, diagnostics) = read_all(&[("enable-cors", "true"), ("cors-allow-origin", value)]);
        assert_eq!(origins(&settings), expected, "{value}");
        let [diagnostic] = &diagnostics[..] else { panic!("{value}: {diagnostics:?}") };
        assert_eq!(diagnostic.code, "AnnotationInvalid");
        assert!(diagnostic.message.ends_with("what is wrong in it is left out"), "{}", diagnostic.message);
    }
}

#[test]
fn without_details_everybody_may_ask_and_nothing_is_said_where_it_is_off() {
    let cors = read_all(&[("enable-cors", "true")]).0.cors.cors().unwrap();
    assert_eq!((cors.origins, cors.allow_credentials, &*cors.max_age), (Origins::Any, true, "1728000"));
    assert_eq!(&*cors.methods, "GET, PUT, POST, DELETE, PATCH, OPTIONS");
    assert!(cors.headers.starts_with("DNT,Keep-Alive,") && cors.expose.is_none());
    assert!(read_all(&[("cors-allow-origin", "http://o.test")]).0.cors.cors().is_none());
}
