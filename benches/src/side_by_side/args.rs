//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::subject::Kind;

/// CPU time per request of Edgeward beside its peers, in one interleaved run.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Rounds per row, of those that start proxies of their own 3 at most. In each, every proxy is measured twice, in the order
    /// A B C, C B A.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,

    /// Seconds per measurement; a warm-up of a second before each is not counted.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub(crate) seconds: u32,

    /// Rows to measure, separated by commas; all by default. An unknown name lists the known ones.
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<String>,

    /// Proxies to measure, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "edgeward,nginx,haproxy,envoy,traefik,caddy,floor")]
    pub(crate) subjects: Vec<Kind>,

    /// Where to write all numbers as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Where to write bar charts of all rows, as SVG.
    #[arg(long, value_name = "DIR")]
    pub(crate) plots: Option<PathBuf>,

    /// Measure nothing: the numbers are those of a file that `--json` has written.
    #[arg(long, value_name = "FILE")]
    pub(crate) render: Option<PathBuf>,

    /// The Edgeward to measure; the one that was built beside this program by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) edgeward: Option<PathBuf>,

    /// Hosts that Edgeward routes; requests are for one of them.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) hosts: u32,

    /// Requests per second of the rows with a constant rate: no more than half of what the slowest proxy can take.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,

    /// The processor core of the proxies, one at work at a time.
    #[arg(long, default_value_t = 0)]
    pub(crate) proxy_cpu: u32,

    /// The processor cores of the load generator and the origin, as `taskset -c` takes them.
    #[arg(long, default_value = "1")]
    pub(crate) client_cpus: String,

    /// The congestion control of the run's own network, which is Linux's default whatever the host's is; `host` measures in the
    /// host's network with the host's.
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    pub(crate) congestion_control: String,

    /// Given by this program to itself when it is in that network.
    #[arg(long, hide = true)]
    pub(crate) in_own_network: bool,

    /// Keep rounds in which something else ran on the proxy's core, instead of dropping them.
    #[arg(long)]
    pub(crate) keep_noisy: bool,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What this program also is, started by itself, so that each part is a process of its own and pinned like the others.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Role {
    /// The HTTP server behind the proxies.
    #[command(hide = true)]
    Origin {
        /// The address to listen on.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// The gRPC server behind the proxies.
    #[command(hide = true)]
    GrpcOrigin {
        /// The address to listen on.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// The TCP forwarder that no proxy in user space can undercut.
    #[command(hide = true)]
    Floor {
        /// The address to listen on.
        #[arg(long)]
        listen: SocketAddr,
        /// The address to forward to.
        #[arg(long)]
        to: SocketAddr,
    },
}
