//! Canaries: alternatives of backends, and nothing else.

use std::sync::Arc;

use edgeward_routing::backend::{Backend, LoadBalance};

use super::super::{Options, refresh_endpoints};
use super::{addresses, backend, empty, found, options, routes, run, run_with};
use crate::change::Change;
use crate::index::Index;
use crate::object::{Ingress, Object};
use crate::translate::fixture::{ingress, name, ready, secret_for, slice, web};
use crate::translate::{Translation, translate};

fn main_of(host: &str, paths: &[&str]) -> Ingress {
    ingress("main").created(2).rule(host, paths)
}

fn canary(number: i64) -> Ingress {
    ingress(&format!("canary{number}")).created(number).annotated("canary", "true").annotated("canary-weight", "30")
}

fn services(names: &[&str]) -> Vec<Object> {
    (1..).zip(names).flat_map(|(last, name)| web(name, &format!("10.0.0.{last}"))).collect()
}

/// The alternative of a backend, and its weight.
fn alternative(translation: &Translation, service: &str) -> Option<(String, u64)> {
    let canary = backend(translation, service).canary.as_ref()?;
    let backend = translation.snapshot.backends.by_id(canary.backend).unwrap();
    Some((backend.key.service.to_string(), canary.rule.weight.parts().0))
}

fn to(service: &str) -> Option<(String, u64)> {
    Some((service.to_owned(), 30))
}

#[test]
fn a_canary_adds_an_alternative_and_no_route_whatever_its_age() {
    for age in [1, 3] {
        let one = canary(age).rule("a.test", &["Prefix / new"]).tls(&["a.test"], "t").annotated("load-balance", "ewma");
        let mut objects =
            vec![main_of("a.test", &["Prefix / web"]).object(), one.object(), secret_for("t", &["a.test"])];
        objects.extend(services(&["web", "new"]));
        let translation = run(objects);
        assert_eq!(routes(&translation), ["a.test Prefix / -> web:80"]);
        assert_eq!(found(&translation), [""; 0]);
        assert_eq!(alternative(&translation, "web"), to("new"));
        assert_eq!(backend(&translation, "new").load_balance, LoadBalance::PeakEwma, "its own");
        assert_eq!(backend(&translation, "web").load_balance, LoadBalance::RoundRobin);
        let snapshot = &translation.snapshot;
        assert!(!snapshot.routes.hosts().any(|host| host.has_certificate) && snapshot.certificates.by_host.is_empty());
        assert_eq!(translation.owned.len(), 2, "its status is written too");
    }
}

#[test]
fn a_canary_without_its_main_route_takes_nothing() {
    // Recorded: c248 to c250.
    for (host, path) in [
        ("b.test", "Prefix /foo"),
        ("a.test", "Prefix /bar"),
        ("a.test", "Exact /foo"),
        ("a.test", "Prefix /foo/"),
        ("a.test", "Prefix /"),
        ("", "Prefix /foo"),
    ] {
        let mut objects = vec![main_of("a.test", &["Prefix /foo web"]).object()];
        objects.push(canary(3).rule(host, &[&format!("{path} new")]).object());
        objects.extend(services(&["web", "new"]));
        let translation = run(objects);
        assert_eq!(routes(&translation), ["a.test Prefix / -> default rest", "a.test Prefix /foo -> web:80"]);
        assert_eq!(alternative(&translation, "web"), None, "{host} {path}");
        assert!(translation.snapshot.backends.all().iter().all(|backend| *backend.key.service != *"new"));
        assert_eq!(found(&translation), ["CanaryIgnored Ingress default/canary3 spec.rules[0].http.paths[0]"]);
    }
}

#[test]
fn a_path_that_has_no_main_route_takes_nothing_from_one_that_has() {
    let mut objects = vec![main_of("a.test", &["Prefix /foo web"]).object()];
    objects.push(canary(3).rule("a.test", &["Prefix /bar new", "Prefix /foo new"]).object());
    objects.extend(services(&["web", "new"]));
    let translation = run(objects);
    assert_eq!(alternative(&translation, "web"), to("new"));
    assert_eq!(found(&translation), ["CanaryIgnored Ingress default/canary3 spec.rules[0].http.paths[0]"]);
}

