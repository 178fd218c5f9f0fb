//! The HTTP server behind the proxies: as cheap as it can be, for it shares a core with the load generator.
//!
//! It answers requests, whose bodies it reads and drops, over connections that stay open unless a request asks to close them,
//! and echoes the messages of WebSockets.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::answer::field;
use crate::websocket;

/// What the paths that are answered end in, and the length of each body.
pub(crate) const BODIES: &[(&str, usize)] = &[("/130B", 130), ("/64KiB", 64 << 10), ("/1MiB", 1 << 20)];

/// What is read at a time, and the longest request head.
const BUFFER: usize = 64 << 10;

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// What was read of requests that are not whole yet.
    input: Vec<u8>,
    /// How much of a request body is still to come, and the response to it.
    body: Option<(usize, usize)>,
    /// The response that is being written, and how much of it is.
    output: Option<(usize, usize)>,
    close: bool,
    /// Of a WebSocket: what is to be written.
    echo: Option<Vec<u8>>,
}

/// Serves until the process is ended.
pub(crate) fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    match run(listener)? {}
}

fn responses() -> Vec<Vec<u8>> {
    let response = |status: &str, length: usize| {
        let head = format!(
            "HTTP/1.1 {status}\r\nServer: origin\r\nX-Backend: origin\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        [head.into_bytes(), vec![b'a'; length]].concat()
    };
    BODIES.iter().map(|(_, length)| response("200 OK", *length)).chain([response("404 Not Found", 0)]).collect()
}

fn run(mut listener: TcpListener) -> Result<Infallible> {
    let responses = responses();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections = HashMap::new();
    let mut next = 0;
    loop {
        if let Err(error) = poll.poll(&mut events, None)
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    poll.registry().register(&mut stream, Token(next), Interest::READABLE | Interest::WRITABLE)?;
                    let connection =
                        Connection { stream, input: Vec::new(), body: None, output: None, close: false, echo: None };
                    connections.insert(next, connection);
                    next += 1;
                }
            } else if let Some(connection) = connections.get_mut(&event.token().0)
                && !connection.advance(&responses)
            {
                connections.remove(&event.token().0);
            }
        }
    }
}

impl Connection {
    /// Reads and answers until there is nothing more to do now. Returns whether the connection stays.
    fn advance(&mut self, responses: &[Vec<u8>]) -> bool {
        loop {
            if self.echo.is_some() {
                return self.echo().is_ok();
            }
            if let Some((index, written)) = self.output {
                match self.stream.write(&responses[index][written..]) {
                    Ok(count) if written + count == responses[index].len() => self.output = None,
                    Ok(count) => self.output = Some((index, written + count)),
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
                continue;
            }
            if self.close && self.body.is_none() {
                return false;
            }
            if let Some((left, response)) = self.body {
                let had = left.min(self.input.len());
                self.input.drain(..had);
                self.body = (left > had).then_some((left - had, response));
                if self.body.is_none() {
                    self.output = Some((response, 0));
                    continue;
                }
            } else if let Some(end) = self.input.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = &self.input[..end];
                if websocket::is_handshake(head) {
                    self.input.drain(..end + 4);
                    self.echo = Some(websocket::response());
                    continue;
                }
                self.body = Some((content_length(head), choose(head)));
                self.close = asks_to_close(head);
                self.input.drain(..end + 4);
                continue;
            }
            let mut buffer = [0; BUFFER];
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
            if self.body.is_none() && self.input.len() > BUFFER {
                return false;
            }
        }
    }
}

impl Connection {
    /// Echoes messages until there is nothing more to do now; an error is the end of the connection.
    fn echo(&mut self) -> Result<()> {
        let output = self.echo.get_or_insert_default();
        loop {
            while !output.is_empty() {
                match self.stream.write(output) {
                    Ok(count) => drop(output.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
            let mut buffer = [0; 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("it is closed"),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            websocket::echo(&mut self.input, output)?;
        }
    }
}

/// The index of the response to a request; the last one is 404.
fn choose(head: &[u8]) -> usize {
    let path = head.split(|b| matches!(b, b' ' | b'?')).nth(1).unwrap_or_default();
    BODIES.iter().position(|(known, _)| path.ends_with(known.as_bytes())).unwrap_or(BODIES.len())
}

fn asks_to_close(head: &[u8]) -> bool {
    field(head, b"connection:").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
}

/// The length of the request body. A proxy that sends it in chunks gets no answer in time, and so no number.
fn content_length(head: &[u8]) -> usize {
    let length = field(head, b"content-length:").and_then(|value| str::from_utf8(value).ok()?.parse().ok());
    length.unwrap_or_default()
}

/// The length of the body at a path.
pub(crate) fn body_length(path: &str) -> Option<usize> {
    BODIES.iter().find(|(known, _)| path.ends_with(known)).map(|(_, length)| *length)
}
