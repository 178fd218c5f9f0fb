//! The order in which objects come, and what was there before them, change nothing.

use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::render::render;
use proptest::prelude::*;

use super::super::{Current, Options, refresh_endpoints, refresh_ingresses};
use super::{empty, options, strict};
use crate::change::Change;
use crate::index::{Dirty, Index};
use crate::object::{IngressBackend, Kind, Object, PortRef, Secret};
use crate::translate::fixture::{
    class, config_map, external, ingress, meta, name, port, ready, secret, service, slice, terminating,
};
use crate::translate::{Translation, is_same, translate};

/// The certificate is for `sec1.test` and what is below it.
const HOSTS: [&str; 6] = ["sec1.test", "b.sec1.test", "*.sec1.test", "*.test", "", "no host"];
const PATHS: [&str; 8] = ["/", "/x", "/x/", "/x/y", "bad", "/X", "/x(/|$)(.*)", "/(?!x)"];
const TYPES: [&str; 4] = ["Prefix", "Exact", "-", "Regex"];
const TARGETS: [&str; 6] = ["web", "web:http", "web:99", "api", "ext:443", "gone"];
const ANNOTATIONS: [(&str, &str); 37] = [
    ("auth-type", "Basic"),
    ("limit-rps", "10r/s"),
    ("limit-rps", "10r/s"),
    ("auth-tls-secret", "default/ca"),
    ("auth-tls-secret", "default/missing"),
    ("ssl-redirect", "false"),
    ("force-ssl-redirect", "true"),
    ("load-balance", "ewma"),
    ("upstream-hash-by", "$request_uri"),
    ("edgeward.dev/health-check", "http"),
    ("auth-url", "http://auth.test"),
    ("server-snippet", "deny all;"),
    ("canary", "true"),
    ("canary", "true"),
    ("canary-by-header", "x"),
    ("canary-weight", "30"),
    ("affinity", "cookie"),
    ("affinity", "cookie"),
    ("affinity-mode", "persistent"),
    ("affinity-canary-behavior", "legacy"),
    ("session-cookie-name", "one"),
    ("session-cookie-path", "/two"),
    ("service-upstream", "true"),
    ("proxy-body-size", "nonsense"),
    ("rewrite-traget", "/"),
    ("use-regex", "true"),
    ("rewrite-target", "/x"),
    ("rewrite-target", "/$2"),
    ("from-to-www-redirect", "true"),
    ("server-alias", "a.sec1.test,www.sec1.test"),
    ("server-alias", "a.sec1.test,b.sec1.test,sec1.test"),
    ("server-alias", "www.b.sec1.test,~^(www|a)\\.,a.*"),
    ("server-alias", "*.test"),
    ("default-backend", "web"),
    ("custom-http-errors", "404"),
    ("backend-protocol", "HTTPS"),
    ("ssl-passthrough", "true"),
];

/// One certificate for all runs, and one Secret that holds none.
const CERTIFICATE: (&str, &str) =
    (include_str!("../../certificate/fixtures/sec1.crt"), include_str!("../../certificate/fixtures/sec1.key"));

