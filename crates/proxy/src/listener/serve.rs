//! The life of one connection, from `accept` to `close`.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use edgeward_routing::settings::{ProxyProtocol, Settings};
use pingora::protocols::UniqueIDType;
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};

use super::observer::{Event, HandshakeFailure, Rejection};
use super::passthrough::Passthrough;
use super::{Application, Shared};
use crate::clock;
use crate::connection::{AddressSource, Connection, ConnectionState, Phase, Registration, TlsSession};
use crate::proxy_protocol::{self, HeaderError, Proxied};
use crate::seats;
use crate::stream::{Stream, Transport};
use crate::tls::{self, Hello, TlsStream};

/// An accepted connection.
pub(super) struct Incoming {
    pub(super) tcp: TcpStream,
    pub(super) fd: UniqueIDType,
    pub(super) peer: SocketAddr,
    /// This end, where the listener has one address only.
    pub(super) local: Option<SocketAddr>,
    pub(super) tls: bool,
    pub(super) registration: Registration,
    pub(super) shared: Arc<Shared>,
}

/// How long the engine has, once a drain has cut a connection, to notice and to log what was under way.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(100);

/// Serves a connection to its end, which a drain may bring about.
pub(super) async fn serve<A: Application>(incoming: Incoming, app: Arc<A>) {
    let shared = Arc::clone(&incoming.shared);
    let _counted = Counted(shared);
    let lifecycle = Arc::clone(incoming.registration.lifecycle());
    let mut exchange = pin!(exchange(incoming, app));
    let mut seen = None;
    let mut last_words = None;
    std::future::poll_fn(|cx| {
        // A task keeps its waker for life, but each new phase uses it up, and during a drain the last request does. Waking
        // the task polls all that is below, and so the stream notices too.
        if seen >= Some(Phase::Draining) {
            lifecycle.watch(cx.waker());
        }
        while seen != Some(lifecycle.phase()) {
            seen = Some(lifecycle.phase());
            lifecycle.watch(cx.waker());
        }
        if clock::turn(|| exchange.as_mut().poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        if seen == Some(Phase::Cut) {
            let last_words = last_words.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_WORDS)));
            return last_words.as_mut().poll(cx);
        }
        Poll::Pending
    })
    .await;
}

/// A connection in the count that the cap looks at.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify_one();
    }
}

async fn exchange<A: Application>(incoming: Incoming, app: Arc<A>) {
    let Incoming { mut tcp, fd, peer, local, tls, registration, shared } = incoming;
    let settings = Arc::clone(&shared.tls.snapshot().settings);
    let rejected = |reason| shared.observer.observe(Event::Rejected { peer, reason });

    let proxied = match proxied(&mut tcp, peer, &settings.proxy_protocol).await {
        Ok(proxied) => proxied,
        Err(HeaderError::Closed) => return,
        Err(HeaderError::Untrusted) => return rejected(Rejection::UntrustedProxy),
        Err(HeaderError::Malformed) => return rejected(Rejection::MalformedProxyHeader),
        Err(HeaderError::Timeout) => return rejected(Rejection::ProxyHeaderTimeout),
    };
    let Some(local) = local.or_else(|| tcp.local_addr().ok()) else { return };
    let client = proxied.source.unwrap_or(peer);
    let Ok(_seat) = shared.clients.seat(seats::network(client.ip())) else {
        return rejected(Rejection::TooManyFromClient);
    };

    let (transport, session) = if tls {
        // Apart: most connections need the place for something else, and all of them for longer.
        let shaken = Box::pin(handshake(tcp, peer, client.ip(), &registration, &settings, &shared)).await;
        let Some((transport, session)) = shaken else { return };
        (transport, Some(session))
    } else {
        (Transport::Tcp(tcp), None)
    };
    registration.lifecycle().enter(ConnectionState::Waiting);
    let connection = Arc::new(Connection {
        client,
        peer,
        local,
        destination: proxied.destination.unwrap_or(local),
        source: proxied.version,
        tls: session,
        settings,
        lifecycle: Arc::clone(registration.lifecycle()),
        sent: Mutex::default(),
    });
    let linger = connection.settings.limits.linger;
    let stream = Stream::new(transport, fd, connection, Arc::clone(&shared.observer));
    if let Some(parting) = app.serve(stream).await {
        parting.finish(linger).await;
    }
    // To here the connection has its place in all counts.
    drop(registration);
}

/// Reads the PROXY protocol header, if there is to be one.
async fn proxied(tcp: &mut TcpStream, peer: SocketAddr, options: &ProxyProtocol) -> Result<Proxied, HeaderError> {
    if !options.enabled {
        return Ok(Proxied { source: None, destination: None, version: AddressSource::Peer });
    }
    if !options.trusts(peer.ip()) {
        return Err(HeaderError::Untrusted);
    }
    timeout(options.timeout, proxy_protocol::read(tcp)).await.unwrap_or(Err(HeaderError::Timeout))
}

async fn handshake(
    mut tcp: TcpStream,
    peer: SocketAddr,
    client: IpAddr,
    registration: &Registration,
    settings: &Settings,
    shared: &Shared,
) -> Option<(Transport, TlsSession)> {
    let begun = Instant::now();
    let deadline = tokio::time::Instant::from_std(begun + settings.limits.handshake_timeout);
    let failed = |failure: HandshakeFailure<'_>| {
        // Never louder: whoever scans the network would fill the log.
        tracing::debug!(%peer, %failure, "TLS handshake failed");
        shared.observer.observe(Event::HandshakeFailed { peer, failure });
    };
    let shaken = timeout_at(deadline, async {
        let hello = Hello::read(&mut tcp, settings.passes_tls).await?;
        // What holds now, for all of the handshake but the certificate: the client may have taken its time.
        let snapshot = shared.tls.snapshot();
        let is_read = settings.passes_tls;
        let passthrough = is_read.then(|| Passthrough::of_name(&snapshot, hello.server_name().as_deref())).flatten();
        match passthrough {
            Some(passthrough) => Ok(Shaken::Passed(passthrough, tcp, hello.into_bytes())),
            None => TlsStream::accept(tcp, hello, &shared.tls, &snapshot).await.map(Shaken::Here),
        }
    });
    match shaken.await {
        Ok(Ok(Shaken::Here(stream))) => {
            let session = tls::session(&shared.tls, &stream);
            shared.observer.observe(Event::Handshake { duration: begun.elapsed(), resumed: session.resumed });
            Some((Transport::Tls(stream), session))
        }
        Ok(Ok(Shaken::Passed(passthrough, tcp, read))) => {
            let lifecycle = registration.lifecycle();
            lifecycle.upgraded(false);
            passthrough.serve(tcp, read, client, lifecycle).await;
            None
        }
        Ok(Err(error)) => {
            failed(HandshakeFailure::Failed(&error));
            None
        }
        Err(_) => {
            failed(HandshakeFailure::Timeout);
            None
        }
    }
}

/// What a handshake came to.
enum Shaken {
    /// TLS ends here.
    Here(Box<TlsStream>),
    /// It is passed on, with what was read before the rest.
    Passed(Passthrough, TcpStream, Vec<u8>),
}
