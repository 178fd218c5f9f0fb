//! Methods and header fields, and what of them the application gets.

use crate::nginx::SERVICES;
use crate::nginx::case::{Case, Probe, Rules};
use crate::nginx::dice::Dice;

const CASES: usize = 10;
const PROBES: usize = 40;

const METHODS: &[&str] =
    &["GET", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "M-SEARCH", "A_B", "get", "Get", "G3T"];

const FIELDS: &[(&str, &str)] = &[
    ("Accept", "*/*"),
    ("Accept-Encoding", "gzip"),
    ("Authorization", "Bearer x"),
    ("Connection", "X-Custom"),
    ("Connection", "keep-alive"),
    ("Connection", "close"),
    ("Content-Type", "text/x"),
    ("Cookie", "a=b"),
    ("Cookie", "c=d"),
    ("Empty", ""),
    ("Forwarded", "for=192.0.2.1"),
    ("If-None-Match", "\"x\""),
    ("Keep-Alive", "timeout=5"),
    ("Origin", "http://a.test"),
    ("Proxy", "x"),
    ("Proxy-Connection", "keep-alive"),
    ("Range", "bytes=0-1"),
    ("Referer", "http://a.test/"),
    ("TE", "trailers"),
    ("Upgrade", "h2c"),
    ("User-Agent", "test"),
    ("Via", "1.0 x"),
    ("X-Custom", "1"),
    ("X-Custom", "2, 3"),
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-For", "192.0.2.2, 192.0.2.3"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Port", "9"),
    ("X-Forwarded-Prefix", "/p"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Scheme", "https"),
    ("X-Latin", "caf\u{e9}"),
    ("X-Original-Forwarded-For", "192.0.2.4"),
    ("X-Original-URI", "/x"),
    ("X-Real-IP", "192.0.2.5"),
    ("X-Request-ID", "mine"),
    ("X-Scheme", "https"),
    ("X.dot", "1"),
    ("bad@name", "1"),
    ("ssl-client-verify", "SUCCESS"),
    ("under_score", "1"),
];

pub(super) fn cases(dice: &mut Dice) -> Vec<Case> {
    (0..CASES)
        .map(|number| {
            let mut rules = Rules::default();
            if dice.chance(30) {
                rules = rules.with("upstream-vhost", "inner.test");
            }
            rules = rules.path("Prefix", "/", SERVICES[0]);
            let probes = (0..PROBES).map(|_| {
                let mut probe = Probe::get("/a?b").method(dice.pick(METHODS));
                for _ in 0..dice.below(6) {
                    let (name, value) = dice.pick(FIELDS);
                    probe = probe.header(name, value);
                }
                probe
            });
            let probes = probes.collect();
            Case { group: "fields", name: format!("field{number}"), ingresses: vec![rules], probes }
        })
        .collect()
}
