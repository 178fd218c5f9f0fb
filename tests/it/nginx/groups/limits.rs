//! How large bodies may be, and how often clients may ask.

use std::time::Duration;

use crate::nginx::SERVICES;
use crate::nginx::case::{Case, Probe, Rules, Times};
use crate::nginx::dice::Dice;

pub(super) fn cases(dice: &mut Dice) -> Vec<Case> {
    let mut cases = bodies(dice);
    cases.extend(rates(dice));
    cases
}

/// Sizes around the limit, with a length and in chunks.
fn bodies(dice: &mut Dice) -> Vec<Case> {
    let limits =
        [("1", 1), ("100", 100), ("1k", 1 << 10), ("9K", 9 << 10), ("64k", 64 << 10), ("1m", 1 << 20), ("0", 2 << 20)];
    let cases = limits.into_iter().enumerate().map(|(number, (value, limit))| {
        let mut rules = Rules::default().with("proxy-body-size", value);
        let redirect =
            dice.chance(30).then(|| rules.annotations.push(("permanent-redirect", "http://x.test/".to_owned())));
        rules = rules.path("Prefix", "/", SERVICES[0]);
        let mut probes = Vec::new();
        for size in [0, 1, limit - 1, limit, limit + 1, limit + 1000, 3 * limit / 2] {
            for is_chunked in [false, true] {
                for method in ["POST", "PUT", "GET", "DELETE"] {
                    let mut probe = Probe::get("/b").method(method);
                    probe.body = size;
                    probe.is_chunked = is_chunked;
                    probes.push(probe);
                }
            }
        }
        let group = if redirect.is_some() { "bodies that are redirected" } else { "bodies" };
        Case { group, name: format!("body{number}"), ingresses: vec![rules], probes }
    });
    cases.collect()
}

/// Requests that come faster than they may.
fn rates(dice: &mut Dice) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |rules: Rules, probes: Vec<Probe>| {
        let name = format!("rate{}", cases.len());
        let ingresses = vec![rules.path("Prefix", "/", SERVICES[0])];
        cases.push(Case { group: "limits", name, ingresses, probes });
    };
    let get = |times| Probe::get("/").times(times);
    // Of a rate by the minute, none comes free while the requests are sent.
    for _ in 0..12 {
        let (rate, multiplier) = (1 + dice.below(4), 1 + dice.below(4));
        let rules = Rules::default().with("limit-rpm", rate.to_string());
        let rules = rules.with("limit-burst-multiplier", multiplier.to_string());
        let most = rate * multiplier + 1;
        let times = if dice.chance(50) { Times::InARow(most + 3) } else { Times::AtOnce(most + 3) };
        // Another client has a count of its own.
        let mut other = get(Times::InARow(2));
        other.source = [127, 77, 0, 2].into();
        add(rules, vec![get(times), other, get(Times::Once)]);
    }
    add(Rules::default().with("limit-rpm", "1"), vec![get(Times::InARow(9))]);
    let rules = Rules::default().with("limit-rpm", "1").with("limit-burst-multiplier", "1");
    let mut exempt = get(Times::InARow(9));
    exempt.source = [127, 77, 0, 9].into();
    add(rules.with("limit-allowlist", "127.77.0.8/31"), vec![exempt, get(Times::InARow(9))]);
    // The smaller of two counts.
    let rules = Rules::default().with("limit-rpm", "2").with("limit-rps", "100").with("limit-burst-multiplier", "2");
    add(rules, vec![get(Times::InARow(9))]);
    for most in [1, 2, 5] {
        let rules = Rules::default().with("limit-connections", most.to_string());
        let slow = get(Times::AtOnce(most + 4)).header("X-Echo-Delay", "0.4");
        // They are free again.
        add(rules, vec![slow.clone(), get(Times::Once), slow]);
    }
    // Over time: what comes free, and what does not.
    for (rate, multiplier, pace) in [(5, 1, 100), (10, 1, 50), (20, 2, 20)] {
        let rules = Rules::default().with("limit-rps", rate.to_string());
        let rules = rules.with("limit-burst-multiplier", multiplier.to_string());
        add(rules, vec![get(Times::Paced(1500 / pace, Duration::from_millis(pace as u64)))]);
    }
    // Preflights and redirects are not counted, refusals of a network are.
    let rules = Rules::default().with("limit-rpm", "1").with("limit-burst-multiplier", "1");
    let rules = rules.with("enable-cors", "true").with("denylist-source-range", "127.77.0.3");
    let mut denied = get(Times::InARow(5));
    denied.source = [127, 77, 0, 3].into();
    add(rules, vec![get(Times::InARow(5)).method("OPTIONS"), denied, get(Times::InARow(5))]);
    let rules = Rules::default().with("limit-rpm", "1").with("force-ssl-redirect", "true");
    add(rules, vec![get(Times::InARow(9))]);
    cases
}
