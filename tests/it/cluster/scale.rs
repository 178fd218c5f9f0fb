//! Large clusters: how long a change takes from the answer of the API server to the first request that is routed by it, and
//! what thousands of objects cost.

use std::time::{Duration, Instant};

use edgeward_tests::backend::Backend;
use edgeward_tests::client::{Keeper, Request};
use edgeward_tests::cluster::Cluster;
use edgeward_tests::edgeward::{Edgeward, Launch, binary};
use edgeward_tests::turn;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{CLASS, cluster, service};

/// Sets the number of Ingresses of the largest run; each has a Service of its own with five slices.
const INGRESSES: &str = "EDGEWARD_SCALE_INGRESSES";

const SLICES: usize = 5;

/// Changes that are measured.
const CHANGES: usize = 100;

/// Between two changes: each is measured, not how a stream of them is gathered.
const PAUSE: Duration = Duration::from_millis(50);

/// Between two looks at whether a change is routed by: looking all the time would take a core from what is looked at.
const POLL: Duration = Duration::from_millis(1);

/// Writes at a time while a cluster is filled.
const AT_ONCE: usize = 16;

async fn fill<K>(client: &Client, count: usize, object: impl Fn(usize) -> Value)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let api = &Api::<K>::namespaced(client.clone(), "default");
    let create = |number| {
        let object: K = serde_json::from_value(object(number)).unwrap();
        async move { api.create(&PostParams::default(), &object).await }
    };
    stream::iter((0..count).map(create)).buffer_unordered(AT_ONCE).try_for_each(async |_| Ok(())).await.unwrap();
}

fn ingress(name: &str, host: &str, path: &str, service: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
        "spec": {"ingressClassName": CLASS, "rules": [{"host": host, "http": {"paths": [
            {"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}]}}]}})
}

fn slice(name: &str, service: &str, address: std::net::SocketAddr, ready: bool) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "", "port": address.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": ready}}]})
}

/// From the answer of the API server to a change until the first request that is routed by it.
async fn convergence(client: &Client, edgeward: &Edgeward) -> Vec<Duration> {
    let api = Api::<Ingress>::namespaced(client.clone(), "default");
    let mut keeper = Keeper::new(edgeward.http);
    let mut delays = Vec::new();
    for change in 0..CHANGES {
        let path = format!("/change-{change}");
        let object = ingress("probe", "probe.test", &path, "web");
        tokio::time::sleep(PAUSE).await;
        api.patch("probe", &PatchParams::apply("scale").force(), &Patch::Apply(&object)).await.unwrap();
        let accepted = Instant::now();
        let request = Request::get("probe.test", &path);
        while keeper.exchange(&request).await.status() != 200 {
            assert!(accepted.elapsed() < edgeward_tests::PATIENCE, "change {change} is not taken up");
            tokio::time::sleep(POLL).await;
        }
        delays.push(accepted.elapsed());
    }
    delays.sort_unstable();
    delays
}

/// The same for an endpoint that goes and comes.
async fn endpoint_convergence(client: &Client, edgeward: &Edgeward, backend: &Backend) -> Vec<Duration> {
    let api = Api::<EndpointSlice>::namespaced(client.clone(), "default");
    let mut keeper = Keeper::new(edgeward.http);
    let request = Request::get("probe.test", &format!("/change-{}", CHANGES - 1));
    let mut delays = Vec::new();
    for change in 0..CHANGES {
        let is_ready = change % 2 == 1;
        let object = slice("web", "web", backend.addr(), is_ready);
        tokio::time::sleep(PAUSE).await;
        api.patch("web", &PatchParams::apply("scale").force(), &Patch::Apply(&object)).await.unwrap();
        let accepted = Instant::now();
        let wanted = if is_ready { 200 } else { 503 };
        while keeper.exchange(&request).await.status() != wanted {
            assert!(accepted.elapsed() < edgeward_tests::PATIENCE, "change {change} is not taken up");
            tokio::time::sleep(POLL).await;
        }
        delays.push(accepted.elapsed());
    }
    delays.sort_unstable();
    delays
}

/// A cluster with so many Ingresses, each with a Service of its own and its slices.
async fn site(count: usize) -> (Cluster, Client, Backend) {
    let cluster = cluster();
    let backend = service(&cluster, "web").await;
    let client = cluster.client().await;
    let address = backend.addr();
    let name = |number: usize| format!("app-{number}");
    fill::<Service>(&client, count, |number| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name(number)},
            "spec": {"clusterIP": "None", "ports": [{"port": 80}]}})
    })
    .await;
    fill::<EndpointSlice>(&client, count * SLICES, |number| {
        let service = name(number / SLICES);
        slice(&format!("{service}-{}", number % SLICES), &service, address, true)
    })
    .await;
    fill::<Ingress>(&client, count, |number| {
        ingress(&name(number), &format!("{}.test", name(number)), "/", &name(number))
    })
    .await;
    fill::<Ingress>(&client, 1, |_| ingress("probe", "probe.test", "/", "web")).await;
    (cluster, client, backend)
}

/// How long the rebuilds took, as its log has it.
fn rebuilds(edgeward: &Edgeward, what: &str) -> Vec<Duration> {
    let log = edgeward.log();
    let lines = log.lines().filter(|line| line.contains("rebuilt") && line.contains(&format!("what=\"{what}\"")));
    let microseconds = lines.filter_map(|line| {
        let (_, rest) = line.split_once("microseconds=")?;
        rest.split(' ').next()?.parse().ok()
    });
    let mut found: Vec<_> = microseconds.map(Duration::from_micros).collect();
    found.sort_unstable();
    assert!(!found.is_empty(), "no rebuild of {what} is in the log");
    found
}

fn shown(delays: &[Duration]) -> String {
    let at = |percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)];
    format!("p50 {:?}, p99 {:?}", at(50), at(99))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_routed_by_as_soon_with_many_ingresses_as_with_one() {
    let _turn = turn::alone().await;
    let largest = std::env::var(INGRESSES).ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let build = if binary().components().any(|part| part.as_os_str() == "release") { "release" } else { "dev" };
    for count in [0, largest / 10, largest] {
        let (cluster, client, backend) = site(count).await;
        let launch = Launch::cluster(&cluster.service_account()).access_log("off").argument("--log-level=debug");
        let edgeward = launch.start().await;
        let resident = edgeward.resident_bytes() >> 20;
        let routes = convergence(&client, &edgeward).await;
        let endpoints = endpoint_convergence(&client, &edgeward, &backend).await;
        let [of_routes, of_endpoints] = ["part", "endpoints"].map(|what| rebuilds(&edgeward, what));
        eprintln!(
            "{} Ingresses, {} EndpointSlices ({build}): ready after {:?}, {resident} MiB resident, {} MiB in the end; a \
             route: {}; an endpoint: {}; rebuilt for a route: {}; for an endpoint: {}",
            count + 1,
            count * SLICES + 1,
            edgeward.ready_after(),
            edgeward.resident_bytes() >> 20,
            shown(&routes),
            shown(&endpoints),
            shown(&of_routes),
            shown(&of_endpoints),
        );
        assert!(routes[CHANGES / 2] < Duration::from_millis(300), "routes: {}", shown(&routes));
        assert!(endpoints[CHANGES / 2] < Duration::from_millis(100), "endpoints: {}", shown(&endpoints));
    }
}
