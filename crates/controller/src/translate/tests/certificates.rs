//! Which certificate answers to which name, and which hosts count as having one.

use std::sync::Arc;

use edgeward_routing::certificate::Certificate;
use edgeward_routing::host::HostPattern;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::super::Options;
use super::{empty, found, options, run, run_with};
use crate::certificate::generate_default;
use crate::change::Change;
use crate::diagnostic::Severity;
use crate::index::Index;
use crate::object::{Ingress, Kind, Object, ObjectRef, Secret};
use crate::translate::fixture::{ingress, meta, name, secret, secret_for};
use crate::translate::{Translation, translate};

fn with_default() -> Options {
    let generated = generate_default(&["ingress.local".to_owned()]).unwrap();
    Options { generated_certificate: Some(Arc::new(generated)), ..options() }
}

/// What answers to a name: the Secret, `default`, or `none`.
fn answer(translation: &Translation, host: &str) -> String {
    let table = &translation.snapshot.certificates;
    let by_name = host.parse::<HostPattern>().ok().and_then(|host| table.by_host.get(&host));
    let is_default =
        |found: &&Arc<Certificate>| table.default.as_ref().is_some_and(|default| Arc::ptr_eq(default, found));
    match by_name.or_else(|| table.find(Some(host))) {
        None => "none".to_owned(),
        Some(found) if is_default(&found) => "default".to_owned(),
        Some(found) => found.origin.as_ref().unwrap().name.to_string(),
    }
}

fn has_certificate(translation: &Translation, host: &str) -> bool {
    translation.snapshot.routes.of_pattern(&host.parse().unwrap()).unwrap().has_certificate
}

/// A certificate that is valid between these years.
fn secret_between(name: &str, host: &str, from: i32, to: i32) -> Object {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 10);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Object::Secret(secret(name, &certificate.pem(), &key.serialize_pem()))
}

#[test]
fn a_tls_section_counts_for_every_host_of_its_ingress_listed_or_not() {
    let path = &["Prefix / web"];
    let translation = run_with(
        &with_default(),
        [
            ingress("listed").rule("a.test", path).rule("b.test", path).tls(&["a.test"], "t").object(),
            ingress("empty").rule("c.test", path).tls(&[], "").object(),
            ingress("plain").rule("d.test", path).object(),
            ingress("wildcard").rule("*.w.test", path).tls(&["*.w.test"], "").object(),
            ingress("below").rule("x.w.test", path).rule("y.x.w.test", path).object(),
            ingress("any").rule("", path).tls(&[""], "t").object(),
            secret_for("t", &["a.test"]),
        ],
    );
    for (host, expected, certificate) in [
        ("a.test", true, "t"),
        ("b.test", true, "default"),
        ("c.test", true, "default"),
        ("d.test", false, "default"),
        ("*.w.test", true, "default"),
        ("x.w.test", true, "default"),
        ("y.x.w.test", false, "default"),
        ("", false, "default"),
    ] {
        assert_eq!(has_certificate(&translation, host), expected, "{host}");
        assert_eq!(answer(&translation, host), certificate, "{host}");
    }
}

#[test]
fn the_first_ingress_of_a_host_with_tls_decides() {
    let path = &["Prefix / web"];
    let translation = run([
        ingress("oldest").created(1).rule("a.test", path).object(),
        ingress("middle").created(2).rule("a.test", &["Prefix /m web"]).tls(&["a.test"], "middle").object(),
        ingress("youngest").created(3).rule("a.test", &["Prefix /y web"]).tls(&["a.test"], "youngest").object(),
        secret_for("middle", &["a.test"]),
        secret_for("youngest", &["a.test"]),
    ]);
    assert_eq!(answer(&translation, "a.test"), "middle");
    assert!(has_certificate(&translation, "a.test"));
    let told = translation.diagnostics.iter().find(|d| d.code == "CertificateConflict").unwrap();
    assert_eq!(told.origin.as_ref().unwrap().to_string(), "Ingress default/youngest spec.tls[0]");
    let winner = "which gets the certificate of Secret default/middle: Ingress default/middle decides";
    assert!(told.message.contains(winner), "{}", told.message);
}

