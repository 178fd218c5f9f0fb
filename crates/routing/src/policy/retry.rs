//! `proxy-next-upstream`, `-tries` and `-timeout`: after which faults a request is sent to another endpoint, how often, and
//! for how long.

use std::time::Duration;

use crate::decide::Reason;

/// When a request is tried again (nginx `ngx_http_upstream_next`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retry {
    /// The faults after which it is.
    pub on: Faults,
    /// The most tries, the first included; at least 1.
    pub tries: u16,
    /// Seconds after the first try within which another one may begin; 0 is without a limit.
    pub seconds: u32,
}

impl Default for Retry {
    /// After errors and time-outs, three tries, no limit in time (ingress-nginx config.go).
    fn default() -> Self {
        Self { on: Faults::default(), tries: 3, seconds: 0 }
    }
}

impl Retry {
    /// More tries than this are none (`0` asks for any number; ingress-nginx has no limit then).
    pub const MOST_TRIES: u16 = 100;

    /// The number of tries for a value of `proxy-next-upstream-tries`.
    pub fn tries_of(number: u32) -> u16 {
        let number = u16::try_from(number).unwrap_or(Self::MOST_TRIES);
        if number == 0 { Self::MOST_TRIES } else { number.min(Self::MOST_TRIES) }
    }

    /// Whether another try may begin after this many, the first of which began so long ago.
    pub fn has_try_left(&self, tries: usize, since_first: Duration) -> bool {
        tries < usize::from(self.tries) && (self.seconds == 0 || since_first.as_secs() < u64::from(self.seconds))
    }
}

/// A set of faults. Text of nginx's `proxy_next_upstream` parses to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Faults(u16);

/// What can be wrong with a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection, or one that was lost before the head of a response.
    Error,
    /// No connection, or no head of a response, in time.
    Timeout,
    /// A head that is none.
    InvalidHeader,
    /// A response with this status.
    Status(u16),
}

impl Fault {
    /// The fault behind a failure; `None` for what is not the endpoint's.
    pub fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::ConnectFailed | Reason::UpstreamClosed => Some(Self::Error),
            Reason::ConnectTimeout | Reason::UpstreamTimeout => Some(Self::Timeout),
            Reason::UpstreamInvalid => Some(Self::InvalidHeader),
            _ => None,
        }
    }
}

const ERROR: u16 = 1;
const TIMEOUT: u16 = 1 << 1;
const INVALID_HEADER: u16 = 1 << 2;
const NON_IDEMPOTENT: u16 = 1 << 3;
const FIRST_STATUS: u32 = 4;

/// The statuses that there are words for, `http_500` and so on.
const STATUSES: [u16; 7] = [500, 502, 503, 504, 403, 404, 429];

impl Default for Faults {
    /// `error timeout`.
    fn default() -> Self {
        Self(ERROR | TIMEOUT)
    }
}

impl Faults {
    /// Parses words with blanks between them; `off` among them is none at all. `None` where a word is no fault, or none is
    /// there.
    pub fn parse(text: &str) -> Option<Self> {
        let mut faults = 0;
        let mut is_off = false;
        for word in text.split_ascii_whitespace() {
            faults |= match word {
                "error" => ERROR,
                "timeout" => TIMEOUT,
                "invalid_header" => INVALID_HEADER,
                "non_idempotent" => NON_IDEMPOTENT,
                "off" => {
                    is_off = true;
                    0
                }
                _ => status_bit(word.strip_prefix("http_")?.parse().ok()?)?,
            };
        }
        match (faults, is_off) {
            (_, true) => Some(Self(0)),
            (0, false) => None,
            (faults, false) => Some(Self(faults)),
        }
    }

    /// These, with requests tried again that are not idempotent (POST, PATCH, LOCK).
    pub fn with_non_idempotent(self) -> Self {
        Self(self.0 | NON_IDEMPOTENT)
    }

    /// Whether requests are tried again that are not idempotent and may have reached an endpoint.
    pub fn has_non_idempotent(self) -> bool {
        self.0 & NON_IDEMPOTENT != 0
    }

    /// Whether a fault is one of them.
    pub fn contains(self, fault: Fault) -> bool {
        let bit = match fault {
            Fault::Error => ERROR,
            Fault::Timeout => TIMEOUT,
            Fault::InvalidHeader => INVALID_HEADER,
            Fault::Status(status) => status_bit(status).unwrap_or(0),
        };
        self.0 & bit != 0
    }
}

impl std::fmt::Display for Faults {
    /// Text that parses to the same faults.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 {
            return f.write_str("off");
        }
        let words = [(ERROR, "error"), (TIMEOUT, "timeout"), (INVALID_HEADER, "invalid_header")];
        let words = words.into_iter().chain([(NON_IDEMPOTENT, "non_idempotent")]);
        let mut blank = "";
        for (_, word) in words.filter(|(bit, _)| self.0 & bit != 0) {
            write!(f, "{blank}{word}")?;
            blank = " ";
        }
        for status in STATUSES.into_iter().filter(|status| self.contains(Fault::Status(*status))) {
            write!(f, "{blank}http_{status}")?;
            blank = " ";
        }
        Ok(())
    }
}

fn status_bit(status: u16) -> Option<u16> {
    let at = STATUSES.iter().position(|known| *known == status)?;
    Some(1 << (FIRST_STATUS + u32::try_from(at).ok()?))
}
