//! An HTTP/1.1 client that sends exactly the bytes it is given.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::message::{Broken, Excerpt, Fields, Message, Reader};
use crate::tls::{Hello, describe, peer_certificate};

/// A byte stream, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    reader: Reader,
    certificate: Option<CertificateDer<'static>>,
    resumed: bool,
    alpn: Option<Vec<u8>>,
    interim: usize,
    local: SocketAddr,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.local)
    }
}

/// Opens a TCP connection, from a source address if one is given.
pub async fn connect(addr: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = timeout(PATIENCE, socket.connect(addr))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    /// Opens a plain connection.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub async fn open(addr: SocketAddr) -> Self {
        Self::over(connect(addr, None).await.unwrap_or_else(|e| panic!("cannot connect to {addr}: {e}")))
    }

    /// Opens a TLS connection.
    ///
    /// # Panics
    ///
    /// When it is refused, or the handshake fails.
    pub async fn open_tls(addr: SocketAddr, hello: &Hello) -> Self {
        let stream = connect(addr, None).await.unwrap_or_else(|e| panic!("cannot connect to {addr}: {e}"));
        Self::handshake(stream, hello).await.unwrap_or_else(|e| panic!("TLS handshake of {hello:?}: {e}"))
    }

    /// A plain connection over an open stream.
    pub fn over(stream: TcpStream) -> Self {
        let local = local_address(&stream);
        Self {
            stream: Box::new(stream),
            reader: Reader::default(),
            certificate: None,
            resumed: false,
            alpn: None,
            interim: 0,
            local,
        }
    }

    /// A TLS connection over an open stream.
    pub async fn handshake(stream: TcpStream, hello: &Hello) -> std::io::Result<Self> {
        let local = local_address(&stream);
        let stream = timeout(PATIENCE, hello.connect(stream))
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        let (_, tls) = stream.get_ref();
        let resumed = tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        let alpn = tls.alpn_protocol().map(<[u8]>::to_vec);
        let certificate = Some(peer_certificate(&stream));
        Ok(Self { stream: Box::new(stream), reader: Reader::default(), certificate, resumed, alpn, interim: 0, local })
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    ///
    /// When they cannot be sent.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(bytes).await.expect("the connection takes the bytes");
    }

    /// Ends the sending side.
    pub async fn finish(&mut self) {
        // The other side may have gone already, which is what some tests look for.
        let _ = self.stream.shutdown().await;
    }

    /// Reads the response to a request of `method`.
    pub async fn read_response(&mut self, method: &str) -> Result<Message, Broken> {
        timeout(3 * PATIENCE, self.reader.response(&mut self.stream, method, &mut self.interim))
            .await
            .unwrap_or_else(|_| panic!("no answer within {:?}", 3 * PATIENCE))
    }

    /// Reads the response to a request of `method`.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn response(&mut self, method: &str) -> Message {
        self.read_response(method).await.unwrap_or_else(|broken| panic!("no whole answer to {method}: {broken}"))
    }

    /// Reads only the head of a response.
    pub async fn response_head(&mut self) -> Result<Message, Broken> {
        timeout(PATIENCE, self.reader.head(&mut self.stream)).await.unwrap_or(Err(Broken::Truncated))
    }

    /// Sends a request and reads the response, which may come before the whole request is sent.
    pub async fn try_exchange(&mut self, request: &Request) -> Result<Message, Broken> {
        let bytes = request.bytes();
        let (mut incoming, mut outgoing) = tokio::io::split(&mut self.stream);
        let sending = async {
            // What became of the request shows in the answer.
            let _ = outgoing.write_all(&bytes).await;
            let _ = outgoing.flush().await;
            std::future::pending::<()>().await;
        };
        let receiving = self.reader.response(&mut incoming, &request.method, &mut self.interim);
        tokio::select! {
            answer = timeout(3 * PATIENCE, receiving) => answer.unwrap_or(Err(Broken::Truncated)),
            () = sending => Err(Broken::Truncated),
        }
    }

    /// Sends a request and reads the response.
    ///
    /// # Panics
    ///
    /// When there is no whole answer.
    pub async fn exchange(&mut self, request: &Request) -> Message {
        self.try_exchange(request).await.unwrap_or_else(|broken| panic!("no whole answer to {request:?}: {broken}"))
    }

    /// Reads at least one byte, or the end of the stream (an empty answer).
    pub async fn read_some(&mut self) -> std::io::Result<Vec<u8>> {
        if self.reader.has_rest() {
            return Ok(self.reader.take_rest());
        }
        let mut bytes = vec![0; 16 * 1024];
        let count = timeout(PATIENCE, self.stream.read(&mut bytes))
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Whether the other side closes, cleanly or not, within `patience` without sending anything more.
    pub async fn is_closed_within(&mut self, patience: Duration) -> bool {
        if self.reader.has_rest() {
            return false;
        }
        let mut byte = [0];
        match timeout(patience, self.stream.read(&mut byte)).await {
            Ok(Ok(count)) => count == 0,
            Ok(Err(_)) => true,
            Err(_) => false,
        }
    }

    /// Subject and DNS names of the certificate that the server showed.
    ///
    /// # Panics
    ///
    /// On a plain connection.
    pub fn certificate(&self) -> (String, Vec<String>) {
        describe(self.certificate_der())
    }

    /// The certificate that the server showed.
    ///
    /// # Panics
    ///
    /// On a plain connection.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        self.certificate.as_ref().expect("a TLS connection")
    }

    /// Whether the TLS session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The protocol that ALPN settled on.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// How many interim responses (`100 Continue`) were skipped.
    pub fn interim(&self) -> usize {
        self.interim
    }

    /// This side's address.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The stream below, for what is not HTTP/1.1.
    pub fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }
}

