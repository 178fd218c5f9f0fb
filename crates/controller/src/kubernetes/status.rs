//! The status of Ingresses: the addresses under which they are reached, written by the leader, and only where they differ.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, sleep};

use super::{MANAGER, convert};
use crate::object::NamespacedName;
use crate::reconcile::Status;

/// Writes at a time.
const AT_ONCE: usize = 8;

/// When a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// An address under which Ingresses are reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IP address, in its canonical text.
    Ip(String),
    /// A host name.
    Hostname(String),
}

impl Address {
    /// The address that a status or a flag has.
    pub(super) fn of(ip: Option<&str>, hostname: Option<&str>) -> Option<Self> {
        match (ip.filter(|ip| !ip.is_empty()), hostname.filter(|name| !name.is_empty())) {
            (Some(ip), _) => Some(Self::Ip(ip.to_owned())),
            (None, Some(name)) => Some(Self::Hostname(name.to_owned())),
            (None, None) => None,
        }
    }

    fn entry(&self) -> serde_json::Value {
        match self {
            Self::Ip(ip) => json!({ "ip": ip }),
            Self::Hostname(name) => json!({ "hostname": name }),
        }
    }
}

impl std::str::FromStr for Address {
    type Err = std::convert::Infallible;

    /// An IP address, or else a host name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.parse::<std::net::IpAddr>() {
            Ok(ip) => Self::Ip(ip.to_string()),
            Err(_) => Self::Hostname(text.to_owned()),
        })
    }
}

/// What the source saw of an Ingress beside its rules.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Which one.
    pub name: NamespacedName,
    /// Its identity, which Events must name.
    pub uid: String,
    /// The addresses in its status.
    pub published: Vec<Address>,
}

impl Observation {
    pub(super) fn of(ingress: &Ingress) -> Self {
        Self {
            name: convert::name(&ingress.metadata),
            uid: ingress.uid().unwrap_or_default(),
            published: convert::published(ingress),
        }
    }
}

/// Writes the status of Ingresses.
pub struct StatusWriter {
    /// The client.
    pub client: Client,
    /// What the source sees.
    pub observations: mpsc::UnboundedReceiver<Observation>,
    /// Which Ingresses are served.
    pub status: watch::Receiver<Status>,
    /// Whether this replica writes.
    pub leads: watch::Receiver<bool>,
    /// What to write; `None` as long as it is not known.
    pub addresses: watch::Receiver<Option<Vec<Address>>>,
}

impl StatusWriter {
    /// Writes until `end` is true; then, if `clears` says so of this replica, takes the addresses away.
    pub async fn run(mut self, mut end: watch::Receiver<bool>, clears: impl FnOnce() -> bool) {
        let mut known: HashMap<NamespacedName, Vec<Address>> = HashMap::new();
        let mut seen: Arc<[NamespacedName]> = Arc::default();
        let mut again = false;
        loop {
            tokio::select! {
                observation = self.observations.recv() => match observation {
                    Some(observation) => {
                        known.insert(observation.name, observation.published);
                        while let Ok(more) = self.observations.try_recv() {
                            known.insert(more.name, more.published);
                        }
                    }
                    None => return,
                },
                changed = self.status.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let owned = Arc::clone(&self.status.borrow_and_update().owned);
                    if Arc::ptr_eq(&owned, &seen) {
                        continue;
                    }
                    seen = owned;
                }
                changed = self.leads.changed() => if changed.is_err() { return },
                changed = self.addresses.changed() => if changed.is_err() { return },
                _ = end.wait_for(|end| *end) => break,
                () = sleep(AGAIN), if again => {}
            }
            let wanted = self.addresses.borrow_and_update().clone();
            again = match wanted {
                Some(wanted) if *self.leads.borrow_and_update() => !self.write(&mut known, &wanted).await,
                _ => false,
            };
        }
        if *self.leads.borrow() && clears() {
            self.write(&mut known, &[]).await;
        }
    }

    /// Writes `wanted` wherever something else stands. Returns whether every write succeeded.
    async fn write(&self, known: &mut HashMap<NamespacedName, Vec<Address>>, wanted: &[Address]) -> bool {
        let owned = Arc::clone(&self.status.borrow().owned);
        let differs = |name: &NamespacedName| known.get(name).is_some_and(|published| published != wanted);
        let different: Vec<NamespacedName> = owned.iter().filter(|name| differs(name)).cloned().collect();
        let mut writes =
            stream::iter(different.into_iter().map(|name| self.patch(name, wanted))).buffer_unordered(AT_ONCE);
        let mut all_written = true;
        while let Some((name, result)) = writes.next().await {
            match result {
                Ok(()) => _ = known.insert(name, wanted.to_vec()),
                // It is gone; the source will say so.
                Err(kube::Error::Api(status)) if status.code == 404 => _ = known.remove(&name),
                Err(error) => {
                    tracing::warn!(ingress = %name, %error, "cannot write the status; trying again");
                    all_written = false;
                }
            }
        }
        all_written
    }

    async fn patch(&self, name: NamespacedName, wanted: &[Address]) -> (NamespacedName, Result<(), kube::Error>) {
        let status = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": { "name": &*name.name, "namespace": &*name.namespace },
            "status": { "loadBalancer": { "ingress": wanted.iter().map(Address::entry).collect::<Vec<_>>() } },
        });
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &name.namespace);
        // The list belongs to whoever serves the Ingress: it is taken over from another controller.
        let parameters = PatchParams::apply(MANAGER).force();
        let result = api.patch_status(&name.name, &parameters, &Patch::Apply(status)).await;
        (name, result.map(drop))
    }
}
