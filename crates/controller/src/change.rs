//! What sources send: one object added, changed or removed, or all of a kind at once.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::object::{Kind, NamespacedName, Object, ObjectRef};

/// One message from a source to the reconciler.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object was added or changed.
    Apply(Box<Object>),
    /// An object is gone.
    Remove(ObjectRef),
    /// These are all objects of a kind: what a list call or a first scan found. It also says that this kind has now been
    /// listed; nothing is published before every kind has.
    Reset(Kind, Vec<Object>),
    /// Every object of a kind has been sent by itself, and these are their names, each once: what a long list ends with, so that it need
    /// not be in memory a second time. Otherwise as [`Change::Reset`].
    Listed(Kind, Vec<NamespacedName>),
    /// These were all objects of a kind when a former run last heard of it. They count until the kind is listed, or for as
    /// long as it may not be read, and are known to be possibly out of date; what was sent of it since is not.
    Recall(Kind, Vec<Object>),
    /// Objects of this kind may not be read; what depends on them does without. A list takes it back.
    Refused(Kind),
    /// Objects of this kind could not be read by a former run. Otherwise as [`Change::Recall`].
    RecallRefused(Kind),
    /// Whether the source can see the objects now. What it said before stays in force either way.
    Contact(bool),
    /// The source's own diagnostics (files that do not parse, duplicates); replaces the ones sent before.
    Diagnostics(Vec<Diagnostic>),
    /// How many objects of kinds that are not watched the source has passed over, by `apiVersion Kind`; replaces what was
    /// sent before.
    Skipped(BTreeMap<String, usize>),
}
