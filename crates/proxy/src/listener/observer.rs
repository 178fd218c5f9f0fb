//! What is worth counting about connections, as opposed to requests.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::connection::Connection;
use crate::record::Refused;

/// Is told what happens to connections. Called from the workers' threads, between two steps of serving: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: Event<'_>);
}

/// Takes no notice.
impl Observer for () {
    fn observe(&self, _event: Event<'_>) {}
}

/// Something that happened to a connection.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A connection was accepted.
    Accepted {
        /// Whether on an HTTPS address.
        tls: bool,
    },
    /// The system gave no connection, for instance because there are too many open files. Accepting goes on shortly.
    AcceptFailed(&'a io::Error),
    /// A connection was closed before it could carry a request.
    Rejected {
        /// The other end.
        peer: SocketAddr,
        /// Why.
        reason: Rejection,
    },
    /// A TLS handshake succeeded.
    Handshake {
        /// How long it took.
        duration: Duration,
        /// Whether an earlier session was resumed.
        resumed: bool,
    },
    /// A TLS handshake failed. Scanners and old clients do this all day.
    HandshakeFailed {
        /// The other end.
        peer: SocketAddr,
        /// Why.
        failure: HandshakeFailure<'a>,
    },
    /// A request was refused below the engine, which knows nothing of it.
    BadRequest(Refused<'a>),
    /// An HTTP/2 client cancelled too many of its streams and was cut off.
    TooManyCancels {
        /// The connection.
        connection: &'a Connection,
    },
    /// A client took no data for too long and was cut off.
    SlowReader {
        /// The connection.
        connection: &'a Connection,
    },
}

/// Why a connection was closed before it could carry a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// There are as many connections as there may be.
    TooManyConnections,
    /// The client has as many connections as it may have.
    TooManyFromClient,
    /// The peer is in no network that may speak for others by PROXY protocol.
    UntrustedProxy,
    /// The PROXY protocol header is missing, malformed or too long.
    MalformedProxyHeader,
    /// The PROXY protocol header did not come in time.
    ProxyHeaderTimeout,
}

impl Rejection {
    /// The reason as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyFromClient => "too_many_from_client",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::MalformedProxyHeader => "malformed_proxy_header",
            Self::ProxyHeaderTimeout => "proxy_header_timeout",
        }
    }
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy)]
pub enum HandshakeFailure<'a> {
    /// It took too long.
    Timeout,
    /// The two sides did not come to terms, or the client went away.
    Failed(&'a io::Error),
}

impl fmt::Display for HandshakeFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}
