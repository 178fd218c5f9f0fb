//! Writing the chunked coding (RFC 9112 section 7.1).

/// The head of a chunk, with room for the size of all that fits into a buffer.
pub(super) const SIZE: &[u8; 7] = b"00000\r\n";

/// The end of a body, without trailers.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes `size` over the digits of a [`SIZE`].
pub(super) fn write_size(head: &mut [u8], size: usize) {
    debug_assert!(size < 1 << 20, "a buffer is smaller");
    for (digit, shift) in head.iter_mut().zip([16, 12, 8, 4, 0]) {
        *digit = b"0123456789abcdef"[size >> shift & 15];
    }
}

/// A head without the zeros in front.
pub(super) fn without_zeros(head: &[u8]) -> &[u8] {
    let first = head.iter().position(|digit| *digit != b'0').unwrap_or_default();
    &head[first..]
}

/// Appends data in chunks, if there is any.
pub(super) fn put(out: &mut Vec<u8>, data: &[u8]) {
    for data in data.chunks(1 << 19) {
        let start = out.len();
        out.extend_from_slice(SIZE);
        write_size(&mut out[start..], data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}
