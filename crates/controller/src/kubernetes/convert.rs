//! Objects as the API server sends them to the compact model.
//!
//! The API server has judged their shape, so that nothing here can fail. What Edgeward does not read is dropped at once:
//! `managedFields` and the copy that `kubectl apply` keeps in an annotation are most of an object.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::{EndpointConditions, EndpointSlice};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressClass, IngressRule, IngressServiceBackend,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::annotation::OWN_PREFIX;
use crate::certificate::KEYS;
use crate::htdigest;
use crate::htpasswd;
use crate::index::USERS_KEY;
use crate::object::{self, Meta, NamespacedName, Object, PortRef, SERVICE_NAME_LABEL};
use crate::parse::LAST_APPLIED;

/// Converts an object of one kind.
pub(super) trait Convert {
    /// The object in the compact model.
    fn convert(self) -> Object;
}

impl Convert for Ingress {
    fn convert(self) -> Object {
        let spec = self.spec.unwrap_or_default();
        let ingress = object::Ingress {
            meta: meta(self.metadata, |name| name != LAST_APPLIED),
            legacy: None,
            class_name: spec.ingress_class_name.filter(|name| !name.is_empty()),
            default_backend: spec.default_backend.map(backend),
            rules: spec.rules.unwrap_or_default().into_iter().map(rule).collect(),
            tls: spec
                .tls
                .unwrap_or_default()
                .into_iter()
                .map(|tls| object::IngressTls {
                    hosts: tls.hosts.unwrap_or_default(),
                    secret_name: tls.secret_name.filter(|name| !name.is_empty()),
                })
                .collect(),
        };
        Object::Ingress(ingress.into())
    }
}

impl Convert for IngressClass {
    fn convert(self) -> Object {
        let controller = self.spec.and_then(|spec| spec.controller).unwrap_or_default();
        Object::IngressClass(object::IngressClass { meta: meta(self.metadata, |_| false), controller })
    }
}

impl Convert for Service {
    fn convert(self) -> Object {
        let spec = self.spec.unwrap_or_default();
        let is_external = spec.type_.as_deref() == Some("ExternalName");
        Object::Service(object::Service {
            meta: meta(self.metadata, is_own),
            external_name: is_external.then(|| spec.external_name.unwrap_or_default()),
            cluster_ip: spec.cluster_ip.and_then(|text| text.parse().ok()),
            ports: spec
                .ports
                .unwrap_or_default()
                .into_iter()
                .map(|port| object::ServicePort {
                    name: port.name.unwrap_or_default(),
                    port: port.port,
                    target_port: port.target_port.and_then(target),
                    protocol: port.protocol.unwrap_or_else(|| "TCP".to_owned()),
                })
                .collect(),
        })
    }
}

impl Convert for EndpointSlice {
    fn convert(self) -> Object {
        let service = self
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(SERVICE_NAME_LABEL))
            .map(|name| name.as_str().into());
        let endpoints = self.endpoints.iter().flat_map(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            let condition = |of: fn(&EndpointConditions) -> Option<bool>| conditions.and_then(of);
            let readiness = object::readiness(
                condition(|conditions| conditions.ready),
                condition(|conditions| conditions.serving),
                condition(|conditions| conditions.terminating),
            );
            // Those of an FQDN slice are no addresses.
            let addresses = endpoint.addresses.iter().filter_map(|address| address.parse().ok());
            addresses.filter_map(move |address| Some(object::SliceEndpoint { address, readiness: readiness? }))
        });
        Object::EndpointSlice(object::EndpointSlice {
            endpoints: endpoints.collect(),
            meta: meta(self.metadata, |_| false),
            service,
            ports: self
                .ports
                .unwrap_or_default()
                .into_iter()
                .map(|port| object::SlicePort {
                    name: port.name.unwrap_or_default(),
                    port: port.port.and_then(|port| u16::try_from(port).ok()),
                    protocol: port.protocol.unwrap_or_else(|| "TCP".to_owned()),
                })
                .collect(),
        })
    }
}

