#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod size;

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;
use crate::backend::BackendId;
use crate::fixture::route;
use crate::path::PathPattern;
use crate::route::Target;

fn table(routes: &[(&str, &str)], trailing_slash: TrailingSlash) -> RouteTable {
    let routes = (0..).zip(routes).map(|(id, (host, path))| route(host, path, id));
    RouteTable::new(routes, trailing_slash, |_| false)
}

/// What a lookup found, in short: `Exact /foo`, `301 Prefix /foo/`, `no path`, `no host`.
fn found(table: &RouteTable, host: &str, path: &str) -> String {
    match table.find(host, path.as_bytes()) {
        RouteMatch::Route(_, route) => route.path.to_string(),
        RouteMatch::AddSlash(_, route) => format!("301 {}", route.path),
        RouteMatch::NoPath(_) => "no path".to_owned(),
        RouteMatch::NoHost => "no host".to_owned(),
    }
}

fn assert_paths(rules: &[&str], trailing_slash: TrailingSlash, expected: &[(&str, &str)]) {
    // The order of the rules must not matter, so both orders are tried.
    for reversed in [false, true] {
        let mut rules: Vec<_> = rules.iter().map(|path| ("a.test", *path)).collect();
        if reversed {
            rules.reverse();
        }
        let table = table(&rules, trailing_slash);
        for (path, rule) in expected {
            assert_eq!(found(&table, "a.test", path), *rule, "{path} of {rules:?} with {trailing_slash:?}");
        }
    }
}

#[test]
fn an_exact_host_wins_over_a_wildcard_and_a_wildcard_over_any() {
    let table = table(
        &[
            ("", "Prefix /any"),
            ("*.c.test", "Prefix /wild"),
            ("x.c.test", "Prefix /exact"),
            ("*.sub.c.test", "Prefix /deep"),
        ],
        TrailingSlash::Redirect,
    );
    for (host, path, rule) in [
        ("x.c.test", "/exact", "Prefix /exact"),
        ("y.c.test", "/wild", "Prefix /wild"),
        ("sub.c.test", "/wild", "Prefix /wild"),
        ("q.sub.c.test", "/deep", "Prefix /deep"),
        ("q.r.sub.c.test", "/any", "Prefix /any"),
        ("c.test", "/any", "Prefix /any"),
        (".c.test", "/any", "Prefix /any"),
        ("", "/any", "Prefix /any"),
    ] {
        assert_eq!(found(&table, host, path), rule, "{host}{path}");
    }
}

#[test]
fn a_host_never_falls_back_to_the_paths_of_another_pattern() {
    let table =
        table(&[("", "Prefix /"), ("*.c.test", "Prefix /foo"), ("x.c.test", "Prefix /bar")], TrailingSlash::Redirect);
    assert_eq!(found(&table, "x.c.test", "/foo"), "no path");
    assert_eq!(found(&table, "y.c.test", "/bar"), "no path");
    assert_eq!(found(&table, "other.test", "/bar"), "Prefix /");
}

#[test]
fn without_a_rule_for_any_host_others_have_no_host() {
    let table = table(&[("a.test", "Prefix /")], TrailingSlash::Redirect);
    assert_eq!(found(&table, "b.test", "/"), "no host");
    assert_eq!(found(&RouteTable::default(), "a.test", "/"), "no host");
    assert!(RouteTable::default().is_empty());
}

#[test]
fn exact_wins_over_prefix_and_a_longer_prefix_over_a_shorter_one() {
    for mode in [TrailingSlash::Redirect, TrailingSlash::Ignore] {
        assert_paths(
            &["Prefix /", "Prefix /a", "Prefix /a/b", "Exact /a/b/c"],
            mode,
            &[
                ("/", "Prefix /"),
                ("/a", "Prefix /a"),
                ("/a/", "Prefix /a"),
                ("/a/b", "Prefix /a/b"),
                ("/a/bc", "Prefix /a"),
                ("/a/b/c", "Exact /a/b/c"),
                ("/a/b/c/", "Prefix /a/b"),
                ("/a/b/c/d", "Prefix /a/b"),
                ("/ab", "Prefix /"),
            ],
        );
        assert_paths(
            &["Exact /foo", "Prefix /foo", "Prefix /"],
            mode,
            &[("/foo", "Exact /foo"), ("/foo/", "Prefix /foo"), ("/foo/bar", "Prefix /foo"), ("/foobar", "Prefix /")],
        );
    }
}

