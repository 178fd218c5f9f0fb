//! The two ends of an exchange: what is read from an endpoint, and who is waited for.

use std::task::{Context, Poll};

use edgeward_routing::decide::Reason;

use super::client::Client;
use super::patience::{Patience, Waiting};
use super::pool::{Buffers, Kept, Pipes};
use super::upload::Upload;
use super::upstream::Upstream;
use crate::head::ResponseHead;
use crate::socket;

/// The two ends of an exchange, and what both directions need.
pub(super) struct Ends<'a, 'd, C> {
    pub(super) client: &'a mut C,
    pub(super) upstream: &'a mut Upstream,
    pub(super) buffers: &'a Buffers,
    pub(super) pipes: &'a Pipes,
    pub(super) patience: Patience<'d>,
}

impl<C: Client> Ends<'_, '_, C> {
    /// Reads from the endpoint behind what `buf` has. A buffer is held only when there is something in it.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, buf: &mut Vec<u8>) -> Poll<Result<usize, Reason>> {
        let failed = Poll::Ready(Err(Reason::UpstreamClosed));
        let read = match self.upstream {
            Upstream::Http1(Kept { tcp, .. }) => {
                if buf.capacity() == 0 {
                    match tcp.poll_read_ready(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(_)) => return failed,
                        Poll::Ready(Ok(())) => *buf = self.buffers.take(),
                    }
                }
                socket::poll_recv_vec(cx, tcp, buf).map_err(|_| Reason::UpstreamClosed)
            }
            Upstream::Http2(call) => {
                if buf.capacity() == 0 {
                    *buf = self.buffers.take();
                }
                call.poll_read(cx, buf)
            }
        };
        match &read {
            Poll::Ready(Ok(_)) => self.patience.progress(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.release(buf),
        }
        read
    }

    /// Gives a buffer back that has nothing in it.
    fn release(&self, buf: &mut Vec<u8>) {
        if buf.is_empty() && buf.capacity() > 0 {
            self.buffers.put(std::mem::take(buf));
        }
    }

    /// Waits for whoever is to move, or for the client to leave.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>, waiting: Waiting) -> Poll<Reason> {
        match self.left(cx) {
            Poll::Ready(reason) => Poll::Ready(reason),
            Poll::Pending => self.patience.poll(cx, waiting),
        }
    }

    /// Waits for the client to leave, or for the end of its time in a drain.
    pub(super) fn left(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        if let Err(reason) = self.client.check_cut() {
            return Poll::Ready(reason);
        }
        // A body has to be read for the end behind it to be seen, unless the end is a message of its own.
        if (C::IS_MULTIPLEXED || self.client.is_body_read())
            && let Poll::Ready(reason) = self.client.poll_left(cx)
        {
            return Poll::Ready(reason);
        }
        Poll::Pending
    }

    /// Sends what is left of the request to an endpoint that has answered already, until it takes no more.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>, upload: &mut Upload) -> Poll<Result<(), Reason>> {
        if let Upstream::Http2(call) = self.upstream
            && call.poll_unwanted(cx).is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        match upload.poll(cx, self)? {
            None => Poll::Ready(Ok(())),
            Some(waiting) => self.wait(cx, waiting).map(Err),
        }
    }

    /// Sends the request as far as it goes, and reads the head of a response into `buf`. What is in `buf` already is the
    /// begin of one.
    pub(super) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        buf: &mut Vec<u8>,
    ) -> Poll<Result<ResponseHead, Reason>> {
        let waiting = upload.poll(cx, self)?.unwrap_or(Waiting::Answer);
        if let Upstream::Http2(call) = self.upstream {
            if buf.capacity() == 0 {
                *buf = self.buffers.take();
            }
            let response = call.poll_head(cx, buf);
            if response.is_pending() {
                self.release(buf);
                return self.wait(cx, waiting).map(Err);
            }
            self.patience.progress();
            return response;
        }
        loop {
            if !buf.is_empty()
                && let Some(response) = ResponseHead::parse(buf).map_err(|_| Reason::UpstreamInvalid)?
            {
                return Poll::Ready(Ok(response));
            }
            if buf.len() >= Buffers::SIZE {
                return Poll::Ready(Err(Reason::UpstreamInvalid));
            }
            match self.read(cx, buf) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Reason::UpstreamClosed)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(reason)) => return Poll::Ready(Err(reason)),
                Poll::Pending => return self.wait(cx, waiting).map(Err),
            }
        }
    }
}
