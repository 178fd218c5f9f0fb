//! Metrics of the process and of its configuration, under ingress-nginx's names where it has them. Those of requests and
//! connections are the proxy's.

mod family;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use edgeward_controller::diagnostic::Severity;
use edgeward_controller::object::Kind;
use edgeward_controller::reconcile::Status;
use edgeward_proxy::access_log::AccessLog;
use edgeward_proxy::listener::{Event, Observer, Running};
use edgeward_proxy::metrics::Metrics;
use edgeward_routing::certificate::Certificate;
use edgeward_routing::render::render;
use edgeward_routing::route::Target;
use edgeward_routing::{Snapshot, SnapshotReader};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts};
use tokio::sync::watch;

use self::family::{Described, Sample};
use self::process::Process;
use crate::health::Readiness;

/// Who this process is: the labels that every metric of ingress-nginx has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Label `controller_namespace`.
    pub namespace: String,
    /// Label `controller_class`.
    pub class: String,
    /// Label `controller_pod`.
    pub pod: String,
}

/// Passes on what happens to connections, and counts those that were refused.
#[derive(Debug)]
pub struct ConnectionObserver {
    metrics: Arc<Metrics>,
    access_log: AccessLog,
    refused: AtomicU64,
}

impl ConnectionObserver {
    /// Passes everything on to `metrics` and `access_log`.
    pub fn new(metrics: Arc<Metrics>, access_log: AccessLog) -> Self {
        Self { metrics, access_log, refused: AtomicU64::new(0) }
    }
}

impl Observer for ConnectionObserver {
    fn observe(&self, event: Event<'_>) {
        if matches!(event, Event::Rejected { .. }) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.metrics.observe(event);
        self.access_log.observe(event);
    }
}

/// What became of the snapshots so far.
#[derive(Debug)]
pub struct History {
    failures: AtomicU64,
    apply_seconds: Histogram,
}

impl History {
    /// Nothing yet.
    ///
    /// # Errors
    ///
    /// Never in practice: the name and the buckets are right.
    pub fn new() -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "edgeward_config_apply_duration_seconds",
            "Seconds from the first of a batch of changes to the snapshot that serves them",
        );
        let buckets = vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
        Ok(Self { failures: AtomicU64::new(0), apply_seconds: Histogram::with_opts(options.buckets(buckets))? })
    }

    /// Follows the controller until it ends.
    pub async fn follow(self: Arc<Self>, mut status: watch::Receiver<Status>) {
        let mut generation = 0;
        let mut was_stale = false;
        while status.changed().await.is_ok() {
            let (latest, delay, is_stale) = {
                let status = status.borrow_and_update();
                (status.generation, status.delay, status.is_stale)
            };
            if latest != generation {
                self.apply_seconds.observe(delay.as_secs_f64());
            }
            if is_stale && !was_stale {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            (generation, was_stale) = (latest, is_stale);
        }
    }
}

/// Where the numbers come from.
pub struct Sources {
    /// Who this process is.
    pub identity: Identity,
    /// The current snapshot.
    pub snapshots: SnapshotReader,
    /// What the controller says of it.
    pub status: watch::Receiver<Status>,
    /// What it said so far.
    pub history: Arc<History>,
    /// Whether this process wants traffic.
    pub readiness: Readiness,
    /// Whether this process writes to the cluster; `None` where there is no cluster.
    pub leads: Option<watch::Receiver<bool>>,
    /// Counts of requests and connections.
    pub metrics: Arc<Metrics>,
    /// Counts of refused connections.
    pub observer: Arc<ConnectionObserver>,
    /// Connections at this moment.
    pub running: Arc<Running>,
}

/// Collects the metrics when they are asked for.
pub struct ProcessMetrics {
    sources: Sources,
    descriptions: Vec<Desc>,
    /// The hash of a generation: computing it takes a rendering of the whole snapshot.
    hash: Mutex<(u64, f64)>,
}

