//! The time, read once for all that a task does in one turn.
//!
//! To read the clock takes some 70 ns on a virtual machine, and a request asks for the time ten times: when it began, when
//! its endpoint answered, from when on who is waited for. What a connection does before it waits again
//! takes microseconds, so that one reading is right for all of it. nginx does the same for each turn of its event loop.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::None) };
    static SECOND: Cell<Option<Second>> = const { Cell::new(None) };
}

/// What is known of the time.
#[derive(Clone, Copy)]
enum Turn {
    /// There is no turn: whoever asks gets the time as it is.
    None,
    /// Nobody has asked yet.
    Unread,
    Read(Instant),
}

/// Does `work`, for which [`now`] is the same from the first time that it is asked.
pub(crate) fn turn<T>(work: impl FnOnce() -> T) -> T {
    let _outer = Outer(TURN.replace(Turn::Unread));
    work()
}

/// What was there before a turn, and is there again behind it, even if it panics.
struct Outer(Turn);

impl Drop for Outer {
    fn drop(&mut self) {
        TURN.set(self.0);
    }
}

/// The time: that of the [turn], if there is one. What takes long within a turn, or must not be early, asks [`Instant::now`].
pub(crate) fn now() -> Instant {
    match TURN.get() {
        Turn::Read(now) => now,
        Turn::None => Instant::now(),
        Turn::Unread => {
            let now = Instant::now();
            TURN.set(Turn::Read(now));
            now
        }
    }
}

/// A second of the calendar.
#[derive(Clone, Copy)]
struct Second {
    /// As a `Date` field has it.
    text: [u8; 29],
    /// Its end, by both clocks.
    end: (Instant, SystemTime),
}

impl Second {
    /// The one that it is [now].
    fn current() -> Self {
        let now = now();
        if let Some(second) = SECOND.get().filter(|second| now < second.end.0) {
            return second;
        }
        let wall = SystemTime::now();
        let mut text = [b' '; 29];
        // It fits: Linux has no time before 1970, and none beyond 9999.
        let _ = write!(&mut text[..], "{}", HttpDate::from(wall));
        let passed = wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        let left = Duration::from_secs(1) - Duration::from_nanos(passed.into());
        let second = Self { text, end: (now + left, wall + left) };
        SECOND.set(Some(second));
        second
    }
}

/// The value of a `Date` field (RFC 9110 section 6.6.1) for [`now`].
pub(crate) fn date() -> [u8; 29] {
    Second::current().text
}

/// [`now`] by the calendar. A clock that is set is seen within a second.
pub(crate) fn calendar() -> SystemTime {
    let (instant, wall) = Second::current().end;
    wall - instant.saturating_duration_since(now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_one_time() {
        let sleep = || std::thread::sleep(Duration::from_millis(2));
        let (first, second) = turn(|| {
            let first = now();
            sleep();
            (first, now())
        });
        assert_eq!(first, second);
        assert!(turn(now) > first, "the next turn has another");
        let [third, fourth] = [(); 2].map(|()| {
            sleep();
            now()
        });
        assert!(fourth > third && third > first, "outside of a turn it is what it is");
    }

    #[test]
    fn a_turn_that_panics_is_over() {
        assert!(std::panic::catch_unwind(|| turn(|| -> Instant { panic!("{:?}", now()) })).is_err());
        let first = now();
        std::thread::sleep(Duration::from_millis(1));
        assert!(now() > first);
    }

    #[test]
    fn the_date_is_that_of_the_second() {
        let before = SystemTime::now();
        let date = date();
        let date = httpdate::parse_http_date(std::str::from_utf8(&date).expect("ASCII")).expect("a date");
        assert!(date <= before && before.duration_since(date).expect("not later") < Duration::from_secs(2));
        let (before, told, after) = (SystemTime::now(), calendar(), SystemTime::now());
        let near = Duration::from_millis(1);
        assert!(before - near < told && told < after + near, "{before:?} {told:?} {after:?}");
    }
}
