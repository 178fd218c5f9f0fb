//! A TCP connection with TLS on it, from the handshake to the close.
//!
//! What TLS has to say for itself waits for data that it can go out with: session tickets leave in one packet with the first
//! response, and the end of TLS in one with the end of TCP. Each packet costs as much as a few keys.

use std::io::{self, BufRead, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use edgeward_routing::Snapshot;
use edgeward_routing::policy::ClientAuthority;
use rustls::server::{Accepted, Acceptor, ServerConnection};
use tokio::io::{AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::ServerConfigs;
use super::records::Records;
use crate::socket;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct TlsStream {
    tcp: TcpStream,
    session: ServerConnection,
    /// In whose name the client was asked for a certificate.
    asked: Option<Arc<ClientAuthority>>,
    records: Records,
    /// What the next read says: it came behind bytes that were read.
    failed: Option<io::Error>,
    /// What is sent waits for the end of TCP.
    held: bool,
    /// The end of TLS has been said, or waits for what is before it.
    closing: bool,
}

impl TlsStream {
    /// Shakes hands. Tickets, and in TLS 1.2 the last message, may be left for the first write, or for a read that finds
    /// nothing.
    ///
    /// # Errors
    ///
    /// The two sides do not come to terms, which the client is told by an alert, or the client is gone.
    pub(crate) async fn accept(
        mut tcp: TcpStream,
        hello: Hello,
        configs: &ServerConfigs,
        snapshot: &Snapshot,
    ) -> io::Result<Box<Self>> {
        let of_name = configs.of_name(snapshot, hello.server_name().as_deref());
        let (config, asked) = of_name.ok_or_else(|| io::Error::other("TLS cannot be set up"))?;
        let session = match hello.accepted.into_connection(config) {
            Ok(session) => session,
            Err((error, mut alert)) => {
                std::future::poll_fn(|cx| Poll::Ready(alert.write_all(&mut Wire { tcp: &mut tcp, cx }))).await.ok();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        };
        let records = Records::default();
        let mut stream = Box::new(Self { tcp, session, asked, records, failed: None, held: false, closing: false });
        std::future::poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    /// The TCP connection.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// What the handshake agreed on.
    pub(crate) fn session(&self) -> &ServerConnection {
        &self.session
    }

    /// In whose name the client was asked for a certificate.
    pub(crate) fn asked(&self) -> Option<&ClientAuthority> {
        self.asked.as_deref()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.poll_flush(cx))?;
            if ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof")));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads as much as there is, and nothing at the end of TLS. An end of TCP before that is an error.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.poll_read_silently(cx, out);
        if read.is_pending() {
            // Nothing comes for now that the answer to could take along what is left to say.
            ready!(self.poll_flush(cx))?;
        }
        read
    }

    /// [Reads](Self::poll_read) while an answer is under way, which takes along what is left to say.
    pub(crate) fn poll_read_silently(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let before = out.filled().len();
        let has_read = |out: &ReadBuf<'_>| out.filled().len() > before;
        while out.remaining() > 0 {
            let mut reader = self.session.reader();
            let error = match reader.fill_buf() {
                Ok([]) => break,
                Ok(plain) => {
                    let taken = plain.len().min(out.remaining());
                    out.put_slice(&plain[..taken]);
                    reader.consume(taken);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.poll_receive(cx) {
                    // An end of TCP is the reader's to judge.
                    Poll::Ready(Ok(_)) => continue,
                    Poll::Ready(Err(error)) => error,
                    Poll::Pending if has_read(out) => break,
                    Poll::Pending => return Poll::Pending,
                },
                Err(error) => error,
            };
            if !has_read(out) {
                return Poll::Ready(Err(error));
            }
            self.failed = Some(error);
            break;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once from TCP. Returns how much, 0 at its end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = match self.session.read_tls(&mut Wire { tcp: &mut self.tcp, cx }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            read => read?,
        };
        if let Err(error) = self.session.process_new_packets() {
            // The alert that says why. If it does not go out at once, it does not matter enough to wait.
            let _ = self.poll_flush(cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(read))
    }

    /// Writes some of `bufs`, as far as there is room for it; what does not go out at once needs a
    /// [flush](Self::poll_flush).
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        loop {
            let taken = self.records.write(&mut self.session, bufs)?;
            if self.held && taken == length {
                self.say_end();
            }
            let flushed = self.poll_flush(cx)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            ready!(flushed);
        }
    }

    /// From here on what is sent may wait for the end of the connection, which follows at once: that of TLS goes with the last
    /// of what is written.
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    fn say_end(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.session.send_close_notify();
        }
    }

    /// Sends what is left to send.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let sent = match self.held {
                true => self.session.write_tls(&mut Held { tcp: &self.tcp, cx }),
                false => self.session.write_tls(&mut Wire { tcp: &mut self.tcp, cx }),
            };
            match sent {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what is left to send, then the end of TLS together with that of TCP.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.hold();
        self.say_end();
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// The first message of a client.
pub(crate) struct Hello {
    accepted: Accepted,
    /// What was read, if it is kept.
    bytes: Vec<u8>,
}

impl Hello {
    /// Reads until it is whole. With `keeps` it can be passed on as it came.
    ///
    /// # Errors
    ///
    /// It is no TLS, which the client is told by an alert, or the client is gone.
    pub(crate) async fn read(tcp: &mut TcpStream, keeps: bool) -> io::Result<Self> {
        let mut acceptor = Acceptor::default();
        let mut bytes = Vec::new();
        let accepted =
            std::future::poll_fn(|cx| poll_hello(&mut acceptor, tcp, keeps.then_some(&mut bytes), cx)).await?;
        Ok(Self { accepted, bytes })
    }

    /// The name that the client asks for.
    pub(crate) fn server_name(&self) -> Option<String> {
        self.accepted.client_hello().server_name().map(str::to_owned)
    }

    /// All that was read of the connection, if it was to be kept.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn poll_hello(
    acceptor: &mut Acceptor,
    tcp: &mut TcpStream,
    mut kept: Option<&mut Vec<u8>>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Accepted>> {
    loop {
        match acceptor.accept() {
            Ok(Some(accepted)) => return Poll::Ready(Ok(accepted)),
            Ok(None) => {}
            Err((error, mut alert)) => {
                // If the alert does not go out at once, it does not matter enough to wait.
                let _ = alert.write_all(&mut Wire { tcp, cx });
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
        let read = match kept.as_deref_mut() {
            Some(kept) => acceptor.read_tls(&mut Kept { wire: Wire { tcp, cx }, kept }),
            None => acceptor.read_tls(&mut Wire { tcp, cx }),
        };
        match read {
            Ok(0) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof"))),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// TCP for a library that does not know of polls.
struct Wire<'a, 'b> {
    tcp: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl io::Read for Wire<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        or_would_block(socket::poll_recv(self.cx, self.tcp, out))
    }
}

impl io::Write for Wire<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(socket::poll_send(self.cx, self.tcp, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// TCP of which is kept what is read.
struct Kept<'a, 'b> {
    wire: Wire<'a, 'b>,
    kept: &'a mut Vec<u8>,
}

impl io::Read for Kept<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.wire.read(out)?;
        self.kept.extend_from_slice(&out[..read]);
        Ok(read)
    }
}

/// TCP that holds a last packet which is not full back until its end is said.
struct Held<'a, 'b> {
    tcp: &'a TcpStream,
    cx: &'a mut Context<'b>,
}

impl io::Write for Held<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(socket::poll_send_last(self.cx, self.tcp, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