#[test]
fn a_certificate_that_loses_a_host_is_told_and_one_that_is_the_same_is_not() {
    let path = &["Prefix / web"];
    let old = || ingress("old").created(1).rule("a.test", path).tls(&["a.test"], "t");
    let young = |secret: &str| ingress("young").created(2).tls(&["a.test"], secret);
    for (case, ingresses, expected) in [
        ("the same Secret", vec![old(), young("t")], vec![]),
        ("only listed", vec![old(), young("u")], vec!["young spec.tls[0]"]),
        ("not good for the host", vec![old(), young("b")], vec![]),
        ("listed twice", vec![old().tls(&["a.test"], "u")], vec!["old spec.tls[1]"]),
        (
            "no rule anywhere",
            vec![ingress("old").created(1).tls(&["a.test"], "t"), young("u")],
            vec!["young spec.tls[0]"],
        ),
        (
            "rules without TLS",
            vec![ingress("old").created(1).rule("a.test", path), young("u")],
            vec!["young spec.tls[0]"],
        ),
    ] {
        let secrets = [secret_for("t", &["a.test"]), secret_for("u", &["a.test"]), secret_for("b", &["b.test"])];
        let translation = run(secrets.into_iter().chain(ingresses.into_iter().map(Ingress::object)));
        let expected: Vec<_> = expected.iter().map(|at| format!("CertificateConflict Ingress default/{at}")).collect();
        let told: Vec<_> = found(&translation).into_iter().filter(|line| line.contains("Conflict")).collect();
        assert_eq!(told, expected, "{case}");
    }
}

#[test]
fn a_secret_that_answers_to_no_name_is_told() {
    let told = |ingress: Ingress| {
        let translation = run([ingress.object(), secret_for("t", &["a.test"])]);
        found(&translation).contains(&"TlsWithoutHost Ingress default/a spec.tls[0]".to_owned())
    };
    assert!(told(ingress("a").rule("", &["Prefix / web"]).tls(&[], "t")));
    assert!(told(ingress("a").default_backend("web").tls(&[], "t")));
    assert!(!told(ingress("a").rule("", &["Prefix / web"]).tls(&["a.test"], "t")));
    assert!(!told(ingress("a").rule("", &["Prefix / web"]).rule("a.test", &["Prefix / web"]).tls(&[], "t")));
    assert!(!told(ingress("a").rule("", &["Prefix / web"]).tls(&[], "")));
}

#[test]
fn a_host_takes_the_secret_that_lists_it_else_one_that_is_for_it() {
    let secrets =
        || [secret_for("wild", &["*.test", "test"]), secret_for("own", &["a.test"]), secret_for("other", &["b.test"])];
    for (sections, certificate, code) in [
        (vec![(vec!["b.test"], "other"), (vec!["A.test."], "own")], "own", None),
        (vec![(vec!["*.test"], "wild")], "wild", None),
        (vec![(vec!["b.test"], "other"), (vec![], "own")], "own", None),
        (vec![(vec!["b.test"], "other")], "default", Some("HostWithoutCertificate")),
        (vec![(vec![], "")], "default", Some("HostWithoutCertificate")),
        // The section that lists it decides, although another Secret would do.
        (vec![(vec!["a.test"], "other"), (vec![], "own")], "default", Some("CertificateNameMismatch")),
        (vec![(vec!["a.test"], ""), (vec![], "own")], "default", None),
        (vec![(vec!["a.test"], "missing"), (vec![], "own")], "default", Some("SecretNotFound")),
    ] {
        let mut one = ingress("a").rule("a.test", &["Prefix / web"]);
        for (hosts, secret) in &sections {
            one = one.tls(hosts, secret);
        }
        let translation = run_with(&with_default(), secrets().into_iter().chain([one.object()]));
        assert_eq!(answer(&translation, "a.test"), certificate, "{sections:?}");
        let codes: Vec<_> =
            translation.diagnostics.iter().map(|d| d.code).filter(|c| *c != "ServiceNotFound").collect();
        assert_eq!(codes, Vec::from_iter(code), "{sections:?}");
    }
}

#[test]
fn a_host_whose_secret_cannot_be_used_gets_the_default_and_not_that_of_the_wildcard_above() {
    let path = &["Prefix / web"];
    let translation = run_with(
        &with_default(),
        [
            ingress("wild").rule("*.a.test", path).tls(&["*.a.test"], "wild").object(),
            ingress("own").rule("x.a.test", path).tls(&["x.a.test"], "missing").object(),
            secret_for("wild", &["*.a.test"]),
        ],
    );
    assert_eq!(answer(&translation, "x.a.test"), "default");
    assert_eq!(answer(&translation, "y.a.test"), "wild");
}

#[test]
fn a_name_that_only_a_tls_section_has_is_served_its_certificate() {
    let translation = run([
        ingress("a").rule("a.test", &["Prefix / web"]).tls(&["a.test", "mail.test", "b.test"], "t").object(),
        ingress("plain").rule("b.test", &["Prefix / web"]).object(),
        secret_for("t", &["a.test", "mail.test", "b.test"]),
    ]);
    assert_eq!(answer(&translation, "mail.test"), "t");
    assert_eq!(answer(&translation, "b.test"), "none", "a rule of an Ingress without TLS decided that");
    assert!(!has_certificate(&translation, "b.test"));
}

