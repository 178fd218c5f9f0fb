//! What goes to the endpoint: the head, and behind it the client's body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use edgeward_routing::decide::Reason;
use edgeward_routing::policy::BodySize;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

use super::chunk::{self, LAST_CHUNK};
use super::patience::{Patience, Waiting};
use crate::head::BodyLength;
use crate::stream::{Body, Broken, Chunked, Stream};

/// What of a body is kept to be sent again, in bytes; what Pingora keeps.
const REPLAY: usize = 64 * 1024;

/// Less space than this is not worth a read.
const LEAST: usize = 4 * 1024;

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
        }
    }

    /// Begins with this head, or begins anew. Returns the buffer that is free now.
    pub(super) fn begin(&mut self, head: BytesMut, is_body_read: bool) -> BytesMut {
        let free = std::mem::replace(&mut self.out, head);
        self.sent = 0;
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

    /// The buffer, when nothing more is to be sent.
    pub(super) fn take_buffer(&mut self) -> BytesMut {
        std::mem::take(&mut self.out)
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
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        tcp: &mut TcpStream,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Waiting>, Reason> {
        while !self.is_over() {
            let mut is_starved = false;
            while self.state == State::Reading && !is_starved && self.make_room() {
                match self.read(cx, stream)? {
                    Poll::Ready(()) => patience.progress(),
                    Poll::Pending => is_starved = true,
                }
            }
            if self.out.is_empty() {
                if self.state == State::Reading {
                    return Ok(Some(Waiting::Client));
                }
                self.state = State::Done;
                break;
            }
            match Pin::new(&mut *tcp).poll_write(cx, &self.out[self.sent..]) {
                Poll::Ready(Ok(sent)) if sent > 0 => {
                    patience.progress();
                    self.sent += sent;
                    if self.sent == self.out.len() {
                        self.out.clear();
                        self.sent = 0;
                    }
                }
                Poll::Ready(_) => self.state = State::Broken,
                Poll::Pending => return Ok(Some(Waiting::Taking)),
            }
        }
        Ok(None)
    }

    /// Whether there is space to read into.
    fn make_room(&mut self) -> bool {
        if self.out.is_empty() {
            // It comes with room mostly.
            self.out.reserve(2 * LEAST);
        }
        self.out.capacity() - self.out.len() >= LEAST + chunk::SIZE.len() + LAST_CHUNK.len() + 2
    }

    /// Reads a piece of the body.
    fn read(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Result<Poll<()>, Reason> {
        let start = self.out.len();
        if self.coding.is_some() {
            // How much it is will be known afterwards.
            self.out.extend_from_slice(chunk::SIZE);
        }
        let body = self.out.len();
        let read = match poll_read_buf(Pin::new(&mut Body(stream)), cx, &mut self.out) {
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
    match Broken::of(error) {
        Some(Broken::Coding(_)) => Reason::BadRequest,
        Some(Broken::Cut) => Reason::Shutdown,
        None => Reason::ClientClosed,
    }
}
