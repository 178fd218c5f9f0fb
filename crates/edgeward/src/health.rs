//! `/healthz`, `/readyz` and `/metrics`, on a port of their own so that they answer whatever the traffic does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use edgeward_controller::kubernetes::{Contact, Unlisted};
use edgeward_controller::reconcile::Status;
use edgeward_proxy::metrics::{CONTENT_TYPE, Metrics};
use edgeward_routing::SnapshotReader;
use serde_json::json;
use tokio::sync::watch;

#[cfg(test)]
mod tests;

/// Whether this instance wants traffic.
#[derive(Debug, Clone)]
pub struct Readiness {
    snapshots: SnapshotReader,
    serving: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
    followed: Arc<OnceLock<Followed>>,
}

/// What else has a say in whether traffic is wanted, and what is told of it.
#[derive(Debug)]
pub struct Followed {
    /// What the controller says of the current snapshot.
    pub status: watch::Receiver<Status>,
    /// What is known of the contact with the API server, where there is one.
    pub contact: Option<Arc<Contact>>,
    /// Whether the own node is cordoned, where that matters; `None` as long as it is not known.
    pub cordoned: Option<watch::Receiver<Option<bool>>>,
}

impl Readiness {
    /// Not yet: there must be a published snapshot, and listeners.
    pub fn new(snapshots: SnapshotReader) -> Self {
        Self { snapshots, serving: Arc::default(), draining: Arc::default(), followed: Arc::default() }
    }

    /// Takes these into account from now on. Only the first call has an effect.
    pub fn follow(&self, followed: Followed) {
        let _ = self.followed.set(followed);
    }

    /// Whether what is served may be out of date.
    pub fn is_stale(&self) -> bool {
        self.followed.get().is_some_and(|followed| followed.status.borrow().is_stale)
    }

    /// What is known of the contact with the API server, where there is one.
    pub fn contact(&self) -> Option<&Arc<Contact>> {
        self.followed.get()?.contact.as_ref()
    }

    /// Whether the own node is cordoned; `None` as long as it is not known.
    fn is_cordoned(&self) -> Option<bool> {
        match self.followed.get().and_then(|followed| followed.cordoned.as_ref()) {
            Some(cordoned) => *cordoned.borrow(),
            None => Some(false),
        }
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
            Some("the objects are not read yet")
        } else if !self.serving.load(Ordering::Relaxed) {
            Some("not listening yet")
        } else {
            match self.is_cordoned() {
                Some(false) => None,
                Some(true) => Some("the node is cordoned"),
                None => Some("whether the node is cordoned is not known yet"),
            }
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
    // What keeps a start from ending: kinds that could not be listed yet.
    let unlisted: Vec<_> = health.readiness.contact().into_iter().flat_map(|contact| contact.unlisted()).collect();
    let detail = json!({
        "ready": refusal.is_none(),
        "stale": health.readiness.is_stale(),
        "unlisted": unlisted.iter().map(unlisted_detail).collect::<Vec<_>>(),
        "reason": refusal,
        "generation": health.readiness.snapshots.load().generation,
        "draining": health.readiness.is_draining(),
    });
    (status, Json(detail)).into_response()
}

fn unlisted_detail(unlisted: &Unlisted) -> serde_json::Value {
    json!({ "kind": unlisted.kind.name(), "namespace": unlisted.namespace, "error": unlisted.error })
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
