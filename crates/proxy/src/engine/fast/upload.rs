//! What goes to the endpoint: the head, and behind it the client's body.

mod collect;

use std::task::{Context, Poll};

use bytes::BufMut;
use edgeward_routing::decide::Reason;
use edgeward_routing::policy::BodySize;
use tokio::sync::OwnedSemaphorePermit;

use super::chunk::{self, LAST_CHUNK};
use super::client::{self, Client};
use super::ends::Ends;
use super::patience::Waiting;
use super::pool::{Buffers, Pipes};
use crate::head::BodyLength;
use crate::pipe::Pipe;
use crate::subrequest::MirroredRequest;

pub(in crate::engine) use collect::Room;

/// What of a body is kept to be sent again, in bytes; what Pingora keeps.
const REPLAY: usize = 64 * 1024;

/// Less space than this is not worth a read.
const LEAST: usize = 4 * 1024;

/// What stands around data in chunks at most: the head of its chunk, the end of it, and the last chunk.
const AROUND: usize = chunk::SIZE.len() + 2 + LAST_CHUNK.len();

/// A request on its way to an endpoint.
pub(super) struct Upload {
    /// The head, and then the body as it goes on the wire. The first `sent` bytes are sent.
    out: Vec<u8>,
    sent: usize,
    /// Whether the endpoint gets the body in chunks.
    chunked: bool,
    state: State,
    /// Bytes of the body so far.
    body_bytes: u64,
    limit: BodySize,
    /// The body so far, for another try, or for the first one if it was [collected](Self::poll_collect). `None` when it is too
    /// long, or is not to be sent again.
    replay: Option<Vec<u8>>,
    /// The part that a body that was collected has of the room for all of them.
    room: Option<OwnedSemaphorePermit>,
    /// What the rest of the body goes through, and how much of it is in there.
    pipe: Option<(Pipe, usize)>,
    /// The copy of the request, which the body is for too.
    mirrored: Option<Box<MirroredRequest>>,
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
            out: Vec::new(),
            sent: 0,
            chunked: false,
            state: if body == BodyLength::Bytes(0) { State::Rest } else { State::Reading },
            body_bytes: 0,
            limit,
            replay: is_repeatable.then(Vec::new),
            room: None,
            pipe: None,
            mirrored: None,
        }
    }

    /// Has a copy of the request get the body too.
    pub(super) fn mirror(&mut self, copy: Option<Box<MirroredRequest>>) {
        self.mirrored = copy;
    }

    /// Begins with this head, or begins anew, with a body that goes in chunks or not. Returns the buffer that is free now.
    pub(super) fn begin(&mut self, head: Vec<u8>, is_body_read: bool, chunked: bool) -> Vec<u8> {
        let free = std::mem::replace(&mut self.out, head);
        (self.sent, self.pipe, self.chunked) = (0, None, chunked);
        let replay = self.replay.as_deref().unwrap_or_default();
        if self.chunked {
            chunk::put(&mut self.out, replay);
            if is_body_read {
                self.out.extend_from_slice(LAST_CHUNK);
            }
        } else {
            self.out.extend_from_slice(replay);
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

    /// Whether nothing is left to send, and nothing is to come.
    pub(super) fn is_empty(&self) -> bool {
        self.state == State::Rest && self.out.is_empty()
    }

    /// Whether it is the client that has to go on.
    pub(super) fn is_starved(&self) -> bool {
        self.state == State::Reading && self.out.is_empty()
    }

    /// Keeps no more of the body for another try: there will be none.
    pub(super) fn forget(&mut self) {
        self.replay = None;
    }

    /// Whether everything is sent.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether nothing more can be sent: everything is, or the endpoint takes no more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Broken)
    }

    /// Bytes of the body so far.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Goes on as far as it goes now. Returns whose move it is; `None` when it is [over](Self::is_over).
    ///
    /// # Errors
    ///
    /// What is wrong with the client or its body.
    pub(super) fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, '_, C>,
    ) -> Result<Option<Waiting>, Reason> {
        while !self.is_over() {
            if self.open_pipe(ends) {
                return self.pass_on(cx, ends);
            }
            let mut is_starved = false;
            while self.state == State::Reading && !is_starved && self.has_room(ends.buffers) {
                match self.read(cx, ends.client) {
                    Poll::Ready(Ok(())) => ends.patience.progress(),
                    Poll::Ready(Err(reason)) => return Err(reason),
                    Poll::Pending => is_starved = true,
                }
            }
            if self.out.is_empty() {
                // A buffer is held only while there is something in it.
                ends.buffers.put(std::mem::take(&mut self.out));
                if self.state == State::Reading {
                    return Ok(Some(Waiting::Client));
                }
                ends.upstream.finish();
                self.state = State::Done;
                break;
            }
            let is_last = self.state == State::Rest;
            match ends.upstream.poll_send(cx, &self.out[self.sent..], is_last) {
                Poll::Ready(sent) if sent > 0 => {
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
    fn open_pipe<C: Client>(&mut self, ends: &mut Ends<'_, '_, C>) -> bool {
        if self.pipe.is_none()
            && self.state == State::Reading
            && self.out.is_empty()
            && self.replay.is_none()
            && self.mirrored.is_none()
            && ends.client.pipeable().is_some_and(|left| left >= Pipes::WORTH)
            && ends.upstream.tcp().is_some()
        {
            self.pipe = ends.pipes.take().map(|pipe| (pipe, 0));
            ends.buffers.put(std::mem::take(&mut self.out));
        }
        self.pipe.is_some()
    }

    /// Passes on, through the pipe, what comes of the body.
    fn pass_on<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, '_, C>,
    ) -> Result<Option<Waiting>, Reason> {
        let (Some((pipe, held)), Some(tcp)) = (&mut self.pipe, ends.upstream.tcp()) else { return Ok(None) };
        loop {
            while *held > 0 {
                match pipe.poll_drain(cx, tcp, *held) {
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
            let Some(left) = ends.client.pipeable().filter(|left| *left > 0) else {
                self.state = State::Done;
                return Ok(None);
            };
            let limit = usize::try_from(left).unwrap_or(usize::MAX);
            match ends.client.poll_body_into(cx, pipe, limit) {
                Poll::Ready(Ok(read)) => {
                    ends.patience.progress();
                    *held = read;
                    self.body_bytes += read as u64;
                }
                Poll::Ready(Err(reason)) => return Err(reason),
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
    fn read<C: Client>(&mut self, cx: &mut Context<'_>, client: &mut C) -> Poll<Result<(), Reason>> {
        let start = self.out.len();
        if self.chunked {
            // How much it is will be known afterwards.
            self.out.extend_from_slice(chunk::SIZE);
        }
        let body = self.out.len();
        // No more than that, whatever room there is: the buffer is not to grow.
        let mut room = (&mut self.out).limit(Buffers::SIZE - start - AROUND);
        let Poll::Ready(read) = client::poll_read_body(client, cx, &mut room) else {
            self.out.truncate(start);
            return Poll::Pending;
        };
        read?;
        let data = &self.out[body..];
        self.body_bytes += data.len() as u64;
        if !self.limit.allows(self.body_bytes) {
            return Poll::Ready(Err(Reason::BodyTooLarge));
        }
        if self.mirrored.as_mut().is_some_and(|copy| !copy.push(data)) {
            self.mirrored = None;
        }
        if let Some(replay) = &mut self.replay {
            replay.extend_from_slice(data);
            if replay.len() > REPLAY {
                (self.replay, self.room) = (None, None);
            }
        }
        if self.chunked {
            match data.len() {
                0 => self.out.truncate(start),
                size => {
                    chunk::write_size(&mut self.out[start..body], size);
                    self.out.extend_from_slice(b"\r\n");
                }
            }
        }
        if client.is_body_read() {
            if self.chunked {
                self.out.extend_from_slice(LAST_CHUNK);
            }
            self.state = State::Rest;
            if let Some(copy) = self.mirrored.take() {
                copy.send();
            }
        }
        Poll::Ready(Ok(()))
    }
}
