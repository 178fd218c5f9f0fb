//! What the annotations of one object ask for, typed. `None` is: not asked for.

use std::num::NonZeroUsize;
use std::time::Duration;

use edgeward_routing::backend::{HealthCheck, LoadBalance, Probe};
use edgeward_routing::policy::{BodySize, HostTls};
use edgeward_routing::template::Template;

use super::Scope;
use super::affinity::AffinitySettings;
use super::basic_auth::BasicAuthSettings;
use super::body::BodySettings;
use super::canary::CanarySettings;
use super::client_certificate::ClientCertificateSettings;
use super::cors::CorsSettings;
use super::errors::ErrorSettings;
use super::external_auth::ExternalAuthSettings;
use super::limit::LimitSettings;
use super::mirror::MirrorSettings;
use super::network::NetworkSettings;
use super::observe::TraceSettings;
use super::path::PathSettings;
use super::redirect::RedirectSettings;
use super::response::ResponseSettings;
use super::upstream::UpstreamSettings;
use super::upstream_tls::UpstreamTlsSettings;

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IngressSettings {
    /// Redirects.
    pub redirects: RedirectSettings,
    /// What of hosts and paths is matched, and what the application gets.
    pub paths: PathSettings,
    /// Who may ask.
    pub networks: NetworkSettings,
    /// How often one client may ask.
    pub limits: LimitSettings,
    /// What scripts of other origins may do.
    pub cors: CorsSettings,
    /// Basic authentication.
    pub basic_auth: BasicAuthSettings,
    /// External authentication.
    pub external_auth: ExternalAuthSettings,
    /// Whether the service that is asked everywhere is not asked here (`enable-global-auth`).
    pub no_global_auth: bool,
    /// Canaries.
    pub canary: CanarySettings,
    /// Session affinity.
    pub affinity: AffinitySettings,
    /// Copies of requests.
    pub mirror: MirrorSettings,
    /// Who answers in place of the application.
    pub errors: ErrorSettings,
    /// Requests to the endpoints.
    pub upstream: UpstreamSettings,
    /// How TLS is spoken with the clients of its hosts.
    pub tls: HostTls,
    /// `ssl-passthrough`.
    pub passes_tls: bool,
    /// TLS to the endpoints.
    pub upstream_tls: UpstreamTlsSettings,
    /// `proxy-body-size`.
    pub body_size: Option<BodySize>,
    /// `proxy-request-buffering: off`, or `on`.
    pub streams_request: Option<bool>,
    /// What it asks of the clients of its hosts.
    pub client_certificates: ClientCertificateSettings,
    /// What it asks of responses.
    pub response: ResponseSettings,
    /// Speeds of bodies.
    pub body: BodySettings,
    /// `enable-access-log`.
    pub is_logged: Option<bool>,
    /// Traces.
    pub trace: TraceSettings,
    /// What it asks of the backends that it names.
    pub backend: BackendSettings,
    /// Why its routes answer 503; `None` when they are served.
    pub closed: Option<Box<str>>,
    /// Whether it asks for something that may refuse a client, enforced here or not: its paths must not be left to others.
    pub is_guarded: bool,
    /// Whether all routes of its namespace on its hosts are closed with it.
    pub closes_hosts: bool,
    /// Whether it is not served at all, because a value is none (ingress-nginx drops such an Ingress).
    pub is_dropped: bool,
}

impl IngressSettings {
    /// What stays of the settings of an Ingress that is dropped: whether it guards, and which hosts and paths.
    pub(crate) fn dropped(self) -> Self {
        let Self { paths, canary, client_certificates, no_global_auth, is_guarded, closes_hosts, is_dropped, .. } =
            self;
        let closed = Some("a value of the Ingress is none".into());
        Self {
            paths,
            canary,
            client_certificates,
            no_global_auth,
            closed,
            is_guarded,
            closes_hosts,
            is_dropped,
            ..Self::default()
        }
    }

    /// Closes the routes. The first reason stays: one is enough, and the diagnostics name all.
    pub(super) fn close(&mut self, reason: String, scope: Scope) {
        self.closed.get_or_insert_with(|| reason.into());
        self.closes_hosts |= scope == Scope::Host;
    }
}

