//! Who is waited for, and for how long.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock;
use crate::stream::Deadline;
use edgeward_routing::decide::Reason;
use edgeward_routing::policy::Timeouts;

/// Whose move it is. A client that takes nothing is the stream's to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The client is to send more of its body.
    Client,
    /// The endpoint is to take what was sent.
    Taking,
    /// The endpoint is to answer, or to send more of its answer.
    Answer,
}

/// The time that is left to whoever is waited for. It begins anew with each progress.
pub(super) struct Patience<'a> {
    deadline: &'a mut Deadline,
    waiting: Option<Waiting>,
    timeouts: Timeouts,
    body: Duration,
    /// Whether the client may leave its side open for as long as the endpoint does.
    is_call: bool,
}

impl<'a> Patience<'a> {
    /// Waits as long as a route's timeouts allow for its endpoint, and for `body` for the client. The deadline is the
    /// connection's, so that its timer is not made anew for each request.
    pub(super) fn new(deadline: &'a mut Deadline, timeouts: Timeouts, body: Duration) -> Self {
        deadline.clear();
        Self { deadline, waiting: None, timeouts, body, is_call: false }
    }

    /// As long as the endpoint may be silent, the client may be too, if this `is_call`: in a call of gRPC either may wait for
    /// what the other one says.
    pub(super) fn for_call(self, is_call: bool) -> Self {
        Self { is_call, ..self }
    }

    /// From here on, an answer is waited for as long as this.
    pub(super) fn await_answer_for(&mut self, time: Duration) {
        self.timeouts.read = time;
        self.waiting = None;
    }

    /// Something has come or gone.
    pub(super) fn progress(&mut self) {
        self.waiting = None;
    }

    /// Ready with the reason when the time is up.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, waiting: Waiting) -> Poll<Reason> {
        let (time, reason) = match waiting {
            Waiting::Client if !self.is_call => (self.body, Reason::ClientTimeout),
            Waiting::Taking => (self.timeouts.send, Reason::UpstreamTimeout),
            Waiting::Client | Waiting::Answer => (self.timeouts.read, Reason::UpstreamTimeout),
        };
        if self.waiting != Some(waiting) {
            self.waiting = Some(waiting);
            self.deadline.set(clock::now() + time);
        }
        self.deadline.poll(cx).map(|()| reason)
    }
}
