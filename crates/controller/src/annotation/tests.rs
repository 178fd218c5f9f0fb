#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use edgeward_routing::backend::{HealthCheck, LoadBalance, Probe};
use edgeward_routing::origin::Origin;
use edgeward_routing::policy::{BackendProtocol, BodySize};
use proptest::prelude::*;

use super::nearest::nearest;
use super::value::{parse_bool, parse_duration, parse_seconds};
use super::{Annotation, BackendSettings, IngressSettings, OWN_PREFIX, Reader, Status, former_table, own_table, table};
use crate::diagnostic::{Diagnostic, Severity};
use crate::translate::fixture::PREFIX;

fn read_all(annotations: &[(&str, &str)]) -> (IngressSettings, Vec<Diagnostic>) {
    let annotations: BTreeMap<_, _> = annotations
        .iter()
        .map(|(key, value)| {
            let key = if key.contains('/') { (*key).to_owned() } else { format!("{PREFIX}/{key}") };
            (key, (*value).to_owned())
        })
        .collect();
    let mut diagnostics = Vec::new();
    let origin = Origin::object("Ingress", "default", "web");
    let settings = Reader::new(PREFIX).ingress(&annotations, &origin, &mut diagnostics);
    (settings, diagnostics)
}

fn codes(annotations: &[(&str, &str)]) -> Vec<(Severity, &'static str)> {
    read_all(annotations).1.into_iter().map(|diagnostic| (diagnostic.severity, diagnostic.code)).collect()
}

const INVALID: (Severity, &str) = (Severity::Error, "AnnotationInvalid");
const CLOSED: (Severity, &str) = (Severity::Error, "RouteClosed");
const NOT_HONOURED: (Severity, &str) = (Severity::Warning, "AnnotationNotHonoured");

#[test]
fn the_table_has_every_name_once_and_sorted() {
    assert_eq!(table().len(), 136);
    for rows in [table(), own_table(), former_table()] {
        assert!(rows.iter().map(|row| row.name).is_sorted());
    }
    let all = || table().iter().chain(former_table());
    let names: BTreeSet<_> = all().flat_map(|row| row.aliases.iter().chain([&row.name])).collect();
    assert_eq!(names.len(), all().map(|row| 1 + row.aliases.len()).sum::<usize>());
}

#[test]
fn every_row_is_complete() {
    for row in table().iter().chain(own_table()).chain(former_table()) {
        assert_eq!(row.parse.is_some(), row.status == Status::Honoured, "{}", row.name);
        assert!(!(row.guard.is_some() && row.parse.is_some()), "{}", row.name);
        assert!(!row.doc.is_empty(), "{}", row.name);
        assert_eq!(row.doc.ends_with('.'), row.status != Status::Former, "{}: {}", row.name, row.doc);
    }
}

type Check = (&'static str, &'static str, fn(&IngressSettings) -> bool);

