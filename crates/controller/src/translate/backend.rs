//! Backends: the Service ports that routes name, and how requests are spread over them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edgeward_routing::Snapshot;
use edgeward_routing::backend::{Backend, BackendId, BackendKey, HealthCheck, LoadBalance};
use edgeward_routing::endpoint::{Endpoint, Readiness};
use edgeward_routing::origin::Origin;

use super::class::Owned;
use super::endpoint::{endpoints, has_port};
use super::options::Options;
use super::rule::Plan;
use crate::annotation::{self, BackendSettings};
use crate::configmap::Configuration;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{IngressBackend, Kind, NamespacedName, PortRef, Service};

/// Who names which Service port. The settings of a backend belong to the Service port, not to a route: the oldest
/// Ingress that names it decides for all (controller.go createUpstreams; recorded: c132).
#[derive(Default)]
pub(super) struct References<'a> {
    by_key: BTreeMap<BackendKey, Reference<'a>>,
}

struct Reference<'a> {
    /// The Ingress that decides; `None` while only the options name it.
    by: Option<&'a Owned<'a>>,
    /// Whether it is the default backend of the options.
    is_default: bool,
    /// Those that ask for something too, but are not asked.
    others: Vec<&'a Owned<'a>>,
}

/// What balancing a backend depends on besides its endpoints.
struct Balance {
    load_balance: LoadBalance,
    health_check: Option<HealthCheck>,
    slow_start: Duration,
}

impl<'a> References<'a> {
    /// Takes in the default backend of the options: the first port of that Service.
    pub(super) fn add_default(
        &mut self,
        index: &Index,
        options: &Options,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<BackendKey> {
        let name = options.default_backend_service.as_ref()?;
        let origin = Origin::object(Kind::Service.name(), &name.namespace, &name.name);
        let mut say = |code, message: &str, mend: &str| {
            diagnostics.push(Diagnostic::new(Severity::Error, code, origin.clone(), message, mend));
        };
        let mend = "create it, or correct `--default-backend-service`; until then, what no route takes is answered 404";
        let Some(service) = index.service(name) else {
            say("ServiceNotFound", "the Service of the default backend does not exist", mend);
            return None;
        };
        let Some(port) = service.ports.first() else {
            say("PortNotFound", "the Service of the default backend has no port", "give it a port");
            return None;
        };
        let key = BackendKey {
            namespace: name.namespace.clone(),
            service: name.name.clone(),
            port: port.port.to_string().into(),
        };
        self.by_key.entry(key.clone()).or_insert(Reference { by: None, is_default: true, others: Vec::new() });
        Some(key)
    }

    /// Takes in a backend that an Ingress names at `field`, and checks that it exists. `None` is the default backend:
    /// what is named is no Service (row 25 of ingress-nginx's semantics).
    pub(super) fn add(
        &mut self,
        index: &Index,
        owned: &'a Owned<'a>,
        backend: &IngressBackend,
        field: &str,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<BackendKey> {
        let mut say = |code, field: String, message: String, mend: String| {
            diagnostics.push(Diagnostic::new(Severity::Error, code, owned.origin.at(field), message, mend));
        };
        let (service, port) = match backend {
            IngressBackend::Service { name, port } => (name, port),
            IngressBackend::Resource { kind, name } => {
                let message = format!("{kind} `{name}` is no Service: the default backend answers");
                let mend = "name a Service; resources as backends are not served".to_owned();
                say("ResourceBackend", format!("{field}.resource"), message, mend);
                return None;
            }
            IngressBackend::Missing => {
                let message = "no backend is named: the default backend answers".to_owned();
                say("BackendMissing", field.to_owned(), message, "name a Service and its port".to_owned());
                return None;
            }
        };
        let namespace = &owned.ingress.meta.name.namespace;
        let key = BackendKey { namespace: namespace.clone(), service: service.as_str().into(), port: port_text(port) };
        let name = NamespacedName { namespace: namespace.clone(), name: key.service.clone() };
        match index.service(&name) {
            None => {
                let message = format!("there is no Service `{name}`: requests are answered 503");
                let mend = "create it, or correct the name; it must be in the namespace of the Ingress".to_owned();
                say("ServiceNotFound", format!("{field}.service.name"), message, mend);
            }
            Some(found) if !has_port(found, &key.port) => {
                let (field, what) = match port {
                    PortRef::Number(number) => (format!("{field}.service.port.number"), format!("port {number}")),
                    PortRef::Name(text) => (format!("{field}.service.port.name"), format!("port `{text}`")),
                    PortRef::Missing => (format!("{field}.service.port"), "port, for none is named here".to_owned()),
                };
                let message = format!("Service `{name}` has no TCP {what}: requests are answered 503");
                say("PortNotFound", field, message, ports_of(found));
            }
            Some(_) => {}
        }
        let reference =
            self.by_key.entry(key.clone()).or_insert(Reference { by: None, is_default: false, others: Vec::new() });
        let first = *reference.by.get_or_insert(owned);
        let is_last = reference.others.last().is_some_and(|last| std::ptr::eq(*last, owned));
        if !std::ptr::eq(first, owned) && !is_last && !owned.settings.backend.is_empty() {
            reference.others.push(owned);
        }
        Some(key)
    }

    /// Builds the backends that the plan's routes and the options name, sorted by key.
    pub(super) fn build(
        &self,
        index: &Index,
        options: &Options,
        configuration: &Configuration,
        plan: &Plan,
        previous: &Snapshot,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Vec<Arc<Backend>> {
        let used: BTreeSet<&BackendKey> = plan.targets().collect();
        let mut of_service: BTreeMap<NamespacedName, BackendSettings> = BTreeMap::new();
        let mut backends = Vec::with_capacity(used.len() + 1);
        for (key, reference) in &self.by_key {
            if !reference.is_default && !used.contains(key) {
                continue;
            }
            let name = NamespacedName { namespace: key.namespace.clone(), name: key.service.clone() };
            let service = of_service.entry(name).or_insert_with_key(|name| {
                index.service(name).map_or_else(BackendSettings::default, |service| {
                    let origin = service.meta.origin(Kind::Service);
                    annotation::read_service(&service.meta.annotations, &origin, diagnostics)
                })
            });
            let none = BackendSettings::default();
            let asked = reference.by.map_or(&none, |owned| &owned.settings.backend);
            let settings = asked.overruled_by(service);
            reference.report_others(key, &settings, service, diagnostics);
            let balance = Balance {
                load_balance: settings.load_balance(&configuration.load_balance),
                health_check: settings.health_check(),
                slow_start: settings.slow_start.unwrap_or_default(),
            };
            let old = find(&previous.backends.0, key);
            let found = endpoints(index, options, key, diagnostics);
            backends.push(successor(old, key, balance, &found));
        }
        backends
    }
}

impl Reference<'_> {
    fn report_others(
        &self,
        key: &BackendKey,
        settings: &BackendSettings,
        service: &BackendSettings,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Some(by) = self.by else { return };
        for other in &self.others {
            if other.settings.backend.overruled_by(service) == *settings {
                continue;
            }
            let message = format!(
                "what this Ingress asks about balancing Service `{}` port {} has no effect: {} names the same port \
                 and comes first",
                key.service, key.port, by.origin
            );
            let mend = "ask for the same in both, or annotate the Service";
            let origin = other.origin.at("metadata.annotations");
            diagnostics.push(Diagnostic::new(Severity::Warning, "BackendSettingIgnored", origin, message, mend));
        }
    }
}

/// The backend as it is after a change of endpoints; the same object when there is none.
pub(super) fn with_endpoints(
    index: &Index,
    options: &Options,
    old: &Arc<Backend>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Arc<Backend> {
    let balance = Balance {
        load_balance: old.load_balance.clone(),
        health_check: old.health_check.clone(),
        slow_start: old.slow_start,
    };
    let found = endpoints(index, options, &old.key, diagnostics);
    successor(Some(old), &old.key, balance, &found)
}

/// The backend of a key in a list that is sorted by key.
pub(super) fn id_of(backends: &[Arc<Backend>], key: &BackendKey) -> Option<BackendId> {
    let at = backends.binary_search_by(|backend| backend.key.cmp(key)).ok()?;
    Some(BackendId(u32::try_from(at).ok()?))
}

/// The backends of a Service, with their positions, in a list that is sorted by key: its ports lie side by side.
pub(super) fn of_service<'b>(
    backends: &'b [Arc<Backend>],
    service: &NamespacedName,
) -> impl Iterator<Item = (usize, &'b Arc<Backend>)> {
    let of = |backend: &Arc<Backend>| {
        (&*backend.key.namespace, &*backend.key.service).cmp(&(&service.namespace, &service.name))
    };
    let start = backends.partition_point(|backend| of(backend).is_lt());
    let len = backends[start..].partition_point(|backend| of(backend).is_eq());
    backends[start..start + len].iter().enumerate().map(move |(at, backend)| (start + at, backend))
}

fn find<'b>(backends: &'b [Arc<Backend>], key: &BackendKey) -> Option<&'b Arc<Backend>> {
    backends.get(id_of(backends, key)?.0 as usize)
}

