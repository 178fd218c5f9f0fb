//! Which manifest files there are under the roots, without reading them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file, in the order in which definitions win: roots as they were given, then by path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileKey {
    /// Index of the root.
    pub(super) root: usize,
    /// The root as it was given, and the way below it.
    pub(super) path: Arc<Path>,
}

/// What tells that a file was written to, or is another one now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    modified: (i64, i64),
    /// Seconds and nanoseconds since the epoch.
    pub(super) changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Device and inode.
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

/// A directory (or root) that could not be listed. What was known below it stays as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) root: usize,
    pub(super) path: PathBuf,
    pub(super) message: String,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The manifest files; the error of those that are there but cannot be looked at.
    pub(super) files: BTreeMap<FileKey, Result<Stamp, String>>,
    /// The directories that could not be listed.
    pub(super) unreadable: Vec<Unreadable>,
    /// The directories that were listed.
    pub(super) directories: BTreeMap<PathBuf, Listed>,
    /// The directories that symbolic links to files lead to, unless they were listed as well.
    pub(super) link_targets: BTreeSet<PathBuf>,
    /// Path and device of every root that is a directory, by its index.
    pub(super) devices: BTreeMap<usize, (PathBuf, u64)>,
}

/// A directory that was listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    /// Index of the root that it is below.
    pub(super) root: usize,
    /// Device and inode.
    pub(super) identity: (u64, u64),
}

/// Whether a file of this name is a manifest. Hidden files are not: editors and the kubelet keep their working copies
/// there.
pub(super) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let known = ["yaml", "yml", "json"];
    !is_hidden(path) && extension.is_some_and(|extension| known.iter().any(|name| extension.eq_ignore_ascii_case(name)))
}

/// Whether the last component starts with a dot.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Lists the roots. A file or directory that several ways lead to is listed once: that is what keeps a ConfigMap volume,
/// in which every file is a link into a hidden directory, from being read twice.
pub(super) fn scan(roots: &[PathBuf]) -> Listing {
    let mut scan = Scan { listing: Listing::default(), files: HashSet::new(), directories: HashSet::new() };
    for (index, root) in roots.iter().enumerate() {
        scan.root(index, root);
    }
    let Scan { mut listing, directories, .. } = scan;
    listing.link_targets.retain(|target| {
        fs::metadata(target).is_ok_and(|metadata| !directories.contains(&(metadata.dev(), metadata.ino())))
    });
    listing
}

struct Scan {
    listing: Listing,
    files: HashSet<(u64, u64)>,
    directories: HashSet<(u64, u64)>,
}

impl Scan {
    fn root(&mut self, root: usize, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                self.listing.devices.insert(root, (path.to_owned(), metadata.dev()));
                self.directory(root, path, &metadata);
            }
            Ok(metadata) if metadata.is_file() => {
                if path.is_symlink() {
                    self.note_link_target(path);
                }
                self.file(root, path, &metadata);
            }
            Ok(_) => self.unreadable(root, path, "it is neither a directory nor a file".to_owned()),
            Err(error) => self.unreadable(root, path, describe(&error)),
        }
    }

    fn directory(&mut self, root: usize, path: &Path, metadata: &Metadata) {
        let identity = (metadata.dev(), metadata.ino());
        if !self.directories.insert(identity) {
            return;
        }
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(root, path, describe(&error)),
        };
        self.listing.directories.insert(path.to_owned(), Listed { root, identity });
        let mut entries: Vec<_> = entries
            .into_iter()
            .map(|entry| (entry.file_type().is_ok_and(|kind| kind.is_symlink()), entry.file_name(), entry))
            .filter(|(_, name, _)| !name.as_encoded_bytes().starts_with(b"."))
            .collect();
        // Links come last, so that a file is known by its own path where it has one.
        entries.sort_by(|(link, name, _), (other_link, other_name, _)| (link, name).cmp(&(other_link, other_name)));
        for (is_link, name, entry) in entries {
            let path = path.join(name);
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_directory && !is_link && !is_manifest(&path) {
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.directory(root, &path, &metadata),
                Ok(metadata) if metadata.is_file() && is_manifest(&path) => {
                    if is_link {
                        self.note_link_target(&path);
                    }
                    self.file(root, &path, &metadata);
                }
                Ok(_) => {}
                // It was deleted after it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link => {}
                Err(error) if is_directory => self.unreadable(root, &path, describe(&error)),
                Err(error) if is_manifest(&path) => {
                    let key = FileKey { root, path: path.into() };
                    self.listing.files.insert(key, Err(describe(&error)));
                }
                Err(_) => {}
            }
        }
    }

    fn file(&mut self, root: usize, path: &Path, metadata: &Metadata) {
        let stamp = Stamp::of(metadata);
        if self.files.insert(stamp.identity()) {
            self.listing.files.insert(FileKey { root, path: path.into() }, Ok(stamp));
        }
    }

    fn note_link_target(&mut self, path: &Path) {
        let parent = fs::canonicalize(path).ok().and_then(|target| target.parent().map(Path::to_owned));
        self.listing.link_targets.extend(parent);
    }

    fn unreadable(&mut self, root: usize, path: &Path, message: String) {
        self.listing.unreadable.push(Unreadable { root, path: path.to_owned(), message });
    }
}

/// The error in words, without the operating system's error number.
pub(super) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission is denied".to_owned(),
        _ => error.to_string(),
    }
}
