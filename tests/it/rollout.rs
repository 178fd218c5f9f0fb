//! Endpoints that come and go under load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::client::{Request, wait_for};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::load::{Load, Plan, Shot, Workload};
use edgeward_tests::manifest::{Ingress, Manifests, Pod, service_alone, slice};
use edgeward_tests::message::Message;
use edgeward_tests::{address::POD_PORT, turn};

const HOST: &str = "rollout.test";
const RATE: u32 = 2000;

/// GET and POST in turn; any backend may answer, and each must have got the whole body.
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
        if answer.status() != 200 || answer.backend().is_none() {
            return Err(format!("{} {}", shot.method, answer.status()));
        }
        let got = serde_json::from_slice::<serde_json::Value>(&answer.body).map_err(|e| e.to_string())?;
        if got["body_length"] != shot.context || got["method"] != shot.method {
            return Err(format!("{} reached the backend as {got}", shot.method));
        }
        Ok(())
    }
}

async fn start(count: usize, delay: Duration) -> Vec<Backend> {
    let mut backends = Vec::new();
    for index in 0..count {
        backends.push(Start::default().quiet().delay(delay).start(&format!("old-{index}")).await);
    }
    backends
}

async fn serve(manifests: &Manifests, backends: &[Backend]) -> Edgeward {
    manifests.write("service.yaml", service_alone("web", POD_PORT));
    manifests.write("ingress.yaml", Ingress::new("web").host(HOST, "web").text());
    let ready: Vec<(SocketAddr, Pod)> = backends.iter().map(|backend| (backend.addr(), Pod::Ready)).collect();
    manifests.write("slice.yaml", slice("web", "web", &ready));
    let edgeward = Launch::new(manifests.path()).access_log("off").start().await;
    wait_for(edgeward.http, &Request::get(HOST, "/"), |answer| answer.status() == 200).await;
    edgeward
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_replacement_of_ten_endpoints_fails_no_request() {
    let _turn = turn::alone().await;
    let mut pods: Vec<(Backend, Pod)> =
        start(10, Duration::from_millis(2)).await.into_iter().map(|backend| (backend, Pod::Ready)).collect();
    let manifests = Manifests::new();
    let backends: Vec<Backend> = pods.drain(..).map(|(backend, _)| backend).collect();
    let edgeward = serve(&manifests, &backends).await;
    pods.extend(backends.into_iter().map(|backend| (backend, Pod::Ready)));
    let publish = |pods: &[(Backend, Pod)]| {
        let endpoints: Vec<_> = pods.iter().map(|(backend, pod)| (backend.addr(), *pod)).collect();
        manifests.write("slice.yaml", slice("web", "web", &endpoints));
    };

    let plan = Plan { addr: edgeward.http, rate: RATE, connections: 40, requests: 20_000 };
    let load = Load::start(plan, Arc::new(Mixed));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut dead = Vec::new();
    for index in 0..10 {
        // As a Deployment does it: the new pod becomes ready, the old one is marked, stops a moment later, and is gone.
        let new = Start::default().quiet().delay(Duration::from_millis(2)).start(&format!("new-{index}")).await;
        pods.push((new, Pod::Ready));
        publish(&pods);
        tokio::time::sleep(Duration::from_millis(300)).await;
        pods[0].1 = Pod::Terminating;
        publish(&pods);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (old, _) = pods.remove(0);
        old.kill();
        publish(&pods);
        dead.push(old);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let report = load.report().await;
    eprintln!("rolling replacement: {report}");
    assert_eq!(report.sent, 20_000);
    report.assert_clean();
    let served: Vec<u64> = pods.iter().map(|(backend, _)| backend.served()).collect();
    assert!(served.iter().all(|count| *count > 0), "a new endpoint got nothing: {served:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_endpoint_fails_no_more_than_what_was_in_flight_and_is_clean_within_a_second() {
    let _turn = turn::alone().await;
    let backends = start(10, Duration::from_millis(5)).await;
    let manifests = Manifests::new();
    let edgeward = serve(&manifests, &backends).await;
    let plan = Plan { addr: edgeward.http, rate: RATE, connections: 40, requests: 10_000 };
    let load = Load::start(plan, Arc::new(Mixed));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (in_flight, on_endpoint) = (load.in_flight(), backends[0].active());
    let killed = Instant::now();
    backends[0].kill();
    let report = load.report().await;
    let last = report.failures.iter().map(|failure| failure.at.duration_since(killed)).max();
    eprintln!(
        "killed endpoint: {report}; {in_flight} in flight, {on_endpoint} of them on the endpoint, last failure after {last:?}"
    );
    assert!(
        report.failures.len() <= in_flight,
        "{} failed, but only {in_flight} were in flight: {report}",
        report.failures.len()
    );
    assert!(last.is_none_or(|last| last < Duration::from_secs(1)), "still failing after {last:?}: {report}");
    assert!(
        report.failures.iter().all(|failure| failure.sent <= killed + Duration::from_millis(50)),
        "requests failed that were sent long after the endpoint died: {report}"
    );
}
