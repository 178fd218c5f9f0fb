//! All series, by what tells routes apart in labels. They outlive snapshots: a route of the next one with the same labels
//! goes on counting where this one stopped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use edgeward_routing::host::HostPattern;
use edgeward_routing::route::Route;
use edgeward_routing::table::RouteTable;
use hashbrown::HashSet;
use prometheus::IntCounter;

use super::layout::Layout;
use super::options::{MetricsError, MetricsOptions};
use super::series::{Budget, RouteSeries, Shared};

/// What tells routes apart in labels. Routes that share it share their series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RouteLabels {
    pub(super) namespace: Arc<str>,
    pub(super) ingress: Arc<str>,
    pub(super) service: Box<str>,
    /// The path in the Ingress, not that of any request.
    pub(super) path: Box<str>,
    /// The host in the Ingress; empty for any, and when hosts are not told apart.
    pub(super) host: Box<str>,
    /// The name of the canary that took the requests instead; empty for those that it did not.
    pub(super) canary: Box<str>,
}

/// All series of the process.
#[derive(Debug)]
pub(super) struct Store {
    shared: Arc<Shared>,
    per_host: bool,
    /// Requests that no route took, as ingress-nginx counts those of its default server: without labels.
    unmatched: Arc<RouteSeries>,
    /// Requests counted while series are switched off.
    plain: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    routes: BTreeMap<RouteLabels, Arc<RouteSeries>>,
    /// The route table that all of `routes` are known to be in.
    settled: Weak<RouteTable>,
}

impl Store {
    pub(super) fn new(options: &MetricsOptions, dropped: IntCounter) -> Result<Self, MetricsError> {
        let shared = Arc::new(Shared {
            layout: Layout::new(options)?,
            status_classes: options.status_classes,
            budget: Budget::new(options.max_series),
            dropped,
            uncounted: AtomicU64::new(0),
        });
        Ok(Self {
            unmatched: Arc::new(RouteSeries::new(Arc::clone(&shared))),
            shared,
            per_host: options.per_host,
            plain: AtomicU64::new(0),
            kept: Mutex::default(),
        })
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    pub(super) fn unmatched(&self) -> &RouteSeries {
        &self.unmatched
    }

    /// The series of a route, made if there are none. For the first request of a route after a change only.
    pub(super) fn series_of(&self, route: &Route) -> Arc<RouteSeries> {
        self.series_with(RouteLabels::of(route, self.per_host))
    }

    /// The series of a route for the requests that a canary took instead.
    pub(super) fn series_of_canary(&self, route: &Route, canary: &str) -> Arc<RouteSeries> {
        self.series_with(RouteLabels { canary: canary.into(), ..RouteLabels::of(route, self.per_host) })
    }

    fn series_with(&self, labels: RouteLabels) -> Arc<RouteSeries> {
        let mut kept = self.kept();
        if let Some(series) = kept.routes.get(&labels) {
            return Arc::clone(series);
        }
        let series = Arc::new(RouteSeries::new(Arc::clone(&self.shared)));
        kept.routes.insert(labels, Arc::clone(&series));
        // The route may be one of an older snapshot.
        kept.settled = Weak::new();
        series
    }

    /// Counts a request in the total only.
    pub(super) fn count_only(&self) {
        self.plain.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes the series of routes that are not in `current`, unless a route of an older snapshot still holds them: a
    /// request may be under way there, and a newer snapshot than `current` may be out already.
    pub(super) fn retain(&self, current: &Arc<RouteTable>) {
        if self.kept().settled.as_ptr() == Arc::as_ptr(current) {
            return;
        }
        let hosts = current.hosts().flat_map(|host| host.routes());
        let live: HashSet<RouteLabels> = hosts.map(|route| RouteLabels::of(route, self.per_host)).collect();
        let shared = &self.shared;
        let mut settled = true;
        let mut kept = self.kept();
        kept.routes.retain(|labels, series| {
            let is_live = match &*labels.canary {
                "" => live.contains(labels),
                _ => live.contains(&RouteLabels { canary: Box::default(), ..labels.clone() }),
            };
            if is_live {
                return true;
            }
            // Handles are only given out under this lock, so that one that is alone stays alone.
            if Arc::strong_count(series) > 1 {
                settled = false;
                return true;
            }
            shared.uncounted.fetch_add(series.requests(), Ordering::Relaxed);
            shared.budget.give_back(series.exposed());
            false
        });
        kept.settled = if settled { Arc::downgrade(current) } else { Weak::new() };
    }

    /// All series with their labels; the unmatched ones have none.
    pub(super) fn all(&self) -> Vec<(Option<RouteLabels>, Arc<RouteSeries>)> {
        let kept = self.kept();
        let routes = kept.routes.iter().map(|(labels, series)| (Some(labels.clone()), Arc::clone(series)));
        routes.chain([(None, Arc::clone(&self.unmatched))]).collect()
    }

    pub(super) fn requests_total(&self) -> u64 {
        let kept = self.kept();
        let counted: u64 = kept.routes.values().map(|series| series.requests()).sum();
        let uncounted = self.shared.uncounted.load(Ordering::Relaxed) + self.plain.load(Ordering::Relaxed);
        counted + self.unmatched.requests() + uncounted
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change under the lock is complete in itself, so that a panic elsewhere leaves nothing half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RouteLabels {
    fn of(route: &Route, per_host: bool) -> Self {
        let host = match &route.host {
            HostPattern::Any => "".into(),
            host if per_host => host.to_string().into(),
            _ => "".into(),
        };
        Self {
            namespace: Arc::clone(&route.origin.namespace),
            ingress: Arc::clone(&route.origin.name),
            service: route.service.clone(),
            path: route.path.as_str().into(),
            host,
            canary: Box::default(),
        }
    }
}
