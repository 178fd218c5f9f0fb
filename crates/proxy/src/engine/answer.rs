//! What the proxy answers by itself, on every engine: errors, redirects, 404s.

use std::time::Duration;

use edgeward_routing::decide::Reason;
use http::StatusCode;

/// A body up to this size is read over before the answer, so that the connection can take the next request; with a larger
/// one to come the connection is closed.
pub(super) const DRAINED_BODY: u64 = 64 << 10;

/// How long a client may go on sending a body that is not wanted: before the answer, which then closes the connection, and
/// behind it before the connection is cut. Cutting at once would reset the connection and could destroy the answer on its
/// way (nginx: lingering_close).
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// What to answer.
pub(super) struct Answer<'a> {
    /// The status.
    pub(super) status: u16,
    /// The `Location` of a redirect.
    pub(super) location: Option<&'a str>,
    /// Why.
    pub(super) reason: Reason,
}

/// Whether nothing that follows the request on its connection is to be believed: the request was malformed, or of a method
/// that asks for a tunnel, or the client has to open another connection (nginx ngx_http_special_response_handler, and CONNECT).
pub(super) fn ends_connection(status: u16) -> bool {
    matches!(status, 400 | 405 | 408 | 413 | 414 | 421 | 431 | 500)
}

/// `404 Not Found`, with the reason phrase of RFC 9110.
pub(super) fn phrase_of(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"))
}

/// The body of an answer with this status: its phrase as a line. `None` for a status that has no body.
pub(super) fn body_of(status: StatusCode) -> Option<String> {
    (status != StatusCode::NO_CONTENT).then(|| phrase_of(status) + "\n")
}
