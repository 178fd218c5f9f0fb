//! Whose Ingresses they are, and in which order they count.

use super::super::{EDGEWARD_CONTROLLER, Options};
use super::{options, routes, run_with, strict};
use crate::diagnostic::Severity;
use crate::object::{Ingress, Object};
use crate::translate::fixture::{class, ingress};

const NGINX: &str = "k8s.io/ingress-nginx";

/// A case, its options, the Ingress, the classes there are, and why it is not ours.
type Case = (&'static str, Options, Ingress, Vec<Object>, Option<(Severity, &'static str)>);

#[test]
fn an_ingress_is_ours_by_its_class() {
    let cluster = || Options { class_objects_required: true, watch_ingress_without_class: false, ..options() };
    let directory = options;
    let by_name = || Options { ingress_class_by_name: true, ..cluster() };
    let watching = || Options { watch_ingress_without_class: true, ..cluster() };
    let own_name = || Options { ingress_class: "edge".to_owned(), ..cluster() };
    let plain = || ingress("a").rule("a.test", &["Prefix / web"]);
    let named = |name: &str| plain().class(name);
    let annotated = |name: &str| plain().annotated("kubernetes.io/ingress.class", name);
    let (warning, info) = (Severity::Warning, Severity::Info);
    let table: [Case; 18] = [
        ("the controller's", cluster(), named("x"), vec![class("x", NGINX)], None),
        ("Edgeward's own", cluster(), named("x"), vec![class("x", EDGEWARD_CONTROLLER)], None),
        ("another's", cluster(), named("x"), vec![class("x", "other")], Some((info, "ForeignClass"))),
        ("another's of our name", cluster(), named("nginx"), vec![class("nginx", "y")], Some((info, "ForeignClass"))),
        ("that one, by name", by_name(), named("nginx"), vec![class("nginx", "y")], None),
        ("by another name", by_name(), named("x"), vec![class("x", "y")], Some((info, "ForeignClass"))),
        ("ours, not there", cluster(), named("nginx"), vec![], Some((warning, "ClassNotFound"))),
        ("another, not there", cluster(), named("x"), vec![], Some((info, "ClassNotFound"))),
        ("by name, not there", by_name(), named("nginx"), vec![], Some((warning, "ClassNotFound"))),
        ("in a directory, not there", directory(), named("nginx"), vec![], None),
        ("in a directory, another's", directory(), named("x"), vec![class("x", "y")], Some((info, "ForeignClass"))),
        ("in a directory, unknown", directory(), named("x"), vec![], Some((info, "ClassNotFound"))),
        ("by annotation", cluster(), annotated("nginx"), vec![], None),
        ("by another annotation", cluster(), annotated("x"), vec![], Some((info, "ForeignClass"))),
        ("by a name of its own", own_name(), annotated("edge"), vec![], None),
        ("the field counts", cluster(), annotated("nginx").class("x"), vec![], Some((info, "ClassNotFound"))),
        ("none", cluster(), plain(), vec![], Some((info, "NoClass"))),
        ("none, watched", watching(), plain(), vec![], None),
    ];
    for (name, options, ingress, mut objects, expected) in table {
        objects.push(ingress.object());
        let translation = run_with(&options, objects);
        assert_eq!(translation.snapshot.routes.is_empty(), expected.is_some(), "{name}");
        let said: Vec<_> = translation.diagnostics.iter().map(|d| (d.severity, d.code)).collect();
        let expected: Vec<_> = expected.map_or_else(|| vec![(Severity::Error, "ServiceNotFound")], |one| vec![one]);
        assert_eq!(said, expected, "{name}");
    }
}

/// Which of two Ingresses gets a path that both want.
fn winner(options: &Options, a: Ingress, b: Ingress) -> String {
    let pair = [a.rule("a.test", &["Prefix / a"]), b.rule("a.test", &["Prefix / b"])];
    let translation = run_with(options, pair.map(Ingress::object));
    let [line] = &routes(&translation)[..] else { panic!("{:?}", routes(&translation)) };
    line.chars().rev().nth(3).unwrap().to_string()
}

#[test]
fn the_oldest_ingress_wins() {
    for options in [options(), strict()] {
        assert_eq!(winner(&options, ingress("x").created(1), ingress("y").created(2)), "a");
        assert_eq!(winner(&options, ingress("x").created(2), ingress("y").created(1)), "b");
        assert_eq!(winner(&options, ingress("x"), ingress("y").created(2)), "b", "without a time it is the youngest");
        assert_eq!(winner(&options, ingress("x").created(-5), ingress("y").created(0)), "a");
    }
}

#[test]
fn of_the_same_second_the_last_name_wins_and_under_strict_the_first() {
    // Compared as `namespace/name`: `-` sorts before `/`.
    for (first, last) in [("n/a", "n/b"), ("a/z", "b/a"), ("a-b/c", "a/b")] {
        for created in [None, Some(7)] {
            let at = |name: &str| {
                let one = ingress(name);
                created.map_or_else(|| ingress(name), |at| one.created(at))
            };
            assert_eq!(winner(&options(), at(first), at(last)), "b", "{first} {last}");
            assert_eq!(winner(&options(), at(last), at(first)), "a", "{first} {last}");
            assert_eq!(winner(&strict(), at(first), at(last)), "a", "{first} {last}");
            assert_eq!(winner(&strict(), at(last), at(first)), "b", "{first} {last}");
        }
    }
}
