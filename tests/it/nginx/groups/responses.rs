//! What is changed in answers of the application, and copies of requests.

use std::net::SocketAddr;

use super::targets::hostile;
use crate::nginx::SERVICES;
use crate::nginx::case::{Case, Probe, Rules};
use crate::nginx::dice::Dice;

pub(super) fn cases(dice: &mut Dice, mirror: SocketAddr) -> Vec<Case> {
    let mut cases: Vec<Case> = (0..16).map(|number| locations(dice, number)).collect();
    cases.extend((0..24).map(|number| cookies(dice, number)));
    cases.extend((0..14).map(|number| copies(dice, number, mirror)));
    cases
}

const LOCATIONS: &[&str] = &[
    "http://in.test/",
    "http://in.test/a/b",
    "http://in.test",
    "http://in.testing/",
    "HTTP://IN.TEST/a",
    "https://in.test/a",
    "/a",
    "/old/b",
    "a",
    "//in.test/",
    "http://other.test/?u=http://in.test/",
    "",
    "http://in.test:80/x",
    "/old",
];

/// `Location` and `Refresh`.
fn locations(dice: &mut Dice, number: usize) -> Case {
    let froms = ["http://in.test/", "http://in.test", "/old/", "/", "off", "~http://in.test/.", "~/o"];
    let tos = ["http://out.test/", "https://out.test", "/new/", "/", "off"];
    let mut rules = Rules::default().with("proxy-redirect-from", dice.pick(&froms));
    if dice.chance(85) {
        rules = rules.with("proxy-redirect-to", dice.pick(&tos));
    }
    rules = rules.path("Prefix", "/", SERVICES[0]);
    let probes = (0..18).map(|_| {
        let value = dice.pick(LOCATIONS);
        let field = match dice.below(5) {
            0 => format!("Refresh: 5; url={value}"),
            1 => format!("Refresh: {value}"),
            _ => format!("Location: {value}"),
        };
        let mut probe = Probe::get("/").header("X-Echo-Set", field);
        if dice.chance(70) {
            probe = probe.header("X-Echo-Status", dice.pick(&["301", "302", "201", "404"]));
        }
        probe
    });
    let probes = probes.collect();
    Case { group: "locations", name: format!("location{number}"), ingresses: vec![rules], probes }
}

const COOKIES: &[&str] = &[
    "a=b; Path=/old/; Domain=in.test",
    "a=b; path=/old; domain=in.test; Secure",
    "a=b; PATH=/older/x",
    "a=b; Domain=.in.test",
    "a=b",
    "a=b; Domain=IN.TEST; HttpOnly",
    "a=b; Path = /old/",
    "a=b; Path=\"/old/\"",
    "a=/old/; Path=/",
    "Path=/old/; Path=/old/",
    "a=b;Path=/old/",
    "a=b; Domain=x.in.test; Path=/",
    "a=b; Path=; Domain=",
    "a=b; Max-Age=5; SameSite=Lax; Path=/old/",
    "=; Path=/old/",
    "a=b; domain = in.test",
    "a=b;  Path=/old/;;Domain=in.test;",
    "a",
    "a=b; Path",
    "a=b; XPath=/old/; Domainx=in.test",
    "",
];

/// `Set-Cookie`.
fn cookies(dice: &mut Dice, number: usize) -> Case {
    let domains = [
        "in.test out.test",
        ".in.test out.test",
        "in.test .out.test",
        "off",
        "IN.test out.test",
        "~in out",
        "~.in.test out.test",
    ];
    let paths = ["/old/ /new/", "/old /", "/ /app/", "off", "/OLD/ /new/", "~/old /x"];
    let mut rules = Rules::default();
    if dice.chance(70) {
        rules = rules.with("proxy-cookie-domain", dice.pick(&domains));
    }
    if dice.chance(70) {
        rules = rules.with("proxy-cookie-path", dice.pick(&paths));
    }
    rules = rules.path("Prefix", "/", SERVICES[0]);
    let probes = (0..14).map(|_| {
        let mut probe = Probe::get("/");
        for _ in 0..1 + dice.below(3) {
            probe = probe.header("X-Echo-Set", format!("Set-Cookie: {}", dice.pick(COOKIES)));
        }
        probe
    });
    let probes = probes.collect();
    Case { group: "cookies", name: format!("cookie{number}"), ingresses: vec![rules], probes }
}

/// Copies.
fn copies(dice: &mut Dice, number: usize, mirror: SocketAddr) -> Case {
    let target = dice.pick(&["$request_uri", "/fixed", "/fixed/", ""]);
    let mut rules = Rules::default().with("mirror-target", format!("http://{mirror}{target}"));
    if dice.chance(40) {
        rules = rules.with("mirror-host", "copy.test");
    }
    if dice.chance(30) {
        rules = rules.with("mirror-request-body", "off");
    }
    if dice.chance(25) {
        rules = rules.with("denylist-source-range", "127.77.0.2");
    }
    if dice.chance(25) {
        rules = rules.with("use-regex", "true").with("rewrite-target", "/rewritten$1");
        rules = rules.path("ImplementationSpecific", "/(.*)", SERVICES[0]);
    } else {
        rules = rules.path("Prefix", "/", SERVICES[0]);
    }
    let probes = (0..12).map(|_| {
        let mut probe = Probe::get(hostile(dice, "/p/q")).method(dice.pick(&["GET", "POST", "PUT", "DELETE"]));
        probe.body = if dice.chance(50) { 1 + dice.below(5000) } else { 0 };
        probe.is_chunked = probe.body > 0 && dice.chance(40);
        probe.source = [127, 77, 0, 1 + u8::try_from(dice.below(2)).unwrap()].into();
        for (name, value) in [
            ("X-Forwarded-For", "192.0.2.1"),
            ("Cookie", "a=b"),
            ("Content-Type", "text/plain"),
            ("X-Request-ID", "mine"),
            ("Authorization", "Bearer x"),
            ("X_Under", "score"),
            ("Accept-Encoding", "gzip"),
        ] {
            if dice.chance(25) {
                probe = probe.header(name, value);
            }
        }
        probe
    });
    let probes = probes.collect();
    Case { group: "copies", name: format!("copy{number}"), ingresses: vec![rules], probes }
}
