#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use edgeward_routing::backend::{HealthCheck, LoadBalance, Probe};
use edgeward_routing::origin::Origin;
use proptest::prelude::*;

use super::nearest::nearest;
use super::value::{parse_bool, parse_duration, parse_seconds};
use super::{
    Annotation, BackendSettings, DROPPED, IngressSettings, OWN_PREFIX, Reader, Refused, Risk, Status, former_table,
    groups, own_table, risk, table,
};
use crate::diagnostic::{Diagnostic, Severity};
use crate::translate::fixture::PREFIX;

mod affinity;
mod balance;
mod basic_auth;
mod body;
mod canary;
mod client_certificate;
mod cors;
mod errors;
mod external_auth;
mod limit;
mod mirror;
mod network;
mod observe;
mod own;
mod path;
mod redirect;
mod reference;
mod response;
mod tls;
mod upstream;
mod upstream_tls;

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
    let settings = Reader::new(PREFIX, Refused::Closed).ingress(&annotations, &origin, &mut diagnostics);
    (settings, diagnostics)
}

fn codes(annotations: &[(&str, &str)]) -> Vec<(Severity, &'static str)> {
    read_all(annotations).1.into_iter().map(|diagnostic| (diagnostic.severity, diagnostic.code)).collect()
}

const CLOSED: (Severity, &str) = (Severity::Error, "RouteClosed");
const NOT_HONOURED: (Severity, &str) = (Severity::Warning, "AnnotationNotHonoured");

#[test]
fn the_table_has_every_name_once_and_sorted() {
    assert_eq!(table().count(), 136);
    let grouped = groups().map(|group| group.annotations);
    for rows in grouped.into_iter().chain([own_table(), former_table()]) {
        assert!(rows.iter().map(|row| row.name).is_sorted());
    }
    let all = || table().chain(former_table());
    let names: BTreeSet<_> = all().flat_map(|row| row.aliases.iter().chain([&row.name])).collect();
    assert_eq!(names.len(), all().map(|row| 1 + row.aliases.len()).sum::<usize>());
}

#[test]
fn every_row_is_complete() {
    for row in table().chain(own_table()).chain(former_table()) {
        let is_read = matches!(row.status, Status::Honoured | Status::NoEffect);
        assert_eq!(row.parse.is_some(), is_read, "{}", row.name);
        assert!(!(row.guard.is_some() && row.parse.is_some()), "{}", row.name);
        assert!(!row.doc.is_empty(), "{}", row.name);
        assert_eq!(row.doc.ends_with('.'), row.status != Status::Former, "{}: {}", row.name, row.doc);
    }
}

/// A good value of an annotation, and what it does.
type Good = (&'static str, &'static str, fn(&IngressSettings) -> bool);

/// Bad values of an annotation, and what becomes of the Ingress.
type Bad = (&'static str, &'static [&'static str], Effect);

/// What a bad value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The default stands, and the diagnostic names what is allowed.
    Default,
    /// The Ingress is not served.
    Drops,
    /// Its routes answer 503.
    Closes,
}

/// Every honoured annotation has at least one of each.
const VALUES: [(&[Good], &[Bad]); 20] = [
    (affinity::GOOD, affinity::BAD),
    (balance::GOOD, balance::BAD),
    (basic_auth::GOOD, basic_auth::BAD),
    (body::GOOD, body::BAD),
    (cors::GOOD, cors::BAD),
    (limit::GOOD, limit::BAD),
    (network::GOOD, network::BAD),
    (external_auth::GOOD, external_auth::BAD),
    (canary::GOOD, canary::BAD),
    (errors::GOOD, errors::BAD),
    (mirror::GOOD, mirror::BAD),
    (client_certificate::GOOD, client_certificate::BAD),
    (observe::GOOD, observe::BAD),
    (own::GOOD, own::BAD),
    (path::GOOD, path::BAD),
    (redirect::GOOD, redirect::BAD),
    (response::GOOD, response::BAD),
    (tls::GOOD, tls::BAD),
    (upstream::GOOD, upstream::BAD),
    (upstream_tls::GOOD, upstream_tls::BAD),
];

/// The annotation without which another one is not looked at.
fn needed(key: &str) -> &'static [(&'static str, &'static str)] {
    match table().find(|row| row.name == key).and_then(|row| row.needs) {
        None => &[],
        Some("auth-type") => &[("auth-type", "basic")],
        Some("enable-opentelemetry") => &[("enable-opentelemetry", "true")],
        Some("auth-url") => &[("auth-url", "http://auth.test")],
        Some(other) => panic!("{key} needs {other}, which has no value here"),
    }
}

