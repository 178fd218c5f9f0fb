//! Targets that are rewritten with what groups of a path took, and which of several expressions takes them.

use super::targets::hostile;
use crate::nginx::SERVICES;
use crate::nginx::case::{Case, Probe, Rules};
use crate::nginx::dice::Dice;

const CASES: usize = 30;
const PROBES: usize = 30;

/// Expressions, and paths that they may take.
const PATTERNS: &[(&str, &[&str])] = &[
    ("/foo(/|$)(.*)", &["/foo", "/foo/", "/foo/bar", "/foobar", "/FOO/Bar"]),
    ("/(.*)", &["/", "/a", "/a/b/c"]),
    ("/a/(.+)/b/(.*)", &["/a/x/b/", "/a/x/y/b/z", "/a//b/", "/a/b/b/b"]),
    ("/([^/]+)/([^/]*)", &["/x/y", "/x/", "/x/y/z"]),
    ("/u/([0-9]+)", &["/u/1", "/u/12/x", "/u/x"]),
    ("/v(\\d)/(\\w+)(.*)", &["/v1/a", "/v2/ab/c?d", "/v1/"]),
    ("/(a|ab)(c|bcd)(d*)", &["/abcd", "/abcdd", "/ac"]),
    ("/x(.*)y", &["/xy", "/xaay", "/x/y/z"]),
    ("/p(/.*)?", &["/p", "/p/q", "/pq"]),
    ("/plain", &["/plain", "/plain/x", "/Plain"]),
    ("/", &["/", "/a"]),
];

const TARGETS: &[&str] = &[
    "/", "/$1", "/$2", "/x/$1", "/$2/$1", "/$1$2$3", "/user/$1", "/$9", "/a/./$1", "/$1/", "/b//$1", "/fixed",
    "/~$1:x", "/$1.html", "/$1/../y",
];

pub(super) fn cases(dice: &mut Dice) -> Vec<Case> {
    (0..CASES)
        .map(|number| {
            let (mut ingresses, mut bases) = (Vec::new(), Vec::new());
            let mut taken: Vec<&str> = Vec::new();
            for service in &SERVICES[..1 + dice.below(3)] {
                let mut rules = Rules::default().with("use-regex", "true");
                if dice.chance(85) {
                    rules = rules.with("rewrite-target", dice.pick(TARGETS));
                    if dice.chance(20) {
                        rules = rules.with("x-forwarded-prefix", dice.pick(&["/pre", "/$1", "/pre/$2"]));
                    }
                }
                let (pattern, paths) = dice.pick(PATTERNS);
                if !taken.contains(&pattern) {
                    taken.push(pattern);
                    bases.extend(paths);
                    ingresses.push(rules.path("ImplementationSpecific", pattern, service));
                }
            }
            let probes = (0..PROBES)
                .map(|_| {
                    let base = dice.pick(&bases);
                    Probe::get(hostile(dice, base))
                })
                .collect();
            Case { group: "rewriting", name: format!("rewrite{number}"), ingresses, probes }
        })
        .collect()
}
