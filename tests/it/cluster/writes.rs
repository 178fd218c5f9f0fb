//! What Edgeward writes: the status of Ingresses, Events, and the Lease of the leader.

use std::time::Duration;

use edgeward_tests::cluster::{Cluster, NAMESPACE, NODE};
use edgeward_tests::edgeward::{Launch, Signal};
use edgeward_tests::manifest::Ingress;
use edgeward_tests::turn;
use serde_json::{Value, json};

use super::{CLASS, cluster, eventually, serve, service, until};

/// The addresses in the status of an Ingress.
pub(super) fn addresses(cluster: &Cluster, ingress: &str) -> Vec<String> {
    let entries = cluster.get("ingress", ingress)["status"]["loadBalancer"]["ingress"].clone();
    let text =
        |entry: &serde_json::Value| entry["ip"].as_str().or(entry["hostname"].as_str()).unwrap_or_default().to_owned();
    entries.as_array().into_iter().flatten().map(text).collect()
}

/// A pod of Edgeward on a node.
pub(super) fn replica(cluster: &Cluster, name: &str, node: &str, ready: &str) {
    let labels = json!({"app": "edgeward", "pod-template-hash": name});
    let spec = json!({"containers": [{"name": "edgeward", "image": "edgeward"}]});
    pod(cluster, name, node, ready, (labels, spec));
}

/// A pod with these labels and this specification, as its controller, the scheduler and the kubelet would make it.
pub(super) fn pod(cluster: &Cluster, name: &str, node: &str, ready: &str, (labels, mut spec): (Value, Value)) {
    spec["nodeName"] = node.into();
    let metadata = json!({"name": name, "namespace": NAMESPACE, "labels": labels});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    cluster.kubectl_with(&["apply", "-f", "-"], &pod.to_string());
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
    patch_status(cluster, &["-n", NAMESPACE, "patch", "pod", name], &status);
}

/// `kubectl patch` of a status.
pub(super) fn patch_status(cluster: &Cluster, what: &[&str], status: &Value) {
    let patch = status.to_string();
    cluster.kubectl(&[what, &["--subresource=status", "--type=merge", "-p", &patch]].concat());
}

#[tokio::test]
async fn the_given_addresses_are_written_by_the_leader_and_taken_away_by_the_last_one() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&Ingress::new("web").class(CLASS).host("web.test", "web").text());
    for pod in ["edgeward-a", "edgeward-b"] {
        replica(&cluster, pod, NODE, "False");
    }
    let launch = |pod: &str| {
        Launch::cluster(&cluster.service_account())
            .environment("POD_NAME", pod)
            .environment("POD_NAMESPACE", NAMESPACE)
            .argument("--publish-status-address=192.0.2.7,edge.example.com")
            .argument("--election-ttl=3s")
            .argument("--drain-timeout=2s")
    };
    let mut first = launch("edgeward-a").start().await;
    eventually("the addresses are written", || addresses(&cluster, "web") == ["192.0.2.7", "edge.example.com"]).await;
    let shown = cluster.kubectl(&["get", "ingress", "web"]);
    assert!(shown.contains("192.0.2.7,edge.example.com"), "{shown}");
    let holder = || {
        cluster.kubectl(&["-n", NAMESPACE, "get", "lease", "edgeward-leader", "-o", "jsonpath={.spec.holderIdentity}"])
    };
    assert_eq!(holder(), "edgeward-a");
    // Once written it is not written again.
    let version = || cluster.get("ingress", "web")["metadata"]["resourceVersion"].clone();
    let before = version();

    let mut second = launch("edgeward-b").start().await;
    cluster.apply(&Ingress::new("more").class(CLASS).host("more.test", "web").text());
    eventually("a later Ingress gets them too", || !addresses(&cluster, "more").is_empty()).await;
    assert_eq!(version(), before, "the status is written although nothing changed");

    // The leader gives up its Lease; the other one takes it, and nothing changes for traffic.
    first.signal(Signal::Terminate);
    first.wait_exit(Duration::from_secs(10)).await;
    cluster.kubectl(&["-n", NAMESPACE, "delete", "pod", "edgeward-a", "--force"]);
    until(second.http, "web.test", "/", |answer| answer.status() == 200).await;
    assert_eq!(addresses(&cluster, "web").len(), 2, "another one serves, if not ready: the addresses stay");
    eventually("the other one leads", || holder() == "edgeward-b").await;
    patch_status(&cluster, &["patch", "ingress", "more"], &json!({"status": {"loadBalancer": null}}));
    eventually("the new leader writes", || !addresses(&cluster, "more").is_empty()).await;

    second.signal(Signal::Terminate);
    second.wait_exit(Duration::from_secs(10)).await;
    assert_eq!(addresses(&cluster, "web"), Vec::<String>::new(), "the last one takes its addresses away");
    assert_eq!(holder(), "");
}

