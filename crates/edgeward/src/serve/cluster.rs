//! The cluster: what is watched of it, and what is written to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use edgeward_controller::change::Change;
use edgeward_controller::kubernetes::{
    AddressOptions, Contact, EventWriter, KubernetesSource, Leader, LeaderOptions, Replicas, StatusWriter, connect,
    follow_cordon,
};
use edgeward_controller::object::NamespacedName;
use edgeward_controller::reconcile::Status;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::configuration::Configuration;
use crate::wiring;

/// How long the last writes may take.
const END: Duration = Duration::from_secs(5);

/// The cluster that is watched.
pub(super) struct Cluster {
    /// What is known of the contact with its API server.
    pub(super) contact: Arc<Contact>,
    /// Whether this instance writes to it.
    pub(super) leads: watch::Receiver<bool>,
    /// Whether the own node is cordoned; always false where nobody asks.
    pub(super) cordoned: watch::Receiver<bool>,
    end: watch::Sender<bool>,
    writers: JoinSet<()>,
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
        let client = connect(kubeconfig).await?;
        let (observations, observed) = mpsc::unbounded_channel();
        let source = KubernetesSource::new(client.clone(), wiring::source_options(configuration), observations);
        let contact = source.contact();
        tokio::spawn(source.run(changes));

        let pod = pod(client.default_namespace());
        let (end, ending) = watch::channel(false);
        let mut writers = JoinSet::new();
        let leads = if configuration.disable_leader_election {
            // Nobody holds the other end: it leads for ever.
            watch::channel(true).1
        } else {
            let options = LeaderOptions {
                namespace: pod.namespace.to_string(),
                name: configuration.election_id.clone(),
                identity: pod.name.to_string(),
                ttl: configuration.election_ttl.0,
            };
            let (leader, leads) = Leader::new(client.clone(), options);
            writers.spawn(leader.run(ending.clone()));
            leads
        };
        let events = EventWriter {
            client: client.clone(),
            status: status.clone(),
            leads: leads.clone(),
            instance: pod.name.to_string(),
        };
        tokio::spawn(events.run());
        if configuration.update_status {
            let (addresses, addresses_seen) = watch::channel(None);
            let replicas = watch::Sender::new(Replicas::default());
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
            writers.spawn(writer.run(ending, move || clears && !replicas_seen.borrow().has_other_than(&own)));
        }
        let (cordoned, cordoned_seen) = watch::channel(false);
        if configuration.drain_on_cordon {
            let node = std::env::var("NODE_NAME")
                .context("--drain-on-cordon needs the environment variable NODE_NAME with the name of the node")?;
            tokio::spawn(async move { follow_cordon(client, &node, cordoned).await });
        }
        Ok(Self { contact, leads, cordoned: cordoned_seen, end, writers })
    }

    /// Writes what the end asks for: others lead from now on, and the last one takes its addresses away.
    pub(super) async fn end(mut self) {
        self.end.send_replace(true);
        let all = async { while self.writers.join_next().await.is_some() {} };
        if timeout(END, all).await.is_err() {
            tracing::warn!("the API server did not take the last writes in time");
        }
    }
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
