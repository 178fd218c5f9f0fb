//! Manifests: a directory of them, and text for the kinds that tests need.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::certificate::Pair;

/// A directory of manifests that is gone at the end of the test.
#[derive(Debug)]
pub struct Manifests {
    directory: TempDir,
}

impl Manifests {
    /// An empty one.
    ///
    /// # Panics
    ///
    /// When the directory cannot be made.
    pub fn new() -> Self {
        Self { directory: TempDir::with_prefix("edgeward-tests-").expect("a temporary directory") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file as editors and `kubectl` do it: whole under another name, then renamed.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<str>) {
        let target = self.file(name);
        let parent = target.parent().expect("a file in the directory has a parent");
        std::fs::create_dir_all(parent).expect("the sub-directory can be made");
        // The name does not end in a suffix of manifests, so that the file is not read before it is whole.
        let unfinished = target.with_extension("unfinished");
        std::fs::write(&unfinished, text.as_ref()).expect("the manifest can be written");
        std::fs::rename(&unfinished, &target).expect("the manifest can be renamed");
    }

    /// Writes several documents into one file.
    pub fn write_all<T: AsRef<str>>(&self, name: &str, documents: impl IntoIterator<Item = T>) {
        self.write(name, join(documents));
    }

    /// Removes a file.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.file(name)).expect("the manifest can be removed");
    }
}

impl Default for Manifests {
    fn default() -> Self {
        Self::new()
    }
}

/// Documents with `---` between them.
pub fn join<T: AsRef<str>>(documents: impl IntoIterator<Item = T>) -> String {
    let documents: Vec<T> = documents.into_iter().collect();
    documents.iter().map(|document| document.as_ref().trim_end()).collect::<Vec<_>>().join("\n---\n") + "\n"
}

/// An Ingress being written.
#[derive(Debug, Clone)]
pub struct Ingress {
    name: String,
    namespace: String,
    created: Option<String>,
    class: Option<String>,
    annotations: Vec<(String, String)>,
    default_backend: Option<(String, u16)>,
    rules: Vec<Rule>,
    tls: Vec<(Vec<String>, Option<String>)>,
}

#[derive(Debug, Clone)]
struct Rule {
    host: String,
    paths: Vec<serde_json::Value>,
}

impl Ingress {
    /// An Ingress of namespace `default` that says nothing yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            created: None,
            class: None,
            annotations: Vec::new(),
            default_backend: None,
            rules: Vec::new(),
            tls: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// In this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// With `creationTimestamp`, as RFC 3339 text.
    #[must_use]
    pub fn created(mut self, timestamp: &str) -> Self {
        self.created = Some(timestamp.to_owned());
        self
    }

    /// With `ingressClassName`.
    #[must_use]
    pub fn class(mut self, name: &str) -> Self {
        self.class = Some(name.to_owned());
        self
    }

    /// With an annotation; a name without `/` gets ingress-nginx's prefix.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        let name = if name.contains('/') { name.to_owned() } else { format!("nginx.ingress.kubernetes.io/{name}") };
        self.annotations.push((name, value.to_owned()));
        self
    }

    /// With `spec.defaultBackend`.
    #[must_use]
    pub fn default_backend(mut self, service: &str, port: u16) -> Self {
        self.default_backend = Some((service.to_owned(), port));
        self
    }

    /// With a path of a host; an empty host is any. Paths of the same host in a row share a rule.
    #[must_use]
    pub fn path(mut self, host: &str, path_type: &str, path: &str, service: &str) -> Self {
        let entry = json!({
            "path": path,
            "pathType": path_type,
            "backend": {"service": {"name": service, "port": {"number": 80}}},
        });
        match self.rules.last_mut() {
            Some(rule) if rule.host == host => rule.paths.push(entry),
            _ => self.rules.push(Rule { host: host.to_owned(), paths: vec![entry] }),
        }
        self
    }

    /// With everything of a host.
    #[must_use]
    pub fn host(self, host: &str, service: &str) -> Self {
        self.path(host, "Prefix", "/", service)
    }

    /// With a `tls` entry.
    #[must_use]
    pub fn tls(mut self, hosts: &[&str], secret: Option<&str>) -> Self {
        self.tls.push((hosts.iter().map(|host| (*host).to_owned()).collect(), secret.map(str::to_owned)));
        self
    }

    /// The document.
    pub fn text(&self) -> String {
        let mut metadata = json!({"name": self.name, "namespace": self.namespace});
        if let Some(created) = &self.created {
            metadata["creationTimestamp"] = json!(created);
        }
        if !self.annotations.is_empty() {
            metadata["annotations"] =
                self.annotations.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        }
        let mut spec = json!({});
        if let Some(class) = &self.class {
            spec["ingressClassName"] = json!(class);
        }
        if let Some((name, port)) = &self.default_backend {
            spec["defaultBackend"] = json!({"service": {"name": name, "port": {"number": port}}});
        }
        if !self.rules.is_empty() {
            spec["rules"] = self
                .rules
                .iter()
                .map(|rule| {
                    let mut entry = json!({"http": {"paths": rule.paths}});
                    if !rule.host.is_empty() {
                        entry["host"] = json!(rule.host);
                    }
                    entry
                })
                .collect();
        }
        if !self.tls.is_empty() {
            spec["tls"] = self
                .tls
                .iter()
                .map(|(hosts, secret)| {
                    let mut entry = json!({});
                    if !hosts.is_empty() {
                        entry["hosts"] = json!(hosts);
                    }
                    if let Some(secret) = secret {
                        entry["secretName"] = json!(secret);
                    }
                    entry
                })
                .collect();
        }
        document("networking.k8s.io/v1", "Ingress", &metadata, &[("spec", &spec)])
    }
}

