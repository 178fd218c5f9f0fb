//! Session affinity, and Services that stand for their endpoints.

use std::sync::Arc;

use edgeward_routing::affinity::{AffinityMode, identity};

use super::super::refresh_endpoints;
use super::{addresses, backend, empty, found, options, route, run};
use crate::change::Change;
use crate::index::Index;
use crate::object::{Ingress, Object};
use crate::translate::fixture::{config_map, ingress, name, ready, slice, web};
use crate::translate::{Options, Translation, translate};

fn path(name: &str, age: i64, target: &str) -> Ingress {
    ingress(name).created(age).rule(&format!("{name}.test"), &[&format!("Prefix / {target}")])
}

fn sets_session(translation: &Translation, host: &str) -> bool {
    route(translation, host, "Prefix /").policies.sets_session
}

#[test]
fn one_ingress_that_asks_gives_the_backend_sessions_and_its_own_routes_the_cookie() {
    // Recorded: c272.
    let objects = [
        path("a", 1, "web").annotated("affinity", "cookie").annotated("session-cookie-name", "one").object(),
        path("b", 2, "web")
            .annotated("affinity", "cookie")
            .annotated("affinity-mode", "persistent")
            .annotated("session-cookie-name", "two")
            .annotated("session-cookie-path", "/two")
            .object(),
        path("c", 3, "web").annotated("session-cookie-name", "three").object(),
    ];
    let translation = run(objects.into_iter().chain(web("web", "10.0.0.1")));
    let affinity = backend(&translation, "web").affinity.clone().unwrap();
    assert_eq!((&*affinity.cookie.name, affinity.cookie.path.as_deref()), ("two", Some("/two")), "the last cookie");
    assert_eq!(affinity.mode, AffinityMode::Persistent, "the first mode");
    assert_eq!(affinity.identity, identity("default-web-80"));
    let sets = ["a.test", "b.test", "c.test"].map(|host| sets_session(&translation, host));
    assert_eq!(sets, [true, true, false]);
    assert_eq!(found(&translation), ["BackendSettingIgnored Ingress default/a metadata.annotations"]);
    assert!(translation.diagnostics[0].message.contains("Ingress default/b, which comes last"));
}

#[test]
fn the_rest_of_a_host_gives_no_cookie() {
    let one = ingress("a").rule("a.test", &["Prefix /x web"]).default_backend("web").annotated("affinity", "cookie");
    let all = ingress("all").default_backend("web").annotated("affinity", "cookie");
    let translation = run([one.object(), all.object()].into_iter().chain(web("web", "10.0.0.1")));
    assert!(!sets_session(&translation, "a.test") && !sets_session(&translation, ""));
    assert!(route(&translation, "a.test", "Prefix /x").policies.sets_session);
}

#[test]
fn a_canary_keeps_the_clients_of_its_main_backend_unless_it_is_told_not_to() {
    for (behavior, keeps) in [("sticky", true), ("legacy", false), ("nonsense", true)] {
        let canary = ingress("canary").rule("a.test", &["Prefix / new"]).annotated("canary", "true");
        let canary = canary.annotated("affinity-canary-behavior", behavior).annotated("session-cookie-name", "own");
        let objects = [path("a", 1, "web").annotated("affinity", "cookie").object(), canary.object()];
        let translation = run(objects.into_iter().chain(web("web", "10.0.0.1")).chain(web("new", "10.0.0.2")));
        let affinity = backend(&translation, "new").affinity.clone();
        assert_eq!(affinity.is_some(), keeps, "{behavior}");
        if let Some(affinity) = affinity {
            assert_eq!(&*affinity.cookie.name, "INGRESSCOOKIE");
            assert_eq!(affinity.identity, identity("default-new-80"));
        }
    }
    let canary = ingress("canary").rule("a.test", &["Prefix / new"]).annotated("canary", "true");
    let objects = [path("a", 1, "web").object(), canary.annotated("affinity", "cookie").object()];
    let translation = run(objects.into_iter().chain(web("web", "10.0.0.1")).chain(web("new", "10.0.0.2")));
    assert_eq!(backend(&translation, "new").affinity, None, "it has none of its own");
}

