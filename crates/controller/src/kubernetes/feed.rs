//! What a watch has found, on its way to the reconciler.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use super::Restriction;
use super::contact::{Contact, ScopeId, Trouble};
use crate::change::Change;
use crate::object::{Kind, NamespacedName, Object, ObjectRef};
use crate::state::State;

/// Nobody receives any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// The first lists of a kind that is watched in several scopes: the reconciler gets them as one, for a part of a kind
/// looks as if the rest were deleted.
#[derive(Debug)]
pub(super) struct FirstLists {
    kind: Kind,
    waiting: Mutex<Waiting>,
    complete: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    scopes: usize,
    objects: Vec<Object>,
    /// Whether any scope was listed, and not done without.
    has_listed: bool,
}

impl FirstLists {
    /// Of a kind with this number of scopes.
    pub(super) fn new(kind: Kind, scopes: usize) -> Arc<Self> {
        Arc::new(Self {
            kind,
            waiting: Mutex::new(Waiting { scopes, ..Waiting::default() }),
            complete: watch::Sender::new(false),
        })
    }

    /// Takes what there is of one scope: its first list, or what is known of it otherwise. What it comes to is given back with
    /// the last one.
    fn take(&self, list: Vec<Object>, is_listed: bool) -> Option<Change> {
        let mut waiting = self.lock();
        waiting.scopes = waiting.scopes.saturating_sub(1);
        waiting.has_listed |= is_listed;
        waiting.objects.extend(list);
        let is_last = waiting.scopes == 0;
        is_last.then(|| Change::Reset(self.kind, std::mem::take(&mut waiting.objects)))
    }

    fn has_listed(&self) -> bool {
        self.lock().has_listed
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // What a panic could leave behind is a list that never completes, which readiness tells.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often in a row the API server must refuse a kind, while it lists others, before it is done without.
const BELIEVED: u32 = 2;

/// The same for one of several scopes of a kind that nothing works without.
const BELIEVED_OF_ONE: u32 = 5;

/// What is served without objects that may not be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// What can be.
    Optional,
    /// What other scopes have of the kind; nothing where none has.
    Kind,
    /// Nothing.
    Scope,
}

/// What a feed is of.
pub(super) struct Part {
    /// Where it is known how far it has come.
    pub(super) scope: ScopeId,
    /// Whether it is all of its kind.
    pub(super) is_whole: bool,
    /// What is done where it may not be listed.
    pub(super) need: Need,
    /// Which objects it is of.
    pub(super) restriction: Restriction,
    /// What a former run knew.
    pub(super) state: Option<Arc<State>>,
}

/// The way of one watch to the reconciler.
pub(super) struct Feed {
    changes: mpsc::Sender<Change>,
    contact: Arc<Contact>,
    first: Arc<FirstLists>,
    part: Part,
    /// What there is of a part; of a whole kind the reconciler finds the difference to the next list by itself.
    known: BTreeSet<NamespacedName>,
    /// The list that is on its way, of a part.
    list: Vec<Object>,
    /// The names in the list that is on its way, of a whole kind: the objects have been sent.
    names: Vec<NamespacedName>,
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
        Self {
            changes,
            contact,
            first,
            part,
            known: BTreeSet::new(),
            list: Vec::new(),
            names: Vec::new(),
            holds_objects: false,
            has_listed: false,
            refusals: 0,
        }
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
    pub(super) async fn holds_objects(&self) -> bool {
        self.holds_objects || (!self.has_listed && !self.recalled().await.is_empty())
    }

    /// What a former run knew of it.
    async fn recalled(&self) -> Vec<Object> {
        let Some(state) = self.part.state.clone() else { return Vec::new() };
        let (kind, restriction) = (self.kind(), self.part.restriction.clone());
        let objects = spawn_blocking(move || state.objects(kind, |object| restriction.covers(object)));
        // A fault of ours, which the runtime has reported.
        objects.await.unwrap_or_default()
    }

    /// Returns when nobody receives any more.
    pub(super) async fn closed(&self) {
        self.changes.closed().await;
    }

    /// A list begins, perhaps after another one that was cut off.
    pub(super) fn begin_list(&mut self) {
        self.list.clear();
        self.names.clear();
    }

    /// An object of the list.
    pub(super) async fn take_in(&mut self, object: Object) -> Result<(), Closed> {
        if !self.part.is_whole {
            self.list.push(object);
            return Ok(());
        }
        self.names.push(object.name().clone());
        self.send(Change::Apply(Box::new(object))).await
    }

    /// Whether the list has no object so far.
    pub(super) fn is_list_empty(&self) -> bool {
        self.list.is_empty() && self.names.is_empty()
    }

    /// The list was everything that there is.
    pub(super) async fn end_list(&mut self) -> Result<(), Closed> {
        self.contact.listed(self.part.scope);
        self.holds_objects = !self.is_list_empty();
        let had_listed = std::mem::replace(&mut self.has_listed, true);
        if self.part.is_whole {
            let mut names = std::mem::take(&mut self.names);
            names.sort_unstable();
            names.dedup();
            self.send(Change::Listed(self.kind(), names)).await?;
            return self.tell().await;
        }
        let list = std::mem::take(&mut self.list);
        let names = list.iter().map(|object| object.name().clone()).collect();
        let before = std::mem::replace(&mut self.known, names);
        if had_listed {
            // It was done without, and now comes before the others.
            self.completed().await?;
            for name in before.difference(&self.known) {
                self.send(Change::Remove(ObjectRef { kind: self.kind(), name: name.clone() })).await?;
            }
            for object in list {
                self.send(Change::Apply(Box::new(object))).await?;
            }
        } else {
            match self.first.take(list, true) {
                Some(change) => self.complete(change).await?,
                // What changes meanwhile must not overtake the list that it is a change to.
                None => self.completed().await?,
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
        let is_done_without = match self.part.need {
            Need::Optional => self.refusals >= BELIEVED,
            // A namespace that may not be read costs what is in it, not what is in the others.
            Need::Kind => self.refusals >= BELIEVED_OF_ONE && self.first.has_listed(),
            Need::Scope => false,
        };
        if is_done_without && !self.has_listed {
            let recalled = self.recalled().await;
            self.has_listed = true;
            // Once it may be read, an empty list is doubted as any other one.
            self.holds_objects = !recalled.is_empty();
            if self.part.is_whole {
                // What is known of it is recalled as a whole, as something that may be out of date.
                self.send(Change::Refused(self.kind())).await?;
            } else {
                self.known = recalled.iter().map(|object| object.name().clone()).collect();
                if let Some(change) = self.first.take(recalled, false) {
                    self.complete(change).await?;
                }
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
