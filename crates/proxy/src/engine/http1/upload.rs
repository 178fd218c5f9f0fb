//! What goes to the endpoint: the head, and behind it the client's body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use edgeward_routing::decide::Reason;
use edgeward_routing::policy::BodySize;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use super::super::failure;
use super::chunk::{self, LAST_CHUNK};
use super::download::Ends;
use super::patience::Waiting;
use super::pool::{Buffers, Pipes};
use crate::head::BodyLength;
use crate::pipe::Pipe;
use crate::stream::{Body, Broken, Chunked, Stream};

/// What of a body is kept to be sent again, in bytes; what Pingora keeps.
const REPLAY: usize = 64 * 1024;

/// Less space than this is not worth a read.
const LEAST: usize = 4 * 1024;

/// What stands around data in chunks at most: the head of its chunk, the end of it, and the last chunk.
const AROUND: usize = chunk::SIZE.len() + 2 + LAST_CHUNK.len();

/// A request on its way to an endpoint.
pub(super) struct Upload {
    /// The head, and then the body as it goes on the wire. The first `sent` bytes are sent.
    out: BytesMut,
    sent: usize,
    coding: Option<Chunked>,
    state: State,
    /// Bytes of the body so far, without its coding.
    body_bytes: u64,
    limit: BodySize,
    /// The body so far, for another try. `None` when it is too long, or is not to be sent again.
    replay: Option<Vec<u8>>,
    /// What the rest of the body goes through, and how much of it is in there.
    pipe: Option<(Pipe, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More of the body is to come from the client.
    Reading,
    /// The rest is in `out`.
    Rest,
    /// Everything is sent.
    Done,
    /// The endpoint takes no more. It may have answered all the same.
    Broken,
}

impl Upload {
    /// An upload of a body of this length, and of no more than `limit`. `is_repeatable` tells whether the request may be
    /// sent more than once.
    pub(super) fn new(body: BodyLength, limit: BodySize, is_repeatable: bool) -> Self {
        Self {
            out: BytesMut::new(),
            sent: 0,
            coding: (body == BodyLength::Chunked).then(Chunked::new),
            state: if body == BodyLength::Bytes(0) { State::Rest } else { State::Reading },
            body_bytes: 0,
            limit,
            replay: is_repeatable.then(Vec::new),
            pipe: None,
        }
    }

    /// Begins with this head, or begins anew. Returns the buffer that is free now.
    pub(super) fn begin(&mut self, head: BytesMut, is_body_read: bool) -> BytesMut {
        let free = std::mem::replace(&mut self.out, head);
        (self.sent, self.pipe) = (0, None);
        let replay = self.replay.as_deref().unwrap_or_default();
        match &self.coding {
            None => self.out.extend_from_slice(replay),
            Some(_) => {
                chunk::put(&mut self.out, replay);
                if is_body_read {
                    self.out.extend_from_slice(LAST_CHUNK);
                }
            }
        }
        self.state = if is_body_read { State::Rest } else { State::Reading };
        free
    }

    /// Gives back what is needed no more.
    pub(super) fn release(&mut self, buffers: &Buffers, pipes: &Pipes) {
        buffers.put(std::mem::take(&mut self.out));
        if let Some((pipe, 0)) = self.pipe.take() {
            pipes.put(pipe);
        }
    }

    /// Whether what was read of the body can be sent once more.
    pub(super) fn is_repeatable(&self) -> bool {
        self.body_bytes == 0 || self.replay.is_some()
    }

    /// Whether everything is sent.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether nothing more can be sent: everything is, or the endpoint takes no more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Broken)
    }

