#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_controller::index::Index;
use edgeward_controller::translate::{Options, translate};
use edgeward_controller::{diagnostic::Diagnostic, diagnostic::Severity, directory};
use edgeward_routing::origin::Origin;
use edgeward_routing::{Publisher, Snapshot};
use serde_json::Value;

use super::*;
use crate::fixture::ask;

/// Pages over the manifests of the demonstration.
fn router() -> Router {
    let manifests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/demo");
    let objects = directory::load(&[manifests]).unwrap().objects;
    let empty = Snapshot::empty(Default::default());
    let snapshot = translate(&Index::of(objects), &Options::for_directory(), &empty).snapshot;
    let publisher = Publisher::new(snapshot);
    let origin = Origin::object("Ingress", "shop", "web").at("spec.rules[0].host");
    let diagnostic = Diagnostic::new(Severity::Error, "HostInvalid", origin, "it is wrong", "mend it");
    let status = Status { generation: 1, diagnostics: [diagnostic].into(), ..Status::default() };
    let admin = Admin {
        snapshots: publisher.reader(),
        status: watch::channel(status).1,
        configuration: watch::channel(Arc::default()).1,
    };
    admin.router()
}

async fn json_of(path: &str) -> Value {
    let answer = ask(router(), &format!("GET {path}"), "localhost:10246").await;
    assert_eq!(answer.status, 200, "{path}");
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn the_index_names_every_page() {
    let answer = ask(router(), "GET /", "127.0.0.1").await;
    for path in ["/snapshot", "/backends", "/certificates", "/diagnostics", "/configuration"] {
        assert!(answer.body.contains(path), "{path}");
        assert_eq!(ask(router(), &format!("GET {path}"), "127.0.0.1").await.status, 200, "{path}");
    }
    assert_eq!(ask(router(), "GET /nothing", "127.0.0.1").await.status, 404);
}

#[tokio::test]
async fn the_pages_are_read_only() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        assert_eq!(ask(router(), &format!("{method} /snapshot"), "localhost").await.status, 405, "{method}");
    }
}

#[tokio::test]
async fn another_host_is_refused() {
    for host in ["evil.example", "localhost.evil.example", "192.0.2.1", "127.0.0.1.evil.example", ""] {
        assert_eq!(ask(router(), "GET /snapshot", host).await.status, 403, "{host}");
    }
    for host in ["localhost", "LOCALHOST:10246", "127.0.0.1:10246", "[::1]:10246", "[::1]"] {
        assert_eq!(ask(router(), "GET /snapshot", host).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn pages_are_not_stored() {
    assert!(ask(router(), "GET /snapshot", "localhost").await.head.contains("cache-control: no-store"));
}

#[tokio::test]
async fn the_snapshot_is_shown_with_its_generation() {
    let body = ask(router(), "GET /snapshot", "localhost").await.body;
    assert!(body.starts_with("generation 1\n") && body.contains("host shop.localhost"), "{body}");
}

#[tokio::test]
async fn backends_show_the_health_of_their_endpoints() {
    let backends = json_of("/backends").await;
    let web = backends["backends"].as_array().unwrap().iter().find(|backend| backend["service"] == "web").unwrap();
    assert_eq!(web["load_balance"], "round-robin");
    let endpoints = web["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 2);
    assert_eq!((&endpoints[0]["address"], &endpoints[0]["healthy"]), (&"127.0.0.1:19001".into(), &true.into()));
    assert_eq!(endpoints[0]["in_flight"], 0);
}

#[tokio::test]
async fn certificates_show_names_and_expiry_and_no_key() {
    let answer = ask(router(), "GET /certificates", "localhost").await;
    assert!(!answer.body.to_lowercase().contains("key"), "{}", answer.body);
    let certificates: Value = serde_json::from_str(&answer.body).unwrap();
    let bank = &certificates["certificates"][0];
    assert_eq!(bank["server_name"], "bank.localhost");
    assert_eq!(bank["names"], serde_json::json!(["bank.localhost"]));
    assert_eq!(bank["secret"], "demo/demo-only-bank");
    assert_eq!(bank["not_after"], "2099-12-31T23:59:59Z");
}

#[tokio::test]
async fn diagnostics_name_object_and_field() {
    let diagnostics = json_of("/diagnostics").await;
    let first = &diagnostics["diagnostics"][0];
    assert_eq!((&first["severity"], &first["code"]), (&"error".into(), &"HostInvalid".into()));
    assert_eq!(first["object"]["name"], "web");
    assert_eq!(first["field"], "spec.rules[0].host");
}

#[tokio::test]
async fn the_configuration_is_shown() {
    assert_eq!(json_of("/configuration").await["http-port"], 80);
}
