//! The rights that ship: enough, and none too many.

use std::time::{Duration, Instant};

use edgeward_tests::backend::Start;
use edgeward_tests::cluster::{Cluster, NAMESPACE, NODE, pod_address};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Ingress, Pod, config_map, service_in, slice_in};
use edgeward_tests::turn;
use serde_json::{Value, json};

use super::writes::{pod, replica};
use super::{CLASS, cluster, service};

const POD: &str = "edgeward-1";

/// How long a right may go unused.
const USED_WITHIN: Duration = Duration::from_secs(10);

/// One rule of a role.
struct Rule {
    /// `clusterrole` or `role`.
    kind: &'static str,
    number: usize,
    rule: Value,
}

fn rules(cluster: &Cluster, kind: &'static str) -> Vec<Rule> {
    let role = cluster.kubectl(&["-n", NAMESPACE, "get", kind, "edgeward", "-o", "json"]);
    let role: Value = serde_json::from_str(&role).unwrap();
    let rules = role["rules"].as_array().unwrap().clone();
    rules.into_iter().enumerate().map(|(number, rule)| Rule { kind, number, rule }).collect()
}

fn patch(cluster: &Cluster, rule: &Rule, operation: &str) {
    let mut patch = json!({"op": operation, "path": format!("/rules/{}", rule.number)});
    if operation == "add" {
        patch["value"] = rule.rule.clone();
    }
    let patch = json!([patch]).to_string();
    cluster.kubectl(&["-n", NAMESPACE, "patch", rule.kind, "edgeward", "--type=json", "-p", &patch]);
}

/// Everything that is done in a cluster: options, routes, status, Events, the election, the own node.
fn serve(cluster: &Cluster) -> Edgeward {
    // Each instance is the first one.
    let lease = ["-n", NAMESPACE, "delete", "lease", "edgeward-leader", "--ignore-not-found"];
    cluster.kubectl(&lease);
    cluster.kubectl(&["delete", "events.events.k8s.io", "--all"]);
    let nobody = json!({"status": {"loadBalancer": null}}).to_string();
    cluster.kubectl(&["patch", "ingress", "web", "--subresource=status", "--type=merge", "-p", &nobody]);
    Launch::cluster(&cluster.service_account())
        .environment("POD_NAME", POD)
        .environment("POD_NAMESPACE", NAMESPACE)
        .environment("NODE_NAME", NODE)
        .argument("--drain-on-cordon")
        .argument("--election-ttl=3s")
        .argument(format!("--configmap={NAMESPACE}/edgeward-controller"))
        .argument("--log-level=debug")
        .spawn()
}