#[test]
fn a_canary_takes_nothing_from_another_namespace() {
    let theirs = || ingress("theirs/canary").created(1).annotated("canary", "true").annotated("canary-weight", "100");
    for canary in [theirs().rule("a.test", &["Prefix / new"]), theirs().default_backend("new")] {
        let mut objects = vec![main_of("a.test", &["Prefix / web"]).object(), canary.object()];
        objects.push(ingress("all").created(2).default_backend("rest").object());
        objects.extend(services(&["web", "theirs/new", "rest"]));
        let translation = run(objects);
        assert_eq!((alternative(&translation, "web"), alternative(&translation, "rest")), (None, None));
        assert!(translation.snapshot.backends.all().iter().all(|backend| *backend.key.service != *"new"));
        let [diagnostic] = &translation.diagnostics[..] else { panic!("{:?}", translation.diagnostics) };
        assert_eq!(diagnostic.code, "CanaryIgnored");
        assert!(diagnostic.message.contains("another namespace"), "{}", diagnostic.message);
    }
}

#[test]
fn types_that_mean_prefix_are_the_same() {
    let mut objects = vec![main_of("a.test", &["ImplementationSpecific /foo web"]).object()];
    objects.push(canary(3).rule("a.test", &["Prefix /foo new"]).object());
    objects.extend(services(&["web", "new"]));
    assert_eq!(alternative(&run(objects), "web"), to("new"));
}

#[test]
fn the_first_of_two_canaries_counts() {
    // Recorded: c251.
    let mut objects = vec![main_of("a.test", &["Prefix / web"]).object()];
    objects.push(canary(4).rule("a.test", &["Prefix / newer"]).object());
    objects.push(canary(3).rule("a.test", &["Prefix / new"]).object());
    objects.extend(services(&["web", "new", "newer"]));
    let translation = run(objects);
    assert_eq!(alternative(&translation, "web"), to("new"));
    assert_eq!(found(&translation), ["CanaryIgnored Ingress default/canary4 spec.rules[0].http.paths[0]"]);
    assert!(translation.diagnostics[0].message.contains("an older canary"));
}

#[test]
fn a_canary_belongs_to_the_backend_and_so_to_all_its_routes() {
    let mut objects = vec![main_of("a.test", &["Prefix / web"]).object()];
    objects.push(ingress("other").rule("b.test", &["Prefix /x web"]).object());
    objects.push(canary(3).rule("a.test", &["Prefix / new"]).object());
    objects.extend(services(&["web", "new"]));
    assert_eq!(alternative(&run(objects), "web"), to("new"));
}

#[test]
fn the_main_service_port_is_no_canary_of_itself() {
    let mut objects = vec![main_of("a.test", &["Prefix / web"]).object()];
    objects.push(canary(3).rule("a.test", &["Prefix / web"]).object());
    objects.extend(services(&["web"]));
    let translation = run(objects);
    assert_eq!(alternative(&translation, "web"), None);
    assert!(translation.diagnostics[0].message.contains("it would be an alternative to"));
}

#[test]
fn a_main_backend_elsewhere_takes_no_share_and_keeps_its_own() {
    // To the original the first Ingress says what a Service port takes, and this one is no canary.
    let mut objects = vec![main_of("a.test", &["Prefix / web"]).object()];
    objects.push(ingress("before").created(1).rule("b.test", &["Prefix / new"]).object());
    objects.push(canary(3).rule("a.test", &["Prefix / new"]).object());
    objects.extend(services(&["web", "new"]));
    let translation = run(objects);
    assert_eq!(alternative(&translation, "web"), Some(("new".to_owned(), 0)));
    assert_eq!(routes(&translation), ["a.test Prefix / -> web:80", "b.test Prefix / -> new:80"]);
}

#[test]
fn a_service_that_an_older_canary_names_still_serves_as_a_main_one() {
    let mut objects = vec![main_of("b.test", &["Prefix / new"]).object()];
    objects.push(canary(1).rule("a.test", &["Prefix / new"]).object());
    objects.extend(services(&["new"]));
    let translation = run(objects);
    assert_eq!(routes(&translation), ["b.test Prefix / -> new:80"]);
    assert_eq!(found(&translation), ["CanaryIgnored Ingress default/canary1 spec.rules[0].http.paths[0]"]);
}

