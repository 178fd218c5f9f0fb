//! A request to an endpoint in HTTP/2: one stream of a connection.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use edgeward_routing::decide::Reason;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};

use super::super::super::connection_options::ConnectionOptions;
use super::super::client::Client;
use super::super::exchange::{Exchange, Failure, unless_left};
use super::super::links::{FRAME, Links, Slot, Terms};
use super::super::pool::Buffers;
use super::super::upload::Upload;
use super::head;
use crate::head::{BodyLength, ResponseHead};

/// A request whose head is longer than this, in bytes, has a connection of its own. There are servers that end one on which such a
/// head comes (those on Netty do, from a quarter above 8 KiB on), and that is not to be the end of what others have asked.
const LARGE: usize = 8 * 1024;

/// See the [module](self).
pub(in super::super) struct Call {
    response: ResponseFuture,
    body: SendStream<Bytes>,
    /// Whether the request is sent to its end.
    is_finished: bool,
    /// Whether it waits for the endpoint to take something of it.
    is_waiting: bool,
    /// The body of the response, once there is its head.
    incoming: Option<RecvStream>,
    /// What was [gathered](Self::gather) of it.
    gathered: Vec<u8>,
    /// Whether all of the response has come.
    is_received: bool,
    trailers: Option<HeaderMap>,
    /// What the endpoint did with it, if it went wrong.
    failure: Option<h2::Error>,
    slot: Slot,
}

impl Call {
    /// Sends the head of a request. Nothing follows it if it `is_whole`.
    ///
    /// # Errors
    ///
    /// [`Reason::UpstreamClosed`] when the connection takes no more requests, which was not known before.
    fn begin(slot: Slot, request: Request<()>, is_whole: bool) -> Result<Self, Reason> {
        let (response, body) = slot.sender().send_request(request, is_whole).map_err(|error| {
            slot.retire();
            let is_of_connection = error.is_io() || error.is_go_away() || error.is_reset();
            if is_of_connection { Reason::UpstreamClosed } else { Reason::Internal }
        })?;
        Ok(Self {
            response,
            body,
            is_finished: is_whole,
            is_waiting: false,
            incoming: None,
            gathered: Vec::new(),
            is_received: false,
            trailers: None,
            failure: None,
            slot,
        })
    }

    /// Sends some of a body; see [`Upstream::poll_send`](super::Upstream::poll_send).
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<usize> {
        self.body.reserve_capacity(data.len());
        while self.body.capacity() == 0 {
            let polled = self.body.poll_capacity(cx);
            self.set_waiting(polled.is_pending());
            let Some(Ok(_)) = ready!(polled) else { return Poll::Ready(0) };
        }
        // There may have been room again before it asked for any.
        self.set_waiting(false);
        let size = self.body.capacity().min(data.len());
        let is_last = is_last && size == data.len();
        if self.body.send_data(Bytes::copy_from_slice(&data[..size]), is_last).is_err() {
            return Poll::Ready(0);
        }
        self.is_finished |= is_last;
        Poll::Ready(size)
    }

    fn set_waiting(&mut self, is_waiting: bool) {
        if std::mem::replace(&mut self.is_waiting, is_waiting) != is_waiting {
            self.slot.set_waiting(is_waiting);
        }
    }