#[tokio::test]
async fn without_given_addresses_they_are_those_of_the_nodes_on_which_edgeward_is_ready() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&Ingress::new("web").class(CLASS).host("web.test", "web").text());
    let node = |name: &str, external: &str, internal: &str| {
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}).to_string());
        let status = json!({"status": {"addresses": [
            {"type": "InternalIP", "address": internal},
            {"type": "ExternalIP", "address": external},
        ]}});
        patch_status(&cluster, &["patch", "node", name], &status);
    };
    node(NODE, "198.51.100.1", "10.0.0.1");
    node("node-2", "198.51.100.2", "10.0.0.2");
    replica(&cluster, "edgeward-1", NODE, "True");
    replica(&cluster, "edgeward-2", "node-2", "False");
    let _edgeward = Launch::cluster(&cluster.service_account())
        .environment("POD_NAME", "edgeward-1")
        .environment("POD_NAMESPACE", NAMESPACE)
        .start()
        .await;
    let published = |expected: &[&str]| addresses(&cluster, "web") == expected;
    eventually("the address of the ready one", || published(&["198.51.100.1"])).await;
    replica(&cluster, "edgeward-2", "node-2", "True");
    eventually("both", || published(&["198.51.100.1", "198.51.100.2"])).await;
    cluster.kubectl(&["cordon", NODE]);
    eventually("not the cordoned one", || published(&["198.51.100.2"])).await;
    cluster.kubectl(&["uncordon", NODE]);
    eventually("both again", || published(&["198.51.100.1", "198.51.100.2"])).await;
    cluster.kubectl(&["-n", NAMESPACE, "delete", "pod", "edgeward-2", "--wait=false", "--grace-period=60"]);
    eventually("not the terminating one", || published(&["198.51.100.1"])).await;
}

#[tokio::test]
async fn the_address_of_the_published_service_is_written_and_followed() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&Ingress::new("web").class(CLASS).host("web.test", "web").text());
    let balancer = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "edgeward", "namespace": NAMESPACE},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    });
    cluster.apply(&balancer.to_string());
    let assign = |ip: &str| {
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}});
        patch_status(&cluster, &["-n", NAMESPACE, "patch", "service", "edgeward"], &status);
    };
    assign("203.0.113.5");
    let _edgeward = Launch::cluster(&cluster.service_account())
        .argument("--publish-service=edgeward/edgeward")
        .argument("--disable-leader-election")
        .start()
        .await;
    eventually("its address", || addresses(&cluster, "web") == ["203.0.113.5"]).await;
    assign("203.0.113.6");
    eventually("its new address", || addresses(&cluster, "web") == ["203.0.113.6"]).await;
}

#[tokio::test]
async fn mistakes_are_told_as_events_once() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&Ingress::new("a-first").class(CLASS).host("fight.test", "web").text());
    // Of the same second the last name wins, so that this one has to be younger.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    cluster.apply(
        &Ingress::new("b-second").class(CLASS).host("fight.test", "web").tls(&["fight.test"], Some("absent")).text(),
    );
    let edgeward = serve(&cluster).await;
    let events = || {
        let events = cluster.kubectl(&["get", "events", "--field-selector=involvedObject.name=b-second", "-o", "json"]);
        let events: serde_json::Value = serde_json::from_str(&events).unwrap();
        let mut reasons: Vec<String> = events["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["reason"].as_str().unwrap().to_owned())
            .collect();
        reasons.sort();
        reasons
    };
    eventually("the loser hears of it", || events() == ["RouteConflict", "SecretNotFound"]).await;
    let described = cluster.kubectl(&["describe", "ingress", "b-second"]);
    assert!(described.contains("RouteConflict") && described.contains("a-first"), "{described}");
    // The next leader does not repeat it.
    drop(edgeward);
    cluster.kubectl(&["-n", NAMESPACE, "delete", "lease", "edgeward-leader", "--ignore-not-found"]);
    let next = serve(&cluster).await;
    eventually("another one leads", || {
        let lease = cluster.try_kubectl(&["-n", NAMESPACE, "get", "lease", "edgeward-leader"], "");
        lease.status.success()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(events(), ["RouteConflict", "SecretNotFound"]);
    drop(next);
}

#[tokio::test]
async fn a_cordoned_node_is_not_ready_and_still_serves() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&Ingress::new("web").class(CLASS).host("web.test", "web").text());
    let edgeward = Launch::cluster(&cluster.service_account())
        .environment("NODE_NAME", NODE)
        .argument("--drain-on-cordon")
        .start()
        .await;
    cluster.kubectl(&["cordon", NODE]);
    let started = std::time::Instant::now();
    while edgeward.is_ready().await {
        assert!(started.elapsed() < Duration::from_secs(5), "still ready on a cordoned node");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let detail = edgeward.health("/readyz").await.unwrap().json();
    assert_eq!(detail["reason"], "the node is cordoned");
    until(edgeward.http, "web.test", "/", |answer| answer.status() == 200).await;
    cluster.kubectl(&["uncordon", NODE]);
    let started = std::time::Instant::now();
    while !edgeward.is_ready().await {
        assert!(started.elapsed() < Duration::from_secs(5), "not ready after uncordon");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
