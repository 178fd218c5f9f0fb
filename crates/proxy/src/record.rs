//! What is known of a finished request: the one input of access log and metrics.

mod head;
mod refused;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use edgeward_routing::backend::Backend;
use edgeward_routing::decide::Reason;
use edgeward_routing::forward::Forwarded;
use edgeward_routing::route::Route;

use crate::connection::Connection;
use crate::trace::RequestTrace;

pub use head::{Request, Response};
pub use refused::Refused;

/// One finished request.
#[derive(Debug)]
pub struct RequestRecord<'a> {
    /// The route that took it, if one did.
    pub route: Option<&'a Route>,
    /// The backend it was sent to, if it was.
    pub backend: Option<&'a Backend>,
    /// The backend that its route names, where a canary took the request instead.
    pub main: Option<&'a Backend>,
    /// The connection it came on.
    pub connection: Option<&'a Connection>,
    /// The client's address, as the configuration lets us believe it.
    pub client: Option<IpAddr>,
    /// What was forwarded of the client; `None` for malformed requests.
    pub forwarded: Option<&'a Forwarded>,
    /// The request head, as received.
    pub request: Request<'a>,
    /// The response head, as sent; `None` when none was.
    pub response: Option<Response<'a>>,
    /// The status sent, or 499 when the client went away before one was (nginx's own code for that).
    pub status: u16,
    /// Why the proxy answered by itself or the answer failed; `None` for an upstream's own answer.
    pub reason: Option<Reason>,
    /// When the request head had been read.
    pub started: SystemTime,
    /// Time from then to the end of the response.
    pub duration: Duration,
    /// Bytes of the request: head and body, as nginx's `$request_length`.
    pub request_length: u64,
    /// Bytes of the response body, as nginx's `$body_bytes_sent`.
    pub body_bytes_sent: u64,
    /// The tries at endpoints, in order.
    pub tries: &'a [Try],
    /// Its place in a trace, if it has one.
    pub trace: Option<&'a RequestTrace>,
    /// The request's identity: the client's `X-Request-ID`, or 32 hexadecimal digits.
    pub request_id: &'a str,
}

/// An identity for a request that brought none.
pub(crate) fn new_request_id() -> String {
    // By hand, at a fifth of what formatting takes: every request has one.
    let digit = |number: u8| b"0123456789abcdef"[usize::from(number)];
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(fastrand::u128(..).to_ne_bytes()) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    String::from_utf8(digits.into()).expect("digits are ASCII")
}

/// One try at one endpoint.
#[derive(Debug, Clone)]
pub struct Try {
    /// The endpoint.
    pub address: SocketAddr,
    /// Time to a usable connection; zero for a reused one. `None` when there was none.
    pub connect: Option<Duration>,
    /// Time to the response head. `None` when there was none.
    pub header: Option<Duration>,
    /// Time to the end of the try.
    pub total: Duration,
    /// Status of the response head; 502 or 504 when the try failed before one.
    pub status: Option<u16>,
    /// Bytes of the response body that the endpoint sent.
    pub body_bytes: u64,
}
