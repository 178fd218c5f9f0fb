//! Keeping what a source sends, on its way to the reconciler.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::{Content, State, line};
use crate::change::Change;
use crate::object::{Kind, NamespacedName, Object};

/// How long changes come together before they are written.
const PAUSE: Duration = Duration::from_secs(1);

/// The part of the time that may go into writing: the pause is so many times as long as the last write took. A file is
/// replaced as a whole, and tens of thousands of EndpointSlices must not keep the disk busy.
const SHARE: u32 = 20;

/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// Passes changes on, and writes them a moment later. A disk that is slow, full or broken holds nothing up: what waits for it
/// is what is there anyway, once. Ends when either side is gone, with everything written.
pub async fn record(mut changes: mpsc::Receiver<Change>, reconciler: mpsc::Sender<Change>, state: Arc<State>) {
    let known = Arc::new(Known { keeps_secrets: state.keeps_secrets(), ..Known::default() });
    let (end, ending) = watch::channel(false);
    let writer = tokio::spawn(write(Arc::clone(&known), state, ending));
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = reconciler.closed() => None,
        };
        let Some(change) = change else { break };
        let Some(change) = known.keep(change).await else { break };
        if reconciler.send(change).await.is_err() {
            break;
        }
    }
    end.send_replace(true);
    // A panic in it has been reported by the runtime.
    let _ = writer.await;
}

type Lines = BTreeMap<NamespacedName, Vec<u8>>;

/// What this run knows of a kind. The default is the beginning of a list.
#[derive(Debug, Default)]
struct OfKind {
    /// `None` if it may not be read.
    lines: Option<Lines>,
    /// Whether it is all that there is: the list has come to its end.
    is_listed: bool,
    is_written: bool,
}

impl OfKind {
    /// Its lines, to change them. If it could not be read, it can now, and its list begins.
    fn lines(&mut self) -> &mut Lines {
        if self.lines.is_none() {
            *self = Self::default();
        }
        self.lines.get_or_insert_default()
    }
}

/// What this run knows.
#[derive(Default)]
struct Known {
    kinds: Mutex<BTreeMap<Kind, OfKind>>,
    keeps_secrets: bool,
    changed: Notify,
}

impl Known {
    /// Takes in a change and gives it back; `None` when the runtime ends.
    async fn keep(self: &Arc<Self>, change: Change) -> Option<Change> {
        let change = match change {
            Change::Reset(kind, objects) => {
                // A kind may have tens of thousands.
                let is_kept = self.keeps(kind);
                let encoded = spawn_blocking(move || (lines(objects.iter().filter(|_| is_kept)), objects));
                let (lines, objects) = encoded.await.ok()?;
                let mut kinds = self.lock();
                if kinds.get(&kind).is_none_or(|known| !known.is_listed || known.lines.as_ref() != Some(&lines)) {
                    kinds.insert(kind, OfKind { lines: Some(lines), is_listed: true, is_written: false });
                }
                Change::Reset(kind, objects)
            }
            Change::Listed(kind, names) => {
                let listed: BTreeSet<_> = names.iter().filter(|_| self.keeps(kind)).collect();
                let mut kinds = self.lock();
                let known = kinds.entry(kind).or_default();
                let lines = known.lines();
                if lines.len() > listed.len() {
                    lines.retain(|name, _| listed.contains(name));
                    known.is_written = false;
                }
                known.is_listed = true;
                drop((listed, kinds));
                Change::Listed(kind, names)
            }
            Change::Refused(kind) => {
                let mut kinds = self.lock();
                let known = kinds.entry(kind).or_default();
                if !known.is_listed {
                    // A list that was cut off is none.
                    *known = OfKind { lines: None, is_listed: true, is_written: false };
                }
                drop(kinds);
                Change::Refused(kind)
            }
            Change::Apply(object) => {
                if self.keeps(object.kind()) {
                    let (name, line) = (object.name().clone(), line(&object));
                    self.change(object.kind(), |lines| lines.insert(name, line.clone()) != Some(line));
                }
                Change::Apply(object)
            }
            Change::Remove(object) => {
                self.change(object.kind, |lines| lines.remove(&object.name).is_some());
                Change::Remove(object)
            }
            other => return Some(other),
        };
        self.changed.notify_one();
        Some(change)
    }

    fn keeps(&self, kind: Kind) -> bool {
        kind != Kind::Secret || self.keeps_secrets
    }

    /// Changes what is known of a kind; `change` says whether it did.
    fn change(&self, kind: Kind, change: impl FnOnce(&mut Lines) -> bool) {
        let mut kinds = self.lock();
        let known = kinds.entry(kind).or_default();
        if change(known.lines()) {
            known.is_written = false;
        }
    }

    /// What is to be written of a kind: nothing before its list has come to its end.
    fn take(&self, kind: Kind) -> Option<Content> {
        let mut kinds = self.lock();
        let known = kinds.get_mut(&kind).filter(|known| known.is_listed && !known.is_written)?;
        known.is_written = true;
        Some(match &known.lines {
            Some(lines) => Content::Lines(lines.values().flatten().copied().collect()),
            None => Content::Refused,
        })
    }

    /// Takes back that these kinds were written.
    fn put_back(&self, kinds: &[Kind]) {
        let mut known = self.lock();
        for kind in kinds {
            if let Some(known) = known.get_mut(kind) {
                known.is_written = false;
            }
        }
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, OfKind>> {
        // No code can panic while it holds this lock.
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lines<'o>(objects: impl Iterator<Item = &'o Object>) -> Lines {
    objects.map(|object| (object.name().clone(), line(object))).collect()
}

async fn write(known: Arc<Known>, state: Arc<State>, mut ending: watch::Receiver<bool>) {
    let mut has_failed = false;
    let mut took = Duration::ZERO;
    loop {
        let gathered = async {
            known.changed.notified().await;
            sleep(if has_failed { RETRY } else { PAUSE.max(took * SHARE) }).await;
        };
        let is_ending = tokio::select! {
            () = gathered => false,
            _ = ending.wait_for(|ending| *ending) => true,
        };
        let started = Instant::now();
        let mut failed = Vec::new();
        // Each kind once: what changes meanwhile has its turn in the next round.
        for kind in Kind::ALL {
            let Some(content) = known.take(kind) else { continue };
            let to = Arc::clone(&state);
            let written = spawn_blocking(move || to.write(kind, content)).await;
            if let Err(error) = written.unwrap_or_else(|fault| Err(io::Error::other(fault))) {
                if !has_failed && failed.is_empty() {
                    let directory = state.directory.display();
                    tracing::error!(%directory, %error, "a restart without the API server would serve what was known before now");
                }
                if error.kind() == io::ErrorKind::NotFound {
                    // The directory is gone, and with it what was written before.
                    failed.extend(Kind::ALL);
                } else {
                    failed.push(kind);
                }
            }
        }
        if has_failed && failed.is_empty() {
            tracing::info!("what is known can be written again");
        }
        has_failed = !failed.is_empty();
        if has_failed {
            known.put_back(&failed);
        }
        took = started.elapsed();
        if is_ending {
            return;
        }
    }
}
