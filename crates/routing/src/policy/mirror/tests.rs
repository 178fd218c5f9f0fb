#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::fixture::{Head, downstream};
use crate::settings::Settings;

#[test]
fn a_copy_goes_to_a_path_of_the_target_whatever_form_that_of_the_request_has() {
    for (path, target, expected) in [
        ("", "/a?b", "/a?b"),
        ("", "http://a.test/a?b", "/a?b"),
        ("", "http://a.test?b", "/?b"),
        ("", "/\u{e9}", "/%C3%A9"),
        ("$request_uri", "http://a.test/a?b", "/a?b"),
        ("/fixed", "/a?b", "/fixed?b"),
        ("/fixed?c", "/a?b#d", "/fixed?c&b"),
        ("/fixed", "/a?", "/fixed"),
        ("/fixed", "/a#b?c", "/fixed"),
    ] {
        let path = if path.is_empty() { Template::default() } else { path.parse().unwrap() };
        let host = "m.test".parse().unwrap();
        let mirror = Mirror { is_tls: false, authority: "m.test:1".into(), path, host, has_body: true };
        let head = Head::get("a.test", target);
        let forwarded = Forwarded::of(&downstream(false), &head, &Settings::default());
        let url = mirror.url(&forwarded, &head, "").unwrap();
        assert_eq!(url, format!("http://m.test:1{expected}"), "{target}");
    }
}