    /// Bytes of the body so far, without its coding.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Goes on as far as it goes now. Returns whose move it is; `None` when it is [over](Self::is_over).
    ///
    /// # Errors
    ///
    /// What is wrong with the client or its body.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, '_>) -> Result<Option<Waiting>, Reason> {
        while !self.is_over() {
            if self.open_pipe(ends) {
                return self.pass_on(cx, ends);
            }
            let mut is_starved = false;
            while self.state == State::Reading && !is_starved && self.has_room(ends.buffers) {
                match self.read(cx, ends.stream)? {
                    Poll::Ready(()) => ends.patience.progress(),
                    Poll::Pending => is_starved = true,
                }
            }
            if self.out.is_empty() {
                // A buffer is held only while there is something in it.
                ends.buffers.put(std::mem::take(&mut self.out));
                if self.state == State::Reading {
                    return Ok(Some(Waiting::Client));
                }
                self.state = State::Done;
                break;
            }
            match Pin::new(&mut *ends.tcp).poll_write(cx, &self.out[self.sent..]) {
                Poll::Ready(Ok(sent)) if sent > 0 => {
                    ends.patience.progress();
                    self.sent += sent;
                    if self.sent == self.out.len() {
                        self.out.clear();
                        self.sent = 0;
                    }
                }
                Poll::Ready(_) => {
                    self.state = State::Broken;
                    ends.buffers.put(std::mem::take(&mut self.out));
                }
                Poll::Pending => return Ok(Some(Waiting::Taking)),
            }
        }
        Ok(None)
    }

    /// Whether the rest of the body goes through a pipe: it is large and in the clear, nothing of it is to be kept, and what
    /// was read before is sent.
    fn open_pipe(&mut self, ends: &Ends<'_, '_>) -> bool {
        if self.pipe.is_none()
            && self.state == State::Reading
            && self.out.is_empty()
            && self.replay.is_none()
            && ends.stream.pipeable().is_some_and(|left| left >= Pipes::WORTH)
        {
            self.pipe = ends.pipes.take().map(|pipe| (pipe, 0));
            ends.buffers.put(std::mem::take(&mut self.out));
        }
        self.pipe.is_some()
    }

    /// Passes on, through the pipe, what comes of the body.
    fn pass_on(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, '_>) -> Result<Option<Waiting>, Reason> {
        let Some((pipe, held)) = &mut self.pipe else { return Ok(None) };
        loop {
            while *held > 0 {
                match pipe.poll_drain(cx, ends.tcp, *held) {
                    Poll::Ready(Ok(sent)) if sent > 0 => {
                        ends.patience.progress();
                        *held -= sent;
                    }
                    Poll::Ready(_) => {
                        self.state = State::Broken;
                        return Ok(None);
                    }
                    Poll::Pending => return Ok(Some(Waiting::Taking)),
                }
            }
            let Some(left) = ends.stream.pipeable().filter(|left| *left > 0) else {
                self.state = State::Done;
                return Ok(None);
            };
            let limit = usize::try_from(left).unwrap_or(usize::MAX);
            match ends.stream.poll_body_into(cx, pipe, limit) {
                Poll::Ready(Ok(0)) => return Err(Reason::ClientClosed),
                Poll::Ready(Ok(read)) => {
                    ends.patience.progress();
                    *held = read;
                    self.body_bytes += read as u64;
                }
                Poll::Ready(Err(error)) => return Err(client_reason(&error)),
                Poll::Pending => return Ok(Some(Waiting::Client)),
            }
        }
    }

    /// Whether there is space to read into.
    fn has_room(&mut self, buffers: &Buffers) -> bool {
        if self.out.capacity() == 0 {
            self.out = buffers.take();
        }
        self.out.len() + LEAST <= Buffers::SIZE
    }

    /// Reads a piece of the body.
    fn read(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Result<Poll<()>, Reason> {
        let start = self.out.len();
        if self.coding.is_some() {
            // How much it is will be known afterwards.
            self.out.extend_from_slice(chunk::SIZE);
        }
        let body = self.out.len();
        // No more than that, whatever room there is: the buffer is not to grow.
        let mut room = (&mut self.out).limit(Buffers::SIZE - start - AROUND);
        let read = match poll_read_buf(Pin::new(&mut Body(stream)), cx, &mut room) {
            Poll::Ready(Ok(read)) => read,
            Poll::Ready(Err(error)) => return Err(client_reason(&error)),
            Poll::Pending => {
                self.out.truncate(start);
                return Ok(Poll::Pending);
            }
        };
        let is_body_read = stream.is_body_read();
        if read == 0 && !is_body_read {
            return Err(Reason::ClientClosed);
        }
        if let Some(coding) = &mut self.coding {
            let decoded = coding.decode(&mut self.out[body..]).map_err(|_| Reason::BadRequest)?;
            self.out.truncate(body + decoded.data);
        }
        let data = &self.out[body..];
        self.body_bytes += data.len() as u64;
        if !self.limit.allows(self.body_bytes) {
            return Err(Reason::BodyTooLarge);
        }
        if let Some(replay) = &mut self.replay {
            replay.extend_from_slice(data);
            if replay.len() > REPLAY {
                self.replay = None;
            }
        }
        if self.coding.is_some() {
            match data.len() {
                0 => self.out.truncate(start),
                size => {
                    chunk::write_size(&mut self.out[start..body], size);
                    self.out.extend_from_slice(b"\r\n");
                }
            }
        }
        if is_body_read {
            if self.coding.is_some() {
                self.out.extend_from_slice(LAST_CHUNK);
            }
            self.state = State::Rest;
        }
        Ok(Poll::Ready(()))
    }
}

/// What a failure of the client's stream is called.
pub(super) fn client_reason(error: &io::Error) -> Reason {
    Broken::of(error).map_or(Reason::ClientClosed, failure::reason)
}
