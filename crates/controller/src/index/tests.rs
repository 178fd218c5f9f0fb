#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;

use edgeward_routing::host::HostPattern;

use super::{Around, CertificateState, Dirty, Index};
use crate::change::Change;
use crate::diagnostic::Diagnostic;
use crate::object::{Kind, NamespacedName, Object, ObjectRef};
use crate::translate::fixture::{class, config_map, external, ingress, name, ready, secret, secret_for, slice, web};

fn apply(index: &mut Index, object: impl Into<Object>) -> Dirty {
    index.apply(Change::Apply(Box::new(object.into())))
}

fn remove(index: &mut Index, kind: Kind, object: &str) -> Dirty {
    index.apply(Change::Remove(ObjectRef { kind, name: name(object) }))
}

fn endpoints(services: &[&str]) -> Dirty {
    Dirty { endpoints: services.iter().map(|service| name(service)).collect(), ..Dirty::default() }
}

/// `*` is every host. Nobody says anything about the Services.
fn around(ingresses: &[&str], hosts: &[&str], services: &[&str]) -> Dirty {
    let names = |names: &[&str]| names.iter().map(|text| name(text)).collect();
    let host = |text: &&str| if *text == "*" { HostPattern::Any } else { text.parse().unwrap() };
    let hosts = hosts.iter().map(host).collect();
    let (services, named) = if ingresses.is_empty() { (services, &[][..]) } else { (&[][..], services) };
    let around = Around { ingresses: names(ingresses), hosts, services: names(services), named: names(named) };
    Dirty { around, ..Dirty::default() }
}

fn everything() -> Dirty {
    Dirty { everything: true, ..Dirty::default() }
}