/// Good values; every honoured annotation has at least one.
const GOOD: &[Check] = &[
    ("ssl-redirect", "false", |s| s.ssl_redirect == Some(false)),
    ("ssl-redirect", "T", |s| s.ssl_redirect == Some(true)),
    ("force-ssl-redirect", "true", |s| s.force_ssl_redirect == Some(true)),
    ("backend-protocol", "https", |s| s.protocol == Some(BackendProtocol::Https)),
    ("backend-protocol", " GRPC ", |s| s.protocol == Some(BackendProtocol::Grpc)),
    ("backend-protocol", "auto_http", |s| s.protocol == Some(BackendProtocol::AutoHttp)),
    ("proxy-body-size", "8M", |s| s.body_size == Some(BodySize(Some(8 << 20)))),
    ("proxy-body-size", "0", |s| s.body_size == Some(BodySize(None))),
    ("proxy-connect-timeout", "7", |s| s.connect_timeout == Some(Duration::from_secs(7))),
    ("proxy-send-timeout", "3600", |s| s.send_timeout == Some(Duration::from_secs(3600))),
    ("proxy-read-timeout", "+5", |s| s.read_timeout == Some(Duration::from_secs(5))),
    ("load-balance", "ewma", |s| s.backend.load_balance == Some(LoadBalance::PeakEwma)),
    ("load-balance", " round_robin", |s| s.backend.load_balance == Some(LoadBalance::RoundRobin)),
    ("upstream-hash-by", "$request_uri", |s| s.backend.hash_by.is_some()),
    ("upstream-hash-by", "${host}-x", |s| s.backend.hash_by.as_ref().is_some_and(|t| t.parts.len() == 2)),
    ("edgeward.dev/load-balance", "least-request", |s| s.backend.own_load_balance == Some(LoadBalance::LeastRequest)),
    ("edgeward.dev/slow-start", "30s", |s| s.backend.slow_start == Some(Duration::from_secs(30))),
    ("edgeward.dev/health-check", "tcp", |s| s.backend.health_check().unwrap().probe == Probe::Tcp),
    ("edgeward.dev/health-check", "off", |s| s.backend.health_check().is_none()),
    ("edgeward.dev/health-check-path", "/up?x=1", |s| s.backend.health_check.path.as_deref() == Some("/up?x=1")),
    ("edgeward.dev/health-check-host", "a.test:80", |s| s.backend.health_check.host.is_some()),
    ("edgeward.dev/health-check-port", "9000", |s| s.backend.health_check.port == Some(9000)),
    ("edgeward.dev/health-check-interval", "1s", |s| s.backend.health_check.interval == Some(Duration::from_secs(1))),
    ("edgeward.dev/health-check-timeout", "500ms", |s| {
        s.backend.health_check.timeout == Some(Duration::from_millis(500))
    }),
    ("edgeward.dev/health-check-healthy-threshold", "1", |s| s.backend.health_check.healthy_threshold == Some(1)),
    ("edgeward.dev/health-check-unhealthy-threshold", "5", |s| s.backend.health_check.unhealthy_threshold == Some(5)),
    ("edgeward.dev/health-check-expected-status", "204", |s| {
        s.backend.health_check.expected_status == Some((204, 204))
    }),
];

/// Bad values: the default stands, and the diagnostic names what is allowed.
const BAD: &[(&str, &[&str])] = &[
    ("ssl-redirect", &["", "yes", "on", " true"]),
    ("force-ssl-redirect", &["maybe"]),
    ("backend-protocol", &["", "SPDY", "HTTP/2"]),
    ("proxy-body-size", &["", "1x", "-1", "m", "1.5m", "99999999999999999999g"]),
    ("proxy-connect-timeout", &["", "5s", " 5 ", "-1", "0", "1.5", "99999999999999999999"]),
    ("proxy-send-timeout", &["0"]),
    ("proxy-read-timeout", &["-1", "+"]),
    ("load-balance", &["", "least_conn", "EWMA", "chash", "sticky_balanced"]),
    ("upstream-hash-by", &["", "$nosuchvariable", "$", "${host"]),
    ("edgeward.dev/load-balance", &["round_robin", ""]),
    ("edgeward.dev/slow-start", &["30", "s", "-1s", "1d"]),
    ("edgeward.dev/health-check", &["true", "HTTP"]),
    ("edgeward.dev/health-check-path", &["", "up", "/a b", "/a\r\nX: y", "/#", "/<x>", "/\u{e9}"]),
    ("edgeward.dev/health-check-host", &["", "a b", "a\r\nX: y"]),
    ("edgeward.dev/health-check-port", &["0", "65536", "http"]),
    ("edgeward.dev/health-check-interval", &["0s", "99ms", "5"]),
    ("edgeward.dev/health-check-timeout", &["9ms"]),
    ("edgeward.dev/health-check-healthy-threshold", &["0", "1001", "x"]),
    ("edgeward.dev/health-check-unhealthy-threshold", &["-1"]),
    ("edgeward.dev/health-check-expected-status", &["99", "600", "300-200", "2xx", "200-"]),
];

