//! The compact object model: what Edgeward keeps of the Kubernetes objects it watches.
//!
//! Sources convert at their edge and drop the rest, so that memory does not follow `managedFields`. Text is kept as the
//! user wrote it; judging it is the work of `translate`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use edgeward_routing::endpoint::Readiness;
use edgeward_routing::origin::Origin;
use serde::{Deserialize, Serialize};

/// The annotation that named the class before `spec.ingressClassName` did.
pub(crate) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The label that ties an EndpointSlice to its Service.
pub(crate) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The kinds that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `networking.k8s.io/v1` Ingress
    Ingress,
    /// `networking.k8s.io/v1` IngressClass
    IngressClass,
    /// `v1` Service
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice; `v1` Endpoints is converted to it
    EndpointSlice,
    /// `v1` Secret
    Secret,
    /// `v1` ConfigMap
    ConfigMap,
    /// `v1` Namespace, for `--watch-namespace-selector`
    Namespace,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Ingress,
        Self::IngressClass,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::ConfigMap,
        Self::Namespace,
    ];

    /// The kind's name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::IngressClass => "IngressClass",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Namespace => "Namespace",
        }
    }
}

/// The namespace of a manifest that names none, as for `kubectl apply`.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Whether a text is a DNS subdomain as RFC 1123 has it, which is what the API server holds names to.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            let ends_well = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
            ends_well(bytes.first())
                && ends_well(bytes.last())
                && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        })
}

impl Kind {
    /// Its name in the API, and the API group: what roles name.
    pub const fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::Ingress => ("ingresses", "networking.k8s.io"),
            Self::IngressClass => ("ingressclasses", "networking.k8s.io"),
            Self::Service => ("services", ""),
            Self::EndpointSlice => ("endpointslices", "discovery.k8s.io"),
            Self::Secret => ("secrets", ""),
            Self::ConfigMap => ("configmaps", ""),
            Self::Namespace => ("namespaces", ""),
        }
    }
}

/// Identity of an object. The namespace is empty for IngressClass and Namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub name: NamespacedName,
}

/// A namespace and a name in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamespacedName {
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// Both parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// That of the object that something came from.
    pub fn of(origin: &Origin) -> Self {
        Self { namespace: Arc::clone(&origin.namespace), name: Arc::clone(&origin.name) }
    }

    /// `namespace/name`, or a name in this namespace. `None` when it is neither (client-go SplitMetaNamespaceKey).
    pub fn relative(text: &str, namespace: &Arc<str>) -> Option<Self> {
        let (other, name) = text.split_once('/').unwrap_or(("", text));
        let namespace = if other.is_empty() { Arc::clone(namespace) } else { other.into() };
        (!name.is_empty() && !name.contains('/')).then(|| Self { namespace, name: name.into() })
    }
}

impl fmt::Display for NamespacedName {
    /// `namespace/name`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object of any watched kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Object {
    /// An Ingress. It is shared, for a large site has thousands: what a source remembers and what the index holds is the same.
    Ingress(Arc<Ingress>),
    /// An IngressClass.
    IngressClass(IngressClass),
    /// A Service.
    Service(Service),
    /// An EndpointSlice, or an Endpoints read as one.
    EndpointSlice(EndpointSlice),
    /// A Secret.
    Secret(Secret),
    /// A ConfigMap.
    ConfigMap(ConfigMap),
    /// A Namespace.
    Namespace(Namespace),
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ingress(_) => Kind::Ingress,
            Self::IngressClass(_) => Kind::IngressClass,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Secret(_) => Kind::Secret,
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::Namespace(_) => Kind::Namespace,
        }
    }

    /// Its namespace and name.
    pub fn name(&self) -> &NamespacedName {
        match self {
            Self::Ingress(object) => &object.meta.name,
            Self::IngressClass(object) => &object.meta.name,
            Self::Service(object) => &object.meta.name,
            Self::EndpointSlice(object) => &object.meta.name,
            Self::Secret(object) => &object.meta.name,
            Self::ConfigMap(object) => &object.meta.name,
            Self::Namespace(object) => &object.meta.name,
        }
    }

    /// Its identity.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: self.kind(), name: self.name().clone() }
    }
}

/// What is kept of `metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Namespace and name. A manifest without a namespace is in `default`.
    pub name: NamespacedName,
    /// `creationTimestamp` in seconds since the epoch; `None` sorts as the youngest.
    pub created: Option<i64>,
    /// Annotations of all prefixes, as written.
    pub annotations: BTreeMap<String, String>,
}

impl Meta {
    /// The origin of the whole object.
    pub fn origin(&self, kind: Kind) -> Origin {
        Origin {
            kind: kind.name(),
            namespace: self.name.namespace.clone(),
            name: self.name.name.clone(),
            field: String::new(),
        }
    }
}

/// The removed API version that an Ingress was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegacyVersion {
    /// `extensions/v1beta1`, removed in Kubernetes 1.22
    ExtensionsV1beta1,
    /// `networking.k8s.io/v1beta1`, removed in Kubernetes 1.22
    NetworkingV1beta1,
}

