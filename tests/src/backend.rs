//! Echo backends: each one says who it is and what it got, and does what request headers ask of it.
//!
//! Steering headers, which reach it through the proxy:
//!
//! | header | effect |
//! |---|---|
//! | `X-Echo-Status: N` | answers with status N |
//! | `X-Echo-Delay: S` | waits S seconds before it answers |
//! | `X-Echo-Set: Name: v` | adds a response header; may be repeated |
//! | `X-Echo-Close: 1` | reads the request and closes without an answer |
//! | `X-Echo-Body: text` | answers this text instead of the JSON |
//! | `X-Echo-Size: N` | answers N bytes of `b` instead of the JSON |
//! | `X-Echo-Chunked: 1` | answers in chunks |
//! | `X-Echo-Trailer: Name: v` | answers in chunks and with this trailer |
//! | `X-Echo-Truncate: length` or `chunked` | breaks off in the middle of the body, framed so |
//! | `X-Echo-Reject: N` | answers with status N before it reads the body, and closes |
//!
//! A path that starts with `/ws` is upgraded to a WebSocket that echoes its messages; one that starts with `/raw`
//! upgrades to whatever is asked for and echoes bytes.

mod answer;
mod upgrade;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::PATIENCE;
use crate::address::pod;
use crate::certificate::Pair;
use crate::client::Stream;
use crate::message::{Message, Reader, body_framing};

/// A request that a backend got.
#[derive(Debug, Clone)]
pub struct Received {
    /// Name of the backend.
    pub backend: String,
    /// Number of the connection it came on, counted over all backends.
    pub connection: u64,
    /// Method.
    pub method: String,
    /// Request target, raw.
    pub target: String,
    /// Protocol version, as `HTTP/1.1`.
    pub version: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// Length of the body.
    pub body_length: usize,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Whether it came whole: false when the connection ended inside the body.
    pub complete: bool,
}

impl Received {
    /// The value of the first header field with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Requests in the order in which backends got them. Backends may share one.
#[derive(Debug, Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Received>>>);

impl Recording {
    /// All requests since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last request that any backend got.
    pub fn last(&self) -> Option<Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    fn push(&self, received: Received) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    }
}

/// A running backend. Dropping it stops it without grace.
#[derive(Debug)]
pub struct Backend {
    name: String,
    addr: SocketAddr,
    recording: Recording,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// How connections of a backend end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Serving,
    /// Every connection is reset at once.
    Killed,
}

#[derive(Debug)]
struct Shared {
    name: String,
    persona: Persona,
    life: watch::Sender<Life>,
    active: AtomicUsize,
    served: AtomicU64,
    delay_micros: AtomicU64,
    status: AtomicU16,
    records: AtomicBool,
    recording: Recording,
}

/// What a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persona {
    /// It echoes, and does what steering headers ask.
    #[default]
    Echo,
    /// It answers subrequests of authentication by their path: `/ok*` 200, `/none*` 204, `/redir*` 302, `/deny*` 401,
    /// `/forbid*` 403, `/err*` 500; `/tok*` 200 with the right credentials and 401 without. It sets a cookie unless
    /// `plain` is in the path.
    Auth,
    /// It is a backend for error pages: it answers with the status in `X-Code`.
    Errors,
    /// It gets copies of requests: it echoes, but never closes early.
    Mirror,
}

/// How to start a backend.
#[derive(Debug, Clone, Default)]
pub struct Start {
    persona: Persona,
    addr: Option<SocketAddr>,
    recording: Option<Recording>,
    quiet: bool,
    tls: Option<Pair>,
    delay: Duration,
}

impl Start {
    /// On this address rather than one of its own.
    #[must_use]
    pub fn addr(mut self, addr: SocketAddr) -> Self {
        self.addr = Some(addr);
        self
    }

    /// Recording into a shared recording.
    #[must_use]
    pub fn recording(mut self, recording: &Recording) -> Self {
        self.recording = Some(recording.clone());
        self
    }

    /// Recording nothing, for load.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Being something else than an echo.
    #[must_use]
    pub fn persona(mut self, persona: Persona) -> Self {
        self.persona = persona;
        self
    }

    /// Speaking TLS.
    #[must_use]
    pub fn tls(mut self, pair: Pair) -> Self {
        self.tls = Some(pair);
        self
    }

    /// Waiting this long before each answer.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When its address is taken.
    pub async fn start(self, name: &str) -> Backend {
        let listener = match self.addr {
            Some(addr) => bind(addr).await.unwrap_or_else(|e| panic!("backend {name} on {addr}: {e}")),
            None => loop {
                // Another run of the tests may have this address.
                if let Ok(listener) = TcpListener::bind(pod()).await {
                    break listener;
                }
            },
        };
        let addr = listener.local_addr().expect("a listener has an address");
        let recording = self.recording.unwrap_or_default();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            persona: self.persona,
            life: watch::Sender::new(Life::Serving),
            active: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            delay_micros: AtomicU64::new(u64::try_from(self.delay.as_micros()).unwrap_or(u64::MAX)),
            status: AtomicU16::new(200),
            records: AtomicBool::new(!self.quiet),
            recording: recording.clone(),
        });
        let acceptor = self.tls.map(|pair| acceptor(&pair));
        let accepting = tokio::spawn(accept(listener, acceptor, shared.clone()));
        Backend { name: name.to_owned(), addr, recording, shared, accepting }
    }
}