#[test]
fn every_honoured_annotation_is_read() {
    for (key, value, is_read) in GOOD {
        let (settings, diagnostics) = read_all(&[(key, value)]);
        assert!(is_read(&settings), "{key}: {value}");
        assert!(diagnostics.iter().all(|diagnostic| diagnostic.code == "HealthCheckOff"), "{key}: {diagnostics:?}");
    }
    for (rows, prefix) in [(table(), ""), (own_table(), "edgeward.dev/")] {
        for row in rows.iter().filter(|row| row.status == Status::Honoured) {
            let key = format!("{prefix}{}", row.name);
            assert!(GOOD.iter().any(|(tested, ..)| *tested == key), "{key} has no good value here");
            assert!(BAD.iter().any(|(tested, _)| *tested == key), "{key} has no bad value here");
        }
    }
}

#[test]
fn a_bad_value_leaves_the_default_and_says_what_is_allowed() {
    for (key, values) in BAD {
        for value in *values {
            let (settings, diagnostics) = read_all(&[(key, value)]);
            let mut expected = IngressSettings::default();
            // What nothing can stand in for.
            let refused = ["path", "host", "port", "expected-status"];
            let is_refused = refused.iter().any(|part| *key == format!("{OWN_PREFIX}/health-check-{part}"));
            expected.backend.health_check.is_refused = is_refused;
            assert_eq!(settings, expected, "{key}: {value:?}");
            let [diagnostic] = &diagnostics[..] else { panic!("{key}: {value:?}: {diagnostics:?}") };
            assert_eq!((diagnostic.severity, diagnostic.code), INVALID, "{key}: {value:?}");
            assert!(diagnostic.mend.starts_with("use "), "{}", diagnostic.mend);
            let field = &diagnostic.origin.as_ref().unwrap().field;
            assert!(field.starts_with("metadata.annotations[") && field.contains(key), "{field}");
        }
    }
}

#[test]
fn what_is_not_honoured_is_never_silent() {
    for row in table().iter().filter(|row| row.parse.is_none()) {
        for name in row.aliases.iter().chain([&row.name]) {
            let value = if row.guard == Some(super::Guard::On) { "on" } else { "x" };
            let codes = codes(&[(name, value)]);
            assert_eq!(codes, [if row.guard.is_some() { CLOSED } else { NOT_HONOURED }], "{name}");
        }
    }
    for row in former_table() {
        let (_, diagnostics) = read_all(&[(row.name, "x")]);
        assert_eq!(diagnostics[0].code, "AnnotationNotHonoured");
        assert_eq!(diagnostics[0].mend, row.doc);
    }
}

#[test]
fn a_guard_closes_exactly_when_it_would_guard() {
    let guards: BTreeSet<&str> = table().iter().filter(|row| row.guard.is_some()).map(|row| row.name).collect();
    let expected = BTreeSet::from([
        "allowlist-source-range",
        "auth-snippet",
        "auth-tls-secret",
        "auth-type",
        "auth-url",
        "configuration-snippet",
        "denylist-source-range",
        "enable-modsecurity",
        "enable-owasp-core-rules",
        "modsecurity-snippet",
        "proxy-ssl-verify",
        "server-snippet",
        "stream-snippet",
    ]);
    assert_eq!(guards, expected);
    for (annotations, closes) in [
        (&[("allowlist-source-range", "10.0.0.0/8")][..], true),
        (&[("whitelist-source-range", "10.0.0.0/8")], true),
        (&[("denylist-source-range", "")], true),
        (&[("auth-type", "basic")], true),
        (&[("auth-type", "")], false),
        (&[("auth-secret", "users"), ("auth-realm", "x")], false),
        (&[("auth-url", "http://auth.test")], true),
        (&[("auth-url", " ")], false),
        (&[("auth-tls-secret", "default/ca")], true),
        (&[("auth-tls-secret", "default/ca"), ("auth-tls-verify-client", "optional")], true),
        (&[("auth-tls-secret", "default/ca"), ("auth-tls-verify-client", "off")], false),
        (&[("auth-tls-verify-client", "on")], false),
        (&[("enable-modsecurity", "true")], true),
        (&[("enable-modsecurity", "yes")], true),
        (&[("enable-modsecurity", "false")], false),
        (&[("configuration-snippet", "deny all;")], true),
        (&[("enable-global-auth", "false")], false),
        (&[("proxy-ssl-verify", "on")], true),
        (&[("proxy-ssl-verify", "off")], false),
        (&[("proxy-ssl-secret", "default/ca")], false),
        (&[("limit-rps", "5")], false),
        (&[("ssl-passthrough", "true")], false),
        (&[("satisfy", "any")], false),
        (&[("backend-protocol", "FCGI")], true),
    ] {
        let (settings, diagnostics) = read_all(annotations);
        assert_eq!(settings.closed.is_some(), closes, "{annotations:?}");
        assert_eq!(diagnostics.iter().any(|d| d.code == "RouteClosed"), closes, "{annotations:?}");
        assert!(!diagnostics.is_empty(), "{annotations:?}");
    }
}

