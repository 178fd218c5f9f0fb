//! The report as SARIF 2.1.0 (OASIS standard), which code hosts and editors read.

use std::fmt::Write as _;

use edgeward_controller::diagnostic::{Diagnostic, Severity};
use serde_json::{Value, json};

use super::report::Report;
use crate::cli::VERSION;

/// The report as one SARIF log with one run.
pub(crate) fn render(report: &Report) -> Value {
    let mut codes: Vec<&str> = report.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| json!({ "id": code, "name": code })).collect();
    let results: Vec<Value> = report.diagnostics.iter().map(|diagnostic| result(diagnostic, &codes)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "edgeward",
                "semanticVersion": VERSION,
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(diagnostic: &Diagnostic, codes: &[&str]) -> Value {
    let text = if diagnostic.mend.is_empty() {
        format!("{}.", diagnostic.message)
    } else {
        format!("{}. Mend: {}", diagnostic.message, diagnostic.mend)
    };
    let mut result = json!({
        "ruleId": diagnostic.code,
        "ruleIndex": codes.binary_search(&diagnostic.code).unwrap_or(0),
        "level": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        },
        "message": { "text": text },
    });
    let mut location = serde_json::Map::new();
    if let Some(at) = &diagnostic.location {
        location.insert(
            "physicalLocation".to_owned(),
            json!({
                "artifactLocation": { "uri": uri(&at.file) },
                "region": { "startLine": at.line.max(1), "startColumn": at.column.max(1) },
            }),
        );
    }
    if let Some(origin) = &diagnostic.origin {
        location.insert("logicalLocations".to_owned(), json!([{ "fullyQualifiedName": origin.to_string() }]));
    }
    if !location.is_empty() {
        result["locations"] = json!([location]);
    }
    result
}

/// A path as a URI reference (RFC 3986 section 4.1): relative paths stay relative, so that a code host finds them from
/// the root of the repository.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            uri.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
