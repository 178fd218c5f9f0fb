//! What `check` found, before it takes a form.

use std::collections::BTreeMap;

use edgeward_controller::diagnostic::{Diagnostic, Severity};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::FailOn;

/// The diagnostics with what was looked at.
#[derive(Debug, Default)]
pub struct Report {
    /// Sorted: by file and line, then the ones without a place.
    pub diagnostics: Vec<Diagnostic>,
    /// How many files were read.
    pub files: usize,
    /// How many objects of each watched kind were read.
    pub objects: BTreeMap<&'static str, usize>,
    /// How many objects of each other kind were left alone, by `apiVersion Kind`.
    pub skipped: BTreeMap<String, usize>,
}

/// How many diagnostics there are of each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
    /// The rest.
    pub infos: usize,
}

impl Report {
    /// Puts the diagnostics in the order of a reader: through each file from top to bottom.
    pub fn sort(&mut self) {
        self.diagnostics.sort_by(|a, b| {
            let place = |diagnostic: &Diagnostic| (diagnostic.location.is_none(), diagnostic.location.clone());
            place(a).cmp(&place(b)).then_with(|| a.cmp(b))
        });
        self.diagnostics.dedup();
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        self.diagnostics.iter().fold(Counts::default(), |mut counts, diagnostic| {
            match diagnostic.severity {
                Severity::Error => counts.errors += 1,
                Severity::Warning => counts.warnings += 1,
                Severity::Info => counts.infos += 1,
            }
            counts
        })
    }

    /// Whether a diagnostic is as severe as `fail_on`, or more.
    pub fn fails(&self, fail_on: FailOn) -> bool {
        let Counts { errors, warnings, infos } = self.counts();
        match fail_on {
            FailOn::Never => false,
            FailOn::Error => errors > 0,
            FailOn::Warning => errors + warnings > 0,
            FailOn::Info => errors + warnings + infos > 0,
        }
    }
}

/// A diagnostic as JSON: the same for `check --format json` and the administration pages.
pub fn diagnostic_json(diagnostic: &Diagnostic) -> Value {
    let origin = diagnostic.origin.as_ref();
    json!({
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "mend": diagnostic.mend,
        "object": origin.map(|origin| json!({
            "kind": origin.kind,
            "namespace": &*origin.namespace,
            "name": &*origin.name,
        })),
        "field": origin.map(|origin| origin.field.as_str()).filter(|field| !field.is_empty()),
        "location": diagnostic.location,
    })
}
