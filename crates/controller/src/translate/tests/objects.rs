//! Secrets and ConfigMaps that annotations name.

use edgeward_routing::policy::{HostPolicies, Verify};
use edgeward_routing::settings::Cipher;

use super::*;
use crate::change::Change;
use crate::index::{Around, Dirty};
use crate::object::{ConfigMap, Ingress, Kind, Object, ObjectRef, Secret};
use crate::translate::fixture::{config_map, ingress, meta, name, secret_for, web};
use crate::translate::{Current, refresh_ingresses};

/// The CA of some certificate, which is one by itself here.
fn authority() -> Vec<u8> {
    let Object::Secret(secret) = secret_for("ca", &["ca"]) else { panic!("no Secret") };
    secret.data["tls.crt"].clone()
}

fn secret(of: &str, data: &[(&str, &[u8])]) -> Object {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect();
    Object::Secret(Secret { meta: meta(of), data: Arc::new(data) })
}

fn host(translation: &Translation, host: &str) -> HostPolicies {
    let routes = translation.snapshot.routes.of_pattern(&host.parse().unwrap()).unwrap();
    routes.routes()[0].policies.host.as_deref().cloned().unwrap_or_default()
}

fn codes(translation: &Translation) -> Vec<&'static str> {
    translation.diagnostics.iter().map(|diagnostic| diagnostic.code).filter(|code| *code != "NoEndpoints").collect()
}

#[test]
fn what_one_ingress_asks_of_clients_holds_for_the_whole_host() {
    let asking = ingress("asking").created(1).annotated("auth-tls-secret", "default/ca");
    let asking = asking.annotated("auth-tls-verify-client", "optional").rule("a.test", &["Prefix /x web"]);
    let other = ingress("other").created(2).annotated("auth-tls-secret", "default/ca");
    let objects = [asking, other.rule("a.test", &["Prefix / web"]), ingress("open").rule("b.test", &["Prefix / web"])];
    let objects = objects.map(|ingress| ingress.object()).into_iter();
    let objects = objects.chain(web("web", "10.0.0.1")).chain([secret("ca", &[("ca.crt", &authority())])]);
    let translation = run(objects);
    let asked = host(&translation, "a.test").client_certificates.unwrap();
    assert_eq!((asked.verify, asked.authority.depth, asked.authority.certificates.len()), (Verify::Optional, 1, 1));
    assert_eq!(
        route(&translation, "a.test", "Prefix /").policies.host,
        route(&translation, "a.test", "Prefix /x").policies.host
    );
    assert_eq!(host(&translation, "b.test"), HostPolicies::default());
    assert_eq!(codes(&translation), ["ClientCertificateConflict"]);
}

#[test]
fn ciphers_hold_for_the_whole_host_and_the_first_ingress_says_which() {
    let (first, second) = ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256");
    let asking = ingress("asking").created(1).annotated("ssl-ciphers", first).rule("a.test", &["Prefix /x web"]);
    let other = ingress("other").created(2).annotated("ssl-ciphers", second);
    let other = other.annotated("ssl-prefer-server-ciphers", "true").rule("a.test", &["Prefix / web"]);
    let objects = [asking, other, ingress("open").rule("b.test", &["Prefix / web"])].map(|ingress| ingress.object());
    let translation = run(objects.into_iter().chain(web("web", "10.0.0.1")));
    let tls = host(&translation, "a.test").tls;
    assert_eq!((tls.ciphers.as_deref(), tls.prefers_own_order), (Some(&[Cipher::RsaAes256][..]), Some(true)));
    assert_eq!(host(&translation, "b.test"), HostPolicies::default());
    assert_eq!(codes(&translation), ["CiphersConflict"]);
}

