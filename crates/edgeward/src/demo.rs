//! `edgeward demo`: the proxy over example manifests, with backends of its own in the same process.

mod echo;
mod requests;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use axum::http::StatusCode;
use edgeward_controller::directory;
use edgeward_controller::object::{NamespacedName, Object};
use tokio::net::TcpListener;

use self::echo::EchoBackend;
use self::requests::Place;
use crate::cli::DemoArguments;
use crate::configuration::{Configuration, Options, Period, Reference, Sources};
use crate::{logging, serve};

#[cfg(test)]
mod tests;

/// Where the example manifests are, from the root of the repository.
const MANIFESTS: &str = "config/demo";

/// Runs the command until a signal ends it.
///
/// # Errors
///
/// If the manifests are not there, or an address cannot be listened on.
pub fn run(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    let DemoArguments { print_only, serve: arguments } = arguments;
    let sources = Sources { flags: arguments.options, file: arguments.config, defaults: defaults() };
    let configuration = sources.read()?;
    let manifests = single(&configuration.manifests)?.to_owned();
    if print_only {
        print_requests(&manifests, configuration.http_port, configuration.https_port)?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = logging::start(configuration.log_format, configuration.log_level)?;
    let backends = backends(&configuration)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("echo")
        .enable_all()
        .build()
        .context("cannot start a thread for the backends")?;
    runtime.block_on(start(&backends))?;
    let (http, https) = (configuration.http_port, configuration.https_port);
    let code = serve::serve(sources, configuration, log, |_| {
        if let Err(error) = print_welcome(&backends, &manifests, http, https) {
            tracing::warn!(%error, "cannot print the requests to try");
        }
    });
    runtime.shutdown_background();
    code
}

/// What the demonstration does differently: ports that need no privilege, on this machine only.
fn defaults() -> Options {
    Options {
        manifests: Some(vec![PathBuf::from(MANIFESTS)]),
        bind_address: Some(vec![Ipv4Addr::LOCALHOST.into()]),
        http_port: Some(8080),
        https_port: Some(8443),
        healthz_host: Some(Ipv4Addr::LOCALHOST.into()),
        default_backend_service: Some(Reference(Some(NamespacedName::new("demo", "default-backend")))),
        drain_timeout: Some(Period::seconds(5)),
        ..Options::default()
    }
}

fn single(manifests: &[PathBuf]) -> anyhow::Result<&Path> {
    match manifests {
        [one] => {
            ensure!(
                one.is_dir(),
                "there is no directory {}; run this from the root of the repository, or name a copy of config/demo \
                 with --manifests",
                one.display()
            );
            Ok(one)
        }
        _ => anyhow::bail!("the demonstration takes one --manifests directory"),
    }
}

/// A backend for every endpoint on a loopback address: the manifests alone say which there are.
fn backends(configuration: &Configuration) -> anyhow::Result<BTreeMap<SocketAddr, EchoBackend>> {
    let loaded = directory::load(&configuration.manifests)?;
    let mut backends = BTreeMap::new();
    for object in loaded.objects {
        let Object::EndpointSlice(slice) = object else { continue };
        let Some(service) = &slice.service else { continue };
        let name = NamespacedName::new(&slice.meta.name.namespace, service);
        let is_default = configuration.default_backend_service.0.as_ref() == Some(&name);
        for port in slice.ports.iter().filter_map(|port| port.port) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| is_here(endpoint.address)) {
                let status = if is_default { StatusCode::NOT_FOUND } else { StatusCode::OK };
                let backend = EchoBackend { name: format!("{name} on port {port}"), status };
                backends.insert(SocketAddr::new(endpoint.address, port), backend);
            }
        }
    }
    Ok(backends)
}

fn is_here(address: IpAddr) -> bool {
    address.is_loopback()
}

/// Binds and serves all of them; they live as long as the runtime.
async fn start(backends: &BTreeMap<SocketAddr, EchoBackend>) -> anyhow::Result<()> {
    for (address, backend) in backends {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address} for the backend {}; end what listens there", backend.name)
        })?;
        let backend = backend.clone();
        tokio::spawn(async move {
            if let Err(error) = echo::serve(listener, backend).await {
                tracing::error!(%error, "a backend of the demonstration ended");
            }
        });
    }
    Ok(())
}

fn print_welcome(
    backends: &BTreeMap<SocketAddr, EchoBackend>,
    manifests: &Path,
    http: u16,
    https: u16,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nServing {} on http://127.0.0.1:{http} and https://127.0.0.1:{https}", manifests.display())?;
    writeln!(out, "with {} backends in this process:", backends.len())?;
    for (address, backend) in backends {
        writeln!(out, "  {address}  {}", backend.name)?;
    }
    writeln!(out, "\nTry these in another terminal; Ctrl-C ends it.\n")?;
    drop(out);
    print_requests(manifests, http, https)
}

fn print_requests(manifests: &Path, http: u16, https: u16) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(requests::render(Place { manifests, http, https }).as_bytes())?;
    out.flush()
}
