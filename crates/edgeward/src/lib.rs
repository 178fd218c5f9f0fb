//! The Edgeward process: command line, configuration, wiring, administration.
//!
//! It is the only crate that knows both the controller, which makes snapshots, and the proxy, which serves them.

pub mod admin;
pub mod audit;
pub mod check;
pub mod cli;
pub mod configuration;
pub mod demo;
#[cfg(test)]
mod fixture;
pub mod health;
pub mod logging;
pub mod metrics;
mod niceness;
pub mod serve;
pub mod trace;
pub mod wiring;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use cli::Command;

/// The exit code for wrong usage and for what cannot be read or bound.
const EXIT_FAILED: u8 = 2;

/// Runs the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match cli::parse(arguments) {
        Ok(command) => command,
        Err(error) => {
            // A closed standard output is nobody's concern here.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS };
        }
    };
    match execute(command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "edgeward: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Version => print(format!("edgeward {}\n", cli::VERSION).as_bytes()),
        Command::Completion { shell } => print(&cli::completion(shell)),
        Command::Man => print(&cli::manual()?),
    }
}

fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    std::io::stdout().lock().write_all(text)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the reader of standard output went away, as `head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
