//! Failures: how they are answered, whose they are, and which of them may be tried again.

use edgeward_routing::decide::Reason;

use crate::stream::Broken;

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

/// The reason for a failure that the stream made.
pub(super) fn reason(broken: Broken) -> Reason {
    match broken {
        Broken::Coding(_) => Reason::BadRequest,
        Broken::Cut => Reason::Shutdown,
    }
}

/// The reason for a failure of an HTTP/2 layer, where it is not the client's leaving.
pub(super) fn http2_reason(error: &h2::Error) -> Option<Reason> {
    // The layer keeps no more of an error than this.
    if error.get_io().is_some_and(|error| error.kind() == Broken::Cut.kind()) {
        return Some(Reason::Shutdown);
    }
    // How the stream gives up a body that does not go on.
    let given_up = error.is_reset() && error.is_library() && error.reason() == Some(h2::Reason::PROTOCOL_ERROR);
    given_up.then_some(Reason::ClientTimeout)
}

/// The status that a failure is answered with; 0 when nobody is left to answer.
pub(super) fn status(reason: Reason) -> u16 {
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

/// Whether a method is idempotent as nginx sees it: everything but POST, LOCK and PATCH. RFC 9110 section 9.2.2 forbids a proxy
/// to repeat other methods, on a kept connection too: that an endpoint closed it does not say that it had not begun.
pub(super) fn is_idempotent(method: &str) -> bool {
    !matches!(method, "POST" | "PATCH" | "LOCK")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idempotent_methods_are_sent_again() {
        for (method, repeatable) in
            [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false), ("LOCK", false)]
        {
            assert_eq!(is_idempotent(method), repeatable, "{method}");
        }
    }
}
