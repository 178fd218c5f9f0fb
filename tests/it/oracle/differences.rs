//! The listed differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use edgeward_tests::edgeward::is_on_pingora;
use serde::Deserialize;

use super::compare::UNRECORDED;

/// Why something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Edgeward is meant to do otherwise.
    Deliberate,
    /// It may be none: the recording lacks what to compare with.
    Unrecorded,
}

/// Requests of a case that differ.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    case: String,
    requests: Vec<usize>,
    aspects: Vec<String>,
    pub(super) kind: Kind,
    /// The engine that it is a difference of, where the other one has none.
    engine: Option<Engine>,
    reason: String,
}

/// An engine for which differences may be listed that are not the other one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    Pingora,
}

/// ConfigMap options that a case gets in addition.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Adaptation {
    cases: Vec<String>,
    configmap: BTreeMap<String, String>,
    reason: String,
}

/// `differences.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Differences {
    adapted: Vec<Adaptation>,
    differences: Vec<Difference>,
}

impl Difference {
    /// Whether the engine that is tested has it.
    fn applies(&self) -> bool {
        self.engine != Some(Engine::Pingora) || is_on_pingora()
    }

    pub(super) fn aspects(&self) -> BTreeSet<&str> {
        self.aspects.iter().map(String::as_str).collect()
    }
}

impl Differences {
    pub(super) fn load(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let this: Self = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let reasons = this.differences.iter().map(|entry| &entry.reason);
        for reason in reasons.chain(this.adapted.iter().map(|entry| &entry.reason)) {
            assert!(reason.len() > 10, "{}: {reason:?} is no reason", file.display());
        }
        for entry in &this.differences {
            let lacks = entry.aspects.iter().all(|aspect| aspect == UNRECORDED);
            let is_listed_as_that = lacks == (entry.kind == Kind::Unrecorded);
            assert!(is_listed_as_that, "{}: {} is of the wrong kind", file.display(), entry.case);
        }
        let listed: usize = this.listed().map(|entry| entry.requests.len()).sum();
        assert_eq!(this.requests().len(), listed, "{}: a request is listed twice", file.display());
        this
    }

    pub(super) fn of(&self, case: &str, request: usize) -> Option<&Difference> {
        self.listed().find(|entry| entry.case == case && entry.requests.contains(&request))
    }

    fn listed(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|entry| entry.applies())
    }

    /// All requests that are listed.
    pub(super) fn requests(&self) -> BTreeSet<(&str, usize)> {
        let of = |entry: &'_ Difference| entry.requests.clone();
        self.listed().flat_map(|entry| of(entry).into_iter().map(|request| (entry.case.as_str(), request))).collect()
    }

    pub(super) fn adapted(&self, case: &str) -> BTreeMap<String, String> {
        self.adapted
            .iter()
            .filter(|entry| entry.cases.iter().any(|id| id == case))
            .flat_map(|entry| entry.configmap.clone())
            .collect()
    }

    /// The page of the docs that tells them, beside the number of requests that are the `same` of `all` as far as was recorded.
    pub(super) fn page(&self, all: usize, same: usize) -> String {
        let of_kind = |kind| self.differences.iter().filter(move |entry| entry.kind == kind);
        let unrecorded: usize = of_kind(Kind::Unrecorded).map(|entry| entry.requests.len()).sum();
        let mut page = format!(
            "# Differences from ingress-nginx\n\n<!-- Generated from tests/oracle/differences.yaml by the test that replays the \
             recording; EDGEWARD_UPDATE_DOCS=1 writes it anew. -->\n\nThe tests replay {all} requests whose answers by \
             ingress-nginx 1.15.1 were recorded, with what it sent to the applications. {same} of them are answered and \
             passed on exactly alike, in every aspect that was recorded; of {unrecorded} of these the recording lacks an \
             aspect, as listed below. So are all others, and what differs with `--fast-path=false` only:\n"
        );
        for (kind, title, column) in [
            (Kind::Deliberate, "Deliberate", "differs in"),
            (Kind::Unrecorded, "Alike as far as was recorded", "cannot be compared"),
        ] {
            let mut by_reason: BTreeMap<&str, Vec<&Difference>> = BTreeMap::new();
            for entry in of_kind(kind) {
                by_reason.entry(&entry.reason).or_default().push(entry);
            }
            let _ = write!(page, "\n## {title}\n\n| what and why | {column} | recorded requests |\n|---|---|---|\n");
            for (reason, entries) in by_reason {
                let aspects: BTreeSet<&str> = entries.iter().flat_map(|entry| entry.aspects()).collect();
                let requests = entries.iter().map(|entry| {
                    let requests: Vec<_> = entry.requests.iter().map(usize::to_string).collect();
                    format!("{} ({})", entry.case, requests.join(", "))
                });
                let (aspects, requests) = (Vec::from_iter(aspects).join(", "), Vec::from_iter(requests).join(", "));
                let _ = writeln!(page, "| {reason} | {aspects} | {requests} |");
            }
        }
        page.push_str("\n## Replayed with another configuration\n\n| cases | configuration | why |\n|---|---|---|\n");
        for Adaptation { cases, configmap, reason } in &self.adapted {
            let options: Vec<_> = configmap.iter().map(|(key, value)| format!("`{key}: {value}`")).collect();
            let _ = writeln!(page, "| {} | {} | {reason} |", cases.join(", "), options.join(", "));
        }
        page
    }
}
