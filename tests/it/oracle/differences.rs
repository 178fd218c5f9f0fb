//! The listed differences.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

/// Why something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Edgeward is meant to do otherwise.
    Deliberate,
    /// The replay cannot show it, or the recording is about nginx and not about its behaviour.
    Artefact,
}

/// Requests of a case that differ.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    case: String,
    requests: Vec<usize>,
    aspects: Vec<String>,
    pub(super) kind: Kind,
    reason: String,
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
    /// Cases of what is not built yet, by group.
    later: BTreeMap<String, Vec<String>>,
    differences: Vec<Difference>,
}

impl Difference {
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
        let listed: usize = this.differences.iter().map(|entry| entry.requests.len()).sum();
        assert_eq!(this.requests().len(), listed, "{}: a request is listed twice", file.display());
        this
    }

    pub(super) fn of(&self, case: &str, request: usize) -> Option<&Difference> {
        self.differences.iter().find(|entry| entry.case == case && entry.requests.contains(&request))
    }

    /// All requests that are listed.
    pub(super) fn requests(&self) -> BTreeSet<(&str, usize)> {
        let of = |entry: &'_ Difference| entry.requests.clone();
        self.differences
            .iter()
            .flat_map(|entry| of(entry).into_iter().map(|request| (entry.case.as_str(), request)))
            .collect()
    }

    /// The cases of what is not built yet, none of which has been seen to differ.
    pub(super) fn later(&self) -> BTreeMap<&str, bool> {
        self.later.values().flatten().map(|case| (case.as_str(), false)).collect()
    }

    pub(super) fn adapted(&self, case: &str) -> BTreeMap<String, String> {
        self.adapted
            .iter()
            .filter(|entry| entry.cases.iter().any(|id| id == case))
            .flat_map(|entry| entry.configmap.clone())
            .collect()
    }
}
