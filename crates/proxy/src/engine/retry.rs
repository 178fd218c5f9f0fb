//! Failures: what they are called, how they are answered, and which of them may be tried again.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use edgeward_routing::decide::Reason;
use http::Method;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorSource, ErrorType};

use crate::stream::Broken;

/// The reason for a failure.
pub(super) fn reason(error: &Error) -> Reason {
    use ErrorType as E;
    if *error.esource() == ErrorSource::Downstream
        && let Some(reason) = stream_reason(error)
    {
        return reason;
    }
    match (error.esource(), error.etype()) {
        (_, E::HTTPStatus(413)) => Reason::BodyTooLarge,
        (ErrorSource::Upstream, E::ConnectTimedout | E::TLSHandshakeTimedout) => Reason::ConnectTimeout,
        (
            ErrorSource::Upstream,
            E::ConnectRefused
            | E::ConnectNoRoute
            | E::ConnectError
            | E::TLSHandshakeFailure
            | E::HandshakeError
            | E::InvalidCert,
        ) => Reason::ConnectFailed,
        // No socket, no port, no memory: of ours, not of the endpoint's.
        (ErrorSource::Upstream, E::SocketError | E::BindError | E::InternalError) => Reason::Internal,
        (ErrorSource::Upstream, E::ReadTimedout | E::WriteTimedout) => Reason::UpstreamTimeout,
        (ErrorSource::Upstream, E::InvalidHTTPHeader | E::H1Error | E::H2Error | E::InvalidH2 | E::H2Downgrade) => {
            Reason::UpstreamInvalid
        }
        (ErrorSource::Upstream, _) => Reason::UpstreamClosed,
        (ErrorSource::Downstream, E::ReadTimedout) => Reason::ClientTimeout,
        // HTTP/2 clients go away by a reset of the stream.
        (
            ErrorSource::Downstream,
            E::ConnectionClosed | E::ReadError | E::WriteError | E::WriteTimedout | E::H2Error,
        ) => Reason::ClientClosed,
        (ErrorSource::Downstream, _) => Reason::BadRequest,
        (ErrorSource::Internal | ErrorSource::Unset, _) => Reason::Internal,
    }
}

/// Whether an endpoint said nothing in time, rather than that it took nothing.
pub(super) fn is_silence(error: &Error) -> bool {
    *error.esource() == ErrorSource::Upstream && *error.etype() == ErrorType::ReadTimedout
}

/// Whether a failure with this reason is the endpoint's, rather than the client's or the proxy's own.
pub(super) fn blames_endpoint(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ConnectFailed
            | Reason::ConnectTimeout
            | Reason::UpstreamTimeout
            | Reason::UpstreamClosed
            | Reason::UpstreamInvalid
    )
}

/// Why the stream below the engine ended a request, where it was not the client's leaving.
fn stream_reason(error: &Error) -> Option<Reason> {
    let cause = error.root_cause();
    if let Some(broken) = cause.downcast_ref::<io::Error>().and_then(Broken::of) {
        return Some(match broken {
            Broken::Coding(_) => Reason::BadRequest,
            Broken::Cut => Reason::Shutdown,
        });
    }
    let http2 = cause.downcast_ref::<h2::Error>()?;
    // The HTTP/2 layer keeps no more of an error than this.
    if http2.get_io().is_some_and(|error| error.kind() == Broken::Cut.kind()) {
        return Some(Reason::Shutdown);
    }
    // How the stream gives up a body that does not go on.
    let given_up = http2.is_reset() && http2.is_library() && http2.reason() == Some(h2::Reason::PROTOCOL_ERROR);
    given_up.then_some(Reason::ClientTimeout)
}

