//! Who may pass, and what closes a route because that is not known.

use std::sync::Arc;

use edgeward_routing::policy::Policies;
use edgeward_routing::render::render;

use super::super::{Current, refresh_ingresses};
use super::routes::with_services;
use super::{Options, Translation, empty, options, route, run, run_with, translate};
use crate::change::Change;
use crate::index::Index;
use crate::object::{Ingress, Object, Secret};
use crate::translate::fixture::{config_map, ingress, meta, name};

const LIST: &str = "u:{PLAIN}secret";

fn users(name: &str, data: &[(&str, &str)]) -> Object {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    Object::Secret(Secret { meta: meta(name), data: Arc::new(data) })
}

fn guarded(secret: &str) -> Ingress {
    ingress("a").annotated("auth-type", "basic").annotated("auth-secret", secret).rule("a.test", &["Prefix / web"])
}

fn policies(translation: &Translation) -> &Policies {
    &route(translation, "a.test", "Prefix /").policies
}

#[test]
fn users_come_from_the_secret_that_is_named() {
    for (secret, form, data, count) in [
        ("users", "auth-file", &[("auth", "u:{PLAIN}1\nv:{PLAIN}2"), ("other", "x")][..], 2),
        ("default/users", "auth-map", &[("u", "{PLAIN}1"), ("v", "{PLAIN}2"), ("w", "{PLAIN}3")], 3),
        ("/users", "auth-file", &[("auth", "")], 0),
    ] {
        let mut objects = with_services([guarded(secret).annotated("auth-secret-type", form)]);
        objects.push(users("users", data));
        let translation = run(objects);
        let auth = policies(&translation).basic_auth.as_ref().unwrap();
        assert_eq!((auth.users.len(), policies(&translation).closed.is_none()), (count, true), "{secret}");
    }
}

#[test]
fn a_route_whose_users_are_not_known_is_closed() {
    for (secret, object) in [
        ("users", None),
        ("users", Some(users("users", &[("other", LIST)]))),
        ("users", Some(users("other/users", &[("auth", LIST)]))),
        ("other/users", Some(users("other/users", &[("auth", LIST)]))),
        ("a/b/c", None),
        ("", Some(users("users", &[("auth", LIST)]))),
        ("users", Some(users("users", &[("auth", "u:abNANd1rDfiNc")]))),
    ] {
        let mut objects = with_services([guarded(secret)]);
        objects.extend(object);
        let translation = run(objects);
        assert!(policies(&translation).closed.is_some() && policies(&translation).basic_auth.is_none(), "{secret}");
        assert_eq!(translation.diagnostics[0].code, "RouteClosed", "{secret}");
        assert!(!format!("{:?}", translation.diagnostics).contains("abNANd1rDfiNc"));
    }
}

#[test]
fn a_secret_of_another_namespace_counts_where_that_is_allowed() {
    let mut objects = with_services([guarded("other/users")]);
    objects.push(users("other/users", &[("auth", LIST)]));
    objects.push(config_map("ops/options", &[("allow-cross-namespace-resources", "true")]));
    let translation = run_with(&Options { configmap: Some(name("ops/options")), ..options() }, objects);
    assert!(policies(&translation).basic_auth.is_some());
}

#[test]
fn a_service_is_asked_with_the_headers_of_the_config_map_that_is_named() {
    let asking = |map: &str| {
        let asking = ingress("a").annotated("auth-url", "http://auth.test/").annotated("auth-proxy-set-headers", map);
        with_services([asking.rule("a.test", &["Prefix / web"])])
    };
    let mut objects = asking("default/headers");
    objects.push(config_map("default/headers", &[("X-Key", "$request_method"), ("X-None", "")]));
    let translation = run(objects);
    let auth = policies(&translation).external_auth.as_ref().unwrap();
    assert_eq!(auth.set_headers.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["x-key", "x-none"]);
    for (named, data) in [
        ("headers", &[("X-Key", "v")][..]),
        ("default/nothing", &[]),
        ("other/headers", &[]),
        ("default/headers", &[("X Key", "v")]),
        ("default/headers", &[("X-Key", "$nosuchvar")]),
        ("default/headers", &[("X-Key", "a\r\nb")]),
    ] {
        let mut objects = asking(named);
        objects.push(config_map("default/headers", data));
        assert!(policies(&run(objects)).closed.is_some(), "{named} {data:?}");
    }
}

#[test]
fn one_service_is_asked_of_all_that_name_none() {
    let mut objects = with_services([
        ingress("a").rule("a.test", &["Prefix / web", "Prefix /.well-known/acme-challenge web"]),
        ingress("b").annotated("enable-global-auth", "false").rule("b.test", &["Prefix / web"]),
        ingress("c").annotated("auth-url", "http://own.test").rule("c.test", &["Prefix / web"]),
        ingress("d").annotated("enable-global-auth", "x").rule("d.test", &["Prefix / web"]),
    ]);
    objects.push(config_map("ops/options", &[("global-auth-url", "http://all.test/")]));
    let translation = run_with(&Options { configmap: Some(name("ops/options")), ..options() }, objects);
    let host = |host, path| {
        let auth = route(&translation, host, path).policies.external_auth.clone();
        auth.map(|auth| auth.url.host.to_string())
    };
    assert_eq!(host("a.test", "Prefix /").as_deref(), Some("all.test"));
    assert_eq!(host("a.test", "Prefix /.well-known/acme-challenge"), None);
    assert_eq!(host("b.test", "Prefix /"), None);
    assert_eq!(host("c.test", "Prefix /").as_deref(), Some("own.test"));
    assert_eq!(host("d.test", "Prefix /").as_deref(), Some("all.test"));
    assert!(translation.snapshot.settings.default_policies.external_auth.is_none());
}

/// A Secret that is named by annotations is as good as a part of its Ingress.
#[test]
fn a_change_of_a_named_object_concerns_the_ingress() {
    let mut index = Index::of(with_services([guarded("users"), ingress("b").rule("b.test", &["Prefix / web"])]));
    let options = options();
    let first = translate(&index, &options, &empty());
    let dirty = index.apply(Change::Apply(Box::new(users("users", &[("auth", LIST)]))));
    assert_eq!(dirty.around.ingresses, [name("a")].into());
    let current = Current { snapshot: &first.snapshot, diagnostics: &first.diagnostics, owned: &first.owned };
    let part = refresh_ingresses(&index, &options, current, &dirty.around).unwrap();
    assert!(policies(&part).basic_auth.is_some() && part.diagnostics.is_empty());
    let whole = translate(&index, &options, &first.snapshot);
    assert_eq!(render(&part.snapshot), render(&whole.snapshot));
    assert!(Arc::ptr_eq(
        &policies(&part).basic_auth.as_ref().unwrap().users,
        &policies(&whole).basic_auth.as_ref().unwrap().users
    ));
    assert!(index.apply(Change::Apply(Box::new(users("others", &[("auth", LIST)])))).around.is_empty());
}
