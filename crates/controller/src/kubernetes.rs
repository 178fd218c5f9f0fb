//! The Kubernetes source: watches a cluster and sends what changes in it.
//!
//! ```text
//! watch   one kind in one scope: list, then every change            (kube::runtime::watcher)
//! convert what the API server sends -> the compact model
//! feed    first lists of all scopes as one, then object by object -> Change
//! contact which kinds are listed, what is refused, whether the API server answers
//! recall  what a former run knew, where the API server does not answer at the start
//! leader  which replica writes to the cluster: a Lease
//! address what the status of an Ingress should say
//! status  writes it
//! event   tells users of the mistakes in their objects
//! ```
//!
//! Absence of information is never a deletion: nothing is sent of a kind before all of it is listed, a lost API server
//! changes nothing, and an empty list where there were objects is asked for twice.

mod address;
mod contact;
mod convert;
mod event;
mod feed;
mod leader;
mod node;
mod recall;
mod status;
#[cfg(test)]
mod tests;
mod watch;
mod webhook;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Config, Resource};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

pub use address::{AddressOptions, Replicas};
pub use contact::{Contact, KindContact, Unlisted};
pub use event::EventWriter;
pub use kube::Client;
pub use leader::{Leader, LeaderOptions};
pub use node::follow_cordon;
pub use status::{Address, Observation, StatusWriter};
pub use webhook::nginx_webhooks;

use feed::{Feed, FirstLists, Need, Part};
use watch::{Pauses, Watch, Watched};

use crate::change::Change;
use crate::object::{Kind, NamespacedName, Object};
use crate::state::State;

/// The name under which fields and Events are written.
const MANAGER: &str = "edgeward";

/// How long the API server may take to accept a connection, and to send the next byte of an answer. A watch is silent for
/// at most a minute.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(75);

/// When an empty list of what was not empty is believed.
const DOUBT: Duration = Duration::from_secs(10);

/// Before everything is watched anew after a fault of ours.
const AFTER_FAULT: Duration = Duration::from_secs(5);

/// How often the API server is asked whether it is there, and how long it may take to answer.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Heartbeats that must fail in a row before contact counts as lost.
const LOST_AFTER: u32 = 3;

/// The cluster cannot be reached because nothing says how.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file that was named cannot be used.
    #[error("cannot use the kubeconfig {}: {error}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        error: kube::config::KubeconfigError,
    },
    /// This is no pod, and no file was named.
    #[error("there is no cluster to watch: name one with --kubeconfig, or run in a pod with a service account ({0})")]
    NotInCluster(kube::config::InClusterError),
    /// The credentials or certificates that were found cannot be used.
    #[error("cannot make a client of the API server: {0}")]
    Client(kube::Error),
}

/// Makes a client from a kubeconfig file, or from the service account of the pod, and says where it connects to. It does not
/// talk to the API server yet, which may be down.
///
/// # Errors
///
/// See [`ConnectError`].
pub async fn connect(kubeconfig: Option<&PathBuf>) -> Result<(Client, String), ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let wrong = |error| ConnectError::Kubeconfig { path: path.clone(), error };
            let file = Kubeconfig::read_from(path).map_err(wrong)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(wrong)?
        }
        None => Config::incluster().map_err(ConnectError::NotInCluster)?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // Otherwise the time that a connection was idle counts.
    config.reset_reader_on_write = true;
    // It would try again for minutes within one call, and tell nobody.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    Ok((Client::try_from(config).map_err(ConnectError::Client)?, server))
}

/// What to watch.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// The namespaces whose objects count; empty for all (`--watch-namespace`). Roles in them are enough then.
    pub namespaces: Vec<String>,
    /// Whether the labels of Namespaces matter (`--watch-namespace-selector`).
    pub watches_namespaces: bool,
    /// Whether ConfigMaps that annotations and options name matter (`--watch-config-maps`).
    pub watches_config_maps: bool,
    /// The ConfigMap that holds options. No other is watched unless they matter.
    pub configmap: Option<NamespacedName>,
    /// A Secret that counts wherever it is (`--default-ssl-certificate`).
    pub default_ssl_certificate: Option<NamespacedName>,
    /// Another (`--tls-session-ticket-secret`).
    pub ticket_secret: Option<NamespacedName>,
    /// A Service that counts wherever it is (`--default-backend-service`).
    pub default_backend_service: Option<NamespacedName>,
}

/// Watches a cluster, and sends what changes in it.
pub struct KubernetesSource {
    client: Client,
    options: SourceOptions,
    contact: Arc<Contact>,
    state: Option<Arc<State>>,
}

impl KubernetesSource {
    /// A source of this cluster. Every Ingress that it sees is told to `observations`. Where the API server does not answer
    /// at the start, it sends what `state` holds.
    pub fn new(
        client: Client,
        options: SourceOptions,
        observations: mpsc::UnboundedSender<Observation>,
        state: Option<Arc<State>>,
    ) -> Self {
        Self { client, options, contact: Contact::new(observations), state }
    }

