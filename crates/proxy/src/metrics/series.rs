//! The series of one route: found by method and status without a lock, made when first needed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use prometheus::IntCounter;

use super::layout::{Layout, Observation};

/// The methods that get a label of their own: those that nginx knows (ngx_http_parse_request_line). Any other is folded
/// into [`OTHER_METHOD`], or clients could make series at will; ingress-nginx lets them.
const METHODS: [&str; 16] = [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "HEAD",
    "PATCH",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "TRACE",
    "CONNECT",
];
const OTHER_METHOD: &str = "OTHER";

/// What all series share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) layout: Layout,
    pub(super) status_classes: bool,
    pub(super) budget: Budget,
    /// Requests that were not counted in full because there was no room for their series.
    pub(super) dropped: IntCounter,
    /// Requests that no series counts: dropped ones, and those of series that were removed.
    pub(super) uncounted: AtomicU64,
}

/// How many time series there are, and may be.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// Takes room for `count` time series if there is as much below `limit`.
    fn take(&self, count: usize, limit: usize) -> bool {
        let take = |used: usize| used.checked_add(count).filter(|used| *used <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub(super) fn give_back(&self, count: usize) {
        self.used.fetch_sub(count, Ordering::Relaxed);
    }
}

/// All series of a route. What nearly all requests need is in one line of the processor's caches, which have few of the routes of a
/// large table.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct RouteSeries {
    /// The first one that was needed, which is that of nearly all requests.
    first: OnceLock<First>,
    shared: Arc<Shared>,
    /// One chain of statuses per method of [`METHODS`], and one for all other methods. A route sees few statuses, the
    /// common ones first, so that the walk is short.
    others: OnceLock<Box<[Slot; METHODS.len() + 1]>>,
    /// Those of the requests that a canary took instead, with its name.
    canary: ArcSwapOption<(Box<str>, Arc<RouteSeries>)>,
}

#[derive(Debug)]
struct First {
    /// Its place among [`METHODS`].
    method: u8,
    status: u16,
    series: Series,
}

type Slot = OnceLock<Box<Link>>;

#[derive(Debug)]
struct Link {
    /// The status, or its first digit.
    status: u16,
    series: Series,
    next: Slot,
}

/// The numbers of one method and status of a route.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) requests: AtomicU64,
    /// The cells of the histograms. Not there while there is no room for them.
    pub(super) cells: OnceLock<Box<[AtomicU64]>>,
}

impl RouteSeries {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { first: OnceLock::new(), shared, others: OnceLock::new(), canary: ArcSwapOption::empty() }
    }

    /// The series of the requests that the canary of this name took, which are made with `make` where they are not those of
    /// the last call.
    pub(super) fn of_canary(&self, name: &str, make: impl FnOnce() -> Arc<Self>) -> Arc<Self> {
        match &*self.canary.load() {
            Some(last) if *last.0 == *name => Arc::clone(&last.1),
            _ => {
                let series = make();
                self.canary.store(Some(Arc::new((name.into(), Arc::clone(&series)))));
                series
            }
        }
    }

    /// Counts a request.
    pub(super) fn record(&self, method: &str, status: u16, observation: &Observation) {
        let shared = &*self.shared;
        let status = if shared.status_classes { status / 100 } else { status };
        let Some(series) = self.find_or_make(method, status) else {
            shared.uncounted.fetch_add(1, Ordering::Relaxed);
            shared.dropped.inc();
            return;
        };
        series.requests.fetch_add(1, Ordering::Relaxed);
        match series.cells.get().map(|cells| &**cells).or_else(|| shared.make_cells(series)) {
            Some(cells) => shared.layout.observe(cells, observation),
            None => shared.dropped.inc(),
        }
    }

    /// The series of a method and status; `None` when there is no room for a new one.
    fn find_or_make(&self, method: &str, status: u16) -> Option<&Series> {
        let method = (0..).zip(METHODS).find(|(_, known)| *known == method).map_or(METHODS.len() as u8, |(at, _)| at);
        let first = self.shared.made_once(&self.first, || First { method, status, series: Series::default() })?;
        if (first.method, first.status) == (method, status) {
            return Some(&first.series);
        }
        let others = self.others.get_or_init(|| Box::new([const { OnceLock::new() }; METHODS.len() + 1]));
        let mut slot = &others[usize::from(method)];
        loop {
            let link = || Box::new(Link { status, series: Series::default(), next: OnceLock::new() });
            let link = self.shared.made_once(slot, link)?;
            if link.status == status {
                return Some(&link.series);
            }
            slot = &link.next;
        }
    }

    /// Shows every series with its labels `method` and `status`.
    pub(super) fn each(&self, mut see: impl FnMut(&str, &str, &Series)) {
        let mut see = |method: u8, status: u16, series: &Series| {
            let status = if self.shared.status_classes { format!("{status}xx") } else { status.to_string() };
            see(METHODS.get(usize::from(method)).copied().unwrap_or(OTHER_METHOD), &status, series);
        };
        let Some(First { method, status, series }) = self.first.get() else { return };
        see(*method, *status, series);
        let others = self.others.get().map_or(&[][..], |others| &others[..]);
        for (method, mut slot) in (0..).zip(others) {
            while let Some(link) = slot.get() {
                see(method, link.status, &link.series);
                slot = &link.next;
            }
        }
    }

    /// Requests counted in these series.
    pub(super) fn requests(&self) -> u64 {
        let mut sum = 0;
        self.each(|_, _, series| sum += series.requests.load(Ordering::Relaxed));
        sum
    }

    /// Time series that these are exposed as.
    pub(super) fn exposed(&self) -> usize {
        let mut sum = 0;
        self.each(|_, _, series| sum += 1 + series.cells.get().map_or(0, |_| self.shared.layout.exposed));
        sum
    }
}

impl Shared {
    /// What is in a slot, made with room for one more time series if there is nothing. `None` where there is no room.
    fn made_once<'s, T>(&self, slot: &'s OnceLock<T>, make: impl FnOnce() -> T) -> Option<&'s T> {
        if let Some(known) = slot.get() {
            return Some(known);
        }
        if !self.budget.take(1, self.budget.max) {
            return None;
        }
        let mut made = false;
        let value = slot.get_or_init(|| {
            made = true;
            make()
        });
        // Another worker was faster.
        if !made {
            self.budget.give_back(1);
        }
        Some(value)
    }

    /// Makes the histograms of a series if there is room.
    fn make_cells<'a>(&self, series: &'a Series) -> Option<&'a [AtomicU64]> {
        let exposed = self.layout.exposed;
        // A quarter is left for counters: how many requests a route gets is worth more than how long they take.
        if !self.budget.take(exposed, self.budget.max / 4 * 3) {
            return None;
        }
        let mut made = false;
        let cells = series.cells.get_or_init(|| {
            made = true;
            self.layout.cells()
        });
        if !made {
            self.budget.give_back(exposed);
        }
        Some(cells)
    }
}
