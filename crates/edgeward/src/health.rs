//! `/healthz`, `/readyz` and `/metrics`, on a port of their own so that they answer whatever the traffic does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use edgeward_proxy::metrics::{CONTENT_TYPE, Metrics};
use edgeward_routing::SnapshotReader;
use serde_json::json;

#[cfg(test)]
mod tests;

/// Whether this instance wants traffic.
#[derive(Debug, Clone)]
pub struct Readiness {
    snapshots: SnapshotReader,
    serving: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
}

impl Readiness {
    /// Not yet: there must be a published snapshot, and listeners.
    pub fn new(snapshots: SnapshotReader) -> Self {
        Self { snapshots, serving: Arc::default(), draining: Arc::default() }
    }

    /// Connections are accepted from now on.
    pub fn start_serving(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    /// No traffic is wanted any more.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::start_draining`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why no traffic is wanted; `None` when it is.
    pub fn refusal(&self) -> Option<&'static str> {
        if self.is_draining() {
            Some("shutting down")
        } else if self.snapshots.load().generation == 0 {
            Some("the manifests are not read yet")
        } else if !self.serving.load(Ordering::Relaxed) {
            Some("not listening yet")
        } else {
            None
        }
    }
}

#[derive(Debug, Clone)]
struct Health {
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

/// The pages. `health_path` is where the process says that it lives; `/healthz` does so always.
pub fn router(readiness: Readiness, metrics: Arc<Metrics>, health_path: &str) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(self::metrics));
    // A path with braces would be a pattern of the router; it is none of ingress-nginx's either.
    let is_free = !matches!(health_path, "/healthz" | "/readyz" | "/metrics") && !health_path.contains(['{', '}']);
    if is_free {
        router = router.route(health_path, get(async || "ok"));
    }
    router.with_state(Health { readiness, metrics })
}

async fn readyz(State(health): State<Health>) -> Response {
    let refusal = health.readiness.refusal();
    let status = if refusal.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let detail = json!({
        "ready": refusal.is_none(),
        "reason": refusal,
        "generation": health.readiness.snapshots.load().generation,
        "draining": health.readiness.is_draining(),
    });
    (status, Json(detail)).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    let Health { readiness, metrics } = health;
    // With many series the text takes milliseconds, for which the probes should not wait.
    let text = tokio::task::spawn_blocking(move || {
        metrics.retain(&readiness.snapshots.load());
        metrics.render()
    });
    match text.await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
