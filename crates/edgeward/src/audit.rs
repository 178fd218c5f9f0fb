//! `edgeward audit`: what becomes of a configuration of ingress-nginx, before anything is switched.

mod markdown;
mod table;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use edgeward_controller::audit::{Finding, Verdict, audit, webhook};
use edgeward_controller::change::Change;
use edgeward_controller::diagnostic::Diagnostic;
use edgeward_controller::directory;
use edgeward_controller::index::Index;
use edgeward_controller::kubernetes::{KubernetesSource, connect, nginx_webhooks};
use edgeward_controller::object::Kind;
use edgeward_controller::translate::translate;
use edgeward_routing::Snapshot;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::check::report::{Report, diagnostic_json};
use crate::check::sarif;
use crate::cli::{AuditArguments, AuditFormat};
use crate::configuration::{Configuration, Options, Source, Sources, default_file};
use crate::{logging, wiring};

#[cfg(test)]
mod tests;

/// How long a cluster may take to list everything.
const LISTING: Duration = Duration::from_secs(60);

/// What was found, and of how much.
#[derive(Debug, Default)]
pub struct Audit {
    /// The findings.
    pub findings: Vec<Finding>,
    /// How many Ingresses were looked at.
    pub ingresses: usize,
}

/// Runs the command. The exit code is 0 when nothing is as severe as asked for, else 1.
///
/// # Errors
///
/// If the configuration is wrong, a directory cannot be read, or a cluster cannot be listed.
pub fn run(arguments: AuditArguments) -> anyhow::Result<ExitCode> {
    let AuditArguments { paths, format, fail_on, serve } = arguments;
    let named = Options { manifests: (!paths.is_empty()).then_some(paths), ..Options::default() };
    let sources = Sources {
        flags: named.over(serve.options),
        file: serve.config.or_else(default_file),
        defaults: Options::default(),
    };
    let audit = examine(&sources.read()?, &serve.warnings)?;
    let rendered = match format {
        AuditFormat::Table => table::render(&audit, std::io::stdout().is_terminal() && !logging::no_color()),
        AuditFormat::Json => format!("{:#}\n", document(&audit)),
        AuditFormat::Markdown => markdown::render(&audit),
        AuditFormat::Sarif => format!("{:#}\n", sarif::render(&audit.report())),
    };
    std::io::stdout().lock().write_all(rendered.as_bytes())?;
    Ok(if audit.report().fails(fail_on) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Looks over the objects of a configuration. `warnings` is what is said of its flags.
///
/// # Errors
///
/// If a directory cannot be read, or a cluster cannot be listed.
pub fn examine(configuration: &Configuration, warnings: &[String]) -> anyhow::Result<Audit> {
    let options = wiring::controller_options(configuration, Some(wiring::generate_certificate()?));
    let mut audited = Audit::default();
    let (index, locator) = match configuration.source {
        Source::Kubernetes => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (index, leftover) = runtime.block_on(list(configuration))?;
            audited.findings.extend(leftover);
            (index, None)
        }
        Source::Auto | Source::Manifests => {
            let loaded = directory::load(&configuration.manifests)?;
            let mut index = Index::of(loaded.objects);
            index.apply(Change::Skipped(loaded.skipped));
            (index, Some(loaded.locator))
        }
    };
    audited.ingresses = index.count(Kind::Ingress);
    let translation = translate(&index, &options, &Snapshot::empty(Default::default()));
    audited.findings.extend(audit(&index, &options, &translation));
    let flag = |warning: &String| {
        let name = warning.split_whitespace().next().unwrap_or_default();
        Finding::elsewhere(Verdict::Ignored, name, "FlagIgnored", warning.clone(), "leave it out")
    };
    audited.findings.extend(warnings.iter().map(flag));
    if let Some(locator) = locator {
        let mut diagnostics: Vec<Diagnostic> =
            audited.findings.iter().map(|finding| finding.diagnostic.clone()).collect();
        locator.complete(&mut diagnostics);
        for (finding, diagnostic) in audited.findings.iter_mut().zip(diagnostics) {
            finding.diagnostic = diagnostic;
        }
    }
    Ok(audited)
}

/// Lists what is watched of a cluster, and looks for what would outlive ingress-nginx there.
async fn list(configuration: &Configuration) -> anyhow::Result<(Index, Option<Finding>)> {
    let kubeconfig = Some(&configuration.kubeconfig).filter(|path| **path != PathBuf::new());
    let (client, server) = connect(kubeconfig).await?;
    let leftover = match nginx_webhooks(&client).await {
        Ok(names) if names.is_empty() => None,
        Ok(names) => Some(webhook(&format!("in the cluster, `{}`", names.join("`, `")))),
        Err(error) => Some(Finding::elsewhere(
            Verdict::Ignored,
            "ValidatingWebhookConfiguration",
            "WebhooksUnread",
            format!("whether a validating webhook of ingress-nginx is left cannot be read: {error}"),
            "look for it by hand, or let this user list them",
        )),
    };
    let (observations, _observed) = mpsc::unbounded_channel();
    let (changes, mut received) = mpsc::channel(1024);
    let source = KubernetesSource::new(client, wiring::source_options(configuration), observations, None);
    let contact = source.contact();
    let watching = tokio::spawn(source.run(changes));
    let mut index = Index::new();
    let listed = timeout(LISTING, async {
        while !index.is_listed() {
            match received.recv().await {
                Some(change) => _ = index.apply(change),
                None => bail!("the watches of {server} ended"),
            }
        }
        Ok(())
    });
    let listed = listed.await;
    watching.abort();
    listed.with_context(|| {
        let unlisted = contact.unlisted();
        let kinds: Vec<_> = unlisted.iter().map(|one| format!("{} ({})", one.kind.name(), one.error)).collect();
        format!("{server} did not list everything within {} s: {}", LISTING.as_secs(), kinds.join("; "))
    })??;
    Ok((index, leftover))
}

impl Audit {
    /// How many findings there are of each verdict.
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts: BTreeMap<_, _> = Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect();
        for finding in &self.findings {
            *counts.entry(finding.verdict).or_default() += 1;
        }
        counts
    }

    /// The findings as diagnostics, without those that are as they should be.
    fn report(&self) -> Report {
        let worth = self.findings.iter().filter(|finding| finding.verdict != Verdict::Honoured);
        let mut report =
            Report { diagnostics: worth.map(|finding| finding.diagnostic.clone()).collect(), ..Report::default() };
        report.sort();
        report
    }

    /// The findings from the worst to the best, and within a verdict in their order.
    fn by_verdict(&self) -> impl Iterator<Item = (Verdict, Vec<&Finding>)> {
        Verdict::ALL.into_iter().rev().filter_map(|verdict| {
            let found: Vec<_> = self.findings.iter().filter(|finding| finding.verdict == verdict).collect();
            (!found.is_empty()).then_some((verdict, found))
        })
    }

    /// `3 refused, 1 unknown, 40 honoured; 12 Ingresses`
    fn summary(&self) -> String {
        let counts = self.counts();
        let found: Vec<_> = counts.iter().rev().filter(|(_, count)| **count > 0).collect();
        let found: Vec<_> = found.into_iter().map(|(verdict, count)| format!("{count} {}", verdict.as_str())).collect();
        let found = if found.is_empty() { "nothing of ingress-nginx".to_owned() } else { found.join(", ") };
        let ingresses = if self.ingresses == 1 { "Ingress" } else { "Ingresses" };
        format!("{found}; {} {ingresses}", self.ingresses)
    }
}

fn document(audit: &Audit) -> Value {
    let finding = |finding: &Finding| {
        let mut value = diagnostic_json(&finding.diagnostic);
        value["verdict"] = json!(finding.verdict.as_str());
        value["subject"] = json!(finding.subject);
        value
    };
    let counts: BTreeMap<_, _> = audit.counts().into_iter().map(|(verdict, count)| (verdict.as_str(), count)).collect();
    json!({
        "findings": audit.findings.iter().map(finding).collect::<Vec<_>>(),
        "counts": counts,
        "ingresses": audit.ingresses,
    })
}