#[test]
fn what_is_wrong_with_a_secret_is_told_where_it_is_named() {
    let garbage = || Object::Secret(secret("t", "garbage", "garbage"));
    let (error, warning) = (Severity::Error, Severity::Warning);
    for (object, certificate, expected, part) in [
        (vec![], "default", Some((error, "SecretNotFound", "secretName")), "the default certificate is served"),
        (vec![garbage()], "default", Some((error, "CertificateInvalid", "secretName")), "the default certificate"),
        (
            vec![secret_for("t", &["b.test"])],
            "default",
            Some((error, "CertificateNameMismatch", "hosts[0]")),
            "`b.test`",
        ),
        (
            vec![secret_for("t", &["b.test", "c.test", "d.test", "e.test", "f.test"])],
            "default",
            Some((error, "CertificateNameMismatch", "hosts[0]")),
            "it is for `b.test`, `c.test`, `d.test` and 2 more",
        ),
        (
            vec![secret_between("t", "a.test", 2020, 2029)],
            "t",
            Some((error, "CertificateExpired", "secretName")),
            "2029-01-10",
        ),
        (
            vec![secret_between("t", "a.test", 2020, 2030)],
            "t",
            Some((warning, "CertificateExpiring", "secretName")),
            "2030-01-10",
        ),
        (
            vec![secret_between("t", "a.test", 2031, 2032)],
            "t",
            Some((warning, "CertificateNotYetValid", "secretName")),
            "2031-01-01",
        ),
        (vec![secret_between("t", "a.test", 2020, 2031)], "t", None, ""),
    ] {
        let one = ingress("a").rule("a.test", &["Prefix / web"]).tls(&["a.test"], "t").object();
        let translation = run_with(&with_default(), object.into_iter().chain([one]));
        assert_eq!(answer(&translation, "a.test"), certificate, "{expected:?}");
        assert!(has_certificate(&translation, "a.test"), "{expected:?}");
        let mut said = translation.diagnostics.iter().filter(|diagnostic| diagnostic.code != "ServiceNotFound");
        let Some((severity, code, field)) = expected else { continue };
        let diagnostic = said.next().unwrap();
        assert_eq!((diagnostic.severity, diagnostic.code), (severity, code));
        assert_eq!(diagnostic.origin.as_ref().unwrap().field, format!("spec.tls[0].{field}"));
        assert!(diagnostic.message.contains(part), "{}", diagnostic.message);
        assert!(said.next().is_none());
    }
}

#[test]
fn a_bad_name_in_a_tls_section_costs_only_itself() {
    let one = ingress("a").rule("a.test", &["Prefix / web"]).tls(&["a b", "a.test"], "t").object();
    let translation = run([one, secret_for("t", &["a.test"])]);
    assert_eq!(answer(&translation, "a.test"), "t");
    assert!(found(&translation).contains(&"InvalidHost Ingress default/a spec.tls[0].hosts[0]".to_owned()));
}

#[test]
fn the_default_certificate_is_the_one_given_else_the_generated() {
    let given = Options { default_ssl_certificate: Some(name("ops/tls")), ..with_default() };
    let default = |translation: &Translation| {
        translation.snapshot.certificates.default.as_ref().map(|certificate| certificate.origin.is_some())
    };
    assert_eq!(default(&run_with(&given, [secret_for("ops/tls", &["x.test"])])), Some(true));
    let missing = run_with(&given, []);
    assert_eq!(default(&missing), Some(false));
    assert_eq!(found(&missing), ["SecretNotFound Secret ops/tls"]);
    let broken = run_with(&given, [Object::Secret(secret("ops/tls", "x", "y"))]);
    assert_eq!(default(&broken), Some(false));
    assert_eq!(found(&broken), ["CertificateInvalid Secret ops/tls"]);
    assert_eq!(default(&run([])), None);
}