    /// What is known of the contact with the API server.
    pub fn contact(&self) -> Arc<Contact> {
        Arc::clone(&self.contact)
    }

    /// Runs until nobody receives any more. Nothing counts of a kind before [`Change::Reset`] or
    /// [`Change::Listed`] says that all of it has been sent.
    ///
    /// Kinds that may not be listed: without Secrets, IngressClasses, Namespaces or the ConfigMaps that annotations name it is
    /// served what can be, and a diagnostic says what is missing. Without Ingresses, Services, EndpointSlices or the ConfigMap
    /// of the options every answer would be wrong, so that those are waited for.
    pub async fn run(self, changes: mpsc::Sender<Change>) {
        loop {
            self.watch(&changes).await;
            if changes.is_closed() {
                return;
            }
            tracing::error!("a watch ended because of a fault in Edgeward itself; watching everything anew");
            sleep(AFTER_FAULT).await;
        }
    }

    /// Watches everything, until nobody receives any more or a watch ends by a fault of ours.
    async fn watch(&self, changes: &mpsc::Sender<Change>) {
        self.contact.begin_anew();
        let mut watches = Watches { source: self, changes, tasks: JoinSet::new() };
        let SourceOptions { default_ssl_certificate, ticket_secret, default_backend_service, configmap, .. } =
            &self.options;
        watches.namespaced::<Ingress>(Kind::Ingress, false, Only::All, Vec::new(), |ingress, contact| {
            contact.observe(Observation::of(ingress));
        });
        let backend = self.elsewhere(default_backend_service.as_ref());
        let by_name = |name: &NamespacedName| Restriction {
            only: Only::Name(Arc::clone(&name.name)),
            ..Restriction::in_namespace(&name.namespace)
        };
        let by_service = |name: &NamespacedName| Restriction {
            only: Only::SlicesOf(Arc::clone(&name.name)),
            ..Restriction::in_namespace(&name.namespace)
        };
        watches.namespaced::<Service>(
            Kind::Service,
            false,
            Only::All,
            backend.map(by_name).into_iter().collect(),
            |_, _| {},
        );
        watches.namespaced::<EndpointSlice>(
            Kind::EndpointSlice,
            false,
            Only::All,
            backend.map(by_service).into_iter().collect(),
            |_, _| {},
        );
        // Helm keeps every version of every release in a Secret: most of the bytes of all Secrets in many clusters.
        watches.namespaced::<Secret>(
            Kind::Secret,
            true,
            Only::Fields("type!=helm.sh/release.v1"),
            BTreeSet::from_iter(
                [default_ssl_certificate, ticket_secret].into_iter().filter_map(|name| self.elsewhere(name.as_ref())),
            )
            .into_iter()
            .map(by_name)
            .collect(),
            |_, _| {},
        );
        watches.cluster::<IngressClass>(Kind::IngressClass);
        if self.options.watches_namespaces {
            watches.cluster::<Namespace>(Kind::Namespace);
        } else {
            watches.none(Kind::Namespace).await;
        }
        let options = configmap.as_ref().map(by_name);
        match options {
            // That of the options may be readable where the others are not. The API server puts one into every namespace.
            options if self.options.watches_config_maps => watches.namespaced::<ConfigMap>(
                Kind::ConfigMap,
                true,
                Only::Fields("metadata.name!=kube-root-ca.crt"),
                options.into_iter().collect(),
                |_, _| {},
            ),
            Some(options) => {
                watches.spawn::<ConfigMap>(Kind::ConfigMap, true, vec![watches.scope(options)], |_, _| {});
            }
            None => watches.none(Kind::ConfigMap).await,
        }
        let Watches { mut tasks, .. } = watches;
        tasks.spawn(heartbeat(self.client.clone(), self.contact(), changes.clone()));
        if let Some(state) = &self.state {
            tasks.spawn(recall::run(Arc::clone(state), self.contact(), changes.clone()));
        }
        // Each ends when it is done or nobody receives any more, or by a panic.
        while let Some(Ok(())) = tasks.join_next().await {}
    }

    /// An object that counts although its namespace is not watched.
    fn elsewhere<'n>(&self, name: Option<&'n NamespacedName>) -> Option<&'n NamespacedName> {
        let watched = &self.options.namespaces;
        name.filter(|name| !watched.is_empty() && !watched.iter().any(|namespace| **namespace == *name.namespace))
    }
}

/// A part of a kind.
#[derive(Debug, Clone, Default)]
struct Restriction {
    /// Empty for all.
    namespace: String,
    only: Only,
}

/// Which objects of a namespace.
#[derive(Debug, Clone, Default)]
enum Only {
    #[default]
    All,
    /// Those that a field selector lets through.
    Fields(&'static str),
    /// The one of this name.
    Name(Arc<str>),
    /// The EndpointSlices of this Service.
    SlicesOf(Arc<str>),
}

impl Restriction {
    fn in_namespace(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..Self::default() }
    }