/// An Ingress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ingress {
    /// Its metadata.
    pub meta: Meta,
    /// The removed API version it is written in; `None` for `networking.k8s.io/v1`.
    pub legacy: Option<LegacyVersion>,
    /// `spec.ingressClassName`.
    pub class_name: Option<String>,
    /// `spec.defaultBackend` (`spec.backend` in the removed versions).
    pub default_backend: Option<IngressBackend>,
    /// `spec.rules`.
    pub rules: Vec<IngressRule>,
    /// `spec.tls`.
    pub tls: Vec<IngressTls>,
}

/// One entry of `spec.rules`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngressRule {
    /// `host`, as written; empty for any.
    pub host: String,
    /// `http.paths`; `None` when the rule has no `http`.
    pub paths: Option<Vec<IngressPath>>,
}

/// One entry of `http.paths`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngressPath {
    /// `path`, as written; empty when absent.
    pub path: String,
    /// `pathType`, as written (`Exact`, `Prefix`, `ImplementationSpecific`); `None` when absent.
    pub path_type: Option<String>,
    /// `backend`.
    pub backend: IngressBackend,
}

/// A backend of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IngressBackend {
    /// A Service and its port.
    Service {
        /// The Service's name, in the Ingress' namespace.
        name: String,
        /// The Service's port.
        port: PortRef,
    },
    /// A resource, which Edgeward does not serve.
    Resource {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Neither: a mistake.
    Missing,
}

/// A port of a Service, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PortRef {
    /// By number.
    Number(i32),
    /// By name. The removed versions' `servicePort: "80"` is a name too.
    Name(String),
    /// Not given: a mistake.
    Missing,
}

/// One entry of `spec.tls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressTls {
    /// `hosts`, as written.
    pub hosts: Vec<String>,
    /// `secretName`; `None` when absent or empty.
    pub secret_name: Option<String>,
}

/// An IngressClass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngressClass {
    /// Its metadata.
    pub meta: Meta,
    /// `spec.controller`; empty when absent.
    pub controller: String,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its metadata.
    pub meta: Meta,
    /// `spec.type: ExternalName` with its `externalName`; `None` for every other type.
    pub external_name: Option<String>,
    /// `spec.clusterIP`; `None` for a headless Service.
    pub cluster_ip: Option<IpAddr>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
}

/// One entry of a Service's `spec.ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// `name`; empty when absent.
    pub name: String,
    /// `port`.
    pub port: i32,
    /// `targetPort`; `None` when absent (it is `port` then).
    pub target_port: Option<PortRef>,
    /// `protocol`; `TCP` when absent.
    pub protocol: String,
}

/// An EndpointSlice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointSlice {
    /// Its metadata.
    pub meta: Meta,
    /// The Service it belongs to: label `kubernetes.io/service-name`. `None` when the label is missing.
    pub service: Option<Arc<str>>,
    /// `ports`.
    pub ports: Vec<SlicePort>,
    /// `endpoints`, one entry per address, those that can never be used left out (see [`readiness`]).
    pub endpoints: Vec<SliceEndpoint>,
}

/// One entry of a slice's `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlicePort {
    /// `name`; empty when absent. It is the Service port's name.
    pub name: String,
    /// `port`; `None` means all ports.
    pub port: Option<u16>,
    /// `protocol`; `TCP` when absent.
    pub protocol: String,
}

/// One address of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceEndpoint {
    /// The address.
    pub address: IpAddr,
    /// What its conditions come to.
    #[serde(with = "StoredReadiness")]
    pub readiness: Readiness,
}

/// How a [`Readiness`] is stored: serde stays out of what requests are routed by.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Readiness")]
enum StoredReadiness {
    Ready,
    Terminating,
}

/// What the conditions of an endpoint come to (discovery.k8s.io/v1 EndpointConditions): `ready` is true when absent,
/// `serving` is `ready`, `terminating` is false. `None` never gets a request: it is neither ready nor still serving while
/// it terminates.
pub fn readiness(ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>) -> Option<Readiness> {
    let ready = ready.unwrap_or(true);
    if ready {
        Some(Readiness::Ready)
    } else if serving.unwrap_or(ready) && terminating.unwrap_or(false) {
        Some(Readiness::Terminating)
    } else {
        None
    }
}

/// A Secret. Its `Debug` names the keys and shows none of the values.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its metadata.
    pub meta: Meta,
    /// `data` decoded, with `stringData` over it. It is most of what a large site is in memory, and so what the source
    /// remembers and what the index holds is the same.
    #[serde(with = "encoded")]
    pub data: Arc<BTreeMap<String, Vec<u8>>>,
}

/// Values as base64, as in a manifest.
mod encoded {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &Arc<BTreeMap<String, Vec<u8>>>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(data.iter().map(|(key, value)| (key, STANDARD.encode(value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<BTreeMap<String, Vec<u8>>>, D::Error> {
        let data = BTreeMap::<String, String>::deserialize(from)?;
        let decode = |(key, value)| Ok((key, STANDARD.decode(value).map_err(serde::de::Error::custom)?));
        data.into_iter().map(decode).collect::<Result<_, _>>().map(Arc::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, keys {:?})", self.meta.name, self.data.keys().collect::<Vec<_>>())
    }
}

/// A ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigMap {
    /// Its metadata.
    pub meta: Meta,
    /// `data`.
    pub data: BTreeMap<String, String>,
    /// The keys of `data` that have no string as their value.
    pub unreadable: BTreeSet<String>,
}

/// A Namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its metadata.
    pub meta: Meta,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}
