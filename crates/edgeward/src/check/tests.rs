#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_controller::diagnostic::{Diagnostic, FileLocation, Severity};
use edgeward_controller::directory::Excerpt;
use edgeward_routing::origin::Origin;
use insta::assert_snapshot;
use serde_json::Value;

use super::*;

const FILE: &str = "\
kind: Ingress
spec:
  tls:
    - secretName: web-tls   # the shop's
  rules:
    - host: \"a b\"
";

fn at(line: u64, column: u64) -> Option<FileLocation> {
    Some(FileLocation { file: "k8s/shop web.yaml".to_owned(), line, column })
}

fn report() -> Report {
    let ingress = Origin::object("Ingress", "shop", "web");
    let diagnostic = |severity, code, field: &str, message: &str, mend: &str, location| Diagnostic {
        location,
        ..Diagnostic::new(severity, code, ingress.at(field), message, mend)
    };
    let mut report = Report {
        diagnostics: vec![
            diagnostic(Severity::Info, "ForeignClass", "spec", "another class", "", None),
            diagnostic(
                Severity::Error,
                "HostInvalid",
                "spec.rules[0].host",
                "a host has no space",
                "write one",
                at(6, 13),
            ),
            diagnostic(
                Severity::Warning,
                "RemovedApiVersion",
                "",
                "it is of a removed version",
                "write it so:\nkind: Ingress\n  spec: {}",
                at(1, 1),
            ),
            diagnostic(
                Severity::Error,
                "SecretNotFound",
                "spec.tls[0].secretName",
                "Secret shop/web-tls does not exist",
                "create it",
                at(4, 19),
            ),
            Diagnostic {
                severity: Severity::Error,
                code: "Unreadable",
                origin: None,
                location: at(99, 1),
                message: "\u{1b}[31mred".to_owned(),
                mend: String::new(),
            },
        ],
        files: 2,
        objects: [("Ingress", 3), ("Service", 1)].into(),
        skipped: [("apps/v1 Deployment".to_owned(), 4)].into(),
    };
    report.sort();
    report
}

fn line_of(at: &FileLocation) -> Option<Excerpt> {
    let text = FILE.lines().nth(usize::try_from(at.line).unwrap() - 1)?.to_owned();
    Some(Excerpt { text, before: usize::try_from(at.column).unwrap() - 1 })
}

#[test]
fn text_shows_each_place_with_a_caret() {
    assert_snapshot!(text::render(&report(), false, line_of));
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = text::render(&report(), true, line_of);
    assert!(coloured.contains("\x1b[1;31merror[HostInvalid]\x1b[0m"), "{coloured}");
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, text::render(&report(), false, line_of));
}

#[test]
fn nothing_found_is_said_too() {
    assert_eq!(text::render(&Report::default(), false, line_of), "nothing to report; 0 files with no objects\n");
}

#[test]
fn json_has_every_part() {
    assert_snapshot!(format!("{:#}", json_document(&report())));
}

#[test]
fn sarif_is_one_run_whose_results_point_at_rules_and_places() {
    let log = sarif::render(&report());
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "edgeward");
    assert!(run["tool"]["driver"]["informationUri"].as_str().unwrap().starts_with("https://"));
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
    }
    let secret = run["results"].as_array().unwrap().iter().find(|r| r["ruleId"] == "SecretNotFound").unwrap();
    let place = &secret["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "k8s/shop%20web.yaml");
    assert_eq!((&place["region"]["startLine"], &place["region"]["startColumn"]), (&4.into(), &19.into()));
    assert_snapshot!(format!("{:#}", secret));
}

#[test]
fn the_exit_code_follows_the_severity_that_was_asked_for() {
    let of = |severity| {
        let origin = Origin::object("Ingress", "a", "b");
        Report { diagnostics: vec![Diagnostic::new(severity, "X", origin, "m", "n")], ..Report::default() }
    };
    let table = [
        (Severity::Error, [true, true, true, false]),
        (Severity::Warning, [false, true, true, false]),
        (Severity::Info, [false, false, true, false]),
    ];
    for (severity, expected) in table {
        let found = [FailOn::Error, FailOn::Warning, FailOn::Info, FailOn::Never].map(|on| of(severity).fails(on));
        assert_eq!(found, expected, "{severity:?}");
    }
}

fn examine_text(manifests: &str) -> (tempfile::TempDir, Report) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.yaml"), manifests).unwrap();
    let configuration = Configuration { manifests: vec![directory.path().to_owned()], ..Configuration::default() };
    let report = examine(&configuration).unwrap();
    (directory, report)
}

#[test]
fn a_mistake_is_found_where_it_stands() {
    let (_directory, report) = examine_text(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec:\n  defaultBackend:\n    \
         service:\n      name: nothing\n      port: {number: 80}\n",
    );
    let found = report.diagnostics.iter().find(|diagnostic| diagnostic.code == "ServiceNotFound").unwrap();
    let at = found.location.as_ref().unwrap();
    assert!(at.file.ends_with("a.yaml"), "{at:?}");
    assert_eq!(at.line, 7);
    assert!(report.fails(FailOn::Error));
    assert_eq!((report.files, report.objects["Ingress"]), (1, 1));
}

#[test]
fn the_values_of_a_secret_are_in_no_report() {
    let (_directory, report) = examine_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  tls.key: '%%hunter2%%'\n  tls.crt: hunter2!\n",
    );
    assert!(!report.diagnostics.is_empty());
    let mut excerpts = Excerpts::default();
    let text = text::render(&report, false, |at| excerpts.line(at));
    let json: Value = json_document(&report);
    for rendered in [text, json.to_string(), sarif::render(&report).to_string()] {
        assert!(!rendered.contains("hunter2"), "{rendered}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let configuration = Configuration { manifests: vec!["/nonexistent/k8s".into()], ..Configuration::default() };
    assert!(examine(&configuration).unwrap_err().to_string().contains("/nonexistent/k8s"));
}
