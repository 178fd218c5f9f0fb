//! A load generator for WebSocket: one message at a time on each of many connections, as fast as they come back.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Outcome, Time};
use crate::site::Target;
use crate::websocket;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What there is to do.
#[derive(Debug)]
pub(crate) struct Echo {
    to: SocketAddr,
    host: String,
    connections: usize,
}

impl Echo {
    pub(crate) fn new(target: &Target<'_>, connections: usize) -> Result<Self> {
        ensure!(!target.request.tls, "messages are sent in the clear");
        Ok(Self { to: target.address, host: target.host.clone(), connections })
    }

    /// Sends for as long as it is told, and looks at every message that comes back. The first wrong one ends the load.
    pub(crate) fn run(&self, time: Time, begin: impl FnOnce()) -> Result<Outcome> {
        let (sent, expected) = (websocket::sent(), websocket::echoed());
        let mut poll = Poll::new()?;
        let mut connections = (0..self.connections)
            .map(|id| {
                let mut stream = TcpStream::from_std(self.open(&sent)?);
                poll.registry().register(&mut stream, Token(id), Interest::READABLE)?;
                Ok((stream, Vec::new()))
            })
            .collect::<Result<Vec<(TcpStream, Vec<u8>)>>>()?;
        let mut events = Events::with_capacity(1024);
        let start = Instant::now() + time.warm_up;
        let mut begin = Some(begin);
        let mut messages = 0;
        loop {
            let now = Instant::now();
            if now >= start + time.measured {
                return Ok(Outcome { requests: messages, ..Outcome::new(now - start) });
            }
            if now >= start
                && let Some(begin) = begin.take()
            {
                messages = 0;
                begin();
            }
            if let Err(error) = poll.poll(&mut events, Some(TIMEOUT))
                && error.kind() != ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            ensure!(!events.is_empty() || now.elapsed() < TIMEOUT, "no message comes back any more");
            for event in &events {
                let (stream, input) = &mut connections[event.token().0];
                messages += receive(stream, input, &expected, &sent)?;
            }
        }
    }

    /// A connection after its handshake, with a message under way.
    fn open(&self, sent: &[u8]) -> Result<std::net::TcpStream> {
        let mut stream = handshake(self.to, &self.host)?;
        stream.write_all(sent)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

/// Takes what has come back, and sends the next message when one is whole. Returns how many were.
fn receive(stream: &mut TcpStream, input: &mut Vec<u8>, expected: &[u8], sent: &[u8]) -> Result<u64> {
    let mut buffer = [0; 1024];
    let mut messages = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => ensure!(false, "a connection was closed"),
            Ok(count) => input.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(messages),
            Err(error) => return Err(error).context("a connection was lost"),
        }
        ensure!(expected.starts_with(input), "another message came back than was sent");
        if input.len() == expected.len() {
            input.clear();
            messages += 1;
            ensure!(stream.write(sent)? == sent.len(), "a message does not fit into an empty buffer");
        }
    }
}

fn handshake(to: SocketAddr, host: &str) -> Result<std::net::TcpStream> {
    let mut stream = std::net::TcpStream::connect_timeout(&to, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&websocket::request(host))?;
    let mut response = Vec::new();
    let mut buffer = [0; 1024];
    while !websocket::is_accepted(&response)? {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the connection was closed within the handshake");
        response.extend_from_slice(&buffer[..count]);
    }
    Ok(stream)
}

/// Sends a message by hand, and sees it come back. Returns its length.
pub(crate) fn ask(target: &Target<'_>) -> Result<u64> {
    let exchange = || -> Result<u64> {
        let mut stream = handshake(target.address, &target.host)?;
        stream.write_all(&websocket::sent())?;
        let mut echoed = websocket::echoed();
        let expected = echoed.clone();
        stream.read_exact(&mut echoed)?;
        ensure!(echoed == expected, "another message came back than was sent");
        Ok(echoed.len() as u64)
    };
    exchange().with_context(|| format!("WebSocket at {}", target.address))
}
