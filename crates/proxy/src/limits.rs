//! What one client may take: time, bytes, connections and streams.

use std::time::Duration;

use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};

/// Limits of downstream connections. The defaults are safe on an open network; every one can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Total time for a request head: from its first byte to its last, and for the first request of a connection from
    /// the moment the connection can carry one. The answer is 408, or nothing when not one byte came.
    pub header_timeout: Duration,
    /// Total time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Largest request head in bytes, request line included; above it the answer is 431.
    pub header_bytes: usize,
    /// Most header fields of a request; above it the answer is 431.
    pub header_fields: usize,
    /// Longest request target in bytes; above it the answer is 414.
    pub uri_bytes: usize,
    /// How long a connection may stay open between two requests (nginx `keepalive_timeout`).
    pub keepalive_idle: Duration,
    /// Requests after which a connection is closed (nginx `keepalive_requests`), on HTTP/2 with a GOAWAY; 0 for no limit.
    pub keepalive_requests: u32,
    /// Most connections at a time; 0 for no limit. A connection above it is closed at once. See [`connections_within`].
    pub max_connections: usize,
    /// Most connections at a time of one client address, IPv6 by /64; 0 for no limit. The address is the one that
    /// counts after PROXY protocol.
    pub max_connections_per_client: usize,
    /// Longest pause in a request body. The engine sets it on the session for HTTP/1.
    pub body_timeout: Duration,
    /// Longest time in which a client takes not one byte of what is sent to it.
    pub write_timeout: Duration,
    /// How long a closed connection is still read from when the client may be sending, so that it sees the last
    /// response rather than a reset (nginx `lingering_timeout`).
    pub linger: Duration,
    /// HTTP/2 streams at a time in one connection (ingress-nginx `http2-max-concurrent-streams`).
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            header_bytes: 32 * 1024,
            header_fields: 200,
            uri_bytes: 8 * 1024,
            keepalive_idle: Duration::from_secs(75),
            keepalive_requests: 1000,
            max_connections: MOST_CONNECTIONS,
            max_connections_per_client: 16_384,
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

/// The cap on connections when nobody asks for another one. Where files are unlimited, as in many containers, it is what
/// keeps clients from taking all memory: each connection may hold some 100 KiB.
const MOST_CONNECTIONS: usize = 65_536;

/// The cap on connections for a limit on open files: four fifths of it, halved because every request may need a second
/// file for its upstream connection, and at most 65,536. The rest is for listeners, the API server and files.
pub fn connections_within(open_files: u64) -> usize {
    usize::try_from(open_files / 5 * 2).unwrap_or(usize::MAX).clamp(1, MOST_CONNECTIONS)
}

/// Bytes of a response that a stream of HTTP/2 holds for its client, beside what is read from the endpoint. A client that takes
/// nothing has as much held for each of its streams.
const H2_SEND_BUFFER: usize = 64 * 1024;

impl Limits {
    /// Whether a connection that took up so many requests may take no more.
    pub(crate) fn is_used_up(&self, requests: u64) -> bool {
        self.keepalive_requests > 0 && requests >= u64::from(self.keepalive_requests)
    }

    /// What Pingora's HTTP server must be told for these limits to hold (`HttpProxy::server_options`). It also switches
    /// on HTTP/2 with prior knowledge on plain-text listeners.
    pub fn server_options(&self) -> HttpServerOptions {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        // The engine answers CONNECT, as it answers other methods that are not served.
        options.allow_connect_method_proxying = true;
        // Pingora counts the requests after the first.
        options.keepalive_request_limit = self.keepalive_requests.checked_sub(1);
        // The stream keeps the time of idle HTTP/2 connections: Pingora drops them without a GOAWAY.
        options
    }

    /// What Pingora's HTTP/2 server must be told for these limits to hold (`HttpProxy::h2_options`).
    pub fn h2_options(&self) -> H2Options {
        // Pingora's own defaults are the base: a bare builder has no limit on streams.
        let mut options = default_h2_options();
        options
            .max_header_list_size(u32::try_from(self.header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(self.h2_streams)
            .initial_window_size(self.h2_stream_window)
            .initial_connection_window_size(self.h2_connection_window)
            .max_send_buffer_size(H2_SEND_BUFFER)
            .max_pending_accept_reset_streams(self.h2_pending_resets)
            .max_local_error_reset_streams(Some(self.h2_provoked_resets));
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_upstreams() {
        assert_eq!(connections_within(1_024), 408);
        assert_eq!(connections_within(65_536), 26_214);
        assert_eq!(connections_within(0), 1);
        for unlimited in [1_048_576, u64::MAX] {
            assert_eq!(connections_within(unlimited), MOST_CONNECTIONS);
        }
    }

    #[test]
    fn zero_keepalive_requests_is_no_limit() {
        let limits = Limits { keepalive_requests: 0, ..Limits::default() };
        assert_eq!(limits.server_options().keepalive_request_limit, None);
        assert!(!limits.is_used_up(u64::MAX));
        assert!(Limits::default().is_used_up(1000) && !Limits::default().is_used_up(999));
        assert_eq!(Limits::default().server_options().keepalive_request_limit, Some(999));
    }
}
