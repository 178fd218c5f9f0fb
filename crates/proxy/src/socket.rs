//! Reading and writing sockets, at the price of the system call.
//!
//! What tokio has for it goes by the C library, where each call is a point at which a thread may be cancelled: in a process with
//! several threads it tells so twice, to all processors. And it sends several pieces by the way that files are written.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Pieces that are no longer than this together are sent as one: to copy them costs a tenth of what the kernel takes for more
/// than one.
const JOINED: usize = 1024;

/// Reads into `buf`, and returns how much: 0 at the end of the connection, or where there is no room.
pub(crate) fn poll_recv(cx: &mut Context<'_>, tcp: &TcpStream, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    let room = buf.len();
    poll_read(cx, tcp, room, || Ok(recv(tcp, &mut *buf, RecvFlags::empty())?.0))
}

/// Reads into the room that is left in `buf`, and returns how much: 0 at the end of the connection, or where there is no room.
pub(crate) fn poll_recv_vec(cx: &mut Context<'_>, tcp: &TcpStream, buf: &mut Vec<u8>) -> Poll<io::Result<usize>> {
    let room = buf.capacity() - buf.len();
    poll_read(cx, tcp, room, || Ok(recv(tcp, spare_capacity(buf), RecvFlags::empty())?.0))
}

/// Reads with the help of `space`, has `take` have it, and returns how much it is: 0 at the end of the connection.
pub(crate) fn poll_recv_by(
    cx: &mut Context<'_>,
    tcp: &TcpStream,
    space: &mut [MaybeUninit<u8>],
    mut take: impl FnMut(&[u8]),
) -> Poll<io::Result<usize>> {
    let room = space.len();
    poll_read(cx, tcp, room, || {
        let ((read, _), length) = recv(tcp, &mut *space, RecvFlags::empty())?;
        take(read);
        Ok(length)
    })
}

/// Sends some of `bufs`, and returns how much.
pub(crate) fn poll_send(cx: &mut Context<'_>, tcp: &TcpStream, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    poll_write(cx, tcp, bufs, SendFlags::NOSIGNAL)
}

/// Sends some of `bufs`, the last bytes of a connection, and returns how much: they go out in one packet with its end. The
/// kernel holds a last packet that is not full back until the end of the connection is said, or for 200 ms.
pub(crate) fn poll_send_last(cx: &mut Context<'_>, tcp: &TcpStream, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    poll_write(cx, tcp, bufs, SendFlags::NOSIGNAL | SendFlags::MORE)
}

fn poll_read(
    cx: &mut Context<'_>,
    tcp: &TcpStream,
    room: usize,
    mut read: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_read_ready(cx))?;
        if let Some(done) = attempt(tcp, Interest::READABLE, room, &mut read) {
            return Poll::Ready(done);
        }
    }
}

fn poll_write(
    cx: &mut Context<'_>,
    tcp: &TcpStream,
    bufs: &[IoSlice<'_>],
    flags: SendFlags,
) -> Poll<io::Result<usize>> {
    let length = bufs.iter().map(|buf| buf.len()).sum();
    let mut joined = SmallVec::<[u8; JOINED]>::new();
    let whole = match bufs {
        [whole] => Some(&**whole),
        _ if length <= JOINED => {
            bufs.iter().for_each(|buf| joined.extend_from_slice(buf));
            Some(&*joined)
        }
        _ => None,
    };
    let mut write = || match whole {
        Some(whole) => Ok(send(tcp, whole, flags)?),
        None => Ok(sendmsg(tcp, bufs, &mut SendAncillaryBuffer::default(), flags)?),
    };
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        if let Some(done) = attempt(tcp, Interest::WRITABLE, length, &mut write) {
            return Poll::Ready(done);
        }
    }
}

/// Tries once to move `most` bytes. `None` when there is something to wait for.
fn attempt(
    tcp: &TcpStream,
    interest: Interest,
    most: usize,
    work: &mut impl FnMut() -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let mut done = None;
    let tried = tcp.try_io(interest, || {
        let moved = work()?;
        done = Some(moved);
        // Less than could be, but not the end: there is no more for now, which need not be asked for once more.
        if (1..most).contains(&moved) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match (done, tried) {
        (Some(moved), _) => Some(Ok(moved)),
        (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => Some(Err(error)),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::future::poll_fn;
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_last_bytes_go_out_with_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut tcp, _) = listener.accept().await.unwrap();
        let begun = Instant::now();
        let slices = [IoSlice::new(b"last "), IoSlice::new(b"words")];
        assert_eq!(poll_fn(|cx| poll_send_last(cx, &tcp, &slices)).await.unwrap(), 10);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let is_held = client.try_read(&mut [0; 1]).is_err();
        // A machine that stood still for longer has let the kernel give up.
        assert!(is_held || begun.elapsed() > Duration::from_millis(150));
        tcp.shutdown().await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"last words");
    }

    #[tokio::test]
    async fn a_full_connection_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut tcp, _) = listener.accept().await.unwrap();
        let sending = tokio::spawn(async move {
            let page = vec![b'x'; 16 << 20];
            let mut sent = 0;
            while sent < page.len() {
                sent += poll_fn(|cx| poll_send(cx, &tcp, &[IoSlice::new(&page[sent..])])).await.unwrap();
            }
            tcp.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len(), 16 << 20);
        sending.await.unwrap();
    }
}
