//! The audit as Markdown, for a ticket or a pull request.

use std::fmt::Write as _;

use edgeward_controller::audit::{Finding, Verdict};

use super::Audit;

/// Writes a section for each verdict, the worst first.
pub(super) fn render(audit: &Audit) -> String {
    let mut out = format!("# Audit\n\n{}.\n", escaped(&audit.summary()));
    for (verdict, findings) in audit.by_verdict() {
        let _ = write!(out, "\n## {} ({})\n\n{}\n\n", title(verdict), findings.len(), meaning(verdict));
        out.push_str("| object | what | what happens | what to do |\n|---|---|---|---|\n");
        for finding in findings {
            let Finding { subject, diagnostic, .. } = finding;
            let object = diagnostic.origin.as_ref().map_or_else(String::new, |origin| origin.at("").to_string());
            let cells = [&object, subject, &diagnostic.message, &diagnostic.mend].map(|cell| escaped(cell));
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    out
}

fn title(verdict: Verdict) -> String {
    let mut letters = verdict.as_str().chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

const fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Honoured => "It does what it did.",
        Verdict::Differs => "It does something else than before.",
        Verdict::Surprise => "It is served as by ingress-nginx, which is not what most people expect.",
        Verdict::Ignored => "It has no effect.",
        Verdict::Unknown => "Nobody knows it.",
        Verdict::Invalid => "It has no meaning.",
        Verdict::Refused => "It will not be done, and what it is about answers 503.",
        Verdict::Leftover => "It is left of ingress-nginx, and would break the switch.",
    }
}

/// Text that stays within the cell of a table.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' => out.push_str("\\|"),
            '<' => out.push_str("&lt;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
