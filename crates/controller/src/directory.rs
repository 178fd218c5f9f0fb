//! The directory source: manifests in files, read once or followed.
//!
//! `*.yaml`, `*.yml` and `*.json` below the given directories are read, hidden files and directories aside. Following them,
//! the source sends what changed, object by object: an edit is on its way some 10 ms after the write. File events are the
//! fast way and a rescan every [`DirectorySource::DEFAULT_RESCAN`] is the net under it, for file systems without events.
//!
//! A file that does not parse, or a directory that cannot be listed, keeps its last good content; see [`contents`].

mod contents;
mod diagnostics;
mod excerpt;
mod locator;
mod read;
mod scan;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;

use self::contents::{Contents, ObjectChange, Scope};
pub use self::excerpt::{Excerpt, Excerpts};
pub use self::locator::Locator;
use self::scan::{FileKey, Listing, Stamp, scan};
use self::watch::Watches;
use crate::change::Change;
use crate::diagnostic::Diagnostic;
use crate::object::Object;

/// What one reading of files and directories found.
#[derive(Debug)]
pub struct Loaded {
    /// The objects, by kind, namespace and name. Of several definitions of one object, the first in path order.
    pub objects: Vec<Object>,
    /// What is wrong with the files, in path order.
    pub diagnostics: Vec<Diagnostic>,
    /// How many objects of kinds that are not watched were skipped, by `apiVersion Kind`.
    pub skipped: BTreeMap<String, usize>,
    /// The files that were read, in path order.
    pub files: Vec<PathBuf>,
    /// Where the objects stand.
    pub locator: Locator,
}

/// A path that was asked for cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {message}", path.display())]
pub struct LoadError {
    /// The path as it was given.
    pub path: PathBuf,
    /// Why.
    pub message: String,
}

/// Reads files and directories once.
///
/// # Errors
///
/// One of the paths does not exist or cannot be listed. Everything below them that cannot be read is a diagnostic.
pub fn load(paths: &[PathBuf]) -> Result<Loaded, LoadError> {
    let listing = scan(paths);
    let of_a_root = listing.unreadable.iter().find(|unreadable| paths.get(unreadable.root) == Some(&unreadable.path));
    if let Some(unreadable) = of_a_root {
        return Err(LoadError { path: unreadable.path.clone(), message: unreadable.message.clone() });
    }
    let locator = Locator::default();
    let mut contents = Contents::new(locator.clone());
    contents.look(&listing, &Scope::Everything, Instant::now());
    Ok(Loaded {
        objects: contents.objects().into_iter().flat_map(|(_, objects)| objects).collect(),
        diagnostics: contents.new_diagnostics(Vec::new()).unwrap_or_default(),
        skipped: contents.skipped(),
        files: contents.files().map(|key| key.path.to_path_buf()).collect(),
        locator,
    })
}

/// Follows files and directories, and sends what changes in them.
#[derive(Debug)]
pub struct DirectorySource {
    roots: Vec<PathBuf>,
    rescan_every: Duration,
    locator: Locator,
}

impl DirectorySource {
    /// How often everything is looked at without an event.
    pub const DEFAULT_RESCAN: Duration = Duration::from_secs(30);

    /// A source of these directories and files. Where an object is defined in several, the first one counts.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, rescan_every: Self::DEFAULT_RESCAN, locator: Locator::default() }
    }

    /// Changes how often everything is looked at without an event.
    #[must_use]
    pub fn rescan_every(self, interval: Duration) -> Self {
        Self { rescan_every: interval, ..self }
    }

    /// Where the objects stand that this source has sent.
    pub fn locator(&self) -> Locator {
        self.locator.clone()
    }

    /// Runs until nobody receives any more. A permit of `rescan` has everything looked at, and every file read, at once.
    ///
    /// The first messages are one [`Change::Reset`] for each kind, and the diagnostics if there are any. They wait until
    /// every root was listed once, for what is not known must not look like what is not there; until then only
    /// diagnostics are sent.
    pub async fn run(self, changes: mpsc::Sender<Change>, rescan: Arc<Notify>) {
        let Self { roots, rescan_every, locator } = self;
        let watches = Watches::new(&roots);
        let inbox = Arc::clone(&watches.inbox);
        let mut follower =
            Some(Box::new(Follower { contents: Contents::new(locator), roots, watches, rescan_every, listed: false }));
        let mut wake = Wake::Rescan;
        let mut next_rescan = tokio::time::Instant::now() + rescan_every;
        while let Some(mut current) = follower.take() {
            if matches!(wake, Wake::Rescan | Wake::Reread) {
                next_rescan = tokio::time::Instant::now() + rescan_every;
            }
            let looked = spawn_blocking(move || {
                let messages = current.wake(wake);
                (current, messages)
            });
            let Ok((current, messages)) = looked.await else {
                tracing::error!("looking at the manifest directory panicked; its changes are no longer followed");
                return;
            };
            for message in messages {
                if changes.send(message).await.is_err() {
                    return;
                }
            }
            let next_look = current.contents.next_look().map(tokio::time::Instant::from_std);
            follower = Some(current);
            wake = tokio::select! {
                () = changes.closed() => return,
                () = rescan.notified() => Wake::Reread,
                () = inbox.quiet_after_event() => Wake::Event,
                () = tokio::time::sleep_until(next_look.unwrap_or(next_rescan)), if next_look.is_some() => Wake::Due,
                () = tokio::time::sleep_until(next_rescan) => Wake::Rescan,
            };
        }
    }
}

