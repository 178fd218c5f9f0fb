//! Requests for the tests of the access log and of metrics.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edgeward_routing::attachment::Attachment;
use edgeward_routing::backend::{Backend, BackendId, BackendKey, LoadBalance};
use edgeward_routing::decide::Reason;
use edgeward_routing::forward::Forwarded;
use edgeward_routing::origin::Origin;
use edgeward_routing::path::PathPattern;
use edgeward_routing::route::{Route, Target};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::connection::{AddressSource, Alpn, Connection, Registry, TlsSession};
use crate::record::{Request, RequestRecord, Response, Try};
use crate::trace::RequestTrace;

/// A finished request, to be changed at will: `GET /path?x=1` for `shop.example.com`, answered by one endpoint.
pub(crate) struct Finished {
    pub(crate) route: Option<Route>,
    pub(crate) backend: Option<Backend>,
    pub(crate) main: Option<Backend>,
    pub(crate) connection: Option<Connection>,
    pub(crate) client: &'static str,
    pub(crate) forwarded: bool,
    pub(crate) request: RequestHeader,
    pub(crate) response: Option<ResponseHeader>,
    pub(crate) status: u16,
    pub(crate) reason: Option<Reason>,
    pub(crate) duration: Duration,
    pub(crate) tries: Vec<Try>,
    pub(crate) trace: Option<RequestTrace>,
}

impl Default for Finished {
    fn default() -> Self {
        let mut request = request("GET", "/path?x=1");
        request.insert_header("Host", "shop.example.com:8080").unwrap();
        request.insert_header("User-Agent", "curl/8.5.0").unwrap();
        let mut response = ResponseHeader::build(200, None).unwrap();
        response.insert_header("Content-Type", "text/html").unwrap();
        Self {
            route: Some(route("shop.example.com", "/path")),
            backend: Some(backend()),
            main: None,
            connection: Some(connection()),
            client: "203.0.113.7",
            forwarded: true,
            request,
            response: Some(response),
            status: 200,
            reason: None,
            duration: Duration::from_micros(12_345),
            tries: vec![endpoint_try("10.0.0.1:8080", Some(200), 12, 512)],
            trace: None,
        }
    }
}

impl Finished {
    /// Calls `take` with the record.
    pub(crate) fn with<T>(&self, take: impl FnOnce(&RequestRecord<'_>) -> T) -> T {
        let forwarded = self.forwarded.then(|| Forwarded {
            client: self.client.parse().unwrap(),
            scheme: b"http".as_slice().into(),
            host: b"shop.example.com".as_slice().into(),
            port: b"80".as_slice().into(),
            prefix: None,
        });
        take(&RequestRecord {
            route: self.route.as_ref(),
            backend: self.backend.as_ref(),
            main: self.main.as_ref(),
            connection: self.connection.as_ref(),
            client: Some(self.client.parse().unwrap()),
            forwarded: forwarded.as_ref(),
            request: Request::Map(&self.request),
            response: self.response.as_ref().map(Response::Map),
            status: self.status,
            reason: self.reason,
            // So that it ends at 2026-11-24 04:16:57.500.
            started: ended() - self.duration,
            duration: self.duration,
            request_length: 95,
            body_bytes_sent: 512,
            tries: &self.tries,
            trace: self.trace.as_ref(),
            request_id: "8c0f3d2b1a4e5f60718293a4b5c6d7e8",
        })
    }
}

pub(crate) fn request(method: &str, target: &str) -> RequestHeader {
    RequestHeader::build(method, target.as_bytes(), None).unwrap()
}

pub(crate) fn endpoint_try(address: &str, status: Option<u16>, milliseconds: u64, body_bytes: u64) -> Try {
    let answered = status.is_some_and(|status| status < 500);
    Try {
        address: address.parse().unwrap(),
        connect: answered.then_some(Duration::from_millis(1)),
        header: answered.then_some(Duration::from_millis(milliseconds - 1)),
        total: Duration::from_millis(milliseconds),
        status,
        body_bytes,
    }
}

pub(crate) fn route(host: &str, path: &str) -> Route {
    Route {
        host: host.parse().unwrap(),
        path: PathPattern::Prefix(path.into()),
        target: Target::Backend(BackendId(0)),
        policies: Arc::default(),
        origin: Origin::object("Ingress", "shop", "web").at("spec.rules[0].http.paths[0]"),
        service: "cart".into(),
        fallback: false,
        metrics: Attachment::default(),
    }
}

pub(crate) fn connection() -> Connection {
    Connection {
        client: "203.0.113.7:50123".parse().unwrap(),
        peer: "203.0.113.7:50123".parse().unwrap(),
        local: "192.0.2.1:80".parse().unwrap(),
        destination: "192.0.2.1:80".parse().unwrap(),
        source: AddressSource::Peer,
        tls: None,
        settings: Arc::default(),
        lifecycle: Arc::clone(Arc::new(Registry::default()).register(false).lifecycle()),
        sent: std::sync::Mutex::default(),
    }
}

pub(crate) fn tls() -> TlsSession {
    TlsSession {
        server_name: Some("shop.example.com".into()),
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384",
        alpn: Alpn::Http2,
        resumed: false,
        client: None,
    }
}

pub(crate) fn backend() -> Backend {
    Backend {
        key: BackendKey { namespace: "shop".into(), service: "cart".into(), port: "http".into() },
        name: "shop-cart-http".into(),
        load_balance: LoadBalance::default(),
        health_check: None,
        affinity: None,
        canary: None,
        is_service_upstream: false,
        slow_start: Duration::ZERO,
        endpoints: Box::default(),
        cursor: Arc::default(),
        ring: Attachment::default(),
    }
}

fn ended() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_493_817_500)
}
