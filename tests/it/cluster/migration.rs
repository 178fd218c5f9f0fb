//! From ingress-nginx to Edgeward and back, in the steps of `docs/kubernetes.md`.

use std::time::Duration;

use edgeward_tests::cluster::{Cluster, NAMESPACE};
use edgeward_tests::edgeward::{Launch, Signal, run};
use edgeward_tests::manifest::{Ingress, ingress_class};
use edgeward_tests::turn;
use serde_json::json;

use super::writes::{addresses, patch_status};
use super::{CLASS, cluster, eventually, service, until};

/// What of ingress-nginx stays behind where nobody takes care: it refuses every change of an Ingress.
fn webhook() -> String {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "ingress-nginx-admission"},
        "webhooks": [{
            "name": "validate.nginx.ingress.kubernetes.io",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "rules": [{
                "apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["ingresses"],
            }],
            "clientConfig": {"service": {"namespace": "ingress-nginx", "name": "gone"}},
        }],
    })
    .to_string()
}

/// Edgeward with the flags that the chart gives it for this class.
fn launch(cluster: &Cluster, class: &str, controller: &str) -> Launch {
    Launch::cluster(&cluster.service_account())
        .argument(format!("--ingress-class={class}"))
        .argument(format!("--controller-class={controller}"))
        .argument("--publish-status-address=192.0.2.7")
        .argument("--disable-leader-election")
        .argument("--drain-timeout=2s")
}

#[tokio::test]
async fn a_cluster_is_taken_over_step_by_step_and_given_back() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let _backend = service(&cluster, "web").await;
    cluster.apply(&ingress_class("nginx", "k8s.io/ingress-nginx"));
    let snippet = ("configuration-snippet", "more_set_headers \"X-A: b\";");
    cluster.apply(&Ingress::new("web").class("nginx").annotation("app-root", "/start").host("web.test", "web").text());
    cluster.apply(&Ingress::new("old").class("nginx").annotation(snippet.0, snippet.1).host("old.test", "web").text());
    let of_nginx = json!({"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}});
    patch_status(&cluster, &["patch", "ingress", "web"], &of_nginx);
    cluster.apply(&webhook());

    // 0. `audit` names what needs a hand, the webhook too, and fails for it.
    let kubeconfig = cluster.kubeconfig();
    let arguments = ["audit", "--kubeconfig", kubeconfig.to_str().unwrap(), "--ingress-class=nginx"];
    let audited = run(arguments);
    let said = String::from_utf8_lossy(&audited.stdout);
    assert!(!audited.status.success(), "{said}");
    for expected in ["ingress-nginx-admission", "configuration-snippet", "app-root"] {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }

    // 1. Beside it, with its own class. 2. Without the webhook, which would refuse this.
    let refused = cluster.try_kubectl(&["annotate", "ingress", "old", "a=b"], "");
    assert!(!refused.status.success(), "the webhook refuses nothing");
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", "ingress-nginx-admission"]);
    cluster.apply(&Ingress::new("trial").class(CLASS).host("trial.test", "web").text());
    let mut beside = launch(&cluster, CLASS, "edgeward.dev/ingress-controller").start().await;
    until(beside.http, "trial.test", "/", |answer| answer.status() == 200).await;
    until(beside.http, "web.test", "/", |answer| answer.status() == 404).await;
    beside.signal(Signal::Terminate);
    beside.wait_exit(Duration::from_secs(10)).await;

    let taking_over = || launch(&cluster, "nginx", "k8s.io/ingress-nginx");
    // 3. It serves the class, and writes nothing.
    let version = |name: &str| cluster.get("ingress", name)["metadata"]["resourceVersion"].clone();
    let before = [version("web"), version("old")];
    cluster.kubectl(&["delete", "events.events.k8s.io", "--all"]);
    let mut observing = taking_over().argument("--observe").start().await;
    until(observing.http, "web.test", "/x", |answer| answer.status() == 200).await;
    until(observing.http, "web.test", "/", |answer| answer.header("location") == Some("http://web.test/start")).await;
    until(observing.http, "old.test", "/", |answer| answer.status() == 503).await;
    assert!(observing.diagnostics().await.text().contains("configuration-snippet"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    observing.signal(Signal::Terminate);
    observing.wait_exit(Duration::from_secs(10)).await;
    assert_eq!([version("web"), version("old")], before, "an observer wrote to an Ingress");
    assert_eq!(cluster.kubectl(&["get", "events.events.k8s.io", "-o", "name"]), "");
    let leases = cluster.kubectl(&["-n", NAMESPACE, "get", "lease", "-o", "name"]);
    assert!(!leases.contains("edgeward-leader"), "{leases}");

    // 4. The status is its own.
    let mut serving = taking_over().argument("--update-status-on-shutdown=false").start().await;
    eventually("the status is taken over", || addresses(&cluster, "web") == ["192.0.2.7"]).await;

    // Back: it leaves, and leaves the status to who comes, and all objects as they were.
    serving.signal(Signal::Terminate);
    serving.wait_exit(Duration::from_secs(10)).await;
    assert_eq!(addresses(&cluster, "web"), ["192.0.2.7"]);
    let web = cluster.get("ingress", "web");
    assert_eq!(web["spec"]["ingressClassName"], "nginx");
    assert_eq!(web["metadata"]["annotations"]["nginx.ingress.kubernetes.io/app-root"], "/start");
    assert_eq!(cluster.get("ingressclass", "nginx")["spec"]["controller"], "k8s.io/ingress-nginx");
}
