//! The objects that were last known, on disk: what a restart serves while the API server does not answer.
//!
//! One file (redb) holds every object under `Kind/namespace/name`, as JSON. It is written a moment after a change, at most
//! once a second, and survives a crash at any point. With a key each entry is sealed with AES-256-GCM under its name;
//! without one Secrets are left out, so that no private key is ever on disk in the clear.

mod record;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition};

use crate::object::{Kind, Object, ObjectRef};

pub use record::record;

use seal::Seal;

/// Objects by their [`key`].
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");

/// What the objects are of.
const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");

/// The entry of [`ABOUT`] that says what was watched, and in which form the objects are kept.
const SCOPE: &str = "scope";

/// The form of the entries. Another one is not read.
const FORM: &str = "edgeward objects 1";

/// Pages that are kept in memory, in bytes: objects are read once and then only written.
const CACHE: usize = 4 << 20;

/// Where and how objects are kept.
#[derive(Debug, Clone, Default)]
pub struct StateOptions {
    /// The directory. It is made if it is not there, readable for this user only.
    pub directory: PathBuf,
    /// A file with [`MIN_KEY_BYTES`](Self::MIN_KEY_BYTES) random bytes or more; `None` to keep no Secrets.
    pub key_file: Option<PathBuf>,
    /// What is watched. Objects that were kept for something else are not read.
    pub scope: String,
}

impl StateOptions {
    /// The fewest bytes that a key file may have.
    pub const MIN_KEY_BYTES: usize = 32;
}

/// Objects cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The key cannot be used.
    #[error("cannot use the key file {}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The directory or the file in it cannot be used.
    #[error("cannot keep objects in {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What is in the file cannot be read, or not be written.
    #[error("cannot keep objects in {}: {error}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        error: redb::Error,
    },
}

/// The objects on disk.
pub struct State {
    database: Database,
    path: PathBuf,
    seal: Option<Seal>,
}

impl State {
    /// Opens the file, or makes it. One that is damaged is put aside, and one of another scope or key is emptied; both are
    /// logged.
    ///
    /// # Errors
    ///
    /// See [`StateError`].
    pub fn open(options: &StateOptions) -> Result<Self, StateError> {
        let seal = options.key_file.as_deref().map(Seal::read).transpose()?;
        let path = options.directory.join("objects.redb");
        let scope = format!("{FORM}\n{}\n", options.scope);
        let state = Self { database: open(&path)?, path, seal };
        if !state.is_of(scope.as_bytes()) {
            state.begin_anew(scope.as_bytes()).map_err(|error| state.failed(error))?;
        }
        Ok(state)
    }

    /// Whether Secrets are kept too.
    pub fn keeps_secrets(&self) -> bool {
        self.seal.is_some()
    }

    /// Whether any object of a kind is kept; of one namespace, unless it is empty.
    pub fn holds(&self, kind: Kind, namespace: &str) -> bool {
        let prefix = if namespace.is_empty() { prefix(kind) } else { format!("{}{namespace}/", prefix(kind)) };
        let found = || -> Result<bool, redb::Error> {
            let table = self.database.begin_read()?.open_table(OBJECTS)?;
            let first = table.range(prefix.as_str()..)?.next().transpose()?;
            Ok(first.is_some_and(|(key, _)| key.value().starts_with(&prefix)))
        };
        found().unwrap_or_else(|error| {
            tracing::error!(error = %self.failed(error), "the last known objects cannot be read");
            false
        })
    }

    /// All objects of a kind that are kept. What cannot be read is left out, and logged.
    pub fn objects(&self, kind: Kind) -> Vec<Object> {
        let mut objects = Vec::new();
        let mut unreadable = 0;
        let read = |objects: &mut Vec<Object>, unreadable: &mut usize| -> Result<(), redb::Error> {
            let table = self.database.begin_read()?.open_table(OBJECTS)?;
            for entry in table.range(prefix(kind).as_str()..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(&prefix(kind)) {
                    break;
                }
                match self.decode(key.value(), value.value()) {
                    Some(object) => objects.push(object),
                    None => *unreadable += 1,
                }
            }
            Ok(())
        };
        if let Err(error) = read(&mut objects, &mut unreadable) {
            tracing::error!(error = %self.failed(error), kind = kind.name(), "the last known objects cannot be read");
        }
        if unreadable > 0 {
            tracing::error!(kind = kind.name(), unreadable, "some of the last known objects cannot be read");
        }
        objects
    }

