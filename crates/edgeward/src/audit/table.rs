//! The audit for people: a table for each verdict, the worst first.

use std::fmt::Write as _;

use edgeward_controller::audit::{Finding, Verdict};
use edgeward_controller::diagnostic::Severity;

use super::Audit;
use crate::check::text::printable;

/// The widest column before the sentence.
const WIDEST: usize = 48;

/// Writes the tables.
pub(super) fn render(audit: &Audit, is_colored: bool) -> String {
    let mut out = String::new();
    for (verdict, findings) in audit.by_verdict() {
        let _ = writeln!(out, "{} ({})", heading(verdict, is_colored), findings.len());
        if verdict == Verdict::Honoured {
            write_honoured(&mut out, &findings);
        } else {
            write_rows(&mut out, &findings);
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{}", audit.summary());
    out
}

fn heading(verdict: Verdict, is_colored: bool) -> String {
    let text = verdict.as_str().to_uppercase();
    let code = match verdict.severity() {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
        Severity::Info => "1;32",
    };
    if is_colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
}

fn write_rows(out: &mut String, findings: &[&Finding]) {
    let columns: Vec<[String; 2]> =
        findings.iter().map(|finding| [place(finding), printable(&finding.subject)]).collect();
    let width = |at: usize| columns.iter().map(|row| row[at].chars().count()).max().unwrap_or_default().min(WIDEST);
    let (first, second) = (width(0), width(1));
    for (finding, [place, subject]) in findings.iter().zip(&columns) {
        let message = printable(&finding.diagnostic.message);
        let _ = writeln!(out, "  {place:first$}  {subject:second$}  {message}");
        if !finding.diagnostic.mend.is_empty() {
            let _ = writeln!(out, "  {:first$}  {:second$}  -> {}", "", "", printable(&finding.diagnostic.mend));
        }
    }
}

/// Each with how often it is there: that is all there is to know of what stays as it is.
fn write_honoured(out: &mut String, findings: &[&Finding]) {
    let mut subjects: Vec<&str> = findings.iter().map(|finding| finding.subject.as_str()).collect();
    subjects.sort_unstable();
    for group in subjects.chunk_by(|a, b| a == b) {
        let _ = writeln!(out, "  {} x {}", group.len(), printable(group[0]));
    }
}

/// The object, or the place in a file.
fn place(finding: &Finding) -> String {
    let origin = finding.diagnostic.origin.as_ref();
    let object = origin.map_or_else(String::new, |origin| origin.at("").to_string());
    match &finding.diagnostic.location {
        Some(at) => printable(&format!("{}:{}", at.file, at.line)),
        None => printable(&object),
    }
}
