//! The harness itself: it must see failures, or no other test means anything.

use std::sync::Arc;
use std::time::Duration;

use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::load::{FailureKind, Load, Plan, Shot, Workload};
use edgeward_tests::message::{Broken, Message};
use edgeward_tests::turn;
use edgeward_tests::websocket::WebSocket;

/// GETs with one steering header.
#[derive(Debug)]
struct Steered(&'static str, &'static str);

impl Workload for Steered {
    fn shot(&self, _number: usize) -> Shot {
        Shot { method: "GET", bytes: Request::get("x.test", "/").header(self.0, self.1).bytes(), context: 0 }
    }

    fn judge(&self, _shot: &Shot, answer: &Message) -> Result<(), String> {
        if answer.status() == 200 { Ok(()) } else { Err(format!("status {}", answer.status())) }
    }
}

async fn failures(backend: &Backend, workload: Steered) -> Vec<FailureKind> {
    let plan = Plan { addr: backend.addr(), rate: 1000, connections: 2, requests: 10 };
    let report = Load::start(plan, Arc::new(workload)).report().await;
    assert_eq!(report.sent, 10);
    report.failures.into_iter().map(|failure| failure.kind).collect()
}

#[tokio::test]
async fn load_names_every_kind_of_failure() {
    let _turn = turn::shared().await;
    let backend = Start::default().quiet().start("direct").await;
    assert_eq!(failures(&backend, Steered("X-None", "")).await, []);
    let table = [
        (Steered("X-Echo-Status", "503"), FailureKind::Wrong("status 503".to_owned())),
        (Steered("X-Echo-Close", "1"), FailureKind::Answer("closed without an answer")),
        (Steered("X-Echo-Truncate", "length"), FailureKind::Answer("truncated")),
        (Steered("X-Echo-Truncate", "chunked"), FailureKind::Answer("truncated")),
    ];
    for (workload, kind) in table {
        let what = format!("{workload:?}");
        assert_eq!(failures(&backend, workload).await, vec![kind; 10], "{what}");
    }
    backend.kill();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(failures(&backend, Steered("X-None", "")).await, vec![FailureKind::Connect; 10]);
}

#[tokio::test]
async fn a_killed_backend_resets_what_it_was_doing() {
    let _turn = turn::shared().await;
    let backend = Backend::start("direct").await;
    let mut connection = Connection::open(backend.addr()).await;
    connection.send(Request::get("x.test", "/").header("X-Echo-Delay", "10").bytes()).await;
    while backend.active() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    backend.kill();
    assert_eq!(connection.read_response("GET").await, Err(Broken::Reset));
}

#[tokio::test]
async fn a_backend_does_what_steering_headers_ask() {
    let _turn = turn::shared().await;
    let backend = Backend::start("direct").await;
    let ask = |name: &str, value: &str| Request::get("x.test", "/p").header(name, value);
    let answer = send(backend.addr(), &ask("X-Echo-Set", "X-A: b")).await;
    assert_eq!((answer.header("x-a"), answer.backend()), (Some("b"), Some("direct")));
    assert_eq!(answer.json()["path"], "/p");
    assert_eq!(send(backend.addr(), &ask("X-Echo-Body", "text")).await.text(), "text");
    assert_eq!(send(backend.addr(), &ask("X-Echo-Chunked", "1").header("X-Echo-Size", "9999")).await.body.len(), 9999);
    assert_eq!(send(backend.addr(), &ask("X-Echo-Trailer", "X-T: 1")).await.trailers.len(), 1);
    let got = backend.recording().take();
    assert_eq!(got.len(), 4);
    assert!(got.iter().all(|request| request.complete && request.header("host") == Some("x.test")));
}

#[tokio::test]
async fn websockets_echo_without_a_proxy_between() {
    let _turn = turn::shared().await;
    let backend = Backend::start("direct").await;
    let mut socket = WebSocket::open(backend.addr(), "x.test", "/ws").await.unwrap();
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        socket.echo(&"m".repeat(size)).await.unwrap();
    }
    socket.close().await;
}
