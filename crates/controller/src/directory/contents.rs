//! What the files hold, who wins where several define one object, and what changed since it was last told.
//!
//! Three rules keep a slip from becoming an outage. What cannot be read is not gone: the last good content of the file, or
//! of the object in it, stays. What is gone must be gone twice: an editor may move a file away before it puts the new one in
//! place, so a removal counts only when a look at least [`GRACE`] later confirms it. And what looks like a moment of a
//! change is waited for, though not longer than [`DOUBT`]: a file that somebody is writing, one that is suddenly empty, a
//! root that is. Additions and changes count at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::diagnostics::{duplicate, empty, location, stale};
use super::locator::{Locator, reference_of};
use super::read::{ReadError, UNREADABLE_MEND, file_error, read_all};
use super::scan::{FileKey, Listing, Stamp, Unreadable};
use crate::change::Change;
use crate::diagnostic::{Diagnostic, FileLocation, Severity};
use crate::object::{Kind, Object, ObjectRef};
use crate::parse::{Failure, Parsed, Position};

/// How long something must stay away to be gone. For a file it begins anew with every other file of its root that goes
/// away, so that what is emptied file by file is seen as one change.
pub(super) const GRACE: Duration = Duration::from_millis(100);

/// How long the likely end of a change is waited for.
pub(super) const DOUBT: Duration = Duration::from_secs(10);

/// When something that should have been looked at and could not is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A file that was written less than this before it was read may be written again without a new time stamp: file systems
/// take their time from a clock that ticks every few milliseconds.
const CLOCK_TICK: Duration = Duration::from_millis(50);

/// An object and where it starts. The object is shared with what was last told about it.
#[derive(Debug, Clone)]
struct Held {
    object: Arc<Object>,
    at: Position,
}

/// What is known of one file.
#[derive(Debug, Default)]
struct FileState {
    /// `None` when it could not be looked at.
    stamp: Option<Stamp>,
    objects: BTreeMap<ObjectRef, Held>,
    /// Objects that the file no longer has, and since when.
    lingering: BTreeMap<ObjectRef, (Held, Instant)>,
    /// Whether the file itself is no longer there.
    gone: bool,
    /// Since when it is there and empty, though it held objects.
    empty_since: Option<Instant>,
    /// What could not be read in it, and the objects that this stands in for.
    failures: Vec<Failure>,
    kept: BTreeSet<ObjectRef>,
    diagnostics: Vec<Diagnostic>,
    skipped: BTreeMap<String, usize>,
}

/// Who defines an object, and what was last told about it.
#[derive(Debug, Default)]
struct Definition {
    told: Option<Arc<Object>>,
    /// Sorted. One in nearly all cases, for which a set would take memory for eleven.
    files: Vec<FileKey>,
}

impl Definition {
    fn note(&mut self, key: &FileKey, holds: bool) {
        match (self.files.binary_search(key), holds) {
            (Err(at), true) => {
                self.files.reserve_exact(1);
                self.files.insert(at, key.clone());
            }
            (Ok(at), false) => drop(self.files.remove(at)),
            (Ok(_), true) | (Err(_), false) => {}
        }
    }
}

/// The files that somebody is writing, by device and inode, and until when that is waited for.
pub(super) type Unfinished = HashMap<(u64, u64), Instant>;

/// Which part of the files a listing speaks about.
pub(super) enum Scope {
    /// All of them.
    Everything,
    /// These.
    Only(BTreeSet<FileKey>),
}

/// What an object is now; `None` when it is gone.
#[derive(Debug)]
pub(super) struct ObjectChange {
    reference: ObjectRef,
    object: Option<Arc<Object>>,
}

impl From<ObjectChange> for Change {
    fn from(change: ObjectChange) -> Self {
        match change.object {
            Some(object) => Self::Apply(Box::new(Object::clone(&object))),
            None => Self::Remove(change.reference),
        }
    }
}

