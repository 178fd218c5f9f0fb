//! Writing header fields.

use bytes::BufMut;
use smallvec::SmallVec;

/// Appends a field.
pub(super) fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// The names that are edited, which are few.
#[derive(Default)]
pub(super) struct Names<'n>(SmallVec<[&'n str; 24]>);

impl<'n> Names<'n> {
    pub(super) fn add(&mut self, name: &'n str) {
        self.0.push(name);
    }

    /// Whether this, in lower case, is one of them.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    pub(super) fn as_slice(&self) -> &[&'n str] {
        &self.0
    }
}
