//! The endpoint's side of an exchange, whichever protocol it speaks.

mod call;
mod head;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use edgeward_routing::decide::Reason;
use tokio::net::TcpStream;

use super::exchange::Failure;
use super::pool::Kept;
use super::response::Length;
use crate::shortage::is_ours;
use crate::socket;

pub(super) use call::Call;

/// An endpoint that is about to serve a request.
pub(super) enum Upstream {
    /// It has a connection for it alone.
    Http1(Kept),
    /// It has a stream of a connection.
    Http2(Box<Call>),
}

impl Upstream {
    /// The connection, where the request has it alone.
    pub(super) fn tcp(&mut self) -> Option<&mut TcpStream> {
        match self {
            Self::Http1(kept) => Some(&mut kept.tcp),
            Self::Http2(_) => None,
        }
    }

    /// Sends some of a request, and returns how much: nothing when the endpoint takes no more. `is_last` tells whether
    /// nothing follows.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<usize> {
        match self {
            Self::Http1(kept) => socket::poll_send(cx, &kept.tcp, &[IoSlice::new(data)]).map(Result::unwrap_or_default),
            Self::Http2(call) => call.poll_send(cx, data, is_last),
        }
    }

    /// Ends a request of which all that there is is sent.
    pub(super) fn finish(&mut self) {
        if let Self::Http2(call) = self {
            call.finish();
        }
    }

    /// Has nothing of a response lie where it is in the way of others, while its own client takes none of it.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        if let Self::Http2(call) = self {
            call.gather(cx);
        }
    }

    /// Whether trailers follow what has been read of a response.
    pub(super) fn has_trailers(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(call) => call.has_trailers(),
        }
    }

    /// Whether the endpoint has said its last word: there is not even an end to wait for.
    pub(super) fn is_ended(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(call) => call.is_ended(),
        }
    }

    /// What it means for the request that the endpoint has not answered it, which is called this.
    pub(super) fn failed(&self, reason: Reason) -> Failure {
        match self {
            Self::Http1(_) => reason.into(),
            Self::Http2(call) => {
                if reason == Reason::UpstreamTimeout {
                    call.retire();
                }
                Failure { reason, was_sent: !call.is_refused() }
            }
        }
    }

    /// How much of a body is to be read whose head says that it has this length.
    pub(super) fn body(&self, length: Length) -> Result<Length, Reason> {
        match (self, length) {
            (Self::Http2(call), Length::Bytes(1..)) if call.is_ended() => Err(Reason::UpstreamInvalid),
            (Self::Http2(call), _) if call.is_ended() => Ok(Length::Bytes(0)),
            // Its end says more than its length: trailers may come before.
            (Self::Http2(_), Length::Bytes(1..)) => Ok(Length::Connection),
            _ => Ok(length),
        }
    }
}

/// Opens a connection to an endpoint.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, Reason> {
    match TcpStream::connect(address).await {
        Err(error) if is_ours(&error) => Err(Reason::Internal),
        Err(_) => Err(Reason::ConnectFailed),
        Ok(tcp) => {
            // Without it a small write could wait for the answer to the last one. A failure costs no more than that.
            let _ = tcp.set_nodelay(true);
            Ok(tcp)
        }
    }
}

/// Whether a kept connection is still open as far as the kernel knows, which is news that may not have come up yet. Worth a
/// system call for a request that cannot be sent twice.
pub(super) fn is_open(tcp: &TcpStream) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    let peeked = socket2::SockRef::from(tcp).peek(&mut byte);
    matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
