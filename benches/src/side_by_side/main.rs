//! CPU time per request of Edgeward beside nginx, HAProxy, Envoy, Traefik and Caddy, in one interleaved run on one machine.
//!
//! `cargo run --release -p edgeward-benches --bin side-by-side -- --help`. How it measures, and how to read what it
//! prints, is in `benches/README.md`.

mod answer;
mod args;
mod churn;
mod client;
mod cold_start;
mod cpu;
mod floor;
mod grpc;
mod large_table;
mod load;
mod manifests;
mod measure;
mod memory;
mod network;
mod origin;
mod packages;
mod peers;
mod plot;
mod probe;
mod process;
mod report;
mod row;
mod site;
mod statistics;
mod subject;
mod websocket;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::args::{Args, Role};

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.role {
        Some(Role::Origin { listen }) => origin::serve(*listen),
        Some(Role::GrpcOrigin { listen }) => grpc::serve(*listen),
        Some(Role::Floor { listen, to }) => floor::serve(*listen, *to),
        None => compare(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side-by-side: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures all rows, or reads what was measured; then writes the table to standard output, and the files that were asked for.
fn compare(args: &Args) -> Result<()> {
    let report = match &args.render {
        Some(file) => {
            let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no result", file.display()))?
        }
        None => {
            let rows = row::select(&args.rows)?;
            packages::require(&args.subjects)?;
            network::enter(args)?;
            process::pin_self(&args.client_cpus)?;
            measure::all(args, &rows)?
        }
    };
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(directory) = &args.plots {
        plot::write(&report, directory)?;
    }
    std::io::stdout().lock().write_all(report::markdown::markdown(&report).as_bytes())?;
    Ok(())
}