/// Why the source looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// Files were touched.
    Event,
    /// Something must be looked at a second time.
    Due,
    /// It is time for the net.
    Rescan,
    /// Somebody asked, and may know of a change that leaves no trace in the time stamps.
    Reread,
}

/// The part of the source that touches the file system.
struct Follower {
    contents: Contents,
    roots: Vec<PathBuf>,
    watches: Watches,
    rescan_every: Duration,
    listed: bool,
}

impl Follower {
    /// Looks and says what to send. It blocks on the file system.
    fn wake(&mut self, wake: Wake) -> Vec<Change> {
        let touched = self.watches.inbox.take();
        let now = Instant::now();
        self.contents.note_unfinished(self.watches.inbox.unfinished(now));
        let scope = self.watches.scope(touched, &self.contents);
        let due = self.contents.due(now);
        if wake == Wake::Event && scope.is_none() && due.as_ref().is_some_and(BTreeSet::is_empty) {
            return Vec::new();
        }
        let scope = match (wake, scope, due) {
            (Wake::Rescan | Wake::Reread, ..) | (_, Some(Scope::Everything), _) | (_, _, None) => Scope::Everything,
            (_, Some(Scope::Only(mut keys)), Some(due)) => {
                keys.extend(due);
                Scope::Only(keys)
            }
            (_, None, Some(due)) => Scope::Only(due),
        };
        if wake == Wake::Reread {
            self.contents.distrust_stamps();
        }
        let of_keys = match &scope {
            Scope::Everything => None,
            Scope::Only(keys) => Some(look_at(keys)).filter(|listing| !self.contents.empties_a_root(keys, listing)),
        };
        let changes = match of_keys {
            Some(listing) => self.contents.look(&listing, &scope, now),
            None => self.look_at_everything(),
        };
        let of_watches = self.watches.diagnostic(self.rescan_every).into_iter().collect();
        let diagnostics = self.contents.new_diagnostics(of_watches);
        let mut messages: Vec<_> = if self.listed {
            changes.into_iter().map(Change::from).collect()
        } else if self.contents.is_root_unreadable(&self.roots) {
            Vec::new()
        } else {
            self.listed = true;
            tracing::info!(files = self.contents.files().count(), "the manifest directory is read");
            self.contents.objects().into_iter().map(|(kind, objects)| Change::Reset(kind, objects)).collect()
        };
        messages.extend(diagnostics.map(Change::Diagnostics));
        if let Some(skipped) = self.contents.new_skipped() {
            tracing::info!(?skipped, "objects of kinds that are not watched are left alone");
            messages.push(Change::Skipped(skipped));
        }
        messages
    }

    fn look_at_everything(&mut self) -> Vec<ObjectChange> {
        let listing = scan(&self.roots);
        let mut changes = self.contents.look(&listing, &Scope::Everything, Instant::now());
        // What is new is watched only now, because reading it would be an event for each file. What happened in it in the
        // meantime shows in a second scan.
        if self.watches.follow(&listing) {
            changes.extend(self.contents.look(&scan(&self.roots), &Scope::Everything, Instant::now()));
        }
        changes
    }
}

/// A listing of single files.
fn look_at(keys: &BTreeSet<FileKey>) -> Listing {
    let mut listing = Listing::default();
    for key in keys {
        match fs::metadata(&key.path) {
            Ok(metadata) if metadata.is_file() => {
                listing.files.insert(key.clone(), Ok(Stamp::of(&metadata)));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                listing.files.insert(key.clone(), Err(scan::describe(&error)));
            }
        }
    }
    listing
}
