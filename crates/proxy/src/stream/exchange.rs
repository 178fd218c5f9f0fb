//! The stream for an engine of our own: it takes whole heads, and reads and writes without buffers in between.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncWrite, ReadBuf};

use super::{Protocol, Stream};
use crate::connection::Connection;
use crate::pipe::Pipe;

/// What comes next on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A request in HTTP/1. Its head is [there](Stream::take_head).
    Request,
    /// HTTP/2.
    Http2,
    /// Nothing.
    Nothing,
}

impl Stream {
    /// The connection.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Waits for the next request. The one before must have been read to its end, and reported as done.
    pub(crate) async fn next(&mut self) -> io::Result<Next> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Next>> {
        self.check_cut()?;
        if self.connection.settings.tls.http2
            && self.connection.tls().is_none()
            && self.requests == 0
            && matches!(self.protocol, Protocol::Head { .. })
        {
            ready!(self.recognise(cx))?;
        }
        loop {
            match &self.protocol {
                _ if self.head > 0 => return Poll::Ready(Ok(Next::Request)),
                Protocol::Http2(_) => return Poll::Ready(Ok(Next::Http2)),
                Protocol::Head { .. } => ready!(self.collect_head(cx))?,
                Protocol::Message(_) if self.is_body_read() => self.next_head(),
                _ => return Poll::Ready(Ok(Next::Nothing)),
            }
        }
    }

    /// Takes the head of the request that is next. Its body, if it has one, is read next.
    pub(crate) fn take_head(&mut self) -> BytesMut {
        let length = std::mem::take(&mut self.head);
        self.ready -= length;
        // Mostly the head is all that there is, and nothing need be cut apart.
        if length == self.inbox.len() {
            return std::mem::take(&mut self.inbox);
        }
        let rest = BytesMut::from(&self.inbox[length..]);
        let mut head = std::mem::replace(&mut self.inbox, rest);
        head.truncate(length);
        head
    }

    /// Puts a head back that was taken, for another engine to read.
    pub(crate) fn put_back(&mut self, mut head: BytesMut) {
        self.head = head.len();
        self.ready += head.len();
        head.extend_from_slice(&self.inbox);
        self.inbox = head;
    }

    /// Whether the body of the request has been read to its end.
    pub(crate) fn is_body_read(&self) -> bool {
        self.ready == 0 && matches!(&self.protocol, Protocol::Message(framing) if framing.is_done())
    }

    /// Reads a piece of the body, as it is on the wire. It must not have been read to its end. Reads nothing when the
    /// client has closed its side before.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_cut()?;
        match self.ready {
            0 => self.read_body(cx, out),
            _ => self.read(cx, out),
        }
    }

    /// Ready when the client has left. Its request must have been read to its end.
    pub(crate) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_cut()?;
        self.watch_for_end(cx)
    }

    /// Sends some of `slices`.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.check_cut()?;
        let written = Pin::new(&mut self.transport).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }

    /// Sends some of `slices`, which are the last of the connection: from here on nothing is waited for but that they are
    /// sent, and then the stream [parts](Self::part). They go out in one packet with the end.
    pub(crate) fn poll_send_last(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.check_cut()?;
        let written = self.transport.poll_send_last(cx, slices);
        self.in_time(cx, written)
    }

    /// Sends what is left of what was [sent](Self::poll_send): TLS may keep a part.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        self.in_time(cx, flushed)
    }

    /// How many bytes of the body are still to come, where they could come [through a pipe](Self::poll_body_into).
    pub(crate) fn pipeable(&self) -> Option<u64> {
        let Protocol::Message(framing) = &self.protocol else { return None };
        framing.left().filter(|_| self.ready == 0 && self.is_plain())
    }

    /// Whether the bytes on the wire are those of HTTP.
    pub(crate) fn is_plain(&self) -> bool {
        self.transport.plain().is_some()
    }

    /// Reads a piece of the body, of `limit` bytes at most, into an empty pipe, and returns how long it is: 0 when the
    /// client has closed its side. The body must be [`pipeable`](Self::pipeable).
    pub(crate) fn poll_body_into(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &Pipe,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        self.check_cut()?;
        let (Some(tcp), Protocol::Message(framing)) = (self.transport.plain(), &mut self.protocol) else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let read = ready!(pipe.poll_fill(cx, tcp, limit))?;
        framing.skip(read as u64);
        self.ended = read == 0;
        Poll::Ready(Ok(read))
    }

    /// Sends up to `length` bytes that are in a pipe, where the bytes on the wire are [plain](Self::is_plain).
    pub(crate) fn poll_send_from(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &Pipe,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        self.check_cut()?;
        let sent = match self.transport.plain() {
            Some(tcp) => pipe.poll_drain(cx, tcp, length),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        };
        self.in_time(cx, sent)
    }
}
