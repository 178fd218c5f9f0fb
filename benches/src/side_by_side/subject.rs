//! What is measured: Edgeward, its peers and the floor, each a process with one worker on the proxy's core.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::peers::{self, Addresses, Peer};
use crate::process::{Process, pinned};
use crate::row::{Protocol, Request, SMALL};
use crate::site::{Site, Target};
use crate::{cpu, grpc, packages, probe, site};

/// How long a proxy may take from its start to its first right answer.
const START: Duration = Duration::from_secs(180);

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// This project.
    Edgeward,
    /// Debian's nginx.
    Nginx,
    /// Debian's HAProxy.
    Haproxy,
    /// Envoy, as PyPI has it.
    Envoy,
    /// Traefik, as PyPI has it.
    Traefik,
    /// Caddy, as PyPI has it.
    Caddy,
    /// A forwarder of bytes.
    Floor,
}

impl Kind {
    /// Its name in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Edgeward => "Edgeward",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Traefik => "Traefik",
            Self::Caddy => "Caddy",
            Self::Floor => "floor",
        }
    }

    /// Whether it is what Edgeward is compared with.
    pub(crate) const fn is_peer(self) -> bool {
        !matches!(self, Self::Edgeward | Self::Floor)
    }
}

/// A proxy that runs and has answered.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Which one.
    pub(crate) kind: Kind,
    /// What it says of itself.
    pub(crate) version: String,
    /// Its process.
    pub(crate) process: Process,
    /// Where it takes plain HTTP.
    pub(crate) http: SocketAddr,
    /// Where it takes TLS; the floor does not.
    pub(crate) https: Option<SocketAddr>,
    /// Where it says whether it is ready; only Edgeward does.
    pub(crate) health: Option<SocketAddr>,
    log: PathBuf,
    /// Its resident memory when it had started.
    pub(crate) resident_kib: u64,
}

impl Subject {
    /// What a load on it is for.
    pub(crate) fn target<'s>(&self, site: &'s Site, request: Request) -> Result<Target<'s>> {
        let address = if request.tls { self.https.context("it does not speak TLS")? } else { self.http };
        Ok(site.target(address, request))
    }

    /// Probes, with a pause in between, until that succeeds.
    pub(crate) fn wait(&mut self, site: &Site, pause: Duration, probe: impl Fn() -> Result<()>) -> Result<()> {
        wait(&mut self.process, self.kind.name(), pause, site, &self.log, probe)
    }
}

/// Starts an origin on the client's cores.
pub(crate) fn start_origin(site: &Site, args: &Args, listen: SocketAddr) -> Result<Process> {
    start_server("origin", site, args, &site.target(listen, SMALL))
}

/// Starts the server of calls on the client's cores.
pub(crate) fn start_grpc_origin(site: &Site, args: &Args) -> Result<Process> {
    let request = Request { protocol: Protocol::Grpc, path: grpc::PATH, ..SMALL };
    start_server("grpc-origin", site, args, &site.target(site.origins.grpc, request))
}

fn start_server(role: &str, site: &Site, args: &Args, target: &Target<'_>) -> Result<Process> {
    let mut command = pinned(&args.client_cpus, std::env::current_exe()?);
    command.args([role, "--listen", &target.address.to_string()]);
    let log = site.path(&format!("{role}-{}.log", target.address.port()));
    let mut process = Process::start(&mut command, &log)?;
    wait(&mut process, role, Duration::from_millis(20), site, &log, || probe::ask(target).map(drop))?;
    Ok(process)
}

/// Starts a proxy on the proxy's core and waits until it answers right, at that path.
pub(crate) fn start(kind: Kind, site: &Site, args: &Args, path: &'static str) -> Result<Subject> {
    let mut subject = spawn(kind, site, args)?;
    let (http, https) = (subject.http, subject.https);
    subject.wait(site, Duration::from_millis(20), || {
        probe::ask(&site.target(http, Request { path, ..SMALL }))?;
        let Some(https) = https else { return Ok(()) };
        probe::ask(&site.target(https, Request { tls: true, path, ..SMALL })).map(drop)
    })?;
    subject.resident_kib = cpu::resident_kib(&subject.process.family());
    Ok(subject)
}

/// Starts a proxy on the proxy's core and does not wait.
pub(crate) fn spawn(kind: Kind, site: &Site, args: &Args) -> Result<Subject> {
    let http = site::free_address()?;
    let https = if kind == Kind::Floor { None } else { Some(site::free_address()?) };
    let health = if kind == Kind::Edgeward { Some(site::free_address()?) } else { None };
    let Peer { program, version, arguments } = peers::command(kind, site, args, Addresses { http, https, health })?;
    let version = version.map_or_else(String::new, |argument| packages::version(&program, argument));
    let log = site.path(&format!("{}.log", kind.name()));
    let process = Process::start(pinned(&args.proxy_cpu.to_string(), &program).args(arguments), &log)?;
    Ok(Subject { kind, version, process, http, https, health, log, resident_kib: 0 })
}

/// Probes until that succeeds, or the process has ended, or time is up.
fn wait(
    process: &mut Process,
    name: &str,
    pause: Duration,
    site: &Site,
    log: &Path,
    probe: impl Fn() -> Result<()>,
) -> Result<()> {
    let deadline = Instant::now() + START;
    loop {
        let Err(error) = probe() else { return Ok(()) };
        if !process.is_running() {
            bail!("{name} does not start:\n{}", site.log(log));
        }
        if Instant::now() > deadline {
            return Err(error).with_context(|| format!("{name} does not answer right; its log:\n{}", site.log(log)));
        }
        std::thread::sleep(pause);
    }
}
