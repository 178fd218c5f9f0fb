//! Writing: small writes become large ones, and a client that takes nothing is cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::{Protocol, Stream};
use crate::clock;
use crate::connection::Phase;
use crate::listener::Event;

/// Bytes that are kept back for a later write or flush. One TLS record.
const MAX_OUTBOX: usize = 16 * 1024;

impl Stream {
    /// The write of [`AsyncWrite`].
    pub(super) fn write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if matches!(self.protocol, Protocol::Message(_)) && self.connection.lifecycle.is_tunnel() {
            self.become_tunnel();
        }
        match &self.protocol {
            Protocol::Closed => Poll::Ready(Ok(buf.len())),
            // The HTTP/2 layer has a buffer of its own.
            Protocol::Http2(_) => {
                let written = Pin::new(&mut self.transport).poll_write(cx, buf);
                let n = ready!(self.in_time(cx, written))?;
                if let Protocol::Http2(http2) = &mut self.protocol {
                    http2.send(&buf[..n]);
                }
                Poll::Ready(Ok(n))
            }
            Protocol::WebSocket(_) => self.write_frames(cx, buf),
            _ => self.put(cx, buf),
        }
    }

    /// The flush of [`AsyncWrite`].
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outbox.len() {
            let written = Pin::new(&mut self.transport).poll_write(cx, &self.outbox[self.sent..]);
            self.sent += ready!(self.in_time(cx, written))?;
        }
        self.outbox.clear();
        self.sent = 0;
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        self.in_time(cx, flushed)
    }

    /// Writes to a WebSocket, and leaves it at the first gap between frames once it is to be closed.
    fn write_frames(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let closing = self.connection.lifecycle.phase() >= Phase::Closing;
        let gap = match &self.protocol {
            Protocol::WebSocket(frames) if closing => frames.distance(buf),
            _ => None,
        };
        let now = &buf[..gap.unwrap_or(buf.len())];
        let n = if now.is_empty() { 0 } else { ready!(self.put(cx, now))? };
        if let Protocol::WebSocket(frames) = &mut self.protocol {
            frames.advance(&now[..n]);
        }
        if gap == Some(n) && self.leave_tunnel() {
            // The engine hears of it when it reads, which it may not be about to do.
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(buf.len()));
        }
        Poll::Ready(Ok(n))
    }

    /// Takes `buf` into the outbox, or sends both when they are too large for it. May take a part only, but never nothing.
    fn put(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let waiting = &self.outbox[self.sent..];
            if waiting.len() + buf.len() <= MAX_OUTBOX {
                self.outbox.extend_from_slice(buf);
                return Poll::Ready(Ok(buf.len()));
            }
            let waiting_len = waiting.len();
            let slices = [io::IoSlice::new(waiting), io::IoSlice::new(buf)];
            let written = Pin::new(&mut self.transport).poll_write_vectored(cx, &slices);
            let n = ready!(self.in_time(cx, written))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if n < waiting_len {
                self.sent += n;
                continue;
            }
            self.outbox.clear();
            self.sent = 0;
            if n > waiting_len {
                return Poll::Ready(Ok(n - waiting_len));
            }
        }
    }

    /// Passes a write's result on, or an error when the client has taken nothing for too long.
    pub(super) fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_deadline.clear();
            return written;
        }
        self.write_deadline.set_if_clear(|| clock::now() + self.connection.settings.limits.write_timeout);
        ready!(self.write_deadline.poll(cx));
        self.observer.observe(Event::SlowReader { connection: &self.connection });
        // Nothing more can be said to this client.
        self.outbox = Vec::new();
        self.sent = 0;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "client takes no data")))
    }
}
