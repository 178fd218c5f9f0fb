//! What is measured: Edgeward, its peers and the floor, each a process with one worker on the proxy's core.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::args::Args;
use crate::probe;
use crate::process::{Process, pinned};
use crate::site::Site;
use crate::{cpu, packages, row};

const NGINX: &str = include_str!("../../peers/nginx.conf");
const HAPROXY: &str = include_str!("../../peers/haproxy.cfg");
const ENVOY: &str = include_str!("../../peers/envoy.yaml");
const TRAEFIK: &str = include_str!("../../peers/traefik.yaml");
const TRAEFIK_ROUTES: &str = include_str!("../../peers/traefik-routes.yaml");
const CADDY: &str = include_str!("../../peers/Caddyfile");

/// How long a proxy may take from its start to its first right answer.
const START: Duration = Duration::from_secs(60);

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
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
    /// Its resident memory when it had started.
    pub(crate) resident_kib: u64,
}

/// Starts the origin on the client's cores.
pub(crate) fn start_origin(site: &Site, args: &Args) -> Result<Process> {
    let own = std::env::current_exe()?;
    let mut command = pinned(&args.client_cpus, own);
    command.args(["origin", "--listen", &site.origin.to_string()]);
    let log = site.path("origin.log");
    let mut process = Process::start(&mut command, &log)?;
    wait(&mut process, "the origin", site, &log, || probe::plain(site.origin, site, &row::ROWS[0]).map(drop))?;
    Ok(process)
}

/// Starts a proxy on the proxy's core and waits until it answers right.
pub(crate) fn start(kind: Kind, site: &Site, args: &Args) -> Result<Subject> {
    let http = site.free_address()?;
    let https = if kind == Kind::Floor { None } else { Some(site.free_address()?) };
    let (program, version_argument, arguments) = command(kind, site, args, http, https)?;
    let log = site.path(&format!("{}.log", kind.name()));
    let mut process = Process::start(pinned(&args.proxy_cpu.to_string(), &program).args(arguments), &log)?;
    wait(&mut process, kind.name(), site, &log, || {
        probe::plain(http, site, &row::ROWS[0])?;
        https.map_or(Ok(()), |https| probe::tls(https, site, &row::ROWS[0]).map(drop))
    })?;
    let version = version_argument.map_or_else(String::new, |argument| packages::version(&program, argument));
    let resident_kib = cpu::resident_kib(&process.family());
    Ok(Subject { kind, version, process, http, https, resident_kib })
}

/// The program, the argument that asks its version, and the arguments that start it.
fn command(
    kind: Kind,
    site: &Site,
    args: &Args,
    http: SocketAddr,
    https: Option<SocketAddr>,
) -> Result<(PathBuf, Option<&'static str>, Vec<OsString>)> {
    let peer = |program: &str| packages::find(program).with_context(|| format!("{program} is gone"));
    let file = |name: &str, template: &str| -> Result<OsString> {
        let port = |address: SocketAddr| address.port().to_string();
        let text = template
            .replace("@DIR@", &site.path("").to_string_lossy())
            .replace("@ORIGIN_PORT@", &port(site.origin))
            .replace("@HTTP_PORT@", &port(http))
            .replace("@HTTPS_PORT@", &https.map(port).unwrap_or_default());
        Ok(site.write(name, &text)?.into())
    };
    Ok(match kind {
        Kind::Nginx => (peer("nginx")?, Some("-v"), vec!["-c".into(), file("nginx.conf", NGINX)?]),
        Kind::Haproxy => (peer("haproxy")?, Some("-v"), vec!["-db".into(), "-f".into(), file("haproxy.cfg", HAPROXY)?]),
        Kind::Envoy => {
            let arguments = ["--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id", "-c"];
            let arguments = arguments.map(OsString::from).into_iter().chain([file("envoy.yaml", ENVOY)?]);
            (packages::from_pypi("envoy")?, Some("--version"), arguments.collect())
        }
        Kind::Traefik => {
            file("traefik-routes.yaml", TRAEFIK_ROUTES)?;
            let configuration = ["--configfile=".into(), file("traefik.yaml", TRAEFIK)?].join("".as_ref());
            (packages::from_pypi("traefik")?, Some("version"), vec![configuration])
        }
        Kind::Caddy => {
            let arguments = ["run", "--adapter", "caddyfile", "--config"].map(OsString::from).into_iter();
            (packages::from_pypi("caddy")?, Some("version"), arguments.chain([file("Caddyfile", CADDY)?]).collect())
        }
        Kind::Floor => {
            let arguments = ["floor", "--listen", &http.to_string(), "--to", &site.origin.to_string()];
            (std::env::current_exe()?, None, arguments.map(OsString::from).into())
        }
        Kind::Edgeward => {
            let mut arguments: Vec<OsString> =
                vec!["serve".into(), "--manifests".into(), site.path("manifests").into()];
            let port = |address: SocketAddr| address.port().to_string();
            let options = [
                ("--workers", "1".to_owned()),
                ("--bind-address", http.ip().to_string()),
                ("--http-port", port(http)),
                ("--https-port", https.map(port).unwrap_or_default()),
                ("--healthz-port", port(site.free_address()?)),
                ("--admin-address", site.free_address()?.to_string()),
                ("--healthz-host", http.ip().to_string()),
                ("--access-log", "off".to_owned()),
                // As the peers have it.
                ("--keepalive-requests", "0".to_owned()),
                // An empty one, rather than what this machine may have.
                ("--config", site.write("edgeward.yaml", "")?.display().to_string()),
            ];
            arguments.extend(options.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
            (edgeward(args)?, Some("version"), arguments)
        }
    })
}

/// The Edgeward to measure.
fn edgeward(args: &Args) -> Result<PathBuf> {
    let program = match &args.edgeward {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("edgeward"),
    };
    if program.is_file() {
        return Ok(program);
    }
    bail!("there is no {}: run `cargo build --release -p edgeward` first", program.display())
}

/// Probes until it succeeds, or the process has ended, or time is up.
fn wait(process: &mut Process, name: &str, site: &Site, log: &Path, probe: impl Fn() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + START;
    loop {
        let Err(error) = probe() else { return Ok(()) };
        if !process.is_running() {
            bail!("{name} does not start:\n{}", site.log(log));
        }
        if Instant::now() > deadline {
            return Err(error).with_context(|| format!("{name} does not answer right; its log:\n{}", site.log(log)));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
