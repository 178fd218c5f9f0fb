//! Active health checks: endpoints of backends that ask for it are probed, and those that keep failing are left out.
//!
//! One loop serves all endpoints: a queue of turns ordered by time (`schedule`) and the probes under way (`probe`).
//! There is no task for an endpoint, and at most [`HealthOptions::max_concurrent`] probes run at a time, however many
//! endpoints there are. The verdict is kept in [`EndpointState`], which outlives snapshots; this loop only counts towards
//! the next change of it.
//!
//! Probes are plain TCP and HTTP/1.1. Whether a backend speaks TLS is a policy of each route to it, not of the backend, so
//! an HTTPS backend is checked by TCP or on a plain port of its own.
//!
//! [`EndpointState`]: edgeward_routing::endpoint::EndpointState

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_routing::SnapshotReader;
use edgeward_routing::backend::Backends;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::MissedTickBehavior;

use crate::seldom::Seldom;
use probe::Prober;
use schedule::{Schedule, Turn};

mod probe;
mod schedule;

/// Time between two looks at the current snapshot. A look at an unchanged one costs a pointer comparison.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// What holds for all health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthOptions {
    /// Largest number of probes under way at a time (at least 1); further ones wait, the longest due first.
    pub max_concurrent: usize,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self { max_concurrent: 64 }
    }
}

/// Probes the endpoints of the current snapshot until `shutdown` completes.
///
/// A new endpoint is healthy until its probes have failed [`unhealthy_threshold`] times in a row. Verdicts change
/// [`EndpointState`] and are logged once for each change. An endpoint whose backend no longer has a check is healthy
/// again as far as probes go. Probes under way at the end are dropped, and verdicts stay as they are.
///
/// Needs a Tokio runtime with timers and network.
///
/// [`unhealthy_threshold`]: edgeward_routing::backend::HealthCheck::unhealthy_threshold
/// [`EndpointState`]: edgeward_routing::endpoint::EndpointState
pub async fn run(reader: SnapshotReader, options: HealthOptions, shutdown: impl Future<Output = ()>) {
    let max_concurrent = options.max_concurrent.max(1);
    let prober = Prober::new();
    let mut under_way = FuturesUnordered::new();
    let mut schedule = Schedule::default();
    let late = Seldom::default();
    // Other parts of a snapshot change without any work here; a kept `Arc` cannot be mistaken for a later one.
    let mut followed: Option<Arc<Backends>> = None;
    let mut look = tokio::time::interval(FOLLOW_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = pin!(shutdown);
    loop {
        while under_way.len() < max_concurrent
            && let Some(turn) = schedule.take_due(Instant::now())
        {
            note_lateness(&turn, max_concurrent, &late);
            under_way.push(async {
                let result = prober.ask(&turn.check, turn.address).await;
                (turn, result)
            });
        }
        let next_due = schedule.next_due().filter(|_| under_way.len() < max_concurrent);
        tokio::select! {
            () = &mut shutdown => return,
            _ = look.tick() => {
                let backends = Arc::clone(&reader.load().backends);
                if !followed.as_ref().is_some_and(|followed| Arc::ptr_eq(followed, &backends)) {
                    schedule.follow(&backends, Instant::now());
                    followed = Some(backends);
                }
            }
            Some((turn, result)) = under_way.next() => schedule.finish(&turn, result, Instant::now()),
            () = sleep_until(next_due) => {}
        }
    }
}

/// Completes at `time`; never when there is none.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Warns when a probe has waited for so long that checks no longer keep their interval.
fn note_lateness(turn: &Turn, max_concurrent: usize, warning: &Seldom) {
    let late_by = turn.started.saturating_duration_since(turn.due);
    if late_by > turn.check.interval && warning.is_due() {
        tracing::warn!(
            backend = %turn.backend,
            endpoint = %turn.endpoint,
            late_by_ms = u64::try_from(late_by.as_millis()).unwrap_or(u64::MAX),
            max_concurrent,
            "health checks run late by more than their interval: lengthen them"
        );
    }
}

#[cfg(test)]
mod tests;
