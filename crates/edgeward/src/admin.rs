//! The administration pages: read-only, on a loopback address.

mod backends;
mod certificates;
mod host_check;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use edgeward_controller::reconcile::Status;
use edgeward_routing::SnapshotReader;
use serde_json::json;
use tokio::sync::watch;

use crate::check::report::diagnostic_json;
use crate::configuration::Configuration;

#[cfg(test)]
mod tests;

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The current snapshot.
    pub snapshots: SnapshotReader,
    /// What the controller says of it.
    pub status: watch::Receiver<Status>,
    /// The options in effect.
    pub configuration: watch::Receiver<Arc<Configuration>>,
}

const INDEX: &str = "\
Edgeward

/snapshot       what is routed where, as text
/backends       endpoints with their health, as JSON
/certificates   certificates by server name with their expiry, as JSON
/diagnostics    mistakes in the manifests, and what in them was left alone, as JSON
/configuration  the options in effect, as JSON
";

impl Admin {
    /// The pages. Requests for another host than the loopback ones are refused.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(async || INDEX))
            .route("/snapshot", get(snapshot))
            .route("/backends", get(backends::page))
            .route("/certificates", get(certificates::page))
            .route("/diagnostics", get(diagnostics))
            .route("/configuration", get(configuration))
            .layer(middleware::from_fn(host_check::refuse_other_hosts))
            .with_state(self)
    }
}

async fn snapshot(State(admin): State<Admin>) -> Response {
    let snapshot = admin.snapshots.load();
    let text = format!("generation {}\n{}", snapshot.generation, edgeward_routing::render::render(&snapshot));
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn diagnostics(State(admin): State<Admin>) -> Json<serde_json::Value> {
    let status = admin.status.borrow().clone();
    let diagnostics: Vec<_> = status.diagnostics.iter().map(diagnostic_json).collect();
    Json(json!({
        "generation": status.generation,
        "diagnostics": diagnostics,
        "skipped": status.counts.skipped,
    }))
}

async fn configuration(State(admin): State<Admin>) -> Json<serde_json::Value> {
    Json(admin.configuration.borrow().entries().into())
}
