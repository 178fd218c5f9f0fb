//! What the tests of this crate are made of: short ways to a route, a backend, a snapshot and a request.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::attachment::Attachment;
use crate::backend::{Backend, BackendId, BackendKey, Backends, LoadBalance};
use crate::decide::{Downstream, RequestHead};
use crate::endpoint::{Endpoint, Readiness};
use crate::origin::Origin;
use crate::path::PathPattern;
use crate::route::{Route, Target};
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::table::RouteTable;

/// A request head: HTTP/1.1 unless `http10`.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) authority: Option<String>,
    pub(crate) http10: bool,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    pub(crate) fn get(authority: &str, target: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            authority: Some(authority.to_owned()),
            http10: false,
            headers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        &self.method
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    fn requires_authority(&self) -> bool {
        !self.http10
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()))
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_slice())
    }
}

/// A client at 10.201.100.1, where the recorded requests came from.
pub(crate) fn downstream(tls: bool) -> Downstream {
    Downstream { client: "10.201.100.1".parse().unwrap(), tls, port: if tls { 443 } else { 80 } }
}

/// `"Exact /foo"` or `"Prefix /foo"`, as path patterns print.
pub(crate) fn path(text: &str) -> PathPattern {
    match text.split_once(' ') {
        Some(("Exact", path)) => PathPattern::Exact(path.into()),
        Some(("Prefix", path)) => PathPattern::Prefix(path.into()),
        _ => panic!("not a path pattern: {text}"),
    }
}

/// A route from a host (empty for any) and a path pattern to a backend, without policies.
pub(crate) fn route(host: &str, pattern: &str, backend: u32) -> Route {
    Route {
        host: host.parse().unwrap(),
        path: path(pattern),
        target: Target::Backend(BackendId(backend)),
        policies: Arc::default(),
        origin: Origin::object("Ingress", "default", "web").at("spec.rules[0]"),
        service: format!("s{backend}").into(),
        fallback: false,
        metrics: Attachment::default(),
    }
}

/// An endpoint at 10.201.0.`last`:8080.
pub(crate) fn endpoint(last: u8) -> Endpoint {
    Endpoint { addr: SocketAddr::from(([10, 201, 0, last], 8080)), readiness: Readiness::Ready, state: Arc::default() }
}

/// The backend `default-NAME-80` with that many endpoints, balanced by `load_balance`.
pub(crate) fn backend(name: &str, endpoints: u8, load_balance: LoadBalance) -> Backend {
    let key = BackendKey { namespace: "default".into(), service: name.into(), port: "80".into() };
    Backend {
        name: key.to_string().into(),
        key,
        load_balance,
        health_check: None,
        affinity: None,
        canary: None,
        is_service_upstream: false,
        slow_start: Duration::ZERO,
        endpoints: (1..=endpoints).map(endpoint).collect(),
        cursor: Arc::default(),
        ring: Attachment::default(),
    }
}

/// A snapshot of these routes over the backends s0 (without an endpoint), s1, s2 and s3 (one endpoint each). Hosts in
/// `certificates` have a certificate configured.
pub(crate) fn snapshot(routes: Vec<Route>, certificates: &[&str], settings: Settings) -> Snapshot {
    let backends = (0..4u8).map(|n| Arc::new(backend(&format!("s{n}"), n.min(1), LoadBalance::RoundRobin))).collect();
    Snapshot {
        generation: 1,
        routes: Arc::new(RouteTable::new(routes, settings.trailing_slash, |host| {
            certificates.contains(&host.to_string().as_str())
        })),
        backends: Arc::new(Backends::new(backends)),
        ..Snapshot::empty(settings)
    }
}
