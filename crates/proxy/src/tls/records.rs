//! How large TLS records are.
//!
//! A client can use nothing of a record before its last byte has come. While TCP still finds out how much the network
//! carries, a large record keeps the begin of a page waiting for its end, and one lost packet holds up all of it. So the
//! first records fit into one packet each; later ones are large, which costs the least.

use std::io::{self, IoSlice, Write};
use std::time::{Duration, Instant};

use rustls::server::ServerConnection;

use crate::clock;

/// Bytes in a small record. With 29 bytes for TLS 1.2 it fills the packet of a network with 1,450 bytes of payload (VXLAN on
/// Ethernet), less 20 for IPv4 and 32 for TCP with timestamps.
const SMALL: usize = 1369;

/// Bytes that go in small records: somewhat more than the ten packets that TCP sends before it hears from the client
/// (RFC 6928).
const SLOW_START: usize = 12 * SMALL;

/// How long a connection sends nothing before it begins anew: TCP forgets what it knew as well (RFC 5681 section 4.1).
const PAUSE: Duration = Duration::from_secs(1);

/// The slices that one small record is made of at most; then it is a smaller one.
const SLICES: usize = 4;

/// Cuts what a connection sends into records.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Bytes in small records since the last pause.
    small: usize,
    /// When something was sent.
    last: Option<Instant>,
}

impl Records {
    /// Has `session` encrypt as much of `bufs` as it has room for. Returns how much that is.
    pub(super) fn write(&mut self, session: &mut ServerConnection, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let now = clock::now();
        if self.last.replace(now).is_some_and(|last| now - last >= PAUSE) {
            self.small = 0;
        }
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        let mut taken = 0;
        while self.small < SLOW_START && taken < length {
            let mut record = [IoSlice::new(&[]); SLICES];
            let (mut slices, mut size) = (0, 0);
            for (slice, piece) in record.iter_mut().zip(behind(bufs, taken)) {
                let piece = &piece[..piece.len().min(SMALL - size)];
                *slice = IoSlice::new(piece);
                slices += 1;
                size += piece.len();
            }
            let written = session.writer().write_vectored(&record[..slices])?;
            self.small += written;
            taken += written;
            if written < size {
                return Ok(taken);
            }
        }
        if taken == 0 {
            return session.writer().write_vectored(bufs);
        }
        // In the same system call as the small ones.
        let rest: Vec<_> = behind(bufs, taken).map(IoSlice::new).collect();
        Ok(taken + session.writer().write_vectored(&rest)?)
    }
}

/// What of `bufs` comes behind the first `skip` bytes.
fn behind<'a>(bufs: &'a [IoSlice<'_>], mut skip: usize) -> impl Iterator<Item = &'a [u8]> {
    bufs.iter().filter_map(move |buf| {
        let from = skip.min(buf.len());
        skip -= from;
        (from < buf.len()).then(|| &buf[from..])
    })
}
