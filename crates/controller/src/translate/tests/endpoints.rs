//! The addresses behind a Service port.

use edgeward_routing::endpoint::Readiness;

use super::super::Options;
use super::{addresses, backend, found, options, run, run_with, strict};
use crate::diagnostic::Severity;
use crate::index::Index;
use crate::object::{EndpointSlice, Object, PortRef, Service, SlicePort};
use crate::translate::fixture::{external, ingress, port, ready, service, slice, terminating};
use crate::translate::{Translation, translate};

fn to(target: &str) -> Object {
    ingress("a").rule("a.test", &[&format!("Prefix / {target}")]).object()
}

/// What becomes of a Service with one port and these slices.
fn of(port: crate::object::ServicePort, slices: Vec<EndpointSlice>) -> Translation {
    let service = Object::Service(service("web", vec![port]));
    run([to("web"), service].into_iter().chain(slices.into_iter().map(Object::EndpointSlice)))
}

fn plain() -> crate::object::ServicePort {
    port("", 80, Some(PortRef::Number(8080)))
}

#[test]
fn ready_endpoints_count_and_terminating_ones_only_while_none_is_ready() {
    for (endpoints, expected, readiness) in [
        (vec![ready("10.0.0.1"), terminating("10.0.0.2")], vec!["10.0.0.1:8080"], Readiness::Ready),
        (vec![terminating("10.0.0.2")], vec!["10.0.0.2:8080"], Readiness::Terminating),
        (vec![], vec![], Readiness::Ready),
    ] {
        let translation = of(plain(), vec![slice("s", "web", ("", 8080), endpoints)]);
        let backend = backend(&translation, "web");
        assert_eq!(addresses(backend), expected);
        assert!(backend.endpoints.iter().all(|endpoint| endpoint.readiness == readiness));
        assert_eq!(translation.diagnostics.is_empty(), !expected.is_empty());
    }
}

#[test]
fn slices_are_merged_and_every_address_counts_once() {
    let translation = of(
        plain(),
        vec![
            slice("c", "web", ("", 8080), vec![ready("2001:db8::1")]),
            slice("b", "web", ("", 8080), vec![ready("10.0.0.2"), ready("10.0.0.10")]),
            slice("a", "web", ("", 8080), vec![terminating("10.0.0.2"), ready("10.0.0.1"), ready("10.0.0.1")]),
            slice("d", "other", ("", 8080), vec![ready("10.0.0.99")]),
            EndpointSlice { service: None, ..slice("e", "web", ("", 8080), vec![ready("10.0.0.98")]) },
        ],
    );
    let expected = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.10:8080", "[2001:db8::1]:8080"];
    assert_eq!(addresses(backend(&translation, "web")), expected);
}

#[test]
fn the_port_of_a_slice_is_found_by_name_else_it_is_the_target() {
    let slice_port = |name: &str, number: Option<u16>, protocol: &str| SlicePort {
        name: name.to_owned(),
        port: number,
        protocol: protocol.to_owned(),
    };
    let named = || port("http", 80, Some(PortRef::Name("web".to_owned())));
    let numbered = |name: &str| port(name, 80, Some(PortRef::Number(8080)));
    for (port, ports, expected) in [
        (named(), vec![slice_port("http", Some(9001), "TCP"), slice_port("x", Some(9002), "TCP")], vec![9001]),
        (named(), vec![slice_port("x", Some(9002), "TCP")], vec![]),
        (numbered("http"), vec![slice_port("x", Some(9002), "TCP")], vec![8080]),
        (numbered("http"), vec![], vec![8080]),
        (numbered("http"), vec![slice_port("http", Some(9001), "UDP")], vec![]),
        (numbered("http"), vec![slice_port("http", None, "TCP")], vec![8080]),
        (numbered(""), vec![slice_port("", Some(9003), "")], vec![9003]),
        (crate::translate::fixture::port("", 80, None), vec![], vec![80]),
    ] {
        let case = format!("{port:?} {ports:?}");
        let slice = EndpointSlice { ports, ..slice("s", "web", ("", 1), vec![ready("10.0.0.1")]) };
        let translation = of(port, vec![slice]);
        let expected: Vec<_> = expected.iter().map(|number| format!("10.0.0.1:{number}")).collect();
        assert_eq!(addresses(backend(&translation, "web")), expected, "{case}");
    }
}

