//! The addresses that the status of Ingresses should have.
//!
//! In this order, as in ingress-nginx (internal/ingress/status/status.go): those that are given (`--publish-status-address`),
//! those of a Service (`--publish-service`), else those of the nodes on which Edgeward is ready. A node that is being
//! emptied is left out: what reads the status sends traffic to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watch_object, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use super::status::Address;
use crate::object::NamespacedName;

/// How long the API server keeps a watch open.
const WATCH_SECONDS: u32 = 60;

/// When the own pod is asked for again.
const AGAIN: Duration = Duration::from_secs(5);

/// Labels that differ between pods of one DaemonSet or Deployment.
const OF_ONE_REVISION: [&str; 3] = ["controller-revision-hash", "pod-template-generation", "pod-template-hash"];

/// Where the addresses come from.
#[derive(Debug, Clone, Default)]
pub struct AddressOptions {
    /// These, and no others (`--publish-status-address`).
    pub fixed: Vec<Address>,
    /// Those of this Service (`--publish-service`).
    pub service: Option<NamespacedName>,
    /// This pod: those of the nodes of all pods with its labels.
    pub pod: Option<NamespacedName>,
    /// Whether a node's internal addresses count before its external ones (`--report-node-internal-ip-address`).
    pub prefers_internal: bool,
}

/// The pods of this program in the cluster, as far as they matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replicas(BTreeMap<String, Replica>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Replica {
    node: String,
    is_ready: bool,
    /// Whether it runs, and is to go on running. One that is not ready may serve all the same: on a cordoned node, say.
    stays: bool,
}

impl Replicas {
    /// Whether another one than `own` stays.
    pub fn has_other_than(&self, own: &str) -> bool {
        self.0.iter().any(|(name, replica)| name != own && replica.stays)
    }
}

#[derive(Debug, Clone, Default)]
struct Host {
    is_cordoned: bool,
    external: Vec<IpAddr>,
    internal: Vec<IpAddr>,
}

impl AddressOptions {
    /// Follows the addresses for as long as anyone wants them. `replicas` is kept current too, where there is a pod; it is
    /// `None` as long as they are not known.
    pub async fn run(
        self,
        client: Client,
        addresses: watch::Sender<Option<Vec<Address>>>,
        replicas: watch::Sender<Option<Replicas>>,
    ) {
        if !self.fixed.is_empty() {
            let mut fixed = self.fixed.clone();
            fixed.sort();
            fixed.dedup();
            addresses.send_replace(Some(fixed));
        }
        let of_service = async {
            if let (true, Some(name)) = (self.fixed.is_empty(), &self.service) {
                follow_service(client.clone(), name, &addresses).await;
            }
        };
        let of_nodes = async {
            if let Some(pod) = &self.pod {
                let counts = self.fixed.is_empty() && self.service.is_none();
                let hosts = watch::Sender::new(BTreeMap::new());
                tokio::join!(
                    follow_replicas(client.clone(), pod, &replicas),
                    async {
                        if counts {
                            follow_nodes(client.clone(), &hosts).await;
                        }
                    },
                    async {
                        if counts {
                            self.combine(replicas.subscribe(), hosts.subscribe(), &addresses).await;
                        }
                    }
                );
            }
        };
        tokio::select! {
            () = addresses.closed() => {}
            _ = async { tokio::join!(of_service, of_nodes) } => {
                // What is fixed stays for as long as anyone wants it.
                addresses.closed().await;
            }
        }
    }

