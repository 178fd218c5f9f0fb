//! Who may pass, and what closes a route because that is not known.

use std::sync::Arc;

use edgeward_routing::policy::Policies;
use edgeward_routing::render::render;

use super::super::{Current, refresh_ingresses};
use super::routes::with_services;
use super::{Options, Translation, empty, found, options, route, routes, run, run_with, translate};
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
        ("users", Some(users("users", &[("auth", "u:_J9..rasmBYk8r9AiWNc")]))),
    ] {
        let mut objects = with_services([guarded(secret)]);
        objects.extend(object);
        let translation = run(objects);
        assert!(policies(&translation).closed.is_some() && policies(&translation).basic_auth.is_none(), "{secret}");
        assert_eq!(translation.diagnostics[0].code, "RouteClosed", "{secret}");
        assert!(!format!("{:?}", translation.diagnostics).contains("rasmBYk8r9AiWNc"));
    }
}

#[test]
fn users_with_weak_passwords_pass_and_are_told_of_by_number() {
    let mut objects = with_services([guarded("users")]);
    objects.push(users("users", &[("auth", "old:abNANd1rDfiNc\nnew:{PLAIN}1\nolder:abJnggxhB/yWI")]));
    let translation = run(objects);
    assert!(policies(&translation).closed.is_none());
    assert_eq!(policies(&translation).basic_auth.as_ref().unwrap().users.len(), 3);
    let [said] = &*translation.diagnostics else { panic!("{:?}", translation.diagnostics) };
    assert!(said.code == "UserWeak" && said.message.ends_with(": 1, 3"), "{}", said.message);
    // Whoever may read diagnostics and Events may not read the Secret.
    let said = format!("{said:?}");
    assert!(!said.contains("old") && !said.contains("NANd1rDfiNc"), "{said}");
}

#[test]
fn digests_count_where_they_are_of_the_realm() {
    const HA1: &str = "939e7578ed9e3c518a452acee763bce9";
    let entry = format!("R:{HA1}");
    for (realm, form, data, codes, has_user) in [
        ("R", "auth-file", &[("auth", &*format!("u:R:{HA1}\nv:S:{HA1}"))][..], &[][..], true),
        ("R", "auth-map", &[("u", &*entry)], &[], true),
        ("S", "auth-map", &[("u", &*entry)], &["UserUnusable"], false),
        ("", "auth-map", &[("u", &*entry)], &["UserUnusable"], false),
        ("R", "auth-file", &[("auth", &*format!("u:R:{HA1}\nv:R:{{PLAIN}}x"))], &["UserUnusable"], true),
        ("R", "auth-file", &[("auth", "u:$apr1$a$b")], &["UserUnusable", "UserUnusable"], false),
    ] {
        let ingress = guarded("users").annotated("auth-type", "digest").annotated("auth-realm", realm);
        let mut objects = with_services([ingress.annotated("auth-secret-type", form)]);
        objects.push(users("users", data));
        let translation = run(objects);
        let auth = policies(&translation).digest_auth.as_ref().unwrap();
        assert_eq!(auth.find(b"u").is_some(), has_user, "{realm} {data:?}");
        assert!(policies(&translation).closed.is_none() && policies(&translation).basic_auth.is_none());
        assert_eq!(translation.diagnostics.iter().map(|said| said.code).collect::<Vec<_>>(), codes, "{realm} {data:?}");
        assert!(!format!("{:?}", translation.diagnostics).contains(HA1));
    }
    let closed = run(with_services([guarded("users").annotated("auth-type", "digest")]));
    assert!(policies(&closed).closed.is_some() && closed.diagnostics[0].code == "RouteClosed");
}

