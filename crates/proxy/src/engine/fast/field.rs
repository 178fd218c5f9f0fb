//! Writing header fields.

use std::ops::Range;

use bytes::BufMut;
use memchr::memchr2;
use smallvec::SmallVec;

use crate::head::mark;

/// Appends a field. A value that would end it is not written, and the field with it: none is to come as far as this.
pub(super) fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    // All of it is looked at, which takes fewer instructions than to stop early.
    if !value.iter().fold(false, |ends, byte| ends | matches!(byte, b'\r' | b'\n' | 0)) {
        put_line(out, name, value);
    }
}

/// Appends a field of an endpoint's, as one line where it spread it over several (RFC 9112 section 5.2).
pub(super) fn put_unfolded(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let start = out.len() + name.len();
    put_line(out, name, value);
    if memchr2(b'\r', b'\n', value).is_some() {
        let end = out.len() - 2;
        let breaks = out[start..end].iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n'));
        breaks.for_each(|byte| *byte = b' ');
    }
}

/// Appends a field of a head that was checked as a whole.
pub(super) fn put_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// What edits of a head have come to so far, which are few: the last one of a name counts.
#[derive(Default)]
pub(super) struct Edited<'n> {
    /// With what of the head was written for each.
    names: SmallVec<[(&'n str, Range<usize>); 24]>,
    /// The [marks](mark) of all names: nearly every name that is looked up is none of them.
    marks: u64,
}

impl<'n> Edited<'n> {
    /// Writes a field in the place of all others of the name.
    pub(super) fn set(&mut self, out: &mut Vec<u8>, name: &'n str, value: &[u8]) {
        self.forget(out, name);
        let start = out.len();
        put_field(out, name.as_bytes(), value);
        self.names.push((name, start..out.len()));
    }

    /// Has the head have no field of the name, in `out` neither.
    pub(super) fn remove(&mut self, out: &mut Vec<u8>, name: &'n str) {
        self.forget(out, name);
        self.names.push((name, 0..0));
    }

    /// Takes back what was said of a name before.
    fn forget(&mut self, out: &mut Vec<u8>, name: &str) {
        let mark = mark(name.as_bytes());
        if self.marks & mark != 0
            && let Some(place) = self.names.iter().position(|(known, _)| *known == name)
        {
            let (_, written) = self.names.remove(place);
            for (_, other) in self.names.iter_mut().filter(|(_, other)| other.start >= written.end) {
                *other = other.start - written.len()..other.end - written.len();
            }
            out.drain(written);
        }
        self.marks |= mark;
    }

    /// Whether this name is edited, whatever its case.
    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.marks & mark(name) != 0 && self.names.iter().any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_edit_of_a_name_counts() {
        let mut out = b"GET / HTTP/1.1\r\n".to_vec();
        let mut edited = Edited::default();
        edited.set(&mut out, "a", b"1");
        edited.set(&mut out, "b", b"2");
        edited.set(&mut out, "c", b"3");
        edited.set(&mut out, "a", b"longer");
        edited.remove(&mut out, "b");
        edited.remove(&mut out, "b");
        edited.set(&mut out, "c", b"");
        edited.remove(&mut out, "d");
        edited.set(&mut out, "d", b"4");
        assert_eq!(out, b"GET / HTTP/1.1\r\na: longer\r\nc: \r\nd: 4\r\n");
        assert!([&b"A"[..], b"b", b"c", b"D"].iter().all(|name| edited.contains(name)) && !edited.contains(b"e"));
    }

    #[test]
    fn no_value_ends_its_field() {
        let mut out = Vec::new();
        for value in [&b"a\r\nX-Forged: 1"[..], b"\n", b"a\rb", b"a\0"] {
            put_field(&mut out, b"x", value);
        }
        assert_eq!(out, b"");
        put_unfolded(&mut out, b"x", b"a\r\n b\n\tc");
        assert_eq!(out, b"x: a   b \tc\r\n");
    }
}
