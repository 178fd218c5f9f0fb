#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::backend::{BackendId, Backends, LoadBalance};
use crate::canary::{Canary, CanaryRule, Weight};
use crate::fixture::{Head, backend, downstream, route, snapshot};
use crate::path::TrailingSlash;
use crate::policy::basic_auth::{BasicAuth, Password, Users};
use crate::policy::block::Pattern;
use crate::policy::cors::{OriginPattern, Origins};
use crate::policy::{Block, BodySize, ClientAuthority, ClientCertificates, Cors, Networks, Redirect, Verify};
use crate::settings::Settings;

/// A decision in short: `s1`, `404 no_host`, `301 http://a.test/my/`.
fn short(decision: &Decision) -> String {
    match &decision.action {
        Action::Respond { status, reason } => format!("{status} {reason}"),
        Action::Redirect { status, location, .. } => format!("{status} {location}"),
        Action::Proxy(backend) => backend.key.service.to_string(),
    }
}

fn decided(snapshot: &Snapshot, tls: bool, head: &Head) -> String {
    short(&decide(snapshot, &downstream(tls), head))
}

fn plain(routes: Vec<Route>) -> Snapshot {
    snapshot(routes, &[], Settings::default())
}

/// The implicit `/` of a host: it goes to the default backend.
fn fallback(host: &str) -> Route {
    Route { target: Target::Default, fallback: true, ..route(host, "Prefix /", 0) }
}

/// A route whose ssl-redirect is on, as it is by default.
fn redirecting(host: &str, path: &str, backend: u32) -> Route {
    let mut route = route(host, path, backend);
    Arc::make_mut(&mut route.policies).ssl_redirect = SslRedirect::WithCertificate;
    route
}

#[test]
fn the_host_is_taken_without_case_port_and_trailing_dot() {
    let snapshot = plain(vec![route("c001.test", "Prefix /", 1), fallback("c001.test")]);
    for (authority, expected) in [
        ("c001.test", "s1"),
        ("c001.test:80", "s1"),
        ("c001.test:8080", "s1"),
        ("C001.TEST", "s1"),
        ("c001.test.", "s1"),
        ("sub.c001.test", "404 no_host"),
        ("unknown.test", "404 no_host"),
        ("", "400 bad_host"),
        ("10.201.255.1", "404 no_host"),
    ] {
        assert_eq!(decided(&snapshot, false, &Head::get(authority, "/")), expected, "{authority}");
        assert_eq!(decided(&snapshot, true, &Head::get(authority, "/")), expected, "{authority}");
    }
}

#[test]
fn only_http_1_0_may_come_without_a_host() {
    let snapshot = plain(vec![route("c001.test", "Prefix /", 1)]);
    let without = Head { authority: None, ..Head::get("", "/") };
    assert_eq!(decided(&snapshot, false, &without), "400 bad_host");
    let old = Head { http10: true, ..without };
    assert_eq!(decided(&snapshot, false, &old), "404 no_host");
    assert_eq!(decided(&plain(vec![route("", "Prefix /", 2)]), false, &old), "s2");
}

#[test]
fn trace_and_connect_are_refused_lower_case_is_malformed_and_unknown_methods_pass() {
    let snapshot = plain(vec![route("c024.test", "Prefix /foo", 1)]);
    for (method, expected) in [
        ("HEAD", "s1"),
        ("OPTIONS", "s1"),
        ("POST", "s1"),
        ("FOO", "s1"),
        ("PROPFIND", "s1"),
        ("M-SEARCH", "s1"),
        ("TRACE", "405 method_not_allowed"),
        ("CONNECT", "405 method_not_allowed"),
        ("get", "400 bad_method"),
        ("GE T", "400 bad_method"),
        ("", "400 bad_method"),
    ] {
        assert_eq!(decided(&snapshot, false, &Head::get("c024.test", "/foo").method(method)), expected, "{method:?}");
    }
}

#[test]
fn the_path_is_routed_on_normalised() {
    let snapshot = plain(vec![route("c008.test", "Prefix /foo", 1), fallback("c008.test")]);
    for (target, expected) in [
        ("/foo", "s1"),
        ("/foo/bar?x=1", "s1"),
        ("/foo%2Fbar", "s1"),
        ("//foo//bar", "s1"),
        ("/bar/../foo", "s1"),
        ("/%66oo", "s1"),
        ("/foo#frag", "s1"),
        ("http://c008.test/foo", "s1"),
        ("/foo/..%2fbar", "400 bad_path"),
        ("/foobar", "404 no_route"),
        ("/foo%00", "400 bad_path"),
        ("/%zz", "400 bad_path"),
        ("/../x", "400 bad_path"),
        ("foo", "400 bad_path"),
        ("*", "400 bad_path"),
    ] {
        assert_eq!(decided(&snapshot, false, &Head::get("c008.test", target)), expected, "{target}");
    }
}