    async fn combine(
        &self,
        mut replicas: watch::Receiver<Option<Replicas>>,
        mut hosts: watch::Receiver<BTreeMap<String, Host>>,
        addresses: &watch::Sender<Option<Vec<Address>>>,
    ) {
        loop {
            let changed = tokio::select! {
                changed = replicas.changed() => changed,
                changed = hosts.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            let hosts = hosts.borrow_and_update();
            let found =
                replicas.borrow_and_update().as_ref().map(|found| of_nodes(found, &hosts, self.prefers_internal));
            let found = found.unwrap_or_default();
            addresses.send_if_modified(|known| {
                // None ready is no reason to take away the address of those that still serve.
                let is_new = !found.is_empty() && known.as_ref() != Some(&found);
                if is_new {
                    *known = Some(found);
                }
                is_new
            });
        }
    }
}

/// The addresses of the nodes of ready replicas; those of cordoned nodes only where there is no other.
fn of_nodes(replicas: &Replicas, hosts: &BTreeMap<String, Host>, prefers_internal: bool) -> Vec<Address> {
    let ready =
        || replicas.0.values().filter(|replica| replica.is_ready).filter_map(|replica| hosts.get(&replica.node));
    let of = |host: &Host| {
        let (first, second) =
            if prefers_internal { (&host.internal, &host.external) } else { (&host.external, &host.internal) };
        let chosen = if first.is_empty() { second } else { first };
        // One of each family.
        let family = |is_v4: bool| chosen.iter().find(|ip| ip.is_ipv4() == is_v4).map(|ip| Address::Ip(ip.to_string()));
        [family(true), family(false)].into_iter().flatten().collect::<Vec<_>>()
    };
    let mut addresses: Vec<_> = ready().filter(|host| !host.is_cordoned).flat_map(of).collect();
    if addresses.is_empty() {
        addresses = ready().flat_map(of).collect();
    }
    addresses.sort();
    addresses.dedup();
    addresses
}

async fn follow_service(client: Client, name: &NamespacedName, addresses: &watch::Sender<Option<Vec<Address>>>) {
    let api: Api<Service> = Api::namespaced(client, &name.namespace);
    let mut versions = pin!(watch_object(api, &name.name).default_backoff());
    while let Some(version) = versions.next().await {
        match version {
            Ok(Some(service)) => {
                let found = of_service(&service);
                // A load balancer that has none yet, or none for a moment, is no reason to take away what stands there.
                if !found.is_empty() {
                    addresses.send_replace(Some(found));
                }
            }
            Ok(None) => tracing::error!(service = %name, "--publish-service names a Service that does not exist"),
            Err(error) => tracing::warn!(service = %name, %error, "cannot watch the Service of --publish-service"),
        }
    }
}

/// The addresses of a Service, by its type (status.go statusAddressFromService).
fn of_service(service: &Service) -> Vec<Address> {
    let spec = service.spec.clone().unwrap_or_default();
    let external = spec.external_ips.unwrap_or_default();
    let cluster = || Address::of(spec.cluster_ip.as_deref().filter(|ip| *ip != "None"), None);
    let external = || external.iter().filter_map(|ip| Address::of(Some(ip), None));
    let mut addresses: Vec<Address> = match spec.type_.as_deref() {
        Some("ExternalName") => Address::of(None, spec.external_name.as_deref()).into_iter().collect(),
        Some("LoadBalancer") => {
            let status = service.status.iter().flat_map(|status| status.load_balancer.iter());
            let entries = status.flat_map(|lb| lb.ingress.iter().flatten());
            entries
                .filter_map(|entry| Address::of(entry.ip.as_deref(), entry.hostname.as_deref()))
                .chain(external())
                .collect()
        }
        Some("NodePort") if external().next().is_some() => external().collect(),
        _ => cluster().into_iter().collect(),
    };
    addresses.sort();
    addresses.dedup();
    addresses
}

async fn follow_replicas(client: Client, pod: &NamespacedName, replicas: &watch::Sender<Option<Replicas>>) {
    let api: Api<Pod> = Api::namespaced(client, &pod.namespace);
    let labels = loop {
        match api.get(&pod.name).await {
            Ok(own) => break own.labels().clone(),
            Err(error) => {
                tracing::warn!(%pod, %error, "cannot read the own pod, whose labels tell which others are replicas");
                sleep(AGAIN).await;
            }
        }
    };
    let labels: Vec<_> = labels
        .iter()
        .filter(|(key, _)| !OF_ONE_REVISION.contains(&key.as_str()))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if labels.is_empty() {
        tracing::error!(%pod, "the own pod has no labels: which others are replicas cannot be told; give them some");
        return;
    }
    let config = watcher::Config::default().timeout(WATCH_SECONDS).labels(&labels.join(","));
    follow(api, config, |pods: &BTreeMap<String, Replica>| {
        replicas.send_replace(Some(Replicas(pods.clone())));
    })
    .await;
}

async fn follow_nodes(client: Client, hosts: &watch::Sender<BTreeMap<String, Host>>) {
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    follow(Api::all(client), config, |nodes: &BTreeMap<String, Host>| {
        hosts.send_replace(nodes.clone());
    })
    .await;
}

/// What is kept of an object that is followed.
trait Kept<K>: Sized {
    fn of(object: &K) -> Self;
}

impl Kept<Pod> for Replica {
    fn of(pod: &Pod) -> Self {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let stays = pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Failed" | "Succeeded"));
        let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        Self {
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            is_ready: is_ready && stays,
            stays,
        }
    }
}

impl Kept<Node> for Host {
    fn of(node: &Node) -> Self {
        let addresses = |kind: &str| {
            let all = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
            all.filter(|address| address.type_ == kind).filter_map(|address| address.address.parse().ok()).collect()
        };
        Self {
            is_cordoned: super::node::is_cordoned(node),
            external: addresses("ExternalIP"),
            internal: addresses("InternalIP"),
        }
    }
}

/// Follows objects of a kind by name, and tells of them after each change.
async fn follow<K, T: Kept<K> + Clone>(api: Api<K>, config: watcher::Config, mut tell: impl FnMut(&BTreeMap<String, T>))
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut events = pin!(watcher(api, config).default_backoff());
    let (mut known, mut listed) = (BTreeMap::new(), BTreeMap::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => _ = listed.insert(object.name_any(), T::of(&object)),
            Ok(Event::InitDone) => {
                known = std::mem::take(&mut listed);
                tell(&known);
            }
            Ok(Event::Apply(object)) => {
                known.insert(object.name_any(), T::of(&object));
                tell(&known);
            }
            Ok(Event::Delete(object)) => {
                known.remove(&object.name_any());
                tell(&known);
            }
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "cannot be watched for the status; trying again")
            }
        }
    }
}
