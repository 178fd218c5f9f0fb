//! A request that goes on to the backend for error pages.

use edgeward_routing::decide::{Reason, RequestHead as _};
use edgeward_routing::policy::BodySize;
use tokio::time::timeout;

use super::super::answer::{Answer, LINGER};
use super::super::connection_options::ConnectionOptions;
use super::super::page::{Page, Turn};
use super::client::{self, Client};
use super::exchange::Exchange;
use super::upload::Upload;
use crate::head::BodyLength;
use crate::stream::Deadline;

impl<C: Client> Exchange<'_, C> {
    /// Answers with this status, unless a page takes the place of the answer.
    pub(super) async fn answer(&mut self, status: u16, reason: Reason, deadline: &mut Deadline) -> Result<(), Reason> {
        let Some(options) = self.options.filter(|_| self.ctx.replaces(status, reason)) else {
            return self.respond(Answer { status, location: None, reason }).await;
        };
        self.ctx.reason = Some(reason);
        let page = Page::instead_of(status, reason, self.head.content_length(), self.ctx.body_size());
        if page.has_body {
            self.let_body_come().await?;
        }
        let upload = Upload::new(self.head.body(), page.body_size, true);
        Box::pin(self.send_page(page, upload, options, deadline)).await
    }

    /// Has a page take the place of what came of the request so far. `upload` is where its body stands.
    pub(super) async fn send_page(
        &mut self,
        page: Page,
        mut upload: Upload,
        options: ConnectionOptions,
        deadline: &mut Deadline,
    ) -> Result<(), Reason> {
        match self.ctx.turn_to(page, &self.head) {
            Turn::Asked => {}
            Turn::NoBackend => {
                return self.respond(Answer { status: 404, location: None, reason: Reason::NoRoute }).await;
            }
        }
        if !page.has_body {
            upload = Upload::new(BodyLength::Bytes(0), BodySize(None), true);
        }
        self.try_endpoints(&mut upload, options, deadline).await?;
        if self.is_body_unwanted() {
            // What comes in is dropped; a client that goes on for too long is cut.
            let _ = timeout(LINGER, client::discard_body(&mut self.client)).await;
        }
        Ok(())
    }

    /// Whether a body is on its way that no endpoint gets.
    pub(super) fn is_body_unwanted(&self) -> bool {
        let is_held_back = self.head.expects_continue() && !self.is_continued;
        !self.ctx.sends_body() && !self.client.is_body_read() && !is_held_back
    }
}
