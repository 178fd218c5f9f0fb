//! File events: which files they are about, gathered until someone asks.
//!
//! Every listed directory is watched by itself, and so are those that links to files lead to and the parents of roots
//! that may appear or be replaced there unseen. Hidden directories are not: repositories keep their whole history there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::contents::{Contents, Scope, Unfinished};
use super::scan::{FileKey, Listing, Stamp, is_hidden, is_manifest};
use crate::diagnostic::{Diagnostic, FileLocation, Severity};

/// A write is read when no further event came for this long,
const QUIET: Duration = Duration::from_millis(5);
/// or this long after the first event.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// A file is being written until it is closed, or until this long after the last write: some file systems tell of writes
/// and of no end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether the events of this system tell when a writer closes a file.
const TELLS_CLOSE: bool = cfg!(target_os = "linux");

/// Whether a watch on a directory tells when that is moved or removed.
const TELLS_END: bool = cfg!(target_os = "linux");

/// With more touched paths than this, looking at everything is cheaper.
const MANY_PATHS: usize = 1024;

/// The paths that events named since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Touched {
    paths: BTreeSet<PathBuf>,
    everything: bool,
}

/// Where the watcher's thread leaves events.
#[derive(Debug)]
pub(super) struct Inbox {
    /// The roots as absolute paths.
    roots: Vec<PathBuf>,
    gathered: Mutex<Gathered>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Gathered {
    touched: Touched,
    /// When the latest event came.
    latest: Option<Instant>,
    /// The directories outside the roots, or hidden in them, in which something may matter.
    link_targets: BTreeSet<PathBuf>,
    writing: BTreeMap<PathBuf, Writing>,
}

/// A file that was created or written to, and not closed since.
#[derive(Debug)]
struct Writing {
    latest: std::time::Instant,
    is_modified: bool,
}

impl Gathered {
    /// Notes who begins and who ends writing. Whatever replaces a file as a whole ends it.
    fn note_writing(&mut self, kind: &EventKind, paths: &[PathBuf]) {
        let is_modified = match kind {
            EventKind::Modify(ModifyKind::Data(_)) if TELLS_CLOSE => true,
            EventKind::Create(CreateKind::File) if TELLS_CLOSE => false,
            EventKind::Access(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                paths.iter().for_each(|path| {
                    self.writing.remove(path);
                });
                return;
            }
            _ => return,
        };
        let latest = std::time::Instant::now();
        self.writing.extend(paths.iter().map(|path| (path.clone(), Writing { latest, is_modified })));
    }
}

impl Inbox {
    /// Waits for an event and for the quiet after it.
    pub(super) async fn quiet_after_event(&self) {
        self.arrived.notified().await;
        let deadline = Instant::now() + LONGEST_WAIT;
        loop {
            let until = self.lock().latest.map_or(deadline, |latest| deadline.min(latest + QUIET));
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Takes what was touched.
    pub(super) fn take(&self) -> Touched {
        std::mem::take(&mut self.lock().touched)
    }

    /// The files that somebody is writing.
    pub(super) fn unfinished(&self, now: std::time::Instant) -> Unfinished {
        let mut gathered = self.lock();
        gathered.writing.retain(|_, writing| writing.latest + LONGEST_PAUSE > now);
        let unfinished = gathered.writing.iter().filter_map(|(path, writing)| {
            let metadata = fs::metadata(path).ok()?;
            // A link is created with its content and is never closed.
            let is_unfinished = metadata.is_file() && (writing.is_modified || metadata.len() == 0);
            is_unfinished.then(|| (Stamp::of(&metadata).identity(), writing.latest + LONGEST_PAUSE))
        });
        unfinished.collect()
    }

    fn receive(&self, event: Result<Event, notify::Error>) {
        let mut gathered = self.lock();
        match event {
            Ok(event) if event.need_rescan() => {
                // Among the events that were lost may be the end of a writing.
                gathered.writing.clear();
                gathered.touched.everything = true;
            }
            // Reading a file is an event as well, and the source is who reads.
            Ok(Event { kind: EventKind::Access(access), .. }) if access != AccessKind::Close(AccessMode::Write) => {
                return;
            }
            Ok(event) => {
                let mut paths = event.paths;
                paths.retain(|path| is_in(&gathered.link_targets, path) || self.is_visible(path));
                if paths.is_empty() {
                    return;
                }
                gathered.note_writing(&event.kind, &paths);
                gathered.touched.paths.extend(paths);
            }
            Err(_) => gathered.touched.everything = true,
        }
        if gathered.touched.paths.len() > MANY_PATHS {
            gathered.touched.everything = true;
            gathered.touched.paths.clear();
        }
        gathered.latest = Some(Instant::now());
        drop(gathered);
        self.arrived.notify_one();
    }

    /// Whether a path is a root or below one, and no tool's hidden working file. What else happens in the parent of a root,
    /// which may be a busy place such as `/tmp`, must not hold up what happens in the root.
    fn is_visible(&self, path: &Path) -> bool {
        let is_working_file = is_hidden(path) && !is_of_kubelet(path);
        self.roots.iter().any(|root| root == path || (path.starts_with(root) && !is_working_file))
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        // What a panic could leave behind is at worst a path too few, which the next rescan makes good.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watches on directories.
pub(super) struct Watches {
    roots: Vec<PathBuf>,
    watcher: Result<RecommendedWatcher, String>,
    /// The watched directories by absolute path, with device and inode.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    /// Those of them whose files are known by that path, with the index of their root.
    listed: BTreeMap<PathBuf, usize>,
    failure: Option<(PathBuf, String)>,
    pub(super) inbox: Arc<Inbox>,
}

impl Watches {
    pub(super) fn new(roots: &[PathBuf]) -> Self {
        // Events name absolute paths. A root that cannot be made absolute has an empty path, and fails to be listed.
        let absolute = roots.iter().map(|root| std::path::absolute(root).unwrap_or_else(|_| root.clone())).collect();
        let inbox = Arc::new(Inbox { roots: absolute, gathered: Mutex::default(), arrived: Notify::new() });
        let sink = Arc::clone(&inbox);
        let watcher = notify::recommended_watcher(move |event| sink.receive(event)).map_err(|error| describe(&error));
        Self { roots: roots.to_vec(), watcher, watched: BTreeMap::new(), listed: BTreeMap::new(), failure: None, inbox }
    }

    /// Makes the watches fit what a scan of everything found. Says whether any watch is new: what happened in its directory
    /// between the scan and now went unseen.
    pub(super) fn follow(&mut self, listing: &Listing) -> bool {
        let Ok(watcher) = &mut self.watcher else { return false };
        let mut wanted = BTreeMap::new();
        self.listed.clear();
        for (path, directory) in &listing.directories {
            let Ok(path) = std::path::absolute(path) else { continue };
            self.listed.insert(path.clone(), directory.root);
            wanted.insert(path, directory.identity);
        }
        let filled: BTreeSet<usize> = listing.files.keys().map(|key| key.root).collect();
        let roots = self.inbox.roots.iter().enumerate();
        let parents = roots.filter(|(at, root)| !(filled.contains(at) && tells_its_end(root)));
        let parents = parents.filter_map(|(_, root)| root.parent());
        for path in parents.chain(listing.link_targets.iter().map(PathBuf::as_path)) {
            if let Ok(metadata) = fs::metadata(path)
                && metadata.is_dir()
                && !wanted.contains_key(path)
            {
                wanted.insert(path.to_owned(), (metadata.dev(), metadata.ino()));
            }
        }
        self.inbox.lock().link_targets.clone_from(&listing.link_targets);
        self.failure = None;
        let unwanted: Vec<_> = self
            .watched
            .iter()
            .filter(|(path, identity)| wanted.get(*path) != Some(identity))
            .map(|(path, _)| path.clone())
            .collect();
        for path in unwanted {
            self.watched.remove(&path);
            // It fails for a directory that is gone, whose watch went with it.
            let _ = watcher.unwatch(&path);
        }
        let mut any_new = false;
        for (path, identity) in wanted {
            any_new |= self.watch(path, identity);
        }
        // One that went away since the scan has no watch that would tell of its return.
        let inbox = Arc::clone(&self.inbox);
        for root in &inbox.roots {
            if !self.watched.contains_key(root)
                && let Some(parent) = root.parent()
                && let Ok(metadata) = fs::metadata(parent)
            {
                any_new |= self.watch(parent.to_owned(), (metadata.dev(), metadata.ino()));
            }
        }
        any_new
    }

    /// Watches a directory, and says whether that is new.
    fn watch(&mut self, path: PathBuf, identity: (u64, u64)) -> bool {
        let Ok(watcher) = &mut self.watcher else { return false };
        if self.watched.contains_key(&path) {
            return false;
        }
        match watcher.watch(&path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(path, identity);
                true
            }
            Err(error) => {
                self.failure = Some((path, describe(&error)));
                false
            }
        }
    }

    /// What to look at for the touched paths; `None` when nothing that matters was touched.
    pub(super) fn scope(&mut self, touched: Touched, contents: &Contents) -> Option<Scope> {
        let mut keys = BTreeSet::new();
        let mut everything = touched.everything;
        for path in touched.paths {
            if self.watched.remove(&path).is_some()
                && let Ok(watcher) = &mut self.watcher
            {
                // It may be another directory by now, even one of the same inode, and the watch is on the old one.
                let _ = watcher.unwatch(&path);
                everything = true;
            }
            match self.meaning(&path, contents) {
                Meaning::Nothing => {}
                Meaning::File(key) => {
                    keys.insert(key);
                }
                Meaning::Everything => everything = true,
            }
        }
        match (everything, keys.is_empty()) {
            (true, _) => Some(Scope::Everything),
            (false, false) => Some(Scope::Only(keys)),
            (false, true) => None,
        }
    }

    fn meaning(&self, path: &Path, contents: &Contents) -> Meaning {
        if self.inbox.roots.iter().any(|root| root == path) || is_in(&self.inbox.lock().link_targets, path) {
            return Meaning::Everything;
        }
        if is_hidden(path) {
            return if is_of_kubelet(path) { Meaning::Everything } else { Meaning::Nothing };
        }
        let key_below = |root: usize| {
            let below = path.strip_prefix(self.inbox.roots.get(root)?).ok()?;
            Some(FileKey { root, path: self.roots.get(root)?.join(below).into() })
        };
        // Nested roots are listed as part of the outer one only if that comes first, so all are tried.
        if let Some(known) = (0..self.roots.len()).filter_map(key_below).find(|key| contents.knows(key)) {
            return Meaning::File(known);
        }
        match fs::symlink_metadata(path) {
            // A new file that has no other name, in a directory that is known.
            Ok(metadata) if metadata.is_file() && metadata.nlink() == 1 && is_manifest(path) => {
                let root = path.parent().and_then(|parent| self.listed.get(parent));
                root.and_then(|root| key_below(*root)).map_or(Meaning::Everything, Meaning::File)
            }
            // Under which name this is known is for a scan to say.
            Ok(metadata) if metadata.is_dir() || metadata.is_symlink() || is_manifest(path) => Meaning::Everything,
            Ok(_) => Meaning::Nothing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Meaning::Nothing,
            Err(_) => Meaning::Everything,
        }
    }

    /// The diagnostic about watches that could not be set up.
    pub(super) fn diagnostic(&self, rescan_every: Duration) -> Option<Diagnostic> {
        let (path, why) = match (&self.watcher, &self.failure) {
            (Err(why), _) => (self.roots.first()?, why),
            (Ok(_), Some((path, why))) => (path, why),
            (Ok(_), None) => return None,
        };
        Some(Diagnostic {
            severity: Severity::Warning,
            code: "WatchFailed",
            origin: None,
            location: Some(FileLocation { file: path.display().to_string(), line: 1, column: 1 }),
            message: format!(
                "the directory cannot be watched: {why}; changes in it are found by the rescan every {} s",
                rescan_every.as_secs_f64(),
            ),
            mend: "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances".to_owned(),
        })
    }
}

/// Whether the watch on a root that holds files says that it was moved or removed. Its parent, which may be a busy place
/// such as `/tmp`, need not be watched then: inotify would wake the source for every write there. A directory cannot be
/// removed before it is empty; one that is open when it is removed does not tell, and so an empty one does not count.
fn tells_its_end(root: &Path) -> bool {
    TELLS_END && fs::symlink_metadata(root).is_ok_and(|metadata| metadata.is_dir())
}

/// Whether a path is directly in one of these directories.
fn is_in(directories: &BTreeSet<PathBuf>, path: &Path) -> bool {
    path.parent().is_some_and(|parent| directories.contains(parent))
}

/// Whether this is the link `..data` of a mounted ConfigMap, or a directory that it leads to. A single dot is a working
/// file of some tool.
fn is_of_kubelet(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".."))
}

/// What a touched path means for the source.
enum Meaning {
    Nothing,
    File(FileKey),
    Everything,
}

fn describe(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => "the limit of watches is reached".to_owned(),
        notify::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::super::scan::scan;
    use super::*;

    #[test]
    fn the_parent_of_a_root_is_watched_only_where_the_root_does_not_tell_its_end() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("root");
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let is_parent_watched = |root: &Path| {
            let roots = [root.to_owned()];
            let mut watches = Watches::new(&roots);
            watches.follow(&scan(&roots));
            watches.watched.contains_key(parent.path())
        };
        assert!(is_parent_watched(&root), "it may appear");
        fs::create_dir(&root).unwrap();
        assert!(is_parent_watched(&root), "it may be removed");
        fs::write(root.join("m.yaml"), "").unwrap();
        assert_eq!(is_parent_watched(&root), !TELLS_END);
        assert!(is_parent_watched(&link), "it may lead elsewhere");
    }
}