fn local_address(stream: &TcpStream) -> SocketAddr {
    stream.local_addr().expect("an open connection has an address")
}

/// A request being written. Only what is asked for is sent.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunked: bool,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = format!("{} {} {}", self.method, self.target, self.version);
        f.debug_struct("Request")
            .field("line", &Excerpt(line.as_bytes()))
            .field("headers", &Fields(&self.headers))
            .field("body", &Excerpt(&self.body))
            .field("chunked", &self.chunked)
            .finish()
    }
}

impl Request {
    /// A request with a `Host` header and nothing else.
    pub fn new(method: &str, host: &str, target: &str) -> Self {
        Self::hostless(method, target).header("Host", host)
    }

    /// A request without a `Host` header.
    pub fn hostless(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            chunked: false,
        }
    }

    /// GET.
    pub fn get(host: &str, target: &str) -> Self {
        Self::new("GET", host, target)
    }

    /// POST with a body.
    pub fn post(host: &str, target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", host, target).body(body)
    }

    /// With the protocol version `1.0`, `1.1`, ….
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = format!("HTTP/{version}");
        self
    }

    /// With a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body, and its `Content-Length` unless it is chunked.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With the body in chunks.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Its target.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The bytes on the wire. Characters up to U+00FF are one byte each.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        if self.chunked {
            for chunk in self.body.chunks(1024) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }

    /// The bytes up to the body.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if !self.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
    }
}

/// Sends a request on a plain connection of its own.
///
/// # Panics
///
/// When there is no whole answer.
pub async fn send(addr: SocketAddr, request: &Request) -> Message {
    Connection::open(addr).await.exchange(request).await
}

/// GET on a plain connection of its own.
///
/// # Panics
///
/// When there is no whole answer.
pub async fn get(addr: SocketAddr, host: &str, target: &str) -> Message {
    send(addr, &Request::get(host, target)).await
}

/// A client that keeps its connection for as long as the server does: it opens another when it is told to.
#[derive(Debug)]
pub struct Keeper {
    addr: SocketAddr,
    open: Option<Connection>,
}

impl Keeper {
    /// A client of this address.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, open: None }
    }

    /// Sends a request and reads the response.
    ///
    /// # Panics
    ///
    /// When there is no whole answer.
    pub async fn exchange(&mut self, request: &Request) -> Message {
        let connection = match &mut self.open {
            Some(connection) => connection,
            None => self.open.insert(Connection::open(self.addr).await),
        };
        let answer = connection.exchange(request).await;
        if answer.closes() {
            self.open = None;
        }
        answer
    }
}

/// Asks again and again until the answer is as wanted, and says how long that took.
///
/// # Panics
///
/// When it does not become so within [`PATIENCE`]; it shows the last answer.
pub async fn wait_for(addr: SocketAddr, request: &Request, wanted: impl Fn(&Message) -> bool) -> Duration {
    let start = std::time::Instant::now();
    loop {
        let answer = send(addr, request).await;
        if wanted(&answer) {
            return start.elapsed();
        }
        assert!(start.elapsed() < PATIENCE, "{request:?} still gets {answer:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
