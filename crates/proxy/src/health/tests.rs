#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgeward_routing::attachment::Attachment;
use edgeward_routing::backend::{Backend, BackendKey, Backends, HealthCheck, LoadBalance, Probe};
use edgeward_routing::endpoint::{Endpoint, EndpointState, Readiness};
use edgeward_routing::settings::Settings;
use edgeward_routing::{Publisher, Snapshot};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::probe::Prober;
use super::{HealthOptions, run};

/// A backend of the endpoints at `addresses`, each new.
pub(super) fn backend(service: &str, check: Option<HealthCheck>, addresses: &[SocketAddr]) -> Arc<Backend> {
    let endpoints =
        addresses.iter().map(|addr| Endpoint { addr: *addr, readiness: Readiness::Ready, state: Arc::default() });
    with_endpoints(service, check, endpoints.collect())
}

/// A backend that keeps the state of its endpoints.
pub(super) fn with_endpoints(service: &str, check: Option<HealthCheck>, endpoints: Box<[Endpoint]>) -> Arc<Backend> {
    Arc::new(Backend {
        key: BackendKey { namespace: "default".into(), service: service.into(), port: "80".into() },
        name: format!("default-{service}-80").into(),
        load_balance: LoadBalance::default(),
        health_check: check,
        affinity: None,
        canary: None,
        is_service_upstream: false,
        slow_start: Duration::ZERO,
        endpoints,
        cursor: Arc::default(),
        ring: Attachment::default(),
    })
}

/// A quick check that takes an endpoint out after three failures and in again after two successes.
pub(super) fn check(probe: Probe) -> HealthCheck {
    HealthCheck {
        probe,
        port: None,
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(2),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    }
}

fn http(path: &str, expected: (u16, u16)) -> HealthCheck {
    check(Probe::Http { path: path.to_owned(), host: None, expected })
}

/// The loop under test, and what it follows.
struct Running {
    publisher: Publisher,
    generation: u64,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(options: HealthOptions, backends: Vec<Arc<Backend>>) -> Self {
        let publisher = Publisher::new(snapshot(1, backends));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(run(publisher.reader(), options, async {
            let _ = stopped.await;
        }));
        Self { publisher, generation: 1, stop, task }
    }

    fn publish(&mut self, backends: Vec<Arc<Backend>>) {
        self.generation += 1;
        self.publisher.publish(snapshot(self.generation, backends));
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(5), self.task).await.unwrap().unwrap();
    }
}

fn snapshot(generation: u64, backends: Vec<Arc<Backend>>) -> Snapshot {
    Snapshot { generation, backends: Arc::new(Backends::new(backends)), ..Snapshot::empty(Settings::default()) }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 10 s: {what}");
}

/// An address that refuses connections, for as long as the socket is kept: it is bound, but does not listen.
fn closed() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// An HTTP server that answers every request with `status`, and holds it for as long as that is 0.
struct Origin {
    addr: SocketAddr,
    status: AtomicU16,
    requests: AtomicUsize,
    open: AtomicUsize,
    last_head: Mutex<String>,
}