/// What the API server has refused; every refusal is in the log.
fn refused(edgeward: &Edgeward) -> Vec<String> {
    edgeward.log().lines().filter(|line| line.contains("is forbidden")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_rights_that_ship_are_enough_and_none_is_too_many() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&config_map(NAMESPACE, "edgeward-controller", &json!({})));
    // With a mistake, so that there is an Event to write.
    cluster.apply(&Ingress::new("web").class(CLASS).host("rights.test", "web").host("missing.test", "none").text());
    let node = json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}).to_string();
    cluster.kubectl(&["patch", "node", NODE, "--subresource=status", "--type=merge", "-p", &node]);
    replica(&cluster, POD, NODE, "True");

    let edgeward = serve(&cluster);
    let started = Instant::now();
    let is_done = || {
        let ingress = cluster.get("ingress", "web");
        let events = cluster.kubectl(&["get", "events.events.k8s.io", "-o", "name"]);
        ingress["status"]["loadBalancer"]["ingress"][0]["ip"] == "10.0.0.1" && !events.is_empty()
    };
    while !edgeward.is_ready().await || !is_done() {
        assert!(started.elapsed() < 2 * USED_WITHIN, "{}", edgeward.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The Lease is renewed once, too.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(refused(&edgeward), Vec::<String>::new());
    drop(edgeward);

    let all: Vec<Rule> = ["clusterrole", "role"].into_iter().flat_map(|kind| rules(&cluster, kind)).collect();
    assert!(all.len() >= 11, "only {} rules", all.len());
    for rule in all {
        patch(&cluster, &rule, "remove");
        let edgeward = serve(&cluster);
        let started = Instant::now();
        while refused(&edgeward).is_empty() {
            assert!(started.elapsed() < USED_WITHIN, "nothing misses {}: it can go", rule.rule);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let resource = rule.rule["resources"][0].as_str().unwrap().split('/').next().unwrap();
        for line in refused(&edgeward) {
            assert!(line.contains(resource), "without {}: {line}", rule.rule);
        }
        drop(edgeward);
        patch(&cluster, &rule, "add");
    }
}

/// Each is applied as a user would, and an instance runs with the flags of its pod.
#[tokio::test]
async fn every_manifest_that_ships_is_taken_and_gives_the_rights_that_its_flags_need() {
    // Where a test listens is its own matter, and there is nobody to wait for.
    const OWN: [&str; 6] =
        ["serve", "--source=", "--http-port=", "--https-port=", "--healthz-port=", "--shutdown-grace-period="];
    let _turn = turn::alone().await;
    for manifest in ["baremetal", "cloud", "kind"] {
        let cluster = Cluster::start_with(manifest);
        let _backend = service(&cluster, "web").await;
        cluster.apply(&Ingress::new("web").class(CLASS).host("rights.test", "web").host("missing.test", "none").text());
        let workloads = cluster.kubectl(&["-n", NAMESPACE, "get", "deployments,daemonsets", "-o", "json"]);
        let workloads: Value = serde_json::from_str(&workloads).unwrap();
        let template = &workloads["items"][0]["spec"]["template"];
        // The namespace takes the pod as it is.
        let parts = (template["metadata"]["labels"].clone(), template["spec"].clone());
        pod(&cluster, POD, NODE, "True", parts);
        let flags = template["spec"]["containers"][0]["args"].as_array().unwrap();
        let flags = flags.iter().map(|flag| flag.as_str().unwrap());
        let launch = Launch::cluster(&cluster.service_account())
            .environment("POD_NAME", POD)
            .environment("POD_NAMESPACE", NAMESPACE)
            .environment("NODE_NAME", NODE)
            .argument("--log-level=debug");
        let launch = flags.filter(|flag| !OWN.iter().any(|own| flag.starts_with(own))).fold(launch, Launch::argument);
        let edgeward = launch.start().await;
        super::until(edgeward.http, "rights.test", "/", |answer| answer.status() == 200).await;
        super::eventually("it leads", || edgeward.log().contains("leading")).await;
        super::eventually("an Event is written", || {
            !cluster.kubectl(&["get", "events.events.k8s.io", "-o", "name"]).is_empty()
        })
        .await;
        assert_eq!(refused(&edgeward), Vec::<String>::new(), "{manifest}");
    }
}

/// The Roles that the chart makes for `rbac.scope`, and no right on the cluster.
#[tokio::test]
async fn roles_in_the_watched_namespaces_are_enough() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    cluster.kubectl(&["delete", "clusterrole,clusterrolebinding", "edgeward"]);
    for namespace in ["shop", "blog", "certificates", "errors"] {
        cluster.kubectl(&["create", "namespace", namespace]);
    }
    cluster.apply(&cluster.helm_template("scoped", "templates/rbac.yaml"));
    let backend = Start::default().quiet().addr(pod_address()).start("web").await;
    for namespace in ["shop", "blog", "default"] {
        cluster.apply(&service_in(namespace, "web", backend.addr().port()));
        cluster.apply(&slice_in(namespace, "web", "web", &[(backend.addr(), Pod::Ready)]));
        let ingress = Ingress::new("web").namespace(namespace).class(CLASS);
        cluster.apply(&ingress.host(&format!("{namespace}.test"), "web").text());
    }
    let edgeward = Launch::cluster(&cluster.service_account())
        .argument("--watch-namespace=shop,blog")
        .argument(format!("--ingress-class={CLASS}"))
        .argument("--update-status=false")
        .argument("--log-level=debug")
        .start()
        .await;
    for host in ["shop.test", "blog.test"] {
        super::until(edgeward.http, host, "/", |answer| answer.backend() == Some("web")).await;
    }
    super::until(edgeward.http, "default.test", "/", |answer| answer.status() == 404).await;
    cluster.kubectl(&["-n", "blog", "delete", "ingress", "web"]);
    super::until(edgeward.http, "blog.test", "/", |answer| answer.status() == 404).await;
    for line in refused(&edgeward) {
        assert!(line.contains("ingressclasses"), "what no Role can give, and nothing else: {line}");
    }
}