#[test]
fn what_needs_another_annotation_has_no_effect_without_it() {
    for row in table().filter(|row| row.needs.is_some()) {
        let (settings, diagnostics) = read_all(&[(row.name, "x;")]);
        assert_eq!(settings, IngressSettings::default(), "{}", row.name);
        assert_eq!(diagnostics[0].code, "AnnotationWithoutEffect", "{}", row.name);
    }
}

#[test]
fn every_honoured_annotation_is_read() {
    for (key, value, is_read) in VALUES.iter().flat_map(|(good, _)| *good) {
        let (settings, diagnostics) = read_all(&[&[(*key, *value)], needed(key)].concat());
        assert!(is_read(&settings), "{key}: {value}");
        assert!(diagnostics.iter().all(|diagnostic| diagnostic.code == "HealthCheckOff"), "{key}: {diagnostics:?}");
    }
    let rows = table().map(|row| (row, "")).chain(own_table().iter().map(|row| (row, "edgeward.dev/")));
    for (row, prefix) in rows.filter(|(row, _)| row.parse.is_some()) {
        let key = format!("{prefix}{}", row.name);
        let (mut good, mut bad) = (false, false);
        for (goods, bads) in VALUES {
            good |= goods.iter().any(|(tested, ..)| *tested == key);
            bad |= bads.iter().any(|(tested, ..)| *tested == key);
        }
        assert!(good && bad, "{key} has no good or no bad value here");
    }
}

#[test]
fn a_bad_value_does_what_it_did_and_the_diagnostic_says_what_is_allowed() {
    for (key, values, effect) in VALUES.iter().flat_map(|(_, bad)| *bad) {
        for value in *values {
            let (mut settings, diagnostics) = read_all(&[&[(*key, *value)], needed(key)].concat());
            let [diagnostic] = &diagnostics[..] else { panic!("{key}: {value:?}: {diagnostics:?}") };
            assert_eq!(diagnostic.severity, Severity::Error, "{key}: {value:?}");
            let field = &diagnostic.origin.as_ref().unwrap().field;
            assert!(field.starts_with("metadata.annotations[") && field.contains(key), "{field}");
            assert!(diagnostic.mend.starts_with("use "), "{}", diagnostic.mend);
            let (code, drops, closes) = match effect {
                Effect::Default => ("AnnotationInvalid", false, false),
                Effect::Drops => ("IngressDropped", true, false),
                Effect::Closes => ("RouteClosed", false, true),
            };
            assert_eq!(diagnostic.code, code, "{key}: {value:?}");
            assert_eq!((settings.is_dropped, settings.closed.is_some()), (drops, closes), "{key}: {value:?}");
            // What nothing can stand in for.
            let refused = ["path", "host", "port", "expected-status"];
            let is_refused = refused.iter().any(|part| *key == format!("{OWN_PREFIX}/health-check-{part}"));
            assert_eq!(settings.backend.health_check.is_refused, is_refused, "{key}: {value:?}");
            settings.backend.health_check.is_refused = false;
            let without = read_all(needed(key)).0;
            settings.is_guarded = without.is_guarded;
            settings.closes_hosts = false;
            settings.is_dropped = false;
            settings.closed = None;
            assert_eq!(settings, without, "{key}: {value:?}");
        }
    }
}

