//! Redirects that the proxy answers with by itself.

use super::targets::hostile;
use crate::nginx::SERVICES;
use crate::nginx::case::{Case, Probe, Rules};
use crate::nginx::dice::Dice;

const CASES: usize = 40;
const PROBES: usize = 14;

const URLS: &[&str] =
    &["http://x.test", "https://x.test/", "http://x.test/p?q=1", "https://x.test:8443/a/b", "https://x.test/%20"];

pub(super) fn cases(dice: &mut Dice) -> Vec<Case> {
    (0..CASES)
        .map(|number| {
            let (rules, is_host) = rules(dice, number);
            let paths: Vec<String> = rules.paths.iter().map(|rule| rule.path.clone()).collect();
            let name = format!("redirect{number}");
            let probes = (0..PROBES)
                .map(|_| {
                    let base = dice.pick(&paths);
                    let mut probe = Probe::get(hostile(dice, &base)).method(dice.pick(&["GET", "GET", "HEAD", "POST"]));
                    probe.host = host(dice, &name, is_host);
                    if dice.chance(30) {
                        let (field, value) = dice.pick(&[
                            ("X-Forwarded-Proto", "https"),
                            ("X-Forwarded-Host", "evil.test"),
                            ("X-Forwarded-Port", "9"),
                            ("Origin", "http://o.test"),
                        ]);
                        probe = probe.header(field, value);
                    }
                    probe
                })
                .collect();
            Case { group: "redirects", name, ingresses: vec![rules], probes }
        })
        .collect()
}

/// The rules, and whether the other name of the host is asked as well.
fn rules(dice: &mut Dice, number: usize) -> (Rules, bool) {
    let mut rules = Rules::default();
    let mut is_host = false;
    match number % 6 {
        0 => {
            rules = rules.with("permanent-redirect", dice.pick(URLS));
            if dice.chance(60) {
                rules = rules.with("permanent-redirect-code", dice.pick(&["301", "302", "303", "307", "308"]));
            }
        }
        1 => {
            rules = rules.with("temporal-redirect", dice.pick(URLS));
            if dice.chance(60) {
                rules = rules.with("temporal-redirect-code", dice.pick(&["301", "302", "303", "307"]));
            }
            if dice.chance(30) {
                rules = rules.with("permanent-redirect", "http://other.test");
            }
        }
        2 => rules = rules.with("app-root", dice.pick(&["/app", "/app/", "/a/b.html", "/a:b"])),
        3 => {
            rules = rules.with("force-ssl-redirect", "true");
            if dice.chance(40) {
                rules = rules.with("preserve-trailing-slash", "true");
            }
        }
        4 => {
            is_host = true;
            rules = rules.with("from-to-www-redirect", "true");
        }
        // The slash that is missing at the end.
        _ => {}
    }
    if dice.chance(30) {
        rules = rules.with("relative-redirects", "true");
    } else if number % 6 != 3 && dice.chance(20) {
        rules = rules.with("use-port-in-redirects", "true");
    }
    if number % 6 == 5 {
        // An Exact path that ends in a slash is redirected to, a Prefix has both.
        rules = rules.path("Exact", "/dir/", SERVICES[0]).path("Exact", "/caf\u{e9}/a b/", SERVICES[1]);
        return (rules.path("Prefix", "/both", SERVICES[2]), is_host);
    }
    (rules.path("Prefix", dice.pick(&["/", "/p"]), SERVICES[0]).path("Exact", "/exact", SERVICES[1]), is_host)
}

/// The `Host` in one of the ways that it can be written, or the other one of two names.
fn host(dice: &mut Dice, name: &str, is_host: bool) -> Option<String> {
    let other = if is_host && dice.chance(60) { "www." } else { "" };
    let host = format!("{other}{name}.test");
    Some(match dice.below(8) {
        0 => format!("{host}:8080"),
        1 => host.to_uppercase(),
        2 => format!("{host}."),
        3 => format!("{host}:80"),
        _ => host,
    })
}
