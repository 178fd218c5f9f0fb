//! The cluster: what is watched of it, and what is written to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use edgeward_controller::change::Change;
use edgeward_controller::kubernetes::{
    AddressOptions, Client, Contact, EventWriter, KubernetesSource, Leader, LeaderOptions, Replicas, StatusWriter,
    connect, follow_cordon,
};
use edgeward_controller::object::NamespacedName;
use edgeward_controller::reconcile::Status;
use edgeward_controller::state::{State, record};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::control::QUEUED_CHANGES;
use crate::configuration::Configuration;
use crate::wiring;

/// How long the last writes may take: ten thousand statuses, and a Lease.
const LAST_STATUS: Duration = Duration::from_secs(15);
const LAST_LEASE: Duration = Duration::from_secs(3);

/// The cluster that is watched.
pub(super) struct Cluster {
    /// What is known of the contact with its API server.
    pub(super) contact: Arc<Contact>,
    /// Whether this instance writes to it.
    pub(super) leads: watch::Receiver<bool>,
    /// Whether the own node is cordoned, where that matters; `None` as long as it is not known.
    pub(super) cordoned: Option<watch::Receiver<Option<bool>>>,
    status_writer: Ending,
    leader: Ending,
}

impl Cluster {
    /// Starts to watch, and to write what the configuration asks for.
    ///
    /// # Errors
    ///
    /// If nothing says how to reach a cluster. One that does not answer is waited for.
    pub(super) async fn start(
        configuration: &Configuration,
        changes: mpsc::Sender<Change>,
        status: watch::Receiver<Status>,
    ) -> anyhow::Result<Self> {
        let kubeconfig = Some(&configuration.kubeconfig).filter(|path| **path != PathBuf::new());
        let (client, server) = connect(kubeconfig).await?;
        let state = keep_state(configuration, &server)?;
        let changes = match &state {
            Some(state) => {
                let (sender, recorded) = mpsc::channel(QUEUED_CHANGES);
                tokio::spawn(record(recorded, changes, Arc::clone(state)));
                sender
            }
            None => changes,
        };
        let (observations, observed) = mpsc::unbounded_channel();
        let source = KubernetesSource::new(client.clone(), wiring::source_options(configuration), observations, state);
        let contact = source.contact();
        tokio::spawn(source.run(changes));

        let pod = pod(client.default_namespace());
        let (leader, leads) = start_leader(configuration, &client, &pod, status.clone());
        let events = EventWriter {
            client: client.clone(),
            status: status.clone(),
            leads: leads.clone(),
            instance: pod.name.to_string(),
        };
        tokio::spawn(events.run());
        let status_writer = if configuration.update_status {
            let (addresses, addresses_seen) = watch::channel(None);
            let replicas = watch::Sender::new(None::<Replicas>);
            let replicas_seen = replicas.subscribe();
            tokio::spawn(address_options(configuration, &pod)?.run(client.clone(), addresses, replicas));
            let writer = StatusWriter {
                client: client.clone(),
                observations: observed,
                status,
                leads: leads.clone(),
                addresses: addresses_seen,
            };
            let clears = configuration.update_status_on_shutdown;
            let own = pod.name.to_string();
            // As long as it is not known that this is the last one, the addresses stay.
            let is_last = move || replicas_seen.borrow().as_ref().is_some_and(|all| !all.has_other_than(&own));
            Ending::of(|end| writer.run(end, move || clears && is_last()))
        } else {
            Ending::default()
        };
        let cordoned = configuration.drain_on_cordon.then(|| follow_own_node(client)).transpose()?;
        Ok(Self { contact, leads, cordoned, status_writer, leader })
    }

    /// Writes what the end asks for: the last one takes its addresses away, and then others lead.
    pub(super) async fn end(self) {
        if !self.status_writer.end(LAST_STATUS).await || !self.leader.end(LAST_LEASE).await {
            tracing::warn!("the API server did not take the last writes in time");
        }
    }
}