#[test]
fn a_path_with_a_trailing_slash_is_redirected_to() {
    let snapshot =
        plain(vec![route("c014.test", "Prefix /my/", 1), route("c015.test", "Exact /my/", 1), fallback("c015.test")]);
    for (authority, target, tls, expected) in [
        ("c014.test", "/my", false, "301 http://c014.test/my/"),
        ("c014.test", "/my/", false, "s1"),
        ("c014.test", "/my/x", false, "s1"),
        ("c014.test", "/my?q=1", false, "301 http://c014.test/my/?q=1"),
        ("c014.test:8080", "/my", false, "301 http://c014.test/my/"),
        ("c014.test", "/my", true, "301 https://c014.test/my/"),
        ("C014.TEST.", "/my", true, "301 https://c014.test/my/"),
        ("c014.test", "/my/../my", false, "301 http://c014.test/my/"),
        ("c014.test", "/%6dy", false, "301 http://c014.test/my/"),
        ("c014.test", "/my?a=\u{e9}\"", false, "301 http://c014.test/my/?a=%C3%A9\""),
        ("c015.test", "/my", false, "301 http://c015.test/my/"),
        ("c015.test", "/my?q=1", false, "301 http://c015.test/my/?q=1"),
        ("c015.test", "/my/x", false, "404 no_route"),
    ] {
        assert_eq!(decided(&snapshot, tls, &Head::get(authority, target)), expected, "{authority}{target}");
    }
    // The scheme is the connection's, whatever the client says, and whoever believes it.
    let settings =
        Settings { use_forwarded_headers: true, trusted: vec!["0.0.0.0/0".parse().unwrap()], ..Settings::default() };
    let believing = Snapshot { settings: Arc::new(settings), ..snapshot };
    let head = Head::get("c014.test", "/my").with("x-forwarded-proto", "https").method("POST");
    assert_eq!(decided(&believing, false, &head), "301 http://c014.test/my/");
}

#[test]
fn what_a_rule_path_holds_cannot_break_out_of_a_location() {
    let snapshot = plain(vec![route("a.test", "Prefix /a b%?#\u{e9}/", 1)]);
    assert_eq!(
        decided(&snapshot, false, &Head::get("a.test", "/a%20b%25%3f%23%c3%a9")),
        "301 http://a.test/a%20b%25%3F%23%C3%A9/"
    );
}

#[test]
fn a_redirect_of_the_route_comes_behind_the_body_size_and_before_https() {
    let redirect = |location: &str| Some(Arc::new(Redirect { status: 307, location: location.into() }));
    let mut elsewhere = redirecting("c051.test", "Prefix /", 1);
    Arc::make_mut(&mut elsewhere.policies).redirect = redirect("https://www.example.com/n");
    Arc::make_mut(&mut elsewhere.policies).body_size = BodySize(Some(10));
    let mut relative = route("c066.test", "Prefix /", 1);
    Arc::make_mut(&mut relative.policies).redirect = redirect("/relative");
    let mut styled = route("c070.test", "Prefix /", 1);
    Arc::make_mut(&mut styled.policies).redirect = redirect("/relative");
    Arc::make_mut(&mut styled.policies).redirect_style.is_relative = true;
    let snapshot = snapshot(vec![elsewhere, relative, styled], &["c051.test"], Settings::default());
    for (head, expected) in [
        (Head::get("c051.test", "/x?y=1"), "307 https://www.example.com/n"),
        (Head::get("c051.test", "/").with("content-length", "11"), "413 body_too_large"),
        (Head::get("C066.test:8080", "/x"), "307 http://c066.test/relative"),
        (Head::get("c070.test", "/x"), "307 /relative"),
    ] {
        assert_eq!(decided(&snapshot, false, &head), expected, "{head:?}");
    }
    assert_eq!(decided(&snapshot, true, &Head::get("c066.test", "/")), "307 https://c066.test/relative");
}

#[test]
fn the_port_is_in_a_redirect_only_when_asked_for_and_not_the_usual_one() {
    let mut named = route("a.test", "Prefix /my/", 1);
    Arc::make_mut(&mut named.policies).redirect_style.has_port = true;
    let snapshot = plain(vec![named]);
    for (port, expected) in [(80, "301 http://a.test/my/?q"), (8080, "301 http://a.test:8080/my/?q")] {
        let downstream = Downstream { port, ..downstream(false) };
        assert_eq!(short(&decide(&snapshot, &downstream, &Head::get("a.test", "/my?q"))), expected);
    }
}