#[test]
fn paths_are_compared_with_case_and_by_element() {
    for mode in [TrailingSlash::Redirect, TrailingSlash::Ignore] {
        assert_paths(
            &["Prefix /A", "Prefix /a"],
            mode,
            &[("/A/x", "Prefix /A"), ("/a/x", "Prefix /a"), ("/B", "no path")],
        );
        assert_paths(&["Prefix /foo"], mode, &[("/foobar", "no path"), ("/fo", "no path"), ("/foo/x", "Prefix /foo")]);
        assert_paths(&["Exact /foo"], mode, &[("/foo", "Exact /foo"), ("/foo/", "no path"), ("/foo/x", "no path")]);
    }
}

#[test]
fn a_path_with_a_trailing_slash_takes_what_is_below_and_redirects_to_itself() {
    let mode = TrailingSlash::Redirect;
    let below = [("/my", "301 Prefix /my/"), ("/my/", "Prefix /my/"), ("/my/x", "Prefix /my/")];
    assert_paths(&["Prefix /my/"], mode, &below);
    assert_paths(&["Prefix /my/", "Prefix /"], mode, &[below[0], below[1], below[2], ("/myx", "Prefix /")]);
    assert_paths(&["Exact /my/"], mode, &[("/my", "301 Exact /my/"), ("/my/", "Exact /my/"), ("/my/x", "no path")]);
    assert_paths(&["Prefix /a/b/", "Prefix /a"], mode, &[("/a/b", "301 Prefix /a/b/"), ("/a/bc", "Prefix /a")]);
}

#[test]
fn no_redirect_where_something_takes_the_path_exactly() {
    let mode = TrailingSlash::Redirect;
    assert_paths(&["Prefix /my/", "Exact /my"], mode, &[("/my", "Exact /my"), ("/my/", "Prefix /my/")]);
    assert_paths(
        &["Exact /my/", "Prefix /my"],
        mode,
        &[("/my", "Prefix /my"), ("/my/", "Exact /my/"), ("/my/x", "Prefix /my")],
    );
}

#[test]
fn of_exact_and_prefix_with_the_same_trailing_slash_the_exact_redirects() {
    assert_paths(
        &["Prefix /my/", "Exact /my/"],
        TrailingSlash::Redirect,
        &[("/my", "301 Exact /my/"), ("/my/", "Exact /my/"), ("/my/x", "Prefix /my/")],
    );
}

#[test]
fn by_the_specification_a_prefix_ignores_its_trailing_slash_and_an_exact_does_not() {
    let mode = TrailingSlash::Ignore;
    assert_paths(&["Prefix /my/"], mode, &[("/my", "Prefix /my/"), ("/my/x", "Prefix /my/"), ("/myx", "no path")]);
    assert_paths(&["Exact /my/"], mode, &[("/my", "no path"), ("/my/", "Exact /my/")]);
}

#[test]
fn of_equal_routes_the_first_is_kept() {
    for mode in [TrailingSlash::Redirect, TrailingSlash::Ignore] {
        for path in ["Prefix /x", "Prefix /x/", "Exact /x/", "Exact /x"] {
            let table = table(&[("a.test", path), ("a.test", path)], mode);
            assert_eq!(table.len(), 1);
            assert_eq!(table.host("a.test").unwrap().routes()[0].target, Target::Backend(BackendId(0)));
        }
    }
}

