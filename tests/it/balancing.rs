//! How requests are spread over the endpoints of a Service.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::client::{Connection, Keeper, Request, connect, get, wait_for};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Ingress, Manifests, Pod, service, service_alone, service_at, slice};
use edgeward_tests::turn;

const HOST: &str = "balance.test";

/// A Service with some endpoints behind one Ingress.
struct Pool {
    manifests: Manifests,
    backends: Vec<Backend>,
    edgeward: Edgeward,
}

impl Pool {
    async fn start(endpoints: usize, annotations: &[(&str, &str)]) -> Self {
        let manifests = Manifests::new();
        let mut backends = Vec::new();
        for index in 0..endpoints {
            backends.push(Start::default().quiet().start(&format!("pod-{index}")).await);
        }
        let ingress = annotations
            .iter()
            .fold(Ingress::new("web"), |ingress, (name, value)| ingress.annotation(name, value))
            .host(HOST, "web");
        manifests.write("ingress.yaml", ingress.text());
        publish(&manifests, &backends);
        // One worker, so that what one request leaves behind counts for the next.
        let edgeward = Launch::new(manifests.path()).workers(1).access_log("off").start().await;
        Self { manifests, backends, edgeward }
    }

    /// Requests answered by each backend since the start.
    fn served(&self) -> Vec<u64> {
        self.backends.iter().map(Backend::served).collect()
    }

    /// Sends requests, `at_once` of them at a time.
    async fn send(&self, requests: usize, at_once: usize) {
        let clients = (0..at_once).map(|_| async {
            let mut client = Keeper::new(self.edgeward.http);
            for _ in 0..requests / at_once {
                assert_eq!(client.exchange(&Request::get(HOST, "/")).await.status(), 200);
            }
        });
        futures_util::future::join_all(clients).await;
    }
}

fn publish(manifests: &Manifests, backends: &[Backend]) {
    let addresses: Vec<_> = backends.iter().map(Backend::addr).collect();
    manifests.write("service.yaml", service("web", &addresses));
}

#[tokio::test]
async fn round_robin_gives_every_endpoint_the_same() {
    let _turn = turn::shared().await;
    for annotations in [&[][..], &[("load-balance", "round_robin")], &[("edgeward.dev/load-balance", "round-robin")]] {
        let pool = Pool::start(3, annotations).await;
        pool.send(300, 1).await;
        assert_eq!(pool.served(), [100, 100, 100], "{annotations:?}");
    }
}

#[tokio::test]
async fn ewma_and_least_request_avoid_a_slow_endpoint_and_round_robin_does_not() {
    let _turn = turn::alone().await;
    for (annotation, avoids) in [
        (("load-balance", "ewma"), true),
        (("edgeward.dev/load-balance", "ewma"), true),
        (("edgeward.dev/load-balance", "least-request"), true),
        (("load-balance", "round_robin"), false),
    ] {
        let pool = Pool::start(4, &[annotation]).await;
        pool.backends[0].delay(Duration::from_millis(60));
        pool.send(400, 8).await;
        let served = pool.served();
        let (slow, total) = (served[0], served.iter().sum::<u64>());
        eprintln!("{annotation:?}: {served:?}, the first one is slow");
        assert_eq!(total, 400);
        if avoids {
            // A quarter would be its share.
            assert!(slow < total / 8, "{annotation:?}: {served:?}");
            assert!(served[1..].iter().all(|count| *count > total / 8), "{annotation:?}: {served:?}");
        } else {
            assert_eq!(slow, total / 4, "{annotation:?}: {served:?}");
        }
    }
}

#[tokio::test]
async fn the_same_key_goes_to_the_same_endpoint_and_keys_are_spread() {
    let _turn = turn::shared().await;
    let mut pool = Pool::start(4, &[("upstream-hash-by", "$request_uri")]).await;
    let owner = async |pool: &Pool| {
        let mut owners = BTreeMap::new();
        let mut client = Keeper::new(pool.edgeward.http);
        for key in 0..200 {
            let answer = client.exchange(&Request::get(HOST, &format!("/key-{key}"))).await;
            owners.insert(key, answer.backend().unwrap().to_owned());
        }
        owners
    };
    let first = owner(&pool).await;
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    for backend in first.values() {
        *shares.entry(backend).or_default() += 1;
    }
    eprintln!("upstream-hash-by: 200 keys over 4 endpoints: {shares:?}");
    assert_eq!(shares.len(), 4, "{shares:?}");
    assert!(shares.values().all(|count| (15..=100).contains(count)), "{shares:?}");
    // Neither another connection nor another process changes it.
    assert_eq!(owner(&pool).await, first);
    pool.edgeward = Launch::new(pool.manifests.path()).start().await;
    assert_eq!(owner(&pool).await, first, "after a restart");

    // An endpoint that goes takes its own keys with it and no others.
    let gone = pool.backends.pop().unwrap();
    publish(&pool.manifests, &pool.backends);
    let (key, _) = first.iter().find(|(_, backend)| **backend == gone.name()).unwrap();
    let request = Request::get(HOST, &format!("/key-{key}"));
    wait_for(pool.edgeward.http, &request, |answer| answer.backend() != Some(gone.name())).await;
    let after = owner(&pool).await;
    let moved: Vec<_> = first.iter().filter(|(key, backend)| after[key] != **backend).collect();
    assert!(moved.iter().all(|(_, backend)| **backend == gone.name()), "keys of other endpoints moved: {moved:?}");
    assert_eq!(moved.len(), shares[gone.name()]);
}

