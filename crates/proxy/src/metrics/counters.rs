//! Counters of the data plane that belong to no route.

use std::sync::OnceLock;

use edgeward_routing::decide::Reason;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::options::MetricsError;

/// More than there are reasons.
const REASONS: usize = 64;

/// The counters. Those with labels are resolved to their handles once.
#[derive(Debug)]
pub(super) struct Counters {
    local_responses: IntCounterVec,
    by_reason: [OnceLock<IntCounter>; REASONS],
    pub(super) upstream_retries: IntCounter,
    pub(super) upstream_ejections: IntCounter,
    pub(super) upstream_reused: IntCounter,
    pub(super) upstream_opened: IntCounter,
    pub(super) series_dropped: IntCounter,
}

impl Counters {
    pub(super) fn register(registry: &Registry) -> Result<Self, MetricsError> {
        let connections = labelled(
            registry,
            "edgeward_upstream_connections_total",
            "Requests that got a connection to an endpoint, kept from an earlier request or new",
            "reused",
        )?;
        Ok(Self {
            local_responses: labelled(
                registry,
                "edgeward_local_responses_total",
                "Requests that the proxy answered by itself or whose response failed, by the reason in the access log",
                "reason",
            )?,
            by_reason: [const { OnceLock::new() }; REASONS],
            upstream_retries: plain(
                registry,
                "edgeward_upstream_retries_total",
                "Requests that were sent to an endpoint once more after a failed try",
            )?,
            upstream_ejections: plain(
                registry,
                "edgeward_upstream_ejections_total",
                "Endpoints ejected because they kept failing",
            )?,
            upstream_reused: connections.with_label_values(&["true"]),
            upstream_opened: connections.with_label_values(&["false"]),
            series_dropped: plain(
                registry,
                "edgeward_metric_series_dropped_total",
                "Requests not counted in full because the cap on time series was reached",
            )?,
        })
    }

    pub(super) fn local_response(&self, reason: Reason) {
        let make = || self.local_responses.with_label_values(&[reason.as_str()]);
        match self.by_reason.get(reason as usize) {
            Some(slot) => slot.get_or_init(make).inc(),
            None => make().inc(),
        }
    }
}

/// A registered counter.
pub(super) fn plain(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

/// Registered counters that one label tells apart.
pub(super) fn labelled(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntCounterVec, MetricsError> {
    let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}