#[test]
fn what_is_not_honoured_is_never_silent() {
    for row in table().filter(|row| row.parse.is_none()) {
        for name in row.aliases.iter().chain([&row.name]) {
            let codes = codes(&[(name, "x")]);
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
fn what_is_refused_closes_its_routes_unless_it_is_to_be_ignored_and_names_what_to_use() {
    let origin = Origin::object("Ingress", "default", "web");
    for row in table().filter(|row| row.status == Status::Refused) {
        assert!(!row.instead.is_empty(), "{}", row.name);
        let annotations = BTreeMap::from([(format!("{PREFIX}/{}", row.name), "true".to_owned())]);
        for (refused, closes) in [(Refused::Closed, row.guard.is_some()), (Refused::Ignored, false)] {
            let mut diagnostics = Vec::new();
            let settings = Reader::new(PREFIX, refused).ingress(&annotations, &origin, &mut diagnostics);
            assert_eq!(settings.closed.is_some(), closes, "{} {refused:?}", row.name);
            assert_eq!(diagnostics[0].mend, row.instead);
        }
    }
}

#[test]
fn a_guard_closes_exactly_when_it_would_guard() {
    let guards: BTreeSet<&str> = table().filter(|row| row.guard.is_some()).map(|row| row.name).collect();
    let expected = BTreeSet::from([
        "auth-snippet",
        "configuration-snippet",
        "enable-modsecurity",
        "enable-owasp-core-rules",
        "modsecurity-snippet",
        "server-snippet",
        "stream-snippet",
    ]);
    assert_eq!(guards, expected);
    for (annotations, closes) in [
        (&[("enable-modsecurity", "true")][..], true),
        (&[("enable-modsecurity", "yes")], true),
        (&[("enable-modsecurity", "false")], false),
        (&[("configuration-snippet", "deny all;")], true),
        (&[("backend-protocol", "FCGI")], true),
    ] {
        let (settings, diagnostics) = read_all(annotations);
        assert_eq!(settings.closed.is_some(), closes, "{annotations:?}");
        assert_eq!(diagnostics.iter().any(|d| d.code == "RouteClosed"), closes, "{annotations:?}");
        assert!(!diagnostics.is_empty(), "{annotations:?}");
    }
}

#[test]
fn an_ingress_of_a_higher_risk_than_is_taken_is_dropped_and_still_guards() {
    for (annotations, least) in [
        (&[("ssl-redirect", "false"), ("limit-rps", "1")][..], Risk::Low),
        (&[("rewrite-target", "/")], Risk::Medium),
        (&[("whitelist-source-range", "10.0.0.0/8")], Risk::Medium),
        (&[("auth-url", "http://auth.test/")], Risk::High),
    ] {
        for risk in [Risk::Low, Risk::Medium, Risk::High, Risk::Critical] {
            let written = annotations.iter().map(|(name, value)| (format!("{PREFIX}/{name}"), (*value).to_owned()));
            let origin = Origin::object("Ingress", "default", "web");
            let mut diagnostics = Vec::new();
            let reader = &mut Reader::new(PREFIX, Refused::Closed).up_to(risk);
            let settings = reader.ingress(&written.collect(), &origin, &mut diagnostics);
            assert_eq!(settings.is_dropped, risk < least, "{annotations:?} {risk:?}");
            assert_eq!(diagnostics.iter().any(|d| d.code == DROPPED), risk < least, "{annotations:?} {risk:?}");
            assert_eq!(settings.external_auth.url.is_some(), annotations[0].0 == "auth-url");
        }
    }
    let rated: Vec<_> = risk::HIGH.iter().chain(&risk::MEDIUM).collect();
    assert!(rated.iter().all(|name| table().any(|row| row.name == **name)), "each is an annotation");
}

#[test]
fn guards_of_a_host_close_the_whole_host() {
    assert!(read_all(&[("server-snippet", "deny all;")]).0.closes_hosts);
    assert!(!read_all(&[("auth-url", "nowhere")]).0.closes_hosts);
}

#[test]
fn an_alias_counts_only_where_the_name_is_absent_or_empty() {
    const SHADOWED: (Severity, &str) = (Severity::Warning, "AnnotationShadowed");
    let (name, alias) = ("allowlist-source-range", "whitelist-source-range");
    for (annotations, said, allowed) in [
        (&[(alias, "10.0.0.1"), (name, "10.0.0.2")][..], &[SHADOWED][..], Some("10.0.0.2/32")),
        (&[(alias, "10.0.0.1"), (name, "")], &[], Some("10.0.0.1/32")),
        (&[(alias, "10.0.0.1")], &[], Some("10.0.0.1/32")),
        (&[(alias, "")], &[], None),
        (&[(alias, ""), (name, "")], &[CLOSED], None),
    ] {
        assert_eq!(codes(annotations), said, "{annotations:?}");
        let networks = read_all(annotations).0.networks.allowed;
        assert_eq!(networks.map(|networks| networks.to_string()).as_deref(), allowed, "{annotations:?}");
    }
}

#[test]
fn what_refuses_clients_is_a_guard_whether_it_is_enforced_or_not() {
    for annotation in
        [("allowlist-source-range", "10.0.0.1"), ("denylist-source-range", "x"), ("auth-url", "http://a.test")]
    {
        assert!(read_all(&[annotation]).0.is_guarded, "{annotation:?}");
    }
    assert!(!read_all(&[("limit-rps", "1"), ("satisfy", "any"), ("enable-cors", "true")]).0.is_guarded);
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
        Reader::new("custom.prefix", Refused::Closed).ingress(&annotations, &origin, &mut diagnostics),
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
    let service = Reader::new(PREFIX, Refused::Closed).service(&annotations, &origin, &mut diagnostics);
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
        let rows: Vec<&Annotation> = table().chain(former_table()).chain(own_table()).collect();
        let name = rows.get(row).map_or(name, |row| row.name.to_owned());
        let (settings, _) = read_all(&[(&name, &value), (&format!("{OWN_PREFIX}/{name}"), &value)]);
        let is_clean = |text: &String| !text.chars().any(char::is_control);
        let check = settings.backend.health_check;
        prop_assert!(check.path.iter().chain(&check.host).all(is_clean));
    }

    #[test]
    fn no_list_of_digits_and_units_panics(value in "[-+0-9kmgsh.]{0,24}") {
        for (key, ..) in VALUES.iter().flat_map(|(_, bad)| *bad) {
            read_all(&[(key, &value)]);
        }
    }
}