/// The backend that follows `old`. The living state goes over by identity: that of an endpoint with its address, the
/// round-robin position with the backend.
fn successor(
    old: Option<&Arc<Backend>>,
    key: &BackendKey,
    balance: Balance,
    found: &[(SocketAddr, Readiness)],
) -> Arc<Backend> {
    let Balance { load_balance, health_check, slow_start } = balance;
    let known: &[Endpoint] = old.map_or(&[], |old| &old.endpoints);
    if let Some(old) = old
        && (&old.load_balance, &old.health_check, old.slow_start) == (&load_balance, &health_check, slow_start)
        && known.iter().map(|endpoint| (endpoint.addr, endpoint.readiness)).eq(found.iter().copied())
    {
        return Arc::clone(old);
    }
    let endpoints = found
        .iter()
        .map(|(addr, readiness)| {
            let state = known
                .binary_search_by(|endpoint| endpoint.addr.cmp(addr))
                .map_or_else(|_| Arc::default(), |at| Arc::clone(&known[at].state));
            Endpoint { addr: *addr, readiness: *readiness, state }
        })
        .collect();
    Arc::new(Backend {
        key: key.clone(),
        name: key.to_string().into(),
        load_balance,
        health_check,
        slow_start,
        endpoints,
        cursor: old.map_or_else(Arc::default, |old| Arc::clone(&old.cursor)),
        ring: Default::default(),
    })
}

fn port_text(port: &PortRef) -> Arc<str> {
    match port {
        PortRef::Number(number) => number.to_string().into(),
        PortRef::Name(name) => name.as_str().into(),
        PortRef::Missing => "".into(),
    }
}

/// The mend for a port that is not there: those that are.
fn ports_of(service: &Service) -> String {
    let mut ports: Vec<String> = Vec::new();
    for port in &service.ports {
        let mut text = port.port.to_string();
        if !port.name.is_empty() {
            text = format!("{text} (`{}`)", port.name);
        }
        if !port.protocol.is_empty() && port.protocol != "TCP" {
            text = format!("{text} over {}", port.protocol);
        }
        ports.push(text);
    }
    if ports.is_empty() {
        "the Service has no ports: add one".to_owned()
    } else {
        format!("it has {}", ports.join(", "))
    }
}
