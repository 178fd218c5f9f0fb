//! Spans of OpenTelemetry: which request has one, what the endpoint learns of it, and the queue of those that are to be sent.
//!
//! A span is made once, when its request has ended, from what the access log has of it. A worker puts it on the queue and goes
//! on: nobody is woken for one span, and where too many wait it is dropped and counted. Who sends them is the process.

mod request;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edgeward_routing::settings::TraceSettings;
use opentelemetry_sdk::trace::SpanData;
use prometheus::IntCounter;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

pub use request::RequestTrace;
pub(crate) use span::span;

/// Where the workers put spans; clones put them on the same queue.
#[derive(Debug, Clone)]
pub struct Spans {
    spans: UnboundedSender<SpanData>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// How many wait: the bound of the queue, which changes with the settings.
    waiting: AtomicUsize,
    /// Told when enough wait for a message.
    enough: Notify,
    dropped: IntCounter,
}

/// The spans that are to be sent.
#[derive(Debug)]
pub struct SpanQueue {
    spans: UnboundedReceiver<SpanData>,
    shared: Arc<Shared>,
}

impl Spans {
    /// Both ends of a new queue.
    pub fn queue() -> (Self, SpanQueue) {
        let (sender, spans) = unbounded_channel();
        let dropped = IntCounter::new("edgeward_spans_dropped_total", "Spans that no collector got")
            .expect("the name is a valid metric name");
        let shared = Arc::new(Shared { waiting: AtomicUsize::new(0), enough: Notify::new(), dropped });
        (Self { spans: sender, shared: Arc::clone(&shared) }, SpanQueue { spans, shared })
    }

    /// Queues a span, or drops and counts it. Never blocks.
    pub(crate) fn send(&self, span: SpanData, settings: &TraceSettings) {
        let waiting = self.shared.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        if waiting > settings.queue || self.spans.send(span).is_err() {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.dropped.inc();
        } else if waiting == settings.batch.min(settings.queue) {
            self.shared.enough.notify_one();
        }
    }

    /// The counter of the spans that are lost, `edgeward_spans_dropped_total`.
    pub fn dropped(&self) -> &IntCounter {
        &self.shared.dropped
    }
}

impl SpanQueue {
    /// Waits until there are spans for a whole message, or `delay` is over.
    pub async fn gather(&self, most: usize, delay: Duration) {
        if self.spans.len() < most {
            // What is over then is the wait.
            let _ = timeout(delay, self.shared.enough.notified()).await;
        }
    }

    /// Takes the spans of one message; none where none wait.
    pub fn take(&mut self, most: usize) -> Vec<SpanData> {
        let mut batch = Vec::new();
        while batch.len() < most
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
        self.shared.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        batch
    }

    /// Counts spans that could not be sent.
    pub fn lose(&self, count: usize) {
        self.shared.dropped.inc_by(count as u64);
    }
}

#[cfg(test)]
mod tests;