fn certificate(index: &Index, secret: &str) -> Arc<edgeward_routing::certificate::Certificate> {
    match index.certificate(&name(secret)) {
        CertificateState::Good(certificate) => Arc::clone(certificate),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_must_be_listed_once() {
    let mut index = Index::new();
    for kind in Kind::ALL {
        assert!(!index.is_listed());
        index.apply(Change::Reset(kind, Vec::new()));
    }
    assert!(index.is_listed());
}

#[test]
fn what_a_former_run_knew_counts_until_the_kind_is_listed() {
    let web = || vec![ingress("web").object()];
    let mut index = Index::new();
    assert_eq!(index.apply(Change::Recall(Kind::Ingress, web())), around(&["web"], &["*"], &[]));
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Ingress) {
        assert!(!index.is_listed());
        index.apply(Change::Recall(kind, Vec::new()));
    }
    assert!(index.is_listed() && index.is_out_of_contact());
    // The same objects: nothing to rebuild, but no longer out of date.
    let dirty = Dirty { diagnostics: true, ..Dirty::default() };
    for kind in Kind::ALL {
        assert!(index.is_out_of_contact());
        let objects = if kind == Kind::Ingress { web() } else { Vec::new() };
        assert_eq!(index.apply(Change::Reset(kind, objects)), dirty);
    }
    assert!(!index.is_out_of_contact());
    // What has been listed is not recalled any more.
    assert_eq!(index.apply(Change::Recall(Kind::Ingress, Vec::new())), Dirty::default());
    assert_eq!(index.apply(Change::RecallRefused(Kind::IngressClass)), Dirty::default());
    assert_eq!(index.count(Kind::Ingress), 1);
    assert!(!index.is_refused(Kind::IngressClass));
}

/// A list that comes object by object, and a recollection in the middle of it.
#[test]
fn what_has_been_sent_is_newer_than_what_is_recalled_and_the_end_of_a_list_takes_the_rest_away() {
    let mut index = Index::new();
    let [old, new] = ["old.test", "new.test"].map(|host| ingress("web").rule(host, &["Prefix / web"]).object());
    assert_eq!(apply(&mut index, new.clone()), around(&["web"], &["new.test"], &["web"]));
    index.apply(Change::Recall(Kind::Ingress, vec![old, ingress("gone").object()]));
    let hosts = |index: &Index| index.ingresses().map(|ingress| ingress.rules.len()).collect::<Vec<_>>();
    assert_eq!(hosts(&index), [0, 1]);
    assert_eq!(index.ingress(&name("web")).unwrap().rules[0].host, "new.test");
    assert_eq!(apply(&mut index, ingress("next").object()), around(&["next"], &["*"], &[]));
    let listed = Change::Listed(Kind::Ingress, vec![name("next"), name("web")]);
    let dirty = Dirty { diagnostics: true, ..around(&["gone"], &["*"], &[]) };
    assert_eq!(index.apply(listed.clone()), dirty);
    assert_eq!(index.apply(listed), Dirty::default());
    assert_eq!(index.count(Kind::Ingress), 2);
}

#[test]
fn what_may_not_be_read_is_recalled_too() {
    let mut index = Index::new();
    index.apply(Change::Refused(Kind::Secret));
    index.apply(Change::Recall(Kind::Secret, vec![secret_for("t", &["a.test"])]));
    assert_eq!(certificate(&index, "t").names, ["a.test"]);
    index.apply(Change::Refused(Kind::Secret));
    assert!(index.is_out_of_contact());
}

/// Where a kind may never be read, that is no reason to call everything out of date for ever.
#[test]
fn of_what_may_not_be_read_and_was_not_known_nothing_is_out_of_date() {
    for changes in [
        [Change::RecallRefused(Kind::IngressClass), Change::Refused(Kind::IngressClass)],
        [Change::Recall(Kind::Secret, Vec::new()), Change::Refused(Kind::Secret)],
        [Change::Refused(Kind::Secret), Change::Recall(Kind::Secret, Vec::new())],
    ] {
        let mut index = Index::new();
        for change in changes.clone() {
            index.apply(change);
        }
        assert!(!index.is_out_of_contact(), "{changes:?}");
    }
    let mut index = Index::new();
    index.apply(Change::RecallRefused(Kind::IngressClass));
    assert!(index.is_out_of_contact(), "until the API server has said so too");
}

#[test]
fn a_change_dirties_what_it_has_an_effect_on_and_a_repetition_nothing() {
    let mut index = Index::new();
    let [service, endpoint_slice] = web("web", "10.0.0.1");
    let map = Dirty { config_maps: [name("options")].into(), ..Dirty::default() };
    let certificates = Dirty { certificates: true, ..Dirty::default() };
    for (object, dirty) in [
        (ingress("a").object(), around(&["a"], &["*"], &[])),
        (
            ingress("a").rule("a.test", &["Prefix / web"]).tls(&["*.b.test"], "t").object(),
            around(&["a"], &["a.test", "*.b.test"], &["web"]),
        ),
        (class("nginx", "x"), everything()),
        (service, around(&[], &[], &["web"])),
        (endpoint_slice, endpoints(&["web"])),
        (secret_for("t", &["a.test"]), certificates),
        (config_map("options", &[("hsts", "false")]), map),
    ] {
        assert_eq!(apply(&mut index, object.clone()), dirty, "{object:?}");
        assert_eq!(apply(&mut index, object.clone()), Dirty::default(), "again: {object:?}");
        let reference = object.reference();
        assert_eq!(index.count(reference.kind), 1);
        assert_eq!(index.apply(Change::Remove(reference.clone())), dirty, "removed: {object:?}");
        assert_eq!(index.apply(Change::Remove(reference.clone())), Dirty::default());
        assert_eq!(index.count(reference.kind), 0);
    }
}

#[test]
fn only_the_config_map_of_the_options_needs_a_translation() {
    let mut index = Index::new();
    let dirty = apply(&mut index, config_map("leader", &[("a", "b")]));
    assert!(!dirty.needs_translation(&index, None));
    assert!(!dirty.needs_translation(&index, Some(&name("options"))));
    assert!(dirty.needs_translation(&index, Some(&name("leader"))));
}

#[test]
fn a_slice_that_moves_dirties_both_services() {
    let mut index = Index::new();
    let first = slice("s", "web", ("", 80), vec![ready("10.0.0.1")]);
    apply(&mut index, Object::EndpointSlice(first.clone()));
    let moved = slice("s", "api", ("", 80), vec![ready("10.0.0.1")]);
    assert_eq!(apply(&mut index, Object::EndpointSlice(moved.clone())), endpoints(&["api", "web"]));
    assert_eq!(index.slices(&name("web")).count(), 0);
    assert_eq!(index.slices(&name("api")).collect::<Vec<_>>(), [&moved]);
    let mut annotated = moved.clone();
    annotated.meta.annotations.insert("endpoints.kubernetes.io/last-change-trigger-time".to_owned(), "x".to_owned());
    assert_eq!(apply(&mut index, Object::EndpointSlice(annotated)), Dirty::default());
    assert_eq!(remove(&mut index, Kind::EndpointSlice, "s"), endpoints(&["api"]));
}

#[test]
fn a_reset_works_by_difference() {
    let mut index = Index::new();
    let of = |names: &[&str]| -> Vec<Object> {
        let slices = names.iter().map(|name| slice(name, name, ("", 80), vec![ready("10.0.0.1")]));
        slices.map(Object::EndpointSlice).collect()
    };
    assert_eq!(index.apply(Change::Reset(Kind::EndpointSlice, of(&["a", "b"]))), endpoints(&["a", "b"]));
    assert_eq!(index.apply(Change::Reset(Kind::EndpointSlice, of(&["b", "a"]))), Dirty::default());
    assert_eq!(index.apply(Change::Reset(Kind::EndpointSlice, of(&["b", "c"]))), endpoints(&["a", "c"]));
    assert_eq!(index.count(Kind::EndpointSlice), 2);
}

#[test]
fn a_certificate_is_parsed_once_per_content() {
    let mut index = Index::new();
    let object = secret_for("t", &["a.test"]);
    apply(&mut index, object.clone());
    let first = certificate(&index, "t");
    let Object::Secret(mut annotated) = object.clone() else { unreachable!() };
    annotated.meta.annotations.insert("a".to_owned(), "b".to_owned());
    assert_eq!(apply(&mut index, Object::Secret(annotated)), Dirty::default());
    index.apply(Change::Reset(Kind::Secret, vec![object]));
    assert!(Arc::ptr_eq(&first, &certificate(&index, "t")));
    apply(&mut index, secret_for("t", &["a.test"]));
    assert!(!Arc::ptr_eq(&first, &certificate(&index, "t")));
}

#[test]
fn a_secret_that_breaks_remembers_what_it_held_until_it_is_removed() {
    let mut index = Index::new();
    let last_good = |index: &Index| match index.certificate(&name("t")) {
        CertificateState::Broken { last_good, .. } => last_good.map(Arc::clone),
        other => panic!("{other:?}"),
    };
    let garbage = |text: &str| Object::Secret(secret("t", text, text));
    apply(&mut index, secret_for("t", &["a.test"]));
    let good = certificate(&index, "t");
    apply(&mut index, garbage("garbage"));
    assert!(Arc::ptr_eq(&good, &last_good(&index).unwrap()));
    apply(&mut index, garbage("more garbage"));
    assert!(Arc::ptr_eq(&good, &last_good(&index).unwrap()));
    assert!(remove(&mut index, Kind::Secret, "t").certificates);
    assert!(matches!(index.certificate(&name("t")), CertificateState::Missing));
    apply(&mut index, garbage("garbage"));
    assert!(last_good(&index).is_none());
}

#[test]
fn external_names_are_known_while_a_service_has_them() {
    let mut index = Index::new();
    apply(&mut index, Object::Service(external("a", "Db.Example.")));
    apply(&mut index, Object::Service(external("b", "db.example")));
    apply(&mut index, Object::Service(external("c", "192.0.2.1")));
    assert_eq!(index.external_names().collect::<Vec<_>>(), ["db.example"]);
    let address = || Ok(vec!["192.0.2.7".parse().unwrap()]);
    assert_eq!(index.set_resolved("db.example", address()), endpoints(&["a", "b"]));
    assert_eq!(index.set_resolved("db.example", address()), Dirty::default());
    assert_eq!(index.set_resolved("db.example", Err("refused".to_owned())), endpoints(&["a", "b"]));
    let resolution = index.resolution("DB.example").unwrap();
    assert_eq!(resolution.addresses.len(), 1, "a failure keeps the last good answer");
    assert_eq!(resolution.failure.as_deref(), Some("refused"));
    remove(&mut index, Kind::Service, "a");
    assert_eq!(index.external_names().count(), 1);
    apply(&mut index, Object::Service(external("b", "other.example")));
    assert_eq!(index.external_names().collect::<Vec<_>>(), ["other.example"]);
    assert!(index.resolution("db.example").is_none());
    assert_eq!(index.set_resolved("db.example", address()), Dirty::default());
    assert!(index.resolution("db.example").is_none());
}

#[test]
fn the_diagnostics_of_the_source_replace_the_ones_before() {
    let mut index = Index::new();
    let diagnostic = Diagnostic {
        severity: crate::diagnostic::Severity::Error,
        code: "Unreadable",
        origin: None,
        location: None,
        message: String::new(),
        mend: String::new(),
    };
    assert!(index.apply(Change::Diagnostics(vec![diagnostic.clone()])).diagnostics);
    assert!(!index.apply(Change::Diagnostics(vec![diagnostic])).diagnostics);
    assert!(index.apply(Change::Diagnostics(Vec::new())).diagnostics);
    assert!(index.source_diagnostics().is_empty());
}

#[test]
fn an_object_without_a_namespace_is_found_by_its_name() {
    let index = Index::of([class("nginx", "k8s.io/ingress-nginx")]);
    assert_eq!(index.class("nginx").unwrap().controller, "k8s.io/ingress-nginx");
    assert_eq!(index.class("nginx").unwrap().meta.name, NamespacedName::new("", "nginx"));
    assert!(index.class("other").is_none());
}

#[test]
fn the_neighbourhood_of_a_change_is_closed() {
    let [a, b, c, d] = [
        ingress("a").rule("a.test", &["Prefix / one"]),
        ingress("b").rule("a.test", &["Prefix /b two"]).rule("b.test", &["Prefix / three"]),
        ingress("c").annotated("affinity", "cookie").rule("c.test", &["Prefix / three"]),
        ingress("d").rule("d.test", &["Prefix / four"]),
    ]
    .map(|ingress| ingress.object());
    let mut index = Index::of([a, b, c, d]);
    let edited = ingress("a").rule("A.TEST.", &["Prefix /x one"]);
    let dirty = apply(&mut index, edited.object());
    let found = index.neighbourhood(&dirty.around, 3).unwrap();
    let names = |names: &[&str]| names.iter().map(|text| name(text)).collect();
    assert_eq!(found.ingresses, names(&["a", "b", "c"]));
    assert_eq!(found.hosts, ["a.test", "b.test", "c.test"].map(|host| host.parse().unwrap()).into());
    assert_eq!(found.services, names(&["one", "two", "three"]));
    assert_eq!(index.neighbourhood(&dirty.around, 2), None, "that would be too many");
    // What it named before counts too, and what has gone is gone.
    let moved = apply(&mut index, ingress("a").rule("d.test", &["Prefix / five"]).object());
    assert_eq!(moved.around.hosts.len(), 2);
    assert_eq!(index.neighbourhood(&moved.around, 4).unwrap().ingresses.len(), 4);
    let alone = apply(&mut index, ingress("a").rule("e.test", &["Prefix / five"]).object());
    assert_eq!(index.neighbourhood(&alone.around, 4).unwrap().ingresses, names(&["a", "d"]));
}

#[test]
fn a_service_that_many_name_and_nobody_says_anything_about_joins_no_neighbours() {
    let plain = |name: &str| ingress(name).rule(&format!("{name}.test"), &["Prefix / web"]);
    let mut index = Index::of(["a", "b", "c"].map(|name| plain(name).object()));
    let names = |names: &[&str]| names.iter().map(|text| name(text)).collect::<BTreeSet<_>>();
    let around = |dirty: &Dirty, index: &Index| index.neighbourhood(&dirty.around, 9).unwrap();
    let edited = apply(&mut index, ingress("a").rule("a.test", &["Prefix /x web"]).object());
    let found = around(&edited, &index);
    assert_eq!((found.ingresses, found.services, found.named), (names(&["a"]), names(&[]), names(&["web"])));
    // As soon as one says something, and when it says nothing any more.
    for ingress in [plain("b").annotated("load-balance", "ewma"), plain("b")] {
        let discussed = apply(&mut index, ingress.object());
        let found = around(&discussed, &index);
        assert_eq!((found.ingresses, found.services), (names(&["a", "b", "c"]), names(&["web"])));
        assert!(found.named.is_empty());
    }
    // A Service that changes itself concerns all that name it.
    let [service, _] = web("web", "10.0.0.1");
    assert_eq!(around(&apply(&mut index, service), &index).ingresses.len(), 3);
}

#[test]
fn many_changes_are_as_much_as_everything() {
    let mut index = Index::new();
    let many = (0..300).map(|number| ingress(&format!("i{number}")).object()).collect();
    assert_eq!(index.apply(Change::Reset(Kind::Ingress, many)), everything());
}
