//! Objects for tests, in one line each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use edgeward_routing::endpoint::Readiness;

use crate::object::{
    ConfigMap, EndpointSlice, Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, Meta,
    NamespacedName, Object, PortRef, Secret, Service, ServicePort, SliceEndpoint, SlicePort,
};

pub(crate) const PREFIX: &str = "nginx.ingress.kubernetes.io";

pub(crate) fn meta(name: &str) -> Meta {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    Meta { name: NamespacedName::new(namespace, name), created: None, annotations: BTreeMap::new() }
}

pub(crate) fn name(name: &str) -> NamespacedName {
    meta(name).name
}

/// `web` is a Service and port 80; `web:http` has a named port, `web:8080` another number.
pub(crate) fn backend(text: &str) -> IngressBackend {
    let (service, port) = text.split_once(':').unwrap_or((text, "80"));
    let port = port.parse().map_or_else(|_| PortRef::Name(port.to_owned()), PortRef::Number);
    IngressBackend::Service { name: service.to_owned(), port }
}

pub(crate) fn ingress(name: &str) -> Ingress {
    Ingress {
        meta: meta(name),
        legacy: None,
        class_name: None,
        default_backend: None,
        rules: Vec::new(),
        tls: Vec::new(),
    }
}

impl Ingress {
    pub(crate) fn created(mut self, at: i64) -> Self {
        self.meta.created = Some(at);
        self
    }

    pub(crate) fn class(mut self, name: &str) -> Self {
        self.class_name = Some(name.to_owned());
        self
    }

    /// An annotation; a name without a prefix gets ingress-nginx's.
    pub(crate) fn annotated(mut self, key: &str, value: &str) -> Self {
        let key = if key.contains('/') { key.to_owned() } else { format!("{PREFIX}/{key}") };
        self.meta.annotations.insert(key, value.to_owned());
        self
    }

    /// A rule; each path is `Prefix /foo web`, `Exact / web:8080` or `- /foo web` for no type.
    pub(crate) fn rule(mut self, host: &str, paths: &[&str]) -> Self {
        let paths = paths.iter().map(|text| {
            let words: Vec<&str> = text.split(' ').collect();
            IngressPath {
                path: words[1].to_owned(),
                path_type: (words[0] != "-").then(|| words[0].to_owned()),
                backend: backend(words[2]),
            }
        });
        self.rules.push(IngressRule { host: host.to_owned(), paths: Some(paths.collect()) });
        self
    }

    pub(crate) fn default_backend(mut self, text: &str) -> Self {
        self.default_backend = Some(backend(text));
        self
    }

    pub(crate) fn tls(mut self, hosts: &[&str], secret: &str) -> Self {
        let secret_name = (!secret.is_empty()).then(|| secret.to_owned());
        self.tls.push(IngressTls { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), secret_name });
        self
    }

    pub(crate) fn object(self) -> Object {
        Object::Ingress(self.into())
    }
}

pub(crate) fn class(name: &str, controller: &str) -> Object {
    let mut meta = meta(name);
    meta.name = NamespacedName::new("", name);
    Object::IngressClass(IngressClass { meta, controller: controller.to_owned() })
}

pub(crate) fn port(name: &str, number: i32, target: Option<PortRef>) -> ServicePort {
    ServicePort { name: name.to_owned(), port: number, target_port: target, protocol: "TCP".to_owned() }
}

pub(crate) fn service(name: &str, ports: Vec<ServicePort>) -> Service {
    Service { meta: meta(name), external_name: None, cluster_ip: None, ports }
}

pub(crate) fn external(name: &str, external: &str) -> Service {
    Service { external_name: Some(external.to_owned()), ..service(name, Vec::new()) }
}

pub(crate) fn slice(name: &str, of: &str, port: (&str, u16), endpoints: Vec<SliceEndpoint>) -> EndpointSlice {
    let ports = vec![SlicePort { name: port.0.to_owned(), port: Some(port.1), protocol: "TCP".to_owned() }];
    EndpointSlice { meta: meta(name), service: Some(of.into()), ports, endpoints }
}

pub(crate) fn ready(address: &str) -> SliceEndpoint {
    let address: IpAddr = address.parse().unwrap();
    SliceEndpoint { address, readiness: Readiness::Ready }
}

pub(crate) fn terminating(address: &str) -> SliceEndpoint {
    SliceEndpoint { readiness: Readiness::Terminating, ..ready(address) }
}

/// A Service with port 80 and one ready endpoint on port 8080.
pub(crate) fn web(name: &str, address: &str) -> [Object; 2] {
    let of = name.split_once('/').map_or(name, |(_, name)| name);
    [
        Object::Service(service(name, vec![port("", 80, Some(PortRef::Number(8080)))])),
        Object::EndpointSlice(slice(&format!("{name}-1"), of, ("", 8080), vec![ready(address)])),
    ]
}

pub(crate) fn secret(name: &str, chain: &str, key: &str) -> Secret {
    let data = [("tls.crt", chain), ("tls.key", key)];
    let data = data.into_iter().map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    Secret { meta: meta(name), data: Arc::new(data.collect()) }
}

/// A Secret with a fresh certificate for these names.
pub(crate) fn secret_for(name: &str, names: &[&str]) -> Object {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    Object::Secret(secret(name, &made.cert.pem(), &made.signing_key.serialize_pem()))
}

pub(crate) fn config_map(name: &str, data: &[(&str, &str)]) -> Object {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Object::ConfigMap(ConfigMap { meta: meta(name), data, unreadable: Default::default() })
}