impl ProcessMetrics {
    /// A collector over `sources`.
    ///
    /// # Errors
    ///
    /// Never in practice: the names are right.
    pub fn new(sources: Sources) -> Result<Self, prometheus::Error> {
        let mut descriptions = family::ALL.iter().map(Described::description).collect::<Result<Vec<_>, _>>()?;
        descriptions.extend(sources.history.apply_seconds.desc().into_iter().cloned());
        Ok(Self { sources, descriptions, hash: Mutex::new((0, 0.0)) })
    }

    /// A number that is the same for the same routing, on every instance. It has 53 bits, so that a float holds it.
    fn config_hash(&self, snapshot: &Snapshot) -> f64 {
        let mut cached = self.hash.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.0 != snapshot.generation {
            let mut hasher = DefaultHasher::new();
            render(snapshot).hash(&mut hasher);
            *cached = (snapshot.generation, (hasher.finish() >> 11) as f64);
        }
        cached.1
    }

    fn configuration(&self, snapshot: &Snapshot, status: &Status) -> Vec<MetricFamily> {
        let identity = &self.sources.identity;
        let reloaded = status.last_success.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let is_good = snapshot.generation > 0 && !status.is_stale;
        let failures = self.sources.history.failures.load(Ordering::Relaxed);
        vec![
            family::CONFIG_HASH.one(identity, self.config_hash(snapshot)),
            family::LAST_RELOAD_SUCCESSFUL.one(identity, f64::from(u8::from(is_good))),
            family::LAST_RELOAD_TIME.one(identity, reloaded.map_or(0.0, |at| at.as_secs_f64().floor())),
            family::SUCCESS.one(identity, status.generation as f64),
            family::ERRORS.one(identity, failures as f64),
            family::SSL_EXPIRE_TIME.of(identity, expiries(snapshot, &identity.class)),
            family::ORPHAN_INGRESS.of(identity, orphans(snapshot, status)),
            family::BUILD_INFO.of(
                identity,
                vec![Sample::new(
                    1.0,
                    &[
                        ("repository", env!("CARGO_PKG_REPOSITORY")),
                        ("release", env!("CARGO_PKG_VERSION")),
                        ("build", option_env!("EDGEWARD_BUILD").unwrap_or("")),
                    ],
                )],
            ),
            family::GENERATION.one(identity, snapshot.generation as f64),
            family::STALE.one(identity, f64::from(u8::from(status.is_stale))),
            family::LEADER.of(
                identity,
                self.sources
                    .leads
                    .iter()
                    .map(|leads| Sample::new(f64::from(u8::from(*leads.borrow())), &[("name", "edgeward")]))
                    .collect(),
            ),
            family::WATCH_FAILURES.of(
                identity,
                self.sources
                    .readiness
                    .contact()
                    .into_iter()
                    .flat_map(|contact| contact.kinds())
                    .map(|(kind, contact)| Sample::new(contact.failures as f64, &[("kind", kind.name())]))
                    .collect(),
            ),
            family::DRAINING.one(identity, f64::from(u8::from(self.sources.readiness.is_draining()))),
            family::REJECTED_OBJECTS.of(identity, rejected(status)),
            family::OBJECTS.of(
                identity,
                status
                    .counts
                    .objects
                    .iter()
                    .map(|(kind, count)| Sample::new(*count as f64, &[("kind", kind.name())]))
                    .collect(),
            ),
            family::SKIPPED_OBJECTS.of(
                identity,
                status
                    .counts
                    .skipped
                    .iter()
                    .map(|(kind, count)| Sample::new(*count as f64, &[("kind", kind)]))
                    .collect(),
            ),
        ]
    }

