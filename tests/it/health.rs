//! Endpoints that fail are left out, and come back: active checks and passive ejection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::address::pod;
use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::client::{Request, get, send, wait_for};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Ingress, Manifests, service};
use edgeward_tests::turn;
use serde_json::Value;
use tokio::time::sleep;

const HOST: &str = "health.test";

/// Annotations that find a failure in a fraction of a second.
const QUICK: &[(&str, &str)] = &[
    ("edgeward.dev/health-check-interval", "100ms"),
    ("edgeward.dev/health-check-timeout", "200ms"),
    ("edgeward.dev/health-check-healthy-threshold", "2"),
    ("edgeward.dev/health-check-unhealthy-threshold", "2"),
];

fn ingress(annotations: &[(&str, &str)]) -> Ingress {
    let start = Ingress::new("web").host(HOST, "web");
    annotations.iter().fold(start, |ingress, (name, value)| ingress.annotation(name, value))
}

async fn pods(count: usize) -> Vec<Backend> {
    let mut pods = Vec::new();
    for index in 0..count {
        pods.push(Start::default().quiet().start(&format!("pod-{index}")).await);
    }
    pods
}

fn write(manifests: &Manifests, pods: &[Backend], annotations: &[(&str, &str)]) {
    let addresses: Vec<_> = pods.iter().map(Backend::addr).collect();
    manifests.write("service.yaml", service("web", &addresses));
    manifests.write("ingress.yaml", ingress(annotations).text());
}

/// What the administration page says of an endpoint.
async fn state(edgeward: &Edgeward, pod: &Backend) -> Value {
    let page = edgeward.admin("/backends").await.json();
    let address = pod.addr().to_string();
    let endpoints =
        page["backends"].as_array().unwrap().iter().flat_map(|backend| backend["endpoints"].as_array().unwrap());
    endpoints.into_iter().find(|endpoint| endpoint["address"] == address.as_str()).cloned().unwrap_or(Value::Null)
}

