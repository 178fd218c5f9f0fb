//! The table beside a reference that asks every route, over whole sets of hosts, with the paths that no request has after
//! normalisation too: empty ones, empty elements, no slash in front.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

/// How narrowly a pattern takes a path: an exact one more than every prefix, a prefix by what it is compared with.
fn takes(pattern: &PathPattern, path: &str, mode: TrailingSlash) -> Option<usize> {
    let PathPattern::Prefix(text) = pattern else {
        return (pattern.as_str() == path).then_some(usize::MAX);
    };
    if mode == TrailingSlash::Redirect && text.len() > 1 && text.ends_with('/') {
        return path.starts_with(&**text).then_some(text.len());
    }
    let bare = text.strip_suffix('/').unwrap_or(text);
    (path == bare || path.starts_with(&format!("{bare}/"))).then_some(bare.len())
}

/// What a lookup must find. Of equal routes the first wins.
fn expected(routes: &[Route], host: &str, path: &str, mode: TrailingSlash) -> String {
    let Some(pattern) = routes.iter().map(|route| &route.host).filter(|pattern| pattern.matches(host)).min() else {
        return "no host".to_owned();
    };
    let of_host = || routes.iter().enumerate().filter(|(_, route)| route.host == *pattern);
    let narrowest = of_host()
        .filter_map(|(at, route)| Some((takes(&route.path, path, mode)?, Reverse(at), route)))
        .max_by_key(|(rank, at, _)| (*rank, *at));
    let is_whole = narrowest.is_some_and(|(_, _, route)| {
        matches!(route.path, PathPattern::Exact(_)) || route.path.as_str().len() == path.len()
    });
    let slashed = of_host()
        .filter(|(_, route)| !path.is_empty() && route.path.as_str() == format!("{path}/"))
        .max_by_key(|(at, route)| (matches!(route.path, PathPattern::Exact(_)), Reverse(*at)));
    match (narrowest, slashed) {
        (_, Some((_, route))) if mode == TrailingSlash::Redirect && !is_whole => shown("301", route),
        (Some((_, _, route)), _) => shown("", route),
        (None, _) => "no path".to_owned(),
    }
}

fn shown(what: &str, route: &Route) -> String {
    format!("{what} {} {} {:?}", route.host, route.path, route.target)
}

fn found(table: &RouteTable, host: &str, path: &str) -> String {
    match table.find(host, path.as_bytes()) {
        RouteMatch::Route(routes, route) => {
            assert_eq!(routes.host, route.host);
            shown("", route)
        }
        RouteMatch::AddSlash(_, route) => shown("301", route),
        RouteMatch::NoPath(_) => "no path".to_owned(),
        RouteMatch::NoHost => "no host".to_owned(),
    }
}

const HOST: &str = "(\\*\\.)?[ab](\\.[ab]){0,2}|";
const PATH: &str = "(/(a|b|ab|aab|ä)?){0,4}|/?[ab/]{0,5}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn a_lookup_finds_what_asking_every_route_finds(
        rules in prop::collection::vec((HOST, any::<bool>(), PATH), 1..40),
        one_host in any::<bool>(),
        requests in prop::collection::vec(("[ab](\\.[ab]){0,3}|", PATH), 16),
        replaced in prop::collection::btree_set(HOST, 0..4),
    ) {
        for mode in [TrailingSlash::Redirect, TrailingSlash::Ignore] {
            let routes: Vec<_> = (0..)
                .zip(&rules)
                .map(|(id, (host, exact, path))| {
                    let host = if one_host { "a" } else { host };
                    route(host, &format!("{} {path}", if *exact { "Exact" } else { "Prefix" }), id)
                })
                .collect();
            let whole = RouteTable::new(routes.clone(), mode, |_| false);
            let replaced: BTreeSet<HostPattern> = replaced.iter().map(|host| host.parse().unwrap()).collect();
            let (of_replaced, others): (Vec<_>, Vec<_>) =
                routes.iter().cloned().partition(|route| replaced.contains(&route.host));
            let other_routes = RouteTable::new(others.clone(), mode, |_| false);
            let in_parts = other_routes.with(&replaced, RouteTable::new(of_replaced, mode, |_| false).hosts().cloned().collect());
            let taken_out = whole.with(&replaced, Vec::new());
            let asked = requests.iter().map(|(host, path)| (if one_host { "a" } else { host }, path.as_str()));
            for (host, path) in asked.chain(rules.iter().map(|(host, _, path)| (host.as_str(), path.as_str()))) {
                let expected = |routes| expected(routes, host, path, mode);
                prop_assert_eq!(found(&whole, host, path), expected(&routes), "{} {} {:?}", host, path, mode);
                prop_assert_eq!(found(&in_parts, host, path), expected(&routes), "{} {} {:?}", host, path, mode);
                prop_assert_eq!(found(&taken_out, host, path), expected(&others), "{} {} {:?}", host, path, mode);
            }
        }
    }
}
