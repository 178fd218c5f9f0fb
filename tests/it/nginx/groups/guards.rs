//! Who may ask: scripts of other origins, networks, and those with a password.

use std::net::Ipv4Addr;

use crate::nginx::SERVICES;
use crate::nginx::case::{Case, Probe, Rules};
use crate::nginx::dice::Dice;

pub(super) fn cases(dice: &mut Dice) -> Vec<Case> {
    let mut cases: Vec<Case> = (0..24).map(|number| cors(dice, number)).collect();
    cases.extend((0..30).map(|number| access(dice, number)));
    cases
}

const LISTS: &[&str] = &[
    "*",
    "http://a.test",
    "https://*.a.test",
    "http://a.test, https://*.a.test:8443",
    "http://a.test:8080,http://b.test",
    "null",
    "https://*.a.test,null",
    "http://a-b.test",
];

const ORIGINS: &[&str] = &[
    "http://a.test",
    "HTTP://A.TEST",
    "https://x.a.test",
    "https://x.y.a.test",
    "https://a.test",
    "https://x.a.test:8443",
    "null",
    "http://a.test.evil.test",
    "http://evil.test/http://a.test",
    "xhttp://a.test",
    "http://a_test",
    "http://a-b.test",
    "",
    "http://a.test:8080",
    "https://-.a.test",
    "http://b.test",
    "http://axtest",
    "http://a.test http://b.test",
    "NULL",
];

fn cors(dice: &mut Dice, number: usize) -> Case {
    let mut rules = Rules::default().with("enable-cors", "true");
    if dice.chance(85) {
        rules = rules.with("cors-allow-origin", dice.pick(LISTS));
    }
    for (name, values) in [
        ("cors-allow-credentials", ["true", "false"]),
        ("cors-allow-methods", ["GET, PUT", "DELETE"]),
        ("cors-allow-headers", ["X-One,X-Two", "Authorization"]),
        ("cors-expose-headers", ["X-Three, X-Four", "*"]),
        ("cors-max-age", ["5", "0"]),
        ("denylist-source-range", ["127.77.0.3", "127.77.0.0/24"]),
        ("auth-type", ["basic", "basic"]),
        ("permanent-redirect", ["http://x.test/", "http://y.test/"]),
        ("force-ssl-redirect", ["true", "false"]),
    ] {
        let percent = if name.starts_with("cors") { 40 } else { 12 };
        if dice.chance(percent) {
            rules = rules.with(name, dice.pick(&values));
            if name == "auth-type" {
                rules = rules.with("auth-secret", "users").with("auth-realm", "who is it");
            }
        }
    }
    rules = rules.path("Prefix", "/in", SERVICES[0]).path("Exact", "/dir/", SERVICES[1]);
    let probes = (0..18).map(|_| {
        let mut probe = Probe::get(dice.pick(&["/in", "/in/x", "/dir", "/dir/", "/out"]));
        probe = probe.method(dice.pick(&["GET", "OPTIONS", "OPTIONS", "POST", "HEAD"]));
        if dice.chance(85) {
            probe = probe.header("Origin", dice.pick(ORIGINS));
        }
        if dice.chance(40) {
            probe = probe.header("Access-Control-Request-Method", "PUT");
        }
        // What the application says of it by itself.
        if dice.chance(40) {
            probe = probe.header("X-Echo-Set", "Access-Control-Allow-Origin: http://of.test");
            probe = probe.header("X-Echo-Set", "Access-Control-Expose-Headers: X-Own");
        }
        if dice.chance(15) {
            probe = probe.header("X-Echo-Status", dice.pick(&["404", "500", "204", "302", "304"]));
        }
        probe
    });
    let probes = probes.collect();
    Case { group: "cors", name: format!("cors{number}"), ingresses: vec![rules], probes }
}

const CREDENTIALS: &[&str] = &[
    "Basic YWxpY2U6c2VjcmV0",
    "basic YWxpY2U6c2VjcmV0",
    "Basic YWxpY2U6d3Jvbmc=",
    "Basic Ym9iOnNlY3JldA==",
    "Basic",
    "Basic =",
    "Basic  YWxpY2U6c2VjcmV0",
    "Bearer YWxpY2U6c2VjcmV0",
    "Basic YWxpY2U=",
    "Basic YWxpY2U6c2VjcmV0==",
    "Basic YWxpY2U6c2VjcmV0 ",
    "BasicYWxpY2U6c2VjcmV0",
    "Basic !!!",
    "",
];

fn access(dice: &mut Dice, number: usize) -> Case {
    let mut rules = Rules::default();
    let lists =
        ["127.77.0.1", "127.77.0.0/30", "127.77.0.2,127.77.0.4/31", "0.0.0.0/0", "10.0.0.0/8, 127.77.0.3", "::1/128"];
    if dice.chance(65) {
        rules = rules.with("allowlist-source-range", dice.pick(&lists));
    }
    if dice.chance(35) {
        rules = rules.with("denylist-source-range", dice.pick(&lists));
    }
    if dice.chance(70) {
        rules = rules.with("auth-type", "basic").with("auth-secret", "users");
        rules = rules.with("auth-realm", dice.pick(&["who is it", "Realm-1", "a.b/c"]));
    }
    if dice.chance(60) {
        rules = rules.with("satisfy", dice.pick(&["any", "all"]));
    }
    rules = rules.path("Prefix", "/", SERVICES[0]);
    let probes = (0..16).map(|_| {
        let mut probe = Probe::get("/in").method(dice.pick(&["GET", "POST", "OPTIONS"]));
        if dice.chance(70) {
            probe = probe.header("Authorization", dice.pick(CREDENTIALS));
        }
        if dice.chance(10) {
            probe = probe.header("Authorization", CREDENTIALS[0]);
        }
        if dice.chance(20) {
            probe = probe.header("X-Forwarded-For", "127.77.0.1");
        }
        probe.source = Ipv4Addr::new(127, 77, 0, 1 + u8::try_from(dice.below(6)).unwrap());
        probe
    });
    let probes = probes.collect();
    Case { group: "access", name: format!("access{number}"), ingresses: vec![rules], probes }
}
