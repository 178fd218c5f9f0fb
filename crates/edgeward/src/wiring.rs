//! From the configuration to the options of each side.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgeward_controller::annotation::Refused;
use edgeward_controller::certificate::{GenerateError, generate_default};
use edgeward_controller::kubernetes::SourceOptions;
use edgeward_controller::state::StateOptions;
use edgeward_controller::translate;
use edgeward_proxy::access_log::AccessLogDestination;
use edgeward_proxy::drain::DrainOptions;
use edgeward_proxy::engine::EngineOptions;
use edgeward_proxy::limits::connections_within;
use edgeward_proxy::listener::ListenerOptions;
use edgeward_proxy::metrics::{Family, MetricsOptions};
use edgeward_routing::certificate::Certificate;
use edgeward_routing::policy::Timeouts;
use edgeward_routing::settings::{self, ClientLimits, ProxyProtocol, TlsSettings, UpstreamPool};

use crate::configuration::{Compatibility, Configuration, RefusedAnnotations, Size, Source, TlsVersion};
use crate::metrics::Identity;

#[cfg(test)]
mod tests;

/// The largest flow-control window of HTTP/2 (RFC 9113 section 6.9.1).
const MAX_H2_WINDOW: u32 = (1 << 31) - 1;

/// Makes the certificate for server names without one.
///
/// # Errors
///
/// If the system has no random numbers.
pub fn generate_certificate() -> Result<Arc<Certificate>, GenerateError> {
    // The name that ingress-nginx gives its own (internal/net/ssl GetFakeSSLCert).
    generate_default(&["ingress.local".to_owned()]).map(Arc::new)
}

/// The options of the translation.
pub fn controller_options(
    configuration: &Configuration,
    generated_certificate: Option<Arc<Certificate>>,
) -> translate::Options {
    translate::Options {
        refused: match configuration.refused_annotations {
            RefusedAnnotations::Close => Refused::Closed,
            RefusedAnnotations::Ignore => Refused::Ignored,
        },
        compatibility: match configuration.compatibility {
            Compatibility::IngressNginx => translate::Compatibility::IngressNginx,
            Compatibility::Strict => translate::Compatibility::Strict,
        },
        controller_class: configuration.controller_class.clone(),
        ingress_class: configuration.ingress_class.clone(),
        ingress_class_by_name: configuration.ingress_class_by_name,
        watch_ingress_without_class: configuration.watch_ingress_without_class,
        namespace_selector: configuration.watch_namespace_selector.0.clone(),
        annotations_prefix: configuration.annotations_prefix.clone(),
        configmap: configuration.configmap.0.clone(),
        default_backend_service: configuration.default_backend_service.0.clone(),
        default_ssl_certificate: configuration.default_ssl_certificate.0.clone(),
        ticket_secret: configuration.tls_session_ticket_secret.0.clone(),
        generated_certificate,
        disable_catch_all: configuration.disable_catch_all,
        disable_svc_external_name: configuration.disable_svc_external_name,
        enable_ssl_passthrough: configuration.enable_ssl_passthrough,
        health_path: configuration.health_check_path.clone(),
        timeouts: Timeouts {
            connect: configuration.upstream_connect_timeout.0,
            read: configuration.upstream_read_timeout.0,
            send: configuration.upstream_send_timeout.0,
        },
        limits: limits(configuration),
        upstream_pool: UpstreamPool {
            connections: configuration.upstream_keepalive_connections,
            idle: configuration.upstream_keepalive_timeout.0,
            ..UpstreamPool::default()
        },
        tls: TlsSettings {
            min_version: match configuration.tls_min_version {
                TlsVersion::V1_2 => settings::TlsVersion::V1_2,
                TlsVersion::V1_3 => settings::TlsVersion::V1_3,
            },
            tickets: configuration.tls_session_tickets,
            post_quantum: configuration.tls_post_quantum,
            http2: configuration.http2,
            ..TlsSettings::default()
        },
        proxy_protocol: ProxyProtocol {
            enabled: configuration.use_proxy_protocol,
            trusted: configuration.proxy_protocol_trusted.iter().map(|network| network.0).collect(),
            timeout: configuration.proxy_protocol_timeout.0,
        },
        ..match configuration.source {
            Source::Kubernetes => translate::Options::default(),
            Source::Auto | Source::Manifests => translate::Options::for_directory(),
        }
    }
}

/// What of a cluster is watched.
pub fn source_options(configuration: &Configuration) -> SourceOptions {
    SourceOptions {
        namespaces: configuration.watch_namespace.clone(),
        watches_namespaces: !configuration.watch_namespace_selector.0.selects_all(),
        watches_config_maps: configuration.watch_config_maps,
        configmap: configuration.configmap.0.clone(),
        default_ssl_certificate: configuration.default_ssl_certificate.0.clone(),
        ticket_secret: configuration.tls_session_ticket_secret.0.clone(),
        default_backend_service: configuration.default_backend_service.0.clone(),
    }
}

