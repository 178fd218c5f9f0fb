//! What the operator decides, and no object does.

use std::net::IpAddr;
use std::sync::Arc;

use edgeward_routing::address::may_connect;
use edgeward_routing::certificate::Certificate;
use edgeward_routing::policy::external_auth::AuthUrl;
use edgeward_routing::policy::{BodySize, Timeouts};
use edgeward_routing::settings::{ClientLimits, Ejection, ProxyProtocol, TlsSettings, UpstreamPool};

use crate::annotation::Refused;
use crate::object::NamespacedName;
use crate::selector::Selector;

/// Whose behaviour counts where the Ingress specification and ingress-nginx differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compatibility {
    /// ingress-nginx: hosts with a certificate redirect to HTTPS, HSTS is sent, a missing trailing slash is redirected,
    /// and of two Ingresses of the same second the one whose `namespace/name` sorts last wins.
    #[default]
    IngressNginx,
    /// The specification: none of these unless asked for, a trailing slash means nothing in a Prefix, and of two
    /// Ingresses of the same second the one whose `namespace/name` sorts first wins.
    Strict,
}

/// Where `translate` takes the time from, which it needs for the validity of certificates and for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// Always this many seconds since the epoch: for tests.
    Fixed(i64),
}

impl Clock {
    /// Seconds since the epoch.
    pub fn now(self) -> i64 {
        match self {
            Self::System => jiff::Timestamp::now().as_second(),
            Self::Fixed(seconds) => seconds,
        }
    }
}

/// The options of the translation.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose behaviour counts where the specification and ingress-nginx differ.
    pub compatibility: Compatibility,
    /// The `spec.controller` of the IngressClasses that are ours (`--controller-class`). [`EDGEWARD_CONTROLLER`] is
    /// always ours too.
    pub controller_class: String,
    /// The class name that `kubernetes.io/ingress.class` must have (`--ingress-class`).
    pub ingress_class: String,
    /// Whether an IngressClass named `ingress_class` is ours whatever its controller (`--ingress-class-by-name`).
    pub ingress_class_by_name: bool,
    /// Whether a class that `spec.ingressClassName` names must exist as an object. A cluster has the object; a directory
    /// of manifests often has not, and there the name alone decides.
    pub class_objects_required: bool,
    /// Whether an Ingress without any class is ours (`--watch-ingress-without-class`).
    pub watch_ingress_without_class: bool,
    /// Labels that the namespace of an Ingress must have to be ours (`--watch-namespace-selector`).
    pub namespace_selector: Selector,
    /// Prefix of ingress-nginx's annotations, without the slash (`--annotations-prefix`).
    pub annotations_prefix: String,
    /// What becomes of an Ingress with a snippet or another annotation that is refused (`--refused-annotations`).
    pub refused: Refused,
    /// The ConfigMap that holds options (`--configmap`).
    pub configmap: Option<NamespacedName>,
    /// The Service that answers what no route takes (`--default-backend-service`), on its first port. 404 without one.
    pub default_backend_service: Option<NamespacedName>,
    /// The Secret with the certificate for hosts that have none (`--default-ssl-certificate`).
    pub default_ssl_certificate: Option<NamespacedName>,
    /// The Secret with what session tickets are sealed with (`--tls-session-ticket-secret`).
    pub ticket_secret: Option<NamespacedName>,
    /// The certificate where `default_ssl_certificate` is not set or cannot be used: made once at start by
    /// [`crate::certificate::generate_default`]. Without it, hosts without a certificate refuse the handshake.
    pub generated_certificate: Option<Arc<Certificate>>,
    /// Whether an Ingress that is only a `defaultBackend` is left out (`--disable-catch-all`).
    pub disable_catch_all: bool,
    /// Whether Services of type ExternalName get no endpoints (`--disable-svc-external-name`).
    pub disable_svc_external_name: bool,
    /// Whether hosts may have TLS passed on to their endpoints (`--enable-ssl-passthrough`).
    pub enable_ssl_passthrough: bool,
    /// Whether endpoints may be loopback, link-local or unspecified addresses. Never in a cluster: they would be the
    /// proxy's own, and the API server refuses them in slices. A directory of manifests is the operator's own word.
    pub allow_loopback: bool,
    /// Path that answers 200 on hosts without rules (`--health-check-path`).
    pub health_path: String,
    /// Largest request body where neither ConfigMap nor annotation says otherwise.
    pub body_size: BodySize,
    /// Limits on an endpoint where neither ConfigMap nor annotation says otherwise.
    pub timeouts: Timeouts,
    /// What one client may take where the ConfigMap does not say otherwise.
    pub limits: ClientLimits,
    /// TLS with clients where the ConfigMap does not say otherwise.
    pub tls: TlsSettings,
    /// PROXY protocol with load balancers in front where the ConfigMap does not say otherwise.
    pub proxy_protocol: ProxyProtocol,
    /// Idle connections to endpoints where the ConfigMap does not say otherwise.
    pub upstream_pool: UpstreamPool,
    /// Tries of one request where the ConfigMap does not say otherwise; at least 1.
    pub tries: u32,
    /// Passive ejection of failing endpoints.
    pub ejection: Ejection,
    /// Where the time is taken from.
    pub clock: Clock,
}

