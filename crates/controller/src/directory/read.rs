//! Reading and parsing files, on all cores when there are many.

use std::fs::File;
use std::io::{self, Read};
use std::panic::catch_unwind;
use std::path::Path;

use super::scan::describe;
use crate::diagnostic::{Diagnostic, FileLocation, Severity};
use crate::parse::yaml::MAX_FILE_BYTES;
use crate::parse::{Parsed, Position, parse};
use crate::spread::spread;

/// Below this number of bytes, threads cost more than they save.
const MIN_BYTES_PER_THREAD: u64 = 128 * 1024;

/// So many bytes are read in the time in which a file is opened.
const BYTES_OF_A_FILE: u64 = 2048;

/// What to do about a file that the operating system does not let us read.
pub(super) const UNREADABLE_MEND: &str = "make it readable for the user that Edgeward runs as, or remove it";

/// Why a file gave no objects, with the diagnostic about it.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It could not be read.
    Access(Box<Diagnostic>),
    /// What it holds is no YAML.
    Content(Box<Diagnostic>),
}

/// Reads files, each of so many bytes. The results are in their order.
pub(super) fn read_all(files: &[(&Path, u64)]) -> Vec<Result<Parsed, ReadError>> {
    let work: u64 = files.iter().map(|(_, size)| BYTES_OF_A_FILE + size).sum();
    let threads = usize::try_from(work / MIN_BYTES_PER_THREAD).unwrap_or(usize::MAX);
    spread(files, threads.min(files.len()), |(path, _)| read(path))
}

/// Reads one file.
fn read(path: &Path) -> Result<Parsed, ReadError> {
    let file = path.display().to_string();
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let diagnostic = file_error(file, Position::START, &describe(&error), UNREADABLE_MEND);
            return Err(ReadError::Access(Box::new(diagnostic)));
        }
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = position_of(&bytes, error.valid_up_to());
            let diagnostic = file_error(file, at, "it is not UTF-8 text", "save it as UTF-8");
            return Err(ReadError::Content(Box::new(diagnostic)));
        }
    };
    // The parser is total. Should it panic all the same, that must cost one file and not the source.
    let Ok(parsed) = catch_unwind(|| parse(&file, text)) else {
        let (why, mend) = ("a fault in Edgeward's reader", "report this, with the file, as a bug in Edgeward");
        return Err(ReadError::Content(Box::new(file_error(file, Position::START, why, mend))));
    };
    parsed.map_err(|error| {
        let mend = if text.contains("{{") {
            "render the template first (helm template, kustomize build), or keep it in another directory"
        } else {
            "mend the YAML at this place"
        };
        ReadError::Content(Box::new(file_error(file, error.at, &error.message, mend)))
    })
}

/// The bytes of a file. One that is larger than what a text may be is an error.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // One more than its length, so that there is room to see its end.
    let room = file.metadata().map_or(0, |metadata| metadata.len()).min(MAX_FILE_BYTES as u64) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE_BYTES / (1024 * 1024))));
    }
    Ok(bytes)
}

/// The diagnostic of a file that cannot be used.
pub(super) fn file_error(file: String, at: Position, why: &str, mend: &str) -> Diagnostic {
    let location = FileLocation { file, line: at.line, column: at.column };
    let message = format!("the file cannot be read: {why}");
    Diagnostic {
        severity: Severity::Error,
        code: "UnreadableFile",
        origin: None,
        location: Some(location),
        message,
        mend: mend.to_owned(),
    }
}

/// The position of a byte that follows valid UTF-8.
fn position_of(bytes: &[u8], offset: usize) -> Position {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    Position { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_byte_is_found_in_characters() {
        assert_eq!(position_of("a\nßé".as_bytes(), 6), Position { line: 2, column: 3 });
    }
}