/// A Service of namespace `default` with one port 80 named `http`, and an EndpointSlice with these ready endpoints.
/// All endpoints have the same port.
pub fn service(name: &str, endpoints: &[SocketAddr]) -> String {
    let states: Vec<_> = endpoints.iter().map(|addr| (*addr, Pod::Ready)).collect();
    join([service_alone(name, endpoints.first().map_or(80, SocketAddr::port)), slice(name, name, &states)])
}

/// A Service of namespace `default` without an EndpointSlice.
pub fn service_alone(name: &str, target_port: u16) -> String {
    service_in("default", name, target_port)
}

/// A Service of namespace `default` with an address and a port of its own, without an EndpointSlice.
pub fn service_at(name: &str, port: u16, address: IpAddr) -> String {
    let metadata = json!({"name": name, "namespace": "default"});
    let ports = json!([{"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"}]);
    document("v1", "Service", &metadata, &[("spec", &json!({"clusterIP": address, "ports": ports}))])
}

/// A Service of any namespace without an EndpointSlice.
pub fn service_in(namespace: &str, name: &str, target_port: u16) -> String {
    let metadata = json!({"name": name, "namespace": namespace});
    let spec = json!({"ports": [{"name": "http", "port": 80, "targetPort": target_port, "protocol": "TCP"}]});
    document("v1", "Service", &metadata, &[("spec", &spec)])
}

/// What an EndpointSlice says of one of its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pod {
    /// Takes requests.
    Ready,
    /// Does not take requests yet.
    NotReady,
    /// Is going away and still serves.
    Terminating,
}

/// An EndpointSlice of a Service of namespace `default`.
pub fn slice(name: &str, service: &str, endpoints: &[(SocketAddr, Pod)]) -> String {
    slice_in("default", name, service, endpoints)
}

/// An EndpointSlice of a Service of any namespace.
pub fn slice_in(namespace: &str, name: &str, service: &str, endpoints: &[(SocketAddr, Pod)]) -> String {
    let metadata = json!({
        "name": name,
        "namespace": namespace,
        "labels": {"kubernetes.io/service-name": service},
    });
    let family = match endpoints.first() {
        Some((SocketAddr::V6(_), _)) => "IPv6",
        _ => "IPv4",
    };
    let entries: Vec<_> = endpoints
        .iter()
        .map(|(addr, pod)| {
            let conditions = match pod {
                Pod::Ready => json!({"ready": true, "serving": true, "terminating": false}),
                Pod::NotReady => json!({"ready": false, "serving": false, "terminating": false}),
                Pod::Terminating => json!({"ready": false, "serving": true, "terminating": true}),
            };
            json!({"addresses": [addr.ip()], "conditions": conditions})
        })
        .collect();
    let port = endpoints.first().map_or(80, |(addr, _)| addr.port());
    document(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        &metadata,
        &[
            ("addressType", &json!(family)),
            ("ports", &json!([{"name": "http", "port": port, "protocol": "TCP"}])),
            ("endpoints", &json!(entries)),
        ],
    )
}

/// A Secret of type `kubernetes.io/tls` in namespace `default`.
pub fn tls_secret(name: &str, pair: &Pair) -> String {
    let metadata = json!({"name": name, "namespace": "default"});
    document(
        "v1",
        "Secret",
        &metadata,
        &[
            ("type", &json!("kubernetes.io/tls")),
            ("stringData", &json!({"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem})),
        ],
    )
}

/// An Opaque Secret in namespace `default`.
pub fn secret(name: &str, data: &serde_json::Value) -> String {
    document("v1", "Secret", &json!({"name": name, "namespace": "default"}), &[("stringData", data)])
}

/// A ConfigMap `NAMESPACE/NAME`.
pub fn config_map(namespace: &str, name: &str, data: &serde_json::Value) -> String {
    document("v1", "ConfigMap", &json!({"name": name, "namespace": namespace}), &[("data", data)])
}

/// An IngressClass.
pub fn ingress_class(name: &str, controller: &str) -> String {
    document(
        "networking.k8s.io/v1",
        "IngressClass",
        &json!({"name": name}),
        &[("spec", &json!({"controller": controller}))],
    )
}

/// A YAML document whose values are in flow style, which is JSON: no text needs escaping by hand.
fn document(
    api_version: &str,
    kind: &str,
    metadata: &serde_json::Value,
    fields: &[(&str, &serde_json::Value)],
) -> String {
    let mut text = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {metadata}\n");
    for (name, value) in fields {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}
