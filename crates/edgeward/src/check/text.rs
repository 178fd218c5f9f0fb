//! The report for people: each diagnostic with the line it is about and a caret under the place.

use std::fmt::Write as _;

use edgeward_controller::diagnostic::{Diagnostic, FileLocation, Severity};
use edgeward_controller::directory::Excerpt;

use super::report::{Counts, Report};

/// Writes the report. `excerpt` gives the line of a place as it may be shown.
pub(super) fn render(
    report: &Report,
    is_colored: bool,
    mut excerpt: impl FnMut(&FileLocation) -> Option<Excerpt>,
) -> String {
    let mut out = String::new();
    for diagnostic in &report.diagnostics {
        let line = diagnostic.location.as_ref().and_then(&mut excerpt);
        write_diagnostic(&mut out, diagnostic, line.as_ref(), Palette { is_colored });
        out.push('\n');
    }
    write_summary(&mut out, report);
    out
}

#[derive(Clone, Copy)]
struct Palette {
    is_colored: bool,
}

impl Palette {
    fn paint(self, code: &str, text: &str) -> String {
        if self.is_colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn severity(self, severity: Severity, text: &str) -> String {
        self.paint(
            match severity {
                Severity::Error => "1;31",
                Severity::Warning => "1;33",
                Severity::Info => "1;36",
            },
            text,
        )
    }

    fn frame(self, text: &str) -> String {
        self.paint("34", text)
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn write_diagnostic(out: &mut String, diagnostic: &Diagnostic, line: Option<&Excerpt>, palette: Palette) {
    let head = format!("{}[{}]", severity_name(diagnostic.severity), diagnostic.code);
    let message = printable(&diagnostic.message);
    line_of(out, &format!("{}: {}", palette.severity(diagnostic.severity, &head), palette.paint("1", &message)));
    let gutter = match &diagnostic.location {
        Some(at) => write_excerpt(out, at, line, diagnostic.severity, palette),
        None => 1,
    };
    let indent = " ".repeat(gutter);
    let equals = palette.frame("=");
    if let Some(origin) = &diagnostic.origin {
        line_of(out, &format!("{indent} {equals} in: {}", printable(&origin.to_string())));
    }
    if !diagnostic.mend.is_empty() {
        // A mend may show a whole object: its further lines are indented under the first.
        let mut lines = diagnostic.mend.lines();
        line_of(out, &format!("{indent} {equals} mend: {}", printable(lines.next().unwrap_or_default())));
        for line in lines {
            line_of(out, format!("{indent}   {}", printable(line)).trim_end());
        }
    }
}

/// Writes the place and, when it is known, the line with its caret. Returns the width of the line number.
fn write_excerpt(
    out: &mut String,
    at: &FileLocation,
    line: Option<&Excerpt>,
    severity: Severity,
    palette: Palette,
) -> usize {
    let number = at.line.to_string();
    let indent = " ".repeat(number.len());
    let place = format!("{}:{}:{}", printable(&at.file), at.line, at.column);
    line_of(out, &format!("{indent}{} {place}", palette.frame("-->")));
    if let Some(Excerpt { text, before }) = line {
        let line = printable(text);
        let before = *before;
        let carets = palette.severity(severity, &"^".repeat(token_width(&line, before)));
        let bar = palette.frame("|");
        line_of(out, &format!("{indent} {bar}"));
        line_of(out, format!("{} {bar} {line}", palette.frame(&number)).trim_end());
        line_of(out, &format!("{indent} {bar} {}{carets}", " ".repeat(before)));
    }
    number.len()
}

/// How many characters the key or value has that starts after `before` characters; at least 1.
fn token_width(line: &str, before: usize) -> usize {
    let rest: Vec<char> = line.chars().skip(before).collect();
    let width = match rest.first() {
        Some(quote @ ('"' | '\'')) => {
            rest.iter().skip(1).position(|c| c == quote).map_or(rest.len(), |closing| closing + 2)
        }
        _ => rest
            .iter()
            .enumerate()
            .position(|(index, c)| {
                c.is_whitespace()
                    || matches!(c, ',' | ']' | '}')
                    || (*c == ':' && rest.get(index + 1).is_none_or(|next| next.is_whitespace()))
            })
            .unwrap_or(rest.len()),
    };
    width.max(1)
}

/// Text from a file without what a terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

fn write_summary(out: &mut String, report: &Report) {
    let Counts { errors, warnings, infos } = report.counts();
    let mut found: Vec<String> = Vec::new();
    for (count, one, many) in [(errors, "error", "errors"), (warnings, "warning", "warnings"), (infos, "note", "notes")]
    {
        if count > 0 {
            found.push(format!("{count} {}", if count == 1 { one } else { many }));
        }
    }
    let found = if found.is_empty() { "nothing to report".to_owned() } else { found.join(", ") };
    let files = if report.files == 1 { "1 file".to_owned() } else { format!("{} files", report.files) };
    let listed = |counts: &mut dyn Iterator<Item = (&str, usize)>| {
        counts.map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    };
    let objects =
        listed(&mut report.objects.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (*name, *count)));
    let objects = if objects.is_empty() { "no objects".to_owned() } else { objects };
    line_of(out, &format!("{found}; {files} with {objects}"));
    if !report.skipped.is_empty() {
        let skipped = listed(&mut report.skipped.iter().map(|(name, count)| (name.as_str(), *count)));
        line_of(out, &format!("left alone: {}", printable(&skipped)));
    }
}

fn line_of(out: &mut String, line: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{line}");
}
