//! Connections of the proxy's own: to the addresses that objects may have it connect to, and no others.

use std::error::Error;
use std::future::{Future, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use edgeward_routing::address::may_connect;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

/// How long a connection may take to be opened.
const CONNECT: Duration = Duration::from_secs(5);

type Opening<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<Resolver>,
    resolver: Resolver,
}

impl Connector {
    pub(super) fn new(allow_loopback: bool) -> Self {
        let resolver = Resolver { allow_loopback };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        Self { tcp, resolver }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Opening<Self::Response, Self::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // What is an address already is not resolved.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if host.parse::<IpAddr>().is_ok_and(|address| !self.resolver.allows(address)) {
            return Box::pin(ready(Err(refused().into())));
        }
        let opening = self.tcp.call(uri);
        Box::pin(async { opening.await.map_err(Into::into) })
    }
}

/// Asks the resolver of the system, and leaves out what may not be connected to.
#[derive(Debug, Clone, Copy)]
struct Resolver {
    allow_loopback: bool,
}

impl Resolver {
    fn allows(self, address: IpAddr) -> bool {
        may_connect(address, self.allow_loopback)
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Opening<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = *self;
        Box::pin(async move {
            let found = lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| resolver.allows(address.ip())).collect();
            if allowed.is_empty() { Err(refused()) } else { Ok(allowed.into_iter()) }
        })
    }
}

/// The address is not one that [objects may name](may_connect).
#[derive(Debug, thiserror::Error)]
#[error("objects may not have the proxy connect to this address")]
struct Refused;

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, Refused)
}

/// Whether a request failed because of where it was to go.
pub(crate) fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<Refused>()) || error.source().is_some_and(is_refused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::net::Ipv4Addr;

    use bytes::Bytes;
    use http_body_util::Empty;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn nothing_is_connected_to_that_objects_may_not_name() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "127.1"] {
            let uri: Uri = format!("http://{host}:{port}/").parse().unwrap();
            assert!(Connector::new(true).call(uri.clone()).await.is_ok(), "{host}");
            let error = Connector::new(false).call(uri).await.unwrap_err();
            assert!(is_refused(&*error), "{host}: {error}");
        }
        let uri = Uri::from_static("http://169.254.169.254/");
        assert!(Connector::new(false).call(uri).await.unwrap_err().to_string().contains("may not"));
    }

    #[tokio::test]
    async fn a_request_that_was_to_go_there_is_known_by_its_error() {
        let client = super::super::client::<Empty<Bytes>>(Duration::from_secs(1), 1, false).unwrap();
        for url in ["http://127.0.0.1/", "http://localhost/", "https://[::1]/", "https://localhost/"] {
            let error = client.get(Uri::from_static(url)).await.unwrap_err();
            assert!(is_refused(&error), "{url}: {error:?}");
        }
    }
}
