//! Backends, and what they are asked for.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use edgeward_routing::backend::{LoadBalance, Probe};

use super::super::Options;
use super::{addresses, backend, found, options, routes, run, run_with};
use crate::object::{Ingress, Object, PortRef, Service};
use crate::translate::fixture::{ingress, name, port, ready, service, slice, web};

fn path(name: &str, target: &str) -> Ingress {
    ingress(name).rule(&format!("{name}.test"), &[&format!("Prefix / {target}")])
}

fn annotated(mut service: Service, key: &str, value: &str) -> Object {
    service.meta.annotations.insert(format!("edgeward.dev/{key}"), value.to_owned());
    Object::Service(service)
}

#[test]
fn a_missing_service_or_port_keeps_its_route_and_answers_503() {
    let ports = || vec![port("http", 80, None), port("", 9090, None), port("dns", 53, None)];
    for (target, services, code, field, mend) in [
        ("web", vec![], "ServiceNotFound", ".name", "create it"),
        ("web:81", ports(), "PortNotFound", ".port.number", "it has 80 (`http`), 9090, 53 (`dns`) over UDP"),
        ("web:https", ports(), "PortNotFound", ".port.name", "it has 80 (`http`)"),
        ("web:53", ports(), "PortNotFound", ".port.number", "over UDP"),
        ("web:", ports(), "PortNotFound", ".port.name", "it has"),
    ] {
        let mut objects = vec![path("a", target).object(), path("good", "other").object()];
        objects.extend(web("other", "10.0.0.9"));
        if !services.is_empty() {
            let mut service = service("web", services);
            service.ports[2].protocol = "UDP".to_owned();
            objects.push(Object::Service(service));
        }
        let translation = run(objects);
        assert_eq!(routes(&translation).len(), 2, "{target}");
        assert!(backend(&translation, "web").endpoints.is_empty(), "{target}");
        assert_eq!(addresses(backend(&translation, "other")), ["10.0.0.9:8080"], "{target}: the other still serves");
        let [diagnostic] = &translation.diagnostics[..] else { panic!("{target}: {:?}", translation.diagnostics) };
        assert_eq!(diagnostic.code, code, "{target}");
        let expected = format!("spec.rules[0].http.paths[0].backend.service{field}");
        assert_eq!(diagnostic.origin.as_ref().unwrap().field, expected, "{target}");
        assert!(diagnostic.mend.contains(mend), "{target}: {}", diagnostic.mend);
    }
}

#[test]
fn a_service_without_ports_says_so() {
    let mut nameless = path("a", "web");
    let paths = nameless.rules[0].paths.as_mut().unwrap();
    paths[0].backend = crate::object::IngressBackend::Service { name: "web".to_owned(), port: PortRef::Missing };
    let translation = run([nameless.object(), Object::Service(service("web", Vec::new()))]);
    assert_eq!(
        found(&translation),
        ["PortNotFound Ingress default/a spec.rules[0].http.paths[0].backend.service.port"]
    );
    assert_eq!(translation.diagnostics[0].mend, "the Service has no ports: add one");
}

#[test]
fn a_port_is_the_first_whose_number_name_or_target_fits() {
    let ports = vec![
        port("http", 80, Some(PortRef::Number(8080))),
        port("metrics", 9090, Some(PortRef::Name("m".to_owned()))),
        port("8080", 81, Some(PortRef::Number(1))),
    ];
    let slices = [("http", 8080), ("metrics", 9100), ("8080", 1)]
        .map(|port| Object::EndpointSlice(slice(port.0, "web", port, vec![ready("10.0.0.1")])));
    for (named, expected) in
        [("80", 8080), ("http", 8080), ("8080", 8080), ("9090", 9100), ("metrics", 9100), ("m", 9100), ("81", 1)]
    {
        let mut objects = vec![path("a", &format!("web:{named}")).object()];
        objects.push(Object::Service(service("web", ports.clone())));
        objects.extend(slices.clone());
        let translation = run(objects);
        assert_eq!(addresses(backend(&translation, "web")), [format!("10.0.0.1:{expected}")], "{named}");
        let codes: Vec<_> = translation.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, if named == "8080" { vec!["PortHidden"] } else { vec![] }, "{named}");
    }
}

#[test]
fn a_port_is_one_backend_however_its_number_is_written() {
    let mut text = path("a", "web");
    let paths = text.rules[0].paths.as_mut().unwrap();
    let named = |port: &str| crate::object::IngressBackend::Service {
        name: "web".to_owned(),
        port: PortRef::Name(port.to_owned()),
    };
    paths[0].backend = named("80");
    let mut odd = path("c", "web");
    odd.rules[0].paths.as_mut().unwrap()[0].backend = named("080");
    let mut objects = vec![text.object(), path("b", "web").object(), odd.object()];
    objects.extend(web("web", "10.0.0.1"));
    let translation = run(objects);
    let keys: Vec<_> = translation.snapshot.backends.all().iter().map(|backend| backend.key.to_string()).collect();
    assert_eq!(keys, ["default-web-080", "default-web-80"]);
    assert_eq!(translation.diagnostics[0].code, "PortNotFound", "`080` is a name, and no port has it");
}

