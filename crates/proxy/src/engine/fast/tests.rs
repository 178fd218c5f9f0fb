//! What a request costs, where that is a number which cannot flake.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use edgeward_routing::backend::{Backend, Backends};
use edgeward_routing::endpoint::{Endpoint, Readiness};
use edgeward_routing::path::TrailingSlash;
use edgeward_routing::publish::Publisher;
use edgeward_routing::settings::{ClientLimits, Settings};
use edgeward_routing::snapshot::Snapshot;
use edgeward_routing::table::RouteTable;

use super::*;
use crate::access_log::{AccessLog, fixture};
use crate::connection::Connection;
use crate::engine::auth::AuthShared;
use crate::engine::budget::RetryBudget;
use crate::engine::compressor::Compressors;
use crate::engine::{EngineOptions, Shared};
use crate::fixture::Events;
use crate::metrics::{Metrics, MetricsOptions};
use crate::stream::Transport;
use crate::trace::Spans;

/// What wrk asks, and a browser's fields.
const SMALL: &str = "GET /a HTTP/1.1\r\nHost: web.test\r\n\r\n";
const BROWSER: &str = "GET /a?b=c HTTP/1.1\r\nHost: web.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\r\n\
                       Accept: text/html,application/xhtml+xml;q=0.9\r\nAccept-Language: en-US,en;q=0.5\r\n\
                       Accept-Encoding: gzip, deflate, br, zstd\r\nCookie: session=0123456789abcdef\r\nDNT: 1\r\n\
                       Sec-Fetch-Mode: navigate\r\nReferer: https://web.test/\r\n\r\n";

/// Answers every request with two bytes.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        while let Ok(1..) = tcp.read(&mut buffer) {
            tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok").unwrap();
        }
    });
    address
}

/// An engine for a site with one host and one endpoint, metrics on and access log off.
fn engine(endpoint: SocketAddr) -> FastPath {
    let endpoints = [Endpoint { addr: endpoint, readiness: Readiness::Ready, state: Arc::default() }];
    let backend = Backend { endpoints: Box::new(endpoints), ..fixture::backend() };
    let mut snapshot = Snapshot::empty(Settings::default());
    snapshot.routes = Arc::new(RouteTable::new([fixture::route("web.test", "/")], TrailingSlash::default(), |_| false));
    snapshot.backends = Arc::new(Backends::new(vec![Arc::new(backend)]));
    let shared = Shared {
        room: Room::new(),
        compressors: Compressors::new(),
        options: EngineOptions::default(),
        snapshots: Publisher::new(snapshot).reader(),
        retries: RetryBudget::new(20),
        metrics: Arc::new(Metrics::new(&MetricsOptions::default()).unwrap()),
        access_log: AccessLog::off(),
        spans: Spans::queue().0,
        auth: AuthShared::new(true),
        mirrors: None,
    };
    FastPath::new(&Arc::new(shared), &Arc::default())
}

/// Serves `count` such requests on one connection, on this thread, and returns how often it allocated.
fn allocations(request: &'static str, count: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _context = runtime.enter();
    let engine = engine(origin());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut tcp = TcpStream::connect(address).unwrap();
        let mut buffer = [0; 4096];
        for _ in 0..count {
            tcp.write_all(request.as_bytes()).unwrap();
            let read = tcp.read(&mut buffer).unwrap();
            assert!(buffer.starts_with(b"HTTP/1.1 200") && buffer[..read].ends_with(b"ok"));
        }
    });
    let (tcp, _) = listener.accept().unwrap();
    tcp.set_nonblocking(true).unwrap();
    let (fd, tcp) = (tcp.as_raw_fd(), tokio::net::TcpStream::from_std(tcp).unwrap());
    let limits = ClientLimits { keepalive_requests: 0, ..ClientLimits::default() };
    let settings = Arc::new(Settings { limits, ..Settings::default() });
    let connection = Connection { settings, ..fixture::connection() };
    let mut stream = Stream::new(Transport::Tcp(tcp), fd, Arc::new(connection), Arc::new(Events::default()));
    let counted = allocation_counter::measure(|| {
        assert_eq!(runtime.block_on(engine.serve(&mut stream)), Served::ToTheEnd);
    });
    client.join().unwrap();
    counted.count_total
}

/// A limit that is reached is no reason to raise it.
#[test]
fn a_request_allocates_seldom() {
    for (name, request, limit) in [("small", SMALL, 12.0), ("browser", BROWSER, 12.0)] {
        // The difference of two runs has nothing of what is made once.
        let more = allocations(request, 1100) - allocations(request, 100);
        let each = more as f64 / 1000.0;
        eprintln!("{name}: {each:.2} allocations per request");
        assert!(each <= limit, "{name}: {each:.2} allocations per request");
    }
}
