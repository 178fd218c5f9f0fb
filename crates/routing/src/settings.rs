//! What holds for every route: the part of the configuration that the data plane needs per request.

mod compression;
mod limits;
mod log;
mod proxy_protocol;
mod tls;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::forward::FieldNames;
use crate::path::TrailingSlash;
use crate::policy::{Block, HeaderFields, Policies};
use crate::template::Template;

pub use compression::{Coding, Compressed, Compression, MediaTypes, Terms, weak_etag};
pub use limits::ClientLimits;
pub use log::LogSettings;
pub use proxy_protocol::ProxyProtocol;
pub use tls::{Cipher, Group, TlsSettings, TlsVersion};
pub use trace::{Sampled, Sampler, TraceSettings};

/// Settings that are published with each snapshot, so that changing them is as atomic as changing a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What one client may take. Options, and what of them the ConfigMap sets.
    pub limits: ClientLimits,
    /// TLS with clients.
    pub tls: TlsSettings,
    /// PROXY protocol with load balancers in front.
    pub proxy_protocol: ProxyProtocol,
    /// What is in the access log.
    pub log: LogSettings,
    /// Spans of OpenTelemetry.
    pub trace: TraceSettings,
    /// Idle connections to endpoints.
    pub upstream_pool: UpstreamPool,
    /// How long requests under way may take once the process is to end; `None` for what it was told (ConfigMap
    /// `worker-shutdown-timeout`).
    pub drain_timeout: Option<Duration>,
    /// Whether requests without an identity get one (ConfigMap `generate-request-id`).
    pub makes_request_id: bool,
    /// Name of the header that endpoints get as `X-Original-Forwarded-Host`, lower case (ConfigMap `forwarded-host-header`).
    pub forwarded_host: Box<str>,
    /// Whether endpoints get the target as `X-Original-URI` (ConfigMap `proxy-add-original-uri-header`).
    pub adds_original_uri: bool,
    /// What a trailing slash in a path pattern means.
    pub trailing_slash: TrailingSlash,
    /// `Strict-Transport-Security` on every response over TLS; `None` leaves the backend's own.
    pub hsts: Option<Box<str>>,
    /// Status of redirects to HTTPS (ConfigMap `http-redirect-code`): 301, 302, 307 or 308.
    pub redirect_status: u16,
    /// Whether `X-Forwarded-*` of clients in `trusted` are believed (ConfigMap `use-forwarded-headers`).
    pub use_forwarded_headers: bool,
    /// Whether only the client address is taken from what clients in `trusted` say (ConfigMap `enable-real-ip`).
    pub enable_real_ip: bool,
    /// Name of the header that carries the client address, lower case (ConfigMap `forwarded-for-header`).
    pub forwarded_for: Box<str>,
    /// Whether the peer's address is appended to the `X-Forwarded-For` of clients in `trusted` rather than replacing it,
    /// where `use_forwarded_headers` is on (ConfigMap `compute-full-forwarded-for`).
    pub compute_full_forwarded_for: bool,
    /// Networks whose forwarded headers are believed (ConfigMap `proxy-real-ip-cidr`). Nobody by default.
    pub trusted: Vec<IpNet>,
    /// Which names of header fields endpoints get.
    pub field_names: FieldNames,
    /// Whether hosts may have TLS passed on to their endpoints (ingress-nginx `--enable-ssl-passthrough`).
    pub passes_tls: bool,
    /// What is refused for all hosts; `None` for nothing.
    pub block: Option<Arc<Block>>,
    /// Status of requests above the rate of their route (ConfigMap `limit-req-status-code`): 400 to 599.
    pub rate_status: u16,
    /// What limits tell clients apart by; `None` for their addresses (ConfigMap `limit-conn-zone-variable`).
    pub limit_key: Option<Template>,
    /// Status of requests of which the client has too many under way (ConfigMap `limit-conn-status-code`): 400 to 599.
    pub connections_status: u16,
    /// Policies of requests that no route takes and the default backend answers.
    pub default_policies: Policies,
    /// Path that answers 200 on hosts without rules; ingress-nginx has `/healthz`.
    pub health_path: Box<str>,
    /// Passive ejection of failing endpoints.
    pub ejection: Ejection,
    /// Which responses are compressed; `None` for none.
    pub compression: Option<Arc<Compression>>,
    /// Header fields of every response (ConfigMap `add-headers`).
    pub response_headers: HeaderFields,
    /// Header fields of endpoints that no client gets, lower case (ConfigMap `hide-headers`).
    pub hidden_headers: Vec<Box<str>>,
    /// Whether clients get the `Server` of endpoints (ConfigMap `allow-backend-server-header`).
    pub passes_server: bool,
    /// Header fields of every request to an endpoint, names in lower case, in place of all others of the name (ConfigMap
    /// `proxy-set-headers`). What comes to nothing is not sent.
    pub upstream_headers: Vec<(Box<str>, Option<Template>)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: ClientLimits::default(),
            tls: TlsSettings::default(),
            proxy_protocol: ProxyProtocol::default(),
            log: LogSettings::default(),
            trace: TraceSettings::default(),
            upstream_pool: UpstreamPool::default(),
            drain_timeout: None,
            makes_request_id: true,
            forwarded_host: "x-forwarded-host".into(),
            adds_original_uri: false,
            trailing_slash: TrailingSlash::default(),
            hsts: Some(Hsts::default().to_string().into()),
            redirect_status: 308,
            use_forwarded_headers: false,
            enable_real_ip: false,
            forwarded_for: "x-forwarded-for".into(),
            compute_full_forwarded_for: false,
            trusted: Vec::new(),
            field_names: FieldNames::default(),
            passes_tls: false,
            block: None,
            rate_status: 503,
            limit_key: None,
            connections_status: 503,
            default_policies: Policies::default(),
            health_path: "/healthz".into(),
            ejection: Ejection::default(),
            compression: None,
            response_headers: HeaderFields::default(),
            hidden_headers: Vec::new(),
            passes_server: false,
            upstream_headers: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether `address` may say who it speaks for.
    pub fn trusts(&self, address: std::net::IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whether anything of what a client at `address` says of whom it speaks for is believed.
    pub fn believes(&self, address: std::net::IpAddr) -> bool {
        (self.use_forwarded_headers || self.enable_real_ip) && self.trusts(address)
    }
}