/// The state of all files.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: BTreeMap<FileKey, FileState>,
    definitions: HashMap<ObjectRef, Definition>,
    duplicates: BTreeSet<ObjectRef>,
    /// Files to look at again, and when.
    unsettled: BTreeMap<FileKey, Instant>,
    unreadable: Vec<Unreadable>,
    /// The device of every root when files were last found below it.
    devices: BTreeMap<usize, u64>,
    /// The roots that are suddenly empty, and when that will be believed; `None` when it is.
    emptied: BTreeMap<usize, Option<Instant>>,
    /// When a file of each root last went away.
    latest_gone: BTreeMap<usize, Instant>,
    unfinished: Unfinished,
    /// Whether the diagnostics may be other ones than those told last.
    has_news: bool,
    told_diagnostics: Vec<Diagnostic>,
    told_of_caller: Vec<Diagnostic>,
    told_skipped: BTreeMap<String, usize>,
    locator: Locator,
}

impl Contents {
    pub(super) fn new(locator: Locator) -> Self {
        Self { locator, ..Self::default() }
    }

    /// Takes in what a scan found: reads what is new or changed, and says which objects are different for it.
    pub(super) fn look(&mut self, listing: &Listing, scope: &Scope, now: Instant) -> Vec<ObjectChange> {
        if matches!(scope, Scope::Everything) {
            self.has_news |= !self.unreadable.is_empty();
            self.unreadable.clone_from(&listing.unreadable);
            self.distrust_emptied(listing, now);
        }
        self.has_news |= !self.unreadable.is_empty();
        let mut affected = Affected::new();
        self.notice_missing(&listing.files, scope, now, &mut affected);
        let mut stamps = Vec::new();
        for (key, found) in &listing.files {
            match found {
                Ok(stamp) if self.needs_reading(key, stamp, now) => match self.doubt(key, stamp, now, &mut affected) {
                    None => stamps.push((key, *stamp)),
                    Some(until) => {
                        self.unsettled.insert(key.clone(), until);
                    }
                },
                Ok(_) => {}
                Err(why) => {
                    let file = key.path.display().to_string();
                    let error = file_error(file, Position::START, why, UNREADABLE_MEND);
                    self.keep(key, None, error, &mut affected);
                }
            }
        }
        let files: Vec<_> = stamps.iter().map(|(key, stamp)| (&*key.path, stamp.size)).collect();
        for ((key, stamp), result) in stamps.into_iter().zip(read_all(&files)) {
            self.locator.forget(&key.path);
            match result {
                Ok(parsed) => self.replace(key, stamp, parsed, now, &mut affected),
                // What failed to be read may be readable the next time without having changed.
                Err(ReadError::Access(diagnostic)) => self.keep(key, None, *diagnostic, &mut affected),
                Err(ReadError::Content(diagnostic)) => self.keep(key, Some(stamp), *diagnostic, &mut affected),
            }
            self.note_unsettled(key, &stamp, now);
        }
        // What could not be looked at now, such as a file below an unreadable directory, gets its turn later.
        self.unsettled.values_mut().filter(|at| **at <= now).for_each(|at| *at = now + RETRY);
        self.tell(affected)
    }

