//! Requests of the proxy's own beside those of clients: their HTTP client, and copies that are mirrored.

mod connector;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body::Body;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::tls::upstream::unverified;
use connector::Connector;
pub(crate) use connector::is_refused;

/// How long an answer to a copy may take. It is not waited for by anybody else.
const TIME: Duration = Duration::from_secs(60);

/// How long a connection that nobody needs is kept, and how many to one target.
const IDLE: Duration = Duration::from_secs(30);
const IDLE_PER_HOST: usize = 16;

/// The largest body of a copy, in bytes.
const LARGEST: usize = 1 << 20;

/// Bytes that a permit stands for.
const UNIT: usize = 1024;

/// Permits for all copies at a time: 32 MiB.
const UNITS: usize = 32 * 1024;

/// Permits for a copy without its body. There are no more than a thousand at a time, whatever their size.
const UNITS_OF_HEAD: u32 = 32;

/// The largest head of an answer.
const HEAD: usize = 64 << 10;

/// A client that keeps connections. It says `Host` as it is told.
pub(crate) type Client<B> = legacy::Client<HttpsConnector<Connector>, B>;

/// A client that keeps `idle_per_host` connections for the time `idle`. It verifies no certificate, as ingress-nginx verifies
/// none of authentication services and of targets of copies, and connects to what [objects may name](edgeward_routing::address::may_connect). `None` when the TLS library has no protocol to speak.
pub(crate) fn client<B>(idle: Duration, idle_per_host: usize, allow_loopback: bool) -> Option<Client<B>>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connector = HttpsConnectorBuilder::new().with_tls_config(unverified()?).https_or_http().enable_http1();
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(idle).pool_max_idle_per_host(idle_per_host);
    Some(
        builder
            .http1_max_buf_size(HEAD)
            .set_host(false)
            .build(connector.wrap_connector(Connector::new(allow_loopback))),
    )
}

/// Sends copies of requests.
#[derive(Debug, Clone)]
pub(crate) struct Mirrors {
    client: Client<Full<Bytes>>,
    room: Arc<Semaphore>,
}

impl Mirrors {
    /// Nothing is connected yet. `None` where there is no TLS, which a process that serves has.
    pub(crate) fn new(allow_loopback: bool) -> Option<Self> {
        Some(Self { client: client(IDLE, IDLE_PER_HOST, allow_loopback)?, room: Arc::new(Semaphore::new(UNITS)) })
    }

    /// Begins a copy. `None` where there is no room for it, or it is none that can be sent.
    pub(crate) fn begin<'f>(
        &self,
        (method, url, host): (&str, &str, &[u8]),
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Option<MirroredRequest> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(UNITS_OF_HEAD).ok()?;
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        // It is written anew for the body that the copy has.
        headers.remove(CONTENT_LENGTH);
        headers.insert(HOST, HeaderValue::from_bytes(host).ok()?);
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let uri: Uri = url.parse().ok()?;
        Some(MirroredRequest { mirrors: self.clone(), method, uri, headers, body: Vec::new(), room })
    }
}

/// A copy of a request, which waits for the body.
#[derive(Debug)]
pub(crate) struct MirroredRequest {
    mirrors: Mirrors,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
    room: OwnedSemaphorePermit,
}

impl MirroredRequest {
    /// Adds to the body. Returns whether there is room for it: without, the copy is of no use any more.
    pub(crate) fn push(&mut self, data: &[u8]) -> bool {
        let length = self.body.len() + data.len();
        let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let held = u32::try_from(self.room.num_permits()).unwrap_or(u32::MAX) - UNITS_OF_HEAD;
        if length > LARGEST {
            return false;
        }
        if units > held {
            match Arc::clone(&self.mirrors.room).try_acquire_many_owned(units - held) {
                Ok(more) => self.room.merge(more),
                Err(_) => return false,
            }
        }
        self.body.extend_from_slice(data);
        true
    }

    /// The body comes once more from its start.
    pub(crate) fn restart(&mut self) {
        self.body.clear();
    }

    /// Sends the copy. Nobody waits for what becomes of it.
    pub(crate) fn send(self) {
        let Self { mirrors, method, uri, headers, body, room } = self;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        tokio::spawn(async move {
            match timeout(TIME, mirrors.client.request(request)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a mirrored request failed"),
                Err(_) => tracing::debug!("a mirrored request took too long"),
            }
            drop(room);
        });
    }
}
