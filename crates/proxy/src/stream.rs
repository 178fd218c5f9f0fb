//! The byte stream under the HTTP engine.
//!
//! Pingora trusts what is below it: it waits without end for a request head, takes one of a megabyte, and writes without
//! a buffer. This stream is what an open network needs in between. On HTTP/1 it holds a request head back until it is
//! whole and [checked](head), knows where the body ends and holds back what comes behind it until the engine is through
//! with the request, and keeps the time. It answers 400, 408, 414, 431 and their like by itself. On HTTP/2 and in tunnels
//! it passes bytes through, and keeps the time where the layers above do not; on HTTP/2 it [follows the frames](http2) for
//! that.
//!
//! When the engine drops the stream, the connection goes back to its task as a [`Parting`], which closes it in good order.

mod chunked;
mod deadline;
mod exchange;
mod head;
mod http2;
mod parting;
mod read;
mod transport;
mod websocket;
mod write;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::http::ResponseHeader;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::clock;
use crate::connection::{Alpn, Connection, Phase};
use crate::listener::Observer;
use head::Framing;
use http2::Http2;
use websocket::Frames;

pub(crate) use chunked::Chunked;
pub(crate) use deadline::Deadline;
pub(crate) use exchange::Next;
pub use head::Refusal;
pub(crate) use parting::Parting;
pub(crate) use transport::Transport;

/// See the [module](self).
pub struct Stream {
    transport: Transport,
    connection: Arc<Connection>,
    observer: Arc<dyn Observer>,
    fd: UniqueIDType,
    digests: OnceLock<Digests>,
    protocol: Protocol,
    /// Read and not yet passed on. The first `ready` bytes may be; the first `scanned` hold no end of a head.
    inbox: BytesMut,
    ready: usize,
    scanned: usize,
    /// Length of the head that the inbox begins with, where one has been admitted and not passed on.
    head: usize,
    /// The client has ended its side.
    ended: bool,
    /// Requests passed on so far.
    requests: u64,
    /// Whether the connection keeps the target of one as its client wrote it.
    encodes_target: bool,
    /// Written and not yet sent; the first `sent` bytes are.
    outbox: Vec<u8>,
    sent: usize,
    /// What is sent when the stream is dropped.
    farewell: Vec<u8>,
    read_deadline: Deadline,
    write_deadline: Deadline,
    owner: Option<oneshot::Sender<Parting>>,
}

/// What the bytes mean.
#[derive(Debug)]
enum Protocol {
    /// HTTP/1, in or before a request head.
    Head {
        /// When the stream began to wait for this head.
        since: Instant,
        /// When its first byte came.
        begun: Option<Instant>,
        /// When a drain was noticed.
        draining: Option<Instant>,
    },
    /// HTTP/1, from the end of a head to the end of the response; the framing tells where the request body ends.
    Message(Framing),
    /// Upgraded to a WebSocket.
    WebSocket(Frames),
    /// Upgraded to something else.
    Tunnel,
    /// HTTP/2.
    Http2(Box<Http2>),
    /// Nothing is exchanged any more: reads end and writes vanish.
    Closed,
}

/// Why the stream makes reads and writes of the engine fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The coding of the request body makes no sense. The request can still be answered.
    #[error("{0}")]
    Coding(&'static str),
    /// A drain has run out of time.
    #[error("the drain ran out of time")]
    Cut,
}

impl Broken {
    /// The one that an error is made of.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// The kind of the error that is made of it.
    pub(crate) fn kind(self) -> io::ErrorKind {
        match self {
            Self::Coding(_) => io::ErrorKind::InvalidData,
            Self::Cut => io::ErrorKind::ConnectionAborted,
        }
    }
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        Self::new(broken.kind(), broken)
    }
}

/// What Pingora hands to every request of the connection, made when it first asks.
struct Digests {
    socket: Arc<SocketDigest>,
    proxy: Arc<ProxyDigest>,
    ssl: Option<Arc<SslDigest>>,
}

