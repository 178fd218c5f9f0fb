#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_redirect_is_rewritten_where_it_begins_with_the_text() {
    let redirect = Some(Substitution::prefix("http://up.test/", "https://down.test/x/").unwrap());
    let policies = ResponsePolicies { redirect, ..Default::default() };
    for (name, value, expected) in [
        ("Location", "http://up.test/a?b", Some("https://down.test/x/a?b")),
        ("location", "http://up.test", None),
        ("Location", "HTTP://up.test/a", None),
        ("Location", "/a", None),
        ("Refresh", "3; URL=http://up.test/a", Some("3; URL=https://down.test/x/a")),
        ("Refresh", "http://up.test/", None),
        ("Set-Cookie", "a=http://up.test/", None),
        ("X-Location", "http://up.test/a", None),
    ] {
        let rewritten = text(policies.rewritten(name.as_bytes(), value.as_bytes()));
        assert_eq!(rewritten.as_deref(), expected, "{name}: {value}");
    }
}

#[test]
fn a_pattern_replaces_all_of_the_text() {
    let of = |from, to, value: &str| text(Substitution::prefix(from, to).unwrap().apply(value.as_bytes()));
    assert_eq!(of("~*^http://UP[.]test/(.*)$", "/$1x", "http://up.test/a").as_deref(), Some("/ax"));
    assert_eq!(of("~up.test", "http://down.test/", "http://www.up.test/a").as_deref(), Some("http://down.test/"));
    assert_eq!(of("~UP.test", "x", "http://up.test/a"), None);
    assert_eq!(of("~(a)|(b)", "/$2", "a").as_deref(), Some("/"));
}

#[test]
fn domain_and_path_of_a_cookie_are_replaced() {
    let policies = ResponsePolicies {
        cookie_domain: Some(Substitution::domain(".up.test", ".down.test").unwrap()),
        cookie_path: Some(Substitution::prefix("/one/", "/two/").unwrap()),
        ..Default::default()
    };
    for (value, expected) in [
        ("a=1; Domain=up.test; Path=/one/x; HttpOnly", Some("a=1; Domain=down.test; Path=/two/x; HttpOnly")),
        ("a=1;domain=.UP.test;path=/", Some("a=1; domain=.down.test; path=/")),
        ("a=1; Domain=www.up.test; Path=/two/one/", None),
        ("a=1; Path = /one/; Max-Age = 5", Some("a=1; Path=/two/; Max-Age=5")),
        ("domain=up.test; path=/one", None),
        ("a=1", None),
        ("", None),
    ] {
        assert_eq!(text(policies.rewritten(b"Set-Cookie", value.as_bytes())).as_deref(), expected, "{value}");
    }
}

#[test]
fn what_cannot_be_put_in_is_refused() {
    for (from, to) in [("~(", "x"), ("a", "$1"), ("$host", "b"), ("~a", "$host"), ("~a", "b\r\nc"), ("a", "b c")] {
        assert!(Substitution::prefix(from, to).is_err(), "{from} {to}");
    }
}

#[test]
fn fields_of_framing_cannot_be_set() {
    let mut fields = HeaderFields::default();
    assert_eq!(fields.set("X-Good", " a b "), Ok(()));
    assert_eq!(fields.set("Content-Length", "1"), Err(BadField::Reserved));
    assert_eq!(fields.set("transfer-encoding", "chunked"), Err(BadField::Reserved));
    for name in ["", "a b", "a:", "\u{e9}"] {
        assert_eq!(fields.set(name, "1"), Err(BadField::Name), "{name:?}");
    }
    for value in ["a\r\nb", "a\0", "a\u{7f}"] {
        assert_eq!(fields.set("x", value), Err(BadField::Value), "{value:?}");
    }
    assert_eq!(fields.iter().collect::<Vec<_>>(), [("x-good", "a b")]);
}

proptest! {
    #[test]
    fn nothing_that_is_rewritten_gets_a_control_byte(from in "[ -~]{0,12}", to in "\\PC{0,8}", value in "[ -~]{0,40}") {
        if let Ok(replacement) = Substitution::prefix(&from, &to) {
            let policies = ResponsePolicies {
                redirect: Some(replacement.clone()), cookie_path: Some(replacement), ..Default::default()
            };
            for name in ["location", "refresh", "set-cookie"] {
                let new = policies.rewritten(name.as_bytes(), value.as_bytes()).unwrap_or_default();
                prop_assert!(new.iter().all(|byte| (0x20..0x7f).contains(byte)));
            }
        }
    }
}
