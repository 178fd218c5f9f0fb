//! HTTP/1.1 messages as bytes: a reader that hides nothing, for clients and backends alike.

use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncReadExt};

/// A message that was read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line, without its line end.
    pub start: String,
    /// Header fields in order, names as sent. Bytes above 127 are read as Latin-1.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from chunks.
    pub body: Vec<u8>,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// The value of the first header field with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of all header fields with this name.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The status of a response; 0 when the first line has none.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }

    /// The backend that answered: what backends say in `X-Backend`.
    pub fn backend(&self) -> Option<&str> {
        self.header("x-backend")
    }

    /// Whether the sender closes the connection behind this message.
    pub fn closes(&self) -> bool {
        let listed = |option: &str| {
            self.header("connection")
                .is_some_and(|value| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(option)))
        };
        listed("close") || (self.start.starts_with("HTTP/1.0") && !listed("keep-alive"))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("start", &Excerpt(self.start.as_bytes()))
            .field("headers", &Fields(&self.headers))
            .field("body", &Excerpt(&self.body))
            .field("trailers", &Fields(&self.trailers))
            .finish()
    }
}

/// Text for a failed assertion: its beginning, and its length when that is not all. Bodies of tests have megabytes.
pub struct Excerpt<'a>(pub &'a [u8]);

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 400;
        if self.0.len() <= SHOWN {
            return write!(f, "{:?}", String::from_utf8_lossy(self.0));
        }
        write!(f, "{:?}… of {} bytes", String::from_utf8_lossy(&self.0[..SHOWN]), self.0.len())
    }
}

/// Header fields for a failed assertion.
pub(crate) struct Fields<'a>(pub(crate) &'a [(String, String)]);

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.iter().map(|(name, value)| (Excerpt(name.as_bytes()), Excerpt(value.as_bytes())));
        f.debug_map().entries(fields).finish()
    }
}

/// How a message ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A clean end of the stream before the first byte.
    Closed,
    /// A clean end of the stream inside the message.
    Truncated,
    /// The connection was reset.
    Reset,
    /// The bytes are no HTTP/1.1 message.
    Malformed,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed without an answer",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::Malformed => "malformed",
        })
    }
}

impl std::error::Error for Broken {}

/// How the body of a message is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`
    Length(usize),
    /// `Transfer-Encoding: chunked`
    Chunked,
    /// Until the end of the stream.
    UntilClose,
}

/// Reads messages from a stream, one after the other.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Bytes that were read but belong to no message yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Whether bytes are waiting that no message has taken.
    pub fn has_rest(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Reads a first line and header fields.
    pub async fn head(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Message, Broken> {
        let mut searched = 0;
        let end = loop {
            if let Some(at) = find(&self.buffer[searched..], b"\r\n\r\n") {
                break searched + at;
            }
            searched = self.buffer.len().saturating_sub(3);
            self.fill(stream).await?;
        };
        let head: String = self.buffer[..end].iter().map(|byte| char::from(*byte)).collect();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Message { start, headers, ..Message::default() })
    }

    /// Reads the body, and trailers, of `message`.
    pub async fn body(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        framing: Framing,
        message: &mut Message,
    ) -> Result<(), Broken> {
        match framing {
            Framing::None => Ok(()),
            Framing::Length(length) => self.exactly(stream, length, message).await,
            Framing::Chunked => self.chunks(stream, message).await,
            Framing::UntilClose => loop {
                message.body.append(&mut self.buffer);
                match self.fill(stream).await {
                    Ok(()) => {}
                    Err(Broken::Closed | Broken::Truncated) => return Ok(()),
                    Err(broken) => return Err(broken),
                }
            },
        }
    }

    /// Reads a whole response to a request of `method`. Interim responses (1xx but 101) are skipped and counted in
    /// `interim`.
    pub async fn response(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        method: &str,
        interim: &mut usize,
    ) -> Result<Message, Broken> {
        loop {
            let mut message = self.head(stream).await?;
            let status = message.status();
            if (100..200).contains(&status) && status != 101 {
                *interim += 1;
                continue;
            }
            let framing = response_framing(&message, method)?;
            self.body(stream, framing, &mut message).await?;
            return Ok(message);
        }
    }

    async fn exactly(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        length: usize,
        message: &mut Message,
    ) -> Result<(), Broken> {
        while self.buffer.len() < length {
            self.fill(stream).await.map_err(inside)?;
        }
        message.body.extend(self.buffer.drain(..length));
        Ok(())
    }

    async fn chunks(&mut self, stream: &mut (impl AsyncRead + Unpin), message: &mut Message) -> Result<(), Broken> {
        loop {
            let line = self.line(stream).await?;
            let digits = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).map_err(|_| Broken::Malformed)?;
            if size == 0 {
                break;
            }
            self.exactly(stream, size, message).await?;
            if !self.line(stream).await?.is_empty() {
                return Err(Broken::Malformed);
            }
        }
        loop {
            let line = self.line(stream).await?;
            if line.is_empty() {
                return Ok(());
            }
            message.trailers.push(field(&line)?);
        }
    }

    async fn line(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<String, Broken> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.buffer[..at].iter().map(|byte| char::from(*byte)).collect();
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            self.fill(stream).await.map_err(inside)?;
        }
    }

    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<(), Broken> {
        self.buffer.reserve(16 * 1024);
        match stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(if self.buffer.is_empty() { Broken::Closed } else { Broken::Truncated }),
            Ok(_) => Ok(()),
            // A TLS stream that ends without close_notify, or with a reset below it.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(if self.buffer.is_empty() { Broken::Closed } else { Broken::Truncated })
            }
            Err(_) => Err(Broken::Reset),
        }
    }
}

/// How the body of a response to `method` is delimited (RFC 9112 section 6.3).
fn response_framing(message: &Message, method: &str) -> Result<Framing, Broken> {
    if method == "HEAD" || matches!(message.status(), 101 | 204 | 304) {
        return Ok(Framing::None);
    }
    match body_framing(message)? {
        Framing::None if message.header("content-length").is_none() => Ok(Framing::UntilClose),
        framing => Ok(framing),
    }
}

/// How a body is delimited by `Transfer-Encoding` and `Content-Length`; [`Framing::None`] without both.
pub fn body_framing(message: &Message) -> Result<Framing, Broken> {
    if message.header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked")) {
        return Ok(Framing::Chunked);
    }
    match message.header("content-length") {
        Some("0") | None => Ok(Framing::None),
        Some(length) => length.parse().map(Framing::Length).map_err(|_| Broken::Malformed),
    }
}

fn inside(broken: Broken) -> Broken {
    if broken == Broken::Closed { Broken::Truncated } else { broken }
}

fn field(line: &str) -> Result<(String, String), Broken> {
    let (name, value) = line.split_once(':').ok_or(Broken::Malformed)?;
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