#[test]
fn the_redirects_of_a_host_come_first_and_without_hsts() {
    let of_host = |policies: HostPolicies, host: &str| {
        let mut route = redirecting(host, "Prefix /", 1);
        Arc::make_mut(&mut route.policies).host = Some(Arc::new(policies));
        Arc::make_mut(&mut route.policies).body_size = BodySize(Some(10));
        route
    };
    let root = of_host(HostPolicies { app_root: Some("/app".into()), ..HostPolicies::default() }, "c046.test");
    let other = HostPolicies { other_name: Some("c071.test".into()), ..HostPolicies::default() };
    let snapshot = snapshot(vec![root, of_host(other, "www.c071.test")], &["c046.test"], Settings::default());
    for (head, expected) in [
        (Head::get("c046.test", "/"), "302 http://c046.test/app"),
        (Head::get("C046.test:8080", "/?x=1"), "302 http://C046.test:8080/app"),
        (Head::get("c046.test", "//"), "302 http://c046.test/app"),
        (Head::get("c046.test", "/%2e/").with("content-length", "11"), "302 http://c046.test/app"),
        (Head::get("c046.test", "/app"), "308 https://c046.test/app"),
        (Head::get("c046.test", "/x").with("content-length", "11"), "413 body_too_large"),
        (Head::get("www.c071.test", "/x/"), "308 http://c071.test:80/x"),
        (Head::get("www.c071.test", "/x?y=/"), "308 http://c071.test:80/x?y="),
    ] {
        assert_eq!(decided(&snapshot, false, &head), expected, "{head:?}");
    }
    for (target, hsts) in [("/", false), ("/app", true)] {
        assert_eq!(decide(&snapshot, &downstream(true), &Head::get("c046.test", target)).response.hsts, hsts);
    }
}

#[test]
fn certificates_of_clients_come_before_everything_that_a_host_does() {
    let authority = ClientAuthority {
        fingerprint: [1; 32],
        certificates: Vec::new(),
        revocations: Vec::new(),
        depth: 1,
        parsed: Default::default(),
    };
    let asked = ClientCertificates {
        verify: Verify::On,
        authority: Arc::new(authority),
        subject: None,
        error_page: None,
        passes_certificate: false,
    };
    let of_host = |host: &str, policies: HostPolicies| {
        let mut route = redirecting(host, "Prefix /", 1);
        Arc::make_mut(&mut route.policies).host =
            Some(Arc::new(HostPolicies { app_root: Some("/app".into()), ..policies }));
        Arc::make_mut(&mut route.policies).closed = Some("for a test".into());
        route
    };
    let page = ClientCertificates { error_page: Some("https://page.test/x".into()), ..asked.clone() };
    let asking = |asked| HostPolicies { client_certificates: Some(asked), ..HostPolicies::default() };
    let refused = HostPolicies { refused: Some("for a test".into()), ..HostPolicies::default() };
    let routes = vec![
        of_host("a.test", asking(asked.clone())),
        of_host("page.test", asking(page)),
        of_host("refused.test", refused),
        route("b.test", "Prefix /", 1),
        fallback(""),
    ];
    let snapshot = plain(routes);
    let of = |host, server_name| {
        let client = TlsClient { server_name, ..TlsClient::default() };
        let decision = decide_for(&snapshot, &downstream(true), Some(client), &Head::get(host, "/"));
        assert!(!decision.response.hsts && !decision.response.of_route, "{host}");
        short(&decision)
    };
    assert_eq!(of("a.test", None), "400 no_certificate");
    assert_eq!(of("a.test", Some("a.test")), "421 misdirected");
    assert_eq!(of("a.test", Some("B.test")), "421 misdirected");
    assert_eq!(of("a.test", Some("nobody.test")), "400 no_certificate");
    assert_eq!(of("page.test", None), "302 https://page.test/x");
    assert_eq!(of("page.test", Some("b.test")), "421 misdirected");
    assert_eq!(of("refused.test", None), "403 host_refused");
    assert_eq!(decided(&snapshot, false, &Head::get("refused.test", "/")), "403 host_refused");
    assert_eq!(decided(&snapshot, false, &Head::get("a.test", "/")), "503 route_closed");
    // A catch-all host without a default backend has no rule for such a path; it asks all the same.
    let mut any = of_host("", asking(asked));
    any.path = crate::fixture::path("Prefix /a");
    let snapshot = plain(vec![any]);
    for (target, expected) in [("/b", "400 no_certificate"), ("/a", "400 no_certificate")] {
        let client = Some(TlsClient::default());
        let decision = decide_for(&snapshot, &downstream(true), client, &Head::get("any.test", target));
        assert_eq!(short(&decision), expected, "{target}");
    }
}