/// The client's connection preface (RFC 9113 section 3.4).
const H2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Stream {
    /// Makes the stream of a connection that has its addresses and, where it has any, TLS.
    pub(crate) fn new(
        transport: Transport,
        fd: UniqueIDType,
        connection: Arc<Connection>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let http2 = connection.tls().is_some_and(|tls| tls.alpn == Alpn::Http2);
        let protocol = if http2 {
            Protocol::Http2(Box::new(Http2::new(&connection.settings.limits)))
        } else {
            Protocol::Head { since: clock::now(), begun: None, draining: None }
        };
        Self {
            transport,
            fd,
            digests: OnceLock::new(),
            connection,
            observer,
            protocol,
            inbox: BytesMut::new(),
            ready: 0,
            scanned: 0,
            head: 0,
            ended: false,
            requests: 0,
            encodes_target: false,
            outbox: Vec::new(),
            sent: 0,
            farewell: Vec::new(),
            read_deadline: Deadline::default(),
            write_deadline: Deadline::default(),
            owner: None,
        }
    }

    /// What is left of the connection comes back on this when the stream is dropped.
    pub(crate) fn left(&mut self) -> oneshot::Receiver<Parting> {
        let (owner, left) = oneshot::channel();
        self.owner = Some(owner);
        left
    }

    /// What is left of the connection.
    pub(crate) fn part(mut self) -> Parting {
        self.parting()
    }

    fn digests(&self) -> &Digests {
        self.digests.get_or_init(|| Digests::new(self.fd, &self.connection))
    }

    fn parting(&mut self) -> Parting {
        let unread = self.has_unread();
        let mut last_words = std::mem::take(&mut self.outbox);
        last_words.drain(..std::mem::take(&mut self.sent));
        last_words.append(&mut self.farewell);
        let cut_short = matches!(self.protocol, Protocol::Message(_)) && self.connection.lifecycle.is_cut_short();
        let transport = std::mem::replace(&mut self.transport, Transport::Gone);
        Parting { transport, last_words, unread, cut_short }
    }

    /// From here on the bytes are no HTTP. Called for the first read or write after the engine said so.
    fn become_tunnel(&mut self) {
        self.protocol = if self.connection.lifecycle.is_websocket() {
            Protocol::WebSocket(Frames::new())
        } else {
            Protocol::Tunnel
        };
        self.ready = self.inbox.len();
        self.read_deadline.clear();
    }

    /// Fails once a drain has cut the connection. The engine then ends what is under way, and logs it.
    pub(crate) fn check_cut(&self) -> io::Result<()> {
        match self.connection.lifecycle.phase() {
            Phase::Cut => Err(Broken::Cut.into()),
            _ => Ok(()),
        }
    }

    /// Whether the client may be sending something that nobody will read.
    fn has_unread(&self) -> bool {
        let unfinished = match &self.protocol {
            Protocol::Message(framing) => !framing.is_done(),
            Protocol::Http2(_) => true,
            _ => !self.farewell.is_empty(),
        };
        !self.ended && (unfinished || !self.inbox.is_empty())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            // When the task is gone as well, this closes the connection here.
            let _ = owner.send(self.parting());
        }
    }
}

impl Digests {
    fn new(id: UniqueIDType, connection: &Arc<Connection>) -> Self {
        let socket = SocketDigest::from_raw_fd(id);
        // Set beforehand, so that nobody asks the kernel, and that the peer is the one PROXY protocol told.
        let _ = socket.peer_addr.set(Some(SocketAddr::Inet(connection.client_addr())));
        let _ = socket.local_addr.set(Some(SocketAddr::Inet(connection.local_addr())));
        let response = ResponseHeader::build(http::StatusCode::OK, Some(0)).expect("200 is a status");
        let ssl = connection.tls().map(|tls| Arc::new(SslDigest::new(tls.cipher, tls.version, None, None, Vec::new())));
        Self {
            socket: Arc::new(socket),
            // The one slot of a digest that takes any type. Its own purpose, CONNECT proxies, exists upstream only.
            proxy: Arc::new(ProxyDigest::new(Box::new(response), Some(Box::new(Arc::clone(connection))))),
            ssl,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was read and written stays out of logs.
        f.debug_struct("Stream").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check_cut()?;
        let read = this.read(cx, buf);
        // The engine reads here whenever it waits for something, so what it has written so far is all that there is for now.
        // An event stream or a slow page must not wait in the outbox for bytes that come much later.
        if read.is_pending() && this.sent < this.outbox.len() {
            std::task::ready!(this.flush(cx))?;
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_cut()?;
        this.write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check_cut()?;
        this.flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        std::task::ready!(this.flush(cx))?;
        if matches!(this.protocol, Protocol::Closed) {
            // The farewell is still to come.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.transport).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Stream {
    // Whoever calls this drops the stream next, and the drop hands the connection to its orderly end.
    async fn shutdown(&mut self) {}
}

impl UniqueID for Stream {
    fn id(&self) -> UniqueIDType {
        self.fd
    }
}

impl Ssl for Stream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.digests().ssl.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self.connection.tls()?.alpn {
            Alpn::None => None,
            Alpn::Http1 => Some(ALPN::H1),
            Alpn::Http2 => Some(ALPN::H2),
        }
    }
}

impl GetTimingDigest for Stream {
    // Asked for on every request, and needed by nobody: `Connection` has the times.
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Stream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digests().proxy))
    }
}

impl GetSocketDigest for Stream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digests().socket))
    }
}

#[async_trait]
impl Peek for Stream {
    /// Shows the first bytes, for Pingora to tell HTTP/2 from HTTP/1. Waits for as many as the two need to differ.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        std::future::poll_fn(|cx| self.recognise(cx)).await?;
        let shown = self.inbox.len().min(buf.len());
        buf[..shown].copy_from_slice(&self.inbox[..shown]);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
