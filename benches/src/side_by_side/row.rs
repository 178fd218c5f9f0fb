//! The rows of the comparison: what is asked, by which load generator, over what.

use anyhow::{Result, bail};

use crate::grpc;
use crate::large_table::Spread;
use crate::site::Table;
use crate::subject::Kind;
use crate::websocket;

/// What clients and proxies speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A request and a response, in HTTP/1.1 or, with h2load, HTTP/2; to the origin in HTTP/1.1.
    Http,
    /// A unary call, in HTTP/2 also to the origin.
    Grpc,
    /// Messages that are echoed.
    WebSocket,
}

/// How keys are agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// X25519, which all can.
    X25519,
    /// X25519MLKEM768, which not all can: those that refuse it are left out.
    Hybrid,
}

/// One request, which is sent over and over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// What is spoken.
    pub(crate) protocol: Protocol,
    /// Whether clients come over TLS.
    pub(crate) tls: bool,
    /// The one group that TLS clients offer.
    pub(crate) group: Group,
    /// The path that is asked for; it ends in one of [`crate::origin::BODIES`].
    pub(crate) path: &'static str,
    /// The length of the request body, of a POST; 0 is a GET.
    pub(crate) upload: usize,
    /// Whether it asks to close the connection behind it.
    pub(crate) closes: bool,
}

/// A load generator, and how it is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// wrk: HTTP/1.1 over this many connections, one request at a time on each.
    Wrk {
        /// Connections.
        connections: u32,
    },
    /// This program: a TLS connection for each request, this many at a time.
    Handshakes {
        /// Threads, with one connection at a time each.
        threads: u32,
        /// Whether sessions are resumed.
        resumed: bool,
    },
    /// h2load: HTTP/2 over this many connections.
    H2load {
        /// Connections.
        connections: u32,
        /// Requests at a time on each.
        streams: u32,
    },
    /// This program: WebSocket messages, one at a time on each connection. They are counted as requests.
    Echo {
        /// Connections.
        connections: usize,
    },
    /// This program: as many requests per second as `--rate` says, whether answers come or not.
    OpenLoop {
        /// Connections, with one request at a time each.
        connections: usize,
    },
}

impl Load {
    /// Whether it asks as fast as it gets answers, so that a proxy has no time to idle.
    pub(crate) const fn saturates(self) -> bool {
        !matches!(self, Self::OpenLoop { .. })
    }
}

/// What is done to the proxies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Test {
    /// Processor time, and where the load generator knows it latency, under a load.
    Load {
        /// The load.
        load: Load,
        /// What is asked.
        request: Request,
        /// Whether forwarding bytes is a floor for it: the origin can then also be asked directly. Not so for TLS, which the
        /// origin does not speak, and not for new connections, of which a forwarder needs two.
        has_floor: bool,
    },
    /// What is noticed of endpoints and routes that change all the time.
    Churn {
        /// Hosts that are routed.
        hosts: u32,
    },
    /// From the start of a proxy to its last route.
    ColdStart {
        /// Hosts, with a certificate of its own each.
        hosts: u32,
    },
    /// A table, beside a single route.
    LargeTable {
        /// What is routed.
        table: Table,
        /// How requests are spread over it.
        spread: Spread,
        /// The path of those that are not.
        path: &'static str,
        /// Who has such tables.
        kinds: &'static [Kind],
    },
    /// Resident memory of a table, beside that of a single route.
    Routes {
        /// Routes, each of a host of its own.
        routes: u32,
    },
    /// Resident memory of connections that have had one answer each and wait.
    Idle {
        /// Connections.
        connections: u32,
        /// What is asked once.
        request: Request,
    },
}

impl Test {
    /// About how many seconds one measurement takes, of loads that last as many.
    pub(crate) fn seconds(self, load: u64) -> u64 {
        let with_warm_up = load + 2;
        match self {
            Self::Load { .. } => with_warm_up,
            Self::Churn { .. } => 2 * with_warm_up,
            Self::LargeTable { .. } => 4 * with_warm_up,
            Self::Idle { .. } => 4,
            Self::Routes { .. } => 10,
            Self::ColdStart { .. } => 15,
        }
    }

