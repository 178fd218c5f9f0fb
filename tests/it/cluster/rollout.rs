//! Rollouts through the real EndpointSlice controller, and certificates that are replaced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Connection, Request};
use edgeward_tests::cluster::{Cluster, pod_address};
use edgeward_tests::edgeward::Launch;
use edgeward_tests::load::{Load, Plan, Shot, Workload};
use edgeward_tests::manifest::{Ingress, tls_secret};
use edgeward_tests::message::Message;
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use serde_json::json;

use super::{CLASS, cluster, eventually, service, until};

const HOST: &str = "rollout.test";

/// GET and POST in turn; each must have got through whole.
#[derive(Debug)]
struct Mixed;

impl Workload for Mixed {
    fn shot(&self, number: usize) -> Shot {
        if number.is_multiple_of(2) {
            Shot { method: "GET", bytes: Request::get(HOST, "/").bytes(), context: 0 }
        } else {
            Shot { method: "POST", bytes: Request::post(HOST, "/", vec![b'p'; 512]).bytes(), context: 512 }
        }
    }

    fn judge(&self, shot: &Shot, answer: &Message) -> Result<(), String> {
        if answer.status() == 200 { Ok(()) } else { Err(format!("{} {}", shot.method, answer.status())) }
    }
}

async fn pod(cluster: &Cluster, name: &str) -> Backend {
    let backend = Start::default().quiet().delay(Duration::from_millis(2)).addr(pod_address()).start(name).await;
    cluster.pod(name, "web", backend.addr());
    backend
}

fn selecting_service(cluster: &Cluster) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    });
    cluster.apply(&service.to_string());
}

/// How many endpoints the balancer knows of.
async fn endpoints(edgeward: &edgeward_tests::edgeward::Edgeward) -> usize {
    let backends = edgeward.admin("/backends").await.json();
    let all = backends["backends"].as_array().cloned().unwrap_or_default();
    all.iter().map(|backend| backend["endpoints"].as_array().map_or(0, Vec::len)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_deploy_of_ten_pods_fails_no_request() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    selecting_service(&cluster);
    cluster.apply(&Ingress::new("web").class(CLASS).host(HOST, "web").text());
    let mut pods = Vec::new();
    for number in 0..10 {
        pods.push(pod(&cluster, &format!("old-{number}")).await);
    }
    let edgeward = Launch::cluster(&cluster.service_account()).access_log("off").start().await;
    let started = Instant::now();
    while endpoints(&edgeward).await < 10 {
        assert!(started.elapsed() < Duration::from_secs(20), "the endpoints do not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let load =
        Load::start(Plan { addr: edgeward.http, rate: 500, connections: 20, requests: 10_000_000 }, Arc::new(Mixed));
    for number in 0..10 {
        let old = pods.remove(0);
        pods.push(pod(&cluster, &format!("new-{number}")).await);
        cluster.kubectl(&["delete", "pod", old.name(), "--wait=false"]);
        // A pod's preStop hook holds its server up until the news has spread; two seconds are usual.
        tokio::time::sleep(Duration::from_secs(2)).await;
        old.kill();
        cluster.kubectl(&["delete", "pod", old.name(), "--force", "--grace-period=0"]);
    }
    load.stop();
    let report = load.report().await;
    eprintln!("rolling deploy: {report}");
    report.assert_clean();
    assert!(report.sent > 5000, "{report}");
    assert!(pods.iter().all(|pod| pod.served() > 0), "a new pod got nothing");
}

#[tokio::test]
async fn a_service_whose_last_pod_is_terminating_is_still_served_by_it() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    selecting_service(&cluster);
    cluster.apply(&Ingress::new("web").class(CLASS).host(HOST, "web").text());
    let pods = [pod(&cluster, "web-0").await, pod(&cluster, "web-1").await];
    let edgeward = Launch::cluster(&cluster.service_account()).start().await;
    until(edgeward.http, HOST, "/", |answer| answer.status() == 200).await;
    cluster.kubectl(&["delete", "pod", "web-0", "web-1", "--wait=false", "--grace-period=60"]);
    eventually("both are terminating", || {
        let slices = cluster.kubectl(&["get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", "json"]);
        slices.matches("\"terminating\": true").count() == 2
    })
    .await;
    for _ in 0..50 {
        until(edgeward.http, HOST, "/", |answer| answer.status() == 200).await;
    }
    drop(pods);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_replaced_certificates_fail_no_handshake() {
    const NAME: &str = "certificate.test";
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    let authority = Authority::new();
    cluster.apply(&tls_secret("certificate", &authority.pair(NAME)));
    cluster.apply(&Ingress::new("web").class(CLASS).host(NAME, "web").tls(&[NAME], Some("certificate")).text());
    let edgeward = Launch::cluster(&cluster.service_account()).access_log("off").start().await;
    until(edgeward.http, NAME, "/", |answer| answer.status() == 308).await;
    let https = edgeward.https;
    let hello = Hello::name(NAME).verify(authority.certificate());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let handshakes = {
        let hello = hello.clone();
        tokio::spawn(async move {
            let mut count = 0_u32;
            while !*stopped.borrow() {
                // It panics where the handshake fails.
                let mut connection = Connection::open_tls(https, &hello).await;
                assert_eq!(connection.exchange(&Request::get(NAME, "/")).await.status(), 200);
                count += 1;
            }
            count
        })
    };
    let mut delays = Vec::new();
    for _ in 0..20 {
        let pair = authority.pair(NAME);
        cluster.kubectl_with(&["replace", "-f", "-"], &tls_secret("certificate", &pair));
        let replaced = Instant::now();
        while *Connection::open_tls(https, &hello).await.certificate_der() != pair.certificate() {
            assert!(replaced.elapsed() < Duration::from_secs(5), "the new certificate is not served");
        }
        delays.push(replaced.elapsed());
    }
    stop.send_replace(true);
    let count = handshakes.await.expect("no handshake fails");
    delays.sort_unstable();
    eprintln!(
        "certificates: {count} handshakes, new ones served after {:?} (median), {:?} (slowest)",
        delays[10], delays[19]
    );
    assert!(delays[10] < Duration::from_millis(100), "{delays:?}");
    assert!(delays[19] < Duration::from_millis(300), "{delays:?}");
    // A broken update keeps the last good one, and says so.
    cluster.kubectl(&[
        "patch",
        "secret",
        "certificate",
        "--type=merge",
        "-p",
        r#"{"data":{"tls.crt":"bm9uc2Vuc2U="}}"#,
    ]);
    let started = Instant::now();
    while !edgeward.admin("/diagnostics").await.text().contains("certificate") {
        assert!(started.elapsed() < Duration::from_secs(5), "no diagnostic about the broken Secret");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut connection = Connection::open_tls(https, &hello).await;
    assert_eq!(connection.exchange(&Request::get(NAME, "/")).await.status(), 200);
}
