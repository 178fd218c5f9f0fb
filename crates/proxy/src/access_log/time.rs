//! Dates as nginx writes them. They are formatted once per second and thread.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::Offset;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

thread_local! {
    static LAST: RefCell<Dates> = RefCell::default();
}

/// The texts of one second. Always UTC: containers run in it, and lines of several nodes sort.
#[derive(Debug, Default)]
struct Dates {
    /// Seconds after the epoch, plus one: the default is no second at all.
    second: u64,
    local: String,
    iso8601: String,
}

/// Calls `take` with `$time_local`, such as `24/Nov/2026:04:16:57 +0000`.
pub(super) fn with_local(at: SystemTime, take: impl FnOnce(&str)) {
    with_dates(at, |dates| take(&dates.local));
}

/// Calls `take` with `$time_iso8601`, such as `2026-11-24T04:16:57+00:00`.
pub(super) fn with_iso8601(at: SystemTime, take: impl FnOnce(&str)) {
    with_dates(at, |dates| take(&dates.iso8601));
}

/// Time since the epoch; zero for a clock before it.
pub(super) fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn with_dates(at: SystemTime, take: impl FnOnce(&Dates)) {
    let second = since_epoch(at).as_secs();
    LAST.with_borrow_mut(|dates| {
        if dates.second != second.saturating_add(1) {
            dates.format(second);
        }
        take(dates);
    });
}

impl Dates {
    fn format(&mut self, second: u64) {
        self.second = second.saturating_add(1);
        // A clock past the year 9999 is logged as the last second before.
        let timestamp = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
        let date = Offset::UTC.to_datetime(timestamp.unwrap_or(Timestamp::MAX));
        let (year, month, day) = (date.year(), date.month(), date.day());
        let (hour, minute, second) = (date.hour(), date.minute(), date.second());
        let name = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or_default();
        self.local.clear();
        self.iso8601.clear();
        // Writing into a String does not fail.
        let _ = write!(self.local, "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
        let _ = write!(self.iso8601, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_nginx_does() {
        let table = [
            (0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00+00:00"),
            (1_795_493_817, "24/Nov/2026:04:16:57 +0000", "2026-11-24T04:16:57+00:00"),
            (951_827_696, "29/Feb/2000:12:34:56 +0000", "2000-02-29T12:34:56+00:00"),
            (u64::MAX / 4, "30/Dec/9999:", "9999-12-"),
        ];
        for (second, local, iso8601) in table {
            let Some(at) = UNIX_EPOCH.checked_add(Duration::from_secs(second)) else { continue };
            with_local(at, |text| assert!(text.starts_with(local), "{text}"));
            with_iso8601(at, |text| assert!(text.starts_with(iso8601), "{text}"));
        }
    }

    #[test]
    fn a_clock_before_the_epoch_is_the_epoch() {
        let before = UNIX_EPOCH - Duration::from_secs(5);
        with_iso8601(before, |text| assert_eq!(text, "1970-01-01T00:00:00+00:00"));
    }
}