#[test]
fn by_the_specification_there_is_no_slash_redirect() {
    let settings = Settings { trailing_slash: TrailingSlash::Ignore, ..Settings::default() };
    let routes = vec![route("a.test", "Prefix /my/", 1), route("b.test", "Exact /my/", 1)];
    let snapshot = snapshot(routes, &[], settings);
    assert_eq!(decided(&snapshot, false, &Head::get("a.test", "/my")), "s1");
    assert_eq!(decided(&snapshot, false, &Head::get("b.test", "/my")), "404 no_route");
}

#[test]
fn plain_http_goes_to_https_where_the_host_has_a_certificate() {
    let snapshot = snapshot(vec![redirecting("c082.test", "Prefix /", 1)], &["c082.test"], Settings::default());
    for (authority, target, location) in [
        ("c082.test", "/", "https://c082.test"),
        ("c082.test", "/x", "https://c082.test/x"),
        ("c082.test", "/x/", "https://c082.test/x"),
        ("c082.test", "/x?y=1", "https://c082.test/x?y=1"),
        ("c082.test", "/x/?y=1", "https://c082.test/x/?y=1"),
        ("c082.test", "/x?y=1/", "https://c082.test/x?y=1"),
        ("c082.test:8080", "/", "https://c082.test"),
        ("c082.test", "/a//b/", "https://c082.test/a//b"),
        ("c082.test", "/a%20b/", "https://c082.test/a%20b"),
        ("c082.test", "/?q", "https://c082.test/?q"),
        ("c082.test", "/\u{e9}", "https://c082.test/%C3%A9"),
        ("c082.test", "http://c082.test/x?y=/z", "https://c082.test/x?y=/z"),
        ("c082.test", "http://c082.test?y=/z", "https://c082.test?y=/z"),
        ("c082.test", "http://c082.test", "https://c082.test"),
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let head = Head::get(authority, target).method(method).with("x-forwarded-proto", "https");
            assert_eq!(decided(&snapshot, false, &head), format!("308 {location}"), "{method} {authority}{target}");
            assert_eq!(decided(&snapshot, true, &head), "s1", "{method} {authority}{target}");
        }
    }
}

#[test]
fn the_certificate_is_the_hosts_and_the_switch_is_the_routes() {
    let mut forced = route("c087.test", "Prefix /", 1);
    Arc::make_mut(&mut forced.policies).ssl_redirect = SslRedirect::Always;
    let routes = vec![
        redirecting("c090.test", "Prefix /foo", 1),
        redirecting("c090.test", "Prefix /bar", 2),
        Route { fallback: true, target: Target::Default, ..redirecting("c090.test", "Prefix /", 0) },
        redirecting("c091.test", "Prefix /foo", 1),
        route("c091.test", "Prefix /bar", 2),
        redirecting("bare.test", "Prefix /", 3),
        forced,
    ];
    let snapshot =
        snapshot(routes, &["c090.test", "c091.test"], Settings { redirect_status: 301, ..Settings::default() });
    for (host, target, expected) in [
        ("c090.test", "/foo", "301 https://c090.test/foo"),
        ("c090.test", "/bar", "301 https://c090.test/bar"),
        ("c090.test", "/zzz", "301 https://c090.test/zzz"),
        ("c091.test", "/foo", "301 https://c091.test/foo"),
        ("c091.test", "/bar", "s2"),
        ("bare.test", "/x", "s3"),
        ("c087.test", "/x", "301 https://c087.test/x"),
    ] {
        assert_eq!(decided(&snapshot, false, &Head::get(host, target)), expected, "{host}{target}");
    }
}

#[test]
fn a_trusted_proxy_says_what_scheme_and_host_the_client_used() {
    let settings = Settings {
        use_forwarded_headers: true,
        trusted: vec!["10.201.100.0/24".parse().unwrap()],
        ..Settings::default()
    };
    let snapshot = snapshot(vec![redirecting("c139.test", "Prefix /", 1)], &["c139.test"], settings);
    for (name, value, tls, expected) in [
        ("x-forwarded-proto", "https", false, "s1"),
        ("x-forwarded-proto", "http", false, "308 https://c139.test/x"),
        ("x-forwarded-host", "fh.test:99", false, "308 https://fh.test/x"),
        ("x-forwarded-host", "evil test\u{7f}", false, "308 https://c139.test/x"),
        ("x-forwarded-port", "8443", false, "308 https://c139.test/x"),
        ("x-forwarded-proto", "http", true, "308 https://c139.test/x"),
    ] {
        let head = Head::get("c139.test", "/x").with(name, value);
        assert_eq!(decided(&snapshot, tls, &head), expected, "{name}: {value}");
    }
}