    /// The unit of its cost.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Load { load: Load::Echo { .. }, .. } => "µs of processor time per message",
            Self::Load { .. } | Self::Churn { .. } | Self::LargeTable { .. } => "µs of processor time per request",
            Self::Idle { .. } => "KiB per connection",
            Self::Routes { .. } => "KiB per route",
            // It has none.
            Self::ColdStart { .. } => "",
        }
    }

    /// Those of these that it is for.
    pub(crate) fn kinds(self, of: &[Kind]) -> Vec<Kind> {
        const WITH_TABLES: &[Kind] = &[Kind::Edgeward, Kind::Nginx, Kind::Haproxy];
        let is_for = |kind: &Kind| match self {
            Self::Load { has_floor, .. } => has_floor || *kind != Kind::Floor,
            Self::Idle { .. } => *kind != Kind::Floor,
            Self::Churn { .. } => *kind == Kind::Edgeward,
            Self::LargeTable { kinds, .. } => kinds.contains(kind),
            Self::Routes { .. } | Self::ColdStart { .. } => WITH_TABLES.contains(kind),
        };
        of.iter().copied().filter(is_for).collect()
    }

    /// How many rounds it has of so many: few, if it starts proxies of its own.
    pub(crate) fn rounds(self, of: u32) -> u32 {
        if matches!(self, Self::Load { .. } | Self::Idle { .. }) { of } else { of.min(FEW_ROUNDS) }
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its name on the command line and in the report.
    pub(crate) name: &'static str,
    /// What it measures, in words.
    pub(crate) title: &'static str,
    /// How.
    pub(crate) test: Test,
}

/// Rounds of a row that starts proxies of its own, at most.
const FEW_ROUNDS: u32 = 3;

/// The smallest request there is.
pub(crate) const SMALL: Request =
    Request { protocol: Protocol::Http, tls: false, group: Group::X25519, path: "/130B", upload: 0, closes: false };

const SMALL_TLS: Request = Request { tls: true, ..SMALL };
const SMALL_TLS_ONCE: Request = Request { closes: true, ..SMALL_TLS };
const KEEP_ALIVE: Load = Load::Wrk { connections: 32 };
const LARGE: Load = Load::Wrk { connections: 16 };

/// A load that a TCP forwarder can be given as well.
const fn with_floor(load: Load, request: Request) -> Test {
    Test::Load { load, request, has_floor: true }
}

const fn without_floor(load: Load, request: Request) -> Test {
    Test::Load { load, request, has_floor: false }
}