#[test]
fn a_service_without_ready_endpoints_is_told_once() {
    let translation = run([
        to("web"),
        ingress("b").rule("b.test", &["Prefix / web"]).object(),
        Object::Service(service("web", vec![plain()])),
    ]);
    assert_eq!(found(&translation), ["NoEndpoints Service default/web"]);
    assert_eq!(translation.diagnostics[0].severity, Severity::Warning);
}

/// Row 27 of ingress-nginx's semantics; the specification knows numbers and names only.
#[test]
fn the_target_of_one_port_hides_the_number_of_another_except_under_strict() {
    let target = |number| Some(PortRef::Number(number));
    let objects = |ports, named: &str| {
        let endpoints = EndpointSlice { ports: Vec::new(), ..slice("s", "web", ("", 1), vec![ready("10.0.0.1")]) };
        [to(&format!("web:{named}")), Object::Service(service("web", ports)), Object::EndpointSlice(endpoints)]
    };
    for (ports, named, expected, in_strict, is_told) in [
        (vec![port("metrics", 9090, target(80)), port("http", 80, target(8080))], "80", 80, 8080, true),
        (vec![port("http", 80, target(8080)), port("metrics", 9090, target(80))], "80", 8080, 8080, false),
        (vec![port("other", 8080, target(80)), port("http", 80, None)], "80", 80, 80, false),
        (vec![port("http", 80, target(8080))], "8080", 8080, 8080, false),
    ] {
        let translation = run(objects(ports.clone(), named));
        assert_eq!(addresses(backend(&translation, "web")), [format!("10.0.0.1:{expected}")], "{ports:?}");
        let told = ["PortHidden Ingress default/a spec.rules[0].http.paths[0].backend.service.port"];
        assert_eq!(found(&translation), if is_told { &told[..] } else { &[] }, "{ports:?}");
        let translation = run_with(&strict(), objects(ports.clone(), named));
        assert_eq!(addresses(backend(&translation, "web")), [format!("10.0.0.1:{in_strict}")], "{ports:?}");
        assert!(translation.diagnostics.is_empty(), "{ports:?}");
    }
}

#[test]
fn the_port_of_an_external_name_need_not_be_listed_when_it_is_a_number() {
    for (ports, named, expected) in [
        (vec![], "8443", Some("192.0.2.1:8443")),
        (vec![port("http", 80, Some(PortRef::Number(8080)))], "80", Some("192.0.2.1:8080")),
        (vec![port("http", 80, None)], "http", Some("192.0.2.1:80")),
        (vec![port("http", 80, None)], "81", Some("192.0.2.1:81")),
        (vec![port("http", 80, None)], "https", None),
        (vec![], "0", None),
        (vec![], "65536", None),
    ] {
        let service = Service { ports, ..external("web", "192.0.2.1") };
        let translation = run([to(&format!("web:{named}")), Object::Service(service)]);
        assert_eq!(addresses(backend(&translation, "web")), expected.as_slice(), "{named}");
        let codes: Vec<_> = translation.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, if expected.is_some() { vec![] } else { vec!["PortNotFound"] }, "{named}");
    }
}