#[test]
fn a_service_at_an_address_that_is_not_connected_to_is_told_of() {
    for (url, allow_loopback, is_told) in [
        ("http://127.0.0.1:9000/auth", false, true),
        ("http://169.254.169.254/", false, true),
        ("http://127.0.0.1:9000/auth", true, false),
        ("http://10.0.0.9/", false, false),
        ("http://localhost/", false, false),
    ] {
        let asking = ingress("a").annotated("auth-url", url).rule("a.test", &["Prefix / web"]);
        let mut objects = with_services([asking]);
        objects.push(config_map("ops/options", &[("global-auth-url", url)]));
        let options = Options { configmap: Some(name("ops/options")), allow_loopback, ..options() };
        let translation = run_with(&options, objects);
        assert!(policies(&translation).external_auth.is_some(), "{url}");
        let told: Vec<_> =
            translation.diagnostics.iter().map(|told| (told.code, told.origin.as_ref().unwrap().kind)).collect();
        let expected = [("AuthUnreachable", "ConfigMap"), ("AuthUnreachable", "Ingress")];
        assert_eq!(told, if is_told { &expected[..] } else { &[] }, "{url}");
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
        ("default/headers", &[("Transfer-Encoding", "chunked")]),
        ("default/headers", &[("content-length", "0")]),
        ("default/headers", &[("Host", "other.test")]),
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
    let part = refresh_ingresses(&index, &options, current, &dirty.around, &dirty.endpoints).unwrap();
    assert!(policies(&part).basic_auth.is_some() && part.diagnostics.is_empty());
    let whole = translate(&index, &options, &first.snapshot);
    assert_eq!(render(&part.snapshot), render(&whole.snapshot));
    assert!(Arc::ptr_eq(
        &policies(&part).basic_auth.as_ref().unwrap().users,
        &policies(&whole).basic_auth.as_ref().unwrap().users
    ));
    assert!(index.apply(Change::Apply(Box::new(users("others", &[("auth", LIST)])))).around.is_empty());
}

/// Values for each of which an Ingress is dropped, and what guards it.
const DROPPED: [&[(&str, &str)]; 6] = [
    &[("auth-type", "basic"), ("auth-secret", "users"), ("auth-realm", "a, b")],
    &[("auth-type", "Basic"), ("auth-secret", "users")],
    &[("auth-url", "http://auth.test/;")],
    &[("auth-url", "http://auth.test/"), ("limit-rps", "10r/s")],
    &[("allowlist-source-range", "10.0.0.0/8"), ("proxy-ssl-secret", "a;b")],
    &[("configuration-snippet", "deny all;"), ("limit-rps", "10r/s")],
];

fn annotated(ingress: Ingress, annotations: &[(&str, &str)]) -> Ingress {
    annotations.iter().fold(ingress, |ingress, (name, value)| ingress.annotated(name, value))
}

#[test]
fn a_dropped_guard_leaves_nothing_to_the_routes_of_others() {
    for annotations in DROPPED {
        let dropped = annotated(ingress("a").created(1), annotations);
        let dropped = dropped.rule("a.test", &["Prefix /admin web"]).rule("alone.test", &["Prefix / web"]);
        let translation = run(with_services([dropped, ingress("b").created(2).rule("a.test", &["Prefix / other"])]));
        assert_eq!(
            routes(&translation),
            ["a.test Prefix / -> other:80", "a.test Prefix /admin -> default"],
            "{annotations:?}"
        );
        assert!(route(&translation, "a.test", "Prefix /admin").policies.closed.is_some());
        assert!(route(&translation, "a.test", "Prefix /").policies.closed.is_none());
        assert_eq!(translation.owned, [name("b")], "it is not served");
        let found = found(&translation);
        assert!(found.contains(&"RouteClosed Ingress default/a spec.rules[0]".to_owned()), "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("IngressDropped ")), "{found:?}");
    }
}

/// However another Ingress comes to serve the host of one that is dropped.
#[test]
fn a_dropped_guard_is_closed_under_every_name_that_leads_to_others() {
    for other in [
        ingress("b").rule("*.test", &["Prefix / other"]),
        ingress("b").rule("", &["Prefix / other"]),
        ingress("b").default_backend("other"),
        ingress("b").rule("b.test", &["Prefix / other"]).annotated("server-alias", "*.test"),
        ingress("b").rule("b.test", &["Prefix / other"]).annotated("server-alias", "~^a"),
        ingress("b").rule("b.test", &["Prefix / other"]).annotated("server-alias", "a.test"),
    ] {
        let guard = ingress("a").annotated("auth-url", "http://auth.test/").annotated("limit-rps", "x");
        let translation = run(with_services([guard.rule("a.test", &["Prefix /admin web"]), other.clone()]));
        assert!(route(&translation, "a.test", "Prefix /admin").policies.closed.is_some(), "{other:?}");
        assert!(route(&translation, "a.test", "Prefix /").policies.closed.is_some(), "its guard was for the rest too");
    }
    // A default backend is what no rule takes, of all hosts.
    let guard = ingress("a").created(1).annotated("auth-type", "Basic").default_backend("web");
    let translation = run(with_services([guard, ingress("b").default_backend("other")]));
    assert!(route(&translation, "", "Prefix /").policies.closed.is_some());
}

#[test]
fn what_guards_nothing_or_shares_no_host_is_left_out_when_it_is_dropped() {
    let other = || ingress("b").rule("a.test", &["Prefix / other"]);
    let harmless = ingress("a").annotated("limit-rps", "x").rule("a.test", &["Prefix /admin web"]);
    let canary =
        ingress("c").annotated("canary", "true").annotated("auth-type", "Basic").rule("a.test", &["Prefix / web"]);
    // What another controller is asked for.
    let foreign = ingress("d").annotated("limit-rps", "x").annotated("other.test/auth-tls-secret", "default/ca");
    let foreign = foreign.rule("a.test", &["Prefix /foreign web"]);
    let translation = run(with_services([harmless, canary, foreign, other()]));
    assert_eq!(routes(&translation), ["a.test Prefix / -> other:80"]);
    let alone = ingress("a").annotated("auth-type", "Basic").rule("x.test", &["Prefix / web"]).tls(&["a.test"], "");
    let as_well = ingress("c").annotated("auth-type", "Basic").rule("x.test", &["Prefix / web"]);
    let translation = run(with_services([alone, as_well, other()]));
    assert_eq!(routes(&translation), ["a.test Prefix / -> other:80"]);
}

#[test]
fn a_service_that_is_asked_of_all_guards_a_dropped_ingress() {
    let objects = |annotations: &[(&str, &str)]| {
        let dropped =
            annotated(ingress("a").annotated("limit-rps", "x"), annotations).rule("a.test", &["Prefix /admin web"]);
        let open = ingress("b").annotated("enable-global-auth", "false").rule("a.test", &["Prefix / other"]);
        let mut objects = with_services([dropped, open]);
        objects.push(config_map("ops/options", &[("global-auth-url", "http://all.test/")]));
        objects
    };
    let options = Options { configmap: Some(name("ops/options")), ..options() };
    let is_closed = |annotations| routes(&run_with(&options, objects(annotations))).len() == 2;
    assert!(is_closed(&[]) && !is_closed(&[("enable-global-auth", "false")]));
}

#[test]
fn a_host_does_not_lose_client_certificates_with_a_dropped_ingress() {
    for (annotations, is_refused) in [
        (&[("auth-tls-secret", "default/ca"), ("limit-rps", "10r/s")][..], true),
        (&[("auth-tls-secret", "default/ca;")], true),
        (&[("auth-tls-secret", "default/ca"), ("auth-tls-match-cn", "bad")], true),
        (&[("auth-tls-secret", "default/ca"), ("auth-tls-verify-client", "off"), ("limit-rps", "x")], false),
        (&[("auth-tls-verify-client", "on"), ("limit-rps", "x")], false),
    ] {
        let dropped = annotated(ingress("a"), annotations).rule("a.test", &["Prefix /x web"]);
        let translation = run(with_services([dropped, ingress("b").rule("a.test", &["Prefix / other"])]));
        let host = route(&translation, "a.test", "Prefix /").policies.host.clone();
        assert_eq!(host.is_some_and(|host| host.refused.is_some()), is_refused, "{annotations:?}");
    }
}

#[test]
fn one_tenant_does_not_close_the_routes_of_another() {
    for (annotation, path) in [
        (("server-snippet", "deny all;"), "Prefix /b web"),
        (("auth-url", "http://auth.test/"), "Prefix b web"),
        (("auth-url", "http://auth.test/"), "Prefix /my%20admin web"),
        (("configuration-snippet", "deny all;"), "- /b(/|$)(.*) web"),
    ] {
        let closing = ingress("shop/closing").created(2).annotated(annotation.0, annotation.1).rule("a.test", &[path]);
        let translation = run(with_services([
            ingress("older").created(1).rule("a.test", &["Prefix /a web"]),
            closing,
            ingress("shop/mate").created(3).rule("a.test", &["Prefix /c web"]),
        ]));
        let is_closed = |path| route(&translation, "a.test", path).policies.closed.is_some();
        assert!(!is_closed("Prefix /a") && !is_closed("Prefix /"), "{annotation:?} {path}");
        assert!(is_closed("Prefix /c"), "{annotation:?} {path}");
    }
}

#[test]
fn a_guarded_path_that_takes_no_request_is_not_left_to_others() {
    for path in ["/my%20admin", "//admin", "/a/../admin", "/../admin"] {
        for (guard, is_closed) in [("auth-url", true), ("auth-method", false)] {
            let guarded =
                ingress("a").annotated(guard, "http://auth.test/").rule("a.test", &[&format!("Prefix {path} web")]);
            let translation = run(with_services([guarded, ingress("b").rule("a.test", &["Prefix / web"])]));
            assert_eq!(
                route(&translation, "a.test", "Prefix /").policies.closed.is_some(),
                is_closed,
                "{guard} {path}"
            );
        }
    }
    let decoded = ingress("a").annotated("auth-url", "http://auth.test/").rule("a.test", &["Prefix /100% web"]);
    assert!(route(&run(with_services([decoded])), "a.test", "Prefix /100%").policies.closed.is_none());
}

/// Who else is on its hosts comes and goes, in a part of the translation and in the whole of it.
#[test]
fn a_host_that_is_shared_later_closes_what_a_dropped_ingress_guards() {
    let dropped = ingress("a").annotated("auth-type", "Basic").rule("a.test", &["Prefix /admin web"]);
    let mut index = Index::of(with_services([dropped]));
    let options = options();
    let mut current = translate(&index, &options, &empty());
    assert!(routes(&current).is_empty());
    for other in [
        ingress("b").rule("a.test", &["Prefix / web"]),
        ingress("b").rule("*.test", &["Prefix / web"]),
        ingress("b").rule("", &["Prefix / web"]),
    ] {
        for (change, is_closed) in [
            (Change::Apply(Box::new(other.clone().object())), true),
            (Change::Remove(other.clone().object().reference()), false),
        ] {
            let dirty = index.apply(change);
            let of = Current { snapshot: &current.snapshot, diagnostics: &current.diagnostics, owned: &current.owned };
            let part = refresh_ingresses(&index, &options, of, &dirty.around, &dirty.endpoints);
            let whole = translate(&index, &options, &current.snapshot);
            let now = part.unwrap_or_else(|| whole.clone());
            assert_eq!(render(&now.snapshot), render(&whole.snapshot));
            assert_eq!(now.diagnostics, whole.diagnostics);
            assert_eq!(routes(&now).contains(&"a.test Prefix /admin -> default".to_owned()), is_closed, "{other:?}");
            current = now;
        }
    }
}
