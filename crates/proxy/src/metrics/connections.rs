//! Counters of downstream connections: the listener tells of them as an [`Observer`].

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Registry};

use super::Metrics;
use super::counters::{labelled, plain};
use super::options::MetricsError;
use crate::listener::{Event, HandshakeFailure, Observer};

/// Bucket bounds of handshakes, in seconds: from a resumed one nearby to one at the usual time-out.
const HANDSHAKE_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0];

#[derive(Debug)]
pub(super) struct ConnectionCounters {
    accepted_http: IntCounter,
    accepted_https: IntCounter,
    accept_errors: IntCounter,
    rejected: IntCounterVec,
    handshakes_full: IntCounter,
    handshakes_resumed: IntCounter,
    handshakes_timeout: IntCounter,
    handshakes_failed: IntCounter,
    handshake_duration: Histogram,
    slow_readers: IntCounter,
    cancelling: IntCounter,
}

impl ConnectionCounters {
    pub(super) fn register(registry: &Registry) -> Result<Self, MetricsError> {
        let accepted =
            labelled(registry, "edgeward_connections_accepted_total", "Connections of clients accepted", "listener")?;
        let handshakes = labelled(
            registry,
            "edgeward_tls_handshakes_total",
            "TLS handshakes with clients: full and resumed ones succeeded",
            "result",
        )?;
        let handshake_duration = Histogram::with_opts(
            HistogramOpts::new("edgeward_tls_handshake_duration_seconds", "Seconds of successful TLS handshakes")
                .buckets(HANDSHAKE_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(handshake_duration.clone()))?;
        Ok(Self {
            accepted_http: accepted.with_label_values(&["http"]),
            accepted_https: accepted.with_label_values(&["https"]),
            accept_errors: plain(
                registry,
                "edgeward_accept_errors_total",
                "Times that the system gave no connection, for instance for too many open files",
            )?,
            rejected: labelled(
                registry,
                "edgeward_connections_rejected_total",
                "Connections closed before they could carry a request",
                "reason",
            )?,
            handshakes_full: handshakes.with_label_values(&["full"]),
            handshakes_resumed: handshakes.with_label_values(&["resumed"]),
            handshakes_timeout: handshakes.with_label_values(&["timeout"]),
            handshakes_failed: handshakes.with_label_values(&["failed"]),
            handshake_duration,
            slow_readers: plain(
                registry,
                "edgeward_slow_readers_total",
                "Connections cut off because the client took no data for too long",
            )?,
            cancelling: plain(
                registry,
                "edgeward_http2_cancelling_clients_total",
                "HTTP/2 connections cut off because the client cancelled too many streams",
            )?,
        })
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted_http.get() + self.accepted_https.get()
    }
}

impl Observer for Metrics {
    fn observe(&self, event: Event<'_>) {
        let counters = &self.connections;
        match event {
            Event::Accepted { tls: false } => counters.accepted_http.inc(),
            Event::Accepted { tls: true } => counters.accepted_https.inc(),
            Event::AcceptFailed(_) => counters.accept_errors.inc(),
            Event::Rejected { reason, .. } => counters.rejected.with_label_values(&[reason.as_str()]).inc(),
            Event::Handshake { duration, resumed } => {
                if resumed { &counters.handshakes_resumed } else { &counters.handshakes_full }.inc();
                counters.handshake_duration.observe(duration.as_secs_f64());
            }
            Event::HandshakeFailed { failure: HandshakeFailure::Timeout, .. } => counters.handshakes_timeout.inc(),
            Event::HandshakeFailed { failure: HandshakeFailure::Failed(_), .. } => counters.handshakes_failed.inc(),
            Event::BadRequest(refused) => refused.with_record(|record| self.record(record)),
            Event::SlowReader { .. } => counters.slow_readers.inc(),
            Event::TooManyCancels { .. } => counters.cancelling.inc(),
        }
    }
}
