//! `edgeward check`: every mistake in manifests, found by the same code that serves them.

pub mod report;
pub(crate) mod sarif;
pub(crate) mod text;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use edgeward_controller::directory::{self, Excerpts};
use edgeward_controller::index::Index;
use edgeward_controller::translate::translate;
use edgeward_routing::Snapshot;
use serde_json::json;

use self::report::{Report, diagnostic_json};
use crate::cli::{CheckArguments, FailOn, ReportFormat};
use crate::configuration::{Configuration, Options, Sources, default_file};
use crate::{logging, wiring};

#[cfg(test)]
mod tests;

/// Runs the command. The exit code is 0 when nothing is as severe as asked for, else 1.
///
/// # Errors
///
/// If the configuration is wrong, or a directory cannot be read.
pub fn run(arguments: CheckArguments) -> anyhow::Result<ExitCode> {
    let CheckArguments { paths, format, fail_on, strict_warnings, serve } = arguments;
    let fail_on = if strict_warnings { FailOn::Warning } else { fail_on };
    // The paths of the command line are what is checked, whatever the file says.
    let named = Options { manifests: (!paths.is_empty()).then_some(paths), ..Options::default() };
    let sources = Sources {
        flags: named.over(serve.options),
        file: serve.config.or_else(default_file),
        defaults: Options::default(),
    };
    let report = examine(&sources.read()?)?;
    let rendered = match format {
        ReportFormat::Text => {
            let mut excerpts = Excerpts::default();
            let is_colored = std::io::stdout().is_terminal() && !logging::no_color();
            text::render(&report, is_colored, |at| excerpts.line(at))
        }
        ReportFormat::Json => format!("{:#}\n", json_document(&report)),
        ReportFormat::Sarif => format!("{:#}\n", sarif::render(&report)),
    };
    std::io::stdout().lock().write_all(rendered.as_bytes())?;
    Ok(if report.fails(fail_on) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Reads and translates the manifests of a configuration.
///
/// # Errors
///
/// If one of the directories cannot be read.
pub fn examine(configuration: &Configuration) -> anyhow::Result<Report> {
    let loaded = directory::load(&configuration.manifests)?;
    let options = wiring::controller_options(configuration, Some(wiring::generate_certificate()?));
    let mut report = Report { files: loaded.files.len(), skipped: loaded.skipped, ..Report::default() };
    for object in &loaded.objects {
        *report.objects.entry(object.kind().name()).or_default() += 1;
    }
    let index = Index::of(loaded.objects);
    let translation = translate(&index, &options, &Snapshot::empty(Default::default()));
    report.diagnostics = loaded.diagnostics;
    report.diagnostics.extend(translation.diagnostics);
    loaded.locator.complete(&mut report.diagnostics);
    report.sort();
    Ok(report)
}

fn json_document(report: &Report) -> serde_json::Value {
    json!({
        "diagnostics": report.diagnostics.iter().map(diagnostic_json).collect::<Vec<_>>(),
        "counts": report.counts(),
        "files": report.files,
        "objects": report.objects,
        "skipped": report.skipped,
    })
}
