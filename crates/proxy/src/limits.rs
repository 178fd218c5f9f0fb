//! Limits on clients, as the operating system and Pingora have to be told of them.

use edgeward_routing::settings::ClientLimits;
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};

/// The cap on connections when nobody asks for another one. Where files are unlimited, as in many containers, it is what
/// keeps clients from taking all memory: each connection may hold some 100 KiB.
pub(crate) const MOST_CONNECTIONS: usize = 65_536;

/// The cap on connections for a limit on open files: four fifths of it, halved because every request may need a second
/// file for its upstream connection, and at most 65,536. The rest is for listeners, the API server and files.
pub fn connections_within(open_files: u64) -> usize {
    usize::try_from(open_files / 5 * 2).unwrap_or(usize::MAX).clamp(1, MOST_CONNECTIONS)
}

/// Bytes of a response that a stream of HTTP/2 holds for its client, beside what is read from the endpoint. A client that takes
/// nothing has as much held for each of its streams.
const H2_SEND_BUFFER: usize = 64 * 1024;

/// What Pingora's HTTP server must be told (`HttpProxy::server_options`). It also switches on HTTP/2 with prior knowledge on
/// plain-text listeners. Who may make how many requests is the application's to say, for that is the connection's own.
pub(crate) fn server_options() -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    // The engine answers CONNECT, as it answers other methods that are not served.
    options.allow_connect_method_proxying = true;
    // The stream keeps the time of idle HTTP/2 connections: Pingora drops them without a GOAWAY.
    options
}

/// What an HTTP/2 server must be told for these limits to hold.
pub(crate) fn h2_options(limits: &ClientLimits) -> H2Options {
    // Pingora's own defaults are the base: a bare builder has no limit on streams.
    let mut options = default_h2_options();
    options
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.h2_streams)
        .initial_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_send_buffer_size(H2_SEND_BUFFER)
        .max_pending_accept_reset_streams(limits.h2_pending_resets)
        .max_local_error_reset_streams(Some(limits.h2_provoked_resets));
    options
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
}