/// The status that a failure is answered with; 0 when nobody is left to answer.
pub(super) fn status(error: &Error, reason: Reason) -> u16 {
    if let ErrorType::HTTPStatus(status) = error.etype() {
        return *status;
    }
    match reason {
        Reason::ConnectTimeout | Reason::UpstreamTimeout => 504,
        Reason::ConnectFailed | Reason::UpstreamClosed | Reason::UpstreamInvalid => 502,
        Reason::ClientTimeout => 408,
        Reason::ClientClosed | Reason::Shutdown => 0,
        Reason::BodyTooLarge => 413,
        Reason::BadRequest => 400,
        _ => 500,
    }
}

/// Whether a request that may have reached an endpoint can be sent again without risk: its method is idempotent as nginx
/// sees it (everything but POST, LOCK and PATCH), and the endpoint failed rather than answered nonsense.
///
/// RFC 9110 section 9.2.2 forbids a proxy to repeat other methods, on a kept connection too: that an endpoint closed it
/// does not say that it had not begun.
pub(super) fn is_safe(request: &RequestHeader, error: &Error) -> bool {
    let idempotent =
        request.method != Method::POST && request.method != Method::PATCH && request.method.as_str() != "LOCK";
    idempotent && matches!(reason(error), Reason::UpstreamClosed | Reason::UpstreamTimeout)
}

/// How many requests may be retried: a fifth of the requests that came, and ten each second on top, so that failing
/// endpoints do not get several times the load that broke them.
#[derive(Debug)]
pub struct RetryBudget {
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
    pub fn new(percent: u32) -> Self {
        Self {
            percent,
            balance: AtomicI64::new(Self::RESERVE_PER_SECOND * 10 * 100),
            born: Instant::now(),
            paid: AtomicU64::new(0),
        }
    }

    /// Counts a request.
    pub fn deposit(&self) {
        // Slightly more than the cap is harmless, so that no compare-and-swap is needed on every request.
        if self.balance.load(Ordering::Relaxed) < Self::CAP * 100 {
            self.balance.fetch_add(i64::from(self.percent), Ordering::Relaxed);
        }
    }

    /// Takes a retry out, if there is one.
    pub fn withdraw(&self) -> bool {
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
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
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

    #[test]
    fn only_idempotent_methods_are_sent_again() {
        let closed = Error::new(ErrorType::ConnectionClosed).into_up();
        for (method, safe) in
            [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false), ("LOCK", false)]
        {
            let request = RequestHeader::build(method, b"/", None).unwrap();
            assert_eq!(is_safe(&request, &closed), safe, "{method}");
        }
    }

    #[test]
    fn failures_are_told_apart() {
        use ErrorType as E;
        for (error, expected, answer) in [
            (Error::new(E::ConnectRefused).into_up(), Reason::ConnectFailed, 502),
            (Error::new(E::ConnectTimedout).into_up(), Reason::ConnectTimeout, 504),
            (Error::new(E::ReadTimedout).into_up(), Reason::UpstreamTimeout, 504),
            (Error::new(E::ConnectionClosed).into_up(), Reason::UpstreamClosed, 502),
            (Error::new(E::InvalidHTTPHeader).into_up(), Reason::UpstreamInvalid, 502),
            (Error::new(E::ReadTimedout).into_down(), Reason::ClientTimeout, 408),
            (Error::new(E::ConnectionClosed).into_down(), Reason::ClientClosed, 0),
            (Error::new(E::InvalidHTTPHeader).into_down(), Reason::BadRequest, 400),
            (Error::new(E::H2Error).into_up(), Reason::UpstreamInvalid, 502),
            (Error::new(E::H2Error).into_down(), Reason::ClientClosed, 0),
            (Error::new(E::InternalError).into_in(), Reason::Internal, 500),
            (Error::new(E::InternalError).into_up(), Reason::Internal, 500),
            (Error::new(E::SocketError).into_up(), Reason::Internal, 500),
            (Error::new(E::BindError).into_up(), Reason::Internal, 500),
        ] {
            let reason = reason(&error);
            assert_eq!((reason, status(&error, reason)), (expected, answer), "{error}");
            assert_eq!(blames_endpoint(reason), matches!(answer, 502 | 504), "{error}");
        }
    }
}
