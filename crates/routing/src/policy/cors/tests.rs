#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::fixture::Head;

#[test]
fn an_origin_pattern_is_an_origin_or_one_label_below_it() {
    for text in ["http://o.test", "https://*.wild.test", "app://x", "http://o.test:8080", "https://*.w.test:1", "null"]
    {
        assert!(OriginPattern::parse(text).is_some(), "{text}");
    }
    for text in [
        "",
        "*",
        "o.test",
        "not an origin",
        "HTTP://o.test",
        "http://o.test/",
        "http://a*.test",
        "http://o.test:",
        "http://o.test:x",
        "http://*.*.test",
        "http://o_x.test",
        "://o.test",
        "http://o.test:1:2",
        "http://\u{e9}.test",
    ] {
        assert!(OriginPattern::parse(text).is_none(), "{text}");
    }
}

#[test]
fn an_origin_matches_by_its_end_without_case() {
    for (pattern, origin, expected) in [
        ("http://o.test", "http://o.test", true),
        ("http://o.test", "HTTP://O.TEST", true),
        ("http://o.test", "xhttp://o.test", true),
        ("http://o.test", "http://o.test.evil", false),
        ("http://o.test", "http://oxtest", false),
        ("http://o.test", "https://o.test", false),
        ("http://o.test", "http://o.test:80", false),
        ("http://o.test", "test", false),
        ("https://*.wild.test", "https://a.wild.test", true),
        ("https://*.wild.test", "https://A-1.Wild.test", true),
        ("https://*.wild.test", "https://a.b.wild.test", false),
        ("https://*.wild.test", "https://wild.test", false),
        ("https://*.wild.test", "https://.wild.test", false),
        ("https://*.wild.test", "http://a.wild.test", false),
        ("https://*.wild.test", "https://evil/a.wild.test", false),
        ("https://*.wild.test:8", "https://a.wild.test:8", true),
        ("https://*.wild.test:8", "https://a.wild.test", false),
        ("null", "null", true),
        ("null", "NULL", true),
        ("null", "http://null", false),
    ] {
        assert_eq!(OriginPattern::parse(pattern).unwrap().matches(origin), expected, "{pattern}: {origin}");
    }
}

fn cors(origins: Origins) -> Arc<Cors> {
    Arc::new(Cors {
        origins,
        allow_credentials: true,
        methods: "GET".into(),
        headers: "X-A".into(),
        expose: None,
        max_age: "60".into(),
    })
}

fn said(grant: &Grant) -> String {
    let mut said = Vec::new();
    grant.apply(&mut |edit| match edit {
        Edit::Set(name, value) | Edit::Append(name, value) => {
            said.push(format!("{name}: {}", String::from_utf8_lossy(value)));
        }
        Edit::Remove(name) => said.push(format!("no {name}")),
    });
    said.join("\n").replace("access-control-", "")
}

#[test]
fn a_grant_says_what_was_asked_for_and_the_origin_as_it_was_sent() {
    let everybody = cors(Origins::Any);
    let head = Head::get("a.test", "/");
    let all = "allow-origin: *\nallow-credentials: true\nallow-methods: GET\nallow-headers: X-A\nmax-age: 60";
    assert_eq!(said(&Grant::of(&everybody, &head).unwrap()), all);
    let listed = cors(Origins::Listed([OriginPattern::parse("http://o.test").unwrap()].into()));
    assert_eq!(Grant::of(&listed, &head), None);
    let head = |origin| Head::get("a.test", "/").with("origin", origin);
    assert_eq!(Grant::of(&listed, &head("http://p.test")), None);
    assert_eq!(Grant::of(&listed, &head("a\thttp://o.test")), None, "not fit for a header");
    assert_eq!(Grant::of(&listed, &head("http://o.test").with("origin", "http://o.test")), None);
    let grant = Grant::of(&listed, &head("HTTP://o.test")).unwrap();
    assert!(said(&grant).starts_with("allow-origin: HTTP://o.test\n"));
    assert_eq!(Grant::of(&cors(Origins::Listed([].into())), &head("http://o.test")), None);
    let other = Cors { allow_credentials: false, expose: Some("X-E".into()), ..Cors::clone(&everybody) };
    let other = said(&Grant::of(&Arc::new(other), &head("x")).unwrap());
    assert_eq!(other, "allow-origin: *\nallow-methods: GET\nallow-headers: X-A\nexpose-headers: X-E\nmax-age: 60");
}

proptest! {
    #[test]
    fn no_pattern_and_no_origin_panics(pattern in ".{0,30}", origin in ".{0,30}") {
        let head = Head::get("a.test", "/").with("origin", &origin);
        let patterns: Box<[OriginPattern]> = OriginPattern::parse(&pattern).into_iter().collect();
        let is_empty = patterns.is_empty();
        let grant = Grant::of(&cors(Origins::Listed(patterns)), &head);
        prop_assert!(!is_empty || grant.is_none());
    }
}
