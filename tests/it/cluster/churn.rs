//! A cluster in which something changes all the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_tests::certificate::Authority;
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::load::{Load, Plan};
use edgeward_tests::manifest::{Ingress, Pod, slice, tls_secret};
use edgeward_tests::turn;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1 as k8s;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

use super::outage::Simple;
use super::{CLASS, cluster, service, until};

/// How long it goes on; longer in a soak.
const SECONDS: &str = "EDGEWARD_CHURN_SECONDS";

/// Ten changes a second.
const PACE: Duration = Duration::from_millis(100);

/// The part of the time after which memory has to be flat: pools and caches are full by then.
const WARM_UP: u32 = 4;

/// What a process may still grow by: single pages of its allocator, not what is left behind by each change.
const GROWTH: u64 = 6 << 20;

fn open_files(edgeward: &Edgeward) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", edgeward.pid())).unwrap().count()
}

/// `kubectl apply`, without starting a program ten times a second.
async fn change<K>(client: &Client, name: &str, manifest: &str)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let manifest: serde_json::Value = serde_saphyr::from_str(manifest).unwrap();
    let api = Api::<K>::namespaced(client.clone(), "default");
    api.patch(name, &PatchParams::apply("churn").force(), &Patch::Apply(&manifest)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_open_files_stay_as_they_are() {
    let _turn = turn::alone().await;
    let cluster = cluster();
    let backends = [service(&cluster, "web").await, service(&cluster, "next").await];
    let host = super::outage::HOST;
    cluster.apply(&Ingress::new("web").class(CLASS).host(host, "web").text());
    let authority = Authority::new();
    let edgeward = Launch::cluster(&cluster.service_account()).access_log("off").start().await;
    until(edgeward.http, host, "/", |answer| answer.status() == 200).await;
    let seconds = std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(20);
    let plan = Plan { addr: edgeward.http, rate: 200, connections: 10, requests: 10_000_000 };
    let load = Load::start(plan, Arc::new(Simple));
    let client = cluster.client().await;
    let total = Duration::from_secs(seconds);
    let (started, mut changes) = (Instant::now(), 0);
    let mut before = None;
    while started.elapsed() < total {
        let round = changes / 4;
        let churn = || Ingress::new("churn").class(CLASS);
        // A host that comes and goes, a certificate that is another one each time, an endpoint on its way out and back.
        match changes % 4 {
            0 => {
                change::<k8s::Ingress>(&client, "churn", &churn().host(&format!("churn-{round}.test"), "next").text())
                    .await
            }
            1 => {
                let secure = churn().host("churn.test", "next").tls(&["churn.test"], Some("churn"));
                change::<k8s::Ingress>(&client, "churn", &secure.text()).await;
            }
            2 => change::<Secret>(&client, "churn", &tls_secret("churn", &authority.pair("churn.test"))).await,
            _ => {
                let conditions = if round % 2 == 0 { Pod::Ready } else { Pod::Terminating };
                let slice = slice("next", "next", &[(backends[1].addr(), conditions)]);
                change::<EndpointSlice>(&client, "next", &slice).await;
            }
        }
        changes += 1;
        if before.is_none() && started.elapsed() > total / WARM_UP {
            before = Some((edgeward.resident_bytes(), open_files(&edgeward)));
        }
        let next = started + PACE * changes;
        tokio::time::sleep(next.saturating_duration_since(Instant::now())).await;
    }
    let after = (edgeward.resident_bytes(), open_files(&edgeward));
    load.stop();
    let report = load.report().await;
    let before = before.expect("the warm-up is over");
    eprintln!(
        "churn: {changes} changes in {seconds} s: {} KiB resident after the warm-up, {} KiB in the end, {} and {} open \
         files; {report}",
        before.0 >> 10,
        after.0 >> 10,
        before.1,
        after.1
    );
    report.assert_clean();
    assert!(u64::from(changes) >= seconds * 8, "only {changes} changes");
    assert!(after.0 < before.0 + GROWTH, "memory grows: {} to {} bytes", before.0, after.0);
    assert!(after.1 <= before.1 + 5, "open files grow: {} to {}", before.1, after.1);
}