#[test]
fn guards_of_a_host_close_the_whole_host() {
    assert!(read_all(&[("auth-tls-secret", "default/ca")]).0.closes_hosts);
    assert!(read_all(&[("server-snippet", "deny all;")]).0.closes_hosts);
    assert!(!read_all(&[("auth-url", "http://auth.test")]).0.closes_hosts);
}

#[test]
fn an_alias_counts_only_where_the_name_is_absent_or_empty() {
    assert_eq!(
        codes(&[("whitelist-source-range", "10.0.0.1"), ("allowlist-source-range", "10.0.0.2")]),
        [CLOSED, (Severity::Warning, "AnnotationShadowed")]
    );
    assert_eq!(codes(&[("limit-whitelist", "10.0.0.1")]), [NOT_HONOURED]);
}

#[test]
fn a_canary_is_marked_only_by_true() {
    assert!(read_all(&[("canary", "true")]).0.is_canary);
    for value in ["false", "yes", ""] {
        assert!(!read_all(&[("canary", value)]).0.is_canary, "{value}");
    }
}

#[test]
fn unknown_names_get_the_nearest_known_one() {
    let mends = |key: &str| {
        let (_, diagnostics) = read_all(&[(key, "x")]);
        assert_eq!((diagnostics[0].severity, diagnostics[0].code), (Severity::Warning, "AnnotationUnknown"));
        diagnostics[0].mend.clone()
    };
    assert_eq!(mends("proxy-bodysize"), "did you mean `proxy-body-size`?");
    assert_eq!(mends("rewrite-traget"), "did you mean `rewrite-target`?");
    assert_eq!(mends("edgeward.dev/load-balancer"), "did you mean `load-balance`?");
    assert_eq!(mends("unknown-thing"), "remove it");
    assert_eq!(nearest("", ["a", "ab"].into_iter()), Some("a"));
    assert_eq!(nearest("x", std::iter::empty()), None);
}

#[test]
fn annotations_of_others_are_not_ours_to_judge() {
    assert!(codes(&[("cert-manager.io/issuer", "x"), ("kubernetes.io/ingress.class", "nginx")]).is_empty());
    let annotations = BTreeMap::from([(format!("{PREFIX}/ssl-redirect"), "false".to_owned())]);
    let mut diagnostics = Vec::new();
    let origin = Origin::object("Ingress", "default", "web");
    assert_eq!(
        Reader::new("custom.prefix").ingress(&annotations, &origin, &mut diagnostics),
        IngressSettings::default()
    );
    assert!(diagnostics.is_empty());
}

