//! What a request costs, in numbers that do not depend on the machine's mood: system calls and instructions.
//!
//! They are counted over a whole run of the process, by strace and by valgrind, and the difference of two runs has nothing of
//! what is done once. A limit that is reached is no reason to raise it.

use std::path::Path;
use std::time::Duration;

use edgeward_tests::client::{Connection, Request, connect};
use edgeward_tests::edgeward::{Edgeward, Launch, Signal};
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use crate::scale::is_release;
use crate::site::Site;

const HOST: &str = "guards.test";

/// Requests of the shorter run: enough that pools, buffers and tables are there.
const FEW: usize = 100;

/// Requests that the longer run has more.
const MORE: usize = 500;

/// How often that is counted before a limit is taken for reached: where the pages of the heap happen to end, each request of one of
/// the two runs may give one back and take it again, which is some thousands of instructions.
const TRIES: usize = 3;

/// A kind of request, and what one may cost at most.
struct Row {
    kind: Kind,
    /// System calls that move data: the least is two reads and two writes, one more of each with a handshake, and now and then one
    /// finds nothing. One more for each request would be five, or seven.
    transfers: f64,
    /// Instructions outside of the kernel, in thousands, of a release build. What another processor makes of copying and
    /// encryption has room in it. `None` for a handshake, which is keys alone: how they are computed depends on the processor,
    /// and valgrind's is none of today.
    instructions: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    KeepAlive,
    KeepAliveTls,
    Http2Tls,
    NewConnection,
    NewTlsConnection,
    Body64KiB,
}

const ROWS: [Row; 6] = [
    Row { kind: Kind::KeepAlive, transfers: 4.9, instructions: Some(29.0) },
    Row { kind: Kind::KeepAliveTls, transfers: 4.9, instructions: Some(39.0) },
    Row { kind: Kind::Http2Tls, transfers: 5.4, instructions: Some(79.0) },
    Row { kind: Kind::NewConnection, transfers: 4.9, instructions: Some(43.0) },
    Row { kind: Kind::NewTlsConnection, transfers: 6.9, instructions: None },
    Row { kind: Kind::Body64KiB, transfers: 4.9, instructions: Some(29.0) },
];

impl Kind {
    /// Makes so many requests, one after the other.
    async fn ask(self, edgeward: &Edgeward, count: usize) {
        let size = if self == Self::Body64KiB { 64 * 1024 } else { 130 };
        let request = Request::get(HOST, "/").header("X-Echo-Size", &size.to_string());
        let mut kept = match self {
            Self::KeepAlive | Self::Body64KiB => Some(Connection::open(edgeward.http).await),
            Self::KeepAliveTls => Some(Connection::open_tls(edgeward.https, &Hello::name(HOST)).await),
            Self::Http2Tls | Self::NewConnection | Self::NewTlsConnection => None,
        };
        let mut http2 = match self {
            Self::Http2Tls => {
                let hello = Hello::name(HOST).alpn(&["h2"]);
                Some(H2Client::over(Connection::open_tls(edgeward.https, &hello).await.into_stream()).await)
            }
            _ => None,
        };
        for _ in 0..count {
            let (status, body) = if let Some(client) = &mut http2 {
                let request =
                    hyper::Request::get(format!("https://{HOST}/")).header("x-echo-size", size).body(()).unwrap();
                let answer = client.send(request, "").await.unwrap();
                (answer.status.as_u16(), answer.body.len())
            } else if let Some(connection) = &mut kept {
                let answer = connection.exchange(&request).await;
                (answer.status(), answer.body.len())
            } else if self == Self::NewTlsConnection {
                let hello = Hello::name(HOST).saying(request.clone().header("Connection", "close").bytes());
                let answer = Connection::open_tls(edgeward.https, &hello).await.response("GET").await;
                (answer.status(), answer.body.len())
            } else {
                let mut connection = Connection::over(connect(edgeward.http, None).await.unwrap());
                let answer = connection.exchange(&request.clone().header("Connection", "close")).await;
                (answer.status(), answer.body.len())
            };
            assert_eq!((status, body), (200, size));
        }
    }
}

/// What counts.
#[derive(Debug, Clone, Copy)]
enum Counter {
    Strace,
    Valgrind,
}

impl Counter {
    fn launch(self, launch: Launch, report: &Path) -> Launch {
        let report = report.display();
        match self {
            // Detached, so that a signal to the process is one to Edgeward.
            Self::Strace => {
                let calls = "read,write,readv,writev,recvfrom,sendto,recvmsg,sendmsg,splice";
                launch.under(&format!("strace -D -f -c -U name,calls -e trace={calls} -o {report}"))
            }
            Self::Valgrind => launch.under(&format!(
                "valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null --log-file={report}"
            )),
        }
    }

    /// The number that a report comes to; `None` while it is not whole.
    fn read(self, report: &str) -> Option<u64> {
        let number = |text: &str| text.replace(',', "").parse::<u64>().ok();
        match self {
            Self::Strace => {
                let total = report.lines().find(|line| line.starts_with("total"))?;
                number(total.split_whitespace().last()?)
            }
            Self::Valgrind => {
                let refs = report.lines().find(|line| line.contains("I   refs:") || line.contains("I refs:"))?;
                number(refs.split_whitespace().last()?)
            }
        }
    }

    /// What a whole run with so many requests costs.
    async fn count(self, site: &Site, kind: Kind, requests: usize) -> u64 {
        let directory = tempfile::tempdir().unwrap();
        let report = directory.path().join("report");
        let launch = site.launch().workers(1).access_log("off").argument("--http2=true");
        let mut edgeward = self.launch(launch, &report).start().await;
        kind.ask(&edgeward, requests).await;
        edgeward.signal(Signal::Terminate);
        edgeward.wait_exit(Duration::from_secs(60)).await;
        loop {
            if let Some(number) = std::fs::read_to_string(&report).ok().and_then(|report| self.read(&report)) {
                return number;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What one request costs.
    async fn each(self, site: &Site, kind: Kind) -> f64 {
        let (few, many) = tokio::join!(self.count(site, kind, FEW), self.count(site, kind, FEW + MORE));
        many.saturating_sub(few) as f64 / MORE as f64
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_costs_no_more_than_it_must() {
    let _turn = turn::alone().await;
    let site = Site::with_host(HOST, "web").await;
    let mut dearer = Vec::new();
    for Row { kind, transfers, instructions } in ROWS {
        for (counter, unit, limit, scale) in [
            (Counter::Strace, "system calls that move data", Some(transfers), 1.0),
            (Counter::Valgrind, "thousand instructions", instructions, 1000.0),
        ] {
            let Some(limit) = limit else { continue };
            // Without full optimisation it is some two thirds more.
            let limit = if is_release() { limit } else { 2.0 * limit };
            let mut each = counter.each(&site, kind).await / scale;
            eprintln!("{kind:?}: {each:.2} {unit}, limit {limit}");
            for _ in 1..TRIES {
                if each > limit {
                    each = each.min(counter.each(&site, kind).await / scale);
                    eprintln!("{kind:?}: {each:.2} {unit} at best, limit {limit}");
                }
            }
            if each > limit {
                dearer.push(format!("{kind:?}: {each:.2} {unit}, limit {limit}"));
            }
        }
    }
    assert!(dearer.is_empty(), "{dearer:#?}");
}