#[tokio::test]
async fn a_hash_of_the_client_address_keeps_a_client_where_it_is() {
    let _turn = turn::shared().await;
    let pool = Pool::start(4, &[("upstream-hash-by", "$remote_addr")]).await;
    let mut owners = BTreeMap::new();
    for client in 1..=20 {
        for path in ["/a", "/b", "/c"] {
            let stream = connect(pool.edgeward.http, Some([127, 0, 0, client].into())).await.unwrap();
            let answer = Connection::over(stream).exchange(&Request::get(HOST, path)).await;
            let backend = answer.backend().unwrap().to_owned();
            assert_eq!(*owners.entry(client).or_insert(backend.clone()), backend, "127.0.0.{client}");
        }
    }
    let used: BTreeSet<_> = owners.values().collect();
    assert!(used.len() > 1, "20 clients share one endpoint");
}

#[tokio::test]
async fn slow_start_gives_a_new_endpoint_little_at_first_and_its_share_later() {
    let _turn = turn::alone().await;
    let mut pool = Pool::start(2, &[("edgeward.dev/slow-start", "3s")]).await;
    // The ones that were there at the start warm up alike, so that they share evenly.
    pool.send(100, 1).await;
    let before = pool.served();
    assert!(before.iter().all(|count| (25..=75).contains(count)), "{before:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    pool.backends.push(Start::default().quiet().start("new").await);
    publish(&pool.manifests, &pool.backends);
    wait_for(pool.edgeward.http, &Request::get(HOST, "/"), |answer| answer.backend() == Some("new")).await;
    let before = pool.served();
    pool.send(300, 1).await;
    let early = pool.served()[2] - before[2];
    assert!((1..=60).contains(&early), "{early} of the first 300 requests go to a new endpoint, a full share is 100");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = pool.served();
    pool.send(300, 1).await;
    let late = pool.served()[2] - before[2];
    eprintln!("slow start: {early} of 300 requests at first, {late} of 300 when it is over");
    assert_eq!(late, 100);
}

#[tokio::test]
async fn several_slices_and_terminating_endpoints_count_as_they_should() {
    let _turn = turn::shared().await;
    let site = Manifests::new();
    let mut backends = Vec::new();
    for name in ["ready", "unready", "leaving", "other-slice"] {
        backends.push(Start::default().quiet().start(name).await);
    }
    let at = |index: usize| backends[index].addr();
    let publish = |ready: Pod, other: Pod| {
        site.write_all(
            "web.yaml",
            [
                service_alone("web", 8080),
                slice("web-a", "web", &[(at(0), ready), (at(1), Pod::NotReady), (at(2), Pod::Terminating)]),
                slice("web-b", "web", &[(at(3), other)]),
                Ingress::new("web").host(HOST, "web").text(),
            ],
        );
    };
    publish(Pod::Ready, Pod::Ready);
    let edgeward = Launch::new(site.path()).start().await;
    let answering = async || {
        let mut names = BTreeSet::new();
        for _ in 0..20 {
            names.extend(get(edgeward.http, HOST, "/").await.backend().map(str::to_owned));
        }
        names.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(answering().await, ["other-slice", "ready"]);
    // When no endpoint is ready, one that is going away and still serves is better than none.
    publish(Pod::NotReady, Pod::NotReady);
    wait_for(edgeward.http, &Request::get(HOST, "/"), |answer| answer.backend() == Some("leaving")).await;
    assert_eq!(answering().await, ["leaving"]);
}

#[tokio::test]
async fn a_key_goes_to_a_group_of_endpoints() {
    let _turn = turn::shared().await;
    let hash = ("upstream-hash-by", "$request_uri");
    let subset = [hash, ("upstream-hash-by-subset", "true"), ("upstream-hash-by-subset-size", "2")];
    let pool = Pool::start(6, &subset).await;
    let mut client = Keeper::new(pool.edgeward.http);
    let mut groups = BTreeSet::new();
    for key in 0..40 {
        let mut used = BTreeSet::new();
        for _ in 0..40 {
            let answer = client.exchange(&Request::get(HOST, &format!("/key-{key}"))).await;
            used.insert(answer.backend().unwrap().to_owned());
        }
        // That both are not among 40 has a chance below 1e-11.
        assert_eq!(used.len(), 2, "{used:?}");
        groups.insert(used);
    }
    let all: BTreeSet<&String> = groups.iter().flatten().collect();
    assert!(groups.len() <= 3 && all.len() == groups.len() * 2, "{groups:?}");
    assert!(groups.len() > 1, "{groups:?}");
}

#[tokio::test]
async fn a_service_stands_for_its_endpoints() {
    let _turn = turn::shared().await;
    let pool = Pool::start(3, &[("service-upstream", "true")]).await;
    pool.send(3, 1).await;
    assert_eq!(pool.served(), [1, 1, 1], "without an address of its own it does not");
    // What listens at the address of a Service passes on to any of its pods. Here one of them does.
    let address = pool.backends[1].addr();
    pool.manifests.write("at.yaml", service_at("at", address.port(), address.ip()));
    let ingress = Ingress::new("at").annotation("service-upstream", "true").default_backend("at", address.port());
    pool.manifests.write("at-ingress.yaml", ingress.text());
    wait_for(pool.edgeward.http, &Request::get("at.test", "/"), |answer| answer.status() == 200).await;
    for _ in 0..4 {
        assert_eq!(get(pool.edgeward.http, "at.test", "/").await.backend(), Some("pod-1"));
    }
}
