//! Which location takes a target, and what of the target the application gets.

use super::targets::hostile;
use crate::nginx::SERVICES;
use crate::nginx::case::{Case, Probe, Rules};
use crate::nginx::dice::Dice;

const CASES: usize = 44;
const PROBES: usize = 40;

const SEGMENTS: &[&str] =
    &["a", "b", "ab", "A", "foo", "Foo", "a.b", "x-y", "_", "a;b", "a b", "%41", "caf\u{e9}", "a+b", "..a", "~", "a'b"];

/// Regular expressions, which begin where the path does.
const PATTERNS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/a$",
    "/[ab]$",
    "/[a-c]+/x",
    "/foo",
    "/foo/.*",
    "/foo/bar$",
    "/f(o|u)o",
    "/(a|ab)(/|$)",
    "/a.b",
    "/a\\.b",
    "/.*\\.php$",
    "/[0-9]{2,3}",
    "/\\d+/",
    "/(?i)x",
    "/foo(/|$)(.*)",
    "/[^/]+/edit",
    "/..",
    "/\\w+$",
    "/A",
];

pub(super) fn cases(dice: &mut Dice) -> Vec<Case> {
    (0..CASES)
        .map(|number| {
            let is_regex = dice.chance(35);
            let ingresses = if is_regex { patterns(dice) } else { vec![plain(dice)] };
            let paths: Vec<String> =
                ingresses.iter().flat_map(|rules| &rules.paths).map(|rule| rule.path.clone()).collect();
            let probes = (0..PROBES)
                .map(|_| {
                    let base = if is_regex { like_pattern(dice, &paths) } else { dice.pick(&paths) };
                    Probe::get(hostile(dice, &base))
                })
                .collect();
            let group = if is_regex { "matching by expressions" } else { "matching" };
            Case { group, name: format!("match{number}"), ingresses, probes }
        })
        .collect()
}

/// Exact and Prefix paths, no two of which are the same to the original.
fn plain(dice: &mut Dice) -> Rules {
    let mut rules = Rules::default();
    for service in &SERVICES[..2 + dice.below(5)] {
        let mut path = String::new();
        for _ in 0..dice.below(4) {
            path.push('/');
            path.push_str(dice.pick(SEGMENTS));
        }
        if path.is_empty() || dice.chance(25) {
            path.push('/');
        }
        let path_type = dice.pick(&["Exact", "Prefix", "Prefix", "ImplementationSpecific"]);
        let key = |path_type: &str, path: &str| (path_type == "Exact", path.trim_end_matches('/').to_owned());
        if rules.paths.iter().all(|rule| key(rule.path_type, &rule.path) != key(path_type, &path)) {
            rules = rules.path(path_type, path, service);
        }
    }
    rules
}

/// Regular expressions, and perhaps paths of another Ingress that did not ask for them.
fn patterns(dice: &mut Dice) -> Vec<Rules> {
    let mut rules = Rules::default().with("use-regex", "true");
    let count = 2 + dice.below(4);
    for service in &SERVICES[..count] {
        let path = dice.pick(PATTERNS);
        if rules.paths.iter().all(|rule| rule.path != path) {
            rules = rules.path("ImplementationSpecific", path, service);
        }
    }
    let mut all = vec![rules];
    if dice.chance(40) {
        let path = dice.pick(&["/foo", "/a/b", "/", "/b", "/x/"]);
        if all[0].paths.iter().all(|rule| rule.path.trim_end_matches('/') != path.trim_end_matches('/')) {
            all.push(Rules::default().path(dice.pick(&["Exact", "Prefix"]), path, SERVICES[5]));
        }
    }
    all
}

/// A path that an expression may take.
fn like_pattern(dice: &mut Dice, patterns: &[String]) -> String {
    let plain: String = dice.pick(patterns).chars().filter(|c| !"()[]{}$^*+?|\\".contains(*c)).collect();
    let more = ["", "", "/", "/x", "a/x", "/edit", "12", "123/4", ".php", "/bar", "oo", "ab", "b"];
    match dice.below(4) {
        0 => format!("/{}{}", dice.pick(SEGMENTS), dice.pick(&more)),
        1 => dice.pick(&["/12", "/123/", "/foo/bar", "/fuo", "/abc/x", "/q/edit", "/x.php", "/a"]).to_owned(),
        _ => format!("{plain}{}", dice.pick(&more)),
    }
}
