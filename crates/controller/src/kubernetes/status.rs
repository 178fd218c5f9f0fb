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
use tokio::time::{Duration, Instant, sleep_until};

use super::{MANAGER, convert};
use crate::object::NamespacedName;
use crate::reconcile::Status;

/// Writes at a time.
const AT_ONCE: usize = 8;

/// When a write that failed is tried again: after this at first, and twice as long each time.
const RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// How long new addresses are written before the next ones: a replica that comes and goes must not have thousands of objects
/// written each time.
const STEADY: Duration = Duration::from_secs(5);

/// How long an Ingress is left alone whose addresses somebody else changed after they were written: two controllers that
/// both own it must not fight at the speed of the API server.
const TRUCE: Duration = Duration::from_secs(60);

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

/// What is known of one Ingress.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Which object it is: one that is deleted and made again knows nothing of what was written to the former.
    pub(super) uid: String,
    /// What its status says.
    pub(super) published: Vec<Address>,
    /// What was last written, and when.
    pub(super) written: Option<(Vec<Address>, Instant)>,
}

impl Known {
    pub(super) fn observe(&mut self, Observation { uid, published, .. }: Observation) {
        if self.uid != uid {
            *self = Self { uid, ..Self::default() };
        }
        self.published = published;
    }

    /// Whether to write `wanted` now; if not, when.
    pub(super) fn is_due(&self, wanted: &[Address], now: Instant) -> Result<bool, Instant> {
        match &self.written {
            _ if self.published == wanted => Ok(false),
            Some((written, at)) if written == wanted && now < *at + TRUCE => Err(*at + TRUCE),
            _ => Ok(true),
        }
    }
}

impl StatusWriter {
    /// Writes until `end` is true; then, if `clears` says so of this replica, takes the addresses away.
    pub async fn run(mut self, mut end: watch::Receiver<bool>, clears: impl FnOnce() -> bool) {
        let mut known: HashMap<NamespacedName, Known> = HashMap::new();
        let mut seen: Arc<[NamespacedName]> = Arc::default();
        let mut addresses: Option<(Vec<Address>, Instant)> = None;
        let mut retry = RETRY;
        let mut again: Option<Instant> = None;
        loop {
            tokio::select! {
                observation = self.observations.recv() => match observation {
                    Some(observation) => {
                        known.entry(observation.name.clone()).or_default().observe(observation);
                        while let Ok(more) = self.observations.try_recv() {
                            known.entry(more.name.clone()).or_default().observe(more);
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
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            }
            again = None;
            let now = Instant::now();
            let wanted = self.addresses.borrow_and_update().clone();
            match (&addresses, wanted) {
                (_, None) => {}
                (Some((steady, since)), Some(wanted)) if *steady != wanted && now < *since + STEADY => {
                    again = Some(*since + STEADY);
                }
                (Some((steady, _)), Some(wanted)) if *steady == wanted => {}
                (_, Some(wanted)) => addresses = Some((wanted, now)),
            }
            let Some((wanted, _)) = addresses.as_ref().filter(|_| *self.leads.borrow_and_update()) else { continue };
            let outcome = self.write(&mut known, wanted, now).await;
            let retried = (outcome.failed > 0).then(|| Instant::now() + retry);
            retry = if outcome.failed == 0 { RETRY } else { (retry * 2).min(LONGEST_RETRY) };
            again = [again, outcome.later, retried].into_iter().flatten().min();
        }
        if *self.leads.borrow() && clears() {
            self.write(&mut known, &[], Instant::now()).await;
        }
    }

    /// Writes `wanted` wherever something else stands.
    async fn write(&self, known: &mut HashMap<NamespacedName, Known>, wanted: &[Address], now: Instant) -> Outcome {
        let owned = Arc::clone(&self.status.borrow().owned);
        let mut outcome = Outcome::default();
        let mut due = Vec::new();
        for name in owned.iter() {
            match known.get(name).map(|known| known.is_due(wanted, now)) {
                Some(Ok(true)) => due.push(name.clone()),
                Some(Ok(false)) | None => {}
                Some(Err(at)) => outcome.later = Some(outcome.later.map_or(at, |later| later.min(at))),
            }
        }
        let mut writes = stream::iter(due.into_iter().map(|name| self.patch(name, wanted))).buffer_unordered(AT_ONCE);
        while let Some((name, result)) = writes.next().await {
            match result {
                Ok(()) => {
                    let known = known.entry(name).or_default();
                    known.published = wanted.to_vec();
                    known.written = Some((wanted.to_vec(), now));
                }
                // It is gone; the source will say so.
                Err(kube::Error::Api(status)) if status.code == 404 => _ = known.remove(&name),
                Err(error) => {
                    if outcome.failed == 0 {
                        tracing::warn!(ingress = %name, %error, "cannot write the status; trying again");
                    }
                    outcome.failed += 1;
                }
            }
        }
        if outcome.failed > 1 {
            tracing::warn!(ingresses = outcome.failed, "the status of so many could not be written");
        }
        outcome
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

/// What came of a round of writes.
#[derive(Debug, Default)]
struct Outcome {
    failed: usize,
    /// When there is something to write that must wait.
    later: Option<Instant>,
}
