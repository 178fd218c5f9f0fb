//! What is known is never lost: the API server may go for any time, lie, or refuse.

use std::sync::Arc;
use std::time::Duration;

use edgeward_tests::client::Request;
use edgeward_tests::cut::Cut;
use edgeward_tests::edgeward::Launch;
use edgeward_tests::load::{Load, Plan, Shot, Workload};
use edgeward_tests::manifest::Ingress;
use edgeward_tests::message::Message;
use edgeward_tests::turn;

use super::{CLASS, becomes_stale, cluster, service, until};

pub(super) const HOST: &str = "outage.test";

/// How long the API server is away; longer in a soak.
const AWAY: &str = "EDGEWARD_OUTAGE_SECONDS";

#[derive(Debug)]
pub(super) struct Simple;

impl Workload for Simple {
    fn shot(&self, _number: usize) -> Shot {
        Shot { method: "GET", bytes: Request::get(HOST, "/").bytes(), context: 0 }
    }

    fn judge(&self, _shot: &Shot, answer: &Message) -> Result<(), String> {
        if answer.status() == 200 { Ok(()) } else { Err(format!("status {}", answer.status())) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_api_server_traffic_goes_on_and_it_is_told() {
    let _turn = turn::alone().await;
    let mut cluster = cluster();
    let _backends = [service(&cluster, "web").await, service(&cluster, "next").await];
    cluster.apply(&Ingress::new("web").class(CLASS).host(HOST, "web").text());
    let edgeward = Launch::cluster(&cluster.service_account()).access_log("off").start().await;
    until(edgeward.http, HOST, "/", |answer| answer.status() == 200).await;
    let load =
        Load::start(Plan { addr: edgeward.http, rate: 500, connections: 20, requests: 10_000_000 }, Arc::new(Simple));
    let away = std::env::var(AWAY).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(25);
    cluster.kill_api_server();
    tokio::time::sleep(Duration::from_secs(away)).await;
    assert!(edgeward.is_ready().await, "an instance that serves is ready");
    let detail = edgeward.health("/readyz").await.unwrap().json();
    assert_eq!(detail["stale"], true, "{detail}");
    let metrics = edgeward.health("/metrics").await.unwrap().text();
    assert!(metrics.contains("edgeward_config_stale 1"), "{metrics}");
    assert!(edgeward.log().contains("the API server does not answer"), "{}", edgeward.log());

    // What changed meanwhile, or as soon as it is back, is taken up.
    cluster.start_api_server();
    cluster.apply(&Ingress::new("late").class(CLASS).host("late.test", "next").text());
    until(edgeward.http, "late.test", "/", |answer| answer.backend() == Some("next")).await;
    becomes_stale(&edgeward, false).await;
    load.stop();
    let report = load.report().await;
    eprintln!("outage of {away} s: {report}");
    report.assert_clean();
}

#[tokio::test]
async fn a_connection_that_dies_in_silence_is_noticed() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    let cut = Cut::start(cluster.server).await;
    let edgeward = Launch::cluster(&cluster.service_account_at(cut.addr)).start().await;
    cut.silence();
    cluster.apply(&Ingress::new("web").class(CLASS).host(HOST, "web").text());
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Old connections stay dead; new ones get through.
    cut.mend();
    let started = std::time::Instant::now();
    loop {
        let answer = edgeward_tests::client::send(edgeward.http, &Request::get(HOST, "/")).await;
        if answer.status() == 200 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "the dead connection is not noticed within two minutes");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eprintln!("silent connection: noticed after {:?}", started.elapsed());
}

#[tokio::test]
async fn what_may_not_be_listed_is_named_and_costs_only_itself() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&Ingress::new("web").class(CLASS).host(HOST, "web").text());
    // Without any right but these three kinds.
    cluster.kubectl(&["patch", "clusterrole", "edgeward", "--type=json", "-p",
        r#"[{"op":"replace","path":"/rules","value":[{"apiGroups":["networking.k8s.io"],"resources":["ingresses"],"verbs":["list","watch"]},{"apiGroups":[""],"resources":["services"],"verbs":["list","watch"]},{"apiGroups":["discovery.k8s.io"],"resources":["endpointslices"],"verbs":["list","watch"]}]}]"#]);
    let edgeward = Launch::cluster(&cluster.service_account()).start().await;
    let diagnostics = edgeward.admin("/diagnostics").await.text();
    for kind in ["secrets", "ingressclasses"] {
        assert!(
            diagnostics.contains(&format!("refuses to list or watch {kind}")),
            "{kind} is not named: {diagnostics}"
        );
    }
    let answer = edgeward_tests::client::send(edgeward.http, &Request::get(HOST, "/")).await;
    assert_eq!(answer.status(), 404, "nobody knows whose class that is");
    // With the right comes the object, without a restart.
    cluster.apply(&std::fs::read_to_string(edgeward_tests::cluster::shipped("baremetal")).unwrap());
    until(edgeward.http, HOST, "/", |answer| answer.status() == 200).await;
}