#[test]
fn a_service_overrules_an_ingress() {
    let ingress = read_all(&[
        ("upstream-hash-by", "$host"),
        ("load-balance", "ewma"),
        ("edgeward.dev/slow-start", "5s"),
        ("edgeward.dev/health-check", "http"),
        ("edgeward.dev/health-check-path", "/ingress"),
    ]);
    assert!(ingress.1.is_empty());
    let annotations: BTreeMap<_, _> =
        [("load-balance", "least-request"), ("health-check", "tcp"), ("nonsense-name", "x")]
            .map(|(name, value)| (format!("{OWN_PREFIX}/{name}"), value.to_owned()))
            .into();
    let mut diagnostics = Vec::new();
    let origin = Origin::object("Service", "default", "web");
    let service = Reader::new(PREFIX).service(&annotations, &origin, &mut diagnostics);
    assert_eq!(diagnostics.len(), 1);
    let default = LoadBalance::RoundRobin;
    let asked = &ingress.0.backend;
    assert!(matches!(asked.load_balance(&default), LoadBalance::ConsistentHash(_)), "hashing wins over load-balance");
    let both = asked.overruled_by(&service);
    assert_eq!(both.load_balance(&default), LoadBalance::LeastRequest);
    assert_eq!(both.slow_start, Some(Duration::from_secs(5)));
    assert_eq!(both.health_check().unwrap().probe, Probe::Tcp);
    assert_eq!(BackendSettings::default().load_balance(&LoadBalance::PeakEwma), LoadBalance::PeakEwma);
}

#[test]
fn a_health_check_has_defaults_and_details_alone_check_nothing() {
    let check = read_all(&[("edgeward.dev/health-check", "http")]).0.backend.health_check().unwrap();
    let probe = Probe::Http { path: "/".to_owned(), host: None, expected: (200, 399) };
    let expected = HealthCheck {
        probe,
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    };
    assert_eq!(check, expected);
    let (settings, diagnostics) = read_all(&[("edgeward.dev/health-check-path", "/up")]);
    assert!(settings.backend.health_check().is_none());
    assert_eq!(diagnostics[0].code, "HealthCheckOff");
}

#[test]
fn a_health_check_that_cannot_be_asked_as_written_is_not_asked() {
    let details = [("path", "up"), ("host", "a b"), ("port", "0"), ("expected-status", "2xx")];
    for (name, value) in details {
        let key = format!("{OWN_PREFIX}/health-check-{name}");
        let (settings, diagnostics) = read_all(&[("edgeward.dev/health-check", "http"), (&key, value)]);
        assert_eq!(settings.backend.health_check(), None, "{key}: {value}");
        assert!(diagnostics[0].message.ends_with("no endpoint is probed"), "{}", diagnostics[0].message);
    }
    for (name, value) in [("interval", "0s"), ("timeout", "0s"), ("healthy-threshold", "0")] {
        let key = format!("{OWN_PREFIX}/health-check-{name}");
        let (settings, diagnostics) = read_all(&[("edgeward.dev/health-check", "http"), (&key, value)]);
        let check = settings.backend.health_check().unwrap();
        assert_eq!(diagnostics.len(), 1, "{key}");
        assert!(!check.interval.is_zero() && !check.timeout.is_zero() && check.healthy_threshold > 0, "{key}");
    }
}

#[test]
fn values_follow_their_grammars() {
    assert_eq!(parse_bool("1"), Some(true));
    assert_eq!(parse_bool("tRUE"), None);
    assert_eq!(parse_seconds("2147483647"), Some(Duration::from_secs(2_147_483_647)));
    assert_eq!(parse_seconds("2147483648"), None);
    assert_eq!(parse_duration("1h"), Some(Duration::from_secs(3600)));
    assert_eq!(parse_duration("18446744073709551615h"), None);
}

proptest! {
    #[test]
    fn no_name_or_value_panics(row in 0..162usize, name in ".{0,40}", value in ".{0,40}") {
        let rows: Vec<&Annotation> = table().iter().chain(former_table()).chain(own_table()).collect();
        let name = rows.get(row).map_or(name, |row| row.name.to_owned());
        let (settings, _) = read_all(&[(&name, &value), (&format!("{OWN_PREFIX}/{name}"), &value)]);
        let is_clean = |text: &String| !text.chars().any(char::is_control);
        let check = settings.backend.health_check;
        prop_assert!(check.path.iter().chain(&check.host).all(is_clean));
    }

    #[test]
    fn no_list_of_digits_and_units_panics(value in "[-+0-9kmgsh.]{0,24}") {
        for (key, _) in BAD {
            read_all(&[(key, &value)]);
        }
    }
}