/// `Strict-Transport-Security` (RFC 6797), with ingress-nginx's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hsts {
    /// `max-age` in seconds.
    pub max_age: u64,
    /// Whether `includeSubDomains` is sent.
    pub include_subdomains: bool,
    /// Whether `preload` is sent.
    pub preload: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        Self { max_age: 31_536_000, include_subdomains: true, preload: false }
    }
}

impl std::fmt::Display for Hsts {
    /// The header's value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "max-age={}", self.max_age)?;
        if self.include_subdomains {
            f.write_str("; includeSubDomains")?;
        }
        if self.preload {
            f.write_str("; preload")?;
        }
        Ok(())
    }
}

/// Connections to endpoints that each worker keeps for its next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamPool {
    /// Most of them; 0 for none (ConfigMap `upstream-keepalive-connections`).
    pub connections: usize,
    /// How long one is kept (ConfigMap `upstream-keepalive-timeout`).
    pub idle: Duration,
    /// Requests after which one is closed; `None` for no limit (ConfigMap `upstream-keepalive-requests`).
    pub requests: Option<u32>,
    /// Time from its first request after which one is closed; `None` for no limit (ConfigMap `upstream-keepalive-time`).
    pub age: Option<Duration>,
}

impl Default for UpstreamPool {
    fn default() -> Self {
        Self { connections: 320, idle: Duration::from_secs(60), requests: None, age: None }
    }
}

/// Passive ejection: an endpoint that keeps failing is left out for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row that eject an endpoint; 0 switches ejection off.
    pub consecutive_failures: u32,
    /// Length of the first ejection; it doubles with each further one, up to ten times this.
    pub base: Duration,
    /// Largest share of a backend's endpoints that is ejected at a time, in percent. When more than that are unhealthy
    /// by probes and ejection together, health is ignored and all are used (panic mode).
    pub max_percent: u8,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { consecutive_failures: 3, base: Duration::from_secs(10), max_percent: 50 }
    }
}
