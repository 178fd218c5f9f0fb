//! SIGTERM: readiness fails first, accepting goes on, then everything in flight ends in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_tests::backend::Start;
use edgeward_tests::client::{Connection, Request, connect};
use edgeward_tests::edgeward::{Launch, Signal};
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::load::{Load, Plan, Shot, Workload};
use edgeward_tests::manifest::{Ingress, Manifests, service};
use edgeward_tests::message::Message;
use edgeward_tests::turn;
use edgeward_tests::websocket::{Ending, WebSocket};

use crate::site::Site;

const HOST: &str = "drain.test";
const GRACE: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Simple;

impl Workload for Simple {
    fn shot(&self, number: usize) -> Shot {
        let request = if number.is_multiple_of(4) {
            ("POST", Request::post(HOST, "/", vec![b'p'; 256]))
        } else {
            ("GET", Request::get(HOST, "/"))
        };
        Shot { method: request.0, bytes: request.1.bytes(), context: 0 }
    }

    fn judge(&self, shot: &Shot, answer: &Message) -> Result<(), String> {
        if answer.status() == 200 { Ok(()) } else { Err(format!("{} {}", shot.method, answer.status())) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_with_200_websockets_under_load_fails_no_request_and_closes_them_with_1001() {
    let _turn = turn::alone().await;
    let backend = Start::default().quiet().start("web").await;
    let manifests = Manifests::new();
    manifests.write("service.yaml", service("web", &[backend.addr()]));
    manifests.write("ingress.yaml", Ingress::new("web").host(HOST, "web").text());
    let mut edgeward = Launch::new(manifests.path())
        .access_log("off")
        .argument(format!("--shutdown-grace-period={}", GRACE.as_secs()))
        .argument(format!("--drain-timeout={}", DRAIN.as_secs()))
        .start()
        .await;

    let mut sockets = Vec::new();
    for index in 0..200 {
        let mut socket = WebSocket::open(edgeward.http, HOST, "/ws").await.unwrap();
        socket.echo(&format!("hello {index}")).await.unwrap();
        sockets.push(socket);
    }
    let plan = Plan { addr: edgeward.http, rate: 1000, connections: 50, requests: 1_000_000 };
    let load = Load::start(plan, Arc::new(Simple));
    tokio::time::sleep(Duration::from_secs(1)).await;

    let terminated = Instant::now();
    edgeward.signal(Signal::Terminate);
    while edgeward.is_ready().await {
        assert!(
            terminated.elapsed() < Duration::from_millis(500),
            "still ready {:?} after SIGTERM",
            terminated.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let unready_after = terminated.elapsed();
    let before = load.sent();
    // Accepting goes on while routers in front learn of it.
    let mut late = WebSocket::open(edgeward.http, HOST, "/ws").await.expect("new connections during the grace period");
    late.echo("late").await.unwrap();
    for socket in &mut sockets {
        socket.echo("still here").await.expect("a WebSocket during the grace period");
    }
    sockets.push(late);
    tokio::time::sleep_until((terminated + GRACE - Duration::from_millis(300)).into()).await;
    // By now the routers send new connections elsewhere; requests on the open ones go on.
    load.open_no_more_connections();
    assert!(load.sent() > before + 500, "the load stalled during the grace period");

    let endings = futures_util::future::join_all(sockets.iter_mut().map(|socket| async {
        let ending = socket.ending().await;
        (ending, terminated.elapsed())
    }));
    let endings =
        tokio::time::timeout(GRACE + DRAIN + Duration::from_secs(2), endings).await.expect("all WebSockets end");
    let status = edgeward.wait_exit(GRACE + DRAIN + Duration::from_secs(2)).await;
    let exited_after = terminated.elapsed();
    load.stop();
    let report = load.report().await;

    let going_away = endings.iter().filter(|(ending, _)| *ending == Ending::Code(1001)).count();
    let last = endings.iter().map(|(_, after)| *after).max().unwrap();
    eprintln!(
        "drain: {report}; not ready after {unready_after:?}, {going_away} of {} WebSockets closed with 1001, the last \
         after {last:?}, exit after {exited_after:?}",
        endings.len()
    );
    report.assert_clean();
    let others: Vec<_> = endings.iter().filter(|(ending, _)| *ending != Ending::Code(1001)).take(5).collect();
    assert!(others.is_empty(), "{going_away} of {} closed with 1001, others: {others:?}", endings.len());
    assert!(last < GRACE + DRAIN + Duration::from_millis(500), "the last WebSocket closed after {last:?}");
    assert!(status.success(), "{status}");
    assert!(exited_after < GRACE + DRAIN + Duration::from_secs(1), "exit after {exited_after:?}");
}

#[tokio::test]
async fn without_connections_the_exit_does_not_wait_for_the_deadline() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let mut edgeward = site.launch().argument("--shutdown-grace-period=0").argument("--drain-timeout=30").start().await;
    let started = Instant::now();
    edgeward.signal(Signal::Terminate);
    let status = edgeward.wait_exit(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    assert!(started.elapsed() < Duration::from_secs(4), "exit after {:?}", started.elapsed());
}

#[tokio::test]
async fn requests_in_flight_are_answered_and_their_connection_is_closed() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let mut edgeward = site.launch().argument("--shutdown-grace-period=0").argument("--drain-timeout=10").start().await;
    let mut h1 = Connection::open(edgeward.http).await;
    h1.send(Request::get(HOST, "/slow").header("X-Echo-Delay", "1.5").bytes()).await;
    let mut h2 = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let request = hyper::Request::get(format!("http://{HOST}/slow2")).header("x-echo-delay", "1.5").body(()).unwrap();
    let h2_answer = tokio::spawn(async move { h2.send(request, bytes::Bytes::new()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;

    edgeward.signal(Signal::Terminate);
    let answer = h1.response("GET").await;
    assert_eq!(answer.status(), 200);
    assert!(answer.closes(), "the client is not told that the connection ends: {answer:?}");
    assert_eq!(h2_answer.await.unwrap().expect("an HTTP/2 answer in spite of GOAWAY").status, 200);
    let status = edgeward.wait_exit(Duration::from_secs(8)).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let mut edgeward =
        site.launch().argument("--shutdown-grace-period=60").argument("--drain-timeout=60").start().await;
    edgeward.signal(Signal::Terminate);
    while edgeward.is_ready().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(edgeward.is_running());
    edgeward.signal(Signal::Terminate);
    edgeward.wait_exit(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn during_the_grace_period_readiness_fails_and_new_connections_are_served() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let mut edgeward = site.launch().argument("--shutdown-grace-period=2").argument("--drain-timeout=1").start().await;
    let terminated = Instant::now();
    edgeward.signal(Signal::Terminate);
    while edgeward.is_ready().await {
        assert!(terminated.elapsed() < Duration::from_millis(500), "readiness does not fail");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut served = 0;
    while terminated.elapsed() < Duration::from_millis(1600) {
        let ready = edgeward.health("/readyz").await.expect("health pages during the grace period");
        assert_eq!((ready.status(), &ready.json()["draining"]), (503, &true.into()));
        // The process lives: a liveness probe must not kill it.
        assert_eq!(edgeward.health("/healthz").await.map(|answer| answer.status()), Some(200));
        let mut connection = Connection::open(edgeward.http).await;
        assert_eq!(connection.exchange(&Request::get(HOST, "/")).await.status(), 200);
        let mut h2 = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
        assert_eq!(h2.get(&format!("http://{HOST}/")).await.status.as_u16(), 200);
        served += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(served > 5, "{served}");
    let status = edgeward.wait_exit(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}");
    assert!(connect(edgeward.http, None).await.is_err(), "something still listens");
}

#[tokio::test]
async fn requests_that_the_end_of_a_drain_cuts_are_in_the_access_log() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let mut edgeward = site.launch().argument("--shutdown-grace-period=0").argument("--drain-timeout=1").start().await;
    let mut h1 = Connection::open(edgeward.http).await;
    h1.send(Request::get(HOST, "/cut1").header("X-Echo-Delay", "20").bytes()).await;
    let mut h2 = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let request = hyper::Request::get(format!("http://{HOST}/cut2")).header("x-echo-delay", "20").body(()).unwrap();
    let h2_answer = tokio::spawn(async move { h2.send(request, bytes::Bytes::new()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    edgeward.signal(Signal::Terminate);
    edgeward.wait_exit(Duration::from_secs(5)).await;
    assert!(h2_answer.await.unwrap().is_err());
    for target in ["/cut1", "/cut2"] {
        let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == target).await;
        assert_eq!((&entry["status"], &entry["reason"]), (&499.into(), &"shutdown".into()), "{entry}");
    }
}
