//! A point in time that a poll function watches.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep_until};

/// A deadline that is set and cleared for every request but seldom comes. Setting it later than before, and clearing it,
/// touch no timer: the timer is only moved when it must fire earlier, or has fired too early.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes.
    waker: Option<Waker>,
}

impl Deadline {
    pub(crate) fn set(&mut self, at: Instant) {
        self.at = Some(at);
    }

    pub(crate) fn set_if_clear(&mut self, at: impl FnOnce() -> Instant) {
        if self.at.is_none() {
            self.at = Some(at());
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.at.is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.at = None;
    }

    /// Ready when the deadline has come. Without one it is pending for good.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let at = at.into();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        } else if !timer.is_elapsed() && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            // It wakes whom it is to wake, in time, and to poll it would only say so again.
            return Poll::Pending;
        }
        // A timer that counts as work of its task is not even set once that has done all that it may in one turn.
        while Pin::new(&mut unconstrained(timer.as_mut())).poll(cx).is_ready() {
            if timer.deadline() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future as _, poll_fn};
    use std::pin::pin;
    use std::time::Duration;

    use tokio::task::coop::consume_budget;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_deadline_comes_though_its_task_had_done_all_that_it_may_when_it_began_to_wait() {
        let mut is_begun = false;
        let mut deadline = Deadline::default();
        deadline.set(Instant::now() + Duration::from_millis(10));
        let waiting = tokio::spawn(poll_fn(move |cx| {
            if !std::mem::replace(&mut is_begun, true) {
                while pin!(consume_budget()).poll(cx).is_ready() {}
            }
            deadline.poll(cx)
        }));
        assert!(timeout(Duration::from_secs(5), waiting).await.is_ok());
    }
}
