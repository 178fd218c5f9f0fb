//! A client in HTTP/2: one stream of a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use edgeward_routing::decide::Reason;
use h2::SendStream;
use http::HeaderMap;
use pingora::protocols::http::v2::server::HttpSession;
use tokio::io::ReadBuf;

use super::super::super::failure;
use super::super::client::{Behind, Client, Pieces};
use super::head;
use crate::clock;
use crate::connection::Connection;
use crate::stream::Deadline;

/// See the [module](self).
pub(super) struct Http2Client {
    session: HttpSession,
    connection: Arc<Connection>,
    /// Read of the request's body and not yet passed on.
    held: Bytes,
    /// Whether the client has said the end of its body.
    is_ended: bool,
    /// Takes the body of the response, once its head is sent.
    body: Option<SendStream<Bytes>>,
    /// Whether the end of the response is said.
    is_over: bool,
    write_timeout: Duration,
    write_deadline: Deadline,
}

impl Http2Client {
    /// The client of a request that was taken up just now.
    pub(super) fn new(session: HttpSession, connection: Arc<Connection>) -> Self {
        let write_timeout = connection.settings.limits.write_timeout;
        Self {
            session,
            connection,
            held: Bytes::new(),
            is_ended: false,
            body: None,
            is_over: false,
            write_timeout,
            write_deadline: Deadline::default(),
        }
    }

    /// The request, untouched.
    pub(super) fn into_session(self) -> HttpSession {
        self.session
    }

    /// Sends the head of the response.
    fn begin(&mut self, head: &[u8], is_last: bool) -> Result<(), Reason> {
        let header = head::response(head).ok_or(Reason::UpstreamInvalid)?;
        let sent = self.session.write_response_header(Box::new(header), is_last);
        sent.map_err(|_| Reason::ClientClosed)?;
        self.body = self.session.take_response_body_writer();
        self.is_over = is_last;
        Ok(())
    }

    /// Sends some of `data`, as much as the client's window takes.
    fn poll_data(&mut self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<Result<usize, Reason>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Err(Reason::Internal)) };
        body.reserve_capacity(data.len());
        while body.capacity() == 0 {
            match body.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(reason(&error))),
                Poll::Ready(None) => return Poll::Ready(Err(Reason::ClientClosed)),
                Poll::Pending => {
                    self.write_deadline.set_if_clear(|| clock::now() + self.write_timeout);
                    ready!(self.write_deadline.poll(cx));
                    return Poll::Ready(Err(Reason::ClientClosed));
                }
            }
        }
        self.write_deadline.clear();
        let size = body.capacity().min(data.len());
        self.is_over = is_last && size == data.len();
        let sent = body.send_data(Bytes::copy_from_slice(&data[..size]), self.is_over);
        Poll::Ready(sent.map(|()| size).map_err(|error| reason(&error)))
    }
}

impl Client for Http2Client {
    const IS_MULTIPLEXED: bool = true;

    fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    fn is_body_read(&self) -> bool {
        self.held.is_empty() && (self.is_ended || self.session.is_body_done())
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<Result<(), Reason>> {
        self.check_cut()?;
        while self.held.is_empty() && !self.is_body_read() {
            match ready!(self.session.poll_read_body_bytes(cx)) {
                Some(Ok(data)) => self.held = data,
                Some(Err(error)) => return Poll::Ready(Err(reason(&error))),
                None => self.is_ended = true,
            }
        }
        let piece = self.held.split_to(self.held.len().min(out.remaining()));
        out.put_slice(&piece);
        Poll::Ready(Ok(()))
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        if let Err(reason) = self.check_cut() {
            return Poll::Ready(reason);
        }
        match &mut self.body {
            Some(body) => {
                body.poll_reset(cx).map(|left| left.err().map_or(Reason::ClientClosed, |error| reason(&error)))
            }
            None => Pin::new(&mut self.session.idle()).poll(cx).map(|left| match left {
                Ok(_) => Reason::ClientClosed,
                Err(error) => error.root_cause().downcast_ref().map_or(Reason::ClientClosed, reason),
            }),
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &Pieces<'_>,
        sent: usize,
        behind: Behind,
    ) -> Poll<Result<usize, Reason>> {
        self.check_cut()?;
        let [head, _, data, _] = pieces;
        let is_last = behind != Behind::More;
        match sent.checked_sub(head.len()) {
            None => {
                self.begin(head, is_last && data.is_empty())?;
                Poll::Ready(Ok(head.len()))
            }
            Some(sent) => self.poll_data(cx, &data[sent..], is_last),
        }
    }

    fn poll_sent(&mut self, _: &mut Context<'_>, behind: Behind) -> Poll<Result<(), Reason>> {
        if behind != Behind::More && !std::mem::replace(&mut self.is_over, true) {
            let Some(body) = &mut self.body else { return Poll::Ready(Err(Reason::Internal)) };
            return Poll::Ready(body.send_data(Bytes::new(), true).map_err(|error| reason(&error)));
        }
        Poll::Ready(Ok(()))
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), Reason> {
        let Some(body) = &mut self.body else { return Err(Reason::Internal) };
        self.is_over = true;
        body.send_trailers(trailers).map_err(|error| reason(&error))
    }

    fn cut_short(&mut self, why: h2::Reason) {
        if let Some(body) = &mut self.body {
            body.send_reset(why);
        }
    }
}

/// What a failure of the HTTP/2 layer is called. A client leaves by a reset of its stream.
fn reason(error: &h2::Error) -> Reason {
    failure::http2_reason(error).unwrap_or(Reason::ClientClosed)
}
