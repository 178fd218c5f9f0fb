//! Where objects and their fields stand in files, for diagnostics that are made far from the files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edgeward_routing::origin::Origin;

use super::read::bytes;
use crate::diagnostic::{Diagnostic, FileLocation};
use crate::locate::locate_all;
use crate::object::{Kind, NamespacedName, ObjectRef};
use crate::parse::{Position, endpoints_name};

/// Adds file locations to diagnostics. Clones share what they know, which the source keeps up to date.
///
/// It remembers which file an object is in and nothing of its text: files are read again when a field in them is asked for,
/// and the answers are remembered until the file changes. Its methods block on file reads.
#[derive(Debug, Clone, Default)]
pub struct Locator {
    places: Arc<Mutex<Places>>,
}

#[derive(Debug, Default)]
struct Places {
    files: HashMap<ObjectRef, Arc<Path>>,
    /// Answers given before, by file.
    answers: HashMap<Arc<Path>, HashMap<Origin, Position>>,
}

impl Locator {
    /// Where a field stands. A field that the file does not have is located at the nearest ancestor that it has; `None`
    /// when no file defines the object.
    pub fn locate(&self, origin: &Origin) -> Option<FileLocation> {
        self.locate_all(&[origin]).pop().flatten()
    }

    /// Adds the location to every diagnostic that has an origin and no location yet. Each file is read at most once.
    pub fn complete(&self, diagnostics: &mut [Diagnostic]) {
        let wanted: Vec<&mut Diagnostic> =
            diagnostics.iter_mut().filter(|diagnostic| diagnostic.location.is_none()).collect();
        let origins: Vec<Origin> = wanted.iter().filter_map(|diagnostic| diagnostic.origin.clone()).collect();
        let mut locations = self.locate_all(&origins.iter().collect::<Vec<_>>()).into_iter();
        for diagnostic in wanted.into_iter().filter(|diagnostic| diagnostic.origin.is_some()) {
            diagnostic.location = locations.next().flatten();
        }
    }

    fn locate_all(&self, origins: &[&Origin]) -> Vec<Option<FileLocation>> {
        let mut locations = vec![None; origins.len()];
        let mut unanswered: BTreeMap<Arc<Path>, Vec<usize>> = BTreeMap::new();
        {
            let places = self.lock();
            for (index, origin) in origins.iter().enumerate() {
                let Some(path) = reference_of(origin).and_then(|reference| places.files.get(&reference)) else {
                    continue;
                };
                match places.answers.get(path).and_then(|answers| answers.get(*origin)) {
                    Some(at) => locations[index] = Some(file_location(path, *at)),
                    None => unanswered.entry(Arc::clone(path)).or_default().push(index),
                }
            }
        }
        for (path, indices) in unanswered {
            // The source takes this entry away when the file changes, and with it the place for what is outdated by then.
            self.lock().answers.entry(Arc::clone(&path)).or_default();
            let asked: Vec<&Origin> = indices.iter().map(|&index| origins[index]).collect();
            let positions = match bytes(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(text) => locate_all(&text, &asked),
                None => vec![None; asked.len()],
            };
            let mut places = self.lock();
            let mut answers = places.answers.get_mut(&path);
            for (index, position) in indices.into_iter().zip(positions) {
                // The object came from this file even if the file does not show it at the moment.
                let at = position.unwrap_or(Position::START);
                if let Some(answers) = &mut answers {
                    answers.insert(origins[index].clone(), at);
                }
                locations[index] = Some(file_location(&path, at));
            }
        }
        locations
    }

    /// Notes which file an object is in.
    pub(super) fn place(&self, reference: &ObjectRef, path: &Arc<Path>) {
        self.lock().files.insert(reference.clone(), Arc::clone(path));
    }

    /// Notes that no file defines an object any more.
    pub(super) fn remove(&self, reference: &ObjectRef) {
        self.lock().files.remove(reference);
    }

    /// Forgets the answers about a file that changed.
    pub(super) fn forget(&self, path: &Path) {
        self.lock().answers.remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Every update is a single insertion or removal, so a panic elsewhere cannot leave it half done.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The object that an origin speaks of.
pub(super) fn reference_of(origin: &Origin) -> Option<ObjectRef> {
    let name = NamespacedName::of(origin);
    if origin.kind == "Endpoints" {
        return Some(ObjectRef { kind: Kind::EndpointSlice, name: endpoints_name(&name, 0) });
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == origin.kind)?;
    Some(ObjectRef { kind, name })
}

fn file_location(path: &Path, at: Position) -> FileLocation {
    FileLocation { file: path.display().to_string(), line: at.line, column: at.column }
}
