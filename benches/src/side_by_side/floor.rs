//! The floor: forwards bytes between two TCP connections and looks at none of them. What it costs is what the kernel
//! takes for the connections of a proxy in user space; nothing that parses can be cheaper without splicing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// Bytes that are read at a time: a whole 64 KiB response.
const BUFFER: usize = 65 << 10;

const LISTENER: Token = Token(usize::MAX);

/// Two connections, and for each the bytes that its peer could not take yet.
struct Pair {
    ends: [TcpStream; 2],
    /// `waiting[i]` is to be written to `ends[i]`.
    waiting: [Vec<u8>; 2],
}

/// Forwards until the process is ended.
pub(crate) fn serve(listen: SocketAddr, to: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    match run(listener, to)? {}
}

fn run(mut listener: TcpListener, to: SocketAddr) -> Result<Infallible> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut buffer = vec![0; BUFFER];
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut pairs: HashMap<usize, Pair> = HashMap::new();
    let mut next = 0;
    loop {
        if let Err(error) = poll.poll(&mut events, None)
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((downstream, _)) = listener.accept() {
                    let mut pair =
                        Pair { ends: [downstream, TcpStream::connect(to)?], waiting: [Vec::new(), Vec::new()] };
                    for (side, end) in pair.ends.iter_mut().enumerate() {
                        end.set_nodelay(true)?;
                        let token = Token(next * 2 + side);
                        poll.registry().register(end, token, Interest::READABLE | Interest::WRITABLE)?;
                    }
                    pairs.insert(next, pair);
                    next += 1;
                }
                continue;
            }
            let (id, side) = (event.token().0 / 2, event.token().0 % 2);
            let Some(pair) = pairs.get_mut(&id) else { continue };
            // Readiness is told once, on its edge. So what is ready on one side is read when the other can take it too,
            // which is when either side has an event.
            let mut alive = true;
            if event.is_writable() && !pair.waiting[side].is_empty() {
                alive = pair.flush(side) && pair.forward(1 - side, &mut buffer);
            }
            if alive && event.is_readable() {
                alive = pair.forward(side, &mut buffer);
            }
            if !alive {
                pairs.remove(&id);
            }
        }
    }
}

impl Pair {
    /// Forwards what can be read from a side. Returns whether the pair lives on.
    fn forward(&mut self, from: usize, buffer: &mut [u8]) -> bool {
        let to = 1 - from;
        while self.waiting[to].is_empty() {
            let count = match self.ends[from].read(buffer) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            };
            match self.ends[to].write(&buffer[..count]) {
                Ok(written) => self.waiting[to].extend_from_slice(&buffer[written..count]),
                // The connection to the origin is still being opened, or its buffer is full.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    self.waiting[to].extend_from_slice(&buffer[..count]);
                }
                Err(_) => return false,
            }
            // A stream that gave less than was asked for is drained, and will tell when there is more (epoll(7)).
            if count < buffer.len() {
                return true;
            }
        }
        true
    }

    /// Writes what waits for a side. Returns whether the pair lives on.
    fn flush(&mut self, side: usize) -> bool {
        while !self.waiting[side].is_empty() {
            match self.ends[side].write(&self.waiting[side]) {
                Ok(written) => {
                    self.waiting[side].drain(..written);
                }
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}
