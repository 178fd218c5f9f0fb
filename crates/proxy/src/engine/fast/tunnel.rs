//! What follows a `101` (RFC 9110 section 7.8): bytes in both directions, until one side ends.

use std::task::{Context, Poll, ready};

use edgeward_routing::decide::Reason;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use super::client::Client;
use super::ends::Ends;
use super::http1;
use super::patience::Waiting;

/// Bytes on their way in one direction. While none are, it has no buffer.
#[derive(Default)]
struct Flow {
    buf: Vec<u8>,
    sent: usize,
}

impl Flow {
    fn waiting(&self) -> &[u8] {
        &self.buf[self.sent..]
    }

    fn advance(&mut self, sent: usize) {
        self.sent += sent;
        if self.sent == self.buf.len() {
            self.buf.clear();
            self.sent = 0;
        }
    }
}

/// A connection whose client and endpoint have agreed on another protocol.
pub(super) struct Tunnel {
    up: Flow,
    down: Flow,
    /// Whether the endpoint has ended its side.
    is_ended: bool,
    /// Bytes of the head that are still to go before the first of the tunnel.
    head: usize,
    delivered: u64,
}

impl Tunnel {
    /// Begins with the head of the `101`, and what came behind it.
    pub(super) fn new(head: &[u8], behind: &[u8]) -> Self {
        let down = Flow { buf: [head, behind].concat(), sent: 0 };
        Self { up: Flow::default(), down, is_ended: false, head: head.len(), delivered: 0 }
    }

    /// Bytes that the client got behind the head.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Goes on until one side ends, and what it sent before is with the other one; so does nginx
    /// (`ngx_http_upstream_process_upgraded`). Silence in both directions for as long as there is [patience](Ends) is an end
    /// too.
    pub(super) fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, '_, C>,
    ) -> Poll<Result<(), Reason>> {
        ends.client.check_cut()?;
        if let Poll::Ready(ended) = self.poll_down(cx, ends) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(ended) = self.poll_up(cx, ends) {
            return Poll::Ready(ended);
        }
        ends.patience.poll(cx, Waiting::Answer).map(|_| Ok(()))
    }

    /// From the endpoint to the client.
    fn poll_down<C: Client>(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, '_, C>) -> Poll<Result<(), Reason>> {
        loop {
            while !self.down.waiting().is_empty() {
                let written = ends.client.upgraded()?.poll_write(cx, self.down.waiting());
                let written = ready!(written).map_err(|error| http1::reason(&error))?;
                self.down.advance(written);
                let of_head = written.min(self.head);
                self.head -= of_head;
                self.delivered += (written - of_head) as u64;
                ends.patience.progress();
            }
            let read = match self.is_ended {
                true => Poll::Ready(Ok(0)),
                false => ends.read(cx, &mut self.down.buf),
            };
            if let Poll::Ready(Ok(1..)) = read {
                continue;
            }
            self.is_ended = read.is_ready();
            let flushed = ends.client.upgraded()?.poll_flush(cx);
            ready!(flushed).map_err(|error| http1::reason(&error))?;
            return read.map_ok(|_| ());
        }
    }

    /// From the client to the endpoint.
    fn poll_up<C: Client>(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, '_, C>) -> Poll<Result<(), Reason>> {
        loop {
            while !self.up.waiting().is_empty() {
                match ready!(ends.upstream.poll_send(cx, self.up.waiting(), false)) {
                    sent if sent > 0 => self.up.advance(sent),
                    _ => return Poll::Ready(Err(Reason::UpstreamClosed)),
                }
                ends.patience.progress();
            }
            if self.up.buf.capacity() == 0 {
                self.up.buf = ends.buffers.take();
            }
            let read = poll_read_buf(ends.client.upgraded()?, cx, &mut self.up.buf);
            if self.up.buf.is_empty() {
                ends.buffers.put(std::mem::take(&mut self.up.buf));
            }
            if ready!(read).map_err(|error| http1::reason(&error))? == 0 {
                return Poll::Ready(Ok(()));
            }
            ends.patience.progress();
        }
    }
}
