//! Pipes that bytes go through from one socket to another, without a detour through this process (splice(2)).

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that a pipe holds. Above a total of 64 MiB the kernel gives processes without privileges smaller ones.
const SIZE: usize = 256 * 1024;

/// A pipe. It holds the end of no socket: what is in it waits for nobody.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// An empty pipe.
    ///
    /// # Errors
    ///
    /// The system has no more files.
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller one does as well.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Ok(Self { read, write })
    }

    /// Moves up to `limit` bytes from a socket into the pipe, which must be empty. Returns how many; 0 at the end.
    pub(crate) fn poll_fill(&self, cx: &mut Context<'_>, from: &TcpStream, limit: usize) -> Poll<io::Result<usize>> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let fill = || splice(from, None, &self.write, None, limit.min(SIZE), flags).map_err(io::Error::from);
        loop {
            ready!(from.poll_read_ready(cx))?;
            match from.try_io(Interest::READABLE, fill) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                filled => return Poll::Ready(filled),
            }
        }
    }

    /// Moves up to `length` bytes from the pipe, which must hold as many, to a socket. Returns how many.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>, to: &TcpStream, length: usize) -> Poll<io::Result<usize>> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let drain = || splice(&self.read, None, to, None, length, flags).map_err(io::Error::from);
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, drain) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                drained => return Poll::Ready(drained),
            }
        }
    }
}