impl Origin {
    async fn start(status: u16) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Arc::new(Self {
            addr: listener.local_addr().unwrap(),
            status: AtomicU16::new(status),
            requests: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            last_head: Mutex::default(),
        });
        let serving = Arc::clone(&origin);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = Arc::clone(&serving);
                tokio::spawn(async move {
                    serving.open.fetch_add(1, Ordering::SeqCst);
                    serving.answer(stream).await;
                    serving.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        origin
    }

    async fn answer(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        *self.last_head.lock().unwrap() = String::from_utf8(head).unwrap();
        self.requests.fetch_add(1, Ordering::SeqCst);
        while self.status.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let status = self.status.load(Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status} Text\r\nContent-Length: 2\r\n\r\nok");
        drop(stream.write_all(answer.as_bytes()).await);
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn set_status(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

fn state(backend: &Backend) -> &EndpointState {
    &backend.endpoints[0].state
}

#[tokio::test]
async fn a_tcp_check_takes_a_closed_port_out_and_in_again() {
    // An address that no other test uses: the port must be free when it is bound again.
    let listener = TcpListener::bind("127.0.0.77:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let web = backend("web", Some(check(Probe::Tcp)), &[addr]);
    let running = Running::start(HealthOptions::default(), vec![Arc::clone(&web)]);
    for _ in 0..5 {
        listener.accept().await.unwrap();
    }
    assert!(state(&web).is_healthy());

    drop(listener);
    eventually("out of the balance", || !state(&web).is_healthy()).await;

    let _listener = TcpListener::bind(addr).await.unwrap();
    eventually("in the balance again", || state(&web).is_healthy()).await;
    running.stop().await;
}

#[tokio::test]
async fn an_http_check_goes_by_status() {
    let origin = Origin::start(204).await;
    let web = backend("web", Some(http("/ready?full=1", (200, 399))), &[origin.addr]);
    let running = Running::start(HealthOptions::default(), vec![Arc::clone(&web)]);
    eventually("five probes", || origin.requests() >= 5).await;
    assert!(state(&web).is_healthy());

    origin.set_status(500);
    eventually("500 is a failure", || !state(&web).is_healthy()).await;
    origin.set_status(302);
    eventually("302 is expected", || state(&web).is_healthy()).await;
    origin.set_status(400);
    eventually("400 is the first that is not expected", || !state(&web).is_healthy()).await;
    running.stop().await;
}

#[tokio::test]
async fn an_http_check_sends_path_and_host() {
    let named = Origin::start(200).await;
    let unnamed = Origin::start(200).await;
    let probe = Probe::Http { path: "/live?a=b".into(), host: Some("shop.example".into()), expected: (200, 200) };
    let running = Running::start(
        HealthOptions::default(),
        vec![
            backend("named", Some(check(probe)), &[named.addr]),
            backend("unnamed", Some(http("/", (200, 200))), &[unnamed.addr]),
        ],
    );
    eventually("a probe of each", || named.requests() > 0 && unnamed.requests() > 0).await;
    running.stop().await;

    let head = named.last_head.lock().unwrap().to_lowercase();
    assert!(head.starts_with("get /live?a=b http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: shop.example\r\n"), "{head}");
    assert!(head.contains("\r\nuser-agent: edgeward-health-check/"), "{head}");
    let head = unnamed.last_head.lock().unwrap().to_lowercase();
    assert!(head.contains(&format!("\r\nhost: {}\r\n", unnamed.addr)), "{head}");
}

#[tokio::test]
async fn the_port_of_the_check_replaces_that_of_the_endpoint() {
    let origin = Origin::start(200).await;
    // Nothing listens on the endpoint's own port, so only the check's port can be what answers.
    let (_socket, closed) = closed();
    for probe in [Probe::Tcp, Probe::Http { path: "/".into(), host: None, expected: (200, 200) }] {
        let on_origin = HealthCheck { port: Some(origin.addr.port()), ..check(probe.clone()) };
        let on_endpoint = check(probe);
        let (moved, own) = (backend("moved", Some(on_origin), &[closed]), backend("own", Some(on_endpoint), &[closed]));
        let running = Running::start(HealthOptions::default(), vec![Arc::clone(&moved), Arc::clone(&own)]);
        eventually("the endpoint's own port fails", || !state(&own).is_healthy()).await;
        assert!(state(&moved).is_healthy());
        running.stop().await;
    }
    assert!(origin.requests() > 0);
}

#[tokio::test]
async fn a_server_that_never_answers_fails_at_the_timeout() {
    let origin = Origin::start(0).await;
    let check = HealthCheck { timeout: Duration::from_millis(50), unhealthy_threshold: 2, ..http("/", (200, 200)) };
    let web = backend("web", Some(check), &[origin.addr]);
    let running = Running::start(HealthOptions::default(), vec![Arc::clone(&web)]);
    eventually("out of the balance", || !state(&web).is_healthy()).await;
    assert!(origin.requests() >= 2);
    running.stop().await;
}

#[tokio::test]
async fn a_check_that_cannot_be_sent_fails_and_hurts_nothing_else() {
    let origin = Origin::start(200).await;
    let header = Probe::Http { path: "/".into(), host: Some("a\r\nb: c".into()), expected: (200, 200) };
    let broken = [http("/ a\r\nb", (200, 200)), check(header)].map(|check| backend("x", Some(check), &[origin.addr]));
    let good = backend("good", Some(http("/", (200, 200))), &[origin.addr]);
    let [path, host] = &broken;
    let running = Running::start(HealthOptions::default(), vec![Arc::clone(path), Arc::clone(host), Arc::clone(&good)]);
    eventually("both are out", || !state(path).is_healthy() && !state(host).is_healthy()).await;
    assert!(state(&good).is_healthy());
    running.stop().await;
}

#[tokio::test]
async fn no_more_probes_than_allowed_are_under_way_at_a_time() {
    let origin = Origin::start(0).await;
    let check = HealthCheck { timeout: Duration::from_secs(60), ..http("/", (200, 200)) };
    let web = backend("web", Some(check), &vec![origin.addr; 40]);
    let running = Running::start(HealthOptions { max_concurrent: 4 }, vec![Arc::clone(&web)]);
    eventually("as many as allowed", || origin.requests() >= 4).await;
    // All forty are due within the interval of 20 ms.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((origin.requests(), origin.open.load(Ordering::SeqCst)), (4, 4));

    origin.set_status(200);
    eventually("all have their turn", || origin.requests() >= 120).await;
    assert!(web.endpoints.iter().all(|endpoint| endpoint.state.is_healthy()));
    running.stop().await;
}

#[tokio::test]
async fn a_verdict_survives_snapshots_and_goes_with_its_check() {
    let (_socket, closed) = closed();
    let web = backend("web", Some(check(Probe::Tcp)), &[closed]);
    let mut running = Running::start(HealthOptions::default(), vec![Arc::clone(&web)]);
    eventually("out of the balance", || !state(&web).is_healthy()).await;

    let origin = Origin::start(200).await;
    let other = backend("other", Some(http("/", (200, 200))), &[origin.addr]);
    let same = with_endpoints("web", web.health_check.clone(), web.endpoints.clone());
    running.publish(vec![Arc::clone(&other), same]);
    eventually("the new endpoint is probed", || origin.requests() >= 3).await;
    assert!(!state(&web).is_healthy());
    assert!(state(&other).is_healthy());

    running.publish(vec![other, with_endpoints("web", None, web.endpoints.clone())]);
    eventually("in the balance again", || state(&web).is_healthy()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_failure_says_what_was_answered_and_what_was_expected() {
    let origin = Origin::start(503).await;
    let (_socket, closed) = closed();
    let prober = Prober::new();
    let check = http("/", (200, 299));
    let status = prober.ask(&check, origin.addr).await.unwrap_err().to_string();
    assert_eq!(status, format!("{} answered 503, expected 200 to 299", origin.addr));
    let refused = prober.ask(&check, closed).await.unwrap_err().to_string();
    assert!(refused.contains(&closed.to_string()) && refused.contains("refused"), "{refused}");
    let path = prober.ask(&http("/ a", (200, 299)), closed).await.unwrap_err().to_string();
    assert!(path.starts_with("health check path \"/ a\" cannot be sent in an HTTP request: "), "{path}");
}
