//! What the tests of the connection layer share: a small HTTP application behind real listeners, and clients.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use edgeward_routing::certificate::{Certificate, CertificateTable, KeyFormat, PrivateKey};
use edgeward_routing::publish::Publisher;
use edgeward_routing::settings::{ClientLimits, ProxyProtocol, Settings, TlsSettings};
use edgeward_routing::snapshot::Snapshot;
use pingora::apps::ServerApp;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{HttpProxy, ProxyHttp, Session};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::connection::Connection;
use crate::limits::{h2_options, server_options};
use crate::listener::{Application, Event, ListenerOptions, Observer, Refused, Running, start};
use crate::stream::{Parting, Stream};

/// Longest time a test waits for something that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Answers by path: `/connection` describes the connection, `/echo` counts the body, `/slow/N` takes N milliseconds,
/// `/large` sends 32 MiB, `/cut` sends half a body, `/unread` answers without reading the body, `/ws` is proxied to an upgrade-happy server.
pub(crate) struct App {
    upstream: SocketAddr,
}

#[derive(Default)]
pub(crate) struct Context {
    connection: Option<Arc<Connection>>,
}

#[async_trait]
impl ProxyHttp for App {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::default()
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Context) -> pingora::Result<()> {
        let connection = Connection::of(session).expect("every session has its connection");
        connection.head_received();
        if connection.settings.limits.is_used_up(connection.requests_taken()) {
            session.set_keepalive(None);
        }
        ctx.connection = Some(connection);
        session.set_read_timeout(None);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> pingora::Result<bool> {
        let path = session.req_header().uri.path().to_owned();
        let connection = ctx.connection.clone().unwrap();
        let body = match path.as_str() {
            "/ws" => return Ok(false),
            "/connection" => {
                Bytes::from(format!("{} {:?} {:?}", connection.client_addr(), connection.source, connection.tls))
            }
            "/large" => Bytes::from(vec![b'x'; 32 << 20]),
            "/cut" => {
                session.write_response_header(Box::new(ResponseHeader::build(200, None)?), false).await?;
                session.write_response_body(Some(Bytes::from_static(b"half")), false).await?;
                connection.cut_short();
                return Err(pingora::Error::new(pingora::ErrorType::ReadError));
            }
            "/unread" => Bytes::from_static(b"unread"),
            _ => {
                if let Some(millis) = path.strip_prefix("/slow/") {
                    tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
                }
                let mut length = 0;
                while let Some(piece) = session.read_request_body().await? {
                    length += piece.len();
                }
                Bytes::from(format!("{} {path} {length}", session.req_header().method))
            }
        };
        let mut head = ResponseHeader::build(200, None)?;
        head.insert_header("content-length", body.len())?;
        if connection.is_draining() {
            session.set_keepalive(None);
        }
        session.write_response_header(Box::new(head), false).await?;
        session.write_response_body(Some(body), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, session: &mut Session, _ctx: &mut Context) -> pingora::Result<Box<HttpPeer>> {
        let _: &RequestHeader = session.req_header();
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        if response.status == 101 {
            ctx.connection.as_ref().unwrap().upgraded(true);
        }
        Ok(())
    }

    async fn logging(&self, _session: &mut Session, _error: Option<&pingora::Error>, ctx: &mut Context) {
        ctx.connection.as_ref().unwrap().request_done();
    }
}

impl Application for HttpProxy<App> {
    async fn serve(self: Arc<Self>, mut stream: Stream) -> Option<Parting> {
        let (left, shutdown) = (stream.left(), stream.connection().shutdown());
        self.process_new(Box::new(stream), &shutdown).await;
        left.await.ok()
    }
}

/// Keeps what it is told as text.
#[derive(Default)]
pub(crate) struct Events(Mutex<Vec<String>>);

impl Observer for Events {
    fn observe(&self, event: Event<'_>) {
        let text = match event {
            Event::BadRequest(Refused { refusal, .. }) => format!("BadRequest {} {}", refusal.status, refusal.reason),
            Event::Rejected { reason, .. } => format!("Rejected {}", reason.as_str()),
            Event::SlowReader { .. } => "SlowReader".to_owned(),
            Event::TooManyCancels { .. } => "TooManyCancels".to_owned(),
            Event::HandshakeFailed { failure, .. } => format!("HandshakeFailed {failure}"),
            Event::Handshake { resumed, .. } => format!("Handshake resumed={resumed}"),
            Event::Accepted { .. } | Event::AcceptFailed(_) => return,
        };
        self.0.lock().unwrap().push(text);
    }
}

impl Events {
    /// Waits until some event contains `text`.
    pub(crate) async fn saw(&self, text: &str) {
        let seen = || self.0.lock().unwrap().iter().any(|event| event.contains(text));
        eventually(seen).await.unwrap_or_else(|()| panic!("no `{text}` in {:?}", self.0.lock().unwrap()));
    }

    /// What happened so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(condition: impl Fn() -> bool) -> Result<(), ()> {
    for _ in 0..1000 {
        if condition() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(())
}

/// What a test may ask for.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) listener: ListenerOptions,
    pub(crate) limits: ClientLimits,
    pub(crate) tls: TlsSettings,
    pub(crate) proxy_protocol: ProxyProtocol,
}

/// Listeners on free ports of the loopback interface, with [`App`] behind them.
pub(crate) struct Fixture {
    pub(crate) running: Running,
    pub(crate) events: Arc<Events>,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) publisher: Publisher,
}

