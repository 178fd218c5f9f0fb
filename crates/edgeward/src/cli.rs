//! The command line.

mod upstream;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, StyledStr, TypedValueParser, ValueParser};
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use serde_json::Value;

use crate::configuration::{self, Configuration, ENVIRONMENT_PREFIX, Options, heading};

#[cfg(test)]
mod tests;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Kubernetes ingress controller and edge proxy
///
/// Edgeward reads Ingress, Service, EndpointSlice, Secret and ConfigMap objects, of a cluster or of a directory of
/// manifests, and serves the traffic that they describe. A change takes effect for the next request; nothing is restarted.
#[derive(Debug, Parser)]
#[command(name = "edgeward", version, max_term_width = 120, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Started with a bare flag first, as in `edgeward --http-port=8080`, it is `edgeward serve`.")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the manifests of a directory, or the objects of a cluster
    #[command(after_long_help = SERVE_EXAMPLES)]
    Serve(ServeArguments),
    /// Serve example manifests with backends of its own, and print requests to try
    #[command(after_long_help = DEMO_EXAMPLES)]
    Demo(DemoArguments),
    /// Report every mistake in manifests, and where it stands
    #[command(after_long_help = CHECK_EXAMPLES)]
    Check(CheckArguments),
    /// Report what becomes of each annotation, option and flag of ingress-nginx, and what surprises in the objects
    #[command(after_long_help = AUDIT_EXAMPLES)]
    Audit(AuditArguments),
    /// Print the version
    Version,
    /// Print the completion script for a shell
    #[command(after_long_help = COMPLETION_EXAMPLES)]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_long_help = "Example:\n  edgeward man | man -l -")]
    Man,
}

const SERVE_EXAMPLES: &str = "\
Every option can also be set by an environment variable (EDGEWARD_HTTP_PORT=8080) and in the configuration file \
(http-port: 8080). A flag wins over the environment, and the environment over the file.

Signals:
  SIGTERM, SIGINT   stop: fail /readyz, accept for --shutdown-grace-period, finish requests, end.
                    A second one ends the process at once.
  SIGHUP            read the configuration file and the manifests again, and open the log again.

Examples:
  edgeward serve --manifests ./manifests --http-port 8080 --https-port 8443
  edgeward serve --manifests ./manifests --configmap ingress-nginx/ingress-nginx-controller
  edgeward serve --kubeconfig ~/.kube/config --http-port 8080 --https-port 8443 --observe
  edgeward serve --bind-address 192.0.2.10 --shutdown-grace-period 10s --drain-timeout 1m
  edgeward serve --use-proxy-protocol --proxy-protocol-trusted 10.0.0.0/8";

const DEMO_EXAMPLES: &str = "\
Examples:
  edgeward demo
  edgeward demo --http-port 9080 --https-port 9443";

const CHECK_EXAMPLES: &str = "\
Every flag of `edgeward serve` is accepted, so that a command line can be checked as it is served.

Exit code:
  0   nothing found that --fail-on names
  1   something found
  2   wrong usage, or a directory that cannot be read

Examples:
  edgeward check ./manifests
  edgeward check ./manifests --fail-on warning --configmap ingress-nginx/ingress-nginx-controller
  edgeward check ./manifests --format sarif > edgeward.sarif";

const AUDIT_EXAMPLES: &str = "\
Of manifests, or of a cluster with --kubeconfig or within a pod. Every flag of `edgeward serve` and of ingress-nginx is accepted, so \
that the command line of the controller can be audited as it is. Nothing is written.

Exit code:
  0   nothing found that --fail-on names
  1   something found
  2   wrong usage, a directory that cannot be read, or a cluster that cannot be listed

Examples:
  edgeward audit ./manifests
  edgeward audit --kubeconfig ~/.kube/config --configmap ingress-nginx/ingress-nginx-controller
  edgeward audit ./manifests --format markdown > audit.md
  edgeward audit ./manifests --format sarif --fail-on warning > audit.sarif";

const COMPLETION_EXAMPLES: &str = "\
Examples:
  edgeward completion bash > /etc/bash_completion.d/edgeward
  edgeward completion zsh > ~/.zfunc/_edgeward";

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The configuration file; /etc/edgeward/edgeward.yaml if it exists
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Every option.
    #[command(flatten)]
    pub options: Options,
    /// What the user should know about the flags that were given.
    #[arg(skip)]
    pub warnings: Vec<String>,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Print the requests to try, and end
    #[arg(long)]
    pub print_only: bool,
    /// As for `serve`.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Directories or files of manifests
    #[arg(value_name = "DIR", required_unless_present = "manifests")]
    pub paths: Vec<PathBuf>,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: ReportFormat,
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "error")]
    pub fail_on: FailOn,
    /// The same as --fail-on=warning
    #[arg(long, conflicts_with = "fail_on")]
    pub strict_warnings: bool,
    /// As for `serve`.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArguments {
    /// Directories or files of manifests
    #[arg(value_name = "DIR")]
    pub paths: Vec<PathBuf>,
    /// The form of the report
    #[arg(long, value_enum, default_value = "table")]
    pub format: AuditFormat,
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "error")]
    pub fail_on: FailOn,
    /// As for `serve`.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// The form of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// For a ticket or a pull request
    Markdown,
    /// SARIF 2.1.0, which code hosts show beside the changed lines
    Sarif,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people, with the lines of the files
    Text,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, which code hosts show beside the changed lines
    Sarif,
}

/// A severity that makes `check` and `audit` fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// What is not served as written
    Error,
    /// And what is probably not meant
    Warning,
    /// And what is worth knowing
    Info,
    /// Nothing
    Never,
}