#[test]
fn a_body_that_is_declared_too_large_is_refused_before_redirects() {
    let mut small = redirecting("c148.test", "Prefix /", 1);
    Arc::make_mut(&mut small.policies).body_size = BodySize(Some(1024));
    let mut unlimited = route("c148.test", "Prefix /inf", 2);
    Arc::make_mut(&mut unlimited.policies).body_size = BodySize(None);
    let mut slash = route("c148.test", "Prefix /my/", 2);
    Arc::make_mut(&mut slash.policies).body_size = BodySize(Some(1));
    let routes = vec![small, unlimited, slash, route("c148.test", "Prefix /def", 2)];
    let with_certificate = snapshot(routes.clone(), &["c148.test"], Settings::default());
    let without = snapshot(routes, &[], Settings::default());
    for (path, length, expected) in [
        ("/", "1024", "s1"),
        ("/", "1025", "413 body_too_large"),
        ("/def", "1048576", "s2"),
        ("/def", "1048577", "413 body_too_large"),
        ("/inf", "3000000", "s2"),
        ("/my", "2", "413 body_too_large"),
    ] {
        let head = Head::get("c148.test", path).method("POST").with("content-length", length);
        assert_eq!(decided(&without, false, &head), expected, "{path} {length}");
    }
    let large = Head::get("c148.test", "/").method("POST").with("content-length", "1025");
    assert_eq!(decided(&with_certificate, false, &large), "413 body_too_large");
    let chunked = Head::get("c148.test", "/").method("POST").with("transfer-encoding", "chunked");
    assert_eq!(decided(&with_certificate, false, &chunked), "308 https://c148.test");
}

#[test]
fn a_closed_route_answers_503_to_everything() {
    let mut closed = redirecting("a.test", "Prefix /", 1);
    Arc::make_mut(&mut closed.policies).closed = Some("the allow list does not parse".into());
    let mut slash = route("a.test", "Prefix /my/", 1);
    Arc::make_mut(&mut slash.policies).closed = closed.policies.closed.clone();
    let snapshot = snapshot(vec![closed, slash], &["a.test"], Settings::default());
    for target in ["/", "/x", "/my", "/my/"] {
        assert_eq!(decided(&snapshot, false, &Head::get("a.test", target)), "503 route_closed", "{target}");
        assert_eq!(decided(&snapshot, true, &Head::get("a.test", target)), "503 route_closed", "{target}");
    }
}

#[test]
fn a_backend_without_endpoints_or_of_another_snapshot_is_503() {
    let snapshot = plain(vec![route("a.test", "Prefix /", 0), route("a.test", "Prefix /gone", 99)]);
    assert_eq!(decided(&snapshot, false, &Head::get("a.test", "/")), "503 no_endpoints");
    assert_eq!(decided(&snapshot, false, &Head::get("a.test", "/gone")), "503 no_endpoints");
}

#[test]
fn the_default_backend_takes_what_no_rule_takes_and_404_stands_in_for_it() {
    let mut resource = route("a.test", "Prefix /resource", 1);
    resource.target = Target::Default;
    let routes =
        vec![route("a.test", "Prefix /foo", 1), resource, fallback("a.test"), route("b.test", "Prefix /foo", 1)];
    let bare = plain(routes);
    let with = |id| Snapshot { default_backend: Some(BackendId(id)), ..bare.clone() };
    for (host, path, without, fallen) in [
        ("a.test", "/foo", "s1", "s1"),
        ("a.test", "/x", "404 no_route", "s3"),
        ("a.test", "/resource", "404 no_route", "s3"),
        ("b.test", "/x", "404 no_route", "s3"),
        ("c.test", "/x", "404 no_host", "s3"),
    ] {
        let head = Head::get(host, path);
        assert_eq!(decided(&bare, false, &head), without, "{host}{path}");
        assert_eq!(decided(&with(3), false, &head), fallen, "{host}{path}");
        assert_eq!(decided(&with(0), false, &head), without, "{host}{path}: without endpoints");
        assert_eq!(decided(&with(99), false, &head), without, "{host}{path}: missing");
    }
}

