//! Backends: the Service ports that routes name, and how requests are spread over them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edgeward_routing::Snapshot;
use edgeward_routing::affinity::{Affinity, AffinityMode, identity};
use edgeward_routing::backend::{
    Backend, BackendId, BackendKey, Backends, HealthCheck, LoadBalance, Probe, random_cursor,
};
use edgeward_routing::canary::Canary;
use edgeward_routing::endpoint::{Endpoint, Readiness};
use edgeward_routing::origin::Origin;
use hashbrown::HashMap;

use super::class::Owned;
use super::endpoint::{endpoints, has_port, hidden_port, service_address, service_endpoint};
use super::options::Options;
use super::share;
use crate::annotation::{self, BackendSettings, OWN_PREFIX};
use crate::configmap::Configuration;
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::{IngressBackend, Kind, NamespacedName, PortRef, Service, ServicePort};

/// Who names which Service port. The settings of a backend belong to the Service port, not to a route: the oldest
/// Ingress that names it decides for all (controller.go createUpstreams; recorded: c132).
pub(super) struct References<'a> {
    index: &'a Index,
    options: &'a Options,
    all: Vec<Reference<'a>>,
    /// By namespace, Service and port.
    known: HashMap<(&'a str, &'a str, PortName<'a>), ReferenceId>,
}

/// One of the [`References`] of this translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReferenceId(usize);

/// The port of a Service as it is named, so that `80` and `"80"` are the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum PortName<'a> {
    Number(i32),
    Text(&'a str),
}

struct Reference<'a> {
    key: BackendKey,
    service: Option<&'a Service>,
    has_port: bool,
    /// The port of the Service that has the number or name, and the one that is taken for it.
    hidden_port: Option<(&'a ServicePort, &'a ServicePort)>,
    /// The Ingress that decides; `None` while only the options name it.
    by: Option<&'a Owned<'a>>,
    /// Those that ask for something too, but are not asked.
    others: Vec<&'a Owned<'a>>,
    sessions: Sessions<'a>,
    /// The first canary for it.
    canary: Option<ReferenceId>,
    /// What it is the canary of, if clients of that stay with it.
    session_of: Option<ReferenceId>,
    /// Whether a route or the options send requests there: what only loses conflicts becomes no backend.
    is_used: bool,
}

/// What the Ingresses with a path to a Service port say about sessions there. To ingress-nginx there is affinity as soon as
/// one of them asks for it, its mode is the first that is asked for, and its cookie the last (controller.go
/// getBackendServers; recorded: c272).
#[derive(Default)]
struct Sessions<'a> {
    mode: Option<AffinityMode>,
    /// Those that ask for affinity.
    by: Vec<&'a Owned<'a>>,
}

/// What becomes of an alternative.
pub(super) enum Alternative {
    /// Requests go there.
    Taken,
    /// None do, for this reason.
    Refused(&'static str),
}

/// The backends of a translation.
pub(super) struct Built {
    pub(super) backends: Arc<Backends>,
    /// By [`ReferenceId`]; `None` for what is not used.
    ids: Vec<Option<BackendId>>,
}

impl Built {
    /// The number of the backend that a reference became.
    pub(super) fn id(&self, reference: ReferenceId) -> Option<BackendId> {
        self.ids.get(reference.0).copied().flatten()
    }
}

/// What balancing a backend depends on besides its endpoints.
#[derive(PartialEq)]
struct Balance {
    load_balance: LoadBalance,
    affinity: Option<Affinity>,
    canary: Option<Canary>,
    is_service_upstream: bool,
    health_check: Option<HealthCheck>,
    slow_start: Duration,
}

impl<'a> References<'a> {
    pub(super) fn new(index: &'a Index, options: &'a Options) -> Self {
        Self { index, options, all: Vec::new(), known: HashMap::new() }
    }

