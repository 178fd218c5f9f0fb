//! What failures of Pingora are called, and how they are answered.

use std::io;

use edgeward_routing::decide::Reason;
use pingora::{Error, ErrorSource, ErrorType};

use super::super::failure;
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

/// Why the stream below the engine ended a request, where it was not the client's leaving.
fn stream_reason(error: &Error) -> Option<Reason> {
    let cause = error.root_cause();
    if let Some(broken) = cause.downcast_ref::<io::Error>().and_then(Broken::of) {
        return Some(failure::reason(broken));
    }
    failure::http2_reason(cause.downcast_ref()?)
}

/// The status that a failure is answered with; 0 when nobody is left to answer.
pub(super) fn status(error: &Error, reason: Reason) -> u16 {
    match error.etype() {
        ErrorType::HTTPStatus(status) => *status,
        _ => failure::status(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(failure::blames_endpoint(reason), matches!(answer, 502 | 504), "{error}");
        }
    }
}
