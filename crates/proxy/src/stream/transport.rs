//! The TCP connection, with or without TLS on it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::socket;
use crate::tls::TlsStream;

/// What bytes are read from and written to.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Plain text.
    Tcp(TcpStream),
    /// TLS, after its handshake.
    Tls(Box<TlsStream>),
    /// Handed on to whoever closes it.
    Gone,
}

impl Transport {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Tls(tls) => Some(tls.tcp()),
            Self::Gone => None,
        }
    }

    /// The TCP connection, where there is no TLS on it.
    pub(super) fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }

    /// Sends some of `bufs`, with which the connection ends: its end must be said next.
    pub(super) fn poll_send_last(&mut self, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => socket::poll_send_last(cx, tcp, bufs),
            Self::Tls(tls) => {
                tls.hold();
                tls.poll_write(cx, bufs)
            }
            Self::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Reads with the help of `space`, has `take` have it, and returns how much it is: 0 at the end. What TLS has to say
    /// waits when it `is_answering`, for the answer takes it along.
    pub(super) fn poll_read_by(
        &mut self,
        cx: &mut Context<'_>,
        space: &mut [MaybeUninit<u8>],
        is_answering: bool,
        mut take: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let tls = match self {
            Self::Tcp(tcp) => return socket::poll_recv_by(cx, tcp, space, take),
            Self::Tls(tls) => tls,
            Self::Gone => return Poll::Ready(Ok(0)),
        };
        let mut buf = ReadBuf::uninit(space);
        ready!(match is_answering {
            true => tls.poll_read_silently(cx, &mut buf),
            false => tls.poll_read(cx, &mut buf),
        })?;
        take(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Makes the close that follows a reset.
    pub(super) fn reset_on_close(&self) {
        if let Some(tcp) = self.tcp() {
            // A failure leaves a plain close, which is all that is left to do.
            let _ = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => tls.poll_read(cx, buf),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => socket::poll_send(cx, tcp, &[io::IoSlice::new(buf)]),
            Self::Tls(tls) => tls.poll_write(cx, &[io::IoSlice::new(buf)]),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => socket::poll_send(cx, tcp, bufs),
            Self::Tls(tls) => tls.poll_write(cx, bufs),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => tls.poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => tls.poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}
