//! Metrics of the data plane, under ingress-nginx's names where it has them, so that dashboards and alerts go on working.
//!
//! Counting a request takes a handful of atomic additions: the route holds its series ([`Route::metrics`]), they are told
//! apart by method and status through two small look-ups, and no lock and no label text is touched. Only the first
//! request of a route after a change of the route table looks its series up under a lock, which nothing slow ever holds.
//!
//! [`Route::metrics`]: edgeward_routing::route::Route::metrics

mod connections;
mod counters;
mod exposition;
mod family;
mod layout;
mod options;
mod series;
mod store;

use std::sync::Arc;

use edgeward_routing::route::Route;
use edgeward_routing::snapshot::Snapshot;
use prometheus::{Registry, TextEncoder};

pub use family::{Family, UnknownFamilyError};
pub use options::{MetricsError, MetricsOptions};

use crate::access_log::AccessLog;
use crate::record::RequestRecord;
use connections::ConnectionCounters;
use counters::Counters;
use layout::Observation;
use series::RouteSeries;
use store::Store;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics of the process: those of requests and connections are counted here, and others join the
/// [`registry`](Self::registry).
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    counters: Counters,
    connections: ConnectionCounters,
    store: Arc<Store>,
    enabled: bool,
}

impl Metrics {
    /// Prepares all families.
    ///
    /// # Errors
    /// When the buckets of a histogram are not positive, finite and ascending.
    pub fn new(options: &MetricsOptions) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let counters = Counters::register(&registry)?;
        let connections = ConnectionCounters::register(&registry)?;
        let store = Arc::new(Store::new(options, counters.series_dropped.clone())?);
        registry.register(Box::new(exposition::RequestMetrics::new(Arc::clone(&store), options)?))?;
        Ok(Self { registry, counters, connections, store, enabled: options.enabled })
    }

    /// Counts a finished request. Call it once per request, whatever became of it.
    pub fn record(&self, record: &RequestRecord<'_>) {
        if let Some(reason) = record.reason {
            self.counters.local_response(reason);
        }
        if !self.enabled {
            self.store.count_only();
            return;
        }
        let observation = Observation::of(record);
        let (method, status) = (record.request.method(), record.status);
        let Some((route, series)) = record.route.and_then(|route| Some((route, self.series(route)?))) else {
            self.store.unmatched().record(method, status, &observation);
            return;
        };
        match record.canary() {
            None => series.record(method, status, &observation),
            Some(canary) => {
                let series = series.of_canary(&canary.name, || self.store.series_of_canary(route, &canary.name));
                series.record(method, status, &observation);
            }
        }
    }

    fn series<'r>(&self, route: &'r Route) -> Option<&'r RouteSeries> {
        route.metrics.get_or_share(|| self.store.series_of(route))
    }

    /// Counts a request that is sent to an endpoint once more.
    pub fn upstream_retry(&self) {
        self.counters.upstream_retries.inc();
    }

    /// Counts an endpoint being ejected.
    pub fn upstream_ejection(&self) {
        self.counters.upstream_ejections.inc();
    }

    /// Counts a request getting a connection to an endpoint: one that was kept from an earlier request, or a new one.
    pub fn upstream_connection(&self, reused: bool) {
        if reused {
            self.counters.upstream_reused.inc();
        } else {
            self.counters.upstream_opened.inc();
        }
    }

    /// How many requests were recorded since the start (nginx's `requests`).
    pub fn requests_total(&self) -> u64 {
        self.store.requests_total()
    }

    /// How many connections were accepted since the start (nginx's `accepts`).
    pub fn connections_accepted(&self) -> u64 {
        self.connections.accepted()
    }

    /// Removes the series of routes that are neither in `current` nor, any more, in an older snapshot that a request
    /// still uses. Call it before each [`render`](Self::render), with the current snapshot.
    pub fn retain(&self, current: &Snapshot) {
        self.store.retain(&current.routes);
    }

    /// Adds the counter of an access log's dropped lines.
    ///
    /// # Errors
    /// When one was added before.
    pub fn add_access_log(&self, log: &AccessLog) -> Result<(), MetricsError> {
        Ok(self.registry.register(Box::new(log.dropped().clone()))?)
    }

    /// Where other parts of the process add their metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// All metrics in Prometheus' text format, sorted by name and labels. With many series this takes milliseconds: keep
    /// it off the workers.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot render all metrics");
        }
        text
    }
}

#[cfg(test)]
mod tests;
