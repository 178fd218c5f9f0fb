//! A client in HTTP/1: it has the connection for itself.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use edgeward_routing::decide::Reason;
use tokio::io::ReadBuf;

use super::super::failure;
use super::client::{Behind, Client, Pieces};
use crate::connection::Connection;
use crate::head::BodyLength;
use crate::pipe::Pipe;
use crate::stream::{Broken, Chunked, Stream};

/// See the [module](self).
pub(super) struct Http1Client<'a> {
    stream: &'a mut Stream,
    /// The coding of the body, if it has one.
    coding: Option<Chunked>,
}

impl<'a> Http1Client<'a> {
    /// The client of the request whose head was taken from this stream last.
    pub(super) fn new(stream: &'a mut Stream, body: BodyLength) -> Self {
        Self { stream, coding: (body == BodyLength::Chunked).then(Chunked::new) }
    }
}

impl Client for Http1Client<'_> {
    const IS_MULTIPLEXED: bool = false;

    fn connection(&self) -> &Arc<Connection> {
        self.stream.connection()
    }

    fn is_body_read(&self) -> bool {
        self.stream.is_body_read()
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<Result<(), Reason>> {
        let start = out.filled().len();
        // A piece may have nothing but coding in it.
        while out.filled().len() == start && !self.stream.is_body_read() {
            ready!(self.stream.poll_body(cx, out)).map_err(|error| reason(&error))?;
            if out.filled().len() == start && !self.stream.is_body_read() {
                return Poll::Ready(Err(Reason::ClientClosed));
            }
            if let Some(coding) = &mut self.coding {
                let decoded = coding.decode(&mut out.filled_mut()[start..]).map_err(|_| Reason::BadRequest)?;
                out.set_filled(start + decoded.data);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        self.stream.poll_left(cx).map(|left| left.map_or_else(|error| reason(&error), |()| Reason::ClientClosed))
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &Pieces<'_>,
        sent: usize,
        behind: Behind,
    ) -> Poll<Result<usize, Reason>> {
        let mut slices = pieces.map(IoSlice::new);
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, sent);
        taken(match behind {
            Behind::End => self.stream.poll_send_last(cx, left),
            Behind::More | Behind::Nothing => self.stream.poll_send(cx, left),
        })
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>, _: Behind) -> Poll<Result<(), Reason>> {
        self.stream.poll_sent(cx).map_err(|error| reason(&error))
    }

    fn poll_interim(&mut self, cx: &mut Context<'_>, head: &[u8], sent: &mut usize) -> Poll<Result<(), Reason>> {
        while *sent < head.len() {
            *sent += ready!(taken(self.stream.poll_send(cx, &[IoSlice::new(&head[*sent..])])))?;
        }
        self.poll_sent(cx, Behind::More)
    }

    fn cut_short(&mut self, _: h2::Reason) {
        self.connection().cut_short();
    }

    fn pipeable(&self) -> Option<u64> {
        self.stream.pipeable()
    }

    fn takes_pipe(&self) -> bool {
        self.stream.is_plain()
    }

    fn poll_body_into(&mut self, cx: &mut Context<'_>, pipe: &Pipe, limit: usize) -> Poll<Result<usize, Reason>> {
        taken(self.stream.poll_body_into(cx, pipe, limit))
    }

    fn poll_send_from(&mut self, cx: &mut Context<'_>, pipe: &Pipe, length: usize) -> Poll<Result<usize, Reason>> {
        taken(self.stream.poll_send_from(cx, pipe, length))
    }

    fn upgraded(&mut self) -> Result<Pin<&mut Stream>, Reason> {
        Ok(Pin::new(&mut *self.stream))
    }
}

/// Nothing read, or nothing sent, is the end of the client.
fn taken(bytes: Poll<io::Result<usize>>) -> Poll<Result<usize, Reason>> {
    bytes.map(|bytes| match bytes {
        Ok(0) => Err(Reason::ClientClosed),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(reason(&error)),
    })
}

/// What a failure of the client's stream is called.
pub(super) fn reason(error: &io::Error) -> Reason {
    Broken::of(error).map_or(Reason::ClientClosed, failure::reason)
}
