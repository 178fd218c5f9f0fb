//! When a backend cannot answer: the right status, and the reason in the access log.

use std::net::SocketAddr;
use std::time::Duration;

use edgeward_tests::address::pod;
use edgeward_tests::backend::Backend;
use edgeward_tests::client::{Connection, Request, connect, send};
use edgeward_tests::h2_backend::H2Backend;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, service, service_alone};
use edgeward_tests::message::Broken;
use edgeward_tests::{PATIENCE, turn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::site::Site;

/// An address where connections are neither accepted nor refused: the queue of its listener is full.
async fn black_hole() -> (SocketAddr, Vec<tokio::task::JoinHandle<()>>, tokio::net::TcpListener) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    let addr = pod();
    socket.bind(addr).unwrap();
    let listener = socket.listen(1).unwrap();
    let held = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                let held = connect(addr, None).await;
                tokio::time::sleep(Duration::from_secs(60)).await;
                drop(held);
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    (addr, held, listener)
}

#[tokio::test]
async fn every_failure_has_its_status_and_its_reason() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let (hole, held, _listener) = black_hole().await;
    site.manifests.write("dead.yaml", service("dead", &[pod()]));
    site.manifests.write("hole.yaml", service("hole", &[hole]));
    site.manifests.write("empty.yaml", service_alone("empty", 8080));
    site.ingress(
        &Ingress::new("web")
            .annotation("proxy-read-timeout", "1")
            .annotation("proxy-connect-timeout", "1")
            .path("web.test", "Prefix", "/web", "web")
            .host("dead.test", "dead")
            .host("hole.test", "hole")
            .host("empty.test", "empty"),
    );
    site.ingress(&Ingress::new("missing").host("missing.test", "no-such-service"));
    site.ingress(&Ingress::new("guarded").annotation("auth-type", "basic").host("guarded.test", "web"));
    let edgeward = site.serve().await;
    let post = |host: &str, path: &str| Request::post(host, path, "x");
    let table: &[(&str, Request, u16, &str)] = &[
        ("no such host", post("nowhere.test", "/1"), 404, "no_host"),
        ("no such path", post("web.test", "/2"), 404, "no_route"),
        ("no endpoints", post("empty.test", "/3"), 503, "no_endpoints"),
        ("no such Service", post("missing.test", "/4"), 503, "no_endpoints"),
        ("a guard that cannot be enforced", post("guarded.test", "/5"), 503, "route_closed"),
        ("connection refused", post("dead.test", "/6"), 502, "connect_failed"),
        ("no connection in time", post("hole.test", "/7"), 504, "connect_timeout"),
        ("no answer in time", post("web.test", "/web/8").header("X-Echo-Delay", "5"), 504, "upstream_timeout"),
        ("closed without an answer", post("web.test", "/web/9").header("X-Echo-Close", "1"), 502, "upstream_closed"),
        ("bad path", post("web.test", "/web/../../10"), 400, "bad_path"),
        ("TRACE", Request::new("TRACE", "web.test", "/web/11"), 405, "method_not_allowed"),
    ];
    let mut wrong = Vec::new();
    for (what, request, status, reason) in table {
        let answer = send(edgeward.http, request).await;
        let uri = request.target().to_owned();
        let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == uri.as_str()).await;
        if answer.status() != *status || entry["reason"] != *reason || entry["status"] != *status {
            wrong.push(format!(
                "{what}: {} and {} rather than {status} and {reason}",
                answer.status(),
                entry["reason"]
            ));
        }
        if answer.body.len() > 1000 {
            wrong.push(format!("{what}: a body of {} bytes", answer.body.len()));
        }
    }
    for task in held {
        task.abort();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The client has sent what it had, or could; it is the endpoint that does not go on.
#[tokio::test]
async fn an_endpoint_that_takes_no_more_of_a_body_is_to_blame() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let listener = tokio::net::TcpListener::bind(pod()).await.unwrap();
    site.manifests.write("deaf.yaml", service("deaf", &[listener.local_addr().unwrap()]));
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let ingress = Ingress::new("deaf").annotation("proxy-send-timeout", "1").annotation("proxy-read-timeout", "1");
    site.ingress(&ingress.annotation("proxy-body-size", "0").host("deaf.test", "deaf"));
    let edgeward = site.serve().await;
    let request = Request::post("deaf.test", "/upload", vec![0; 32 << 20]);
    let mut connection = Connection::open(edgeward.http).await;
    // The answer may come before the whole request is out.
    let _ = connection.write(request.bytes()).await;
    let answer = connection.read_response("POST").await.unwrap();
    let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == "/upload").await;
    assert_eq!((answer.status(), &entry["reason"]), (504, &"upstream_timeout".into()));
}

