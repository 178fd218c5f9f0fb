//! What a snapshot shares with the one before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use edgeward_routing::Snapshot;
use edgeward_routing::path::TrailingSlash;
use edgeward_routing::render::render;
use edgeward_routing::table::{HostRoutes, RouteMatch};

use super::super::{Current, Options, refresh_endpoints, refresh_ingresses};
use super::{addresses, backend, empty, found, options, route, routes, run, strict};
use crate::change::Change;
use crate::index::Index;
use crate::object::{Ingress, Object};
use crate::translate::fixture::{ingress, name, ready, secret_for, slice, web};
use crate::translate::{Translation, is_same, translate};

fn apply(index: &mut Index, object: impl Into<Object>) {
    index.apply(Change::Apply(Box::new(object.into())));
}

/// Three hosts with two Services, and what was made of them.
fn site() -> (Index, Translation) {
    let mut objects: Vec<Object> = ["a", "b", "c"]
        .map(|name| ingress(name).rule(&format!("{name}.test"), &["Prefix / web", "Prefix /api api"]).object())
        .into();
    objects.push(ingress("tls").rule("t.test", &["Prefix / web"]).tls(&["t.test"], "t").object());
    objects.push(secret_for("t", &["t.test"]));
    objects.extend(web("web", "10.0.0.1").into_iter().chain(web("api", "10.0.0.2")));
    let index = Index::of(objects);
    let translation = translate(&index, &options(), &empty());
    assert!(translation.diagnostics.is_empty(), "{:?}", translation.diagnostics);
    (index, translation)
}

fn host<'t>(translation: &'t Translation, host: &str) -> &'t Arc<HostRoutes> {
    translation.snapshot.routes.of_pattern(&host.parse().unwrap()).unwrap()
}

#[test]
fn the_same_objects_give_the_same_parts() {
    let (index, first) = site();
    assert_eq!(first.snapshot.generation, 1);
    let second = translate(&index, &options(), &first.snapshot);
    assert!(is_same(&first.snapshot, &second.snapshot));
    assert_eq!(second.snapshot.generation, 2);
    assert!(!is_same(&empty(), &first.snapshot));
}

#[test]
fn an_edit_leaves_every_other_host_and_route_as_it_is() {
    let (mut index, first) = site();
    apply(&mut index, ingress("b").rule("b.test", &["Prefix / web", "Prefix /api web", "Prefix /new web"]).object());
    let second = translate(&index, &options(), &first.snapshot);
    for name in ["a.test", "c.test", "t.test"] {
        assert!(Arc::ptr_eq(host(&first, name), host(&second, name)), "{name}");
    }
    assert!(!Arc::ptr_eq(host(&first, "b.test"), host(&second, "b.test")));
    assert!(Arc::ptr_eq(route(&first, "b.test", "Prefix /"), route(&second, "b.test", "Prefix /")));
    assert!(!Arc::ptr_eq(route(&first, "b.test", "Prefix /api"), route(&second, "b.test", "Prefix /api")));
    assert!(Arc::ptr_eq(&first.snapshot.backends, &second.snapshot.backends));
    assert!(Arc::ptr_eq(&first.snapshot.certificates, &second.snapshot.certificates));
    assert!(Arc::ptr_eq(&first.snapshot.settings, &second.snapshot.settings));
}

#[test]
fn routes_with_equal_policies_share_them_and_no_ingress_counts_for_another() {
    let asking = |name: &str, annotation: &str, value: &str| {
        ingress(name)
            .annotated(annotation, value)
            .rule(&format!("{name}.test"), &["Prefix / web", "Prefix /x web"])
            .object()
    };
    let mut objects: Vec<Object> = vec![
        asking("a", "proxy-read-timeout", "5"),
        asking("b", "limit-rps", "5"),
        asking("c", "proxy-read-timeout", "5"),
        asking("d", "limit-rps", "5"),
    ];
    objects.extend(web("web", "10.0.0.1"));
    let translation = run(objects);
    let policies = |host: &str, path: &str| Arc::as_ptr(&route(&translation, host, path).policies);
    assert_eq!(policies("a.test", "Prefix /"), policies("c.test", "Prefix /x"));
    assert_eq!(policies("b.test", "Prefix /"), policies("b.test", "Prefix /x"));
    assert_ne!(policies("a.test", "Prefix /"), policies("b.test", "Prefix /"));
    assert_ne!(policies("b.test", "Prefix /"), policies("d.test", "Prefix /"));
}

