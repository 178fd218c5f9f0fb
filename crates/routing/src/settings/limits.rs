//! What one client may take: time, bytes and streams.

use std::time::Duration;

/// Limits of a downstream connection. A connection keeps those that were current when it was accepted. The defaults are safe
/// on an open network; every one can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// Total time for a request head: from its first byte to its last, and for the first request of a connection from
    /// the moment the connection can carry one. The answer is 408, or nothing when not one byte came (ConfigMap
    /// `client-header-timeout`).
    pub header_timeout: Duration,
    /// Total time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Largest request head in bytes, request line included; above it the answer is 400, as that of nginx (ConfigMap
    /// `large-client-header-buffers`, number times size).
    pub header_bytes: usize,
    /// Longest line of a header field in bytes, without its end; above it the answer is 400 (ConfigMap
    /// `large-client-header-buffers`, size).
    pub line_bytes: usize,
    /// Most header fields of a request; above it the answer is 431.
    pub header_fields: usize,
    /// Longest request target in bytes; above it the answer is 414 (ConfigMap `large-client-header-buffers`, size).
    pub uri_bytes: usize,
    /// How long a connection may stay open between two requests; zero ends it behind the first (ConfigMap `keep-alive`).
    pub keepalive_idle: Duration,
    /// Requests after which a connection is closed, on HTTP/2 with a GOAWAY; 0 for no limit (ConfigMap
    /// `keep-alive-requests`).
    pub keepalive_requests: u32,
    /// Longest pause in a request body (ConfigMap `client-body-timeout`). The engine sets it on the session for HTTP/1.
    pub body_timeout: Duration,
    /// Longest time in which a client takes not one byte of what is sent to it.
    pub write_timeout: Duration,
    /// How long a closed connection is still read from when the client may be sending, so that it sees the last
    /// response rather than a reset (nginx `lingering_timeout`).
    pub linger: Duration,
    /// HTTP/2 streams at a time in one connection (ConfigMap `http2-max-concurrent-streams`).
    pub h2_streams: u32,
    /// HTTP/2 receive window of a stream, in bytes.
    pub h2_stream_window: u32,
    /// HTTP/2 receive window of a connection, in bytes.
    pub h2_connection_window: u32,
    /// HTTP/2 streams that a client may reset before they are taken up; above it the connection ends with
    /// `ENHANCE_YOUR_CALM` (the Rapid Reset attack, CVE-2023-44487).
    pub h2_pending_resets: usize,
    /// HTTP/2 streams that a client may make the server reset; above it the connection ends with `ENHANCE_YOUR_CALM`
    /// (the MadeYouReset attack, CVE-2025-8671).
    pub h2_provoked_resets: usize,
    /// HTTP/2 streams that a client may cancel within ten seconds; above it the connection ends if those are also most of
    /// the streams that it opened. 0 for no limit. It is the slow kind of Rapid Reset, which waits for each stream to be
    /// taken up.
    pub h2_cancels: u32,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            header_bytes: 32 * 1024,
            line_bytes: 8 * 1024,
            header_fields: 200,
            uri_bytes: 8 * 1024,
            keepalive_idle: Duration::from_secs(75),
            keepalive_requests: 1000,
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            linger: Duration::from_secs(2),
            h2_streams: 128,
            h2_stream_window: 256 * 1024,
            h2_connection_window: 1024 * 1024,
            h2_pending_resets: 20,
            h2_provoked_resets: 1024,
            h2_cancels: 100,
        }
    }
}

impl ClientLimits {
    /// Whether a connection that took up so many requests may take no more.
    pub fn is_used_up(&self, requests: u64) -> bool {
        let most = if self.keepalive_idle.is_zero() { 1 } else { self.keepalive_requests };
        most > 0 && requests >= u64::from(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_requests_are_no_limit_and_no_time_is_one_request() {
        let limits = ClientLimits { keepalive_requests: 0, ..ClientLimits::default() };
        assert!(!limits.is_used_up(u64::MAX));
        assert!(ClientLimits::default().is_used_up(1000) && !ClientLimits::default().is_used_up(999));
        let none = ClientLimits { keepalive_idle: Duration::ZERO, keepalive_requests: 0, ..ClientLimits::default() };
        assert!(none.is_used_up(1) && !none.is_used_up(0));
    }
}