impl Convert for Secret {
    fn convert(self) -> Object {
        // Only what may be served, and who may be: of most Secrets of a cluster nothing stays in memory.
        let mut data: BTreeMap<_, _> =
            self.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        let are_users = htpasswd::are_passwords(data.values());
        let is_user = |value: &[u8]| are_users || htpasswd::is_password(value) || htdigest::is_digest(value);
        data.retain(|key, value| KEYS.contains(&key.as_str()) || key == USERS_KEY || is_user(value));
        Object::Secret(object::Secret { meta: meta(self.metadata, |_| false), data: Arc::new(data) })
    }
}

impl Convert for ConfigMap {
    fn convert(self) -> Object {
        let data = self.data.unwrap_or_default();
        let meta = meta(self.metadata, |_| false);
        Object::ConfigMap(object::ConfigMap { meta, data, unreadable: BTreeSet::new() })
    }
}

impl Convert for Namespace {
    fn convert(self) -> Object {
        let labels = self.metadata.labels.clone().unwrap_or_default();
        Object::Namespace(object::Namespace { meta: meta(self.metadata, |_| false), labels })
    }
}

/// The identity of an object.
pub(super) fn name(metadata: &ObjectMeta) -> NamespacedName {
    thread_local! {
        /// Lists are sorted, so that thousands of objects share the text of their namespace.
        static LAST: RefCell<Arc<str>> = RefCell::new(Arc::default());
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let namespace = LAST.with_borrow_mut(|last| {
        if **last != *namespace {
            *last = namespace.into();
        }
        Arc::clone(last)
    });
    NamespacedName { namespace, name: metadata.name.as_deref().unwrap_or_default().into() }
}

fn meta(metadata: ObjectMeta, is_kept: impl Fn(&str) -> bool) -> Meta {
    Meta {
        name: name(&metadata),
        created: metadata.creation_timestamp.map(|created| created.0.as_second()),
        annotations: metadata.annotations.unwrap_or_default().into_iter().filter(|(key, _)| is_kept(key)).collect(),
    }
}

fn is_own(annotation: &str) -> bool {
    annotation.strip_prefix(OWN_PREFIX).is_some_and(|rest| rest.starts_with('/'))
}

fn rule(rule: IngressRule) -> object::IngressRule {
    object::IngressRule {
        host: rule.host.unwrap_or_default(),
        paths: rule.http.map(|http| http.paths.into_iter().map(path).collect()),
    }
}

fn path(path: HTTPIngressPath) -> object::IngressPath {
    object::IngressPath {
        path: path.path.unwrap_or_default(),
        path_type: Some(path.path_type).filter(|kind| !kind.is_empty()),
        backend: backend(path.backend),
    }
}

fn backend(backend: IngressBackend) -> object::IngressBackend {
    match (backend.service, backend.resource) {
        (Some(IngressServiceBackend { name, port }), _) => {
            let port = port.unwrap_or_default();
            let number = port.number.filter(|number| *number != 0).map(PortRef::Number);
            let by_name = port.name.filter(|name| !name.is_empty()).map(PortRef::Name);
            object::IngressBackend::Service { name, port: number.or(by_name).unwrap_or(PortRef::Missing) }
        }
        (None, Some(resource)) => object::IngressBackend::Resource { kind: resource.kind, name: resource.name },
        (None, None) => object::IngressBackend::Missing,
    }
}

fn target(port: IntOrString) -> Option<PortRef> {
    match port {
        IntOrString::Int(number) => (number != 0).then_some(PortRef::Number(number)),
        IntOrString::String(name) => (!name.is_empty()).then_some(PortRef::Name(name)),
    }
}

/// The name of a Service as a label's value.
pub(super) fn service_label(service: &str) -> String {
    format!("{SERVICE_NAME_LABEL}={service}")
}

/// Where addresses of the status of an Ingress are written.
pub(super) fn published(ingress: &Ingress) -> Vec<super::status::Address> {
    let entries =
        ingress.status.iter().flat_map(|status| status.load_balancer.iter()).flat_map(|lb| lb.ingress.iter().flatten());
    entries.filter_map(|entry| super::status::Address::of(entry.ip.as_deref(), entry.hostname.as_deref())).collect()
}