#[test]
fn a_session_change_leaves_endpoints_their_state() {
    let asking =
        |name: &str| path("a", 1, "web").annotated("affinity", "cookie").annotated("session-cookie-name", name);
    let mut index = Index::of(web("web", "10.0.0.1").into_iter().chain([asking("one").object()]));
    let first = translate(&index, &options(), &empty());
    index.apply(Change::Apply(Box::new(asking("two").object())));
    let second = translate(&index, &options(), &first.snapshot);
    assert!(Arc::ptr_eq(&first.snapshot.routes, &second.snapshot.routes));
    let (old, new) = (backend(&first, "web"), backend(&second, "web"));
    assert!(!Arc::ptr_eq(old, new) && Arc::ptr_eq(&old.endpoints[0].state, &new.endpoints[0].state));
}

/// A Service with an address of its own.
fn with_address(name: &str, address: Option<&str>) -> [Object; 2] {
    let [service, endpoints] = web(name, "10.0.0.1");
    let Object::Service(mut service) = service else { panic!("{service:?}") };
    service.cluster_ip = address.map(|address| address.parse().unwrap());
    service.ports[0].name = "http".to_owned();
    [Object::Service(service), endpoints]
}

#[test]
fn a_service_stands_for_its_endpoints_where_that_is_asked_for() {
    for (target, address, expected) in [
        ("web", Some("10.96.0.7"), "10.96.0.7:80"),
        ("web:http", Some("10.96.0.7"), "10.96.0.7:80"),
        ("web:99", Some("10.96.0.7"), "10.96.0.7:99"),
        ("web", Some("fd00::7"), "[fd00::7]:80"),
        // A headless Service has none.
        ("web", None, "10.0.0.1:8080"),
    ] {
        let one = path("a", 1, target).annotated("service-upstream", "true");
        let translation = run(with_address("web", address).into_iter().chain([one.object()]));
        assert_eq!(addresses(backend(&translation, "web")), [expected], "{target} {address:?}");
    }
    let refused = path("a", 1, "web").annotated("service-upstream", "true");
    let translation = run(with_address("web", Some("224.0.0.1")).into_iter().chain([refused.object()]));
    assert!(backend(&translation, "web").endpoints.is_empty());
    assert_eq!(found(&translation), ["AddressRefused Service default/web"]);
}

#[test]
fn the_configmap_asks_for_all_and_an_annotation_against_it() {
    let options = Options { configmap: Some(name("options")), ..options() };
    for (annotation, expected) in [(None, "10.96.0.7:80"), (Some("false"), "10.0.0.1:8080")] {
        let mut one = path("a", 1, "web");
        if let Some(value) = annotation {
            one = one.annotated("service-upstream", value);
        }
        let mut objects = vec![one.object(), config_map("options", &[("service-upstream", "true")])];
        objects.extend(with_address("web", Some("10.96.0.7")));
        let translation = translate(&Index::of(objects), &options, &empty());
        assert_eq!(addresses(backend(&translation, "web")), [expected], "{annotation:?}");
    }
}

#[test]
fn endpoints_that_a_service_stands_for_do_not_count() {
    let one = path("a", 1, "web").annotated("service-upstream", "true");
    let mut index = Index::of(with_address("web", Some("10.96.0.7")).into_iter().chain([one.object()]));
    let first = translate(&index, &options(), &empty());
    let moved = Object::EndpointSlice(slice("web-1", "web", ("http", 8080), vec![ready("10.0.0.9")]));
    let dirty = index.apply(Change::Apply(Box::new(moved)));
    let second = refresh_endpoints(&index, &options(), &first.snapshot, &dirty.endpoints);
    assert!(Arc::ptr_eq(&first.snapshot.backends, &second.snapshot.backends));
    assert_eq!(found(&second), [""; 0]);
}
