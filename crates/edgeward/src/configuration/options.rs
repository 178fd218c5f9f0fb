//! The one list of options. Flags, environment variables, the keys of the configuration file, `--help`, the man page and
//! the defaults all come from it.

use std::net::IpAddr;
use std::path::PathBuf;

use edgeward_proxy::metrics::Family;
use serde::{Deserialize, Serialize};

use super::value::{
    AccessLog, Compatibility, LabelSelector, LogFormat, LogLevel, LoopbackAddress, MetricFamily, Network, Period,
    Reference, RefusedAnnotations, Size, Source, TlsVersion,
};

/// Makes three things of the list: [`Options`] (what one layer says), [`Configuration`] (what holds in the end), and the
/// functions between them.
macro_rules! options {
    ($($heading:ident = $title:literal {
        $($(#[doc = $doc:literal])+ $(#[arg($($arg:tt)+)])? $name:ident: $type:ty = $default:expr;)+
    })+) => {
        /// The headings of the options.
        pub mod heading {
            $(#[doc = concat!("`", $title, "`")] pub const $heading: &str = $title;)+
        }

        /// What one layer (flags and environment, or the file) says: `None` where it says nothing.
        #[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Options {
            $($(
                $(#[doc = $doc])+
                #[arg(long, help_heading = heading::$heading, $($($arg)+)?)]
                pub $name: Option<$type>,
            )+)+
        }

        /// What holds: every option with its value.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct Configuration {
            $($($(#[doc = $doc])+ pub $name: $type,)+)+
        }

        impl Default for Configuration {
            fn default() -> Self {
                Self { $($($name: $default,)+)+ }
            }
        }

        impl Options {
            /// What this layer says, and where it says nothing, what the `lower` one says.
            #[must_use]
            pub fn over(self, lower: Self) -> Self {
                Self { $($($name: self.$name.or(lower.$name),)+)+ }
            }

            /// What this layer says, and where it says nothing, the defaults.
            pub fn resolve(self) -> Configuration {
                Configuration { $($($name: self.$name.unwrap_or_else(|| $default),)+)+ }
            }
        }
    };
}

options! {
    OBJECTS = "Objects" {
        /// Where objects come from. `auto` is the manifests if --manifests is given, else the cluster if --kubeconfig is or this
        /// is a pod, else the manifests.
        #[arg(value_enum)]
        source: Source = Source::Auto;
        /// A directory (or file) of manifests: `*.yaml`, `*.yml` and `*.json` below it. There may be several.
        #[arg(value_name = "DIR", value_delimiter = ',')]
        manifests: Vec<PathBuf> = vec![PathBuf::from("/etc/edgeward/manifests")];
        /// How often the manifests are looked over beside the file events; a net for file systems without events.
        #[arg(value_name = "TIME")]
        rescan_interval: Period = Period::seconds(30);
        /// The class to serve: an Ingress' `ingressClassName`, or its annotation `kubernetes.io/ingress.class`.
        #[arg(value_name = "NAME")]
        ingress_class: String = "nginx".to_owned();
        /// The `spec.controller` of the IngressClass objects to serve.
        #[arg(value_name = "NAME")]
        controller_class: String = "k8s.io/ingress-nginx".to_owned();
        /// Serve the IngressClass named by --ingress-class whatever its `spec.controller` says.
        ingress_class_by_name: bool = false;
        /// Serve every Ingress that names no class; of a cluster only if this is given.
        watch_ingress_without_class: bool = true;
        /// The ConfigMap with the global settings; empty for none.
        #[arg(value_name = "NAMESPACE/NAME")]
        configmap: Reference = Reference::default();
        /// The Service that answers what no rule takes, on its first port; empty for a plain 404.
        #[arg(value_name = "NAMESPACE/NAME")]
        default_backend_service: Reference = Reference::default();
        /// The Secret with the certificate for server names without one; empty for a self-signed one made at start.
        #[arg(value_name = "NAMESPACE/NAME")]
        default_ssl_certificate: Reference = Reference::default();
        /// The prefix of the annotations that are read.
        #[arg(value_name = "PREFIX")]
        annotations_prefix: String = "nginx.ingress.kubernetes.io".to_owned();
        /// What becomes of an Ingress with an annotation that is refused, as a snippet or ModSecurity, which may be what guards it:
        /// `close` answers 503 to its routes, `ignore` serves them without.
        #[arg(value_enum)]
        refused_annotations: RefusedAnnotations = RefusedAnnotations::Close;
        /// Ignore an Ingress that takes every host and path by `defaultBackend` alone.
        disable_catch_all: bool = false;
        /// Send nothing to Services of type ExternalName.
        disable_svc_external_name: bool = false;
        /// Pass TLS of hosts with `ssl-passthrough` on to their endpoints.
        enable_ssl_passthrough: bool = false;
        /// Whose behaviour to follow where the Ingress specification leaves it open.
        #[arg(value_enum)]
        compatibility: Compatibility = Compatibility::IngressNginx;
    }
    CLUSTER = "Cluster" {
        /// The kubeconfig file of the cluster to watch; empty for the service account of the pod.
        #[arg(value_name = "FILE")]
        kubeconfig: PathBuf = PathBuf::new();
        /// A namespace to watch; none for all. There may be several. Roles in them are enough then.
        #[arg(value_name = "NAMESPACE", value_delimiter = ',')]
        watch_namespace: Vec<String> = Vec::new();
        /// Labels that the namespace of an Ingress must have, such as `team=a,stage!=dev`; empty for any.
        #[arg(value_name = "SELECTOR")]
        watch_namespace_selector: LabelSelector = LabelSelector::default();
        /// Watch all ConfigMaps of the namespaces that are watched, which must be allowed, and not only that of --configmap: for
        /// annotations and settings that name others, such as `custom-headers` and `add-headers`.
        watch_config_maps: bool = false;
        /// A directory in which the objects that were last known are kept, so that a restart while the API server is down serves
        /// them; empty for none.
        #[arg(value_name = "DIR")]
        state_dir: PathBuf = PathBuf::new();
        /// A file with 32 random bytes or more that what is kept in --state-dir is encrypted with. Without it Secrets, and so
        /// certificates, are not kept.
        #[arg(value_name = "FILE")]
        state_key_file: PathBuf = PathBuf::new();
        /// Write the addresses below into the status of Ingresses.
        update_status: bool = true;
        /// An address to write, an IP address or a host name. There may be several.
        #[arg(value_name = "ADDRESS", value_delimiter = ',')]
        publish_status_address: Vec<String> = Vec::new();
        /// The Service whose addresses to write; without it and --publish-status-address they are those of the nodes on which
        /// Edgeward is ready.
        #[arg(value_name = "NAMESPACE/NAME")]
        publish_service: Reference = Reference::default();
        /// Write the internal addresses of nodes rather than the external ones.
        report_node_internal_ip_address: bool = false;
        /// Take the addresses away when the last instance stops.
        update_status_on_shutdown: bool = true;
        /// The Lease that decides which instance writes status and Events.
        #[arg(value_name = "NAME")]
        election_id: String = "edgeward-leader".to_owned();
        /// How long a Lease is good for that is not renewed.
        #[arg(value_name = "TIME")]
        election_ttl: Period = Period::seconds(30);
        /// Write without an election; for a single instance.
        disable_leader_election: bool = false;
        /// Watch, serve and report, but write nothing to the cluster, neither status nor Events: for a trial beside another
        /// controller.
        observe: bool = false;
        /// Fail /readyz while the own node is cordoned, and go on serving, so that routers in front withdraw it in time.
        drain_on_cordon: bool = false;
    }
    LISTENING = "Listening" {
        /// An address to listen on for HTTP and HTTPS. There may be several. A machine without IPv6 leaves out the default `::`.
        #[arg(value_name = "IP", value_delimiter = ',')]
        bind_address: Vec<IpAddr> = vec![std::net::Ipv4Addr::UNSPECIFIED.into(), std::net::Ipv6Addr::UNSPECIFIED.into()];
        /// The port for HTTP; 0 for no HTTP.
        #[arg(value_name = "PORT")]
        http_port: u16 = 80;
        /// The port for HTTPS; 0 for no HTTPS.
        #[arg(value_name = "PORT")]
        https_port: u16 = 443;
        /// Threads that serve traffic; 0 for one per CPU that the process may use.
        #[arg(value_name = "NUMBER")]
        workers: usize = 0;
        /// Connections that may wait to be accepted, for each worker and address; the system's limit holds too.
        #[arg(value_name = "NUMBER")]
        backlog: u32 = 4096;
        /// Expect the PROXY protocol (v1 or v2) on every connection for HTTP and HTTPS.
        use_proxy_protocol: bool = false;
        /// A network whose PROXY protocol headers are believed; connections from elsewhere are closed. There may be several.
        #[arg(value_name = "CIDR", value_delimiter = ',')]
        proxy_protocol_trusted: Vec<Network> = Vec::new();
        /// How long a connection may take to send its PROXY protocol header.
        #[arg(value_name = "TIME")]
        proxy_protocol_timeout: Period = Period::seconds(5);
    }
    TLS = "TLS" {
        /// The oldest TLS version that is spoken.
        #[arg(value_enum)]
        tls_min_version: TlsVersion = TlsVersion::V1_2;
        /// Offer the hybrid post-quantum key exchange X25519MLKEM768, which is used with clients that put it first.
        tls_post_quantum: bool = true;
        /// Let clients resume TLS sessions by tickets.
        tls_session_tickets: bool = true;
        /// The Secret whose `ticket.key` tickets are sealed with, so that clients resume at every instance that has it; 32 random
        /// bytes or more. Those sealed with `ticket.previous.key` are good too. Empty for a secret of each process' own.
        #[arg(value_name = "NAMESPACE/NAME")]
        tls_session_ticket_secret: Reference = Reference::default();
        /// How long a TLS handshake may take.
        #[arg(value_name = "TIME")]
        tls_handshake_timeout: Period = Period::seconds(10);
        /// Speak HTTP/2 with clients that ask for it.
        http2: bool = true;
        /// Exchange with endpoints in the clear by the engine made for that; false leaves all to Pingora's, at twice the cost.
        fast_path: bool = true;
    }
    LIMITS = "Limits for clients" {
        /// How long a request's header may take in all, from its first byte.
        #[arg(value_name = "TIME")]
        header_timeout: Period = Period::seconds(10);
        /// The largest request header, in bytes (400 above it). The ConfigMap sets it too.
        #[arg(value_name = "SIZE")]
        header_size: Size = Size::kib(32);
        /// The longest line of a field in a request header, in bytes (400 above it). The ConfigMap sets it too.
        #[arg(value_name = "SIZE")]
        header_line_size: Size = Size::kib(8);
        /// The most fields in a request header (431 above it).
        #[arg(value_name = "NUMBER")]
        header_count: usize = 200;
        /// The longest request URI, in bytes (414 above it).
        #[arg(value_name = "SIZE")]
        uri_size: Size = Size::kib(8);
        /// How long a connection is kept open without a request.
        #[arg(value_name = "TIME")]
        keepalive_timeout: Period = Period::seconds(75);
        /// How many requests a connection may make before it is closed; 0 for any number.
        #[arg(value_name = "NUMBER")]
        keepalive_requests: u32 = 1000;
        /// How long a request body may pause.
        #[arg(value_name = "TIME")]
        body_timeout: Period = Period::seconds(60);
        /// How long a client may take no byte of a response.
        #[arg(value_name = "TIME")]
        write_timeout: Period = Period::seconds(60);
        /// How long a WebSocket, or another upgraded connection, may be silent in both directions.
        #[arg(value_name = "TIME")]
        upgraded_timeout: Period = Period::seconds(3600);
        /// The most connections at a time; 0 for what the limit on open files allows, and at most 65536.
        #[arg(value_name = "NUMBER")]
        max_connections: usize = 0;
        /// The most connections of one client address (an IPv6 /64 counts as one) at a time; 0 for any number.
        #[arg(value_name = "NUMBER")]
        max_connections_per_client: usize = 16_384;
        /// The most streams of one HTTP/2 connection at a time.
        #[arg(value_name = "NUMBER")]
        http2_max_streams: u32 = 128;
        /// The most streams that an HTTP/2 client may reset before they are taken up; more end the connection.
        #[arg(value_name = "NUMBER")]
        http2_max_resets: usize = 20;
        /// The most streams that an HTTP/2 client may make Edgeward reset; more end the connection.
        #[arg(value_name = "NUMBER")]
        http2_max_provoked_resets: usize = 1024;
        /// The most streams that an HTTP/2 client may cancel within ten seconds if it cancels most of them; more end the connection. 0 for any number.
        #[arg(value_name = "NUMBER")]
        http2_max_cancels: u32 = 100;
        /// The bytes of a request body that an HTTP/2 stream may send ahead.
        #[arg(value_name = "SIZE")]
        http2_stream_window: Size = Size::kib(256);
        /// The bytes of request bodies that an HTTP/2 connection may send ahead.
        #[arg(value_name = "SIZE")]
        http2_connection_window: Size = Size::kib(1024);
        /// How long a connection that Edgeward ends is still read from, so that the client sees the last response.
        #[arg(value_name = "TIME")]
        lingering_timeout: Period = Period::seconds(2);
    }
    UPSTREAM = "Upstream" {
        /// Idle connections to endpoints that each worker keeps; 0 for none.
        #[arg(value_name = "NUMBER")]
        upstream_keepalive_connections: usize = 320;
        /// How long an idle connection to an endpoint is kept.
        #[arg(value_name = "TIME")]
        upstream_keepalive_timeout: Period = Period::seconds(60);
        /// The most streams that share one HTTP/2 connection to an endpoint.
        #[arg(value_name = "NUMBER")]
        upstream_http2_max_streams: usize = 100;
        /// How long an endpoint may take to accept a connection. The ConfigMap and annotations set it per route.
        #[arg(value_name = "TIME")]
        upstream_connect_timeout: Period = Period::seconds(5);
        /// How long an endpoint may pause in its response. The ConfigMap and annotations set it per route.
        #[arg(value_name = "TIME")]
        upstream_read_timeout: Period = Period::seconds(60);
        /// How long an endpoint may take no byte of a request. The ConfigMap and annotations set it per route.
        #[arg(value_name = "TIME")]
        upstream_send_timeout: Period = Period::seconds(60);
        /// The share of requests, in percent, that may be retries; it keeps a failing backend from being flooded by them.
        #[arg(value_name = "PERCENT")]
        retry_budget: u8 = 20;
    }
    HEALTH = "Health, metrics and administration" {
        /// The port for /healthz, /readyz and /metrics.
        #[arg(value_name = "PORT")]
        healthz_port: u16 = 10254;
        /// The address for --healthz-port.
        #[arg(value_name = "IP")]
        healthz_host: IpAddr = std::net::Ipv4Addr::UNSPECIFIED.into();
        /// The path that says that the process lives, on --healthz-port and on hosts without rules.
        #[arg(value_name = "PATH")]
        health_check_path: String = "/healthz".to_owned();
        /// Count requests for /metrics.
        enable_metrics: bool = true;
        /// Tell requests apart by host in /metrics.
        metrics_per_host: bool = true;
        /// Count statuses by class (2xx) rather than one by one.
        report_status_classes: bool = false;
        /// A family of request metrics to leave out, such as request_size. There may be several; those left out by default
        /// are read by no dashboard of ingress-nginx and double the number of series.
        #[arg(value_name = "NAME", value_delimiter = ',')]
        exclude_socket_metrics: Vec<MetricFamily> = Family::ALL
            .into_iter()
            .filter(|family| !Family::DEFAULT.contains(family))
            .map(MetricFamily)
            .collect();
        /// The upper bounds of the buckets for durations, in seconds.
        #[arg(value_name = "SECONDS", value_delimiter = ',')]
        time_buckets: Vec<f64> = vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        /// The upper bounds of the buckets for request and response sizes, in bytes.
        #[arg(value_name = "BYTES", value_delimiter = ',')]
        length_buckets: Vec<f64> = vec![10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];
        /// The upper bounds of the buckets for bytes sent, in bytes.
        #[arg(value_name = "BYTES", value_delimiter = ',')]
        size_buckets: Vec<f64> = vec![10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0];
        /// The most time series of requests; what is above them is counted together.
        #[arg(value_name = "NUMBER")]
        metrics_max_series: usize = 100_000;
        /// The address of the read-only administration pages; it must be a loopback address.
        #[arg(value_name = "IP:PORT")]
        admin_address: LoopbackAddress = LoopbackAddress((std::net::Ipv4Addr::LOCALHOST, 10246).into());
    }
    LOGGING = "Logging" {
        /// The access log on standard output: nginx, json, off, or a format with nginx variables.
        #[arg(value_name = "FORMAT")]
        access_log: AccessLog = AccessLog::default();
        /// The file that the access log goes to instead, opened anew on SIGHUP; empty for standard output.
        #[arg(value_name = "FILE")]
        access_log_path: String = String::new();
        /// The form of the log on standard error.
        #[arg(value_enum)]
        log_format: LogFormat = LogFormat::Text;
        /// How much of the log on standard error is written. RUST_LOG overrides it, and can switch on the log of Pingora, which
        /// holds the headers of requests.
        #[arg(value_enum)]
        log_level: LogLevel = LogLevel::Info;
    }
    STOPPING = "Stopping" {
        /// How long connections are still accepted after SIGTERM, while /readyz already fails, so that load balancers and
        /// routers can withdraw this instance.
        #[arg(value_name = "TIME")]
        shutdown_grace_period: Period = Period::seconds(0);
        /// How long requests under way may take after that.
        #[arg(value_name = "TIME")]
        drain_timeout: Period = Period::seconds(30);
        /// How long a connection without a request is kept open for one more while requests finish.
        #[arg(value_name = "TIME")]
        drain_idle_grace: Period = Period::seconds(1);
        /// The last part of --drain-timeout, over which WebSockets are closed one after the other.
        #[arg(value_name = "TIME")]
        drain_websocket_window: Period = Period::seconds(5);
    }
}