#[test]
fn a_default_backend_can_have_a_canary() {
    let catch_all = || ingress("all").created(1).default_backend("web").object();
    let mut objects = vec![catch_all(), canary(3).default_backend("new").object()];
    objects.extend(services(&["web", "new"]));
    assert_eq!(alternative(&run(objects.clone()), "web"), to("new"));
    let options = Options { disable_catch_all: true, ..options() };
    assert!(run_with(&options, objects).snapshot.backends.all().is_empty());
    // The rest of a host is its `/`.
    let mut objects = vec![main_of("a.test", &["Prefix /foo api"]).default_backend("web").object()];
    objects.push(canary(3).rule("a.test", &["Prefix / new"]).object());
    objects.extend(services(&["web", "new", "api"]));
    let translation = run(objects);
    assert_eq!((alternative(&translation, "web"), alternative(&translation, "api")), (to("new"), None));
}

#[test]
fn the_default_backend_of_the_options_has_none() {
    let options = Options { default_backend_service: Some(name("web")), ..options() };
    let mut objects = vec![canary(3).rule("a.test", &["Prefix / new"]).object()];
    objects.push(ingress("main").rule("a.test", &["Prefix /foo api"]).object());
    objects.extend(services(&["web", "new", "api"]));
    let translation = run_with(&options, objects);
    assert_eq!(alternative(&translation, "web"), None);
    assert_eq!(found(&translation), ["CanaryIgnored Ingress default/canary3 spec.rules[0].http.paths[0]"]);
}

#[test]
fn what_a_canary_names_in_vain_is_told_as_what_it_is() {
    let mut objects = vec![main_of("a.test", &["Prefix / web"]).object()];
    objects.push(canary(3).rule("a.test", &["Prefix / gone"]).object());
    objects.extend(services(&["web"]));
    let translation = run(objects);
    let [diagnostic] = &translation.diagnostics[..] else { panic!("{:?}", translation.diagnostics) };
    assert_eq!(diagnostic.message, "there is no Service `default/gone`: no request goes there");
    assert!(backend(&translation, "gone").endpoints.is_empty());
}

#[test]
fn endpoints_and_weights_of_a_canary_change_without_a_route() {
    let mut index = Index::of(
        [main_of("a.test", &["Prefix / web"]).object(), canary(3).rule("a.test", &["Prefix / new"]).object()]
            .into_iter()
            .chain(services(&["web", "new"])),
    );
    let first = translate(&index, &options(), &empty());
    let moved = Object::EndpointSlice(slice("new-1", "new", ("", 8080), vec![ready("10.0.0.9")]));
    let dirty = index.apply(Change::Apply(Box::new(moved)));
    let second = refresh_endpoints(&index, &options(), &first.snapshot, &dirty.endpoints);
    assert!(Arc::ptr_eq(&first.snapshot.routes, &second.snapshot.routes));
    assert!(Arc::ptr_eq(backend(&first, "web"), backend(&second, "web")));
    let of_canary = |translation: &Translation| -> Arc<Backend> {
        let canary = backend(translation, "web").canary.clone().unwrap();
        Arc::clone(translation.snapshot.backends.by_id(canary.backend).unwrap())
    };
    assert_eq!(addresses(&of_canary(&second)), ["10.0.0.9:8080"]);
    let heavier = canary(3).rule("a.test", &["Prefix / new"]).annotated("canary-weight", "60").object();
    index.apply(Change::Apply(Box::new(heavier)));
    let third = translate(&index, &options(), &second.snapshot);
    assert!(Arc::ptr_eq(&first.snapshot.routes, &third.snapshot.routes));
    assert!(Arc::ptr_eq(&of_canary(&second), &of_canary(&third)));
    assert_eq!(alternative(&third, "web"), Some(("new".to_owned(), 60)));
    // Backends that come before it in the list leave it its number.
    for object in services(&["aaa"]).into_iter().chain([ingress("aaa").rule("c.test", &["Prefix / aaa"]).object()]) {
        index.apply(Change::Apply(Box::new(object)));
    }
    let fourth = translate(&index, &options(), &third.snapshot);
    assert!(Arc::ptr_eq(backend(&third, "web"), backend(&fourth, "web")));
    assert_eq!(alternative(&fourth, "web"), Some(("new".to_owned(), 60)));
}
