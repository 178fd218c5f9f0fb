//! Endpoints: one ip:port of a backend, and what is known of it from traffic and probes.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// What Kubernetes says of an endpoint (EndpointSlice conditions, discovery.k8s.io/v1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Readiness {
    /// `ready` is true or absent: takes new requests.
    Ready,
    /// Not ready but `serving` and `terminating`: takes requests only while no endpoint of the backend is ready
    /// (KEP-1669).
    Terminating,
}

/// One ip:port of a backend. Endpoints that can never take a request are not in the snapshot at all.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where to connect to.
    pub addr: SocketAddr,
    /// What Kubernetes says of it.
    pub readiness: Readiness,
    /// What traffic and probes say of it; the same object in every snapshot that holds this endpoint of this backend.
    pub state: Arc<EndpointState>,
}

/// The living state of an endpoint. It outlives snapshots: the builder of the next one takes it over by identity.
#[derive(Debug)]
pub struct EndpointState {
    born: Instant,
    in_flight: AtomicU32,
    probe_failing: AtomicBool,
    /// Milliseconds after `born` until which passive ejection keeps the endpoint out; 0 for never ejected.
    ejected_until_ms: AtomicU64,
    /// Consecutive failures seen by traffic.
    consecutive_failures: AtomicU32,
    /// How often in a row it was ejected; each ejection is longer than the last.
    ejections: AtomicU32,
    /// When the endpoint last became usable (added, recovered), in milliseconds after `born`: slow start counts from it.
    usable_since_ms: AtomicU64,
    /// Peak-EWMA of the response time in nanoseconds.
    pub(crate) ewma_ns: AtomicU64,
    /// When `ewma_ns` was last updated, in nanoseconds after `born`.
    pub(crate) ewma_at_ns: AtomicU64,
}

impl Default for EndpointState {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            in_flight: AtomicU32::new(0),
            probe_failing: AtomicBool::new(false),
            ejected_until_ms: AtomicU64::new(0),
            consecutive_failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            usable_since_ms: AtomicU64::new(0),
            ewma_ns: AtomicU64::new(0),
            ewma_at_ns: AtomicU64::new(0),
        }
    }
}

impl EndpointState {
    /// A state that was created that long ago.
    #[cfg(test)]
    pub(crate) fn aged(by: std::time::Duration) -> Self {
        Self { born: Instant::now().checked_sub(by).expect("the clock runs for longer"), ..Self::default() }
    }

    /// Nanoseconds since this state was created.
    pub(crate) fn age_ns(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since this state was created.
    pub fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Requests that are on this endpoint now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request as being on this endpoint until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        InFlight::new(Arc::clone(self))
    }

    /// Whether probes and traffic leave this endpoint in the balance.
    pub fn is_healthy(&self) -> bool {
        !self.probe_failing.load(Ordering::Relaxed) && !self.is_ejected()
    }

    /// Whether passive ejection keeps this endpoint out now.
    pub fn is_ejected(&self) -> bool {
        let until = self.ejected_until_ms.load(Ordering::Relaxed);
        until != 0 && self.age_ms() < until
    }

    /// Whether active probes say that this endpoint is down.
    pub fn is_probe_failing(&self) -> bool {
        self.probe_failing.load(Ordering::Relaxed)
    }

    /// Records the verdict of the active health check. Returns whether it changed.
    pub fn set_probe_failing(&self, failing: bool) -> bool {
        let changed = self.probe_failing.swap(failing, Ordering::Relaxed) != failing;
        if changed && !failing {
            self.usable_since_ms.store(self.age_ms(), Ordering::Relaxed);
        }
        changed
    }

    /// Milliseconds for which this endpoint has been usable without a break.
    pub fn usable_for_ms(&self) -> u64 {
        let since = self.usable_since_ms.load(Ordering::Relaxed).max(self.ejected_until_ms.load(Ordering::Relaxed));
        self.age_ms().saturating_sub(since)
    }

    /// Records that a request succeeded here.
    pub fn record_success(&self) {
        self.consecutive_failures.store(0, Ordering::Relaxed);
        if self.ejections.load(Ordering::Relaxed) != 0 && !self.is_ejected() {
            self.ejections.store(0, Ordering::Relaxed);
        }
    }

    /// Records that a request failed here (no connection, a reset, a time-out). Returns how many have failed in a row.
    pub fn record_failure(&self) -> u32 {
        self.consecutive_failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Keeps this endpoint out of the balance for `base_ms`, doubled for every ejection before it without a success
    /// in between, at most ten times `base_ms`. Returns the milliseconds.
    pub fn eject(&self, base_ms: u64) -> u64 {
        let before = self.ejections.fetch_add(1, Ordering::Relaxed).min(16);
        let for_ms = base_ms.saturating_mul(1 << before).min(base_ms.saturating_mul(10));
        self.ejected_until_ms.store(self.age_ms().saturating_add(for_ms).max(1), Ordering::Relaxed);
        self.consecutive_failures.store(0, Ordering::Relaxed);
        for_ms
    }
}

/// A request that is on an endpoint; dropping it ends that.
#[derive(Debug)]
pub struct InFlight(Arc<EndpointState>);

impl InFlight {
    /// One that is on this endpoint.
    pub fn new(endpoint: Arc<EndpointState>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(endpoint)
    }
}

impl Deref for InFlight {
    type Target = EndpointState;

    fn deref(&self) -> &EndpointState {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