    /// Says the end of the request, unless that is said.
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finished, true) {
            // Whoever reads the response learns that there is nobody to tell.
            let _ = self.body.send_data(Bytes::new(), true);
        }
    }

    /// Ready when the endpoint wants no more of the request.
    pub(in super::super) fn poll_unwanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.body.poll_reset(cx).map(drop)
    }

    /// Reads the head of a response, which may be an interim one, into `out`, in the form that it has in HTTP/1.
    pub(in super::super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Poll<Result<ResponseHead, Reason>> {
        let response = match ready!(self.response.poll_informational(cx)) {
            Some(interim) => interim,
            None => ready!(Pin::new(&mut self.response).poll(cx)).map(|response| {
                let (head, body) = response.into_parts();
                self.is_received = body.is_end_stream();
                self.incoming = Some(body);
                http::Response::from_parts(head, ())
            }),
        };
        Poll::Ready(match response {
            Err(error) => Err(self.fail(error)),
            Ok(response) => head::put_response(out, &response).ok_or(Reason::UpstreamInvalid),
        })
    }

    /// Reads what has come of the body behind what `out` has, and returns how much: nothing at its end.
    pub(in super::super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Poll<Result<usize, Reason>> {
        let start = out.len();
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(Err(Reason::Internal)) };
        if !self.gathered.is_empty() {
            let gathered = std::mem::take(&mut self.gathered);
            out.extend_from_slice(&gathered);
            // What is wrong with the stream is said below, and by the next read.
            let _ = incoming.flow_control().release_capacity(gathered.len());
            self.is_received = incoming.is_end_stream();
        }
        // Small messages that came together go on together.
        while !self.is_received && out.len() + FRAME as usize <= Buffers::SIZE {
            let failed = match incoming.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    out.extend_from_slice(&data);
                    self.is_received = incoming.is_end_stream();
                    incoming.flow_control().release_capacity(data.len()).err()
                }
                Poll::Ready(Some(Err(error))) => Some(error),
                Poll::Ready(None) => match incoming.poll_trailers(cx) {
                    Poll::Ready(Ok(trailers)) => {
                        (self.trailers, self.is_received) = (trailers, true);
                        None
                    }
                    Poll::Ready(Err(error)) => Some(error),
                    Poll::Pending => break,
                },
                Poll::Pending => break,
            };
            match failed {
                // It says so again.
                Some(_) if out.len() > start => break,
                Some(error) => return Poll::Ready(Err(self.fail(error))),
                None => {}
            }
        }
        match out.len() - start {
            0 if !self.is_received => Poll::Pending,
            read => Poll::Ready(Ok(read)),
        }
    }

    /// Takes in what has come of the body while the client takes nothing of it, so that no frames are kept, which may be many
    /// for little data: they count against the connection, and others share that. The endpoint may send no more for it.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        let Some(incoming) = &mut self.incoming else { return };
        while let Poll::Ready(Some(Ok(data))) = incoming.poll_data(cx) {
            self.gathered.extend_from_slice(&data);
        }
    }

    /// Whether trailers follow what has been read.
    pub(super) fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Whether all of the response has been read, and no trailers are left.
    pub(super) fn is_ended(&self) -> bool {
        self.is_received && self.trailers.is_none()
    }

    /// What came behind the body.
    pub(in super::super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// What the failure of the endpoint is called.
    fn fail(&mut self, error: h2::Error) -> Reason {
        let reason = if error.is_library() { Reason::UpstreamInvalid } else { Reason::UpstreamClosed };
        if error.is_go_away() && error.is_remote() {
            self.slot.retire();
        }
        self.failure = Some(error);
        reason
    }

    /// Has no other request use the connection, on which nothing comes that should.
    pub(in super::super) fn retire(&self) {
        self.slot.retire();
    }

    /// Whether the endpoint has said that it did nothing about the request (RFC 9113 section 8.7): it refused the stream, or
    /// left before it.
    pub(in super::super) fn is_refused(&self) -> bool {
        self.failure.as_ref().is_some_and(|error| {
            error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
        })
    }

    /// What ended the stream is for the client to know in the middle of a response, as far as it is true for both.
    pub(in super::super) fn reset_reason(&self) -> h2::Reason {
        let reset = self.failure.as_ref().filter(|error| error.is_reset() && error.is_remote());
        match reset.and_then(h2::Error::reason) {
            Some(reason @ (h2::Reason::CANCEL | h2::Reason::ENHANCE_YOUR_CALM)) => reason,
            // Others are about the connection to the endpoint, or no end, or would have the client repeat what was begun.
            _ => h2::Reason::INTERNAL_ERROR,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.set_waiting(false);
        if !self.is_finished || !self.is_received {
            self.slot.give_up();
        }
    }
}

impl<C: Client> Exchange<'_, C> {
    /// Sends the head of the request to an endpoint in HTTP/2. Returns whether a connection was there before, too.
    pub(in super::super) async fn call(
        &mut self,
        address: SocketAddr,
        now: Instant,
        upload: &mut Upload,
        options: ConnectionOptions,
    ) -> Result<(Box<Call>, bool), Failure> {
        let unsent = |reason| Failure { reason, was_sent: false };
        loop {
            let streams = self.engine.shared.options.upstream_h2_streams.max(1);
            let terms = Terms { pool: &self.ctx.snapshot.settings.upstream_pool, streams };
            let is_alone = self.head.length() > LARGE;
            let free = if is_alone { None } else { self.engine.links.take(address, terms, now) };
            let slot = match free {
                Some(slot) => slot,
                None => {
                    let (links, time) = (&self.engine.links, self.ctx.timeouts().connect);
                    let opening = async {
                        match is_alone {
                            true => Links::open_alone(address, terms, time).await,
                            false => links.open(address, terms, time).await,
                        }
                    };
                    let opened = unless_left(&mut self.client, Box::pin(opening)).await;
                    opened.and_then(|opened| opened).map_err(unsent)?
                }
            };
            let is_first = slot.is_first;
            let request = head::request(&self.head, options, &self.ctx).map_err(unsent)?;
            let buffers = &self.engine.buffers;
            let out = if self.head.body() == BodyLength::Bytes(0) { Vec::new() } else { buffers.take() };
            buffers.put(upload.begin(out, self.client.is_body_read() || !self.ctx.sends_body(), false));
            match Call::begin(slot, request, upload.is_empty()) {
                Ok(call) => return Ok((Box::new(call), !is_first)),
                // It had been idle, or the endpoint is about to leave.
                Err(Reason::UpstreamClosed) if !is_first => {}
                Err(reason) => return Err(unsent(reason)),
            }
        }
    }
}
