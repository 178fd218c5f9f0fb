//! The last bytes of a connection, which go out in one packet with its end.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Sends some of `bufs`. The kernel holds a last packet that is not full back until the end of the connection is said, or for
/// 200 ms.
pub(crate) fn poll_send(cx: &mut Context<'_>, tcp: &TcpStream, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
    let send = || sendmsg(tcp, bufs, &mut SendAncillaryBuffer::default(), flags).map_err(io::Error::from);
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        match tcp.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
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
        assert_eq!(poll_fn(|cx| poll_send(cx, &tcp, &slices)).await.unwrap(), 10);
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