/// A task that has something to do at its end.
#[derive(Default)]
struct Ending {
    end: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Ending {
    fn of<T: Future<Output = ()> + Send + 'static>(task: impl FnOnce(watch::Receiver<bool>) -> T) -> Self {
        let (end, ending) = watch::channel(false);
        Self { end, task: Some(tokio::spawn(task(ending))) }
    }

    /// Lets it end, and says whether it did in time.
    async fn end(self, time: Duration) -> bool {
        self.end.send_replace(true);
        match self.task {
            Some(task) => timeout(time, task).await.is_ok(),
            None => true,
        }
    }
}

/// Starts to take part in the election, and says whether this instance leads.
fn start_leader(
    configuration: &Configuration,
    client: &Client,
    pod: &NamespacedName,
    mut status: watch::Receiver<Status>,
) -> (Ending, watch::Receiver<bool>) {
    if configuration.observe || configuration.disable_leader_election {
        return constantly(!configuration.observe);
    }
    let options = LeaderOptions {
        namespace: pod.namespace.to_string(),
        name: configuration.election_id.clone(),
        identity: pod.name.to_string(),
        ttl: configuration.election_ttl.0,
    };
    let (leader, leads) = Leader::new(client.clone(), options);
    let task = |mut end: watch::Receiver<bool>| async move {
        // Who knows nothing yet has nothing to write, and must not keep those from it that do.
        tokio::select! {
            known = status.wait_for(|status| status.generation > 0) => if known.is_err() { return },
            _ = end.wait_for(|end| *end) => return,
        }
        leader.run(end).await;
    };
    (Ending::of(task), leads)
}

/// Leads, or does not, until its end, which closes the channel.
fn constantly(leads: bool) -> (Ending, watch::Receiver<bool>) {
    let (always, leads) = watch::channel(leads);
    let task = |mut end: watch::Receiver<bool>| async move {
        let _ = end.wait_for(|end| *end).await;
        drop(always);
    };
    (Ending::of(task), leads)
}

/// Follows whether the own node is cordoned.
///
/// # Errors
///
/// If nobody says which node that is.
fn follow_own_node(client: Client) -> anyhow::Result<watch::Receiver<Option<bool>>> {
    let node = std::env::var("NODE_NAME")
        .context("--drain-on-cordon needs the environment variable NODE_NAME with the name of the node")?;
    let (cordoned, seen) = watch::channel(None);
    tokio::spawn(async move { follow_cordon(client, &node, cordoned).await });
    Ok(seen)
}

/// Where what is known is kept, if anywhere.
///
/// # Errors
///
/// If the key cannot be used.
fn keep_state(configuration: &Configuration, server: &str) -> anyhow::Result<Option<Arc<State>>> {
    let Some(options) = wiring::state_options(configuration, server) else { return Ok(None) };
    let state = State::new(&options).context("--state-key-file")?;
    if !state.keeps_secrets() {
        tracing::warn!(
            "no certificates are kept in --state-dir without --state-key-file: a restart without the API server serves the \
             default certificate"
        );
    }
    Ok(Some(Arc::new(state)))
}

/// This pod: what its manifest says, as for ingress-nginx. Elsewhere the names only have to be this process' own.
fn pod(default_namespace: &str) -> NamespacedName {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let namespace = variable("POD_NAMESPACE").unwrap_or_else(|| default_namespace.to_owned());
    let name = variable("POD_NAME").unwrap_or_else(|| format!("edgeward-{:016x}", fastrand::u64(..)));
    NamespacedName::new(&namespace, &name)
}

fn address_options(configuration: &Configuration, pod: &NamespacedName) -> anyhow::Result<AddressOptions> {
    let fixed = configuration.publish_status_address.iter().map(|address| address.parse()).collect::<Result<_, _>>()?;
    Ok(AddressOptions {
        fixed,
        service: configuration.publish_service.0.clone(),
        // Outside of a pod there is none whose labels could be looked up.
        pod: std::env::var_os("POD_NAME").is_some().then(|| pod.clone()),
        prefers_internal: configuration.report_node_internal_ip_address,
    })
}
