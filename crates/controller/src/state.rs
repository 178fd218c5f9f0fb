//! The objects that were last known, on disk: what a restart serves while the API server does not answer.
//!
//! Each kind has a file of its own: a line that says what it is, and every object as a line of JSON. It is only ever replaced
//! as a whole, a moment after a change, so that it is whole after a crash at any point, and nothing stays in it that is no
//! longer known. With a key it is sealed (AES-256-GCM); without one a digest (SHA-256) tells damage, and Secrets are left
//! out, so that no private key is ever on disk in the clear. A file is believed as a whole or not at all: a part of a kind
//! looks as if the rest were deleted.

mod record;
mod seal;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::object::{Kind, Object};

pub use record::record;

use seal::Seal;

/// The form of the files. Another one is not read: it goes up whenever the serialized form of an object changes.
const FORM: &str = "edgeward objects 3";

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

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the key file {}: {reason}", path.display())]
pub struct KeyError {
    path: PathBuf,
    reason: String,
}

/// The objects on disk.
pub struct State {
    directory: PathBuf,
    scope: String,
    seal: Seal,
    /// Held from the first write on: one process writes, any number may read.
    lock: Mutex<Option<File>>,
}

/// The first line of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    form: String,
    kind: String,
    scope: String,
    /// Whether it may not be read: there are no objects then.
    is_refused: bool,
    /// When it was written, in seconds since the epoch.
    written: u64,
}

/// What there is of a kind, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// The kind may not be read.
    Refused,
    /// Every object, as lines of JSON.
    Lines(Vec<u8>),
}

impl State {
    /// Keeps objects in a directory. Nothing is read or written yet, and a directory that cannot be used is an error of each
    /// attempt.
    ///
    /// # Errors
    ///
    /// If the key cannot be used.
    pub fn new(options: &StateOptions) -> Result<Self, KeyError> {
        Ok(Self {
            directory: options.directory.clone(),
            scope: options.scope.clone(),
            seal: options.key_file.as_deref().map_or(Ok(Seal::Digest), Seal::read)?,
            lock: Mutex::default(),
        })
    }

    /// Whether Secrets are kept too.
    pub fn keeps_secrets(&self) -> bool {
        self.seal.hides()
    }

    /// What a former run knew of a kind: [`Change::Recall`] or [`Change::RecallRefused`]. `None` if nothing is known of it, or what
    /// is there is damaged or of another scope, key or form, which is logged.
    pub fn recall(&self, kind: Kind) -> Option<Change> {
        if kind == Kind::Secret && !self.keeps_secrets() {
            // They do without rather than hold up everything else.
            return Some(Change::Recall(kind, Vec::new()));
        }
        let (file, name) = (self.file(kind), kind.name());
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(kind = name, file = %file.display(), %error, "what was last known cannot be read");
                return None;
            }
        };
        match self.parse(kind, &bytes) {
            Ok((change, written)) => {
                let age = now().saturating_sub(written);
                tracing::debug!(kind = name, seconds = age, "what was last known was written so long ago");
                Some(change)
            }
            Err(reason) => {
                tracing::error!(kind = name, file = %file.display(), reason, "what was last known is not used");
                None
            }
        }
    }

    /// The objects of [`State::recall`] for which `is_meant`.
    pub fn objects(&self, kind: Kind, is_meant: impl Fn(&Object) -> bool) -> Vec<Object> {
        match self.recall(kind) {
            Some(Change::Recall(_, mut objects)) => {
                objects.retain(is_meant);
                objects
            }
            _ => Vec::new(),
        }
    }

    fn parse(&self, kind: Kind, bytes: &[u8]) -> Result<(Change, u64), &'static str> {
        let damaged = "the file is damaged";
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(damaged)? + 1;
        let (line, sealed) = bytes.split_at(end);
        let header: Header = serde_json::from_slice(line).map_err(|_| damaged)?;
        if (header.form.as_str(), header.kind.as_str()) != (FORM, kind.name()) {
            return Err("it was written by another version");
        }
        if header.scope != self.scope {
            return Err("it was kept for another cluster or other options");
        }
        let body = self.seal.open(line, sealed).ok_or("the file is damaged, or sealed with another key")?;
        if header.is_refused {
            return Ok((Change::RecallRefused(kind), header.written));
        }
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let objects = lines.map(serde_json::from_slice).collect::<Result<Vec<Object>, _>>();
        let objects = objects.map_err(|_| "it has an object that this version cannot read")?;
        if objects.iter().any(|object| object.kind() != kind) {
            return Err(damaged);
        }
        Ok((Change::Recall(kind, objects), header.written))
    }

    /// Replaces what is kept of a kind.
    fn write(&self, kind: Kind, content: Content) -> io::Result<()> {
        let written = self.replace(kind, content);
        if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            // The directory was removed, and the lock with it: the next attempt makes both again.
            *self.held() = None;
        }
        written
    }

    fn replace(&self, kind: Kind, content: Content) -> io::Result<()> {
        self.lock()?;
        let file = self.file(kind);
        if kind == Kind::Secret && !self.keeps_secrets() {
            // What another run with a key left behind.
            return match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        if content == Content::Refused && self.recall(kind).is_some() {
            // It counts for as long as it may not be read.
            return Ok(());
        }
        let (is_refused, body) = match content {
            Content::Refused => (true, Vec::new()),
            Content::Lines(lines) => (false, lines),
        };
        let scope = self.scope.clone();
        let header = Header { form: FORM.to_owned(), kind: kind.name().to_owned(), scope, is_refused, written: now() };
        let mut bytes = serde_json::to_vec(&header)?;
        bytes.push(b'\n');
        let sealed = self.seal.seal(&bytes, body).ok_or_else(|| io::Error::other("it cannot be sealed"))?;
        bytes.extend(sealed);
        let beside = file.with_extension("new");
        let mut options = OpenOptions::new();
        let mut written = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        written.write_all(&bytes)?;
        written.sync_all()?;
        fs::rename(beside, file)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Makes sure that no other process writes here.
    fn lock(&self) -> io::Result<()> {
        let mut held = self.held();
        if held.is_none() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
            let mut options = OpenOptions::new();
            let file =
                options.write(true).create(true).truncate(false).mode(0o600).open(self.directory.join("lock"))?;
            file.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => io::Error::other("another process writes to this directory"),
                TryLockError::Error(error) => error,
            })?;
            *held = Some(file);
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Option<File>> {
        // No code can panic while it holds this lock.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, kind: Kind) -> PathBuf {
        self.directory.join(kind.name()).with_extension("state")
    }
}

/// A line for each object. The order is the caller's.
fn line(object: &Object) -> Vec<u8> {
    // Maps have strings as keys, and nothing else can fail.
    let mut line = serde_json::to_vec(object).unwrap_or_default();
    line.push(b'\n');
    line
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
