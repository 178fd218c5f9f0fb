//! `/backends`: the endpoints of every backend, and how they are.

use axum::Json;
use axum::extract::State;
use edgeward_routing::backend::{Backend, LoadBalance};
use edgeward_routing::endpoint::{Endpoint, Readiness};
use serde_json::{Value, json};

use super::Admin;

pub(super) async fn page(State(admin): State<Admin>) -> Json<Value> {
    let snapshot = admin.snapshots.load();
    let mut backends: Vec<_> = snapshot.backends.all().iter().collect();
    backends.sort_by(|a, b| a.key.cmp(&b.key));
    let backends: Vec<Value> = backends.into_iter().map(|backend| backend_json(backend)).collect();
    Json(json!({ "generation": snapshot.generation, "backends": backends }))
}

fn backend_json(backend: &Backend) -> Value {
    json!({
        "name": &*backend.name,
        "namespace": &*backend.key.namespace,
        "service": &*backend.key.service,
        "port": &*backend.key.port,
        "load_balance": match &backend.load_balance {
            LoadBalance::RoundRobin => "round-robin",
            LoadBalance::LeastRequest => "least-request",
            LoadBalance::PeakEwma => "ewma",
            LoadBalance::ConsistentHash(_) => "consistent-hash",
            LoadBalance::SubsetHash(..) => "subset-hash",
        },
        "health_check": backend.health_check.is_some(),
        "endpoints": backend.endpoints.iter().map(endpoint_json).collect::<Vec<_>>(),
    })
}

fn endpoint_json(endpoint: &Endpoint) -> Value {
    let state = &endpoint.state;
    json!({
        "address": endpoint.addr,
        "readiness": match endpoint.readiness {
            Readiness::Ready => "ready",
            Readiness::Terminating => "terminating",
        },
        "healthy": state.is_healthy(),
        "ejected": state.is_ejected(),
        "probe_failing": state.is_probe_failing(),
        "in_flight": state.in_flight(),
        "usable_for_seconds": state.usable_for_ms() / 1000,
    })
}
