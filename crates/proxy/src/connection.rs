//! What is known of a downstream connection, and how the engine speaks with it.

mod lifecycle;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use edgeward_routing::decide::Downstream;
use edgeward_routing::policy::{ClientCertificate, TlsClient};
use edgeward_routing::settings::Settings;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

pub use lifecycle::{ConnectionState, Connections};
pub(crate) use lifecycle::{Lifecycle, Phase, Registration, Registry};

/// A downstream connection: facts that do not change once it can carry a request, and its part in a drain.
///
/// The engine owes it three calls, without which a connection serves one request only: [`head_received`] when it takes a
/// request up, [`request_done`] when it is through with it, and [`upgraded`] before it sends a `101`.
///
/// [`head_received`]: Connection::head_received
/// [`request_done`]: Connection::request_done
/// [`upgraded`]: Connection::upgraded
#[derive(Debug)]
pub struct Connection {
    pub(crate) client: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) source: AddressSource,
    pub(crate) tls: Option<TlsSession>,
    /// Those that were current when it was accepted. What is about requests is in the snapshot that each of them has.
    pub(crate) settings: Arc<Settings>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// See [`sent_target`](Self::sent_target), and the number of the request that has it.
    pub(crate) sent: Mutex<Option<(u64, Box<[u8]>)>>,
}

/// Where the client address of a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressSource {
    /// The TCP connection itself.
    Peer,
    /// A PROXY protocol header, version 1.
    ProxyV1,
    /// A PROXY protocol header, version 2.
    ProxyV2,
}

/// What a TLS handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSession {
    /// The server name that the client asked for, lower case; `None` when it named none.
    pub server_name: Option<Box<str>>,
    /// `TLSv1.2` or `TLSv1.3`, as nginx's `$ssl_protocol`.
    pub version: &'static str,
    /// The cipher suite in OpenSSL's spelling, as nginx's `$ssl_cipher`.
    pub cipher: &'static str,
    /// The application protocol.
    pub alpn: Alpn,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// What it was asked for a certificate, where it was, and what it showed.
    pub client: Option<Box<AskedClient>>,
}

/// What came of asking a client for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedClient {
    /// The fingerprint of the authority in whose name.
    pub asked: [u8; 32],
    /// What it showed.
    pub certificate: Option<ClientCertificate>,
}

/// The application protocol that a TLS handshake agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// The client offered none.
    None,
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

impl Connection {
    /// The connection that a session belongs to. `None` for sessions that did not come through a listener of this crate.
    pub fn of(session: &ServerSession) -> Option<Arc<Self>> {
        let digest = session.digest()?.proxy_digest.as_ref()?;
        digest.user_data.as_ref()?.downcast_ref::<Arc<Self>>().cloned()
    }

    /// The client's address: what a trusted PROXY protocol header said, else the peer's.
    pub fn client_addr(&self) -> SocketAddr {
        self.client
    }

    /// The other end of the TCP connection.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// This end of the TCP connection.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The address that the client connected to: what a trusted PROXY protocol header said, else this end's.
    pub fn destination_addr(&self) -> SocketAddr {
        self.destination
    }

    /// Where the client address comes from.
    pub fn address_source(&self) -> AddressSource {
        self.source
    }

    /// What the TLS handshake agreed on; `None` on a plain-text listener.
    pub fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_ref()
    }

    /// What a decision needs to know of it.
    pub(crate) fn downstream(&self) -> Downstream {
        Downstream { client: self.client.ip(), tls: self.tls.is_some(), port: self.destination.port() }
    }

    /// What its handshake says of the client; `None` on a plain-text listener.
    pub(crate) fn tls_client(&self) -> Option<TlsClient<'_>> {
        let session = self.tls.as_ref()?;
        let client = session.client.as_deref();
        Some(TlsClient {
            server_name: session.server_name.as_deref(),
            asked: client.map(|client| &client.asked),
            certificate: client.and_then(|client| client.certificate.as_ref()),
        })
    }

    /// Notes that the engine gets the target of the next request in percent-encoding.
    pub(crate) fn encodes_target(&self, sent: &[u8]) {
        let number = self.requests_taken() + 1;
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, sent.into()));
    }

    /// Lets go of what was noted: an idle connection holds no buffers.
    pub(crate) fn forget_target(&self) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The target of the request that was taken up last, as the client wrote it, where the engine got it in percent-encoding.
    pub(crate) fn sent_target(&self) -> Option<Box<[u8]>> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.as_ref().filter(|(number, _)| *number == self.requests_taken()).map(|(_, target)| target.clone())
    }

    /// Tells the connection that the engine took up a request. Pairs with one [`request_done`](Self::request_done).
    pub fn head_received(&self) {
        self.lifecycle.request_started();
    }

    /// What Pingora watches: once true, an HTTP/2 connection gets a GOAWAY and an HTTP/1 one a last response.
    pub(crate) fn shutdown(&self) -> ShutdownWatch {
        self.lifecycle.leaving()
    }

    /// How many requests the engine took up so far.
    pub fn requests_taken(&self) -> u64 {
        self.lifecycle.requests_taken()
    }

    /// Tells the connection that the engine is through with a request and its response. On HTTP/1 the next request may
    /// be read from here on.
    pub fn request_done(&self) {
        self.lifecycle.request_done();
    }

    /// Tells the connection that a `101` is about to be sent and that what follows it, in both directions, is no HTTP.
    /// A WebSocket is closed with status 1001 when a drain runs out of time.
    pub fn upgraded(&self, websocket: bool) {
        self.lifecycle.upgraded(websocket);
    }

    /// Tells the connection that a response will end before its body is whole. An HTTP/1 connection is then closed with a
    /// reset, for a client that reads until the end of the connection could not tell otherwise.
    pub fn cut_short(&self) {
        self.lifecycle.cut_short();
    }

    /// Sets until when the engine waits for an endpoint, or `None` for as long as Pingora does. From then on reads of a
    /// connection whose request has come in whole fail, which ends the wait.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.lifecycle.set_deadline(deadline);
    }

    /// Whether the deadline has passed.
    pub fn is_overdue(&self) -> bool {
        self.lifecycle.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Whether the listener takes no new connections any more. HTTP/1 responses should then say `Connection: close`.
    pub fn is_draining(&self) -> bool {
        self.lifecycle.phase() >= Phase::Draining
    }
}