impl Backend {
    /// Starts a backend on an address of its own.
    pub async fn start(name: &str) -> Self {
        Start::default().start(name).await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it got.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// How many requests it has read and not answered.
    pub fn active(&self) -> usize {
        self.shared.active.load(Ordering::SeqCst)
    }

    /// How many requests it has answered.
    pub fn served(&self) -> u64 {
        self.shared.served.load(Ordering::SeqCst)
    }

    /// From now on answers with this status, unless a request asks for another.
    pub fn answer_with(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// From now on waits this long before each answer.
    pub fn delay(&self, delay: Duration) {
        self.shared.delay_micros.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Dies without notice: every connection is reset and nothing listens any more.
    pub fn kill(&self) {
        self.accepting.abort();
        self.shared.life.send_replace(Life::Killed);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Binds an address that an earlier test may just be leaving.
async fn bind(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let start = std::time::Instant::now();
    loop {
        match TcpListener::bind(addr).await {
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && start.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            bound => return bound,
        }
    }
}

fn acceptor(pair: &Pair) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(pair.chain(), pair.key()))
        .expect("a TLS configuration");
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    while let Ok((mut stream, _)) = listener.accept().await {
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        tokio::spawn(async move {
            // Fails only on a connection that is gone.
            let _ = stream.set_nodelay(true);
            let mut life = shared.life.subscribe();
            if let Some(acceptor) = acceptor {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, number, &shared, &mut life).await;
                }
            } else if serve(&mut stream, number, &shared, &mut life).await {
                // The close becomes a reset: what the peer sees when a pod is lost.
                let _ = stream.set_zero_linger();
            }
        });
    }
}

/// Serves a connection until it ends; true when the backend was killed meanwhile.
async fn serve(mut stream: impl Stream, number: u64, shared: &Arc<Shared>, life: &mut watch::Receiver<Life>) -> bool {
    if *life.borrow_and_update() == Life::Killed {
        return true;
    }
    let mut reader = Reader::default();
    loop {
        tokio::select! {
            _ = life.wait_for(|life| *life == Life::Killed) => return true,
            next = request(&mut stream, &mut reader, number, shared) => {
                if next == Next::End {
                    return false;
                }
            }
        }
    }
}

/// What to do with the connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Request,
    End,
}

/// Counts a request as active for as long as it is not answered, whatever way it ends.
struct Active<'a>(&'a Shared);

impl<'a> Active<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.active.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn request(stream: &mut impl Stream, reader: &mut Reader, number: u64, shared: &Arc<Shared>) -> Next {
    let Ok(mut message) = reader.head(stream).await else { return Next::End };
    let active = Active::new(shared);
    if let Some(status) = message.header("x-echo-reject") {
        // An answer before the body is read; what the client still sends is thrown away.
        let head = format!(
            "HTTP/1.1 {status} X\r\nX-Backend: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            shared.name
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = tokio::time::timeout(PATIENCE, tokio::io::copy(stream, &mut tokio::io::sink())).await;
        return Next::End;
    }
    if message.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        && stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err()
    {
        return Next::End;
    }
    let Ok(framing) = body_framing(&message) else { return Next::End };
    let complete = reader.body(stream, framing, &mut message).await.is_ok();
    let received = received(&message, complete, number, shared);
    if shared.records.load(Ordering::Relaxed) {
        shared.recording.push(received.clone());
    }
    if !complete {
        return Next::End;
    }
    if upgrade::is_asked(&message) {
        drop(active);
        upgrade::serve(stream, reader, &message, shared).await;
        return Next::End;
    }
    let delay = Duration::from_micros(shared.delay_micros.load(Ordering::Relaxed))
        + message
            .header("x-echo-delay")
            .and_then(|seconds| seconds.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs_f64);
    if !delay.is_zero() && shared.persona != Persona::Auth {
        tokio::time::sleep(delay).await;
    }
    if message.header("x-echo-close").is_some() && shared.persona == Persona::Echo {
        return Next::End;
    }
    let status = shared.status.load(Ordering::SeqCst);
    let answer = answer::answer(shared.persona, status, &message, &received);
    if stream.write_all(&answer.bytes).await.is_err() || stream.flush().await.is_err() {
        return Next::End;
    }
    shared.served.fetch_add(1, Ordering::SeqCst);
    drop(active);
    if answer.ends || message.closes() { Next::End } else { Next::Request }
}

fn received(message: &Message, complete: bool, number: u64, shared: &Shared) -> Received {
    let mut parts = message.start.splitn(3, ' ').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    Received {
        backend: shared.name.clone(),
        connection: number,
        method: part(),
        target: part(),
        version: part(),
        headers: message.headers.clone(),
        body_length: message.body.len(),
        trailers: message.trailers.clone(),
        complete,
    }
}