impl Fixture {
    /// Starts with a certificate for `localhost` as the default.
    pub(crate) async fn start(adjust: impl FnOnce(&mut Options)) -> Self {
        let default = Some(certificate(&["localhost"]));
        Self::with_certificates(CertificateTable { default, ..Default::default() }, adjust).await
    }

    pub(crate) async fn with_certificates(certificates: CertificateTable, adjust: impl FnOnce(&mut Options)) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Options::default();
        options.listener.http = vec![any];
        options.listener.https = vec![any];
        options.listener.workers = 2;
        adjust(&mut options);
        let Options { listener, limits, tls, proxy_protocol } = options;
        let mut snapshot = Snapshot::empty(Settings { limits, tls, proxy_protocol, ..Settings::default() });
        snapshot.certificates = Arc::new(certificates);
        let settings = Arc::clone(&snapshot.settings);
        let publisher = Publisher::new(snapshot);
        let upstream = upgrading_server().await;
        let app = move |_worker| {
            let mut proxy = HttpProxy::new(App { upstream }, Arc::new(ServerConf::default()));
            proxy.handle_init_modules();
            proxy.server_options = Some(server_options());
            proxy.h2_options = Some(h2_options(&settings.limits));
            proxy
        };
        let events = Arc::new(Events::default());
        let running = start(listener, publisher.reader(), app, Arc::clone(&events) as Arc<dyn Observer>).unwrap();
        let (http, https) = (running.http_addrs()[0], running.https_addrs()[0]);
        Self { running, events, http, https, publisher }
    }

    /// A plain-text client.
    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.http).await.unwrap())
    }

    /// Waits until no connection is left.
    pub(crate) async fn is_empty(&self) {
        let empty = eventually(|| self.running.connections().total == 0).await;
        assert!(empty.is_ok(), "{:?}", self.running.connections());
    }
}

/// An upstream that upgrades to WebSocket, greets with the text frame `hi`, and sends back what it gets.
async fn upgrading_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tcp.read_u8().await?);
                }
                let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                tcp.write_all(answer.as_bytes()).await?;
                tcp.write_all(b"\x81\x02hi").await?;
                let (mut read, mut write) = tcp.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    address
}

/// A self-signed certificate.
pub(crate) fn certificate(names: &[&str]) -> Arc<Certificate> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let der = rcgen::CertificateParams::new(names.clone()).unwrap().self_signed(&key).unwrap().der().to_vec();
    Arc::new(Certificate {
        fingerprint: [0; 32],
        chain: vec![der.into()],
        key: PrivateKey { der: key.serialize_der().into(), format: KeyFormat::Pkcs8 },
        subject: String::new(),
        hosts: names.iter().map(|name| name.parse().unwrap()).collect(),
        names,
        not_before: 0,
        not_after: i64::MAX,
        serial: String::new(),
        origin: None,
        parsed: Default::default(),
    })
}

/// Trusts every certificate: the tests look at which one came.
#[derive(Debug)]
struct TrustAll;

impl rustls::client::danger::ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client's TLS configuration that offers the given application protocols.
pub(crate) fn tls_client(
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    tls_client_with(rustls::crypto::aws_lc_rs::default_provider(), alpn, versions)
}

/// The same, with this cryptography.
pub(crate) fn tls_client_with(
    provider: rustls::crypto::CryptoProvider,
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// Connects with TLS.
pub(crate) async fn tls_connect(
    address: SocketAddr,
    server_name: &str,
    config: impl Into<Arc<rustls::ClientConfig>>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(server_name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(config.into()).connect(name, tcp).await
}

/// An HTTP/1 client that sends the bytes it is told to.
pub(crate) struct Client<S> {
    pub(crate) io: S,
    read: Vec<u8>,
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        self.response().await
    }

    pub(crate) async fn response(&mut self) -> Response {
        self.try_response().await.expect("a response")
    }

    /// The next response with a `Content-Length`, or the error that came instead.
    pub(crate) async fn try_response(&mut self) -> std::io::Result<Response> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.unwrap_or(0);
        while self.read.len() < length {
            self.more().await?;
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Ok(Response { status, head, body })
    }

    async fn more(&mut self) -> std::io::Result<()> {
        let mut space = vec![0; 64 << 10];
        let read = tokio::time::timeout(PATIENCE, self.io.read(&mut space)).await;
        match read.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.read.extend_from_slice(&space[..n]);
                Ok(())
            }
        }
    }

    /// The next `length` bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            self.more().await.unwrap();
        }
        self.read.drain(..length).collect()
    }

    /// All that comes until the other side closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.more().await {
                Ok(()) => {}
                Err(error) => {
                    assert_ne!(error.kind(), std::io::ErrorKind::TimedOut, "not closed");
                    return std::mem::take(&mut self.read);
                }
            }
        }
    }
}

/// The body of the answer to a GET over HTTP/2.
pub(crate) async fn h2_get(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, path: &str) -> String {
    let (mut requests, connection) = h2::client::handshake(io).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get(format!("https://localhost{path}")).body(()).unwrap();
    let (response, _) = requests.send_request(request, true).unwrap();
    let body = h2_body(response.await.unwrap().into_body()).await;
    drop(requests);
    driver.abort();
    body
}

/// All of an HTTP/2 body.
pub(crate) async fn h2_body(mut body: h2::RecvStream) -> String {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        let _ = body.flow_control().release_capacity(piece.len());
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).unwrap()
}
