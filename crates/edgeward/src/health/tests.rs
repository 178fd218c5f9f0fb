#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_routing::{Publisher, Snapshot};
use serde_json::Value;

use super::*;
use crate::fixture::ask;

fn pages(readiness: &Readiness, health_path: &str) -> Router {
    router(readiness.clone(), Arc::new(Metrics::new(&Default::default()).unwrap()), health_path)
}

async fn readyz_of(readiness: &Readiness) -> (u16, Value) {
    let answer = ask(pages(readiness, "/healthz"), "GET /readyz", "x").await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test]
async fn ready_is_from_the_first_snapshot_and_listener_on_until_the_drain() {
    let empty = Snapshot::empty(Default::default());
    let mut publisher = Publisher::new(empty.clone());
    let readiness = Readiness::new(publisher.reader());
    let (status, detail) = readyz_of(&readiness).await;
    assert_eq!((status, &detail["ready"]), (503, &false.into()));
    publisher.publish(Snapshot { generation: 1, ..empty });
    assert_eq!(readyz_of(&readiness).await.1["reason"], "not listening yet");
    readiness.start_serving();
    let (status, detail) = readyz_of(&readiness).await;
    assert_eq!((status, &detail["ready"], &detail["generation"]), (200, &true.into(), &1.into()));
    readiness.start_draining();
    let (status, detail) = readyz_of(&readiness).await;
    assert_eq!((status, &detail["draining"], &detail["reason"]), (503, &true.into(), &"shutting down".into()));
}

#[tokio::test]
async fn alive_is_always_and_on_the_path_that_was_asked_for() {
    let readiness = Readiness::new(Publisher::new(Snapshot::empty(Default::default())).reader());
    readiness.start_draining();
    for (health_path, path) in [("/healthz", "/healthz"), ("/live", "/live"), ("/live", "/healthz")] {
        assert_eq!(ask(pages(&readiness, health_path), &format!("GET {path}"), "x").await.status, 200, "{path}");
    }
    // Neither a page of its own nor a pattern of the router may be overlaid.
    for health_path in ["/readyz", "/metrics", "/{braces}", "/{*rest}"] {
        assert_eq!(ask(pages(&readiness, health_path), "GET /healthz", "x").await.status, 200, "{health_path}");
    }
}

#[tokio::test]
async fn metrics_are_in_the_text_format() {
    let readiness = Readiness::new(Publisher::new(Snapshot::empty(Default::default())).reader());
    let answer = ask(pages(&readiness, "/healthz"), "GET /metrics", "x").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.contains("# TYPE edgeward_upstream_retries_total counter"), "{}", answer.body);
}
