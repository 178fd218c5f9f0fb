//! Reading: what reaches the engine, and when.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::head::{self, Faults, Framing, Refusal};
use super::http2::{Http2, TooManyCancels};
use super::{Broken, H2_PREFACE, Protocol, Stream, websocket};
use crate::clock;
use crate::connection::{ConnectionState, Phase};
use crate::listener::{Event, Refused};

/// Bytes read at a time while a head is collected.
const STEP: usize = 4 * 1024;

/// Bytes of later requests that are held back while one is being served; then the client must wait.
const MAX_PIPELINED: usize = 16 * 1024;

impl Stream {
    /// The read of [`AsyncRead`].
    pub(super) fn read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.ready > 0 || out.remaining() == 0 {
                let n = self.ready.min(out.remaining());
                out.put_slice(&self.inbox[..n]);
                self.inbox.advance(n);
                self.ready -= n;
                return Poll::Ready(Ok(()));
            }
            match &mut self.protocol {
                Protocol::Head { .. } => ready!(self.collect_head(cx))?,
                Protocol::Message(_) if self.connection.lifecycle.is_tunnel() => self.become_tunnel(),
                Protocol::Message(framing) if !framing.is_done() => return self.read_body(cx, out),
                // The engine may be through with the request before its body is: it reads the rest to get rid of it.
                Protocol::Message(_) if self.connection.lifecycle.requests_done() >= self.requests => self.next_head(),
                Protocol::Message(_) => return self.watch_for_end(cx),
                Protocol::WebSocket(_) | Protocol::Tunnel => return self.read_tunnel(cx, out),
                Protocol::Http2(_) => {
                    ready!(self.read_http2(cx, out))?;
                    if self.ready == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Protocol::Closed => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads until it is clear whether a plain-text connection speaks HTTP/2. Part of [`Peek`](super::Peek).
    pub(super) fn recognise(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let n = self.inbox.len().min(H2_PREFACE.len());
            if self.inbox[..n] != H2_PREFACE[..n] {
                return Poll::Ready(Ok(()));
            }
            if n == H2_PREFACE.len() {
                let mut http2 = Box::new(Http2::new(&self.connection.settings.limits));
                let received = http2.receive(&self.inbox, &self.connection.settings.limits);
                self.protocol = Protocol::Http2(http2);
                self.ready = self.inbox.len();
                self.read_deadline.clear();
                return Poll::Ready(self.tolerate(received));
            }
            match self.fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.await_head(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }

    pub(super) fn next_head(&mut self) {
        let now = clock::now();
        let begun = (!self.inbox.is_empty()).then_some(now);
        self.protocol = Protocol::Head { since: now, begun, draining: None };
        self.scanned = 0;
    }

    /// Reads until a head is whole and checked, or the connection is over.
    pub(super) fn collect_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.skip_empty_lines();
            if let Some(first) = self.inbox.first()
                && *first != b'\r'
                && !head::is_token(*first)
            {
                // This is not even HTTP; TLS on the wrong port, for instance. There may never be an end to wait for.
                self.refuse(Refusal::new(400, "malformed method"));
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = head::find_end(&self.inbox, self.scanned) {
                self.admit(end);
                return Poll::Ready(Ok(()));
            }
            self.scanned = self.inbox.len();
            if self.scanned > self.connection.settings.limits.header_bytes {
                let in_target = !self.inbox.contains(&b'\n');
                self.refuse(if in_target { Refusal::new(414, "request target too long") } else { head::LARGE_HEAD });
                return Poll::Ready(Ok(()));
            }
            match self.fill(cx) {
                Poll::Ready(Ok(0)) => {
                    self.protocol = Protocol::Closed;
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.await_head(cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Drops empty lines before a request line (RFC 9112 section 2.2). They do not count as the begin of a request.
    fn skip_empty_lines(&mut self) {
        loop {
            match &self.inbox[..] {
                [b'\n', ..] => self.inbox.advance(1),
                [b'\r', b'\n', ..] => self.inbox.advance(2),
                _ => break,
            }
            self.scanned = 0;
            if let (Protocol::Head { begun, .. }, true) = (&mut self.protocol, self.inbox.is_empty()) {
                *begun = None;
            }
        }
    }

    /// Checks the head that the inbox begins with, and makes it ready with what has come of its body.
    fn admit(&mut self, end: usize) {
        let checked = head::check(&self.inbox[..end], &self.connection.settings.limits).and_then(|mut checked| {
            match checked.framing.advance(&self.inbox[end..]) {
                Ok(body) => Ok((checked, body)),
                Err(reason) => Err(Refusal::new(400, reason)),
            }
        });
        match checked {
            Ok((checked, body)) => {
                self.head = end;
                self.ready = end + body;
                if checked.faults != Faults::default() {
                    let target = head::target(&self.inbox[..end]);
                    // `*` and what has no path are nothing to come back to.
                    if checked.faults.target && target.starts_with(b"/") {
                        self.connection.encodes_target(target);
                        self.encodes_target = true;
                    }
                    let kept = head::mended(&self.inbox[..end], checked.faults);
                    self.head = kept.len();
                    self.ready = kept.len() + body;
                    let behind = self.inbox.split_off(end);
                    self.inbox = BytesMut::from(&kept[..]);
                    self.inbox.unsplit(behind);
                }
                self.requests += 1;
                self.protocol = Protocol::Message(checked.framing);
                self.read_deadline.clear();
                self.connection.lifecycle.enter(ConnectionState::Active);
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Ends the connection with an answer of its own.
    fn refuse(&mut self, refusal: Refusal) {
        let begun = match &self.protocol {
            Protocol::Head { begun: Some(begun), .. } => *begun,
            _ => clock::now(),
        };
        let refused = Refused { connection: &self.connection, head: &self.inbox, begun, refusal };
        self.observer.observe(Event::BadRequest(refused));
        self.farewell = refusal.response();
        self.protocol = Protocol::Closed;
    }

    /// Called when no byte has come: ready when there was time enough, with the connection over.
    fn await_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Protocol::Head { since, begun, draining } = &mut self.protocol else { return Poll::Pending };
        let lifecycle = &self.connection.lifecycle;
        let waiting = self.inbox.is_empty();
        let limit = if self.requests == 0 {
            *since + self.connection.settings.limits.header_timeout
        } else if let (Some(begun), false) = (*begun, waiting) {
            begun + self.connection.settings.limits.header_timeout
        } else {
            *since + self.connection.settings.limits.keepalive_idle
        };
        let limit = if waiting && lifecycle.phase() >= Phase::Draining {
            // A client that has just sent its next request must find the connection open, so it is not closed at once.
            // The turn may have begun before the drain, and the grace is not to be shorter for that.
            let noticed = *draining.get_or_insert_with(Instant::now);
            limit.min(noticed + lifecycle.idle_grace())
        } else {
            limit
        };
        lifecycle.enter(if waiting { ConnectionState::Waiting } else { ConnectionState::Reading });
        if waiting {
            // An idle connection holds no buffers.
            self.inbox = BytesMut::new();
            self.outbox = Vec::new();
            if std::mem::take(&mut self.encodes_target) {
                self.connection.forget_target();
            }
        }
        self.read_deadline.set(limit);
        ready!(self.read_deadline.poll(cx));
        if waiting {
            self.protocol = Protocol::Closed;
        } else {
            self.refuse(Refusal::new(408, "request head took too long"));
        }
        Poll::Ready(())
    }

    /// Reads a piece of a request body, and keeps what lies behind its end.
    pub(super) fn read_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Protocol::Message(Framing::Broken(reason)) = &self.protocol {
            return Poll::Ready(Err(Broken::Coding(reason).into()));
        }
        let before = out.filled().len();
        ready!(Pin::new(&mut self.transport).poll_read(cx, out))?;
        let read = &out.filled()[before..];
        self.ended = read.is_empty();
        let Protocol::Message(framing) = &mut self.protocol else { return Poll::Ready(Ok(())) };
        match framing.advance(read) {
            Ok(body) => {
                self.inbox.extend_from_slice(&read[body..]);
                out.set_filled(before + body);
                Poll::Ready(Ok(()))
            }
            Err(reason) => {
                // The engine has the request. It answers 400, if nothing of an answer is out, and logs it.
                *framing = Framing::Broken(reason);
                out.set_filled(before);
                Poll::Ready(Err(Broken::Coding(reason).into()))
            }
        }
    }

    /// The request has been read and is being served: only the client's leaving is news. What it sends already belongs to
    /// its next request, and waits.
    pub(super) fn watch_for_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(deadline) = self.connection.lifecycle.deadline() {
            self.read_deadline.set(deadline);
            if self.read_deadline.poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        while !self.ended && self.inbox.len() < MAX_PIPELINED {
            self.ended = ready!(self.fill(cx))? == 0;
        }
        // A client that sent another request and then closed its side still waits for both answers. Without a waker this
        // is no lost wake-up: whoever reads next comes by itself.
        if self.inbox.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn read_tunnel(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.connection.lifecycle.phase() >= Phase::Closing && self.leave_tunnel() {
            return Poll::Ready(Ok(()));
        }
        let before = out.filled().len();
        ready!(Pin::new(&mut self.transport).poll_read(cx, out))?;
        self.ended = out.filled().len() == before;
        Poll::Ready(Ok(()))
    }

    /// Ends a tunnel, if this is a place to end it: a WebSocket between two frames, with a close frame.
    pub(super) fn leave_tunnel(&mut self) -> bool {
        match &self.protocol {
            Protocol::WebSocket(frames) if !frames.is_between() => return false,
            Protocol::WebSocket(_) => self.farewell = websocket::GOING_AWAY.to_vec(),
            _ => {}
        }
        self.protocol = Protocol::Closed;
        true
    }

    fn read_http2(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        if Pin::new(&mut self.transport).poll_read(cx, out)?.is_pending() {
            return self.await_http2(cx);
        }
        let read = &out.filled()[before..];
        self.ended = read.is_empty();
        let Protocol::Http2(http2) = &mut self.protocol else { return Poll::Ready(Ok(())) };
        let received = http2.receive(read, &self.connection.settings.limits);
        Poll::Ready(self.tolerate(received))
    }

    fn tolerate(&self, received: Result<(), TooManyCancels>) -> io::Result<()> {
        received.map_err(|TooManyCancels| {
            self.observer.observe(Event::TooManyCancels { connection: &self.connection });
            io::Error::other("the client cancels too many streams")
        })
    }

    /// Called when no byte has come: pending while the client has time, or for the next look at it. Ready when its time is
    /// up, with the connection over or with a frame for the engine in the inbox.
    fn await_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Protocol::Http2(http2) = &mut self.protocol else { return Poll::Pending };
            let (limits, lifecycle) = (&self.connection.settings.limits, &self.connection.lifecycle);
            let draining = lifecycle.phase() >= Phase::Draining;
            // The turn may have begun before the drain, and the grace is not to be shorter for that.
            let now = if draining { Instant::now() } else { clock::now() };
            let taken = lifecycle.requests_taken();
            if !http2.leaving && (draining || limits.is_used_up(taken)) {
                lifecycle.leave();
                http2.leaving = true;
                http2.quiet_since = now;
            }
            let done = lifecycle.requests_done();
            // A response that is still on its way to the client is being served.
            let busy = taken > done || self.write_deadline.is_set();
            if busy || done > http2.requests_done {
                http2.requests_done = done;
                http2.quiet_since = now;
            }
            let patience = match http2.leaving {
                true if draining => lifecycle.idle_grace(),
                true => limits.linger,
                false if taken == 0 => limits.header_timeout,
                false => limits.keepalive_idle,
            };
            let idle = http2.quiet_since + patience;
            let frame = http2.frame_deadline(limits);
            let body = http2.body_deadline(limits);
            let first = [frame, body.map(|(at, _)| at)].into_iter().flatten().fold(idle, Instant::min);
            self.read_deadline.set(first);
            ready!(self.read_deadline.poll(cx));

            if frame == Some(first) {
                let refusal = Refusal::new(408, "HTTP/2 frame took too long");
                if http2.has_begun() {
                    let begun = first.checked_sub(limits.header_timeout).unwrap_or(now);
                    let refused = Refused { connection: &self.connection, head: b"", begun, refusal };
                    self.observer.observe(Event::BadRequest(refused));
                }
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if let Some((at, stream)) = body
                && at == first
            {
                self.inbox.extend_from_slice(&http2.give_up(stream));
                self.ready = self.inbox.len();
                return Poll::Ready(Ok(()));
            }
            if busy {
                continue;
            }
            if http2.leaving {
                self.protocol = Protocol::Closed;
                return Poll::Ready(Ok(()));
            }
            // The client must hear that its next stream will not be served before it finds the connection closed.
            lifecycle.leave();
            http2.leaving = true;
            http2.quiet_since = now;
        }
    }

    /// Reads once into the inbox.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); STEP];
        let (inbox, is_answering) = (&mut self.inbox, matches!(self.protocol, Protocol::Message(_)));
        let take = |read: &[u8]| inbox.extend_from_slice(read);
        let n = ready!(self.transport.poll_read_by(cx, &mut space, is_answering, take))?;
        self.ended = n == 0;
        if let Protocol::Head { begun, .. } = &mut self.protocol {
            begun.get_or_insert_with(clock::now);
        }
        Poll::Ready(Ok(n))
    }
}