#[test]
fn the_first_ingress_decides_what_a_backend_is_asked_for() {
    let mut objects = vec![
        path("first", "web")
            .created(1)
            .annotated("load-balance", "ewma")
            .annotated("edgeward.dev/slow-start", "5s")
            .object(),
        path("same", "web")
            .created(2)
            .annotated("load-balance", "ewma")
            .annotated("edgeward.dev/slow-start", "5s")
            .object(),
        path("silent", "web").created(3).object(),
        path("differs", "web").created(4).annotated("upstream-hash-by", "$host").object(),
        path("elsewhere", "other").created(5).annotated("upstream-hash-by", "$host").object(),
    ];
    objects.extend(web("web", "10.0.0.1").into_iter().chain(web("other", "10.0.0.2")));
    let translation = run(objects);
    assert_eq!(backend(&translation, "web").load_balance, LoadBalance::PeakEwma);
    assert_eq!(backend(&translation, "web").slow_start, Duration::from_secs(5));
    assert!(matches!(backend(&translation, "other").load_balance, LoadBalance::ConsistentHash(_)));
    assert_eq!(found(&translation), ["BackendSettingIgnored Ingress default/differs metadata.annotations"]);
    assert!(translation.diagnostics[0].message.contains("Ingress default/first names the same port"));
}

#[test]
fn a_probe_that_endpoints_cannot_understand_is_told() {
    for (protocol, (key, value), told) in [
        ("HTTP", ("health-check", "http"), false),
        ("HTTPS", ("health-check", "http"), true),
        ("AUTO_HTTP", ("health-check", "http"), true),
        ("GRPC", ("health-check", "http"), true),
        ("GRPCS", ("health-check", "tcp"), false),
        ("HTTPS", ("health-check-port", "9090"), false),
    ] {
        let one = path("a", "web")
            .annotated("backend-protocol", protocol)
            .annotated("edgeward.dev/health-check", "http")
            .annotated(&format!("edgeward.dev/{key}"), value);
        let translation = run([one.object()].into_iter().chain(web("web", "10.0.0.1")));
        let line = "HealthCheckProtocol Ingress default/a metadata.annotations".to_owned();
        assert_eq!(found(&translation), Vec::from_iter(told.then_some(line)), "{protocol} {key}");
    }
}

#[test]
fn the_service_wins_over_the_ingress() {
    let [service, endpoints] = web("web", "10.0.0.1");
    let Object::Service(service) = service else { panic!("{service:?}") };
    let asking = || {
        path("a", "web")
            .annotated("upstream-hash-by", "$host")
            .annotated("edgeward.dev/health-check", "http")
            .annotated("edgeward.dev/health-check-path", "/up")
            .object()
    };
    let plain = run([asking(), Object::Service(service.clone()), endpoints.clone()]);
    let check = backend(&plain, "web").health_check.clone().unwrap();
    assert_eq!(check.probe, Probe::Http { path: "/up".to_owned(), host: None, expected: (200, 399) });
    let balanced = annotated(service.clone(), "load-balance", "least-request");
    let translation = run([asking(), balanced, endpoints.clone()]);
    assert_eq!(backend(&translation, "web").load_balance, LoadBalance::LeastRequest);
    let off = run([asking(), annotated(service.clone(), "health-check", "off"), endpoints.clone()]);
    assert_eq!(backend(&off, "web").health_check, None);
    let wrong = run([asking(), annotated(service, "load-balance", "best"), endpoints]);
    assert_eq!(
        found(&wrong),
        ["AnnotationInvalid Service default/web metadata.annotations[edgeward.dev/load-balance]"]
    );
}

#[test]
fn a_health_check_that_cannot_be_asked_is_told_and_not_asked() {
    for (key, value) in [("path", "up"), ("path", "/a b"), ("host", "a b"), ("port", "0")] {
        let key = format!("edgeward.dev/health-check-{key}");
        let one = path("a", "web").annotated("edgeward.dev/health-check", "http").annotated(&key, value);
        let translation = run(web("web", "10.0.0.1").into_iter().chain([one.object()]));
        assert_eq!(backend(&translation, "web").health_check, None, "{key}: {value}");
        assert_eq!(translation.diagnostics[0].code, "AnnotationInvalid");
    }
}

#[test]
fn the_default_backend_is_the_first_port_of_its_service() {
    let options = Options { default_backend_service: Some(name("ops/errors")), ..options() };
    let run = |objects: Vec<Object>| {
        let translation = run_with(&options, objects);
        let id = translation.snapshot.default_backend;
        let key = id.map(|id| translation.snapshot.backends.by_id(id).unwrap().key.to_string());
        (key, translation)
    };
    let ports = vec![port("a", 8081, None), port("b", 8082, None)];
    let endpoints = Object::EndpointSlice(slice("ops/errors-1", "errors", ("a", 8081), vec![ready("10.0.0.1")]));
    let service_of = |ports| Object::Service(service("ops/errors", ports));
    let (key, translation) = run(vec![service_of(ports), endpoints]);
    assert_eq!(key.as_deref(), Some("ops-errors-8081"));
    assert_eq!(addresses(&translation.snapshot.backends.all()[0]), ["10.0.0.1:8081"]);
    assert!(translation.diagnostics.is_empty());
    let (key, translation) = run(Vec::new());
    assert_eq!(key, None);
    assert_eq!(found(&translation), ["ServiceNotFound Service ops/errors"]);
    let (key, translation) = run(vec![service_of(Vec::new())]);
    assert_eq!(key, None);
    assert_eq!(found(&translation), ["PortNotFound Service ops/errors"]);
}

#[test]
fn round_robin_starts_anywhere() {
    let names: Vec<String> = (0..32).map(|number| format!("s{number}")).collect();
    let objects = names.iter().flat_map(|name| web(name, "10.0.0.1").into_iter().chain([path(name, name).object()]));
    let translation = run(objects);
    let starts: BTreeSet<usize> =
        translation.snapshot.backends.all().iter().map(|backend| backend.cursor.load(Ordering::Relaxed)).collect();
    assert!(starts.len() > 1, "{starts:?}");
}