    /// What to ask the API server for: a label selector and a field selector, each empty for none.
    fn selectors(&self) -> (String, String) {
        match &self.only {
            Only::All => (String::new(), String::new()),
            Only::Fields(fields) => (String::new(), (*fields).to_owned()),
            Only::Name(name) => (String::new(), format!("metadata.name={name}")),
            Only::SlicesOf(service) => (convert::service_label(service), String::new()),
        }
    }

    /// Whether an object that was watched is of this part.
    fn covers(&self, object: &Object) -> bool {
        let name = object.name();
        let is_only = match (&self.only, object) {
            (Only::All | Only::Fields(_), _) => true,
            (Only::Name(only), _) => *only == name.name,
            (Only::SlicesOf(service), Object::EndpointSlice(slice)) => slice.service.as_ref() == Some(service),
            (Only::SlicesOf(_), _) => false,
        };
        is_only && (self.namespace.is_empty() || *self.namespace == *name.namespace)
    }
}

/// The watches of a source, as they are started.
struct Watches<'s> {
    source: &'s KubernetesSource,
    changes: &'s mpsc::Sender<Change>,
    tasks: JoinSet<()>,
}

/// One scope of a kind: where, and which of the objects there.
struct Scope<K> {
    api: Api<K>,
    restriction: Restriction,
}

impl Watches<'_> {
    fn scope<K>(&self, restriction: Restriction) -> Scope<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Scope { api: Api::namespaced(self.source.client.clone(), &restriction.namespace), restriction }
    }

    fn everywhere<K: Resource<DynamicType = ()>>(&self, only: Only) -> Scope<K> {
        let restriction = Restriction { only, ..Restriction::default() };
        Scope { api: Api::all(self.source.client.clone()), restriction }
    }

    /// Watches a kind in all namespaces that count, and `others` of it.
    fn namespaced<K>(
        &mut self,
        kind: Kind,
        is_optional: bool,
        only: Only,
        others: Vec<Restriction>,
        observe: fn(&K, &Contact),
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Watched,
    {
        let namespaces = &self.source.options.namespaces;
        let mut scopes: Vec<Scope<K>> = if namespaces.is_empty() {
            vec![self.everywhere(only)]
        } else {
            let restrict =
                |namespace: &String| Restriction { only: only.clone(), ..Restriction::in_namespace(namespace) };
            namespaces.iter().map(|namespace| self.scope(restrict(namespace))).collect()
        };
        scopes.extend(others.into_iter().map(|other| self.scope(other)));
        self.spawn(kind, is_optional, scopes, observe);
    }

    /// Watches a kind that is in no namespace.
    fn cluster<K>(&mut self, kind: Kind)
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Watched,
    {
        let scope = self.everywhere(Only::All);
        self.spawn::<K>(kind, true, vec![scope], |_, _| {});
    }

    fn spawn<K>(&mut self, kind: Kind, is_optional: bool, scopes: Vec<Scope<K>>, observe: fn(&K, &Contact))
    where
        K: Resource<DynamicType = ()> + Watched,
    {
        let first = FirstLists::new(kind, scopes.len());
        let is_whole = scopes.len() == 1;
        for Scope { api, restriction } in scopes {
            let contact = self.source.contact();
            let scope = contact.add(kind, &restriction.namespace);
            let (labels, fields) = restriction.selectors();
            let need = match &restriction.only {
                // Without the options there may be no guard.
                Only::Name(_) if kind == Kind::ConfigMap => Need::Scope,
                _ if is_optional => Need::Optional,
                _ => Need::Kind,
            };
            let part = Part { scope, is_whole, need, restriction, state: self.source.state.clone() };
            let feed = Feed::new(self.changes.clone(), contact, Arc::clone(&first), part);
            let watch =
                Watch { api, labels, fields, streams_lists: true, doubt: DOUBT, observe, pauses: Pauses::new() };
            self.tasks.spawn(watch.run(feed));
        }
    }

    /// A kind that nothing depends on: there is none of it.
    async fn none(&self, kind: Kind) {
        // Whoever receives no more ends the watches too.
        let _ = self.changes.send(Change::Reset(kind, Vec::new())).await;
    }
}

/// Says whether the API server answers, whenever that changes.
async fn heartbeat(client: Client, contact: Arc<Contact>, changes: mpsc::Sender<Change>) {
    let mut ticks = interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = 0;
    let mut is_lost = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = changes.closed() => return,
        }
        // A refusal will do too; but what stands in front of an API server that is down answers with a 5xx.
        let is_there = match timeout(HEARTBEAT, client.apiserver_version()).await {
            Ok(Ok(_)) => true,
            Ok(Err(kube::Error::Api(status))) => status.code < 500,
            Ok(Err(_)) | Err(_) => false,
        };
        if is_there {
            contact.answered();
        }
        failed = if is_there { 0 } else { failed + 1 };
        let was_lost = is_lost;
        is_lost = failed >= LOST_AFTER || (is_lost && !is_there);
        if is_lost == was_lost {
            continue;
        }
        if is_lost {
            tracing::error!("the API server does not answer; what was last known is served until it does");
        } else {
            tracing::info!("the API server answers again");
        }
        if changes.send(Change::Contact(!is_lost)).await.is_err() {
            return;
        }
    }
}
