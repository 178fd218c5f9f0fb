//! Warnings of what may go on for long.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long nothing is said once a warning has been given: all of them would only fill the log.
const SILENCE: Duration = Duration::from_secs(60);

/// A warning that is given now and then, however often there is reason for it.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is to be given this time.
    pub(crate) fn is_due(&self) -> bool {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = given.is_none_or(|given| given.elapsed() >= SILENCE);
        if is_due {
            *given = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_given_again_when_nothing_was_said_for_long() {
        let warning = Seldom::default();
        assert!(warning.is_due() && !warning.is_due());
        let earlier = Instant::now().checked_sub(SILENCE);
        assert!(Seldom(Mutex::new(earlier)).is_due());
    }
}