#[test]
fn the_routes_of_some_hosts_are_replaced_and_those_of_others_stay() {
    let old = table(&[("a.test", "Prefix /"), ("b.test", "Prefix /"), ("*.test", "Prefix /")], TrailingSlash::Redirect);
    let with = |replaced: &[&str], new: &[(&str, &str)]| {
        let new = table(new, TrailingSlash::Redirect).hosts().cloned().collect();
        old.with(&replaced.iter().map(|host| host.parse().unwrap()).collect(), new)
    };
    for (replaced, new, expected) in [
        (&["b.test"][..], &[("b.test", "Prefix /new")][..], "a.test/ b.test/new *.test/ "),
        (
            &["c.test", "b.test"],
            &[("c.test", "Prefix /new"), ("b.test", "Prefix /x")],
            "a.test/ b.test/x c.test/new *.test/ ",
        ),
        (&["b.test"], &[], "a.test/ *.test/ "),
        (&["a.test", "", "c.test"], &[("", "Exact /any")], "b.test/ *.test/ */any "),
        (&["c.test"], &[], "a.test/ b.test/ *.test/ "),
    ] {
        let table = with(replaced, new);
        let shown = |host: &Arc<HostRoutes>| {
            assert!(Arc::ptr_eq(table.of_pattern(&host.host).unwrap(), host));
            format!("{}{} ", host.host, host.routes()[0].path.as_str())
        };
        let mut hosts: Vec<_> = table.hosts().collect();
        hosts.sort_by_key(|host| &host.host);
        assert_eq!(hosts.into_iter().map(shown).collect::<String>(), expected, "{replaced:?}");
        let kept = table.hosts().filter(|host| old.hosts().any(|old| Arc::ptr_eq(old, host)));
        assert_eq!(kept.count(), table.hosts().count() - new.len());
    }
}

#[test]
fn the_certificate_is_a_property_of_the_host() {
    let routes = ["a.test", "b.test"].map(|host| route(host, "Prefix /", 0));
    let table = RouteTable::new(routes, TrailingSlash::Redirect, |host| host.to_string() == "a.test");
    assert!(table.host("a.test").unwrap().has_certificate);
    assert!(!table.host("b.test").unwrap().has_certificate);
}

/// How well a pattern takes a path; the greatest wins. This is the rule, said once and slowly.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Prefix(usize),
    Exact,
}

/// The elements of a path: `/a/b` and `/a/b/` have the same ones.
fn elements(path: &str) -> Vec<&str> {
    path.split('/').filter(|element| !element.is_empty()).collect()
}

fn rank(pattern: &PathPattern, path: &str, mode: TrailingSlash) -> Option<Rank> {
    match pattern {
        PathPattern::Exact(rule) => (**rule == *path).then_some(Rank::Exact),
        PathPattern::Prefix(rule) => {
            let below = rule.len() > 1 && rule.ends_with('/') && mode == TrailingSlash::Redirect;
            let (rule_elements, path_elements) = (elements(rule), elements(path));
            let taken = path_elements.starts_with(&rule_elements)
                && !(below && path_elements.len() == rule_elements.len() && !path.ends_with('/'));
            // A prefix with a slash is longer than the same without it.
            taken.then_some(Rank::Prefix(rule_elements.len() * 2 + usize::from(below)))
        }
        PathPattern::Regex(_) => unreachable!("a table of plain paths"),
    }
}

/// The slow lookup: every route is asked, the best one wins, and of equals the first.
fn naive(routes: &[Route], path: &str, mode: TrailingSlash) -> String {
    let best =
        (routes.iter().enumerate()).filter_map(|(at, route)| Some((rank(&route.path, path, mode)?, Reverse(at)))).max();
    let taken_exactly = best
        .as_ref()
        .is_some_and(|(rank, Reverse(at))| *rank == Rank::Exact || routes[*at].path.as_str().len() == path.len());
    if mode == TrailingSlash::Redirect && !taken_exactly && path != "/" {
        let slashed = format!("{path}/");
        let redirect = (routes.iter().enumerate())
            .filter(|(_, route)| route.path.as_str() == slashed)
            .max_by_key(|(at, route)| (matches!(route.path, PathPattern::Exact(_)), Reverse(*at)));
        if let Some((_, route)) = redirect {
            return format!("301 {} {:?}", route.path, route.target);
        }
    }
    best.map_or("no path".to_owned(), |(_, Reverse(at))| format!("{} {:?}", routes[at].path, routes[at].target))
}

