//! What is known of the contact with the API server: what is listed, what it refuses, whether it answers at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edgeward_routing::origin::Origin;
use tokio::sync::mpsc;

use super::status::Observation;
use crate::change::Change;
use crate::diagnostic::{Diagnostic, Severity};
use crate::object::Kind;

/// Why a kind could not be listed or watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The status with which the API server answered; `None` when it did not.
    pub(super) code: Option<u16>,
    pub(super) message: String,
}

impl Trouble {
    /// Whether the API server answered and will not: the rights are missing, or it does not know the kind.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.code, Some(401 | 403 | 404))
    }
}

/// How far a kind has come, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindContact {
    /// Whether all of it has been listed once.
    pub is_listed: bool,
    /// Failures since the start.
    pub failures: u64,
}

/// What could not be listed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// The kind.
    pub kind: Kind,
    /// The namespace; empty for all.
    pub namespace: String,
    /// The last error.
    pub error: String,
}

/// A kind, in all namespaces or in one.
#[derive(Debug)]
struct Scope {
    kind: Kind,
    namespace: String,
    contact: KindContact,
    /// The last failure, until it is listed or a watch says something again.
    trouble: Option<Trouble>,
}

/// What is known of the contact with the API server.
#[derive(Debug)]
pub struct Contact {
    scopes: Mutex<Vec<Scope>>,
    has_answered: AtomicBool,
    /// The diagnostics that were sent last. The lock is held while they are sent, so that no older ones follow.
    told: tokio::sync::Mutex<Vec<Diagnostic>>,
    /// Where the addresses in the status of Ingresses are told.
    observations: mpsc::UnboundedSender<Observation>,
}

/// The number of a scope.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScopeId(usize);

impl Contact {
    pub(super) fn new(observations: mpsc::UnboundedSender<Observation>) -> Arc<Self> {
        Arc::new(Self {
            scopes: Mutex::default(),
            has_answered: AtomicBool::default(),
            told: tokio::sync::Mutex::default(),
            observations,
        })
    }

    /// Forgets every scope: they are watched anew.
    pub(super) fn begin_anew(&self) {
        self.lock().clear();
    }

    /// A further scope, of which nothing is known yet. `namespace` is empty for all.
    pub(super) fn add(&self, kind: Kind, namespace: &str) -> ScopeId {
        let mut scopes = self.lock();
        let contact = KindContact { is_listed: false, failures: 0 };
        scopes.push(Scope { kind, namespace: namespace.to_owned(), contact, trouble: None });
        ScopeId(scopes.len() - 1)
    }

    /// Every kind that is watched.
    pub fn kinds(&self) -> BTreeMap<Kind, KindContact> {
        let mut kinds: BTreeMap<Kind, KindContact> = BTreeMap::new();
        for Scope { kind, contact, .. } in &*self.lock() {
            let all = kinds.entry(*kind).or_insert(KindContact { is_listed: true, failures: 0 });
            all.is_listed &= contact.is_listed;
            all.failures += contact.failures;
        }
        kinds
    }

    /// What could not be listed yet because of an error.
    pub fn unlisted(&self) -> Vec<Unlisted> {
        let scopes = self.lock();
        let unlisted = scopes.iter().filter(|scope| !scope.contact.is_listed);
        unlisted
            .filter_map(|Scope { kind, namespace, trouble, .. }| {
                let error = trouble.as_ref()?.message.clone();
                Some(Unlisted { kind: *kind, namespace: namespace.clone(), error })
            })
            .collect()
    }

    /// Whether anything has been listed: the API server knows who asks, and what the rights are.
    pub(super) fn has_listed(&self) -> bool {
        self.lock().iter().any(|scope| scope.contact.is_listed)
    }

    /// Whether the API server has ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    pub(super) fn listed(&self, id: ScopeId) {
        self.answered();
        if let Some(scope) = self.lock().get_mut(id.0) {
            scope.contact.is_listed = true;
            if scope.trouble.take().is_some() {
                tracing::info!(kind = scope.kind.name(), namespace = scope.namespace, "listed again");
            }
        }
    }

    /// A watch says something. Returns whether that is the end of a trouble.
    pub(super) fn heard(&self, id: ScopeId) -> bool {
        self.lock().get_mut(id.0).is_some_and(|scope| scope.trouble.take().is_some())
    }

    pub(super) fn failed(&self, id: ScopeId, trouble: Trouble) {
        let mut scopes = self.lock();
        let Some(scope) = scopes.get_mut(id.0) else { return };
        scope.contact.failures += 1;
        // Said once: it is tried again every few seconds.
        if scope.trouble.as_ref().is_none_or(|known| known.code != trouble.code) {
            tracing::warn!(
                kind = scope.kind.name(),
                namespace = scope.namespace,
                error = trouble.message,
                "cannot be listed or watched; trying again"
            );
        }
        scope.trouble = Some(trouble);
    }

    pub(super) fn observe(&self, observation: Observation) {
        // Nobody listens where no status is written.
        let _ = self.observations.send(observation);
    }

    /// Sends what the API server refuses, if that is different from what was said last. Fails when nobody receives any more.
    pub(super) async fn tell(&self, changes: &mpsc::Sender<Change>) -> Result<(), mpsc::error::SendError<Change>> {
        let mut told = self.told.lock().await;
        let diagnostics: Vec<_> = self.lock().iter().filter_map(refusal).collect();
        if *told == diagnostics {
            return Ok(());
        }
        told.clone_from(&diagnostics);
        changes.send(Change::Diagnostics(diagnostics)).await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Scope>> {
        // No code can panic while it holds this lock.
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(scope: &Scope) -> Option<Diagnostic> {
    let trouble = scope.trouble.as_ref().filter(|trouble| trouble.is_refusal())?;
    let (resource, group) = scope.kind.resource();
    let place = match scope.namespace.as_str() {
        "" => String::new(),
        namespace => format!(" in the namespace `{namespace}`"),
    };
    let meanwhile = if scope.contact.is_listed {
        "what was last known stays in force"
    } else {
        "what a former run knew of them, if anything, is served"
    };
    Some(Diagnostic::new(
        Severity::Error,
        "KindRefused",
        Origin::object(scope.kind.name(), &scope.namespace, ""),
        format!("the API server refuses to list or watch {resource}{place}: {}; {meanwhile}", trouble.message),
        format!("give the service account the verbs list and watch on {resource} of the API group `{group}`{place}"),
    ))
}