#[test]
fn the_health_path_is_ours_on_hosts_that_no_rule_names() {
    let named = plain(vec![route("a.test", "Prefix /", 1)]);
    assert_eq!(decided(&named, false, &Head::get("10.0.0.1", "/healthz")), "200 health");
    assert_eq!(decided(&named, false, &Head::get("10.0.0.1", "/healthz/x")), "404 no_host");
    assert_eq!(decided(&named, false, &Head::get("a.test", "/healthz")), "s1");
    let with_default = Snapshot { default_backend: Some(BackendId(3)), ..named };
    assert_eq!(decided(&with_default, false, &Head::get("10.0.0.1", "/healthz")), "200 health");
    // Recorded (c116): a catch-all does not take it; a rule that names it does.
    let mut forced = route("", "Prefix /", 2);
    Arc::make_mut(&mut forced.policies).ssl_redirect = SslRedirect::Always;
    let decision = decide(&plain(vec![forced]), &downstream(false), &Head::get("anything.test", "/healthz"));
    assert_eq!(short(&decision), "200 health");
    assert!(decision.route.is_none());
    let rule = plain(vec![route("", "Prefix /", 2), route("", "Exact /healthz", 3)]);
    assert_eq!(decided(&rule, false, &Head::get("anything.test", "/healthz")), "s3");
}

#[test]
fn a_decision_carries_its_route_and_client() {
    let snapshot = plain(vec![route("a.test", "Prefix /", 1)]);
    let taken = decide(&snapshot, &downstream(false), &Head::get("a.test", "/"));
    assert_eq!(taken.route.unwrap().path.as_str(), "/");
    assert_eq!(taken.forwarded.unwrap().client, downstream(false).client);
    let lost = decide(&snapshot, &downstream(false), &Head::get("b.test", "/"));
    assert!(lost.route.is_none() && lost.forwarded.is_some());
    let broken = decide(&snapshot, &downstream(false), &Head::get("", "/"));
    assert!(broken.route.is_none() && broken.forwarded.is_none());
}

#[test]
fn the_first_failed_check_answers() {
    let mut closed = route("a.test", "Prefix /", 1);
    Arc::make_mut(&mut closed.policies).closed = Some("no".into());
    let snapshot = plain(vec![closed]);
    let head = |method: &str, authority: &str, target: &str| {
        decided(&snapshot, false, &Head::get(authority, target).method(method).with("content-length", "9999999"))
    };
    assert_eq!(head("get", "", "/%zz"), "400 bad_method");
    assert_eq!(head("TRACE", "", "/%zz"), "400 bad_host");
    assert_eq!(head("TRACE", "a.test", "/%zz"), "405 method_not_allowed");
    assert_eq!(head("GET", "a.test", "/%zz"), "400 bad_path");
    assert_eq!(head("GET", "a.test", "/"), "503 route_closed");
    assert_eq!(head("GET", "b.test", "/"), "413 body_too_large");
}

proptest! {
    #[test]
    fn a_location_is_visible_ascii_whatever_was_asked(
        target in "(/my|/|http://x/|http://x\\?)[ -~\u{e9}\r\n\t\u{0}]{0,12}",
        rule in "/[ -~\u{e9}]{0,6}/",
        host in "[ -~\u{e9}]{0,12}",
        query in any::<String>(),
        tls in any::<bool>(),
    ) {
        let mut forced = route("", "Prefix /", 1);
        Arc::make_mut(&mut forced.policies).ssl_redirect = SslRedirect::Always;
        let settings = Settings { use_forwarded_headers: true, trusted: vec!["0.0.0.0/0".parse().unwrap()], ..Settings::default() };
        let snapshot = snapshot(vec![forced, route("a.test", &format!("Prefix {rule}"), 1)], &[], settings);
        let heads = [
            Head::get("a.test", &format!("{}?{query}", rule.trim_end_matches('/'))),
            Head::get("any.test", &target),
            Head::get(&host, &target),
            Head::get("any.test", &target).with("x-forwarded-host", &host).with("x-forwarded-proto", "http"),
        ];
        for head in &heads {
            if let Action::Redirect { location, .. } = decide(&snapshot, &downstream(tls), head).action {
                prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{location:?}");
                prop_assert!(location.starts_with("http://") || location.starts_with("https://"), "{location:?}");
            }
        }
    }

    #[test]
    fn no_request_panics(method in any::<String>(), authority in any::<Option<String>>(), target in any::<String>(), http10 in any::<bool>(), length in any::<String>()) {
        let snapshot = snapshot(vec![redirecting("", "Prefix /", 1), route("a.test", "Prefix /my/", 1)], &["*"], Settings::default());
        let mut head = Head { method, authority, http10, ..Head::get("", &target) };
        let _ = decide(&snapshot, &downstream(false), &head);
        head.method = "GET".to_owned();
        let _ = decide(&snapshot, &downstream(false), &head.with("content-length", &length));
    }
}