/// The `spec.controller` that is Edgeward's own.
pub const EDGEWARD_CONTROLLER: &str = "edgeward.dev/ingress-controller";

impl Default for Options {
    /// ingress-nginx's defaults (docs/user-guide/cli-arguments.md), for a cluster.
    fn default() -> Self {
        Self {
            compatibility: Compatibility::default(),
            controller_class: "k8s.io/ingress-nginx".to_owned(),
            ingress_class: "nginx".to_owned(),
            ingress_class_by_name: false,
            class_objects_required: true,
            watch_ingress_without_class: false,
            namespace_selector: Selector::default(),
            annotations_prefix: "nginx.ingress.kubernetes.io".to_owned(),
            refused: Refused::default(),
            configmap: None,
            default_backend_service: None,
            default_ssl_certificate: None,
            ticket_secret: None,
            generated_certificate: None,
            disable_catch_all: false,
            disable_svc_external_name: false,
            enable_ssl_passthrough: false,
            allow_loopback: false,
            health_path: "/healthz".to_owned(),
            body_size: BodySize::default(),
            timeouts: Timeouts::default(),
            limits: ClientLimits::default(),
            tls: TlsSettings::default(),
            proxy_protocol: ProxyProtocol::default(),
            upstream_pool: UpstreamPool::default(),
            tries: 3,
            ejection: Ejection::default(),
            clock: Clock::default(),
        }
    }
}

impl Options {
    /// The options for a directory of manifests: classes go by their name, an Ingress without a class is served, and
    /// endpoints may be on this machine.
    pub fn for_directory() -> Self {
        Self {
            class_objects_required: false,
            watch_ingress_without_class: true,
            allow_loopback: true,
            ..Self::default()
        }
    }

    /// Whether the specification counts more than ingress-nginx.
    pub fn is_strict(&self) -> bool {
        self.compatibility == Compatibility::Strict
    }

    /// Whether an endpoint may have this address.
    pub(crate) fn allows_address(&self, address: IpAddr) -> bool {
        may_connect(address, self.allow_loopback)
    }

    /// What is wrong with the address in a URL of an authentication service, which `key` gives, and the mend.
    pub(crate) fn unreachable(&self, key: &str, url: &AuthUrl) -> Option<(String, &'static str)> {
        let address = url.address().filter(|address| !self.allows_address(*address))?;
        let message =
            format!("`{key}` is at {address}, where objects may not have the proxy connect to: nobody may pass");
        Some((message, "name a Service of the cluster"))
    }
}