    /// When to look again, and at what, if anything is unsettled.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.unsettled.values().chain(self.emptied.values().flatten()).min().copied()
    }

    /// The files whose time to be looked at again has come; `None` when one of them is gone, for then it may be found under
    /// another name and everything must be looked at, or when it is time to believe that a root is empty.
    pub(super) fn due(&self, now: Instant) -> Option<BTreeSet<FileKey>> {
        if self.emptied.values().flatten().any(|at| *at <= now) {
            return None;
        }
        let due: BTreeSet<_> =
            self.unsettled.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        let any_gone = due.iter().any(|key| self.files.get(key).is_some_and(|state| state.gone));
        (!any_gone).then_some(due)
    }

    /// Has every file read at the next look, whatever its time stamps say.
    pub(super) fn distrust_stamps(&mut self) {
        self.files.values_mut().for_each(|state| state.stamp = None);
    }

    /// Says which files are being written; it holds until it is said anew.
    pub(super) fn note_unfinished(&mut self, unfinished: Unfinished) {
        self.unfinished = unfinished;
    }

    pub(super) fn knows(&self, key: &FileKey) -> bool {
        self.files.contains_key(key)
    }

    /// Whether these files, as they are now, leave a root without any, or end that. What is to be believed of it is decided
    /// when everything is looked at.
    pub(super) fn empties_a_root(&self, keys: &BTreeSet<FileKey>, listing: &Listing) -> bool {
        let is_missing = |key: &FileKey| keys.contains(key) && !listing.files.contains_key(key);
        let roots: BTreeSet<usize> = keys.iter().filter(|key| is_missing(key)).map(|key| key.root).collect();
        let is_left = |root| self.files.iter().any(|(key, state)| key.root == root && !state.gone && !is_missing(key));
        keys.iter().any(|key| self.emptied.contains_key(&key.root)) || roots.into_iter().any(|root| !is_left(root))
    }

    /// Whether any root could not be listed.
    pub(super) fn is_root_unreadable(&self, roots: &[PathBuf]) -> bool {
        self.unreadable.iter().any(|unreadable| roots.get(unreadable.root) == Some(&unreadable.path))
    }

    /// Every object that is told, by kind.
    pub(super) fn objects(&self) -> Vec<(Kind, Vec<Object>)> {
        let mut told: Vec<_> = self.definitions.values().filter_map(|definition| definition.told.as_deref()).collect();
        told.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        let of_kind = |kind| told.iter().filter(|object| object.kind() == kind).map(|&object| object.clone()).collect();
        Kind::ALL.into_iter().map(|kind| (kind, of_kind(kind))).collect()
    }

    /// All diagnostics, after those of the caller, when they are not the ones told last.
    pub(super) fn new_diagnostics(&mut self, of_caller: Vec<Diagnostic>) -> Option<Vec<Diagnostic>> {
        if !std::mem::take(&mut self.has_news) && of_caller == self.told_of_caller {
            return None;
        }
        self.told_of_caller.clone_from(&of_caller);
        let mut diagnostics = of_caller;
        self.add_diagnostics(&mut diagnostics);
        (diagnostics != self.told_diagnostics).then(|| {
            self.told_diagnostics.clone_from(&diagnostics);
            diagnostics
        })
    }

    /// What [`Self::skipped`] says, when it is not what it said last.
    pub(super) fn new_skipped(&mut self) -> Option<BTreeMap<String, usize>> {
        let skipped = self.skipped();
        (skipped != self.told_skipped).then(|| {
            self.told_skipped.clone_from(&skipped);
            skipped
        })
    }

    /// The files, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileKey> {
        self.files.keys()
    }

    /// How many objects of kinds that are not watched there are, by `apiVersion Kind`.
    pub(super) fn skipped(&self) -> BTreeMap<String, usize> {
        let mut total = BTreeMap::new();
        for (name, count) in self.files.values().flat_map(|state| &state.skipped) {
            *total.entry(name.clone()).or_default() += count;
        }
        total
    }

    fn needs_reading(&self, key: &FileKey, stamp: &Stamp, now: Instant) -> bool {
        let changed = self.files.get(key).is_none_or(|state| state.gone || state.stamp != Some(*stamp));
        changed || self.unsettled.get(key).is_some_and(|at| *at <= now)
    }

    /// Until when this version of a file is not read, because somebody is writing it or has emptied it.
    fn doubt(&mut self, key: &FileKey, stamp: &Stamp, now: Instant, affected: &mut Affected) -> Option<Instant> {
        if let Some(until) = self.unfinished.get(&stamp.identity()).filter(|until| **until > now) {
            return Some(*until);
        }
        let state = self.files.get_mut(key)?;
        if stamp.size != 0 || state.is_empty() {
            state.empty_since = None;
            return None;
        }
        let until = *state.empty_since.get_or_insert(now) + DOUBT;
        if until <= now {
            return None;
        }
        let diagnostic = empty(location(key, Position::START));
        self.keep(key, Some(*stamp), diagnostic, affected);
        Some(until)
    }

    /// A root that held objects and is empty may be a volume that is not mounted, or be filled again in a moment. On another
    /// device the first is certain; on its own it is what somebody wants when it stays so.
    fn distrust_emptied(&mut self, listing: &Listing, now: Instant) {
        let filled: BTreeSet<usize> = listing.files.keys().map(|key| key.root).collect();
        let before = std::mem::take(&mut self.emptied);
        for (&root, (path, device)) in &listing.devices {
            let held_objects = || self.files.iter().any(|(key, state)| key.root == root && !state.is_empty());
            if listing.unreadable.iter().any(|unreadable| unreadable.root == root) {
                // What is in it is not known.
                continue;
            }
            if filled.contains(&root) || !held_objects() {
                self.devices.insert(root, *device);
                continue;
            }
            let message = if self.devices.get(&root) != Some(device) {
                "an empty directory of another file system is in its place".to_owned()
            } else {
                let believed = before.get(&root).copied().unwrap_or(Some(now + DOUBT)).filter(|at| *at > now);
                self.emptied.insert(root, believed);
                if believed.is_none() {
                    continue;
                }
                format!("it is suddenly empty, which is believed only after {} s", DOUBT.as_secs())
            };
            self.unreadable.push(Unreadable { root, path: path.clone(), message });
        }
    }

    /// Notices the files that were known and are no longer there.
    fn notice_missing(
        &mut self,
        found: &BTreeMap<FileKey, Result<Stamp, String>>,
        scope: &Scope,
        now: Instant,
        affected: &mut Affected,
    ) {
        let missing: Vec<_> = match scope {
            Scope::Everything => {
                let hidden = |key: &FileKey| {
                    self.unreadable
                        .iter()
                        .any(|unreadable| unreadable.root == key.root && key.path.starts_with(&unreadable.path))
                };
                self.files.keys().filter(|key| !found.contains_key(key) && !hidden(key)).cloned().collect()
            }
            Scope::Only(keys) => keys.iter().filter(|key| !found.contains_key(key)).cloned().collect(),
        };
        for key in &missing {
            let Some(state) = self.files.get_mut(key).filter(|state| !state.gone) else { continue };
            state.gone = true;
            self.has_news |= !state.diagnostics.is_empty();
            state.diagnostics.clear();
            state.skipped.clear();
            state.failures.clear();
            state.kept.clear();
            self.latest_gone.insert(key.root, now);
        }
        for key in missing {
            let Some(state) = self.files.get_mut(&key) else { continue };
            let objects = std::mem::take(&mut state.objects);
            affected.extend(objects.keys().map(|reference| (reference.clone(), key.clone())));
            state.lingering.extend(objects.into_iter().map(|(reference, held)| (reference, (held, now))));
            state.drop_expired(&key, now, self.latest_gone.get(&key.root).copied(), affected);
            if state.lingering.is_empty() {
                self.files.remove(&key);
                self.unsettled.remove(&key);
                self.locator.forget(&key.path);
            } else {
                self.unsettled.insert(key, now + GRACE);
            }
        }
    }

    /// Takes the new content of a file.
    fn replace(&mut self, key: &FileKey, stamp: Stamp, parsed: Parsed, now: Instant, affected: &mut Affected) {
        let state = self.files.entry(key.clone()).or_default();
        let mut old = std::mem::take(&mut state.objects);
        self.has_news |= !state.diagnostics.is_empty();
        state.stamp = Some(stamp);
        state.gone = false;
        state.skipped = parsed.skipped;
        state.diagnostics = parsed.diagnostics;
        let failures_before = std::mem::replace(&mut state.failures, parsed.failures);
        let kept_before = std::mem::take(&mut state.kept);
        for placed in parsed.objects {
            let reference = placed.object.reference();
            if let Some(first) = state.objects.get(&reference) {
                let first = location(key, first.at);
                state.diagnostics.push(duplicate(&reference, &first, location(key, placed.at)));
                continue;
            }
            let before = old.remove(&reference).or_else(|| state.lingering.remove(&reference).map(|(held, _)| held));
            // An object that did not change keeps its identity, which is how `tell` knows.
            let object = match before {
                Some(held) if *held.object == placed.object => held.object,
                _ => Arc::new(placed.object),
            };
            affected.push((reference.clone(), key.clone()));
            state.objects.insert(reference, Held { object, at: placed.at });
        }
        let lingering = std::mem::take(&mut state.lingering);
        let missing = old.into_iter().map(|(reference, held)| (reference, (held, now))).chain(lingering);
        let mut guesses = Vec::new();
        for (reference, (held, since)) in missing {
            affected.push((reference.clone(), key.clone()));
            // What does not say which object it is may be any that went away as it came. Of a failure that was there before,
            // that is known not to be so.
            let stands_in = |failure: &&Failure| {
                failure.may_be(&reference)
                    && (failure.is_exact()
                        || kept_before.contains(&reference)
                        || failure.count_in(&state.failures) > failure.count_in(&failures_before))
            };
            let Some(failure) = state.failures.iter().find(stands_in) else {
                state.lingering.insert(reference, (held, since));
                continue;
            };
            if !failure.is_exact() {
                guesses.push(stale(&reference, location(key, failure.at)));
            }
            state.kept.insert(reference.clone());
            state.objects.insert(reference, held);
        }
        for diagnostic in &mut state.diagnostics {
            let reference = diagnostic.origin.as_ref().and_then(reference_of);
            if reference.is_some_and(|reference| state.kept.contains(&reference)) {
                diagnostic.message.push_str("; the last good version of the object stays in force");
            }
        }
        state.diagnostics.extend(guesses);
        self.has_news |= !state.diagnostics.is_empty();
        state.drop_expired(key, now, None, affected);
    }

    /// Keeps the last good content of a file that cannot be used.
    fn keep(&mut self, key: &FileKey, stamp: Option<Stamp>, mut diagnostic: Diagnostic, affected: &mut Affected) {
        let state = self.files.entry(key.clone()).or_default();
        if !state.is_empty() {
            diagnostic.message.push_str("; its last good content stays in force");
        }
        // The objects are there again, or may be.
        let lingering = std::mem::take(&mut state.lingering);
        affected.extend(lingering.keys().map(|reference| (reference.clone(), key.clone())));
        state.objects.extend(lingering.into_iter().map(|(reference, (held, _))| (reference, held)));
        state.stamp = stamp;
        state.gone = false;
        state.diagnostics = vec![diagnostic];
        self.has_news = true;
    }

    fn note_unsettled(&mut self, key: &FileKey, stamp: &Stamp, now: Instant) {
        let lingers = self.files.get(key).is_some_and(|state| !state.lingering.is_empty());
        if lingers || is_fresh(stamp) {
            self.unsettled.insert(key.clone(), now + GRACE);
        } else {
            self.unsettled.remove(key);
        }
    }

    /// Compares what now holds for the affected objects with what was last told.
    fn tell(&mut self, mut affected: Affected) -> Vec<ObjectChange> {
        affected.sort_unstable();
        affected.dedup();
        affected.chunk_by(|(one, _), (other, _)| one == other).filter_map(|same| self.tell_object(same)).collect()
    }

    /// The change of one object, whose reference is the same in all of `places`.
    fn tell_object(&mut self, places: &[(ObjectRef, FileKey)]) -> Option<ObjectChange> {
        let (reference, _) = places.first()?;
        let definition = self.definitions.entry(reference.clone()).or_default();
        for (_, key) in places {
            definition.note(key, self.files.get(key).is_some_and(|state| state.holds(reference)));
        }
        let states = || definition.files.iter().filter_map(|key| Some((key, self.files.get(key)?)));
        let mut present = states().filter_map(|(key, state)| Some((key, state.objects.get(reference)?)));
        let mut lingering = states().filter_map(|(key, state)| Some((key, &state.lingering.get(reference)?.0)));
        let winner = present.next().or_else(|| lingering.next());
        let is_duplicate = present.next().is_some();
        let new = winner.map(|(key, held)| {
            self.locator.place(reference, &key.path);
            Arc::clone(&held.object)
        });
        let was_duplicate =
            if is_duplicate { !self.duplicates.insert(reference.clone()) } else { self.duplicates.remove(reference) };
        self.has_news |= is_duplicate || was_duplicate;
        let change = match (&definition.told, &new) {
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) || old == new => None,
            (None, None) => None,
            _ => Some(ObjectChange { reference: reference.clone(), object: new.clone() }),
        };
        definition.told = new;
        if definition.told.is_none() {
            self.locator.remove(reference);
            self.definitions.remove(reference);
        }
        change
    }

    fn add_diagnostics(&self, diagnostics: &mut Vec<Diagnostic>) {
        diagnostics.extend(self.unreadable.iter().map(|unreadable| self.directory_error(unreadable)));
        for state in self.files.values() {
            diagnostics.extend_from_slice(&state.diagnostics);
        }
        for reference in &self.duplicates {
            let Some(definition) = self.definitions.get(reference) else { continue };
            let mut places = definition
                .files
                .iter()
                .filter_map(|key| Some(location(key, self.files.get(key)?.objects.get(reference)?.at)));
            if let Some(first) = places.next() {
                diagnostics.extend(places.map(|place| duplicate(reference, &first, place)));
            }
        }
    }

    fn directory_error(&self, unreadable: &Unreadable) -> Diagnostic {
        let path = unreadable.path.display().to_string();
        let known = self.files.keys().any(|key| key.root == unreadable.root && key.path.starts_with(&unreadable.path));
        let stays = if known { "; the last good content stays in force" } else { "" };
        Diagnostic {
            severity: Severity::Error,
            code: "UnreadableDirectory",
            origin: None,
            location: Some(FileLocation { file: path, line: 1, column: 1 }),
            message: format!("the manifests here cannot be listed: {}{stays}", unreadable.message),
            mend: "bring it back, or make it readable for the user that Edgeward runs as".to_owned(),
        }
    }
}

impl FileState {
    fn holds(&self, reference: &ObjectRef) -> bool {
        self.objects.contains_key(reference) || self.lingering.contains_key(reference)
    }

    /// Whether it holds no object.
    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.lingering.is_empty()
    }

    /// Lets go of what has been away for [`GRACE`]; while others go away, until [`GRACE`] after the `latest` of them.
    fn drop_expired(&mut self, key: &FileKey, now: Instant, latest: Option<Instant>, affected: &mut Affected) {
        self.lingering.retain(|reference, (_, since)| {
            let latest = latest.map_or(*since, |latest| latest.clamp(*since, *since + DOUBT));
            let stays = now.duration_since(latest) < GRACE;
            if !stays {
                affected.push((reference.clone(), key.clone()));
            }
            stays
        });
    }
}

/// The objects of which something changed, and in which file.
type Affected = Vec<(ObjectRef, FileKey)>;

/// Whether a file was written so shortly ago that another write may leave the same time stamp. The change time is asked,
/// because nobody can set it.
fn is_fresh(stamp: &Stamp) -> bool {
    let (seconds, nanoseconds) = stamp.changed;
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else { return false };
    let changed = Duration::new(seconds, nanoseconds);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.abs_diff(changed) < CLOCK_TICK
}
