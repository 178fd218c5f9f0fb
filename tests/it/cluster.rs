//! A real API server, and Edgeward with the rights that ship. `make cluster` runs these in a network namespace of their
//! own, in which the addresses of pods are local.

mod churn;
mod migration;
mod outage;
mod restart;
mod rights;
mod rollout;
mod scale;
mod walkthrough;
mod writes;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::client::{Request, send};
use edgeward_tests::cluster::{Cluster, pod_address};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Pod, ingress_class, service_alone, slice};
use edgeward_tests::message::Message;

/// The class that all of these Ingresses have.
const CLASS: &str = "edgeward";

/// A cluster with the class of Edgeward.
fn cluster() -> Cluster {
    let cluster = Cluster::start();
    cluster.apply(&ingress_class(CLASS, "edgeward.dev/ingress-controller"));
    cluster
}

/// Edgeward in a cluster.
async fn serve(cluster: &Cluster) -> Edgeward {
    Launch::cluster(&cluster.service_account()).start().await
}

/// A backend, and a Service with a slice in front of it.
async fn service(cluster: &Cluster, name: &str) -> Backend {
    let backend = Start::default().quiet().addr(pod_address()).start(name).await;
    cluster.apply(&service_alone(name, backend.addr().port()));
    cluster.apply(&slice(name, name, &[(backend.addr(), Pod::Ready)]));
    backend
}

/// Asks until the answer is as wanted, and says how long that took.
async fn until(addr: SocketAddr, host: &str, path: &str, wanted: impl Fn(&Message) -> bool) -> Duration {
    let started = Instant::now();
    loop {
        let answer = send(addr, &Request::get(host, path)).await;
        if wanted(&answer) {
            return started.elapsed();
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{host}{path} still answers {} by {:?}",
            answer.status(),
            answer.backend()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until something is so.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < 2 * PATIENCE, "{what}: not after {:?}", started.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until it says that what it serves may be out of date, or no longer.
async fn becomes_stale(edgeward: &Edgeward, expected: bool) {
    let started = Instant::now();
    while edgeward.health("/readyz").await.unwrap().json()["stale"] != expected {
        assert!(started.elapsed() < Duration::from_secs(20), "stale is not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