#[tokio::test]
async fn an_answer_of_a_backend_is_not_logged_with_a_reason() {
    let _turn = turn::shared().await;
    let site = Site::with_host("web.test", "web").await;
    let edgeward = site.serve().await;
    for status in ["200", "404", "503"] {
        let request = Request::get("web.test", &format!("/{status}")).header("X-Echo-Status", status);
        let answer = send(edgeward.http, &request).await;
        assert_eq!((answer.start.split(' ').nth(1), answer.backend()), (Some(status), Some("web")));
        let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == format!("/{status}")).await;
        assert_eq!((&entry["reason"], &entry["upstream_status"]), (&"".into(), &status.into()));
        assert_eq!(entry["proxy_upstream_name"], "default-web-80");
        assert_eq!(entry["ingress"], "web");
    }
}

#[tokio::test]
async fn a_refused_endpoint_is_passed_over_for_any_method() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let backend = Backend::start("alive").await;
    site.manifests.write("half.yaml", service("half", &[pod(), backend.addr()]));
    site.ingress(&Ingress::new("half").host("half.test", "half"));
    let edgeward = site.serve().await;
    for number in 0..20 {
        let request = Request::post("half.test", &format!("/{number}"), "x");
        let answer = send(edgeward.http, &request).await;
        assert_eq!((answer.status(), answer.backend()), (200, Some("alive")), "request {number}");
    }
}

#[tokio::test]
async fn a_request_that_a_backend_may_have_acted_on_is_not_sent_again() {
    let _turn = turn::shared().await;
    let site = Site::with_host("web.test", "web").await;
    let edgeward = site.serve().await;
    let answer = send(edgeward.http, &Request::post("web.test", "/", "x").header("X-Echo-Close", "1")).await;
    assert_eq!(answer.status(), 502);
    assert_eq!(site.recording.take().len(), 1, "a POST was repeated");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_a_clean_end() {
    let _turn = turn::shared().await;
    let site = Site::with_host("web.test", "web").await;
    let edgeward = site.serve().await;
    for framing in ["length", "chunked"] {
        let request = Request::get("web.test", "/").header("X-Echo-Truncate", framing).header("X-Echo-Size", "100000");
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(request.bytes()).await;
        let broken = connection.read_response("GET").await.map(|answer| answer.body.len());
        assert!(matches!(broken, Err(Broken::Truncated | Broken::Reset)), "{framing}: {broken:?}");

        let mut client = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
        let request = hyper::Request::get("http://web.test/")
            .header("x-echo-truncate", framing)
            .header("x-echo-size", "100000")
            .body(())
            .unwrap();
        let answer = client.send(request, bytes::Bytes::new()).await.map(|answer| answer.body.len());
        assert!(answer.is_err(), "{framing} over HTTP/2: {answer:?}");
    }
}

#[tokio::test]
async fn a_client_that_pauses_in_its_body_is_not_the_failure_of_an_endpoint() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").annotation("proxy-read-timeout", "1").host("web.test", "web"));
    let edgeward = site.launch().argument("--body-timeout=1").start().await;
    for number in 0..3 {
        let request = Request::new("PUT", "web.test", &format!("/{number}")).body("0123456789");
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(&request.bytes()[..request.bytes().len() - 5]).await;
        assert_eq!(connection.response("PUT").await.status(), 408);
        let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == request.target()).await;
        assert_eq!(entry["reason"], "client_timeout");
    }
    assert_eq!(site.recording.take().len(), 3, "an unfinished request was repeated");
    assert!(!edgeward.log().contains("ejected"), "{}", edgeward.log());
}

/// It has a turn in which all of them begin to wait.
#[tokio::test]
async fn a_silent_endpoint_is_given_up_by_all_streams_of_a_connection() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let ingress = Ingress::new("web").annotation("proxy-read-timeout", "1").annotation("proxy-next-upstream", "off");
    site.ingress(&ingress.host("web.test", "web"));
    let edgeward = site.launch().workers(1).start().await;
    let client = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let asked = (0..100).map(|_| {
        let mut client = H2Client::clone(&client);
        async move {
            let request = hyper::Request::get("http://web.test/").header("x-echo-delay", "60").body(()).unwrap();
            client.send(request, bytes::Bytes::new()).await.unwrap().status.as_u16()
        }
    });
    let answers = timeout(PATIENCE, futures_util::future::join_all(asked)).await.expect("all of them have their time");
    assert_eq!(answers, [504; 100]);
}