/// Reads the command line. The environment variables are read with it.
///
/// # Errors
///
/// For what is wrong with it, and for `--help` and `--version`, which are errors that print to standard output.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| is_program_of_ingress_nginx(first)) {
        arguments.remove(1);
    }
    if arguments.get(1).is_some_and(|first| is_serve_flag(&first.to_string_lossy())) {
        arguments.insert(1, "serve".into());
    }
    let matches = command().try_get_matches_from(arguments)?;
    let warnings = matches.subcommand().map(|(_, matches)| upstream::warnings(matches)).unwrap_or_default();
    let mut command = CommandLine::from_arg_matches(&matches)?.command;
    if let Command::Serve(serve)
    | Command::Demo(DemoArguments { serve, .. })
    | Command::Check(CheckArguments { serve, .. })
    | Command::Audit(AuditArguments { serve, .. }) = &mut command
    {
        serve.warnings = warnings;
    }
    Ok(command)
}

/// Whether a first argument is the program of ingress-nginx: its chart starts the container with the path of it and the
/// flags as arguments.
fn is_program_of_ingress_nginx(first: &std::ffi::OsStr) -> bool {
    Path::new(first).file_name().is_some_and(|name| name == "nginx-ingress-controller")
}

/// Whether a first argument is a flag of `serve` rather than a command or a flag of the program itself: ingress-nginx is
/// started with flags only.
fn is_serve_flag(first: &str) -> bool {
    first.starts_with('-') && !matches!(first, "--help" | "-h" | "--version" | "-V" | "--")
}

/// The whole command, with what the derive macro cannot know of the options: environment variables, defaults in the
/// help, and the forms of booleans.
pub fn command() -> clap::Command {
    let defaults = Configuration::default().entries();
    let complete = |command: clap::Command| {
        upstream::accept(command.mut_args(|arg| complete_option(arg, &defaults))).next_line_help(false)
    };
    CommandLine::command()
        .mut_subcommand("serve", complete)
        .mut_subcommand("check", |check| show_only(complete(check), |arg| heading_is(arg, &[heading::OBJECTS])))
        .mut_subcommand("audit", |audit| {
            show_only(complete(audit), |arg| heading_is(arg, &[heading::OBJECTS, heading::CLUSTER]))
        })
        .mut_subcommand("demo", |demo| {
            show_only(complete(demo), |arg| matches!(arg.get_id().as_str(), "manifests" | "http_port" | "https_port"))
        })
}

fn complete_option(arg: Arg, defaults: &serde_json::Map<String, Value>) -> Arg {
    let id = arg.get_id().as_str().to_owned();
    let name = id.replace('_', "-");
    // clap keeps names as `&'static str`; these are as many as there are options, and live as long as the process.
    let environment = || &*format!("{ENVIRONMENT_PREFIX}{}", id.to_uppercase()).leak();
    if id == "config" {
        return arg.env(environment()).hide_env(true);
    }
    let Some(default) = defaults.get(&name) else { return arg };
    let mut arg = arg.env(environment()).hide_env(true);
    let default = default_text(default);
    if !default.is_empty() {
        let help = arg.get_help().map(StyledStr::to_string).unwrap_or_default();
        let help = help.trim_end_matches('.');
        arg = arg.help(format!("{help} [default: {default}]")).long_help(None);
    }
    if arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>() {
        // As the flags of Go programs: `--flag`, `--flag=true`, `--flag=false`, but not `--flag false`.
        arg = arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL")
            .hide_possible_values(true)
            .value_parser(bool_parser());
    }
    arg
}

fn bool_parser() -> ValueParser {
    let words = ["true", "false"].map(PossibleValue::new).into_iter();
    let others = ["1", "0", "t", "f", "T", "F", "TRUE", "FALSE", "True", "False"]
        .map(|word| PossibleValue::new(word).hide(true));
    PossibleValuesParser::new(words.chain(others)).try_map(|word| configuration::parse_bool(&word)).into()
}

/// A default as the help shows it; empty when there is nothing to show.
fn default_text(default: &Value) -> String {
    match default {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(default_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Hides the options of `serve` that `is_shown` leaves out.
fn show_only(command: clap::Command, is_shown: impl Fn(&Arg) -> bool) -> clap::Command {
    command.mut_args(|arg| {
        let hide = arg.get_help_heading().is_some() && !is_shown(&arg);
        if hide { arg.hide(true) } else { arg }
    })
}

fn heading_is(arg: &Arg, headings: &[&str]) -> bool {
    arg.get_help_heading().is_some_and(|heading| headings.contains(&heading))
}

/// The completion script of a shell.
pub fn completion(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "edgeward", &mut script);
    script
}

/// The manual page, in roff: the program, then each command with its options.
///
/// # Errors
///
/// Never in practice: writing to memory does not fail.
pub fn manual() -> std::io::Result<Vec<u8>> {
    let mut command = command();
    command.build();
    let mut page = Vec::new();
    let whole = clap_mangen::Man::new(command.clone()).manual("Edgeward Manual");
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let man = clap_mangen::Man::new(sub.clone());
        writeln_roff(&mut page, &format!(".SH EDGEWARD {}", sub.get_name().to_uppercase()));
        let mut section = Vec::new();
        man.render_description_section(&mut section)?;
        man.render_synopsis_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        page.extend(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").into_bytes());
    }
    whole.render_version_section(&mut page)?;
    Ok(page)
}

fn writeln_roff(page: &mut Vec<u8>, line: &str) {
    page.extend_from_slice(line.as_bytes());
    page.push(b'\n');
}
