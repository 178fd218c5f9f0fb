//! A restart while the API server is away.

use std::path::Path;
use std::time::Duration;

use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Connection, Request};
use edgeward_tests::cluster::Cluster;
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Ingress, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use super::{CLASS, becomes_stale, cluster, service, until};

const HOST: &str = "restart.test";

/// From the start of the process to ready.
const SERVING_WITHIN: Duration = Duration::from_secs(2);

fn launch(cluster: &Cluster, directory: &Path) -> Launch {
    Launch::cluster(&cluster.service_account())
        .argument(format!("--state-dir={}", directory.join("state").display()))
        .argument(format!("--state-key-file={}", directory.join("key").display()))
}

#[tokio::test]
async fn without_an_api_server_it_serves_what_was_last_known() {
    let _turn = turn::alone().await;
    let mut cluster = cluster();
    let _backends = [service(&cluster, "web").await, service(&cluster, "next").await];
    let authority = Authority::new();
    cluster.apply(&tls_secret("certificate", &authority.pair(HOST)));
    cluster.apply(&Ingress::new("web").class(CLASS).host(HOST, "web").tls(&[HOST], Some("certificate")).text());
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key"), [7; 32]).unwrap();
    let hello = Hello::name(HOST).verify(authority.certificate());
    let answers = async |edgeward: &Edgeward| {
        let mut connection = Connection::open_tls(edgeward.https, &hello).await;
        assert_eq!(connection.exchange(&Request::get(HOST, "/")).await.backend(), Some("web"));
    };

    let first = launch(&cluster, directory.path()).start().await;
    answers(&first).await;
    cluster.apply(&Ingress::new("late").class(CLASS).host("late.test", "next").text());
    until(first.http, "late.test", "/", |answer| answer.backend() == Some("next")).await;
    // What is known is written a second later. Then everything ends as by a crash.
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.kill_api_server();
    drop(first);

    let second = launch(&cluster, directory.path()).start().await;
    eprintln!("restart without an API server: ready after {:?}", second.ready_after());
    assert!(second.ready_after() < SERVING_WITHIN, "ready only after {:?}", second.ready_after());
    answers(&second).await;
    until(second.http, "late.test", "/", |answer| answer.backend() == Some("next")).await;
    becomes_stale(&second, true).await;
    let metrics = second.health("/metrics").await.unwrap().text();
    assert!(metrics.contains("edgeward_config_stale 1"), "{metrics}");
    assert!(second.log().contains("serving what was last known"), "{}", second.log());

    // When it is back, what it says counts.
    cluster.start_api_server();
    cluster.apply(&Ingress::new("later").class(CLASS).host("later.test", "next").text());
    cluster.kubectl(&["delete", "ingress", "late"]);
    until(second.http, "later.test", "/", |answer| answer.backend() == Some("next")).await;
    until(second.http, "late.test", "/", |answer| answer.status() == 404).await;
    becomes_stale(&second, false).await;
    answers(&second).await;
}

/// No key, so that no Secret is kept; and no ConfigMap, though one is watched.
#[tokio::test]
async fn a_kind_of_which_there_was_nothing_holds_nothing_up() {
    let _turn = turn::alone().await;
    let mut cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&Ingress::new("web").class(CLASS).host(HOST, "web").text());
    let directory = tempfile::tempdir().unwrap();
    let launch = || {
        Launch::cluster(&cluster.service_account())
            .argument(format!("--state-dir={}", directory.path().display()))
            // It may be read, and is not there.
            .argument("--configmap=edgeward/edgeward-controller")
    };
    let first = launch().start().await;
    until(first.http, HOST, "/", |answer| answer.status() == 200).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = launch();
    cluster.kill_api_server();
    drop(first);
    let second = second.start().await;
    assert!(second.ready_after() < SERVING_WITHIN, "ready only after {:?}", second.ready_after());
    until(second.http, HOST, "/", |answer| answer.status() == 200).await;
}

#[tokio::test]
async fn with_an_api_server_what_was_last_known_is_not_served() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&Ingress::new("web").class(CLASS).host(HOST, "web").text());
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key"), [7; 32]).unwrap();
    let first = launch(&cluster, directory.path()).start().await;
    until(first.http, HOST, "/", |answer| answer.status() == 200).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(first);
    cluster.kubectl(&["delete", "ingress", "web"]);
    cluster.apply(&Ingress::new("other").class(CLASS).host("other.test", "web").text());
    let second = launch(&cluster, directory.path()).start().await;
    let answer = edgeward_tests::client::send(second.http, &Request::get(HOST, "/")).await;
    assert_eq!(answer.status(), 404, "from the first answer on");
    assert!(!second.log().contains("last known"), "{}", second.log());
}