/// A route with everything that refuses or redirects, of which cases take things away.
fn guarded() -> Route {
    let mut route = route("a.test", "Prefix /", 1);
    let cors = Cors {
        origins: Origins::Listed([OriginPattern::parse("http://o.test").unwrap()].into()),
        allow_credentials: true,
        methods: "GET".into(),
        headers: "X-A".into(),
        expose: None,
        max_age: "60".into(),
    };
    let denied = ["10.201.100.1".parse::<IpAddr>().unwrap().into()].into_iter().collect();
    Arc::make_mut(&mut route.policies).cors = Some(Arc::new(cors));
    Arc::make_mut(&mut route.policies).redirect =
        Some(Arc::new(Redirect { status: 301, location: "https://p.test".into() }));
    Arc::make_mut(&mut route.policies).ssl_redirect = SslRedirect::Always;
    Arc::make_mut(&mut route.policies).networks =
        Some(Arc::new(Networks { denied: Some(Arc::new(denied)), allowed: None }));
    Arc::make_mut(&mut route.policies).body_size = BodySize(Some(10));
    route
}

#[test]
fn preflights_redirects_and_networks_have_their_order() {
    type Strip = fn(&mut Policies);
    let get = || Head::get("a.test", "/").with("origin", "http://o.test");
    let stranger = || Head::get("a.test", "/").with("origin", "http://x.test");
    let large = || get().with("content-length", "11");
    let nothing: Strip = |_| {};
    let redirect: Strip = |policies| policies.redirect = None;
    let redirects: Strip = |policies| (policies.redirect, policies.ssl_redirect) = (None, SslRedirect::Off);
    let closed: Strip = |policies| policies.closed = Some("x".into());
    for (strip, head, expected, is_granted, is_counted) in [
        (nothing, get().method("OPTIONS"), "204 preflight", true, false),
        (nothing, get(), "301 https://p.test", true, false),
        (nothing, stranger().method("OPTIONS"), "301 https://p.test", false, false),
        (nothing, large(), "413 body_too_large", false, false),
        (nothing, large().method("OPTIONS"), "413 body_too_large", false, false),
        (redirect, get(), "308 https://a.test", true, false),
        (redirects, get(), "403 network_refused", true, true),
        (redirects, get().method("OPTIONS"), "204 preflight", true, false),
        (redirects, stranger().method("OPTIONS"), "403 network_refused", false, true),
        (closed, get().method("OPTIONS"), "503 route_closed", false, false),
    ] {
        let mut route = guarded();
        strip(Arc::make_mut(&mut route.policies));
        let decision = decide(&plain(vec![route]), &downstream(false), &head);
        let seen = (short(&decision), decision.response.cors.is_some(), decision.is_counted);
        assert_eq!(seen, (expected.to_owned(), is_granted, is_counted), "{head:?}");
    }
}

#[test]
fn a_path_that_is_a_guarded_one_to_some_servers_is_refused() {
    let guarded = |path: &str, backend, user: &str| {
        let mut route = route("a.test", path, backend);
        let users = Users::new(vec![(user.as_bytes().into(), Password::Plain(b"p"[..].into()))]);
        Arc::make_mut(&mut route.policies).basic_auth =
            Some(Arc::new(BasicAuth { realm: "".into(), users: Arc::new(users) }));
        route
    };
    let mut closed = route("a.test", "Prefix /closed", 4);
    Arc::make_mut(&mut closed.policies).closed = Some("x".into());
    let open = [route("a.test", "Prefix /", 1), route("a.test", "Prefix /open", 2)];
    let snapshot = plain(open.into_iter().chain([guarded("Prefix /admin", 3, "u"), closed]).collect());
    for (target, expected) in [
        ("/admin;x/secret", "400 bad_path"),
        ("/admin%3bx", "400 bad_path"),
        ("/;x/admin", "400 bad_path"),
        ("/x\\..y/admin", "s1"),
        ("/\\admin", "400 bad_path"),
        ("/admin%5csecret", "400 bad_path"),
        ("/closed;", "400 bad_path"),
        ("/admin/x;y", "s3"),
        ("/open;jsessionid=1", "s1"),
        ("/x;/y", "s1"),
    ] {
        assert_eq!(decided(&snapshot, false, &Head::get("a.test", target)), expected, "{target}");
    }
    // Who is let in under both readings has passed the guard.
    for (user, expected) in [("u", "s1"), ("v", "400 bad_path")] {
        let snapshot = plain(vec![guarded("Prefix /", 1, user), guarded("Prefix /app", 3, "u")]);
        assert_eq!(decided(&snapshot, false, &Head::get("a.test", "/app;jsessionid=1")), expected, "{user}");
    }
}

