//! Writing header fields.

use bytes::BufMut;

/// Appends a field.
pub(super) fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// The few names that are edited.
#[derive(Default)]
pub(super) struct Names {
    names: [&'static str; 24],
    length: usize,
}

impl Names {
    pub(super) fn add(&mut self, name: &'static str) {
        if let Some(slot) = self.names.get_mut(self.length) {
            *slot = name;
            self.length += 1;
        }
    }

    /// Whether this, in lower case, is one of them.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.as_slice().contains(&name)
    }

    pub(super) fn as_slice(&self) -> &[&'static str] {
        &self.names[..self.length]
    }
}