fn ingresses() -> impl Strategy<Value = Object> {
    let rule = (0..HOSTS.len(), proptest::collection::vec((0..PATHS.len(), 0..TYPES.len(), 0..TARGETS.len()), 0..4));
    let rules = proptest::collection::vec(rule, 0..3);
    let tls = proptest::collection::vec((0..HOSTS.len(), 0..4usize), 0..2);
    let head = (0..12usize, proptest::option::of(0..3i64), 0..4usize, proptest::option::of(0..TARGETS.len()));
    (head, rules, tls, proptest::collection::vec(0..ANNOTATIONS.len(), 0..4)).prop_map(
        |((number, created, class, default), rules, tls, annotations)| {
            let mut one = ingress(&format!("{}/i{number}", ["default", "a", "a-b"][number % 3]));
            one.meta.created = created;
            one.class_name = [None, None, Some("nginx".to_owned()), Some("other".to_owned())][class].clone();
            for (host, paths) in rules {
                let paths: Vec<String> = paths
                    .into_iter()
                    .map(|(path, kind, target)| format!("{} {} {}", TYPES[kind], PATHS[path], TARGETS[target]))
                    .collect();
                one = one.rule(HOSTS[host], &paths.iter().map(String::as_str).collect::<Vec<_>>());
            }
            for (host, secret) in tls {
                one = one.tls(&[HOSTS[host]], ["good", "bad", "missing", ""][secret]);
            }
            if let Some(target) = default {
                one = one.default_backend(TARGETS[target]);
            }
            for annotation in annotations {
                one = one.annotated(ANNOTATIONS[annotation].0, ANNOTATIONS[annotation].1);
            }
            one.object()
        },
    )
}

/// Ingresses which name few Services, and mostly say nothing about them.
fn sharers() -> impl Strategy<Value = Object> {
    const TARGETS: [&str; 5] = ["web", "web:99", "web:http", "api", "gone"];
    let paths = proptest::collection::vec((0..PATHS.len(), 0..TYPES.len(), 0..TARGETS.len()), 1..4);
    let default = proptest::option::weighted(0.1, 0..TARGETS.len());
    let said = prop_oneof![
        6 => Just(None),
        1 => Just(Some(("use-regex", "true"))),
        3 => (0..ANNOTATIONS.len()).prop_map(|at| Some(ANNOTATIONS[at])),
    ];
    (0..12usize, 0..20usize, proptest::option::of(0..3i64), paths, default, said).prop_map(
        |(number, host, created, paths, default, said)| {
            let host = match host {
                0..4 => format!("shared{host}.test"),
                4 => String::new(),
                _ => format!("own{number}.test"),
            };
            let mut one = ingress(&format!("i{number}"));
            for (path, kind, target) in paths {
                one = one.rule(&host, &[&format!("{} {} {}", TYPES[kind], PATHS[path], TARGETS[target])]);
            }
            one.meta.created = created;
            if let Some(target) = default {
                one = one.default_backend(TARGETS[target]);
            }
            if let Some((name, value)) = said {
                one = one.annotated(name, value);
            }
            one.object()
        },
    )
}

/// A Secret with a CA.
fn authority() -> Object {
    let data = Arc::new([("ca.crt".to_owned(), CERTIFICATE.0.as_bytes().to_vec())].into());
    Object::Secret(Secret { meta: meta("ca"), data })
}

fn others() -> impl Strategy<Value = Object> {
    prop_oneof![
        (0..3usize, 0..2usize, any::<bool>()).prop_map(|(namespace, target, has_address)| {
            let target = [Some(PortRef::Number(8080)), None][target].clone();
            let ports = vec![port("http", 80, target), port("m", 99, None)];
            let mut service = service(&format!("{}/web", ["default", "a", "a-b"][namespace]), ports);
            service.cluster_ip = has_address.then(|| [10, 96, 0, 1].into());
            Object::Service(service)
        }),
        Just(Object::Service(service("api", vec![port("", 80, None)]))),
        Just(Object::Service(external("ext", "192.0.2.1"))),
        (0..4usize, 0..3usize, proptest::collection::vec(0..6u8, 0..4)).prop_map(|(number, of, hosts)| {
            let of = ["web", "api", "nothing"][of];
            let address = |host: u8| format!("10.0.0.{host}");
            let endpoints = hosts.iter().map(|&host| match host % 3 {
                0 => terminating(&address(host)),
                _ => ready(&address(host)),
            });
            Object::EndpointSlice(slice(&format!("s{number}"), of, ("http", 8080), endpoints.collect()))
        }),
        Just(Object::Secret(secret("good", CERTIFICATE.0, CERTIFICATE.1))),
        Just(Object::Secret(secret("bad", "garbage", "garbage"))),
        Just(authority()),
        Just(class("nginx", "k8s.io/ingress-nginx")),
        Just(class("other", "else")),
        Just(config_map("options", &[("proxy-body-size", "2m"), ("nonsense", "x")])),
    ]
}