    /// Writes what has come together, all or nothing.
    fn write(&self, pending: &Pending) -> Result<(), StateError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut table = transaction.open_table(OBJECTS)?;
                for kind in &pending.replaced {
                    let (prefix, end) = (prefix(*kind), end_of(*kind));
                    table.retain_in(prefix.as_str()..end.as_str(), |key, _| pending.entries.contains_key(key))?;
                }
                for (key, value) in &pending.entries {
                    match value {
                        Some(value) => table.insert(key.as_str(), value.as_slice())?,
                        None => table.remove(key.as_str())?,
                    };
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|error| self.failed(error))
    }

    /// What to write for an object; `None` for one that is not kept.
    fn encode(&self, object: &Object) -> Option<(String, Vec<u8>)> {
        if object.kind() == Kind::Secret && self.seal.is_none() {
            return None;
        }
        let key = key(&object.reference());
        // Maps have strings as keys, and nothing else can fail.
        let json = serde_json::to_vec(object).ok()?;
        let value = match &self.seal {
            Some(seal) => seal.seal(&key, json)?,
            None => json,
        };
        Some((key, value))
    }

    fn decode(&self, key: &str, value: &[u8]) -> Option<Object> {
        match &self.seal {
            Some(seal) => serde_json::from_slice(&seal.open(key, value)?).ok(),
            None => serde_json::from_slice(value).ok(),
        }
    }

    /// Whether the objects were kept for the same scope with the same key.
    fn is_of(&self, scope: &[u8]) -> bool {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(ABOUT)?;
            Ok(table.get(SCOPE)?.map(|value| value.value().to_vec()))
        };
        // Without the table it is a new file.
        let Ok(Some(found)) = read() else { return false };
        let opened = match &self.seal {
            Some(seal) => seal.open(SCOPE, &found),
            None => Some(found),
        };
        let is_same = opened.is_some_and(|opened| opened == scope);
        if !is_same {
            tracing::warn!(file = %self.path.display(), "the last known objects are of another scope or key: forgetting them");
        }
        is_same
    }

    fn begin_anew(&self, scope: &[u8]) -> Result<(), redb::Error> {
        let value = match &self.seal {
            Some(seal) => seal.seal(SCOPE, scope.to_vec()).unwrap_or_default(),
            None => scope.to_vec(),
        };
        let transaction = self.database.begin_write()?;
        transaction.delete_table(OBJECTS)?;
        transaction.open_table(OBJECTS)?;
        transaction.open_table(ABOUT)?.insert(SCOPE, value.as_slice())?;
        Ok(transaction.commit()?)
    }

    fn failed(&self, error: redb::Error) -> StateError {
        StateError::Database { path: self.path.clone(), error }
    }
}

/// What is to be written.
#[derive(Debug, Default)]
struct Pending {
    /// Kinds of which nothing stays but what is in `entries`.
    replaced: BTreeSet<Kind>,
    /// Entries by their key; `None` for one that goes.
    entries: BTreeMap<String, Option<Vec<u8>>>,
}

impl Pending {
    fn replace(&mut self, kind: Kind, entries: impl IntoIterator<Item = (String, Vec<u8>)>) {
        self.entries.retain(|key, _| !key.starts_with(&prefix(kind)));
        self.replaced.insert(kind);
        self.entries.extend(entries.into_iter().map(|(key, value)| (key, Some(value))));
    }

    /// Takes back what could not be written. What has come since is newer.
    fn put_back(&mut self, older: Self) {
        let newer = std::mem::replace(self, older);
        for kind in newer.replaced {
            self.replace(kind, []);
        }
        self.entries.extend(newer.entries);
    }

    fn is_empty(&self) -> bool {
        self.replaced.is_empty() && self.entries.is_empty()
    }
}

/// Opens the file. One that is damaged is put aside: what it held comes again from the API server.
fn open(path: &Path) -> Result<Database, StateError> {
    let failed = |error| StateError::File { path: path.to_owned(), error };
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    match open_file(path).map_err(failed)? {
        Ok(database) => Ok(database),
        Err(error @ DatabaseError::DatabaseAlreadyOpen) => {
            Err(StateError::Database { path: path.to_owned(), error: error.into() })
        }
        Err(error) => {
            let aside = path.with_extension("damaged");
            tracing::error!(%error, file = %path.display(), aside = %aside.display(), "the last known objects cannot be read: putting their file aside");
            fs::rename(path, aside).map_err(failed)?;
            let opened = open_file(path).map_err(failed)?;
            opened.map_err(|error| StateError::Database { path: path.to_owned(), error: error.into() })
        }
    }
}

fn open_file(path: &Path) -> io::Result<Result<Database, DatabaseError>> {
    let file: File = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // Of a file that is damaged in a way that it has no error for, the library may assert the opposite.
    let opened = catch_unwind(AssertUnwindSafe(|| Database::builder().set_cache_size(CACHE).create_file(file)));
    Ok(opened.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::InvalidData).into())))
}

fn key(object: &ObjectRef) -> String {
    let ObjectRef { kind, name } = object;
    format!("{}{name}", prefix(*kind))
}

/// What the keys of a kind begin with.
fn prefix(kind: Kind) -> String {
    format!("{}/", kind.name())
}

/// The first key after all keys of a kind: `0` follows `/`.
fn end_of(kind: Kind) -> String {
    format!("{}0", kind.name())
}