    fn process(&self) -> Vec<MetricFamily> {
        let identity = &self.sources.identity;
        let process = Process::read();
        let connections = self.sources.running.connections();
        let accepted = self.sources.metrics.connections_accepted();
        let handled = accepted.saturating_sub(self.sources.observer.refused.load(Ordering::Relaxed));
        let state = |value: f64, state: &str| Sample::new(value, &[("state", state)]);
        vec![
            // The states of nginx's stub_status module: "active" is the sum, and "writing" is from the request's end on.
            family::CONNECTIONS.of(
                identity,
                vec![
                    state(connections.total as f64, "active"),
                    state((connections.reading + connections.handshake) as f64, "reading"),
                    state((connections.active + connections.tunnel) as f64, "writing"),
                    state(connections.waiting as f64, "waiting"),
                ],
            ),
            family::CONNECTIONS_TOTAL
                .of(identity, vec![state(accepted as f64, "accepted"), state(handled as f64, "handled")]),
            family::REQUESTS_TOTAL.one(identity, self.sources.metrics.requests_total() as f64),
            family::CPU_SECONDS.one(identity, process.cpu_seconds),
            family::RESIDENT_MEMORY.one(identity, process.resident_bytes),
            family::VIRTUAL_MEMORY.one(identity, process.virtual_bytes),
            family::READ_BYTES.one(identity, process.read_bytes),
            family::WRITE_BYTES.one(identity, process.write_bytes),
            family::NUM_PROCS.one(identity, 1.0),
            family::OLDEST_START_TIME.one(identity, process.start_time_seconds),
            family::OPEN_FILES.one(identity, process.open_files),
        ]
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = self.sources.snapshots.load();
        let status = self.sources.status.borrow().clone();
        let mut families = self.configuration(&snapshot, &status);
        families.extend(self.process());
        families.extend(self.sources.history.apply_seconds.collect());
        families
    }
}

fn expiries(snapshot: &Snapshot, class: &str) -> Vec<Sample> {
    let of = |host: &str, certificate: &Certificate| {
        let (namespace, secret) =
            certificate.origin.as_ref().map_or(("", ""), |origin| (&*origin.namespace, &*origin.name));
        let labels = [
            ("class", class),
            ("host", host),
            ("identifier", &certificate.serial),
            ("namespace", namespace),
            ("secret_name", secret),
        ];
        Sample::new(certificate.not_after as f64, &labels)
    };
    let table = &snapshot.certificates;
    let named = table.by_host.iter().map(|(host, certificate)| of(&host.to_string(), certificate));
    // `_` is nginx's name for the server that takes what no other one does.
    named.chain(table.default.iter().map(|certificate| of("_", certificate))).collect()
}

/// Ingresses with a path to a Service that does not exist, or that has no endpoint.
fn orphans(snapshot: &Snapshot, status: &Status) -> Vec<Sample> {
    let mut orphans = BTreeSet::new();
    for route in snapshot.routes.hosts().flat_map(|host| host.routes()) {
        let Target::Backend(id) = route.target else { continue };
        if snapshot.backends.by_id(id).is_some_and(|backend| backend.endpoints.is_empty()) {
            orphans.insert((&*route.origin.namespace, &*route.origin.name, "no-endpoint"));
        }
    }
    for diagnostic in status.diagnostics.iter().filter(|diagnostic| diagnostic.code == "ServiceNotFound") {
        let Some(origin) = diagnostic.origin.as_ref().filter(|origin| origin.kind == Kind::Ingress.name()) else {
            continue;
        };
        orphans.insert((&*origin.namespace, &*origin.name, "no-service"));
    }
    orphans
        .into_iter()
        .map(|(namespace, ingress, kind)| {
            Sample::new(1.0, &[("namespace", namespace), ("ingress", ingress), ("type", kind)])
        })
        .collect()
}

/// How many objects have an error, by kind and code of the error.
fn rejected(status: &Status) -> Vec<Sample> {
    let mut objects: BTreeMap<(&str, &str), BTreeSet<(&str, &str)>> = BTreeMap::new();
    for diagnostic in status.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error) {
        let (kind, object) = match &diagnostic.origin {
            Some(origin) => (origin.kind, (&*origin.namespace, &*origin.name)),
            // Without an origin it is about a file.
            None => ("", ("", diagnostic.location.as_ref().map_or("", |at| &at.file))),
        };
        objects.entry((kind, diagnostic.code)).or_default().insert(object);
    }
    objects
        .into_iter()
        .map(|((kind, code), objects)| Sample::new(objects.len() as f64, &[("kind", kind), ("reason", code)]))
        .collect()
}
