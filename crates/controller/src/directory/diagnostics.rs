//! The diagnostics about what files hold and who defines what.

use edgeward_routing::origin::Origin;

use super::contents::DOUBT;
use super::scan::FileKey;
use crate::diagnostic::{Diagnostic, FileLocation, Severity};
use crate::object::ObjectRef;
use crate::parse::Position;

/// Where something stands in a file.
pub(super) fn location(key: &FileKey, at: Position) -> FileLocation {
    FileLocation { file: key.path.display().to_string(), line: at.line, column: at.column }
}

/// The diagnostic of an object that what stands at `place` may be.
pub(super) fn stale(reference: &ObjectRef, place: FileLocation) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: "StaleObject",
        origin: Some(Origin::object(reference.kind.name(), &reference.name.namespace, &reference.name.name)),
        location: Some(place),
        message: "it may be what stands here and cannot be read; its last good version stays in force".to_owned(),
        mend: "mend what stands here, or remove it".to_owned(),
    }
}

/// The diagnostic of a definition that does not count.
pub(super) fn duplicate(reference: &ObjectRef, first: &FileLocation, place: FileLocation) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        code: "DuplicateObject",
        origin: Some(Origin::object(reference.kind.name(), &reference.name.namespace, &reference.name.name)),
        message: format!(
            "the definition at {}:{}:{} has no effect, because {}:{}:{} defines the same object and comes first",
            place.file, place.line, place.column, first.file, first.line, first.column,
        ),
        location: Some(place),
        mend: "remove one of the two".to_owned(),
    }
}

/// The diagnostic of a file that held objects and is empty.
pub(super) fn empty(place: FileLocation) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: "EmptyFile",
        origin: None,
        location: Some(place),
        message: format!("the file is suddenly empty, which is believed only after {} s", DOUBT.as_secs()),
        mend: "write its content, or remove it if its objects are to go".to_owned(),
    }
}
