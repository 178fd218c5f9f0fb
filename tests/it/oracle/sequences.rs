//! Recorded behaviour that needs an order in time: `sequences.json`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::certificate::{Authority, KeyKind, Validity};
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Ingress, Manifests, Pod, service, slice, tls_secret};
use edgeward_tests::tls::{Hello, describe};
use edgeward_tests::turn;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use tokio::time::sleep;

use super::{ADDRESSES, backends, folder};

#[derive(Debug, Deserialize)]
struct Step {
    sequence: String,
    step: String,
    observed: serde_json::Map<String, serde_json::Value>,
}

/// What one kind of request got at a step, in the recording's words.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Seen {
    status: u16,
    backend: Option<String>,
    location: Option<String>,
    cert: Option<String>,
    san: Option<Vec<String>>,
}

const FAKE_CERTIFICATE: &str = "CN=Kubernetes Ingress Controller Fake Certificate,O=Acme Co";

/// The steps of a sequence, in order.
fn steps(sequence: &str) -> Vec<Step> {
    let file = folder().join("sequences.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let steps: Vec<Step> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    steps.into_iter().filter(|step| step.sequence == sequence).collect()
}

/// Edgeward in front of s1 and s2 of the recording.
struct Stage {
    edgeward: Edgeward,
    manifests: Manifests,
    default_certificate: CertificateDer<'static>,
    host: &'static str,
    _backends: backends::Backends,
}

impl Stage {
    async fn start(host: &'static str, prepare: impl FnOnce(&Manifests)) -> Self {
        let backends = backends::start().await;
        let manifests = Manifests::new();
        manifests.write("s1.yaml", service("s1", &[backends::address(1)]));
        manifests.write("s2.yaml", service("s2", &[backends::address(2)]));
        prepare(&manifests);
        let edgeward = Launch::new(manifests.path()).access_log("off").start().await;
        let connection = Connection::open_tls(edgeward.https, &Hello::nameless()).await;
        let default_certificate = connection.certificate_der().clone();
        Self { edgeward, manifests, default_certificate, host, _backends: backends }
    }

    async fn http(&self) -> Seen {
        let answer = send(self.edgeward.http, &Request::get(self.host, "/")).await;
        Seen {
            status: answer.status(),
            backend: answer.backend().map(str::to_owned),
            location: answer.header("location").map(str::to_owned),
            cert: None,
            san: None,
        }
    }

    async fn https(&self) -> Seen {
        let mut connection = Connection::open_tls(self.edgeward.https, &Hello::name(self.host)).await;
        let certificate = connection.certificate_der().clone();
        let answer = connection.exchange(&Request::get(self.host, "/")).await;
        let (subject, names) = if certificate == self.default_certificate {
            (FAKE_CERTIFICATE.to_owned(), vec!["ingress.local".to_owned()])
        } else {
            describe(&certificate)
        };
        Seen {
            status: answer.status(),
            backend: answer.backend().map(str::to_owned),
            location: None,
            cert: Some(subject),
            san: Some(names),
        }
    }

    /// Waits until everything that was recorded at a step is seen here; how long that took.
    async fn reaches(&self, step: &Step) -> Duration {
        let recorded: BTreeMap<&str, Seen> = step
            .observed
            .iter()
            .filter(|(key, _)| *key != "seconds")
            .map(|(key, seen)| (key.as_str(), serde_json::from_value(seen.clone()).unwrap()))
            .collect();
        let start = Instant::now();
        loop {
            let mut here = BTreeMap::new();
            for key in recorded.keys() {
                here.insert(*key, if *key == "https" { self.https().await } else { self.http().await });
            }
            if here == recorded {
                return start.elapsed();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{}, {}:\nrecorded {recorded:#?}\nhere {here:#?}",
                step.sequence,
                step.step
            );
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until a diagnostic says so: the change has been taken in, whatever it did.
    async fn hears(&self, code: &str) {
        let start = Instant::now();
        while !self.edgeward.admin("/diagnostics").await.text().contains(code) {
            assert!(start.elapsed() < PATIENCE, "no diagnostic {code}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_late_secret_is_taken_up_and_a_broken_one_keeps_the_last_good() {
    let _turn = turn::shared().await;
    let _addresses = ADDRESSES.lock().await;
    let steps = steps("late secret");
    let [none, created, renewed, garbage, deleted] = &steps[..] else { panic!("{steps:?}") };
    let authority = Authority::new();
    let stage = Stage::start("q2.test", |manifests| {
        let ingress = Ingress::new("q2").tls(&["q2.test"], Some("q2")).host("q2.test", "s1");
        manifests.write("ingress.yaml", ingress.text());
    })
    .await;
    stage.reaches(none).await;

    stage.manifests.write("secret.yaml", tls_secret("q2", &authority.pair("q2.test")));
    let after = stage.reaches(created).await;
    assert!(after < Duration::from_secs(1), "{after:?} from the Secret to its certificate");

    let pair = authority.issue_as("q2b.test", &["q2.test", "renewed"], KeyKind::Ecdsa, Validity::Current);
    stage.manifests.write("secret.yaml", tls_secret("q2", &pair));
    let after = stage.reaches(renewed).await;
    assert!(after < Duration::from_secs(1), "{after:?} from the renewed Secret to its certificate");

    let mut rubbish = pair;
    rubbish.certificate_pem = "garbage".to_owned();
    stage.manifests.write("secret.yaml", tls_secret("q2", &rubbish));
    stage.hears("CertificateInvalid").await;
    stage.reaches(garbage).await;

    stage.manifests.remove("secret.yaml");
    stage.reaches(deleted).await;
}

#[tokio::test]
async fn the_older_ingress_wins_and_the_younger_takes_over_when_it_goes() {
    let _turn = turn::shared().await;
    let _addresses = ADDRESSES.lock().await;
    let steps = steps("conflict");
    let [both, older_gone, made_again] = &steps[..] else { panic!("{steps:?}") };
    let ingress =
        |name: &str, service: &str, created: &str| Ingress::new(name).created(created).host("q4.test", service).text();
    let stage = Stage::start("q4.test", |manifests| {
        manifests.write("a.yaml", ingress("a", "s1", "2026-01-01T00:00:00Z"));
        manifests.write("b.yaml", ingress("b", "s2", "2026-01-01T00:00:02Z"));
    })
    .await;
    stage.reaches(both).await;
    stage.hears("RouteConflict").await;
    stage.manifests.remove("a.yaml");
    stage.reaches(older_gone).await;
    stage.manifests.write("a.yaml", ingress("a", "s1", "2026-01-01T00:00:04Z"));
    stage.hears("RouteConflict").await;
    stage.reaches(made_again).await;
}

#[tokio::test]
async fn an_endpoint_change_is_live_at_once() {
    let _turn = turn::shared().await;
    let _addresses = ADDRESSES.lock().await;
    let steps = steps("endpoint change");
    let [back] = &steps[..] else { panic!("{steps:?}") };
    let stage = Stage::start("q3.test", |manifests| {
        manifests.write("ingress.yaml", Ingress::new("q3").host("q3.test", "s1").text());
    })
    .await;
    assert_eq!(stage.http().await.backend.as_deref(), Some("s1"));
    let moved_to = async |last: u8, name: &str| {
        let started = Instant::now();
        stage.manifests.write("s1-slice.yaml", slice("s1", "s1", &[(backends::address(last), Pod::Ready)]));
        while stage.http().await.backend.as_deref() != Some(name) {
            assert!(started.elapsed() < PATIENCE, "traffic does not move to {name}");
        }
        started.elapsed()
    };
    // The slice moves into a file of its own first: the same object in two files is a mistake.
    stage.manifests.write("s1.yaml", edgeward_tests::manifest::service_alone("s1", 8080));
    moved_to(6, "canary").await;
    let after = moved_to(1, "s1").await;
    let recorded = back.observed["seconds"].as_f64().unwrap();
    eprintln!("endpoint change: live after {after:?}, {recorded} s recorded");
    assert!(after.as_secs_f64() < recorded + 0.15, "live after {after:?}, {recorded} s recorded");
}