/// All rows. A further one is a further entry here. Those of memory come first: what a proxy keeps of an earlier load would be
/// taken for theirs.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "idle",
        title: "KiB of memory per idle keep-alive connection",
        test: Test::Idle { connections: 4000, request: SMALL },
    },
    Row {
        name: "idle-tls",
        title: "KiB of memory per idle keep-alive connection over TLS",
        test: Test::Idle { connections: 4000, request: SMALL_TLS },
    },
    Row { name: "http1-keepalive-130B", title: "HTTP/1.1 keep-alive, 130 B", test: with_floor(KEEP_ALIVE, SMALL) },
    Row {
        name: "open-loop",
        title: "HTTP/1.1 keep-alive, 130 B, at a constant rate",
        test: with_floor(Load::OpenLoop { connections: 32 }, SMALL),
    },
    Row {
        name: "http1-tls-keepalive",
        title: "HTTP/1.1 over TLS keep-alive, 130 B",
        test: without_floor(KEEP_ALIVE, SMALL_TLS),
    },
    Row {
        name: "new-connection-per-request",
        title: "New TCP connection per request, 130 B",
        test: without_floor(KEEP_ALIVE, Request { closes: true, ..SMALL }),
    },
    Row {
        name: "full-tls-handshake",
        title: "New TLS 1.3 connection per request, full handshake, ECDSA P-256, X25519, 130 B",
        test: without_floor(Load::Handshakes { threads: 8, resumed: false }, SMALL_TLS_ONCE),
    },
    Row {
        name: "x25519mlkem768-handshake",
        title: "New TLS 1.3 connection per request, full handshake, ECDSA P-256, X25519MLKEM768, 130 B",
        test: without_floor(
            Load::Handshakes { threads: 8, resumed: false },
            Request { group: Group::Hybrid, ..SMALL_TLS_ONCE },
        ),
    },
    Row {
        name: "resumed-tls-handshake",
        title: "New TLS 1.3 connection per request, resumed, 130 B",
        test: without_floor(Load::Handshakes { threads: 8, resumed: true }, SMALL_TLS_ONCE),
    },
    Row {
        name: "64KiB",
        title: "HTTP/1.1 keep-alive, 64 KiB response",
        test: with_floor(LARGE, Request { path: "/64KiB", ..SMALL }),
    },
    Row {
        name: "1MiB",
        title: "HTTP/1.1 keep-alive, 1 MiB response",
        test: with_floor(LARGE, Request { path: "/1MiB", ..SMALL }),
    },
    Row {
        name: "1MiB-upload",
        title: "HTTP/1.1 keep-alive, 1 MiB upload",
        test: with_floor(LARGE, Request { upload: 1 << 20, ..SMALL }),
    },
    Row {
        name: "http2-tls",
        title: "HTTP/2 over TLS, 8 x 16 streams, 130 B",
        test: without_floor(Load::H2load { connections: 8, streams: 16 }, SMALL_TLS),
    },
    Row {
        name: "grpc-unary",
        title: "gRPC, unary call of 64 B over TLS, 8 x 32 streams, HTTP/2 to the origin",
        test: without_floor(
            Load::H2load { connections: 8, streams: 32 },
            Request { protocol: Protocol::Grpc, path: grpc::PATH, ..SMALL_TLS },
        ),
    },
    Row {
        name: "websocket-echo",
        title: "WebSocket, echo of 64 B over 1,000 connections, per message",
        test: with_floor(
            Load::Echo { connections: 1000 },
            Request { protocol: Protocol::WebSocket, path: websocket::PATH, ..SMALL },
        ),
    },
    Row {
        name: "churn",
        title: "HTTP/1.1 keep-alive, 130 B, at a constant rate, while endpoints change 50 and routes 5 times a second (Edgeward only)",
        test: Test::Churn { hosts: 1000 },
    },
    Row {
        name: "large-table",
        title: "HTTP/1.1 keep-alive, 130 B, 100,000 hosts with 10 paths each, Zipf (Edgeward only)",
        test: Test::LargeTable {
            table: Table { paths: 10, ..Table::with_hosts(100_000) },
            spread: Spread::Zipf,
            path: "/p00003/130B",
            kinds: &[Kind::Edgeward],
        },
    },
    Row {
        name: "10k-paths",
        title: "HTTP/1.1 keep-alive, 130 B, the last of 10,000 paths of one host",
        test: Test::LargeTable {
            table: Table { paths: 10_000, is_for_peers: true, ..Table::with_hosts(1) },
            spread: Spread::None,
            path: "/p09999/130B",
            kinds: &[Kind::Edgeward, Kind::Nginx, Kind::Haproxy, Kind::Envoy],
        },
    },
    Row {
        name: "policies",
        title: "HTTP/1.1 keep-alive, 130 B, ten policies on the route, beside none (Edgeward only)",
        test: Test::LargeTable {
            table: Table { has_policies: true, ..Table::with_hosts(1) },
            spread: Spread::None,
            path: "/130B",
            kinds: &[Kind::Edgeward],
        },
    },
    Row {
        name: "memory-per-route",
        title: "KiB of memory per route, of 5,000 with a host each",
        test: Test::Routes { routes: 5000 },
    },
    Row {
        name: "cold-start",
        title: "Cold start with 10,000 hosts that have a certificate each",
        test: Test::ColdStart { hosts: 10_000 },
    },
];

/// The rows of these names; all of them for no name.
pub(crate) fn select(names: &[String]) -> Result<Vec<Row>> {
    if names.is_empty() {
        return Ok(ROWS.to_vec());
    }
    names
        .iter()
        .map(|name| match ROWS.iter().find(|row| row.name == name) {
            Some(row) => Ok(*row),
            None => {
                let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
                bail!("unknown row `{name}`; the rows are {}", known.join(", "))
            }
        })
        .collect()
}
