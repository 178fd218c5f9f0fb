//! How much may be tried again.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

/// How many requests may be retried: a fifth of the requests that came, and ten each second on top, so that failing
/// endpoints do not get several times the load that broke them.
#[derive(Debug)]
pub(super) struct RetryBudget {
    percent: u32,
    /// In hundredths of a retry.
    balance: AtomicI64,
    born: Instant,
    /// Seconds after `born` for which the reserve has been paid out.
    paid: AtomicU64,
}

impl RetryBudget {
    /// Retries that are free each second.
    const RESERVE_PER_SECOND: i64 = 10;
    /// The most retries that can be saved up.
    const CAP: i64 = 1000;

    /// A budget of `percent` of the requests. It starts with ten seconds of reserve.
    pub(super) fn new(percent: u32) -> Self {
        Self {
            percent,
            balance: AtomicI64::new(Self::RESERVE_PER_SECOND * 10 * 100),
            born: Instant::now(),
            paid: AtomicU64::new(0),
        }
    }

    /// Counts a request.
    pub(super) fn deposit(&self) {
        // Slightly more than the cap is harmless, so that no compare-and-swap is needed on every request.
        if self.balance.load(Ordering::Relaxed) < Self::CAP * 100 {
            self.balance.fetch_add(i64::from(self.percent), Ordering::Relaxed);
        }
    }

    /// Takes a retry out, if there is one.
    pub(super) fn withdraw(&self) -> bool {
        let now = self.born.elapsed().as_secs();
        let paid = self.paid.swap(now, Ordering::Relaxed);
        if now > paid && self.balance.load(Ordering::Relaxed) < Self::CAP * 100 {
            let seconds = i64::try_from(now - paid).unwrap_or(1).min(10);
            self.balance.fetch_add(seconds * Self::RESERVE_PER_SECOND * 100, Ordering::Relaxed);
        }
        if self.balance.fetch_sub(100, Ordering::Relaxed) >= 100 {
            return true;
        }
        self.balance.fetch_add(100, Ordering::Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_may_be_retried() {
        let budget = RetryBudget::new(20);
        while budget.withdraw() {}
        for _ in 0..100 {
            budget.deposit();
        }
        let retries = std::iter::from_fn(|| budget.withdraw().then_some(())).count();
        // A second may have passed and paid out its reserve.
        assert!((20..=30).contains(&retries), "{retries} retries of 100 requests");
    }
}
