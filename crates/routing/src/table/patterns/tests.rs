#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cmp::Reverse;
use std::sync::Arc;

use proptest::prelude::*;

use crate::fixture::route;
use crate::path::{PathPattern, PathRegex, TrailingSlash};
use crate::route::Route;
use crate::table::{RouteMatch, RouteTable};

fn pattern(text: &str, is_below: bool) -> Route {
    let path = PathPattern::Regex(Arc::new(PathRegex::new(text, is_below).unwrap()));
    Route { path, ..route("a.test", "Exact /", 0) }
}

fn found(table: &RouteTable, path: &str) -> String {
    match table.find("a.test", path.as_bytes()) {
        RouteMatch::Route(_, route) => route.path.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn patterns_are_asked_from_the_longest_text_on() {
    let texts = ["/a", "/ab", "/a.*", "/a[bc]", "/xb", "/x."];
    let routes: Vec<_> = texts.iter().map(|text| pattern(text, false)).chain([pattern("/xb", true)]).collect();
    let table = RouteTable::new(routes, TrailingSlash::Redirect, |_| false);
    for (path, expected) in [
        ("/a", "Regex /a.*"),
        ("/AB", "Regex /a[bc]"),
        ("/abc", "Regex /a[bc]"),
        ("/axyz", "Regex /a.*"),
        ("/xb/c", "Regex /xb"),
        ("/xa", "Regex /x."),
    ] {
        assert_eq!(found(&table, path), expected, "{path}");
    }
    assert!(matches!(table.find("a.test", b"/other"), RouteMatch::NoPath(_)));
    assert_eq!(table.len(), 7);
}

#[test]
fn among_plain_paths_an_exact_one_wins_and_else_the_longer_text() {
    let plain = ["Exact /a", "Prefix /", "Prefix /a/b/c"].map(|path| route("a.test", path, 0));
    let routes = plain.into_iter().chain([pattern("/a.*", false), pattern("/[x-z]/", false)]);
    let table = RouteTable::new(routes, TrailingSlash::Ignore, |_| false);
    for (path, expected) in [
        ("/a", "Exact /a"),
        ("/A", "Regex /a.*"),
        ("/a/b", "Regex /a.*"),
        ("/a/b/c/d", "Prefix /a/b/c"),
        ("/y/", "Regex /[x-z]/"),
        ("/b", "Prefix /"),
    ] {
        assert_eq!(found(&table, path), expected, "{path}");
    }
}

/// What asking every pattern in order finds: nginx's own way.
fn naive(routes: &[Route], path: &str) -> Option<String> {
    let mut all: Vec<_> = routes.iter().enumerate().collect();
    all.sort_by_key(|(at, route)| (Reverse(route.path.as_str().len()), Reverse(route.path.as_str()), *at));
    let takes = |route: &Route| {
        let PathPattern::Regex(pattern) = &route.path else { panic!() };
        let slash = if pattern.is_below() && !pattern.text().ends_with('/') { "/" } else { "" };
        let text = format!("(?i-u)^{}{slash}", pattern.text());
        regex::bytes::Regex::new(&text).unwrap().is_match(path.as_bytes())
    };
    all.into_iter().find(|(_, route)| takes(route)).map(|(_, route)| route.path.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn a_lookup_of_patterns_is_the_first_of_the_ordered_list(
        texts in prop::collection::vec(("/[abA/]{0,3}([ab.]|[ab][*+?]|\\(a\\|b\\)|/\\|b|\\[a-c\\]|\\$){0,3}", any::<bool>()), 1..10),
        paths in prop::collection::vec("/[abcAB/]{0,5}", 8),
    ) {
        let routes: Vec<_> = texts.iter().map(|(text, is_below)| pattern(text, *is_below)).collect();
        let table = RouteTable::new(routes.clone(), TrailingSlash::Redirect, |_| false);
        for path in &paths {
            let expected = naive(&routes, path);
            let found = match table.find("a.test", path.as_bytes()) {
                RouteMatch::Route(_, route) => Some(route.path.to_string()),
                _ => None,
            };
            prop_assert_eq!(found, expected, "{}", path);
        }
    }
}
