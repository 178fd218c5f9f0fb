//! What a watch has found, on its way to the reconciler.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::contact::{Contact, Trouble};
use crate::change::Change;
use crate::object::{Kind, NamespacedName, Object, ObjectRef};

/// Nobody receives any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// The first lists of a kind that is watched in several scopes: the reconciler gets them as one, for a part of a kind
/// looks as if the rest were deleted.
#[derive(Debug)]
pub(super) struct FirstLists {
    kind: Kind,
    waiting: Mutex<(usize, Vec<Object>)>,
    complete: watch::Sender<bool>,
}

impl FirstLists {
    /// Of a kind with this number of scopes.
    pub(super) fn new(kind: Kind, scopes: usize) -> Arc<Self> {
        Arc::new(Self { kind, waiting: Mutex::new((scopes, Vec::new())), complete: watch::Sender::new(false) })
    }

    /// Takes the first list of one scope. All of them come back with the last one.
    fn take(&self, list: Vec<Object>) -> Option<Vec<Object>> {
        // What a panic could leave behind is a list that never completes, which readiness tells.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0 = waiting.0.saturating_sub(1);
        waiting.1.extend(list);
        (waiting.0 == 0).then(|| std::mem::take(&mut waiting.1))
    }
}

/// The way of one watch to the reconciler.
pub(super) struct Feed {
    changes: mpsc::Sender<Change>,
    contact: Arc<Contact>,
    first: Arc<FirstLists>,
    /// Whether this watch is all of its kind.
    is_whole: bool,
    /// Whether it does without where the kind may not be listed.
    is_optional: bool,
    known: BTreeSet<NamespacedName>,
    has_listed: bool,
}

impl Feed {
    pub(super) fn new(
        changes: mpsc::Sender<Change>,
        contact: Arc<Contact>,
        first: Arc<FirstLists>,
        is_whole: bool,
        is_optional: bool,
    ) -> Self {
        Self { changes, contact, first, is_whole, is_optional, known: BTreeSet::new(), has_listed: false }
    }

    pub(super) fn kind(&self) -> Kind {
        self.first.kind
    }

    pub(super) fn contact(&self) -> &Contact {
        &self.contact
    }

    /// Whether any object was there when last heard of.
    pub(super) fn holds_objects(&self) -> bool {
        !self.known.is_empty()
    }

    /// Returns when nobody receives any more.
    pub(super) async fn closed(&self) {
        self.changes.closed().await;
    }

    /// Everything that there is.
    pub(super) async fn listed(&mut self, list: Vec<Object>) -> Result<(), Closed> {
        self.contact.listed(self.kind());
        let names = super::watch::names(&list);
        let before = std::mem::replace(&mut self.known, names);
        if !self.has_listed {
            self.has_listed = true;
            if let Some(all) = self.first.take(list) {
                self.send(Change::Reset(self.kind(), all)).await?;
                self.first.complete.send_replace(true);
            } else {
                // What changes meanwhile must not overtake the list that it is a change to.
                let mut complete = self.first.complete.subscribe();
                tokio::select! {
                    _ = complete.wait_for(|complete| *complete) => {}
                    () = self.changes.closed() => return Err(Closed),
                }
            }
            return self.tell_diagnostics().await;
        }
        if self.is_whole {
            self.send(Change::Reset(self.kind(), list)).await?;
        } else {
            for name in before.difference(&self.known) {
                self.changes
                    .send(Change::Remove(ObjectRef { kind: self.first.kind, name: name.clone() }))
                    .await
                    .map_err(|_| Closed)?;
            }
            for object in list {
                self.send(Change::Apply(Box::new(object))).await?;
            }
        }
        self.tell_diagnostics().await
    }

    /// An object was added or changed.
    pub(super) async fn applied(&mut self, object: Object) -> Result<(), Closed> {
        self.known.insert(object.name().clone());
        self.send(Change::Apply(Box::new(object))).await
    }

    /// An object is gone.
    pub(super) async fn removed(&mut self, reference: ObjectRef) -> Result<(), Closed> {
        self.known.remove(&reference.name);
        self.send(Change::Remove(reference)).await
    }

    /// A list is empty that was not: it is not believed before a second look.
    pub(super) fn doubt(&self, until: Duration) {
        tracing::error!(
            kind = self.kind().name(),
            known = self.known.len(),
            seconds = until.as_secs(),
            "the API server lists no object of a kind that had many; what is known stays, and it is asked again"
        );
    }

    /// The API server could not be asked, or refused.
    pub(super) async fn failed(&mut self, trouble: Trouble) -> Result<(), Closed> {
        let is_refusal = trouble.is_refusal();
        self.contact.failed(self.kind(), trouble);
        if is_refusal && self.is_optional && !self.has_listed {
            self.has_listed = true;
            if let Some(all) = self.first.take(Vec::new()) {
                let change =
                    if all.is_empty() { Change::Refused(self.kind()) } else { Change::Reset(self.kind(), all) };
                self.send(change).await?;
                self.first.complete.send_replace(true);
            }
        }
        self.tell_diagnostics().await
    }

    async fn tell_diagnostics(&self) -> Result<(), Closed> {
        match self.contact.new_diagnostics() {
            Some(diagnostics) => self.send(Change::Diagnostics(diagnostics)).await,
            None => Ok(()),
        }
    }

    async fn send(&self, change: Change) -> Result<(), Closed> {
        self.changes.send(change).await.map_err(|_| Closed)
    }
}
