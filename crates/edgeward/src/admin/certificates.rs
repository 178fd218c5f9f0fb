//! `/certificates`: which certificate answers to which server name, and how long. Keys are not shown.

use axum::Json;
use axum::extract::State;
use edgeward_routing::certificate::Certificate;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Admin;

pub(super) async fn page(State(admin): State<Admin>) -> Json<Value> {
    let snapshot = admin.snapshots.load();
    let now = Timestamp::now().as_second();
    let by_name: Vec<Value> = snapshot
        .certificates
        .by_host
        .iter()
        .map(|(host, certificate)| certificate_json(Some(host.to_string()), certificate, now))
        .collect();
    Json(json!({
        "generation": snapshot.generation,
        "certificates": by_name,
        "default": snapshot.certificates.default.as_ref().map(|certificate| certificate_json(None, certificate, now)),
    }))
}

fn certificate_json(server_name: Option<String>, certificate: &Certificate, now: i64) -> Value {
    let fingerprint: String = certificate.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "server_name": server_name,
        "subject": certificate.subject,
        "names": certificate.names,
        "serial": certificate.serial,
        "sha256": fingerprint,
        "not_before": time(certificate.not_before),
        "not_after": time(certificate.not_after),
        "days_left": (certificate.not_after - now).div_euclid(86_400),
        "secret": certificate.origin.as_ref().map(|origin| format!("{}/{}", origin.namespace, origin.name)),
    })
}

/// A time as RFC 3339 writes it; `None` for one that has no such form.
fn time(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}
