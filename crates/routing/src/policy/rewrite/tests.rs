#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::fixture::{Head, downstream};
use crate::path::NormalizedPath;
use crate::settings::Settings;

fn anywhere(path: &str, target: &str) -> Rewrite {
    Rewrite::new(RewriteFrom::Anywhere(path.into()), target.parse().unwrap(), None).unwrap()
}

fn apply(rewrite: &Rewrite, target: &str) -> Option<Rewritten> {
    let head = Head::get("a.test", target).with("x-name", "va lue");
    let path = NormalizedPath::parse(target).ok()?;
    rewrite.apply(path.as_bytes(), &Forwarded::of(&downstream(false), &head, &Settings::default()), &head)
}

fn target(rewrite: &Rewrite, of: &str) -> String {
    match apply(rewrite, of) {
        Some(Rewritten::Target { target, .. }) => target.into(),
        Some(Rewritten::Redirect(location)) => format!("302 {location}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn paths_are_rewritten_as_nginx_does() {
    for (path, to, of, expected) in [
        ("/foo", "/", "/foo/x", "/"),
        ("/foo(/|$)(.*)", "/$2", "/FOO/a/b?x=1&y", "/a/b?x=1&y"),
        ("/foo(/|$)(.*)", "/$2", "/foo", "/"),
        ("/foo(/|$)(.*)", "/$2", "/foo/a%2Fb//c", "/a/b/c"),
        ("/foo(/|$)(.*)", "/$2", "/foo/%3F%23%25%20%7B", "/%3F%23%25%20%7B"),
        ("/foo(/|$)(.*)", "/$2", "/foo/{x}\\|", "/%7Bx%7D%5C%7C"),
        ("/foo(/|$)(.*)", "/$2", "/foo/caf%C3%A9", "/caf%C3%A9"),
        ("/foo(/|$)(.*)", "/$2", "/foo/x#y?z", "/x"),
        ("/app/(v[0-9]+)/(.*)", "/$2/$1/$3", "/app/v1/x", "/x/v1/"),
        ("/app/(v[0-9]+)/(.*)", "/$2/$1/$3", "/app/v2/", "//v2/"),
        ("/x/(.*)", "/$10", "/x/a", "/a0"),
        ("/foo", "bar", "/foo/x?y", "bar?y"),
        ("/foo", "/$host/$http_x_name", "/foo", "/a.test/va%20lue"),
        ("/b/(.*)", "/$1", "/b/b/c", "/b/c"),
        ("/a|/b/(.*)", "/$1", "/a/b/c", "/"),
        ("/foo/(.*)", "https://o.test/$1", "/foo/a?b=c", "302 https://o.test/a?b=c"),
        ("/foo/(.*)", "$scheme://o.test/$1", "/foo/%0D%09", "302 http://o.test/%0D%09"),
        ("/foo(.*)", "/$1", "/foo../x", "Some(Escaping)"),
        ("/foo(.*)", "/a/$1", "/foo./x", "Some(Escaping)"),
        ("/foo(.*)", "/a/$1", "/foo..;x/y", "Some(Escaping)"),
        ("/foo(.*)", "/a/$1", "/foo.;", "Some(Escaping)"),
        ("/foo(.*)", "/a/$1", "/foo..\\x", "Some(Escaping)"),
        ("/foo(.*)", "/a\\$1", "/foo../x", "Some(Escaping)"),
        ("/foo(.*)", "/a$1", "/foo../x", "/a../x"),
        ("/foo(.*)", "/a$1", "/foo..;x/y;z", "/a..;x/y;z"),
        ("/foo(.*)", "$1", "/foo", "Some(Empty)"),
        ("/foo(.*)", "$1", "/foohttp://x.test/", "Some(Escaping)"),
        ("/foo(.*)", "$1", "/foo*", "Some(Escaping)"),
    ] {
        assert_eq!(target(&anywhere(path, to), of), expected, "{path} to {to}: {of}");
    }
}

#[test]
fn a_prefix_whose_target_is_its_own_text_is_rewritten_below_it() {
    let rewrite = Rewrite::new(RewriteFrom::Below("/foo".into()), "/foo".parse().unwrap(), None).unwrap();
    assert_eq!(target(&rewrite, "/FOO/x"), "/foo");
    for stays in ["/foo", "/foobar", "/foobar/foo/x"] {
        assert_eq!(apply(&rewrite, stays), None, "{stays}");
    }
}

#[test]
fn a_prefix_goes_with_what_is_rewritten_and_ends_no_field() {
    let from = RewriteFrom::Anywhere("/foo/([^/]*)/.*".into());
    let rewrite = Rewrite::new(from, "/".parse().unwrap(), Some("/pre $1".parse().unwrap())).unwrap();
    let Some(Rewritten::Target { prefix, .. }) = apply(&rewrite, "/foo/a%0D%0Ab%C3%A9/x") else { panic!() };
    assert_eq!(prefix.as_deref(), Some(&b"/pre a%0D%0Ab%C3%A9"[..]));
}

#[test]
fn a_replacement_is_parsed_once_and_prints_as_it_was_written() {
    for text in ["/", "/$1/$2-x", "$1", "bar", "/$request_uri", "https://x.test/$9", ""] {
        assert_eq!(text.parse::<Replacement>().unwrap().to_string(), text);
    }
    for text in ["/$", "/$0", "/$nothing", "/$/"] {
        assert!(text.parse::<Replacement>().is_err(), "{text}");
    }
}

#[test]
fn equal_rewrites_are_those_of_the_same_texts() {
    assert_eq!(anywhere("/a(.*)", "/$1"), anywhere("/a(.*)", "/$1"));
    assert_ne!(anywhere("/a(.*)", "/$1"), anywhere("/a.*", "/$1"));
    assert_ne!(anywhere("/a(.*)", "/$1"), anywhere("/a(.*)", "/"));
}

proptest! {
    #[test]
    fn nothing_panics_and_what_goes_on_is_normal_and_visible(
        path in "/[ab.]{0,2}([ab.(|)*/]){0,6}",
        to in "/?([ab./]|\\$1|\\$2|\\$http_x_name|\\$request_uri){0,5}",
        of in "/([ab./{};\\\\]|%2e|%2F|%25|%0a|%C3%A9|é){0,12}(\\?[a%/.]{0,4})?",
    ) {
        let from = RewriteFrom::Anywhere(path.into());
        let Ok(to) = to.parse::<Replacement>() else { return Ok(()) };
        let Ok(rewrite) = Rewrite::new(from, to, Some("$1".parse().unwrap())) else { return Ok(()) };
        let Some(Rewritten::Target { target, prefix }) = apply(&rewrite, &of) else { return Ok(()) };
        prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{}", target);
        prop_assert!(prefix.unwrap().iter().all(|byte| *byte == b' ' || byte.is_ascii_graphic()));
        if target.starts_with('/') {
            // Whoever reads it again finds no dot segment, and nothing to decode that would make one.
            let again = NormalizedPath::parse(&target).unwrap();
            let segments = |path: &[u8]| -> Vec<Vec<u8>> {
                path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).map(<[u8]>::to_vec).collect()
            };
            let as_sent = segments(crate::path::path_of(&target).unwrap().as_bytes());
            prop_assert_eq!(segments(again.as_bytes()).len(), as_sent.len(), "{}", target);
        }
    }

    #[test]
    fn no_replacement_panics(text: String) {
        let _ = text.parse::<Replacement>();
    }
}