fn without_wildcards(object: &mut Object) {
    let Object::Ingress(ingress) = object else { return };
    let ingress = Arc::make_mut(ingress);
    let of_rules = ingress.rules.iter_mut().map(|rule| &mut rule.host);
    for host in of_rules.chain(ingress.tls.iter_mut().flat_map(|tls| &mut tls.hosts)) {
        if let Some(rest) = host.strip_prefix("*.") {
            *host = format!("w.{rest}");
        }
    }
}

/// Has an Ingress name hosts and Services that no other one names.
fn apart(object: &mut Object) {
    let Object::Ingress(ingress) = object else { return };
    let ingress = Arc::make_mut(ingress);
    let own = ingress.meta.name.to_string().replace('/', "-");
    for rule in &mut ingress.rules {
        rule.host = format!("{own}.{}", rule.host.trim_start_matches("*."));
        for path in rule.paths.iter_mut().flatten() {
            if let IngressBackend::Service { name, .. } = &mut path.backend {
                *name = format!("{name}-{own}");
            }
        }
    }
    ingress.default_backend = None;
    ingress.tls.clear();
}

/// Objects of which no two have the same name: of those the later would count.
fn objects() -> impl Strategy<Value = Vec<Object>> {
    let ingresses = proptest::collection::vec(ingresses(), 0..10);
    (ingresses, proptest::collection::vec(others(), 0..14)).prop_map(|(mut objects, others)| {
        objects.extend(others);
        let mut seen = std::collections::BTreeSet::new();
        objects.retain(|object| seen.insert(object.reference()));
        objects
    })
}

fn all_options() -> [Options; 2] {
    [options(), strict()].map(|options| Options { configmap: Some(name("options")), ..options })
}

/// All that a translation gives but identity.
fn all_of(translation: &Translation) -> (String, String) {
    (render(&translation.snapshot), format!("{:#?}", translation.diagnostics))
}

