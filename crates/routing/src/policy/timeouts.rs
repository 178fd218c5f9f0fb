//! `proxy-connect-timeout`, `proxy-send-timeout`, `proxy-read-timeout`: how long an endpoint may take.

use std::time::Duration;

/// Limits on one try at one endpoint. Read and write limits hold between two successive operations, as nginx has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To open a connection (and to finish the TLS handshake).
    pub connect: Duration,
    /// Between two writes of the request.
    pub send: Duration,
    /// Between two reads of the response.
    pub read: Duration,
}

impl Default for Timeouts {
    /// 5, 60 and 60 seconds (ingress-nginx config.go).
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), send: Duration::from_secs(60), read: Duration::from_secs(60) }
    }
}
