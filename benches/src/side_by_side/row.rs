//! The rows of the comparison: what is asked, by which load generator, over what.

use anyhow::{Result, bail};

/// The load generator of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// wrk: HTTP/1.1 over this many connections, one request at a time on each.
    Wrk {
        /// Connections.
        connections: u32,
        /// Whether each request asks to close the connection behind it.
        close: bool,
    },
    /// This program: a TLS connection for each request, this many at a time.
    Handshakes {
        /// Threads, with one connection at a time each.
        threads: u32,
        /// Whether sessions are resumed.
        resumed: bool,
    },
    /// This program: connections that have had one answer each and wait. What is measured is resident memory.
    Idle {
        /// Connections.
        connections: u32,
    },
    /// h2load: HTTP/2 over this many connections.
    H2load {
        /// Connections.
        connections: u32,
        /// Requests at a time on each.
        streams: u32,
    },
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its name on the command line and in the report.
    pub(crate) name: &'static str,
    /// What it measures, in words.
    pub(crate) title: &'static str,
    /// The load.
    pub(crate) load: Load,
    /// Whether clients come over TLS.
    pub(crate) tls: bool,
    /// The path that is asked for; one of [`crate::origin::BODIES`].
    pub(crate) path: &'static str,
    /// The length of the request body, of a POST; 0 is a GET.
    pub(crate) upload: usize,
    /// Whether forwarding bytes is a floor for it: the origin can then also be asked directly. Not so for TLS, which the
    /// origin does not speak, and not for new connections, of which a forwarder needs two.
    pub(crate) has_floor: bool,
}

impl Row {
    /// Whether each request asks to close the connection behind it.
    pub(crate) const fn closes(&self) -> bool {
        matches!(self.load, Load::Wrk { close: true, .. } | Load::Handshakes { .. })
    }
}

const KEEP_ALIVE: Load = Load::Wrk { connections: 32, close: false };
const LARGE: Load = Load::Wrk { connections: 16, close: false };

/// All rows. A further one is a further entry here. Those of memory come first: what a proxy keeps of an earlier load would be
/// taken for theirs.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "idle",
        title: "KiB of memory per idle keep-alive connection",
        load: Load::Idle { connections: 4000 },
        tls: false,
        path: "/130B",
        upload: 0,
        has_floor: false,
    },
    Row {
        name: "idle-tls",
        title: "KiB of memory per idle keep-alive connection over TLS",
        load: Load::Idle { connections: 4000 },
        tls: true,
        path: "/130B",
        upload: 0,
        has_floor: false,
    },
    Row {
        name: "http1-keepalive-130B",
        title: "HTTP/1.1 keep-alive, 130 B",
        load: KEEP_ALIVE,
        tls: false,
        path: "/130B",
        upload: 0,
        has_floor: true,
    },
    Row {
        name: "http1-tls-keepalive",
        title: "HTTP/1.1 over TLS keep-alive, 130 B",
        load: KEEP_ALIVE,
        tls: true,
        path: "/130B",
        upload: 0,
        has_floor: false,
    },
    Row {
        name: "new-connection-per-request",
        title: "New TCP connection per request, 130 B",
        load: Load::Wrk { connections: 32, close: true },
        tls: false,
        path: "/130B",
        upload: 0,
        has_floor: false,
    },
    Row {
        name: "full-tls-handshake",
        title: "New TLS 1.3 connection per request, full handshake, ECDSA P-256, X25519, 130 B",
        load: Load::Handshakes { threads: 8, resumed: false },
        tls: true,
        path: "/130B",
        upload: 0,
        has_floor: false,
    },
    Row {
        name: "resumed-tls-handshake",
        title: "New TLS 1.3 connection per request, resumed, 130 B",
        load: Load::Handshakes { threads: 8, resumed: true },
        tls: true,
        path: "/130B",
        upload: 0,
        has_floor: false,
    },
    Row {
        name: "64KiB",
        title: "HTTP/1.1 keep-alive, 64 KiB response",
        load: LARGE,
        tls: false,
        path: "/64KiB",
        upload: 0,
        has_floor: true,
    },
    Row {
        name: "1MiB",
        title: "HTTP/1.1 keep-alive, 1 MiB response",
        load: LARGE,
        tls: false,
        path: "/1MiB",
        upload: 0,
        has_floor: true,
    },
    Row {
        name: "1MiB-upload",
        title: "HTTP/1.1 keep-alive, 1 MiB upload",
        load: LARGE,
        tls: false,
        path: "/130B",
        upload: 1 << 20,
        has_floor: true,
    },
    Row {
        name: "http2-tls",
        title: "HTTP/2 over TLS, 8 x 16 streams, 130 B",
        load: Load::H2load { connections: 8, streams: 16 },
        tls: true,
        path: "/130B",
        upload: 0,
        has_floor: false,
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
