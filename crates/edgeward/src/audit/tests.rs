#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_controller::parse::parse;
use edgeward_controller::translate::Options as ControllerOptions;
use insta::assert_snapshot;

use super::*;

/// What users of ingress-nginx have: an application with a guard, a rewrite, a slip and a snippet, and another team's Ingress on the
/// same host.
const MANIFESTS: &str = include_str!("tests/manifests.yaml");

fn audited() -> Audit {
    let parsed = parse("manifests.yaml", MANIFESTS).unwrap();
    let mut index = Index::of(parsed.objects.into_iter().map(|placed| placed.object));
    index.apply(Change::Skipped(parsed.skipped));
    let configmap = Some(edgeward_controller::object::NamespacedName::new("ingress-nginx", "ingress-nginx-controller"));
    let options = ControllerOptions { configmap, ..ControllerOptions::for_directory() };
    let translation = translate(&index, &options, &Snapshot::empty(Default::default()));
    let mut findings = audit(&index, &options, &translation);
    findings.push(Finding::elsewhere(Verdict::Ignored, "--v", "FlagIgnored", "--v has no effect here".to_owned(), ""));
    Audit { findings, ingresses: index.count(Kind::Ingress) }
}

#[test]
fn the_table_shows_the_worst_first_and_counts_what_is_honoured() {
    assert_snapshot!(table::render(&audited(), false));
}

#[test]
fn the_markdown_has_a_section_for_each_verdict() {
    let text = markdown::render(&audited());
    assert_snapshot!(text);
    // No cell breaks out of its row.
    for line in text.lines().filter(|line| line.starts_with('|')) {
        assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
    }
}

#[test]
fn every_annotation_and_option_has_exactly_one_verdict() {
    let audit = audited();
    let annotations = MANIFESTS.matches("nginx.ingress.kubernetes.io/").count();
    let of_annotations = audit.findings.iter().filter(|finding| {
        let origin = finding.diagnostic.origin.as_ref();
        origin.is_some_and(|origin| origin.field.starts_with("metadata.annotations["))
    });
    assert_eq!(of_annotations.count(), annotations);
    assert_eq!(audit.counts().values().sum::<usize>(), audit.findings.len());
}

#[test]
fn the_document_names_verdict_and_object_of_each_finding() {
    let document = document(&audited());
    for finding in document["findings"].as_array().unwrap() {
        assert!(finding["verdict"].is_string() && finding["subject"].is_string(), "{finding}");
    }
    assert_eq!(document["ingresses"], 3);
}

#[test]
fn only_what_is_bad_enough_fails() {
    let audit = audited();
    assert!(audit.report().fails(crate::cli::FailOn::Error));
    let good = Audit { findings: Vec::new(), ingresses: 1 };
    assert!(!good.report().fails(crate::cli::FailOn::Info));
    assert_eq!(good.summary(), "nothing of ingress-nginx; 1 Ingress");
}
