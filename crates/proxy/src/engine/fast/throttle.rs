//! What holds a response back that is to be sent no faster than its route allows.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use edgeward_routing::policy::Pace;
use tokio::time::{Sleep, sleep_until};

use super::client::Pieces;

/// The pace of one response.
pub(super) struct Throttle {
    pace: Pace,
    /// When its request began.
    began: Instant,
    /// Bytes behind the head that have been sent.
    gone: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

/// So many times in a second it looks whether more may be sent, at most.
const LOOKS: u64 = 10;

/// It waits for no more than this to be allowed.
const MOST: u64 = 16 << 10;

impl Throttle {
    pub(super) fn new(pace: Pace, began: Instant) -> Self {
        Self { pace, began, gone: 0, timer: None }
    }

    /// Whether it is time that is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.timer.is_some()
    }

    /// Up to which of `total` bytes may be sent, of which `sent` are and the first `head` go at once. Ready when that is
    /// more than are sent.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>, sent: usize, head: usize, total: usize) -> Poll<usize> {
        let begun = sent.max(head);
        let left = (total - begun) as u64;
        let gone = self.gone + (begun - head) as u64;
        loop {
            let room = self.pace.allowed(self.began.elapsed()).saturating_sub(gone).min(left);
            let worth = (self.pace.rate.get() / LOOKS).clamp(1, MOST).min(left);
            if room >= worth || sent < head {
                self.timer = None;
                return Poll::Ready(begun + usize::try_from(room).unwrap_or(usize::MAX).min(total - begun));
            }
            let until = self.began + self.pace.time_of(gone + worth);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
    }

    /// So many bytes behind the head have been sent.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.gone += bytes as u64;
    }
}

/// Leaves of `pieces` what is before `end`.
pub(super) fn shorten(pieces: &mut Pieces<'_>, end: usize) {
    let mut left = end;
    for piece in pieces {
        *piece = &piece[..piece.len().min(left)];
        left -= piece.len();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_second_is_given_in_advance_and_the_rest_comes_with_time() {
        let pace = Pace { rate: NonZeroU64::MIN.saturating_add(999), after: 500 };
        let mut throttle = Throttle::new(pace, Instant::now());
        let mut end = async |sent| std::future::poll_fn(|cx| throttle.poll_end(cx, sent, 100, 10_000)).await;
        let first = end(0).await;
        assert!((1600..1700).contains(&first), "{first}");
        let begun = Instant::now();
        let second = end(first).await;
        assert!((first + 100..first + 300).contains(&second), "{second}");
        assert!(begun.elapsed() >= Duration::from_millis(50), "{:?}", begun.elapsed());
    }

    #[test]
    fn pieces_are_cut_where_it_ends() {
        let mut pieces: Pieces<'_> = [b"head", b"5\r\n", b"hello", b"\r\n"];
        shorten(&mut pieces, 9);
        assert_eq!(pieces, [&b"head"[..], b"5\r\n", b"he", b""]);
    }
}