/// What is asked of a backend, by an Ingress or by the Service itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BackendSettings {
    /// ingress-nginx's `load-balance`.
    pub load_balance: Option<LoadBalance>,
    /// ingress-nginx's `upstream-hash-by`, which wins over its `load-balance` (balancer.lua get_implementation).
    pub hash_by: Option<Template>,
    /// `upstream-hash-by-subset`.
    pub hash_subset: Option<bool>,
    /// `upstream-hash-by-subset-size`.
    pub hash_subset_size: Option<NonZeroUsize>,
    /// `service-upstream`.
    pub service_upstream: Option<bool>,
    /// `edgeward.dev/load-balance`, which wins over both.
    pub own_load_balance: Option<LoadBalance>,
    /// `edgeward.dev/slow-start`.
    pub slow_start: Option<Duration>,
    /// `edgeward.dev/health-check` and what belongs to it.
    pub health_check: HealthCheckSettings,
}

/// `edgeward.dev/health-check` and the annotations that refine it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheckSettings {
    /// `health-check`.
    pub kind: Option<CheckKind>,
    /// `health-check-path`.
    pub path: Option<String>,
    /// `health-check-host`.
    pub host: Option<String>,
    /// `health-check-port`.
    pub port: Option<u16>,
    /// `health-check-interval`.
    pub interval: Option<Duration>,
    /// `health-check-timeout`.
    pub timeout: Option<Duration>,
    /// `health-check-healthy-threshold`.
    pub healthy_threshold: Option<u32>,
    /// `health-check-unhealthy-threshold`.
    pub unhealthy_threshold: Option<u32>,
    /// `health-check-expected-status`.
    pub expected_status: Option<(u16, u16)>,
    /// Whether what to ask, or what is success, cannot be read. Then nothing is probed: asking something else would take
    /// good endpoints out.
    pub is_refused: bool,
}

/// The values of `edgeward.dev/health-check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckKind {
    /// `GET` answers with an expected status.
    Http,
    /// A connection opens.
    Tcp,
    /// No check: what a Service says to overrule an Ingress.
    Off,
}

impl BackendSettings {
    /// The size of the groups of `upstream-hash-by-subset` unless another one is asked for.
    const SUBSET_SIZE: NonZeroUsize = NonZeroUsize::new(3).unwrap();

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These settings, with those of the Service over them: who runs the Service knows it best.
    pub fn overruled_by(&self, service: &Self) -> Self {
        let check = if service.health_check.kind.is_some() { &service.health_check } else { &self.health_check };
        Self {
            load_balance: self.load_balance.clone(),
            hash_by: self.hash_by.clone(),
            hash_subset: self.hash_subset,
            hash_subset_size: self.hash_subset_size,
            service_upstream: self.service_upstream,
            own_load_balance: service.own_load_balance.clone().or_else(|| self.own_load_balance.clone()),
            slow_start: service.slow_start.or(self.slow_start),
            health_check: check.clone(),
        }
    }

    /// How requests are spread, where `default` holds unless something else is asked for.
    pub fn load_balance(&self, default: &LoadBalance) -> LoadBalance {
        let hash_by = || {
            let template = self.hash_by.clone()?;
            Some(match self.hash_subset {
                Some(true) => LoadBalance::SubsetHash(template, self.hash_subset_size.unwrap_or(Self::SUBSET_SIZE)),
                Some(false) | None => LoadBalance::ConsistentHash(template),
            })
        };
        self.own_load_balance
            .clone()
            .or_else(hash_by)
            .or_else(|| self.load_balance.clone())
            .unwrap_or_else(|| default.clone())
    }

    /// The active health check, with the defaults filled in: every 5 s within 2 s, three failures take an endpoint out
    /// and two successes bring it back, and 200 to 399 is success (as for a kubelet's httpGet probe).
    pub fn health_check(&self) -> Option<HealthCheck> {
        let check = Some(&self.health_check).filter(|check| !check.is_refused)?;
        let probe = match check.kind? {
            CheckKind::Off => return None,
            CheckKind::Tcp => Probe::Tcp,
            CheckKind::Http => Probe::Http {
                path: check.path.clone().unwrap_or_else(|| "/".to_owned()),
                host: check.host.clone(),
                expected: check.expected_status.unwrap_or((200, 399)),
            },
        };
        Some(HealthCheck {
            probe,
            port: check.port,
            interval: check.interval.unwrap_or(Duration::from_secs(5)),
            timeout: check.timeout.unwrap_or(Duration::from_secs(2)),
            healthy_threshold: check.healthy_threshold.unwrap_or(2),
            unhealthy_threshold: check.unhealthy_threshold.unwrap_or(3),
        })
    }
}
