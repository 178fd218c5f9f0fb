//! Events: what is wrong with an object, told where its owner looks (`kubectl describe`).
//!
//! The name of an Event is made of what it says, so that no mistake is told twice: not by the next leader either. The API
//! server forgets Events after an hour; a mistake that is still there is told again then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ObjectReference, Secret, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use super::MANAGER;
use crate::diagnostic::{Diagnostic, Severity};
use crate::reconcile::Status;

/// When a mistake that is still there is told again: a little before the API server's default `--event-ttl` is over would
/// find the old Event, so a little after.
const AGAIN: Duration = Duration::from_secs(62 * 60);

/// When a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Between two writes: thousands of mistakes must not flood the API server.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Writes Events about diagnostics.
pub struct EventWriter {
    /// The client.
    pub client: Client,
    /// The diagnostics.
    pub status: watch::Receiver<Status>,
    /// Whether this replica writes.
    pub leads: watch::Receiver<bool>,
    /// Who writes: the name of the pod.
    pub instance: String,
}

impl EventWriter {
    /// Writes for as long as there are diagnostics to come.
    pub async fn run(mut self) {
        let mut told: BTreeMap<Diagnostic, Instant> = BTreeMap::new();
        let mut has_failed = false;
        loop {
            tokio::select! {
                changed = self.status.changed() => if changed.is_err() { return },
                changed = self.leads.changed() => if changed.is_err() { return },
                () = sleep(if has_failed { RETRY } else { AGAIN }) => {}
            }
            has_failed = false;
            if !*self.leads.borrow_and_update() {
                continue;
            }
            let diagnostics = Arc::clone(&self.status.borrow_and_update().diagnostics);
            let now = Instant::now();
            let present: BTreeSet<&Diagnostic> = diagnostics.iter().collect();
            told.retain(|diagnostic, at| now - *at < AGAIN && present.contains(diagnostic));
            for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.severity != Severity::Info) {
                if told.contains_key(diagnostic) {
                    continue;
                }
                match self.tell(diagnostic).await {
                    Ok(()) => {}
                    // The object is gone, the rights are missing, in this namespace perhaps and not in others, or this one
                    // Event is not taken.
                    Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                        tracing::debug!(reason = diagnostic.code, error = status.message, "an Event is not written");
                    }
                    Err(error) => {
                        tracing::debug!(%error, "cannot write an Event; it is tried again");
                        has_failed = true;
                        break;
                    }
                }
                told.insert(diagnostic.clone(), now);
                sleep(PAUSE).await;
            }
        }
    }

    async fn tell(&self, diagnostic: &Diagnostic) -> Result<(), kube::Error> {
        // About a whole kind there is no object to tell.
        let Some(origin) = diagnostic.origin.as_ref().filter(|origin| !origin.name.is_empty()) else { return Ok(()) };
        let regarding = match origin.kind {
            "Ingress" => self.reference::<Ingress>(&origin.namespace, &origin.name).await?,
            "Service" => self.reference::<Service>(&origin.namespace, &origin.name).await?,
            "Secret" => self.reference::<Secret>(&origin.namespace, &origin.name).await?,
            _ => return Ok(()),
        };
        let event = event(diagnostic, &origin.field, regarding, &self.instance);
        let api: Api<Event> = Api::namespaced(self.client.clone(), &origin.namespace);
        match api.create(&PostParams::default(), &event).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            result => result.map(drop),
        }
    }

    async fn reference<K>(&self, namespace: &str, name: &str) -> Result<ObjectReference, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let object = Api::<K>::namespaced(self.client.clone(), namespace).get_metadata(name).await?;
        Ok(ObjectReference {
            api_version: Some(K::api_version(&()).into_owned()),
            kind: Some(K::kind(&()).into_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            uid: object.metadata.uid,
            resource_version: object.metadata.resource_version,
            ..ObjectReference::default()
        })
    }
}

/// The Event about a mistake.
fn event(diagnostic: &Diagnostic, field: &str, regarding: ObjectReference, instance: &str) -> Event {
    let mut note = diagnostic.message.clone();
    if !field.is_empty() {
        note = format!("{field}: {note}");
    }
    if !diagnostic.mend.is_empty() {
        note = format!("{note}; {}", diagnostic.mend);
    }
    let end = (0..=LONGEST_NOTE.min(note.len())).rev().find(|end| note.is_char_boundary(*end)).unwrap_or_default();
    note.truncate(end);
    let mut hash = DefaultHasher::new();
    (&regarding.uid, diagnostic.code, &note).hash(&mut hash);
    let object = regarding.name.clone().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            // At most 253 bytes; the object's name alone may have as many.
            name: Some(format!("{}.{:016x}", object.chars().take(200).collect::<String>(), hash.finish())),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        action: Some("Translate".to_owned()),
        event_time: Some(MicroTime(Timestamp::now())),
        note: Some(note),
        reason: Some(diagnostic.code.to_owned()),
        regarding: Some(regarding),
        reporting_controller: Some(format!("{MANAGER}.dev/ingress-controller")),
        reporting_instance: Some(instance.to_owned()),
        type_: Some("Warning".to_owned()),
        ..Event::default()
    }
}