/// Applies changes, some of which come together, and compares what is translated around them with what everything comes to.
fn follow(objects: &[Object], changes: &[(bool, bool, Object)]) -> Result<(), TestCaseError> {
    for options in all_options() {
        let options = Options { default_backend_service: Some(name("api")), enable_ssl_passthrough: true, ..options };
        let mut index = Index::of(objects.to_vec());
        let mut current = translate(&index, &options, &empty());
        let mut dirty = Dirty::default();
        for (goes, is_last, object) in changes {
            dirty |= index.apply(match goes {
                true => Change::Remove(object.reference()),
                false => Change::Apply(Box::new(object.clone())),
            });
            if !is_last {
                continue;
            }
            let dirty = std::mem::take(&mut dirty);
            let whole = translate(&index, &options, &current.snapshot);
            prop_assert_eq!(all_of(&whole), all_of(&translate(&index, &options, &empty())));
            let is_part = !dirty.needs_translation(&index, options.configmap.as_ref());
            let of = Current { snapshot: &current.snapshot, diagnostics: &current.diagnostics, owned: &current.owned };
            let part =
                is_part.then(|| refresh_ingresses(&index, &options, of, &dirty.around, &dirty.endpoints)).flatten();
            if let Some(part) = part {
                prop_assert_eq!(all_of(&part), all_of(&whole));
                prop_assert_eq!(&part.owned, &whole.owned);
                prop_assert_eq!(part.snapshot.generation, whole.snapshot.generation);
                let again = translate(&index, &options, &part.snapshot).snapshot;
                let certificates = part.snapshot.certificates.clone();
                prop_assert!(is_same(&part.snapshot, &Snapshot { certificates, ..again }), "nothing is new after it");
                current = part;
            } else {
                current = whole;
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_order_of_objects_changes_no_byte(
        (objects, shuffled) in objects().prop_flat_map(|objects| (Just(objects.clone()), Just(objects).prop_shuffle()))
    ) {
        for options in all_options() {
            let first = translate(&Index::of(objects.clone()), &options, &empty());
            let second = translate(&Index::of(shuffled.clone()), &options, &first.snapshot);
            prop_assert_eq!(all_of(&first), all_of(&second));
            prop_assert!(is_same(&first.snapshot, &Snapshot {
                certificates: first.snapshot.certificates.clone(),
                ..second.snapshot
            }), "the same objects, so the same parts");
        }
    }

    /// Objects come, change and go in any order; what is translated on top of what was there before is what would have
    /// been translated from nothing.
    #[test]
    fn what_was_there_before_changes_no_byte(
        before in objects(),
        after in objects(),
        by_reset in any::<bool>(),
    ) {
        for options in all_options() {
            let mut index = Index::of(before.clone());
            let first = translate(&index, &options, &empty());
            if by_reset {
                for kind in Kind::ALL {
                    let of_kind = after.iter().filter(|object| object.kind() == kind).cloned().collect();
                    index.apply(Change::Reset(kind, of_kind));
                }
            } else {
                for object in &before {
                    index.apply(Change::Remove(object.reference()));
                }
                for object in &after {
                    index.apply(Change::Apply(Box::new(object.clone())));
                }
            }
            let second = translate(&index, &options, &first.snapshot);
            let fresh = translate(&Index::of(after.clone()), &options, &empty());
            prop_assert_eq!(all_of(&second), all_of(&fresh));
        }
    }

    /// What is around changes is all that they have an effect on, however they come together and follow each other.
    #[test]
    fn a_refresh_of_ingresses_is_a_translation(
        mut objects in objects(),
        mut changes in proptest::collection::vec(
            (any::<bool>(), any::<bool>(), prop_oneof![ingresses(), others()]), 1..8),
        has_wildcards in any::<bool>(),
        are_apart in 0..4usize,
    ) {
        let all = objects.iter_mut().chain(changes.iter_mut().map(|(_, _, object)| object));
        for (place, object) in all.enumerate() {
            // A change to a wildcard host may be one to every host below it.
            if !has_wildcards {
                without_wildcards(object);
            }
            if place % 4 < are_apart {
                apart(object);
            }
        }
        follow(&objects, &changes)?;
    }

    /// The same for many that name the same few Services, where what one leaves others may go on using.
    #[test]
    fn a_refresh_of_ingresses_that_share_services_is_a_translation(
        objects in proptest::collection::vec(sharers(), 4..16),
        changes in proptest::collection::vec((any::<bool>(), any::<bool>(), prop_oneof![6 => sharers(), 1 => others()]), 1..16),
    ) {
        let ports = || vec![port("http", 80, None), port("m", 99, None)];
        let services = ["web", "api"].map(|name| Object::Service(service(name, ports())));
        let objects: Vec<_> = objects.into_iter().chain(services).collect();
        follow(&objects, &changes)?;
    }

    #[test]
    fn a_refresh_of_endpoints_is_a_translation(
        (objects, slices) in (objects(), proptest::collection::vec(others(), 0..6)),
    ) {
        for options in all_options() {
            let mut index = Index::of(objects.clone());
            let first = translate(&index, &options, &empty());
            let mut dirty = Dirty::default();
            for slice in slices.iter().filter(|object| object.kind() == Kind::EndpointSlice) {
                dirty |= index.apply(Change::Apply(Box::new(slice.clone())));
            }
            let refreshed = refresh_endpoints(&index, &options, &first.snapshot, &dirty.endpoints);
            let whole = translate(&index, &options, &first.snapshot);
            prop_assert_eq!(render(&refreshed.snapshot), render(&whole.snapshot));
        }
    }
}
