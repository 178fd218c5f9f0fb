//! Which endpoint is probed when, and what the results say. Knows no sockets and asks no clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_routing::backend::{Backends, HealthCheck};
use edgeward_routing::endpoint::{Endpoint, EndpointState};
use hashbrown::HashMap;

use super::probe::ProbeError;

/// Bounds of the time between two probes: an interval of zero would probe without a pause, and one beyond any sense
/// would overflow the clock.
const INTERVAL_BOUNDS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(24 * 60 * 60));

/// All endpoints that have a health check, and the order of their probes.
#[derive(Default)]
pub(super) struct Schedule {
    targets: HashMap<TargetId, Target>,
    /// One entry for each target that has no probe under way, and no others.
    queue: BinaryHeap<Reverse<Queued>>,
    /// Number of the last [`Schedule::follow`].
    round: u64,
    last_serial: u64,
}

/// Identity of a target: its [`EndpointState`], which is the same object in every snapshot that holds this endpoint of this
/// backend. The target keeps it alive, so no other can have its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct TargetId(usize);

impl TargetId {
    fn of(state: &Arc<EndpointState>) -> Self {
        Self(Arc::as_ptr(state).addr())
    }
}

struct Target {
    backend: Arc<str>,
    endpoint: SocketAddr,
    state: Arc<EndpointState>,
    check: Arc<HealthCheck>,
    /// Results in a row that speak against the verdict in `state`.
    streak: u32,
    /// Tells a turn of this target from one of an earlier check or endpoint.
    serial: u64,
    /// The last [`Schedule::follow`] that saw it.
    round: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    due: Instant,
    serial: u64,
    target: TargetId,
}

/// One probe that is to be done now.
#[derive(Debug)]
pub(super) struct Turn {
    target: TargetId,
    serial: u64,
    /// The backend's name.
    pub(super) backend: Arc<str>,
    /// The endpoint it is about.
    pub(super) endpoint: SocketAddr,
    /// Where to ask; differs from `endpoint` when the check has a port of its own.
    pub(super) address: SocketAddr,
    /// What to ask.
    pub(super) check: Arc<HealthCheck>,
    /// When it should have started.
    pub(super) due: Instant,
    /// When it was taken from the schedule.
    pub(super) started: Instant,
}

impl Schedule {
    /// Takes over the endpoints of a new snapshot.
    ///
    /// New endpoints get a first probe at a random time within the interval, so that thousands that come at once are not
    /// probed at once. What is already scheduled stays as it is, unless its check changed.
    pub(super) fn follow(&mut self, backends: &Backends, now: Instant) {
        self.round += 1;
        for backend in backends.all() {
            let Some(check) = &backend.health_check else { continue };
            let check = Arc::new(check.clone());
            let name: Arc<str> = Arc::from(&*backend.name);
            for endpoint in &backend.endpoints {
                self.follow_endpoint(&name, endpoint, &check, now);
            }
        }
        let round = self.round;
        self.targets.retain(|_, target| {
            let is_current = target.round == round;
            if !is_current {
                target.forget_verdict("its health check is gone");
            }
            is_current
        });
        let targets = &self.targets;
        self.queue
            .retain(|Reverse(queued)| targets.get(&queued.target).is_some_and(|target| target.serial == queued.serial));
    }

    fn follow_endpoint(&mut self, backend: &Arc<str>, endpoint: &Endpoint, check: &Arc<HealthCheck>, now: Instant) {
        let id = TargetId::of(&endpoint.state);
        if let Some(known) = self.targets.get_mut(&id) {
            known.round = self.round;
            if known.check == *check {
                return;
            }
            // A verdict answers one question. Other times or thresholds leave the question, and so the verdict.
            if known.check.probe != check.probe || known.check.port != check.port {
                known.forget_verdict("its health check has changed");
            }
        }
        self.last_serial += 1;
        let serial = self.last_serial;
        let due = now + interval(check).mul_f64(fastrand::f64());
        self.queue.push(Reverse(Queued { due, serial, target: id }));
        let target = Target {
            backend: Arc::clone(backend),
            endpoint: endpoint.addr,
            state: Arc::clone(&endpoint.state),
            check: Arc::clone(check),
            streak: 0,
            serial,
            round: self.round,
        };
        self.targets.insert(id, target);
    }

    /// When the next probe is due; `None` when there is none to wait for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse(queued)| queued.due)
    }

    /// Takes the probe that has been due for longest; `None` when none is due at `now`. The caller asks and gives the
    /// answer to [`Schedule::finish`]; until then the endpoint has no further turn.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Turn> {
        let Reverse(queued) = *self.queue.peek().filter(|Reverse(queued)| queued.due <= now)?;
        self.queue.pop();
        let target = self.targets.get(&queued.target)?;
        let port = target.check.port.unwrap_or(target.endpoint.port());
        Some(Turn {
            target: queued.target,
            serial: queued.serial,
            backend: Arc::clone(&target.backend),
            endpoint: target.endpoint,
            address: SocketAddr::new(target.endpoint.ip(), port),
            check: Arc::clone(&target.check),
            due: queued.due,
            started: now,
        })
    }

    /// Counts the result of a probe and schedules the next one. A result for an endpoint or check that is gone by now says
    /// nothing.
    pub(super) fn finish(&mut self, turn: &Turn, result: Result<(), ProbeError>, now: Instant) {
        let Some(target) = self.targets.get_mut(&turn.target).filter(|target| target.serial == turn.serial) else {
            return;
        };
        target.count(result);
        let due = (turn.started + jittered(interval(&target.check))).max(now);
        self.queue.push(Reverse(Queued { due, serial: turn.serial, target: turn.target }));
    }
}

impl Target {
    /// Counts a result, and changes the verdict when there have been enough against it in a row.
    fn count(&mut self, result: Result<(), ProbeError>) {
        let is_failing = self.state.is_probe_failing();
        if result.is_ok() != is_failing {
            self.streak = 0;
            return;
        }
        self.streak += 1;
        let threshold = if is_failing { self.check.healthy_threshold } else { self.check.unhealthy_threshold };
        if self.streak < threshold {
            return;
        }
        self.state.set_probe_failing(!is_failing);
        let (backend, endpoint, in_a_row) = (&*self.backend, self.endpoint, self.streak);
        match result {
            Ok(()) => {
                tracing::info!(backend, %endpoint, in_a_row, "health check succeeds: endpoint takes requests again")
            }
            Err(error) => {
                tracing::warn!(backend, %endpoint, in_a_row, %error, "health check fails: endpoint takes no requests");
            }
        }
        self.streak = 0;
    }

    /// Makes the endpoint healthy as far as probes go.
    fn forget_verdict(&self, why: &'static str) {
        if self.state.set_probe_failing(false) {
            let (backend, endpoint) = (&*self.backend, self.endpoint);
            tracing::info!(backend, %endpoint, why, "failed health check no longer counts: endpoint takes requests again");
        }
    }
}

/// The time between two probes of one endpoint, before jitter.
fn interval(check: &HealthCheck) -> Duration {
    check.interval.clamp(INTERVAL_BOUNDS.0, INTERVAL_BOUNDS.1)
}

/// `interval`, a tenth more or less: probes that fell together drift apart again.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests;
