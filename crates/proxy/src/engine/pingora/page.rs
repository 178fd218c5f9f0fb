//! Requests that go on to the backend for error pages.

use edgeward_routing::decide::{Reason, RequestHead as _};
use pingora::Result;
use pingora::proxy::Session;

use super::super::answer::Answer;
use super::super::context::RequestContext;
use super::super::failure;
use super::super::page::{Page, Turn};
use super::head::{self, Head};
use super::{PingoraEngine, final_response, has_good_options};

impl PingoraEngine {
    /// Answers by itself, or turns to the backend for error pages where one takes the place of the answer. Returns whether the
    /// request has its answer.
    pub(super) async fn answer_or_page(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
        status: u16,
        reason: Reason,
    ) -> Result<bool> {
        let mut answer = Answer { status, location: None, reason };
        let is_replaced = ctx.replaces(status, reason) && has_good_options(session);
        if let Some(head) = Head::of(session.req_header()).filter(|_| is_replaced) {
            let page = Page::instead_of(status, reason, head.content_length(), ctx.body_size());
            match ctx.turn_to(page, &head) {
                Turn::Asked => {
                    ctx.reason = Some(reason);
                    if page.has_body {
                        let_body_come(session).await?;
                    }
                    return Ok(false);
                }
                Turn::NoBackend => answer = Answer { status: 404, location: None, reason: Reason::NoRoute },
            }
        }
        self.answer(session, ctx, answer).await?;
        Ok(true)
    }

    /// Turns to the backend for error pages where one takes the place of the answer for this failure.
    pub(super) fn turns_to_page(session: &Session, ctx: &mut RequestContext, reason: Reason) -> bool {
        let status = failure::status(reason);
        if final_response(session).is_some() || !ctx.replaces(status, reason) {
            return false;
        }
        let has_body = reason != Reason::BodyTooLarge && !session.as_ref().retry_buffer_truncated();
        let page = Page { status, is_named: true, has_body, body_size: ctx.body_size() };
        let Some(head) = Head::of(session.req_header()) else { return false };
        let is_asked = ctx.turn_to(page, &head) == Turn::Asked;
        ctx.reason = Some(reason);
        is_asked
    }
}

/// Tells the client to send its body where it waits for that: the proxy answers for the upstream, as nginx does, and the body is
/// let in or refused here. Returns false when it waits for something else.
pub(super) async fn let_body_come(session: &mut Session) -> Result<bool> {
    match head::expectation(session.req_header()) {
        None => Ok(true),
        Some(expect) if expect.eq_ignore_ascii_case(b"100-continue") => {
            let keepalive = session.get_keepalive();
            session.write_continue_response().await?;
            // Pingora takes the 100 for an answer that came before the end of the body, and would close.
            session.set_keepalive(keepalive);
            Ok(true)
        }
        Some(_) => Ok(false),
    }
}
