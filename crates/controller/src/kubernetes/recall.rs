//! What a former run knew, for a start without the API server.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval};

use super::contact::Contact;
use crate::change::Change;
use crate::object::Kind;
use crate::state::State;

/// How long the API server has to answer at all, and how long to list everything if it does: longer than an empty list is
/// doubted.
const ANSWER: Duration = Duration::from_secs(1);
const LISTS: Duration = Duration::from_secs(30);

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Sends what `state` holds of each kind that the API server does not list in time.
pub(super) async fn run(state: Arc<State>, contact: Arc<Contact>, changes: mpsc::Sender<Change>) {
    let started = Instant::now();
    let mut waiting: Vec<Kind> = contact.kinds().into_keys().collect();
    let mut ticks = interval(TICK);
    while !waiting.is_empty() {
        tokio::select! {
            _ = ticks.tick() => {}
            () = changes.closed() => return,
        }
        let kinds = contact.kinds();
        waiting.retain(|kind| !kinds.get(kind).is_some_and(|contact| contact.is_listed));
        if started.elapsed() < ANSWER {
            continue;
        }
        let is_late = started.elapsed() >= LISTS;
        let has_failed = |kind: &Kind| kinds.get(kind).is_some_and(|contact| contact.failures > 0);
        let is_due = |kind: &Kind| is_late || !contact.has_answered() || has_failed(kind);
        let (due, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_due);
        waiting = rest;
        for kind in due {
            let state = Arc::clone(&state);
            let recalled = spawn_blocking(move || state.recall(kind)).await;
            // It runs to its end but for a fault of ours, which the runtime has reported.
            let Ok(Some(change)) = recalled else { continue };
            let objects = if let Change::Recall(_, objects) = &change { objects.len() } else { 0 };
            tracing::warn!(kind = kind.name(), objects, "not listed in time: serving what was last known");
            if changes.send(change).await.is_err() {
                return;
            }
        }
    }
}