#[test]
fn networks_are_those_of_the_client_that_is_believed() {
    let allowed = ["10.9.0.0/16".parse().unwrap()].into_iter().collect();
    let mut route = route("a.test", "Prefix /", 1);
    Arc::make_mut(&mut route.policies).networks =
        Some(Arc::new(Networks { denied: None, allowed: Some(Arc::new(allowed)) }));
    let head = Head::get("a.test", "/").with("x-forwarded-for", "10.9.0.1");
    let snapshot = snapshot(vec![route], &[], Settings::default());
    assert_eq!(decided(&snapshot, false, &head), "403 network_refused");
    let trusted = vec!["10.201.0.0/16".parse().unwrap()];
    let settings = Arc::new(Settings { enable_real_ip: true, trusted, ..Settings::default() });
    assert_eq!(decided(&Snapshot { settings, ..snapshot }, false, &head), "s1");
}

#[test]
fn what_the_operator_blocks_is_blocked_everywhere() {
    let mut redirected = route("r.test", "Prefix /", 1);
    Arc::make_mut(&mut redirected.policies).redirect =
        Some(Arc::new(Redirect { status: 301, location: "https://p.test".into() }));
    let mut closed = route("c.test", "Prefix /", 1);
    Arc::make_mut(&mut closed.policies).closed = Some("x".into());
    let mut allowed = route("a.test", "Prefix /", 1);
    let everybody = ["0.0.0.0/0".parse().unwrap()].into_iter().collect();
    Arc::make_mut(&mut allowed.policies).networks =
        Some(Arc::new(Networks { denied: None, allowed: Some(Arc::new(everybody)) }));
    let routes = vec![redirected, closed, allowed];
    let user_agents = [Pattern::parse("~*bot").unwrap()].into();
    let by_head = Settings { block: Some(Arc::new(Block { user_agents, ..Block::default() })), ..Settings::default() };
    let networks = ["10.201.100.0/24".parse().unwrap()].into_iter().collect();
    let by_network = Settings { block: Some(Arc::new(Block { networks, ..Block::default() })), ..Settings::default() };
    let [by_head, by_network] = [by_head, by_network].map(|settings| snapshot(routes.clone(), &[], settings));
    for (authority, path, agent, network) in [
        ("r.test", "/", "403 blocked", "301 https://p.test"),
        ("c.test", "/", "403 blocked", "503 route_closed"),
        ("a.test", "/", "403 blocked", "403 blocked"),
        ("unknown.test", "/", "403 blocked", "403 blocked"),
        ("unknown.test", "/healthz", "403 blocked", "200 health"),
    ] {
        let head = Head::get(authority, path).with("user-agent", "a Bot");
        assert_eq!(decided(&by_head, false, &head), agent, "{authority}{path}");
        assert_eq!(decided(&by_network, false, &head), network, "{authority}{path}");
    }
    let decision = decide(&by_head, &downstream(true), &Head::get("a.test", "/").with("user-agent", "bot"));
    assert!(!decision.response.hsts && !decision.is_counted);
}

#[test]
fn a_canary_takes_requests_of_a_backend_that_has_endpoints_and_of_no_other() {
    // s0 has no endpoint; what no rule takes goes to s1, whose requests the canary s2 would take.
    let mut all = plain(vec![route("up.test", "Prefix /", 1), route("down.test", "Prefix /", 0)]);
    let rule = Arc::new(CanaryRule { weight: Weight::new(100, 100), ..CanaryRule::default() });
    let with_canary = |main: &Arc<Backend>| {
        let name = &*main.key.service;
        let canary = (name != "s2").then(|| Canary { backend: BackendId(2), rule: Arc::clone(&rule) });
        Arc::new(Backend { canary, ..backend(name, u8::from(name != "s0"), LoadBalance::RoundRobin) })
    };
    all.backends = Arc::new(Backends::new(all.backends.all().iter().map(with_canary).collect()));
    all.default_backend = Some(BackendId(1));
    let taker = |host: &str| decided(&all, false, &Head::get(host, "/"));
    assert_eq!(taker("up.test"), "s2");
    assert_eq!(taker("down.test"), "503 no_endpoints", "recorded: c254");
    assert_eq!(taker("other.test"), "s1", "the global default backend has no canary");
}