#[test]
fn an_external_name_is_what_it_resolves_to_and_keeps_it_when_it_fails() {
    let mut index = Index::of([to("web"), Object::Service(external("web", "Db.example."))]);
    let run = |index: &Index| translate(index, &options(), &super::empty());
    let translation = run(&index);
    assert!(backend(&translation, "web").endpoints.is_empty());
    assert!(translation.diagnostics.is_empty(), "it has not been asked for yet");
    index.set_resolved("db.example", Err("no such host".to_owned()));
    let failed = run(&index);
    assert_eq!(found(&failed), ["NameNotResolved Service default/web"]);
    assert!(failed.diagnostics[0].message.contains("no such host"));
    index.set_resolved("db.example", Ok(vec!["192.0.2.2".parse().unwrap(), "192.0.2.1".parse().unwrap()]));
    let resolved = run(&index);
    assert_eq!(addresses(backend(&resolved, "web")), ["192.0.2.1:80", "192.0.2.2:80"]);
    assert!(resolved.diagnostics.is_empty());
    index.set_resolved("db.example", Err("refused".to_owned()));
    let kept = run(&index);
    assert_eq!(addresses(backend(&kept, "web")).len(), 2);
    assert_eq!(found(&kept), ["NameNotResolved Service default/web"]);
}

#[test]
fn external_names_can_be_switched_off() {
    let off = Options { disable_svc_external_name: true, ..options() };
    let translation = run_with(&off, [to("web"), Object::Service(external("web", "192.0.2.1"))]);
    assert!(backend(&translation, "web").endpoints.is_empty());
    assert_eq!(found(&translation), ["NoEndpoints Service default/web"]);
    assert_eq!(translation.diagnostics[0].severity, Severity::Error);
}

#[test]
fn addresses_of_the_proxy_itself_and_of_its_credentials_are_refused_in_a_cluster() {
    let cluster = Options { allow_loopback: false, ..options() };
    for (address, in_directory, in_cluster) in [
        ("127.0.0.1", true, false),
        ("::1", true, false),
        ("::ffff:127.0.0.1", true, false),
        ("169.254.169.254", true, false),
        ("fe80::1", true, false),
        ("0.0.0.0", false, false),
        ("::", false, false),
        ("224.0.0.1", false, false),
        ("ff02::1", false, false),
        ("fd00:ec2::254", true, false),
        ("fd20:ce::254", true, false),
        ("fd00:c1::a9fe:a9fe", true, false),
        ("100.100.100.200", true, false),
        ("64:ff9b::100.100.100.200", true, false),
        ("64:ff9b::169.254.169.254", true, false),
        ("64:ff9b::127.0.0.1", true, false),
        ("64:ff9b::10.0.0.1", true, true),
        ("168.63.129.16", true, false),
        ("::ffff:168.63.129.16", true, false),
        ("64:ff9b::168.63.129.16", true, false),
        ("fd00:ec2::23", true, false),
        // The four places that an IPv4 address has under a prefix of one's own.
        ("64:ff9b:1::169.254.169.254", true, false),
        ("64:ff9b:1:a9fe:a9:fe00::", true, false),
        ("64:ff9b:1:aaa9:fe:a9fe::", true, false),
        ("64:ff9b:1:aaaa:a9:fea9:fe00:0", true, false),
        ("64:ff9b:1::10.0.0.1", true, true),
        ("64:ff9b:1:a00:0:100::", true, true),
        ("fd00:ec2::253", true, true),
        ("100.100.100.201", true, true),
        ("10.0.0.1", true, true),
        ("2001:db8::1", true, true),
    ] {
        for (options, expected) in [(options(), in_directory), (cluster.clone(), in_cluster)] {
            let translation = run_with(&options, [to("web"), Object::Service(external("web", address))]);
            let found = !backend(&translation, "web").endpoints.is_empty();
            assert_eq!(found, expected, "{address}");
            let codes: Vec<_> = translation.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
            assert_eq!(codes, if expected { vec![] } else { vec!["AddressRefused"] }, "{address}");
        }
    }
    let mixed = slice("s", "web", ("", 8080), vec![ready("10.0.0.1"), ready("127.0.0.1")]);
    let objects = [to("web"), Object::Service(service("web", vec![plain()])), Object::EndpointSlice(mixed)];
    let translation = run_with(&cluster, objects);
    assert_eq!(addresses(backend(&translation, "web")), ["10.0.0.1:8080"], "the others still serve");
    assert_eq!(found(&translation), ["AddressRefused Service default/web"]);
}