#[tokio::test]
async fn a_request_that_the_proxy_cannot_send_is_not_the_failure_of_an_endpoint() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let (one, two) = (H2Backend::start("one").await, H2Backend::start("two").await);
    site.manifests.write("grpc.yaml", service("grpc", &[one.addr(), two.addr()]));
    site.ingress(&Ingress::new("grpc").annotation("backend-protocol", "GRPC").default_backend("grpc", 80));
    let edgeward = site.serve().await;
    // HTTP/2 cannot say what HTTP/1.0 may: nothing of the host.
    for _ in 0..12 {
        let answer = send(edgeward.http, &Request::hostless("GET", "/").version("1.0")).await;
        assert_eq!(answer.status(), 500);
    }
    assert!(!edgeward.log().contains("ejected"), "{}", edgeward.log());
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_response_is_in_the_log() {
    let _turn = turn::shared().await;
    let site = Site::with_host("web.test", "web").await;
    let edgeward = site.serve().await;
    for (number, fields) in [("X-Echo-Size", "50000000"), ("X-Echo-Chunked", "1")].into_iter().enumerate() {
        let request = Request::get("web.test", &format!("/left-{number}")).header("X-Echo-Size", "50000000");
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(request.header(fields.0, fields.1).bytes()).await;
        connection.read_some().await.unwrap();
        // Long enough for the proxy to be stuck.
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(connection);
        let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == format!("/left-{number}")).await;
        assert_eq!((&entry["status"], &entry["reason"]), (&200.into(), &"client_closed".into()), "{entry}");
    }
    assert!(!edgeward.log().contains("panicked"), "{}", edgeward.log());
}

/// A stream of events has pauses, and so has a call that is still open. An endpoint that is silent before it has answered
/// a whole request is one that fails.
#[tokio::test]
async fn an_endpoint_that_has_nothing_to_say_stays() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n";
    for (name, answer) in [("events", head), ("silent", "")] {
        let endpoints = [quiet(answer).await, quiet(answer).await];
        site.manifests.write(&format!("{name}.yaml"), service(name, &endpoints));
        let ingress = Ingress::new(name).annotation("proxy-read-timeout", "1").annotation("proxy-next-upstream", "off");
        site.ingress(&ingress.host(&format!("{name}.test"), name));
    }
    let edgeward = site.serve().await;
    let ask = |host: &'static str| {
        let requests = (0..8).map(|_| async move {
            let mut connection = Connection::open(edgeward.http).await;
            connection.send(Request::get(host, "/").bytes()).await;
            connection.read_response("GET").await
        });
        futures_util::future::join_all(requests)
    };
    assert!(ask("events.test").await.iter().all(Result::is_err), "a stream that pauses for too long is cut");
    assert!(ask("silent.test").await.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 504)));
    let begun = std::time::Instant::now();
    while !edgeward.log().contains("ejected a failing endpoint backend=default-silent") {
        assert!(begun.elapsed() < edgeward_tests::PATIENCE, "{}", edgeward.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!edgeward.log().contains("endpoint backend=default-events"), "{}", edgeward.log());
}

/// An endpoint that takes every request, and gives this answer, of which more is to come.
async fn quiet(answer: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(pod()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
            });
        }
    });
    addr
}

#[tokio::test]
async fn a_call_that_is_open_on_both_sides_is_not_the_failure_of_an_endpoint() {
    let _turn = turn::shared().await;
    let site = Site::new();
    // They answer when they have the whole call.
    let (one, two) = (H2Backend::start("one").await, H2Backend::start("two").await);
    site.manifests.write("grpc.yaml", service("grpc", &[one.addr(), two.addr()]));
    let ingress = Ingress::new("grpc").annotation("backend-protocol", "GRPC").annotation("proxy-read-timeout", "1");
    site.ingress(&ingress.host("grpc.test", "grpc"));
    let edgeward = site.serve().await;
    let calls = (0..8).map(|_| async {
        let mut client = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
        client.call_without_end("http://grpc.test/a.B/C").await
    });
    for outcome in futures_util::future::join_all(calls).await {
        assert_eq!(outcome.unwrap().as_u16(), 504);
    }
    assert!(!edgeward.log().contains("ejected"), "{}", edgeward.log());
}