#[test]
fn tickets_are_sealed_with_the_secret_that_is_named() {
    let options = Options { ticket_secret: Some(name("ops/tickets")), ..with_default() };
    let secret = |data: &[(&str, usize)]| {
        let data = data.iter().map(|(key, length)| ((*key).to_owned(), vec![7; *length]));
        Object::Secret(Secret { meta: meta("ops/tickets"), data: Arc::new(data.collect()) })
    };
    let lengths = |translation: &Translation| {
        let secrets = &translation.snapshot.certificates.ticket_secrets;
        secrets.iter().map(|secret| secret.bytes.len()).collect::<Vec<_>>()
    };
    for (objects, expected) in [
        (vec![secret(&[("ticket.key", 32)])], vec![32]),
        (vec![secret(&[("ticket.key", 64), ("ticket.previous.key", 48)])], vec![64, 48]),
        (vec![secret(&[("ticket.key", 64), ("ticket.previous.key", 31)])], vec![64]),
    ] {
        let translation = run_with(&options, objects);
        assert_eq!((lengths(&translation), found(&translation)), (expected, Vec::new()));
    }
    for objects in [vec![], vec![secret(&[("ticket.key", 31)])], vec![secret(&[("ticket.previous.key", 32)])]] {
        let translation = run_with(&options, objects);
        assert_eq!(lengths(&translation), Vec::<usize>::new());
        assert_eq!(found(&translation), ["TicketSecretInvalid Secret ops/tickets"]);
    }
}

/// Recorded: sequence "late secret".
#[test]
fn a_secret_that_breaks_keeps_its_certificate_and_one_that_goes_does_not() {
    let options = with_default();
    let one = ingress("a").rule("a.test", &["Prefix / web"]).tls(&["a.test"], "t").object();
    let mut index = Index::of([one]);
    let mut previous = empty();
    let mut step = |change: Option<Change>| {
        change.into_iter().for_each(|change| drop(index.apply(change)));
        let translation = translate(&index, &options, &previous);
        previous = translation.snapshot.clone();
        let code = translation.diagnostics.iter().map(|d| d.code).find(|code| *code != "ServiceNotFound");
        let serial = translation.snapshot.certificates.find(Some("a.test")).unwrap().serial.clone();
        (answer(&translation, "a.test"), code, serial)
    };
    let apply = |object: Object| Some(Change::Apply(Box::new(object)));
    let remove = || Some(Change::Remove(ObjectRef { kind: Kind::Secret, name: name("t") }));
    let is = |(answer, code, _): (String, Option<&'static str>, String)| (answer, code);

    assert_eq!(is(step(None)), ("default".to_owned(), Some("SecretNotFound")));
    let (found, code, first) = step(apply(secret_for("t", &["a.test"])));
    assert_eq!((found.as_str(), code), ("t", None), "it came late");
    let (found, code, renewed) = step(apply(secret_for("t", &["a.test"])));
    assert_eq!((found.as_str(), code), ("t", None));
    assert_ne!(first, renewed, "it was renewed");
    let (found, code, kept) = step(apply(Object::Secret(secret("t", "garbage", "garbage"))));
    assert_eq!((found.as_str(), code), ("t", Some("CertificateInvalid")));
    assert_eq!(kept, renewed, "the last good one is kept");
    assert_eq!(is(step(remove())), ("default".to_owned(), Some("SecretNotFound")));
    let broken = step(apply(Object::Secret(secret("t", "garbage", "garbage"))));
    assert_eq!(is(broken), ("default".to_owned(), Some("CertificateInvalid")), "there is nothing to keep any more");
    assert_eq!(is(step(apply(secret_for("t", &["a.test"])))), ("t".to_owned(), None));
}

/// ingress-nginx controller.go configureCertificates: an alias has the certificate of its host where that is for it.
#[test]
fn another_name_of_a_host_has_its_certificate_where_that_is_for_it() {
    let path = &["Prefix / web"];
    let names = "b.test,c.test,*.w.test,*.v.test,d.test";
    let translation = run_with(
        &with_default(),
        [
            ingress("main").annotated("server-alias", names).rule("a.test", path).tls(&["a.test"], "t").object(),
            ingress("plain").annotated("server-alias", "e.test").rule("f.test", path).object(),
            ingress("real").rule("d.test", path).object(),
            secret_for("t", &["a.test", "b.test", "*.w.test", "d.test", "e.test"]),
        ],
    );
    for (host, expected, certificate) in [
        ("a.test", true, "t"),
        ("b.test", true, "t"),
        ("c.test", false, "default"),
        ("*.w.test", true, "t"),
        ("*.v.test", false, "default"),
        ("d.test", false, "default"),
        ("e.test", false, "default"),
    ] {
        assert_eq!(has_certificate(&translation, host), expected, "{host}");
        assert_eq!(answer(&translation, host), certificate, "{host}");
    }
    let deep = translation.snapshot.routes.host("x.y.w.test").unwrap();
    assert_eq!((deep.host.to_string().as_str(), deep.has_certificate), ("**.w.test", false));
    assert!(translation.snapshot.routes.host("x.w.test").unwrap().has_certificate);
}