#[test]
fn an_authority_that_cannot_be_read_refuses_the_whole_host() {
    let pem = authority();
    for (value, data) in [
        ("default/missing", vec![]),
        ("other/ca", vec![("ca.crt", &pem[..])]),
        ("ca", vec![("ca.crt", &pem[..])]),
        ("/ca", vec![("ca.crt", &pem[..])]),
        ("default/ca/x", vec![("ca.crt", &pem[..])]),
        ("default/ca", vec![]),
        ("default/ca", vec![("ca.crt", &b"rubbish"[..])]),
        ("default/ca", vec![("tls.crt", &pem[..])]),
        ("default/ca", vec![("ca.crt", &pem[..]), ("ca.crl", &b"rubbish"[..])]),
        ("default/ca", vec![("ca.crt", &b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"[..])]),
    ] {
        let asking = ingress("asking").annotated("auth-tls-secret", value).rule("a.test", &["Prefix /x web"]);
        let objects =
            [asking.object(), ingress("open").rule("a.test", &["Prefix / web"]).object(), secret("ca", &data)];
        let translation = run(objects.into_iter().chain(web("web", "10.0.0.1")));
        let policies = host(&translation, "a.test");
        assert!(policies.refused.is_some() && policies.client_certificates.is_none(), "{value} {data:?}");
        assert_eq!(codes(&translation), ["HostRefused"], "{value}");
    }
}

fn apply(index: &mut Index, object: Object) -> Dirty {
    index.apply(Change::Apply(Box::new(object)))
}

#[test]
fn custom_headers_are_those_of_their_config_map_and_a_change_of_it_is_one_of_the_ingress() {
    let options = Options { configmap: Some(name("options")), ..options() };
    let allowed = |extra: &[(&str, &str)]| {
        let all = [&[("global-allowed-response-headers", "X-A, X-B"), ("add-headers", "default/all")][..], extra];
        config_map("options", &all.concat())
    };
    let objects = [
        ingress("web").annotated("custom-headers", "default/headers").rule("a.test", &["Prefix / web"]).object(),
        ingress("other").rule("b.test", &["Prefix / web"]).object(),
        allowed(&[]),
        config_map("all", &[("X-All", "1"), ("X-Bad", "$host"), ("Content-Length", "1")]),
        config_map("headers", &[("X-A", "1")]),
    ];
    let mut index = Index::of(objects.into_iter().chain(web("web", "10.0.0.1")));
    let mut current = translate(&index, &options, &empty());
    assert_eq!(codes(&current), ["HeaderInvalid", "HeaderInvalid"]);
    let headers = |translation: &Translation| {
        let policies = &route(translation, "a.test", "Prefix /").policies;
        let response = policies.response.as_ref().and_then(|response| response.headers.clone());
        let headers: Vec<_> =
            response.iter().flat_map(|fields| fields.iter()).map(|(name, value)| format!("{name}: {value}")).collect();
        (policies.closed.is_some(), headers.join(", "))
    };
    assert_eq!(headers(&current), (false, "x-a: 1, x-all: 1".to_owned()));
    assert_eq!(route(&current, "b.test", "Prefix /").policies.response, None);

    for (map, expected) in [
        (config_map("headers", &[("X-B", "2")]), (false, "x-all: 1, x-b: 2")),
        (config_map("headers", &[]), (false, "")),
        (config_map("headers", &[("X-C", "2")]), (true, "")),
        (config_map("headers", &[("x-a", "2")]), (true, "")),
        (config_map("headers", &[("X-A", "")]), (true, "")),
        (config_map("headers", &[("X-A", "a\r\nb")]), (true, "")),
    ] {
        let dirty = apply(&mut index, map.clone());
        assert!(!dirty.needs_translation(&index, options.configmap.as_ref()));
        let part = refresh_ingresses(&index, &options, now(&current), &dirty.around, &dirty.endpoints).unwrap();
        assert_eq!(headers(&part), (expected.0, expected.1.to_owned()), "{map:?}");
        let whole = translate(&index, &options, &empty());
        assert_eq!(edgeward_routing::render::render(&part.snapshot), edgeward_routing::render::render(&whole.snapshot));
        assert_eq!(part.diagnostics, whole.diagnostics);
        current = part;
    }
    let gone = index.apply(Change::Remove(ObjectRef { kind: Kind::ConfigMap, name: name("headers") }));
    assert_eq!(gone.around.ingresses, [name("web")].into());
    assert!(headers(&translate(&index, &options, &empty())).0);
    // What the options name is theirs.
    assert!(apply(&mut index, config_map("all", &[])).needs_translation(&index, options.configmap.as_ref()));
    assert!(apply(&mut index, allowed(&[("hsts", "false")])).needs_translation(&index, options.configmap.as_ref()));
    let stranger = apply(&mut index, config_map("stranger", &[("a", "b")]));
    assert!(!stranger.needs_translation(&index, options.configmap.as_ref()) && stranger.around == Around::default());
}

#[test]
fn headers_of_another_namespace_are_not_looked_up() {
    for (allowed, is_closed) in [("false", true), ("true", false)] {
        let keys = [("global-allowed-response-headers", "X-A"), ("allow-cross-namespace-resources", allowed)];
        let options = Options { configmap: Some(name("options")), ..options() };
        let web = ingress("web").annotated("custom-headers", "other/headers").rule("a.test", &["Prefix / web"]);
        let objects = [web.object(), config_map("options", &keys), config_map("other/headers", &[("X-A", "1")])];
        let translation = translate(&Index::of(objects), &options, &empty());
        assert_eq!(route(&translation, "a.test", "Prefix /").policies.closed.is_some(), is_closed, "{allowed}");
        assert_eq!(codes(&translation).contains(&"RouteClosed"), is_closed);
    }
}

#[test]
fn certificates_that_requests_in_the_clear_need_not_show_are_told() {
    let pem = authority();
    for (annotations, has_tls, is_told) in [
        (&[][..], true, false),
        (&[], false, true),
        (&[("ssl-redirect", "false")], true, true),
        (&[("force-ssl-redirect", "true")], false, false),
        (&[("auth-tls-verify-client", "optional")], false, false),
        (&[("configuration-snippet", "deny all;")], false, false),
    ] {
        let asking = ingress("asking").annotated("auth-tls-secret", "default/ca").rule("a.test", &["Prefix / web"]);
        let asking = annotations.iter().fold(asking, |asking, (name, value)| asking.annotated(name, value));
        let asking = if has_tls { asking.tls(&["a.test"], "") } else { asking };
        let translation =
            run([asking.object(), secret("ca", &[("ca.crt", &pem)])].into_iter().chain(web("web", "10.0.0.1")));
        assert_eq!(codes(&translation).contains(&"ClientCertificateClear"), is_told, "{annotations:?} {has_tls}");
    }
}

#[test]
fn tls_is_passed_on_by_those_whose_host_it_is() {
    let options = Options { enable_ssl_passthrough: true, ..options() };
    let passed = |name: &str| ingress(name).annotated("ssl-passthrough", "true");
    let root = |ingress: Ingress| ingress.created(1).rule("a.test", &["Prefix / web"]);
    let open = || root(ingress("root"));
    let asking = |ingress: Ingress| ingress.annotated("auth-type", "basic").annotated("auth-secret", "users");
    let mutual = |ingress: Ingress| ingress.annotated("auth-tls-secret", "default/ca");
    let beside = |ingress: Ingress| ingress.created(2).rule("a.test", &["Prefix /x web"]);
    for (what, root, other, is_passed) in [
        ("its own", root(passed("root")), None, true),
        ("its own, guarded", asking(root(passed("root"))), None, true),
        ("of its namespace", open(), Some(beside(passed("other"))), true),
        ("of its namespace, guarded", asking(open()), Some(beside(passed("other"))), false),
        ("of its namespace, with client certificates", mutual(open()), Some(beside(passed("other"))), false),
        ("of its namespace, with client certificates elsewhere", open(), Some(mutual(beside(passed("other")))), false),
        ("of another namespace", open(), Some(beside(passed("theirs/other"))), false),
    ] {
        let objects = [Some(root), other].into_iter().flatten().map(Ingress::object).chain(web("web", "10.0.0.1"));
        let objects = objects.chain(web("theirs/web", "10.0.0.2"));
        let objects =
            objects.chain([secret("ca", &[("ca.crt", &authority())]), secret("users", &[("auth", b"u:{PLAIN}p")])]);
        let translation = run_with(&options, objects);
        assert_eq!(host(&translation, "a.test").passthrough.is_some(), is_passed, "{what}");
        let is_told = codes(&translation).contains(&"PassthroughIgnored");
        assert_eq!(is_told, !is_passed, "{what}");
    }
}

#[test]
fn where_tls_goes_is_up_to_the_namespace_that_has_the_host() {
    let options = Options { enable_ssl_passthrough: true, ..options() };
    let passed = |ingress: Ingress| ingress.annotated("ssl-passthrough", "true");
    let own = |path: &str| ingress("own").created(1).default_backend("rest").rule("a.test", &[path]);
    let theirs = |path: &str| ingress("theirs/other").created(2).rule("a.test", &[path]);
    let pattern = "ImplementationSpecific /.* web";
    for (what, own, theirs, backend, is_told) in [
        ("not asked", own("Prefix / web"), passed(theirs("Exact / web")), None, true),
        ("not asked", own("Exact / web"), passed(theirs("Prefix / web")), None, true),
        ("a pattern", own("Prefix / web"), passed(theirs(pattern)).annotated("use-regex", "true"), None, true),
        ("asked", passed(own("Prefix / web")), theirs("Exact / web"), Some("web"), false),
        ("asked", passed(own("Prefix / web")), passed(theirs("Exact / web")), Some("web"), true),
        ("a pattern", passed(own("Prefix / web")), theirs(pattern).annotated("use-regex", "true"), Some("web"), false),
        ("the rest", passed(own("Prefix /x web")), theirs("Exact / web"), Some("rest"), false),
        ("the rest", passed(own("Prefix /x web")), theirs("Prefix / web"), Some("rest"), false),
        (
            "certificates",
            passed(own("Prefix / web")),
            theirs("Exact / web").annotated("auth-tls-secret", "theirs/none"),
            Some("web"),
            false,
        ),
        (
            "closed",
            passed(own("Prefix / web")).annotated("configuration-snippet", "deny all;"),
            theirs("Exact / web"),
            None,
            false,
        ),
    ] {
        let objects = [own.object(), theirs.object()].into_iter().chain(web("web", "10.0.0.1"));
        let objects = objects.chain(web("rest", "10.0.0.3")).chain(web("theirs/web", "10.0.0.2"));
        let translation = run_with(&options, objects);
        let host = host(&translation, "a.test");
        let key = host.passthrough.as_ref().map(|passed| (&*passed.backend.namespace, &*passed.backend.service));
        assert_eq!(key, backend.map(|backend| ("default", backend)), "{what}");
        assert_eq!(codes(&translation).contains(&"PassthroughIgnored"), is_told, "{what}");
    }
}

#[test]
fn a_config_map_with_what_is_no_string_closes_the_routes() {
    let mut map = ConfigMap { meta: meta("headers"), data: Default::default(), unreadable: Default::default() };
    map.unreadable.insert("X-A".to_owned());
    let web = web("web", "10.0.0.1");
    let ingress = ingress("web").annotated("custom-headers", "default/headers").rule("a.test", &["Prefix / web"]);
    let translation = run([ingress.object(), Object::ConfigMap(map)].into_iter().chain(web));
    assert!(route(&translation, "a.test", "Prefix /").policies.closed.is_some());
}

fn now(translation: &Translation) -> Current<'_> {
    let Translation { snapshot, diagnostics, owned } = translation;
    Current { snapshot, diagnostics, owned }
}
