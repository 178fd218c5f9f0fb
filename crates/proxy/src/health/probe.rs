//! One probe of one endpoint, by pingora-load-balancing's health checks.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use edgeward_routing::backend::{HealthCheck, Probe};
use pingora::ErrorType;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::lb;
use pingora::lb::health_check::{HttpHealthCheck, TcpHealthCheck};
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;

/// What HTTP probes call themselves, so that a backend's log can tell them from requests.
const USER_AGENT: &str = concat!("edgeward-health-check/", env!("CARGO_PKG_VERSION"));

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProbeError {
    /// The whole probe took too long.
    #[error("no answer from {address} within {timeout:?}")]
    TimedOut { address: SocketAddr, timeout: Duration },
    /// No connection, no answer that is HTTP, or a status that is not expected.
    #[error("{0}")]
    Refused(String),
    /// The check itself cannot be asked.
    #[error("health check {field} {value:?} cannot be sent in an HTTP request: {why}")]
    Check { field: &'static str, value: String, why: String },
}

/// Asks endpoints.
pub(super) struct Prober {
    tcp: TcpHealthCheck,
    /// HTTP checks that no probe uses now.
    ///
    /// Pingora's check holds the request and a connector, and connectors cannot be shared. A check for each endpoint or
    /// each `Host` would be tens of thousands of connectors; this way there are as many as probes ever ran at a time.
    idle_http: Mutex<Vec<HttpHealthCheck>>,
}

impl Prober {
    pub(super) fn new() -> Self {
        let mut tcp = TcpHealthCheck::default();
        tcp.peer_template.options.connection_timeout = None;
        // The first one is made here, so that whatever keeps a connector from being made shows at the start.
        Self { tcp, idle_http: Mutex::new(vec![http_check()]) }
    }

    /// Asks `address` what `check` says, once. `check.timeout` is for the whole of it, however slowly an answer drips.
    pub(super) async fn ask(&self, check: &HealthCheck, address: SocketAddr) -> Result<(), ProbeError> {
        match &check.probe {
            Probe::Tcp => within(check.timeout, &self.tcp, address).await,
            Probe::Http { path, host, expected: (lowest, highest) } => {
                let request = request(path, host.as_deref(), address)?;
                let (lowest, highest) = (*lowest, *highest);
                let mut http = self.take_idle().unwrap_or_else(http_check);
                http.req = request;
                http.validator = Some(Box::new(move |response| match response.status.as_u16() {
                    status if (lowest..=highest).contains(&status) => Ok(()),
                    status => pingora::Error::e_explain(
                        ErrorType::HTTPStatus(status),
                        format!("{address} answered {status}, expected {lowest} to {highest}"),
                    ),
                }));
                let result = within(check.timeout, &http, address).await;
                self.idle_http.lock().unwrap_or_else(PoisonError::into_inner).push(http);
                result
            }
        }
    }

    fn take_idle(&self) -> Option<HttpHealthCheck> {
        self.idle_http.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// An HTTP check that is complete but for its request and validator.
fn http_check() -> HttpHealthCheck {
    // Probes are plain. Without a CA file each connector would read the platform's certificates, twice: that takes
    // milliseconds of this loop and hundreds of kilobytes. An empty one costs nothing.
    let options = ConnectorOptions { ca_file: Some("/dev/null".into()), ..ConnectorOptions::new(1) };
    let mut http = HttpHealthCheck::new_custom("", false, Connector::new(Some(options)));
    // `within` bounds the probe as a whole.
    http.peer_template.options.connection_timeout = None;
    http.peer_template.options.read_timeout = None;
    http
}

/// The request of an HTTP probe.
fn request(path: &str, host: Option<&str>, address: SocketAddr) -> Result<RequestHeader, ProbeError> {
    let host = host.map_or_else(|| address.to_string(), str::to_owned);
    let unsendable = |field, value: &str, error: &pingora::Error| ProbeError::Check {
        field,
        value: value.to_owned(),
        why: said(error),
    };
    let mut request =
        RequestHeader::build("GET", path.as_bytes(), Some(4)).map_err(|error| unsendable("path", path, &error))?;
    request.insert_header("Host", &host).map_err(|error| unsendable("host", &host, &error))?;
    request
        .insert_header("User-Agent", USER_AGENT)
        .and_then(|()| request.insert_header("Accept", "*/*"))
        // The connection is not used again, so that each probe sees whether a new one can be made.
        .and_then(|()| request.insert_header("Connection", "close"))
        .map_err(|error| unsendable("header", USER_AGENT, &error))?;
    Ok(request)
}

/// Runs one of Pingora's checks against `address`.
async fn within(
    timeout: Duration,
    check: &(dyn lb::health_check::HealthCheck + Sync),
    address: SocketAddr,
) -> Result<(), ProbeError> {
    let target = lb::Backend { addr: PeerAddr::Inet(address), weight: 1, ext: lb::Extensions::new() };
    match tokio::time::timeout(timeout, check.check(&target)).await {
        Ok(result) => result.map_err(|error| ProbeError::Refused(said(&error))),
        Err(_) => Err(ProbeError::TimedOut { address, timeout }),
    }
}

/// What `error` says: for a status, the sentence that the validator wrote; else all of Pingora's words.
fn said(error: &pingora::Error) -> String {
    match (error.etype(), &error.context) {
        (ErrorType::HTTPStatus(_), Some(context)) => context.as_str().to_owned(),
        _ => error.to_string().trim_start().to_owned(),
    }
}