fn indexed(table: &RouteTable, path: &str) -> String {
    match table.find("a.test", path.as_bytes()) {
        RouteMatch::Route(_, route) => format!("{} {:?}", route.path, route.target),
        RouteMatch::AddSlash(_, route) => format!("301 {} {:?}", route.path, route.target),
        RouteMatch::NoPath(_) | RouteMatch::NoHost => "no path".to_owned(),
    }
}

/// Few elements and few letters, so that rules and requests meet often.
fn paths() -> impl Strategy<Value = String> {
    (prop::collection::vec(prop::sample::select(vec!["a", "b", "ab"]), 0..4), any::<bool>()).prop_map(
        |(elements, slash)| {
            let path: String = elements.iter().map(|element| format!("/{element}")).collect();
            if slash || path.is_empty() { path + "/" } else { path }
        },
    )
}

#[test]
fn a_table_of_indexed_hosts_is_a_table_of_their_routes() {
    let rules = [("b.test", "Prefix /"), ("*.b.test", "Exact /x"), ("", "Prefix /y"), ("a.test", "Prefix /z")];
    let first = table(&rules, TrailingSlash::Redirect);
    let second = RouteTable::of(first.hosts().cloned().collect());
    for (host, path) in [("b.test", "/"), ("a.b.test", "/x"), ("c.test", "/y"), ("a.test", "/z"), ("a.test", "/")] {
        assert_eq!(found(&first, host, path), found(&second, host, path), "{host}{path}");
    }
    assert_eq!((second.len(), second.is_empty()), (4, false));
    for (host, path) in rules {
        let routes = second.of_pattern(&host.parse().unwrap()).unwrap();
        assert_eq!(routes.routes()[0].path.to_string(), path);
    }
    assert!(second.of_pattern(&"x.b.test".parse().unwrap()).is_none(), "the pattern itself, not what it covers");
    assert!(RouteTable::of(Vec::new()).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_indexed_lookup_equals_the_naive_maximum(
        rules in prop::collection::vec((any::<bool>(), paths()), 1..12),
        requests in prop::collection::vec(paths(), 8),
        ignore in any::<bool>(),
    ) {
        let mode = if ignore { TrailingSlash::Ignore } else { TrailingSlash::Redirect };
        let routes: Vec<_> = (0..)
            .zip(&rules)
            .map(|(id, (exact, path))| route("a.test", &format!("{} {path}", if *exact { "Exact" } else { "Prefix" }), id))
            .collect();
        let table = RouteTable::new(routes.clone(), mode, |_| false);
        for path in &requests {
            prop_assert_eq!(indexed(&table, path), naive(&routes, path, mode), "{} with {:?}", path, mode);
        }
    }

    #[test]
    fn the_indexed_host_equals_the_narrowest_pattern_that_matches(
        rules in prop::collection::vec("(\\*\\.)?[ab](\\.[ab]){0,2}|", 1..8),
        hosts in prop::collection::vec("[ab](\\.[ab]){0,3}", 8),
    ) {
        let patterns: Vec<HostPattern> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let table = RouteTable::new(rules.iter().map(|rule| route(rule, "Prefix /", 0)), TrailingSlash::Redirect, |_| false);
        for host in &hosts {
            // `HostPattern` orders exact before wildcard before any, and of each kind only one can match a host.
            let expected = patterns.iter().filter(|pattern| pattern.matches(host)).min();
            prop_assert_eq!(table.host(host).map(|routes| &routes.host), expected, "{}", host);
        }
    }

    #[test]
    fn a_lookup_never_panics(host in any::<String>(), path in prop::collection::vec(any::<u8>(), 0..20)) {
        let table = table(&[("", "Prefix /a/"), ("a.test", "Exact /b/")], TrailingSlash::Redirect);
        let _ = table.find(&host, &path);
    }
}
