//! What is known of the contact with the API server: which kinds are listed, what it refuses, whether it answers at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edgeward_routing::origin::Origin;
use tokio::sync::mpsc;

use super::status::Observation;
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

/// How far a kind has come.
#[derive(Debug, Clone, Default)]
pub struct KindContact {
    /// Whether it has been listed once.
    pub is_listed: bool,
    /// Failures since the start.
    pub failures: u64,
    /// The last failure, until the kind is listed or a watch says something again.
    trouble: Option<Trouble>,
}

/// What is known of the contact with the API server.
#[derive(Debug)]
pub struct Contact {
    kinds: Mutex<BTreeMap<Kind, KindContact>>,
    told: Mutex<Vec<Diagnostic>>,
    /// Where the addresses in the status of Ingresses are told.
    observations: mpsc::UnboundedSender<Observation>,
}

impl Contact {
    pub(super) fn new(observations: mpsc::UnboundedSender<Observation>) -> Arc<Self> {
        Arc::new(Self { kinds: Mutex::default(), told: Mutex::default(), observations })
    }

    /// Every kind that was heard of.
    pub fn kinds(&self) -> BTreeMap<Kind, KindContact> {
        self.lock().clone()
    }

    /// The kinds that could not be listed yet, with the last error.
    pub fn unlisted(&self) -> Vec<(Kind, String)> {
        let kinds = self.lock();
        let unlisted = kinds.iter().filter(|(_, contact)| !contact.is_listed);
        unlisted.filter_map(|(kind, contact)| Some((*kind, contact.trouble.as_ref()?.message.clone()))).collect()
    }

    pub(super) fn listed(&self, kind: Kind) {
        let mut kinds = self.lock();
        let contact = kinds.entry(kind).or_default();
        contact.is_listed = true;
        if contact.trouble.take().is_some() {
            tracing::info!(kind = kind.name(), "listed again");
        }
    }

    pub(super) fn failed(&self, kind: Kind, trouble: Trouble) {
        let mut kinds = self.lock();
        let contact = kinds.entry(kind).or_default();
        contact.failures += 1;
        // Said once: it is tried again every few seconds.
        if contact.trouble.as_ref().is_none_or(|known| known.code != trouble.code) {
            tracing::warn!(kind = kind.name(), error = trouble.message, "cannot be listed or watched; trying again");
        }
        contact.trouble = Some(trouble);
    }

    pub(super) fn observe(&self, observation: Observation) {
        // Nobody listens where no status is written.
        let _ = self.observations.send(observation);
    }

    /// What the API server refuses, if that is different from what was said last.
    pub(super) fn new_diagnostics(&self) -> Option<Vec<Diagnostic>> {
        let diagnostics: Vec<_> = self.lock().iter().filter_map(|(kind, contact)| refusal(*kind, contact)).collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        (*told != diagnostics).then(|| {
            told.clone_from(&diagnostics);
            diagnostics
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, KindContact>> {
        // No code can panic while it holds this lock.
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(kind: Kind, contact: &KindContact) -> Option<Diagnostic> {
    let trouble = contact.trouble.as_ref().filter(|trouble| trouble.is_refusal())?;
    let (resource, group) = kind.resource();
    let meanwhile = if contact.is_listed { "what was last known stays in force" } else { "none is known" };
    Some(Diagnostic::new(
        Severity::Error,
        "KindRefused",
        Origin::object(kind.name(), "", ""),
        format!("the API server refuses to list or watch {resource}: {}; {meanwhile}", trouble.message),
        format!("give the service account the verbs list and watch on {resource} of the API group `{group}`"),
    ))
}
