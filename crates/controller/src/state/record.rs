//! Keeping what a source sends, on its way to the reconciler.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{Pending, State, key};
use crate::change::Change;

/// How long changes come together before they are written.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// Passes changes on, and writes them a moment later. A disk that is slow, full or broken holds nothing up: what waits for it
/// is one entry for each object. Ends when either side is gone, with everything written.
pub async fn record(mut changes: mpsc::Receiver<Change>, reconciler: mpsc::Sender<Change>, state: Arc<State>) {
    let queue = Arc::new(Queue::default());
    let (end, ending) = watch::channel(false);
    let writer = tokio::spawn(write(Arc::clone(&queue), Arc::clone(&state), ending));
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = reconciler.closed() => None,
        };
        let Some(change) = change else { break };
        let Some(change) = queue.keep(change, &state).await else { break };
        if reconciler.send(change).await.is_err() {
            break;
        }
    }
    end.send_replace(true);
    // A panic in it has been reported by the runtime.
    let _ = writer.await;
}

/// What waits to be written.
#[derive(Default)]
struct Queue {
    pending: Mutex<Pending>,
    changed: Notify,
}

impl Queue {
    /// Takes in a change and gives it back; `None` when the runtime ends.
    async fn keep(self: &Arc<Self>, change: Change, state: &Arc<State>) -> Option<Change> {
        let change = match change {
            Change::Reset(kind, objects) => {
                // A kind may have tens of thousands.
                let state = Arc::clone(state);
                let encoded = spawn_blocking(move || {
                    let entries: Vec<_> = objects.iter().filter_map(|object| state.encode(object)).collect();
                    (objects, entries)
                });
                let (objects, entries) = encoded.await.ok()?;
                self.lock().replace(kind, entries);
                Change::Reset(kind, objects)
            }
            Change::Apply(object) => {
                if let Some((key, value)) = state.encode(&object) {
                    self.lock().entries.insert(key, Some(value));
                }
                Change::Apply(object)
            }
            Change::Remove(object) => {
                self.lock().entries.insert(key(&object), None);
                Change::Remove(object)
            }
            other => return Some(other),
        };
        self.changed.notify_one();
        Some(change)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // No code can panic while it holds this lock.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(queue: Arc<Queue>, state: Arc<State>, mut ending: watch::Receiver<bool>) {
    let mut has_failed = false;
    loop {
        let gathered = async {
            queue.changed.notified().await;
            sleep(if has_failed { RETRY } else { PAUSE }).await;
        };
        let is_ending = tokio::select! {
            () = gathered => false,
            _ = ending.wait_for(|ending| *ending) => true,
        };
        let pending = std::mem::take(&mut *queue.lock());
        if !pending.is_empty() {
            let state = Arc::clone(&state);
            let written = spawn_blocking(move || (state.write(&pending), pending));
            match written.await {
                Ok((Ok(()), _)) if has_failed => {
                    has_failed = false;
                    tracing::info!("the last known objects can be written again");
                }
                Ok((Ok(()), _)) => {}
                Ok((Err(error), pending)) => {
                    if !has_failed {
                        tracing::error!(%error, "a restart without the API server would serve what was known before now");
                    }
                    has_failed = true;
                    queue.lock().put_back(pending);
                    queue.changed.notify_one();
                }
                Err(_) => return,
            }
        }
        if is_ending {
            return;
        }
    }
}