    /// Takes in the default backend of the options: the first port of that Service.
    pub(super) fn add_default(&mut self, diagnostics: &mut Vec<Diagnostic>) -> Option<ReferenceId> {
        let name = self.options.default_backend_service.as_ref()?;
        let origin = Origin::object(Kind::Service.name(), &name.namespace, &name.name);
        let mut say = |code, message: &str, mend: &str| {
            diagnostics.push(Diagnostic::new(Severity::Error, code, origin.clone(), message, mend));
        };
        let mend = "create it, or correct `--default-backend-service`; until then, what no route takes is answered 404";
        let Some(service) = self.index.service(name) else {
            say("ServiceNotFound", "the Service of the default backend does not exist", mend);
            return None;
        };
        let Some(port) = service.ports.first() else {
            say("PortNotFound", "the Service of the default backend has no port", "give it a port");
            return None;
        };
        let id = self.refer(&name.namespace, &name.name, PortName::Number(port.port));
        self.mark_used(id);
        Some(id)
    }

    /// Takes in a backend that an Ingress names at `field`, and checks that it exists. `None` is the default backend:
    /// what is named is no Service (row 25 of ingress-nginx's semantics).
    pub(super) fn add(
        &mut self,
        owned: &'a Owned<'a>,
        backend: &'a IngressBackend,
        field: impl Fn() -> String,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<ReferenceId> {
        let mut note = |severity, code, field: String, message: String, mend: String| {
            diagnostics.push(Diagnostic::new(severity, code, owned.origin.at(field), message, mend));
        };
        let mut say = |code, field, message, mend| note(Severity::Error, code, field, message, mend);
        let (service, port) = match backend {
            IngressBackend::Service { name, port } => (name, port),
            IngressBackend::Resource { kind, name } => {
                let message = format!("{kind} `{name}` is no Service: the default backend answers");
                let mend = "name a Service; resources as backends are not served".to_owned();
                say("ResourceBackend", format!("{}.resource", field()), message, mend);
                return None;
            }
            IngressBackend::Missing => {
                let message = "no backend is named: the default backend answers".to_owned();
                say("BackendMissing", field(), message, "name a Service and its port".to_owned());
                return None;
            }
        };
        let answer = if owned.is_canary() { "no request goes there" } else { "requests are answered 503" };
        let namespace = &owned.ingress.meta.name.namespace;
        let id = self.refer(namespace, service, PortName::of(port));
        let reference = &mut self.all[id.0];
        match reference.service {
            None => {
                let message = format!("there is no Service `{namespace}/{service}`: {answer}");
                let mend = "create it, or correct the name; it must be in the namespace of the Ingress".to_owned();
                say("ServiceNotFound", format!("{}.service.name", field()), message, mend);
            }
            Some(found) if !reference.has_port => {
                let (part, what) = match port {
                    PortRef::Number(number) => (".number", format!("port {number}")),
                    PortRef::Name(text) => (".name", format!("port `{text}`")),
                    PortRef::Missing => ("", "port, for none is named here".to_owned()),
                };
                let message = format!("Service `{namespace}/{service}` has no TCP {what}: {answer}");
                say("PortNotFound", format!("{}.service.port{part}", field()), message, ports_of(found));
            }
            Some(_) => {
                if let Some((named, taken)) = reference.hidden_port {
                    let what = &reference.key.port;
                    let message = format!(
                        "port `{what}` of Service `{namespace}/{service}` is {}, but {} comes first and has it as its \
                         targetPort: requests go there, as in ingress-nginx",
                        described(named),
                        described(taken)
                    );
                    let mend = "name a port by what no targetPort has, or put it first in the Service".to_owned();
                    note(Severity::Warning, "PortHidden", format!("{}.service.port", field()), message, mend);
                }
            }
        }
        let first = *reference.by.get_or_insert(owned);
        let is_last = reference.others.last().is_some_and(|last| std::ptr::eq(*last, owned));
        if !std::ptr::eq(first, owned) && !is_last && !owned.settings.backend.is_empty() {
            reference.others.push(owned);
        }
        Some(id)
    }

    /// Takes in what an Ingress with a path to a backend says about sessions there.
    pub(super) fn add_session(&mut self, id: ReferenceId, owned: &'a Owned<'a>) {
        let affinity = &owned.settings.affinity;
        let sessions = &mut self.all[id.0].sessions;
        sessions.mode = sessions.mode.or(affinity.mode);
        let is_known = sessions.by.last().is_some_and(|last| std::ptr::eq(*last, owned));
        if affinity.is_by_cookie && !is_known {
            sessions.by.push(owned);
        }
    }

    /// Makes `canary` the alternative of `main`, which clients with a session leave again at `leaves_canary`. Only the first
    /// one of a backend takes requests.
    pub(super) fn add_alternative(
        &mut self,
        main: ReferenceId,
        canary: ReferenceId,
        leaves_canary: bool,
    ) -> Alternative {
        if main == canary {
            return Alternative::Refused("it names the Service port that it would be an alternative to");
        }
        // Whoever may write Ingresses in one namespace takes no request from another one.
        if self.all[main.0].key.namespace != self.all[canary.0].key.namespace {
            return Alternative::Refused("its main Ingress is in another namespace");
        }
        if self.all[main.0].by.is_some_and(Owned::is_canary) {
            return Alternative::Refused("an older Ingress has the Service port of its main Ingress as a canary");
        }
        let first = *self.all[main.0].canary.get_or_insert(canary);
        if first != canary {
            return Alternative::Refused("its main Ingress has an older canary");
        }
        self.mark_used(canary);
        // Of several main backends the last that has sessions.
        let has_sessions = !self.all[main.0].sessions.by.is_empty();
        if !leaves_canary && (has_sessions || self.all[canary.0].session_of.is_none()) {
            self.all[canary.0].session_of = Some(main);
        }
        Alternative::Taken
    }

    /// Takes in the backend that an Ingress names to answer in place of its own (`default-backend`): the first port of that
    /// Service.
    pub(super) fn add_stand_in(
        &mut self,
        owned: &'a Owned<'a>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<&BackendKey> {
        let service = owned.settings.errors.default_backend.as_deref()?;
        let namespace = &owned.ingress.meta.name.namespace;
        let name = NamespacedName { namespace: namespace.clone(), name: service.into() };
        let found = self.index.service(&name);
        let Some(port) = found.and_then(|found| found.ports.first()) else {
            let (code, what) = match found {
                None => ("ServiceNotFound", "there is no Service"),
                Some(_) => ("PortNotFound", "no port has the Service"),
            };
            let message = format!("{what} `{namespace}/{service}`: `default-backend` has no effect");
            let origin = owned.origin.at("metadata.annotations");
            let mend = "create it with a port, or correct the name; it must be in the namespace of the Ingress";
            diagnostics.push(Diagnostic::new(Severity::Error, code, origin, message, mend));
            return None;
        };
        let id = self.refer(namespace, service, PortName::Number(port.port));
        self.mark_used(id);
        Some(self.key(id))
    }

    /// Whether the backends of these Services, about which no Ingress says anything, can stay as they are in `old`: those that
    /// are used now are there, none has an alternative then or now, and each is used, if not by these references then by others,
    /// as `is_used_elsewhere` says.
    pub(super) fn are_kept(
        &self,
        services: &BTreeSet<NamespacedName>,
        old: &Backends,
        is_used_elsewhere: impl Fn(BackendId) -> bool,
    ) -> bool {
        let is_of = |key: &BackendKey| services.contains(&name_of(key));
        let named: Vec<_> = self.all.iter().filter(|reference| is_of(&reference.key)).collect();
        let is_used = |key: &BackendKey| named.iter().any(|reference| reference.is_used && reference.key == *key);
        let mut kept = old.iter().filter(|(_, backend)| is_of(&backend.key));
        named
            .iter()
            .all(|reference| reference.canary.is_none() && (!reference.is_used || old.by_key(&reference.key).is_some()))
            && kept.all(|(id, backend)| backend.canary.is_none() && (is_used(&backend.key) || is_used_elsewhere(id)))
    }

    /// Notes that requests are sent to a backend.
    pub(super) fn mark_used(&mut self, id: ReferenceId) {
        self.all[id.0].is_used = true;
    }

    /// What a backend is known by.
    pub(super) fn key(&self, id: ReferenceId) -> &BackendKey {
        &self.all[id.0].key
    }

    fn refer(&mut self, namespace: &'a Arc<str>, service: &'a str, port: PortName<'a>) -> ReferenceId {
        *self.known.entry((namespace, service, port)).or_insert_with(|| {
            let name = NamespacedName { namespace: namespace.clone(), name: service.into() };
            let port: Arc<str> = match port {
                PortName::Number(number) => number.to_string().into(),
                PortName::Text(text) => text.into(),
            };
            let found = self.index.service(&name);
            self.all.push(Reference {
                service: found,
                has_port: found.is_some_and(|found| has_port(found, &port, self.options)),
                hidden_port: found.and_then(|found| hidden_port(found, &port, self.options)),
                key: BackendKey { namespace: name.namespace, service: name.name, port },
                by: None,
                others: Vec::new(),
                sessions: Sessions::default(),
                canary: None,
                session_of: None,
                is_used: false,
            });
            ReferenceId(self.all.len() - 1)
        })
    }

    /// Builds the backends that are used. `others` are those of the previous snapshot that stay as they are, sorted by key
    /// as these are.
    pub(super) fn build(
        &self,
        configuration: &Configuration,
        previous: &Snapshot,
        others: impl IntoIterator<Item = Arc<Backend>>,
        reader: &mut annotation::Reader<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Built {
        let entries = self.entries(others);
        let numbers = previous.backends.number(entries.iter().map(|entry| self.key_of(entry)));
        let mut ids = vec![None; self.all.len()];
        for (entry, id) in entries.iter().zip(numbers.ids()) {
            if let Entry::New(at) | Entry::Kept(_, Some(at)) = entry {
                ids[*at] = Some(*id);
            }
        }
        let mut all = Vec::with_capacity(entries.len());
        let mut known = previous.backends.all().iter().peekable();
        for entry in entries {
            let reference = match entry {
                Entry::New(at) => &self.all[at],
                Entry::Kept(backend, _) => {
                    all.push(backend);
                    continue;
                }
            };
            let key = &reference.key;
            let service = reference.service.map_or_else(BackendSettings::default, |service| {
                reader.service(&service.meta.annotations, &service.meta.origin(Kind::Service), diagnostics)
            });
            let none = BackendSettings::default();
            let asked = reference.by.map_or(&none, |owned| &owned.settings.backend);
            let settings = asked.overruled_by(&service);
            reference.report_others(&settings, &service, diagnostics);
            reference.report_sessions(diagnostics);
            let wants_service = settings.service_upstream.unwrap_or(configuration.service_upstream);
            let balance = Balance {
                load_balance: settings.load_balance(&configuration.load_balance),
                affinity: self.affinity(reference),
                canary: self.canary(reference, &ids),
                is_service_upstream: wants_service && reference.has_address(),
                health_check: settings.health_check(),
                slow_start: settings.slow_start.unwrap_or_default(),
            };
            reference.report_probe(balance.health_check.as_ref(), diagnostics);
            while known.next_if(|old| old.key < *key).is_some() {}
            let old = known.next_if(|old| old.key == *key);
            let found = found(self.index, self.options, key, balance.is_service_upstream, diagnostics);
            all.push(successor(old, key, balance, &found));
        }
        Built { backends: share::backends(all, numbers, previous), ids }
    }

    /// The backends that are used, with those that stay as they are, sorted by key.
    fn entries(&self, others: impl IntoIterator<Item = Arc<Backend>>) -> Vec<Entry> {
        let used = self.all.iter().enumerate().filter(|(_, reference)| reference.is_used);
        let mut used: Vec<usize> = used.map(|(at, _)| at).collect();
        used.sort_unstable_by(|a, b| self.all[*a].key.cmp(&self.all[*b].key));
        let mut others = others.into_iter().peekable();
        let mut entries = Vec::with_capacity(used.len());
        for at in used {
            let key = &self.all[at].key;
            while let Some(other) = others.next_if(|other| other.key < *key) {
                entries.push(Entry::Kept(other, None));
            }
            entries.push(match others.next_if(|other| other.key == *key) {
                Some(other) => Entry::Kept(other, Some(at)),
                None => Entry::New(at),
            });
        }
        entries.extend(others.map(|other| Entry::Kept(other, None)));
        entries
    }

    fn key_of<'e>(&'e self, entry: &'e Entry) -> &'e BackendKey {
        match entry {
            Entry::New(at) => &self.all[*at].key,
            Entry::Kept(backend, _) => &backend.key,
        }
    }

    /// How clients of a backend stay with one endpoint. A canary takes that from its main backend.
    fn affinity(&self, reference: &Reference<'_>) -> Option<Affinity> {
        let sessions = reference.session_of.map_or(&reference.sessions, |main| &self.all[main.0].sessions);
        let cookie = &sessions.by.last()?.settings.affinity.cookie;
        Some(Affinity {
            mode: sessions.mode.unwrap_or_default(),
            cookie: Arc::new(cookie.clone()),
            identity: identity(&reference.key.to_string()),
        })
    }

    /// The alternative of a backend. What it takes is said by the first Ingress that names it, which is no canary where
    /// another Ingress has it as a main backend; then it takes nothing.
    fn canary(&self, reference: &Reference<'_>, ids: &[Option<BackendId>]) -> Option<Canary> {
        let at = reference.canary?.0;
        let by = self.all[at].by.filter(|by| by.is_canary());
        Some(Canary { backend: ids[at]?, rule: by.map(|by| by.settings.canary.rule()).unwrap_or_default() })
    }
}

/// A backend of a translation.
enum Entry {
    /// One of the references.
    New(usize),
    /// One of the previous snapshot that stays as it is, and the reference that names it.
    Kept(Arc<Backend>, Option<usize>),
}

impl<'a> PortName<'a> {
    fn of(port: &'a PortRef) -> Self {
        match port {
            PortRef::Number(number) => Self::Number(*number),
            PortRef::Name(text) => match text.parse::<i32>() {
                Ok(number) if number.to_string() == *text => Self::Number(number),
                _ => Self::Text(text),
            },
            PortRef::Missing => Self::Text(""),
        }
    }
}

impl Reference<'_> {
    /// Whether the Service has an address of its own that can stand for its endpoints.
    fn has_address(&self) -> bool {
        self.service.is_some_and(|service| service_address(service, &self.key.port).is_some())
    }

    /// Reports the session cookies that are not set, because a younger Ingress asks for another one.
    fn report_sessions(&self, diagnostics: &mut Vec<Diagnostic>) {
        let Some((last, others)) = self.sessions.by.split_last() else { return };
        for other in others.iter().filter(|other| other.settings.affinity.cookie != last.settings.affinity.cookie) {
            let message = format!(
                "the session cookie that this Ingress asks for is not set: Service `{}` port {} has that of {}, which comes \
                 last",
                self.key.service, self.key.port, last.origin
            );
            let mend = "ask for the same cookie in both";
            let origin = other.origin.at("metadata.annotations");
            diagnostics.push(Diagnostic::new(Severity::Warning, "BackendSettingIgnored", origin, message, mend));
        }
    }

    /// Reports a probe that its endpoints cannot understand: all would count as failing, and then health says nothing.
    fn report_probe(&self, check: Option<&HealthCheck>, diagnostics: &mut Vec<Diagnostic>) {
        let asks_in_plain =
            check.is_some_and(|check| matches!(check.probe, Probe::Http { .. }) && check.port.is_none());
        let Some(by) = self.by.filter(|_| asks_in_plain) else { return };
        if !by.settings.upstream.protocol.is_some_and(|protocol| protocol.is_tls(true) || protocol.is_http2()) {
            return;
        }
        let message = format!(
            "the health check of Service `{}` port {} asks in plain HTTP/1.1, and `backend-protocol` says that its \
             endpoints speak something else",
            self.key.service, self.key.port
        );
        let mend =
            format!("name a port that speaks it with `{OWN_PREFIX}/health-check-port`, or set `health-check: tcp`");
        let origin = by.origin.at("metadata.annotations");
        diagnostics.push(Diagnostic::new(Severity::Warning, "HealthCheckProtocol", origin, message, mend));
    }

    fn report_others(&self, settings: &BackendSettings, service: &BackendSettings, diagnostics: &mut Vec<Diagnostic>) {
        let Some(by) = self.by else { return };
        for other in &self.others {
            if other.settings.backend.overruled_by(service) == *settings {
                continue;
            }
            let message = format!(
                "what this Ingress asks about balancing Service `{}` port {} has no effect: {} names the same port \
                 and comes first",
                self.key.service, self.key.port, by.origin
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
    let found = found(index, options, &old.key, old.is_service_upstream, diagnostics);
    let balance = Balance::of(old);
    successor(Some(old), &old.key, balance, &found)
}

/// The addresses of a backend: its endpoints, or that of the Service.
fn found(
    index: &Index,
    options: &Options,
    key: &BackendKey,
    is_service_upstream: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<(SocketAddr, Readiness)> {
    if is_service_upstream {
        service_endpoint(index, options, key, diagnostics)
    } else {
        endpoints(index, options, key, diagnostics)
    }
}

impl Balance {
    fn of(backend: &Backend) -> Self {
        Self {
            load_balance: backend.load_balance.clone(),
            affinity: backend.affinity.clone(),
            canary: backend.canary.clone(),
            is_service_upstream: backend.is_service_upstream,
            health_check: backend.health_check.clone(),
            slow_start: backend.slow_start,
        }
    }
}

/// The name of the Service that a backend is of.
pub(super) fn name_of(key: &BackendKey) -> NamespacedName {
    NamespacedName { namespace: key.namespace.clone(), name: key.service.clone() }
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

/// The backend that follows `old`. The living state goes over by identity: that of an endpoint with its address, the
/// round-robin position with the backend.
fn successor(
    old: Option<&Arc<Backend>>,
    key: &BackendKey,
    balance: Balance,
    found: &[(SocketAddr, Readiness)],
) -> Arc<Backend> {
    let known: &[Endpoint] = old.map_or(&[], |old| &old.endpoints);
    if let Some(old) = old
        && Balance::of(old) == balance
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
    let Balance { load_balance, affinity, canary, is_service_upstream, health_check, slow_start } = balance;
    Arc::new(Backend {
        key: key.clone(),
        name: key.to_string().into(),
        load_balance,
        affinity,
        canary,
        is_service_upstream,
        health_check,
        slow_start,
        endpoints,
        cursor: old.map_or_else(random_cursor, |old| Arc::clone(&old.cursor)),
        ring: Default::default(),
    })
}

/// The mend for a port that is not there: those that are.
fn ports_of(service: &Service) -> String {
    let ports: Vec<String> = service.ports.iter().map(described).collect();
    if ports.is_empty() {
        "the Service has no ports: add one".to_owned()
    } else {
        format!("it has {}", ports.join(", "))
    }
}

/// A port of a Service, for people: `80 (`http`)`.
fn described(port: &ServicePort) -> String {
    let mut text = port.port.to_string();
    if !port.name.is_empty() {
        text = format!("{text} (`{}`)", port.name);
    }
    if !port.protocol.is_empty() && port.protocol != "TCP" {
        text = format!("{text} over {}", port.protocol);
    }
    text
}
