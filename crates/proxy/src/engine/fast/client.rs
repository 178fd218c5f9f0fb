//! The client's side of an exchange, whichever protocol it speaks.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use edgeward_routing::decide::Reason;
use http::HeaderMap;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::connection::{Connection, Phase};
use crate::pipe::Pipe;
use crate::stream::Stream;

/// What goes to a client next: head, head of a chunk, data, and what follows it.
pub(super) type Pieces<'a> = [&'a [u8]; 4];

/// What comes behind what is sent to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// More of the response.
    More,
    /// Nothing of the response.
    Nothing,
    /// The end of the connection, and nothing is waited for before it.
    End,
}

/// The client of one request: the rest of its request, and the way for the response.
///
/// Whatever fails, fails with what it is called in the records: [`Reason::ClientClosed`] and its like.
pub(super) trait Client: Send {
    /// Whether other requests go by on the connection meanwhile, so that nothing of this one stands in their way, framing is
    /// not a matter of its head, and the client can leave before its body has been read.
    const IS_MULTIPLEXED: bool;

    /// The connection that it is on.
    fn connection(&self) -> &Arc<Connection>;

    /// Whether the body of the request has been read to its end.
    fn is_body_read(&self) -> bool;

    /// Reads a piece of the body, without its coding. Nothing is read only at its end.
    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<Result<(), Reason>>;

    /// Ready when the client has left. Its request must have been read to its end, unless the client is
    /// [multiplexed](Self::IS_MULTIPLEXED).
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Reason>;

    /// Sends some of what is behind the first `sent` bytes of `pieces`, of which the first is the head of the response, and
    /// returns how much.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &Pieces<'_>,
        sent: usize,
        behind: Behind,
    ) -> Poll<Result<usize, Reason>>;

    /// Sends what is left of what was [sent](Self::poll_send).
    fn poll_sent(&mut self, cx: &mut Context<'_>, behind: Behind) -> Poll<Result<(), Reason>>;

    /// Sends an interim response (RFC 9110 section 15.2) behind its first `sent` bytes, if it can have one.
    fn poll_interim(&mut self, _: &mut Context<'_>, _head: &[u8], _sent: &mut usize) -> Poll<Result<(), Reason>> {
        Poll::Ready(Ok(()))
    }

    /// Sends what follows the body of a response that was sent, if the client can have that. It is the end of it.
    fn send_trailers(&mut self, _: HeaderMap) -> Result<(), Reason> {
        Ok(())
    }

    /// Lets the client see that the response, of which it has a part, will not be whole, and why, where that can be told.
    fn cut_short(&mut self, why: h2::Reason);

    /// How many bytes of the body are still to come, where they could come [through a pipe](Self::poll_body_into).
    fn pipeable(&self) -> Option<u64> {
        None
    }

    /// Whether a response may go [through a pipe](Self::poll_send_from).
    fn takes_pipe(&self) -> bool {
        false
    }

    /// Reads a piece of the body, of `limit` bytes at most, into an empty pipe, and returns how long it is. The body must be
    /// [`pipeable`](Self::pipeable).
    fn poll_body_into(&mut self, _: &mut Context<'_>, _: &Pipe, _limit: usize) -> Poll<Result<usize, Reason>> {
        Poll::Ready(Err(Reason::Internal))
    }

    /// Sends up to `length` bytes that are in a pipe, if the client [takes](Self::takes_pipe) one.
    fn poll_send_from(&mut self, _: &mut Context<'_>, _: &Pipe, _length: usize) -> Poll<Result<usize, Reason>> {
        Poll::Ready(Err(Reason::Internal))
    }

    /// The connection itself, which speaks another protocol behind a `101`.
    ///
    /// # Errors
    ///
    /// [`Reason::Internal`] when it has other requests on it.
    fn upgraded(&mut self) -> Result<Pin<&mut Stream>, Reason> {
        Err(Reason::Internal)
    }

    /// Fails once a drain has cut the connection.
    fn check_cut(&self) -> Result<(), Reason> {
        match self.connection().lifecycle.phase() {
            Phase::Cut => Err(Reason::Shutdown),
            _ => Ok(()),
        }
    }
}

/// Sends a whole response.
pub(super) async fn send<C: Client>(client: &mut C, head: &[u8], body: &[u8], behind: Behind) -> Result<(), Reason> {
    let pieces: Pieces<'_> = [head, b"", body, b""];
    let mut sent = 0;
    poll_fn(|cx| {
        while sent < head.len() + body.len() {
            sent += ready!(client.poll_send(cx, &pieces, sent, behind))?;
        }
        client.poll_sent(cx, behind)
    })
    .await
}

/// Sends an interim response.
pub(super) async fn send_interim<C: Client>(client: &mut C, head: &[u8]) -> Result<(), Reason> {
    let mut sent = 0;
    poll_fn(|cx| client.poll_interim(cx, head, &mut sent)).await
}

/// Reads over the rest of the body.
pub(super) async fn discard_body<C: Client>(client: &mut C) -> Result<(), Reason> {
    poll_fn(|cx| {
        while !client.is_body_read() {
            let mut space = [std::mem::MaybeUninit::uninit(); 4096];
            ready!(client.poll_body(cx, &mut ReadBuf::uninit(&mut space)))?;
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Reads a piece of the body behind what `out` has, and returns how long it is: 0 only at the end of the body.
pub(super) fn poll_read_body<C: Client>(
    client: &mut C,
    cx: &mut Context<'_>,
    out: &mut impl BufMut,
) -> Poll<Result<usize, Reason>> {
    let mut body = Body { client, failure: Reason::Internal };
    let read = ready!(poll_read_buf(Pin::new(&mut body), cx, out));
    Poll::Ready(read.map_err(|_| body.failure))
}

/// The body of a request, for what reads into buffers.
struct Body<'a, C> {
    client: &'a mut C,
    /// What the failure is called that a read ended with.
    failure: Reason,
}

impl<C: Client> AsyncRead for Body<'_, C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.client.poll_body(cx, out)).map_err(|reason| {
            self.failure = reason;
            io::Error::other("see `failure`")
        })?;
        Poll::Ready(Ok(()))
    }
}
