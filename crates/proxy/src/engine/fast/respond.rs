//! Answers of the proxy's own.

use bytes::BufMut;
use edgeward_routing::decide::{Reason, RequestHead as _};
use edgeward_routing::forward::Edit;
use http::StatusCode;
use tokio::time::timeout;

use super::super::answer::{Answer, DRAINED_BODY, LINGER, body_of, ends_connection, phrase_of};
use super::client::{self, Behind, Client};
use super::exchange::{Exchange, Sent, connection_field};
use super::field::{Edited, put_field};
use super::response::put_end;
use crate::head::BodyLength;

impl<C: Client> Exchange<'_, C> {
    /// Sends the answer with a short body, and sees to it that an unwanted request body does not stand in its way.
    pub(super) async fn respond(&mut self, answer: Answer<'_>) -> Result<(), Reason> {
        self.ctx.answer_for(answer.reason);
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let is_draining = self.ctx.connection.as_ref().is_some_and(|connection| connection.is_draining());
        self.is_kept &= !ends_connection(answer.status) && !is_draining;
        let is_on_its_way = self.is_body_on_its_way().await;
        let body = body_of(status);
        let mut out = Vec::with_capacity(512);
        out.put_slice(b"HTTP/1.1 ");
        out.put_slice(phrase_of(status).as_bytes());
        out.put_slice(b"\r\n");
        if let Some(body) = &body {
            put_field(&mut out, b"Content-Length", body.len().to_string().as_bytes());
        }
        let mut edited = Edited::default();
        self.ctx.edit_response(status.as_u16(), |edit| match edit {
            Edit::Set(name, value) => edited.set(&mut out, name, value),
            Edit::Remove(name) => edited.remove(&mut out, name),
            Edit::Append(name, value) => put_field(&mut out, name.as_bytes(), value),
        });
        if body.is_some() && !edited.contains(b"content-type") {
            put_field(&mut out, b"Content-Type", b"text/plain; charset=utf-8");
        }
        if let Some(location) = answer.location.filter(|_| !edited.contains(b"location")) {
            put_field(&mut out, b"Location", location.as_bytes());
        }
        put_end(&mut out, connection_field::<C>(self.is_kept));
        let body = body.filter(|_| self.head.method() != "HEAD").unwrap_or_default();
        let behind = if self.is_kept || is_on_its_way { Behind::Nothing } else { Behind::End };
        let sent = client::send(&mut self.client, &out, body.as_bytes(), behind).await;
        self.response = Some(Sent { status: status.as_u16(), head: out, body_bytes: body.len() as u64 });
        sent?;
        if is_on_its_way {
            // What comes in is dropped; a client that goes on for too long is cut.
            let _ = timeout(LINGER, client::discard_body(&mut self.client)).await;
        }
        Ok(())
    }

    /// Whether a body that nobody wants is still coming. A small one in the way of a connection that would be kept is read
    /// over.
    async fn is_body_on_its_way(&mut self) -> bool {
        if self.client.is_body_read() {
            return false;
        }
        if C::IS_MULTIPLEXED {
            return true;
        }
        // Behind a `100` the client sends.
        if self.head.expects_continue() && !self.is_continued {
            self.is_kept = false;
            return false;
        }
        let is_small = matches!(self.head.body(), BodyLength::Bytes(length) if length <= DRAINED_BODY);
        if is_small
            && self.is_kept
            && matches!(timeout(LINGER, client::discard_body(&mut self.client)).await, Ok(Ok(())))
        {
            return false;
        }
        self.is_kept = false;
        true
    }
}