#[test]
fn a_host_that_gets_tls_keeps_its_routes_but_not_its_answer() {
    let (mut index, first) = site();
    apply(&mut index, ingress("a").rule("a.test", &["Prefix / web", "Prefix /api api"]).tls(&[], "").object());
    let second = translate(&index, &options(), &first.snapshot);
    assert!(!host(&first, "a.test").has_certificate && host(&second, "a.test").has_certificate);
    assert!(Arc::ptr_eq(route(&first, "a.test", "Prefix /"), route(&second, "a.test", "Prefix /")));
}

#[test]
fn paths_that_mean_something_else_are_indexed_anew() {
    // The same under both but for what a trailing slash means.
    let one = ingress("a").rule("a.test", &["Prefix /x/ web"]).annotated("ssl-redirect", "false");
    let index = Index::of([one.object()]);
    let first = translate(&index, &options(), &empty());
    let second = translate(&index, &strict(), &first.snapshot);
    assert_eq!(second.snapshot.settings.trailing_slash, TrailingSlash::Ignore);
    assert!(!Arc::ptr_eq(host(&first, "a.test"), host(&second, "a.test")));
    let found = |translation: &Translation| match translation.snapshot.routes.find("a.test", b"/x") {
        RouteMatch::Route(_, route) => format!("{}", route.path),
        RouteMatch::AddSlash(..) => "redirect".to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!((found(&first).as_str(), found(&second).as_str()), ("redirect", "Prefix /x/"));
    assert_eq!(render(&second.snapshot), render(&translate(&index, &strict(), &empty()).snapshot));
}

/// The translation of what is around a change, if it is one.
fn around(index: &mut Index, current: &Translation, change: Change) -> Option<Translation> {
    let dirty = index.apply(change);
    let Translation { snapshot, diagnostics, owned } = current;
    refresh_ingresses(index, &options(), Current { snapshot, diagnostics, owned }, &dirty.around, &dirty.endpoints)
}

/// What there is room for is shared by all hosts with many other names.
#[test]
fn a_change_around_many_other_names_is_translated_with_all() {
    for (names, is_part) in [("1.test,2.test,3.test,4.test", true), ("1.test,2.test,3.test,4.test,5.test", false)] {
        let (mut index, first) = site();
        let named = ingress("a").annotated("server-alias", names).rule("a.test", &["Prefix / web", "Prefix /api api"]);
        let part = around(&mut index, &first, Change::Apply(Box::new(named.object())));
        assert_eq!(part.is_some(), is_part, "{names}");
    }
}

#[test]
fn a_change_is_translated_with_what_is_around_it_alone() {
    let (mut index, first) = site();
    let edited = ingress("b").rule("b.test", &["Prefix / web", "Prefix /new api"]).object();
    let second = around(&mut index, &first, Change::Apply(Box::new(edited))).unwrap();
    for name in ["a.test", "c.test", "t.test"] {
        assert!(Arc::ptr_eq(host(&first, name), host(&second, name)), "{name}");
    }
    assert!(routes(&second).contains(&"b.test Prefix /new -> api:80".to_owned()));
    assert!(Arc::ptr_eq(&first.snapshot.certificates, &second.snapshot.certificates));
    assert_eq!(second.owned, first.owned);
    // A new application comes, and goes.
    let [service, endpoints] = web("aaa", "10.0.0.3");
    index.apply(Change::Apply(Box::new(endpoints)));
    let new = ingress("new").rule("new.test", &["Prefix / aaa"]).tls(&["new.test"], "absent").object();
    let third = around(&mut index, &second, Change::Apply(Box::new(new.clone()))).unwrap();
    assert_eq!(found(&third), ["SecretNotFound", "ServiceNotFound"].map(line_about_new));
    let fourth = around(&mut index, &third, Change::Apply(Box::new(service))).unwrap();
    assert_eq!(found(&fourth), [line_about_new("SecretNotFound")]);
    assert_eq!(addresses(backend(&fourth, "aaa")), ["10.0.0.3:8080"]);
    assert!(Arc::ptr_eq(host(&second, "a.test"), host(&fourth, "a.test")));
    let fifth = around(&mut index, &fourth, Change::Remove(new.reference())).unwrap();
    assert_eq!(render(&fifth.snapshot), render(&second.snapshot));
    assert_eq!((fifth.owned, fifth.diagnostics), (second.owned, second.diagnostics));
}

#[test]
fn who_shares_a_service_with_others_is_translated_alone() {
    let edit = |paths: &[&str]| Change::Apply(Box::new(ingress("b").rule("b.test", paths).object()));
    let (mut index, first) = site();
    let second = around(&mut index, &first, edit(&["Prefix / api", "Prefix /new web"])).unwrap();
    assert!(Arc::ptr_eq(&first.snapshot.backends, &second.snapshot.backends));
    assert_eq!(render(&second.snapshot), render(&translate(&index, &options(), &empty()).snapshot));
    // Others go on using what it leaves.
    let third = around(&mut index, &second, edit(&["Prefix / web"])).unwrap();
    assert_eq!(render(&third.snapshot), render(&translate(&index, &options(), &empty()).snapshot));
    // What a port of `web` that nobody used comes to takes a look at everything.
    assert!(around(&mut index, &second, edit(&["Prefix / api", "Prefix /new web:81"])).is_none());
    // Endpoints that change with it are those of whoever it shares them with.
    let dirty = index.apply(Change::Apply(Box::new(Object::EndpointSlice(slice(
        "web-1",
        "web",
        ("", 8080),
        vec![ready("10.9.9.9")],
    )))));
    let mut both = index.apply(edit(&["Prefix / api", "Prefix /newer web"]));
    both |= dirty;
    let Translation { snapshot, diagnostics, owned } = &second;
    let current = Current { snapshot, diagnostics, owned };
    let third = refresh_ingresses(&index, &options(), current, &both.around, &both.endpoints).unwrap();
    assert_eq!(render(&third.snapshot), render(&translate(&index, &options(), &empty()).snapshot));
    assert!(addresses(backend(&third, "web")).contains(&"10.9.9.9:8080".to_owned()));
}

/// The alternative of a shared Service is that of all who share it, and goes with the route that it was made for.
#[test]
fn no_canary_stays_with_those_who_share_a_service_with_its_main_ingress() {
    let (mut index, _) = site();
    let canary = ingress("canary").annotated("canary", "true").annotated("canary-weight", "30");
    apply(&mut index, canary.rule("b.test", &["Prefix / new"]).object());
    for object in web("new", "10.0.0.9") {
        apply(&mut index, object);
    }
    let first = translate(&index, &options(), &empty());
    assert!(backend(&first, "web").canary.is_some());
    let moved = ingress("b").rule("b.test", &["Prefix /moved api"]).object();
    let part = around(&mut index, &first, Change::Apply(Box::new(moved)));
    let whole = translate(&index, &options(), &empty());
    assert!(backend(&whole, "web").canary.is_none());
    assert!(part.is_none_or(|part| render(&part.snapshot) == render(&whole.snapshot)));
}

/// Its path gives no route, but its backend is there.
#[test]
fn nothing_stays_of_who_named_a_shared_service_in_a_path_that_is_left_out() {
    let (mut index, _) = site();
    let left_out = ingress("b").annotated("use-regex", "true").rule("b.test", &["- /(?!x) web:99", "- / api"]);
    apply(&mut index, left_out.object());
    let first = translate(&index, &options(), &empty());
    assert!(render(&first.snapshot).contains("default-web-99"));
    let edited = ingress("b").rule("b.test", &["Prefix / api"]).object();
    let part = around(&mut index, &first, Change::Apply(Box::new(edited)));
    let whole = render(&translate(&index, &options(), &empty()).snapshot);
    assert!(!whole.contains("default-web-99"));
    assert!(part.is_none_or(|part| render(&part.snapshot) == whole));
}

fn line_about_new(code: &str) -> String {
    let field = match code {
        "SecretNotFound" => "spec.tls[0].secretName",
        _ => "spec.rules[0].http.paths[0].backend.service.name",
    };
    format!("{code} Ingress default/new {field}")
}

#[test]
fn a_wildcard_host_is_everything() {
    let (mut index, first) = site();
    let wild = ingress("wild").rule("*.test", &["Prefix / web"]).object();
    assert!(around(&mut index, &first, Change::Apply(Box::new(wild))).is_none());
}

#[test]
fn routes_and_backends_stay_whatever_backend_comes_or_goes() {
    let (mut index, first) = site();
    // `aaa` sorts before all others.
    for object in web("aaa", "10.0.0.3") {
        apply(&mut index, object);
    }
    apply(&mut index, ingress("new").rule("new.test", &["Prefix / aaa"]).object());
    let second = translate(&index, &options(), &first.snapshot);
    index.apply(Change::Remove(ingress("new").object().reference()));
    let third = translate(&index, &options(), &second.snapshot);
    for later in [&second, &third] {
        assert!(Arc::ptr_eq(host(&first, "a.test"), host(later, "a.test")));
        assert!(Arc::ptr_eq(backend(&first, "web"), backend(later, "web")));
    }
    assert_eq!(routes(&second).len(), routes(&first).len() + 1);
    assert_eq!(render(&third.snapshot), render(&first.snapshot));
}

#[test]
fn a_number_that_means_another_backend_is_another_route() {
    let to = |service: &str| {
        let one = ingress("a").rule("a.test", &[&format!("Prefix / {service}")]);
        Index::of([one.object()].into_iter().chain(web(service, "10.0.0.1")))
    };
    let first = translate(&to("web"), &options(), &empty());
    let second = translate(&to("api"), &options(), &first.snapshot);
    assert_eq!(routes(&second), ["a.test Prefix / -> api:80"]);
    assert_eq!(&*route(&second, "a.test", "Prefix /").service, "api");
}

#[test]
fn the_state_of_an_endpoint_outlives_snapshots_by_its_address() {
    let (mut index, first) = site();
    let old = backend(&first, "web");
    old.cursor.store(7, Ordering::Relaxed);
    let endpoints = vec![ready("10.0.0.0"), ready("10.0.0.1"), ready("10.0.0.9")];
    apply(&mut index, Object::EndpointSlice(slice("web-1", "web", ("", 8080), endpoints)));
    apply(&mut index, ingress("a").rule("a.test", &["Prefix / web"]).annotated("load-balance", "ewma").object());
    let second = translate(&index, &options(), &first.snapshot);
    let new = backend(&second, "web");
    assert_eq!(addresses(new), ["10.0.0.0:8080", "10.0.0.1:8080", "10.0.0.9:8080"]);
    assert!(Arc::ptr_eq(&old.endpoints[0].state, &new.endpoints[1].state));
    assert!(!Arc::ptr_eq(&new.endpoints[0].state, &new.endpoints[1].state));
    assert!(Arc::ptr_eq(&old.cursor, &new.cursor));
    assert!(Arc::ptr_eq(backend(&first, "api"), backend(&second, "api")), "the other backend stays the same object");
    assert!(!Arc::ptr_eq(&old.cursor, &backend(&second, "api").cursor));
}

#[test]
fn a_secret_that_comes_back_is_the_certificate_that_was_there() {
    let (mut index, first) = site();
    let secret = secret_for("t", &["t.test"]);
    apply(&mut index, secret.clone());
    let second = translate(&index, &options(), &first.snapshot);
    let certificate =
        |translation: &Translation| Arc::clone(translation.snapshot.certificates.find(Some("t.test")).unwrap());
    assert!(!Arc::ptr_eq(&certificate(&first), &certificate(&second)));
    index.apply(Change::Remove(secret.reference()));
    apply(&mut index, secret);
    let third = translate(&index, &options(), &second.snapshot);
    assert!(Arc::ptr_eq(&certificate(&second), &certificate(&third)), "with the key that the data plane parsed");
}

#[test]
fn a_change_of_endpoints_does_no_route_work_and_touches_no_other_backend() {
    let (mut index, first) = site();
    let changed = slice("web-1", "web", ("", 8080), vec![ready("10.0.0.1"), ready("10.0.0.5")]);
    apply(&mut index, Object::EndpointSlice(changed));
    let second = refresh_endpoints(&index, &options(), &first.snapshot, &[name("web")].into());
    assert!(second.diagnostics.is_empty());
    assert_eq!(second.snapshot.generation, 2);
    assert!(Arc::ptr_eq(&first.snapshot.routes, &second.snapshot.routes));
    assert!(Arc::ptr_eq(&first.snapshot.certificates, &second.snapshot.certificates));
    assert!(Arc::ptr_eq(&first.snapshot.settings, &second.snapshot.settings));
    assert!(Arc::ptr_eq(backend(&first, "api"), backend(&second, "api")));
    assert_eq!(addresses(backend(&second, "web")), ["10.0.0.1:8080", "10.0.0.5:8080"]);
    let state = |translation: &Translation| Arc::clone(&backend(translation, "web").endpoints[0].state);
    assert!(Arc::ptr_eq(&state(&first), &state(&second)));
    assert_eq!(render(&second.snapshot), render(&translate(&index, &options(), &empty()).snapshot));
}

#[test]
fn a_refresh_that_finds_nothing_new_changes_nothing() {
    let (index, first) = site();
    for services in [vec!["web", "api"], vec!["unknown"], vec!["other/web"], vec![]] {
        let services: BTreeSet<_> = services.into_iter().map(name).collect();
        let second = refresh_endpoints(&index, &options(), &first.snapshot, &services);
        assert!(is_same(&first.snapshot, &second.snapshot), "{services:?}");
    }
}

#[test]
fn a_refresh_says_what_a_translation_would_about_endpoints() {
    let (mut index, first) = site();
    apply(&mut index, Object::EndpointSlice(slice("web-1", "web", ("", 8080), vec![])));
    let second = refresh_endpoints(&index, &options(), &first.snapshot, &[name("web")].into());
    assert_eq!(second.diagnostics, translate(&index, &options(), &empty()).diagnostics);
    assert_eq!(second.diagnostics[0].code, "NoEndpoints");
    assert!(backend(&second, "web").endpoints.is_empty());
}

#[test]
fn nothing_is_shared_by_chance() {
    // Equal rules of another Ingress are another route: its origin is what logs and metrics name.
    let of = |name: &str| run([ingress(name).rule("a.test", &["Prefix / web"]).object()]);
    let first = of("a");
    let index = Index::of([ingress("b").rule("a.test", &["Prefix / web"]).object()]);
    let second = translate(&index, &options(), &first.snapshot);
    assert_eq!(
        route(&second, "a.test", "Prefix /").origin.to_string(),
        "Ingress default/b spec.rules[0].http.paths[0]"
    );
}

/// A site of the size that must be live within 5 s, and an edit within 100 ms; the times are those of this build.
#[test]
fn ten_thousand_ingresses_and_one_edit() {
    const HOSTS: usize = 10_000;
    let rule = |number: usize, path: &str| -> Ingress {
        let service = number % 100;
        let paths = [format!("Prefix / service-{service}"), format!("Prefix {path} service-{service}")];
        ingress(&format!("ingress-{number}"))
            // A slip that is in every manifest must not be looked up in each of them.
            .annotated("proxy-bodysize", "8m")
            .rule(&format!("host-{number}.test"), &[&paths[0], &paths[1]])
    };
    let mut objects: Vec<Object> = Vec::new();
    for number in 0..100 {
        objects.extend(web(&format!("service-{number}"), &format!("10.0.0.{number}")));
    }
    for number in 0..HOSTS {
        let mut ingress = rule(number, "/api");
        if number % 10 == 0 {
            let host = format!("host-{number}.test");
            ingress = ingress.tls(&[&host], &format!("secret-{number}"));
            objects.push(secret_for(&format!("secret-{number}"), &[&host]));
        }
        objects.push(ingress.object());
    }
    let timed = |index: &Index, options: &Options, previous: &Snapshot| {
        let started = Instant::now();
        let translation = translate(index, options, previous);
        (translation, started.elapsed())
    };
    let mut index = Index::of(objects);
    let (first, from_nothing) = timed(&index, &options(), &empty());
    assert_eq!(first.snapshot.routes.len(), 2 * HOSTS);
    assert_eq!(first.snapshot.certificates.by_host.len(), HOSTS / 10);
    assert_eq!(first.diagnostics.len(), HOSTS);
    apply(&mut index, rule(4321, "/edited").object());
    let (second, edit) = timed(&index, &options(), &first.snapshot);
    let started = Instant::now();
    apply(&mut index, Object::EndpointSlice(slice("service-7-1", "service-7", ("", 8080), vec![ready("10.9.9.9")])));
    let third = refresh_endpoints(&index, &options(), &second.snapshot, &[name("service-7")].into());
    let refresh = started.elapsed();
    eprintln!("{HOSTS} Ingresses: from nothing {from_nothing:?}, an edit {edit:?}, an endpoint {refresh:?}");
    let is_kept = |host: &Arc<HostRoutes>| {
        second.snapshot.routes.of_pattern(&host.host).is_some_and(|known| Arc::ptr_eq(known, host))
    };
    let hosts = first.snapshot.routes.hosts();
    assert_eq!(hosts.filter(|host| !is_kept(host)).count(), 1, "one host is new");
    assert!(Arc::ptr_eq(&second.snapshot.routes, &third.snapshot.routes));
    // Far above what it takes, far below what anything quadratic would.
    assert!(edit < Duration::from_secs(2), "{edit:?}");
}

#[test]
fn the_counts_of_limits_outlive_snapshots_for_as_long_as_their_ingress_has_limits() {
    let zone = |translation: &Translation, host: &str, path: &str| {
        route(translation, host, path).policies.limits.as_ref().map(|limits| Arc::clone(&limits.zone))
    };
    let limited =
        |rate: &str| ingress("a").annotated("limit-rps", rate).rule("a.test", &["Prefix / web", "Prefix /api api"]);
    let (mut index, _) = site();
    apply(&mut index, limited("5").object());
    let first = translate(&index, &options(), &empty());
    let counted = zone(&first, "a.test", "Prefix /").unwrap();
    assert!(Arc::ptr_eq(&counted, &zone(&first, "a.test", "Prefix /api").unwrap()), "all its paths share it");
    assert!(zone(&first, "b.test", "Prefix /").is_none());
    assert_eq!(counted.name(), "default/a");
    let unchanged = translate(&index, &options(), &first.snapshot);
    assert!(is_same(&first.snapshot, &unchanged.snapshot));

    // Another rate, another path and another host: what was counted counts on.
    apply(&mut index, limited("6").rule("new.test", &["Prefix /new web"]).object());
    let second = translate(&index, &options(), &unchanged.snapshot);
    assert!(!Arc::ptr_eq(route(&first, "a.test", "Prefix /"), route(&second, "a.test", "Prefix /")));
    for (host, path) in [("a.test", "Prefix /"), ("a.test", "Prefix /api"), ("new.test", "Prefix /new")] {
        assert!(Arc::ptr_eq(&counted, &zone(&second, host, path).unwrap()), "{host} {path}");
    }

    // Another Ingress counts for itself, and who has had none for a while begins anew.
    apply(&mut index, ingress("d").annotated("limit-rps", "5").rule("a.test", &["Prefix /d web"]).object());
    let third = translate(&index, &options(), &second.snapshot);
    assert!(!Arc::ptr_eq(&counted, &zone(&third, "a.test", "Prefix /d").unwrap()));
    apply(&mut index, ingress("a").rule("a.test", &["Prefix / web"]).object());
    let fourth = translate(&index, &options(), &third.snapshot);
    assert!(zone(&fourth, "a.test", "Prefix /").is_none());
    apply(&mut index, limited("5").object());
    let fifth = translate(&index, &options(), &fourth.snapshot);
    assert!(!Arc::ptr_eq(&counted, &zone(&fifth, "a.test", "Prefix /").unwrap()));
}
