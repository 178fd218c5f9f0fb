//! What a watch has found, on its way to the reconciler.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::contact::{Contact, ScopeId, Trouble};
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

/// How often in a row the API server must refuse a kind, while it lists others, before it is done without.
const BELIEVED: u32 = 2;

/// What a feed is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Where it is known how far it has come.
    pub(super) scope: ScopeId,
    /// Whether it is all of its kind.
    pub(super) is_whole: bool,
    /// Whether it is done without where it may not be listed.
    pub(super) is_optional: bool,
    /// Whether a former run knew objects of it.
    pub(super) held_before: bool,
}

/// The way of one watch to the reconciler.
pub(super) struct Feed {
    changes: mpsc::Sender<Change>,
    contact: Arc<Contact>,
    first: Arc<FirstLists>,
    part: Part,
    /// What there is of a part; of a whole kind the reconciler finds the difference to the next list by itself.
    known: BTreeSet<NamespacedName>,
    /// Whether there were objects when last heard of; those that were deleted one by one since are not counted.
    holds_objects: bool,
    has_listed: bool,
    refusals: u32,
}

impl Feed {
    pub(super) fn new(
        changes: mpsc::Sender<Change>,
        contact: Arc<Contact>,
        first: Arc<FirstLists>,
        part: Part,
    ) -> Self {
        let holds_objects = part.held_before;
        Self { changes, contact, first, part, known: BTreeSet::new(), holds_objects, has_listed: false, refusals: 0 }
    }

    pub(super) fn kind(&self) -> Kind {
        self.first.kind
    }

    pub(super) fn contact(&self) -> &Contact {
        &self.contact
    }

    /// Whether it has been listed, or is done without.
    pub(super) fn has_listed(&self) -> bool {
        self.has_listed
    }

    /// Whether there may be objects, as far as is known.
    pub(super) fn holds_objects(&self) -> bool {
        self.holds_objects
    }

    /// Returns when nobody receives any more.
    pub(super) async fn closed(&self) {
        self.changes.closed().await;
    }

    /// Everything that there is.
    pub(super) async fn listed(&mut self, list: Vec<Object>) -> Result<(), Closed> {
        self.contact.listed(self.part.scope);
        self.holds_objects = !list.is_empty();
        let names = list.iter().filter(|_| !self.part.is_whole).map(|object| object.name().clone()).collect();
        let before = std::mem::replace(&mut self.known, names);
        if !self.has_listed {
            self.has_listed = true;
            match self.first.take(list) {
                Some(all) => self.complete(Change::Reset(self.kind(), all)).await?,
                // What changes meanwhile must not overtake the list that it is a change to.
                None => self.completed().await?,
            }
        } else if self.part.is_whole {
            self.send(Change::Reset(self.kind(), list)).await?;
        } else {
            // It was done without, and now comes before the others.
            self.completed().await?;
            for name in before.difference(&self.known) {
                self.send(Change::Remove(ObjectRef { kind: self.kind(), name: name.clone() })).await?;
            }
            for object in list {
                self.send(Change::Apply(Box::new(object))).await?;
            }
        }
        self.tell().await
    }

    /// An object was added or changed.
    pub(super) async fn applied(&mut self, object: Object) -> Result<(), Closed> {
        self.heard().await?;
        self.holds_objects = true;
        if !self.part.is_whole {
            self.known.insert(object.name().clone());
        }
        self.send(Change::Apply(Box::new(object))).await
    }

    /// An object is gone.
    pub(super) async fn removed(&mut self, reference: ObjectRef) -> Result<(), Closed> {
        self.heard().await?;
        self.known.remove(&reference.name);
        self.send(Change::Remove(reference)).await
    }

    /// A list is empty that was not: it is not believed before a second look.
    pub(super) fn doubt(&self, until: Duration) {
        tracing::error!(
            kind = self.kind().name(),
            seconds = until.as_secs(),
            "the API server lists no object of a kind that had some; what is known stays, and it is asked again"
        );
    }

    /// The API server could not be asked, or refused. An API server that has just started refuses everything for a moment:
    /// it is believed that a right is missing when it lists other kinds.
    pub(super) async fn failed(&mut self, trouble: Trouble) -> Result<(), Closed> {
        let is_final = matches!(trouble.code, Some(403 | 404)) && self.contact.has_listed();
        self.refusals = if is_final { self.refusals + 1 } else { 0 };
        self.contact.failed(self.part.scope, trouble);
        if self.refusals >= BELIEVED && self.part.is_optional && !self.has_listed {
            self.has_listed = true;
            if let Some(all) = self.first.take(Vec::new()) {
                let kind = self.kind();
                self.complete(if all.is_empty() { Change::Refused(kind) } else { Change::Reset(kind, all) }).await?;
            }
        }
        self.tell().await
    }

    /// Sends the first lists of all scopes.
    async fn complete(&self, change: Change) -> Result<(), Closed> {
        self.send(change).await?;
        self.first.complete.send_replace(true);
        Ok(())
    }

    /// Waits until the first lists of all scopes are sent.
    async fn completed(&self) -> Result<(), Closed> {
        let mut complete = self.first.complete.subscribe();
        tokio::select! {
            _ = complete.wait_for(|complete| *complete) => Ok(()),
            () = self.changes.closed() => Err(Closed),
        }
    }

    async fn heard(&self) -> Result<(), Closed> {
        if self.contact.heard(self.part.scope) { self.tell().await } else { Ok(()) }
    }

    async fn tell(&self) -> Result<(), Closed> {
        self.contact.tell(&self.changes).await.map_err(|_| Closed)
    }

    async fn send(&self, change: Change) -> Result<(), Closed> {
        self.changes.send(change).await.map_err(|_| Closed)
    }
}
