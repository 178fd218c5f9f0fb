//! Connections to endpoints on terms that a route lays down (`proxy-ssl-*`).
//!
//! The TLS is ours, below what Pingora takes for the connection: its own connector cannot keep a name to itself that it
//! verifies, does not know versions, suites and the length of chains, and refuses a certificate that is its own authority.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use edgeward_routing::policy::{BackendProtocol, UpstreamTls};
use pingora::connectors::L4Connect;
use pingora::prelude::HttpPeer;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, OrErr, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::upstream;
use crate::tls::upstream::client_config;

/// What the data plane keeps of the terms.
struct Client {
    http1: Option<Arc<ClientConfig>>,
    http2: Option<Arc<ClientConfig>>,
    /// What tells connections in HTTP/2 on these terms from all others.
    group: u64,
}

/// The way to an endpoint on terms of a route.
pub(super) struct Terms {
    /// Connections that it shares; `None` for none.
    group: Option<u64>,
    /// Who the endpoint has to be.
    name: String,
    /// How to get there.
    connector: Arc<Connector>,
}

impl Terms {
    /// The terms of a request that goes to a name. `None` where there can be no connection.
    pub(super) fn of(tls: &UpstreamTls, name: String, protocol: BackendProtocol, time: Duration) -> Option<Self> {
        let client = tls.client.get_or_init(|| Client {
            http1: client_config(tls, b"http/1.1"),
            http2: client_config(tls, b"h2"),
            group: upstream::group(),
        })?;
        let (config, group) = match protocol.is_http2() {
            true => (&client.http2, Some(client.group)),
            false => (&client.http1, None),
        };
        let server = ServerName::try_from(name.clone()).ok()?;
        let connector = Connector { config: Arc::clone(config.as_ref()?), server, time };
        Some(Self { group, name, connector: Arc::new(connector) })
    }

    /// Has a peer be connected to on these terms.
    pub(super) fn lay_down(self, peer: &mut HttpPeer) {
        // Pingora tells kept connections apart by their sockets, of which it sees none here: in HTTP/1 each serves one
        // request, and the next one resumes the session of TLS.
        upstream::close_behind(peer);
        if let Some(group) = self.group {
            peer.group_key = group;
        }
        peer.sni = self.name;
        peer.options.custom_l4 = Some(self.connector);
    }
}

/// Opens connections, and has the endpoint show who it is.
struct Connector {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
    time: Duration,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({:?})", self.server)
    }
}

impl Connector {
    async fn open(&self, address: std::net::SocketAddr) -> Result<TlsStream<TcpStream>> {
        let tcp =
            TcpStream::connect(address).await.or_err(ErrorType::ConnectRefused, "no connection to the endpoint")?;
        // Without it a small write could wait for the answer to the last one. A failure costs no more than that.
        let _ = tcp.set_nodelay(true);
        let handshake = TlsConnector::from(Arc::clone(&self.config)).connect(self.server.clone(), tcp);
        handshake.await.or_err(ErrorType::TLSHandshakeFailure, "no TLS with the endpoint on the terms of the route")
    }
}

#[async_trait]
impl L4Connect for Connector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectError, "an endpoint without an address");
        };
        match timeout(self.time, self.open(*address)).await {
            Ok(opened) => Ok(VirtualSocketStream::new(Box::new(Socket(opened?))).into()),
            Err(_) => Error::e_explain(ErrorType::ConnectTimedout, "no TLS with the endpoint in time"),
        }
    }
}

/// A connection in TLS, as Pingora takes it.
#[derive(Debug)]
struct Socket(TlsStream<TcpStream>);

impl VirtualSocket for Socket {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