/// Waits until a field of the page has a value.
async fn becomes(edgeward: &Edgeward, pod: &Backend, field: &str, value: bool) -> Duration {
    let started = Instant::now();
    while state(edgeward, pod).await[field] != value {
        let state = state(edgeward, pod).await;
        assert!(started.elapsed() < PATIENCE, "{} does not become {field}: {value}: {state}", pod.name());
        sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}

/// How many of some requests each pod answers.
async fn answers(edgeward: &Edgeward, pods: &[Backend], requests: usize) -> Vec<usize> {
    let mut counts = vec![0; pods.len()];
    for _ in 0..requests {
        let answer = get(edgeward.http, HOST, "/").await;
        let index = pods.iter().position(|pod| answer.backend() == Some(pod.name()));
        counts[index.unwrap_or_else(|| panic!("answered by no pod: {answer:?}"))] += 1;
    }
    counts
}

#[tokio::test]
async fn an_http_check_takes_an_endpoint_out_and_back() {
    let _turn = turn::shared().await;
    let pods = pods(3).await;
    let manifests = Manifests::new();
    let check =
        [&[("edgeward.dev/health-check", "http"), ("edgeward.dev/health-check-path", "/alive")], QUICK].concat();
    write(&manifests, &pods, &check);
    let edgeward = Launch::new(manifests.path()).start().await;
    assert_eq!(answers(&edgeward, &pods, 30).await.iter().filter(|count| **count > 5).count(), 3);

    // It still answers requests, with 500 for all of them: only the check sees to it that nobody gets these.
    pods[0].answer_with(500);
    let out = becomes(&edgeward, &pods[0], "healthy", false).await;
    for _ in 0..30 {
        let answer = get(edgeward.http, HOST, "/").await;
        assert_eq!(answer.status(), 200, "a request went to the failing endpoint");
    }

    // Another snapshot, with other routes, does not forget it.
    manifests.write("other.yaml", Ingress::new("other").host("other.test", "web").text());
    wait_for(edgeward.http, &Request::get("other.test", "/"), |a| a.backend().is_some()).await;
    assert_eq!(state(&edgeward, &pods[0]).await["healthy"], false, "health does not survive a snapshot");
    assert_eq!(answers(&edgeward, &pods, 20).await[0], 0);

    pods[0].answer_with(200);
    let back = becomes(&edgeward, &pods[0], "healthy", true).await;
    assert!(answers(&edgeward, &pods, 30).await[0] > 5);
    eprintln!("HTTP health check every 100 ms: out after {out:?}, back after {back:?}");
}

#[tokio::test]
async fn a_check_asks_for_its_path_host_and_status_on_its_port() {
    let _turn = turn::shared().await;
    let (pod, probed) = (Backend::start("pod").await, pod());
    let answering = Start::default().addr((pod.addr().ip(), 18_080).into()).start("probed").await;
    let manifests = Manifests::new();
    let check = [
        &[
            ("edgeward.dev/health-check", "http"),
            ("edgeward.dev/health-check-path", "/alive?deep=1"),
            ("edgeward.dev/health-check-host", "probe.test"),
            ("edgeward.dev/health-check-port", "18080"),
            ("edgeward.dev/health-check-expected-status", "204-299"),
        ],
        QUICK,
    ]
    .concat();
    manifests.write("service.yaml", service("web", &[pod.addr(), probed]));
    manifests.write("ingress.yaml", ingress(&check).text());
    let edgeward = Launch::new(manifests.path()).start().await;
    becomes(&edgeward, &pod, "probe_failing", true).await;
    answering.answer_with(204);
    becomes(&edgeward, &pod, "probe_failing", false).await;
    let probe = answering.recording().last().unwrap();
    assert_eq!((probe.method.as_str(), probe.target.as_str()), ("GET", "/alive?deep=1"));
    assert_eq!(probe.header("host"), Some("probe.test"));
    assert!(pod.recording().take().is_empty(), "the endpoint's own port was probed");
}

#[tokio::test]
async fn a_tcp_check_takes_out_an_endpoint_that_does_not_listen() {
    let _turn = turn::shared().await;
    let mut pods = pods(3).await;
    let manifests = Manifests::new();
    write(&manifests, &pods, &[&[("edgeward.dev/health-check", "tcp")], QUICK].concat());
    let edgeward = Launch::new(manifests.path()).start().await;
    let addr = pods[0].addr();
    pods[0].kill();
    becomes(&edgeward, &pods[0], "probe_failing", true).await;
    pods[0] = Start::default().quiet().addr(addr).start("pod-0").await;
    becomes(&edgeward, &pods[0], "healthy", true).await;
    assert!(answers(&edgeward, &pods, 30).await[0] > 5);
}

#[tokio::test]
async fn when_most_endpoints_fail_their_checks_all_are_used() {
    let _turn = turn::shared().await;
    let pods = pods(3).await;
    let manifests = Manifests::new();
    write(&manifests, &pods, &[&[("edgeward.dev/health-check", "http")], QUICK].concat());
    let edgeward = Launch::new(manifests.path()).start().await;
    for pod in &pods {
        pod.answer_with(404);
    }
    for pod in &pods {
        becomes(&edgeward, pod, "healthy", false).await;
    }
    for _ in 0..20 {
        let answer = get(edgeward.http, HOST, "/").await;
        assert_eq!((answer.status(), answer.backend().is_some()), (404, true), "no endpoint was asked");
    }
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_ejected_without_any_check_and_comes_back() {
    let _turn = turn::shared().await;
    let pods = pods(3).await;
    let manifests = Manifests::new();
    write(&manifests, &pods, &[]);
    let edgeward = Launch::new(manifests.path()).start().await;
    let dead = pods[0].addr();
    pods[0].kill();
    let started = Instant::now();
    while state(&edgeward, &pods[0]).await["ejected"] != true {
        // Each request is answered by another endpoint in the end.
        let answer = send(edgeward.http, &Request::post(HOST, "/", "x")).await;
        assert_eq!(answer.status(), 200);
        assert!(started.elapsed() < PATIENCE, "an endpoint that refuses every connection is not ejected");
    }
    let _again = Start::default().quiet().addr(dead).start("pod-0").await;
    assert_eq!(answers(&edgeward, &pods, 20).await[0], 0, "an ejected endpoint gets requests");
    // The first ejection lasts 10 s.
    let started = Instant::now();
    while state(&edgeward, &pods[0]).await["ejected"] != false {
        assert!(started.elapsed() < 2 * PATIENCE, "an ejected endpoint never comes back");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(answers(&edgeward, &pods, 30).await[0] > 5);
    eprintln!("passive ejection: back after {:?}", started.elapsed());
}

#[tokio::test]
async fn half_of_the_endpoints_at_most_are_ejected() {
    let _turn = turn::shared().await;
    let pods = pods(4).await;
    let manifests = Manifests::new();
    write(&manifests, &pods, &[]);
    let edgeward = Launch::new(manifests.path()).start().await;
    for pod in &pods[..3] {
        pod.kill();
    }
    let mut statuses = BTreeMap::new();
    for _ in 0..60 {
        *statuses.entry(get(edgeward.http, HOST, "/").await.status()).or_insert(0) += 1;
    }
    let mut ejected = 0;
    for pod in &pods {
        ejected += usize::from(state(&edgeward, pod).await["ejected"] == true);
    }
    eprintln!("3 of 4 endpoints dead: {ejected} ejected, statuses {statuses:?}");
    assert!((1..=2).contains(&ejected), "{ejected} of 4 endpoints are ejected");
}