/// Where what is known of a cluster is kept, if anywhere. `server` is its API server.
pub fn state_options(configuration: &Configuration, server: &str) -> Option<StateOptions> {
    let named = |path: &PathBuf| Some(path).filter(|path| **path != PathBuf::new()).cloned();
    let watched = source_options(configuration);
    Some(StateOptions {
        directory: named(&configuration.state_dir)?,
        key_file: named(&configuration.state_key_file),
        scope: format!("{server} {watched:?}"),
    })
}

/// What one client may take.
fn limits(configuration: &Configuration) -> ClientLimits {
    let window = |size: Size| u32::try_from(size.0).unwrap_or(MAX_H2_WINDOW).min(MAX_H2_WINDOW);
    ClientLimits {
        header_timeout: configuration.header_timeout.0,
        handshake_timeout: configuration.tls_handshake_timeout.0,
        header_bytes: configuration.header_size.0,
        line_bytes: configuration.header_line_size.0,
        header_fields: configuration.header_count,
        uri_bytes: configuration.uri_size.0,
        keepalive_idle: configuration.keepalive_timeout.0,
        keepalive_requests: configuration.keepalive_requests,
        body_timeout: configuration.body_timeout.0,
        write_timeout: configuration.write_timeout.0,
        linger: configuration.lingering_timeout.0,
        h2_streams: configuration.http2_max_streams,
        h2_stream_window: window(configuration.http2_stream_window),
        h2_connection_window: window(configuration.http2_connection_window),
        h2_pending_resets: configuration.http2_max_resets,
        h2_provoked_resets: configuration.http2_max_provoked_resets,
        h2_cancels: configuration.http2_max_cancels,
    }
}

/// Where the proxy listens, and for how many. `open_files` is the limit of the process.
pub fn listener_options(configuration: &Configuration, open_files: u64) -> ListenerOptions {
    let on_port = |port: u16| match port {
        0 => Vec::new(),
        _ => bind_addresses(configuration).into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
    };
    ListenerOptions {
        http: on_port(configuration.http_port),
        https: on_port(configuration.https_port),
        workers: configuration.workers,
        backlog: configuration.backlog,
        max_connections: match configuration.max_connections {
            0 => connections_within(open_files),
            most => most,
        },
        max_connections_per_client: configuration.max_connections_per_client,
    }
}

/// The addresses to bind. The default ones hold `::`, which a machine without IPv6 cannot bind and nobody asked for; an
/// address that was asked for is never left out.
fn bind_addresses(configuration: &Configuration) -> Vec<IpAddr> {
    let mut addresses = configuration.bind_address.clone();
    let is_default = addresses == Configuration::default().bind_address;
    if is_default && UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_err() {
        tracing::info!("this machine has no IPv6: listening on IPv4 only");
        addresses.retain(IpAddr::is_ipv4);
    }
    addresses
}

/// How the engine serves.
pub fn engine_options(configuration: &Configuration) -> EngineOptions {
    EngineOptions {
        fast_path: configuration.fast_path,
        upgraded_idle: configuration.upgraded_timeout.0,
        upstream_h2_streams: configuration.upstream_http2_max_streams,
        retry_percent: u32::from(configuration.retry_budget),
        allow_loopback: configuration.source != Source::Kubernetes,
    }
}

/// Who this process is. In a cluster the pod's manifest sets the variables, as for ingress-nginx.
pub fn identity(configuration: &Configuration) -> Identity {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    Identity {
        namespace: variable("POD_NAMESPACE"),
        class: configuration.controller_class.clone(),
        pod: variable("POD_NAME"),
    }
}

/// What is counted of requests.
pub fn metrics_options(configuration: &Configuration) -> MetricsOptions {
    let Identity { namespace, class, pod } = identity(configuration);
    let excluded = |family: &Family| configuration.exclude_socket_metrics.iter().any(|excluded| excluded.0 == *family);
    MetricsOptions {
        enabled: configuration.enable_metrics,
        controller_namespace: namespace,
        controller_class: class,
        controller_pod: pod,
        per_host: configuration.metrics_per_host,
        status_classes: configuration.report_status_classes,
        families: Family::ALL.into_iter().filter(|family| !excluded(family)).collect(),
        time_buckets: configuration.time_buckets.clone(),
        length_buckets: configuration.length_buckets.clone(),
        size_buckets: configuration.size_buckets.clone(),
        max_series: configuration.metrics_max_series,
    }
}

/// Where the access log goes.
pub fn access_log_destination(configuration: &Configuration) -> AccessLogDestination {
    match configuration.access_log_path.as_str() {
        "" => AccessLogDestination::Stdout,
        path => AccessLogDestination::File(path.into()),
    }
}

/// How to stop, where the ConfigMap says how long that may take.
pub fn drain_options(configuration: &Configuration, timeout: Option<Duration>) -> DrainOptions {
    DrainOptions {
        timeout: timeout.unwrap_or(configuration.drain_timeout.0),
        idle_grace: configuration.drain_idle_grace.0,
        tunnel_window: configuration.drain_websocket_window.0,
    }
}
