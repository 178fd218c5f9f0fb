//! HTTP/1.0 and HTTP/1.1 between client and backend.

use std::time::{Duration, Instant};

use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::manifest::{Ingress, service};
use edgeward_tests::turn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::site::Site;

const HOST: &str = "http.test";

#[tokio::test]
async fn a_connection_is_kept_alive_on_both_sides() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    // One worker has one pool of upstream connections.
    let edgeward = site.launch().workers(1).start().await;
    let mut connection = Connection::open(edgeward.http).await;
    for number in 0..20 {
        let answer = connection.exchange(&Request::get(HOST, &format!("/{number}"))).await;
        assert_eq!((answer.status(), answer.closes()), (200, false), "{answer:?}");
    }
    let got = site.recording.take();
    assert_eq!(got.len(), 20);
    assert!(got.iter().all(|request| request.connection == got[0].connection), "upstream connections are not reused");
}

#[tokio::test]
async fn http_1_0_is_served_and_closed_unless_it_asks_to_be_kept() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let answer = connection.exchange(&Request::get(HOST, "/").version("1.0")).await;
    assert_eq!(answer.status(), 200);
    assert!(connection.is_closed_within(Duration::from_secs(2)).await);
    assert_eq!(site.recording.last().unwrap().version, "HTTP/1.1");

    let mut connection = Connection::open(edgeward.http).await;
    let kept = Request::get(HOST, "/").version("1.0").header("Connection", "keep-alive");
    let answer = connection.exchange(&kept).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.header("transfer-encoding").is_none(), "an HTTP/1.0 client knows no chunks");
    assert_eq!(answer.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("keep-alive"));
    assert_eq!(connection.exchange(&kept).await.status(), 200);

    let mut connection = Connection::open(edgeward.http).await;
    let chunked = Request::get(HOST, "/").version("1.0").header("X-Echo-Chunked", "1").header("X-Echo-Size", "9000");
    let answer = connection.exchange(&chunked).await;
    assert_eq!((answer.status(), answer.body.len()), (200, 9000));
    assert!(answer.header("transfer-encoding").is_none(), "an HTTP/1.0 client knows no chunks");
}

#[tokio::test]
async fn connection_close_of_the_client_is_honoured() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let answer = connection.exchange(&Request::get(HOST, "/").header("Connection", "close")).await;
    assert_eq!(answer.status(), 200);
    assert!(connection.is_closed_within(Duration::from_secs(2)).await);
}

#[tokio::test]
async fn an_answer_to_head_and_a_304_have_no_body() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let head = connection.exchange(&Request::new("HEAD", HOST, "/").header("X-Echo-Size", "1234")).await;
    assert_eq!((head.status(), head.header("content-length")), (200, Some("1234")));
    let unmodified = connection.exchange(&Request::get(HOST, "/").header("X-Echo-Status", "304")).await;
    assert_eq!(unmodified.status(), 304);
    let no_content = connection.exchange(&Request::get(HOST, "/").header("X-Echo-Status", "204")).await;
    assert_eq!(no_content.status(), 204);
    // The connection is still in step.
    assert_eq!(connection.exchange(&Request::get(HOST, "/after")).await.json()["path"], "/after");
}

#[tokio::test]
async fn bodies_pass_both_ways_in_chunks_and_with_a_length() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    for size in [1, 1023, 1024, 65_536, 1_000_000, 4_000, 1_000_000, 40_000, 1_000_000, 100_000] {
        let request = Request::post(HOST, "/", vec![b'u'; size]);
        for request in [request.clone(), request.chunked()] {
            let answer = connection.exchange(&request).await;
            assert_eq!((answer.status(), answer.json()["body_length"].as_u64()), (200, Some(size as u64)));
        }
        for chunked in [false, true] {
            let mut request = Request::get(HOST, "/").header("X-Echo-Size", &size.to_string());
            if chunked {
                request = request.header("X-Echo-Chunked", "1");
            }
            let answer = connection.exchange(&request).await;
            assert_eq!((answer.status(), answer.body.len()), (200, size), "chunked: {chunked}");
            assert_eq!(answer.header("transfer-encoding").is_some(), chunked);
        }
    }
}

#[tokio::test]
async fn large_bodies_are_streamed() {
    let _turn = turn::shared().await;
    const SIZE: usize = 50_000_000;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").annotation("proxy-body-size", "0").host(HOST, "web"));
    let edgeward = site.serve().await;
    let before = edgeward.resident_bytes();
    let up = send(edgeward.http, &Request::post(HOST, "/", vec![b'u'; SIZE])).await;
    assert_eq!((up.status(), up.json()["body_length"].as_u64()), (200, Some(SIZE as u64)));
    let down = send(edgeward.http, &Request::get(HOST, "/").header("X-Echo-Size", &SIZE.to_string())).await;
    assert_eq!((down.status(), down.body.len()), (200, SIZE));
    let grown = edgeward.resident_bytes().saturating_sub(before);
    eprintln!("two bodies of {SIZE} bytes: resident memory grew by {grown} bytes");
    assert!(grown < SIZE as u64 / 2, "bodies are kept in memory: {grown} bytes more");
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_end_of_a_large_body() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    // Whether the last piece meets a socket that is full is chance.
    for size in (12_000_000..).step_by(100_000).take(16) {
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(Request::get(HOST, "/").header("X-Echo-Size", &size.to_string()).bytes()).await;
        assert_eq!(connection.response_head().await.unwrap().status(), 200);
        let mut got = 0;
        for turn in 1.. {
            let read = connection.read_some().await;
            let read = read.unwrap_or_else(|error| panic!("{got} of {size} bytes: {error}")).len();
            got += read;
            if got == size || read == 0 {
                break;
            }
            if turn % 16 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(got, size);
    }
}

#[tokio::test]
async fn expect_100_continue_gets_its_continue_before_the_body() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let request = Request::post(HOST, "/", "hello").header("Expect", "100-continue");
    connection.send(request.head()).await;
    let interim = connection.response_head().await.expect("an interim answer before the body is sent");
    assert_eq!(interim.status(), 100);
    connection.send("hello").await;
    let answer = connection.response("POST").await;
    assert_eq!((answer.status(), answer.json()["body_length"].as_u64()), (200, Some(5)));
}

#[tokio::test]
async fn trailers_of_a_backend_leave_the_message_whole() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let request = Request::get(HOST, "/").header("X-Echo-Trailer", "X-Sum: 42").header("X-Echo-Size", "100");
    let answer = connection.exchange(&request).await;
    assert_eq!((answer.status(), answer.body.len()), (200, 100));
    // A recipient may drop trailers (RFC 9110 section 6.5.1), but not invent or break them.
    assert!(answer.trailers.is_empty() || answer.trailers == [("X-Sum".to_owned(), "42".to_owned())]);
    assert_eq!(connection.exchange(&Request::get(HOST, "/after")).await.status(), 200);
}

#[tokio::test]
async fn trailers_of_a_client_leave_the_message_whole() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    connection.send(head + "3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n").await;
    let answer = connection.response("POST").await;
    assert_eq!((answer.status(), answer.json()["body_length"].as_u64()), (200, Some(3)));
    assert_eq!(connection.exchange(&Request::get(HOST, "/after")).await.status(), 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_by_length_and_in_chunks() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").annotation("proxy-body-size", "1k").host(HOST, "web"));
    let edgeward = site.serve().await;
    for (size, status) in [(1024, 200), (1025, 413), (3_000_000, 413)] {
        let request = Request::post(HOST, "/", vec![b'u'; size]);
        assert_eq!(send(edgeward.http, &request).await.status(), status, "{size} bytes with a length");
        assert_eq!(send(edgeward.http, &request.chunked()).await.status(), status, "{size} bytes in chunks");
    }
    let entry = edgeward.access_log_entry(|entry| entry["status"] == 413).await;
    assert_eq!(entry["reason"], "body_too_large");
}

#[tokio::test]
async fn an_early_answer_of_the_backend_reaches_a_client_that_is_still_sending() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").annotation("proxy-body-size", "0").host(HOST, "web"));
    let edgeward = site.serve().await;
    let request = Request::post(HOST, "/", vec![b'u'; 20_000_000]).header("X-Echo-Reject", "413");
    let answer = send(edgeward.http, &request).await;
    assert_eq!((answer.status(), answer.backend()), (413, Some("web")));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let mut bytes = Request::post(HOST, "/first", "body").bytes();
    bytes.extend(Request::get(HOST, "/second").bytes());
    connection.send(&bytes).await;
    let first = connection.response("POST").await;
    assert_eq!(first.json()["path"], "/first");
    // Either it is answered, or the connection ends behind the first answer; nothing else is in order.
    match connection.read_response("GET").await {
        Ok(second) => assert_eq!(second.json()["path"], "/second"),
        Err(broken) => assert_eq!(broken, edgeward_tests::message::Broken::Closed),
    }
}

#[tokio::test]
async fn a_short_circuit_answer_never_lets_its_body_be_read_as_a_request() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("closed").annotation("force-ssl-redirect", "true").host("redirected.test", "web"));
    site.ingress(&Ingress::new("web").annotation("proxy-body-size", "10").host(HOST, "web"));
    let edgeward = site.serve().await;
    let inner = String::from_utf8(Request::get(HOST, "/smuggled").bytes()).unwrap();
    for (host, status) in [("redirected.test", 308), ("nowhere.test", 404), (HOST, 413)] {
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(Request::post(host, "/", inner.clone()).bytes()).await;
        assert_eq!(connection.response("POST").await.status(), status);
        connection.finish().await;
        assert!(connection.is_closed_within(Duration::from_secs(5)).await, "{host}: a second answer");
    }
    assert!(site.recording.take().is_empty(), "a body was taken for a request");
}

#[tokio::test]
async fn a_target_is_passed_on_as_it_came_or_in_percent_encoding() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut wrong = Vec::new();
    // Not all of these are URIs (RFC 3986), but clients send them and nginx passes them on. Characters stand for bytes.
    // What the engine has no place for is encoded, which means the same.
    let encoded = |target: &str| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.replace('<', "%3C").replace('>', "%3E").replace('`', "%60").replace('\u{ff}', "%FF");
        let query = query.replace('"', "%22").replace('<', "%3C").replace('>', "%3E").replace('\u{ff}', "%FF");
        if query.is_empty() { path } else { format!("{path}?{query}") }
    };
    for part in [
        "plain",
        "a%20b",
        "%C3%A9",
        "%2F",
        "a+b",
        "\"",
        "<",
        ">",
        "{x}",
        "|",
        "\\",
        "^",
        "`",
        "'",
        "(a)",
        "[a]",
        "\u{c3}\u{a9}",
        "\u{ff}",
        "a;b",
        "a:b@c",
        "~",
        "!$&*,=",
    ] {
        for target in [format!("/path/{part}"), format!("/?query={part}")] {
            let mut connection = Connection::open(edgeward.http).await;
            let answer = connection.try_exchange(&Request::get(HOST, &target)).await;
            let got = site.recording.take().pop().map(|got| got.target);
            let status = answer.as_ref().map_or(0, edgeward_tests::message::Message::status);
            if status != 200 || got != Some(encoded(&target)) {
                wrong.push(format!("{target:?}: {status}, the backend got {got:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_answer_stands_in_the_access_log_and_names_no_engine() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--header-timeout=1").start().await;
    let host = format!("Host: {HOST}\r\n");
    let long = "x".repeat(9000);
    let table = [
        ("a target for another host", format!("GET http://other.test/ HTTP/1.1\r\n{host}\r\n")),
        ("a bad escape", format!("GET /%zz HTTP/1.1\r\n{host}\r\n")),
        ("two lengths", format!("POST / HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("a long target", format!("GET /{long} HTTP/1.1\r\n{host}\r\n")),
        ("a large header", format!("GET / HTTP/1.1\r\n{host}X: {long}{long}{long}{long}\r\n\r\n")),
        ("an unfinished header", format!("GET / HTTP/1.1\r\n{host}")),
    ];
    let mut wrong = Vec::new();
    for (what, bytes) in table {
        let before = edgeward.access_log().len();
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(bytes).await;
        let Ok(answer) = connection.read_response("GET").await else {
            wrong.push(format!("{what}: no answer"));
            continue;
        };
        if let Some(engine) = answer.header("server") {
            wrong.push(format!("{what}: {} with Server: {engine}", answer.status()));
        }
        let started = Instant::now();
        while edgeward.access_log().len() == before && started.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match edgeward.access_log().get(before) {
            None => wrong.push(format!("{what}: {} is not in the access log", answer.status())),
            Some(entry) if entry["status"] != answer.status() || entry["reason"] == "" => {
                wrong.push(format!("{what}: {} but the access log has {entry}", answer.status()));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sends a request that waits for its `100 Continue`, and reads the answer.
async fn exchange_expecting(connection: &mut Connection, request: &Request) -> edgeward_tests::message::Message {
    let request = request.clone().header("Expect", "100-continue");
    let head = request.head();
    connection.send(&head).await;
    let interim = connection.response_head().await.expect("an interim answer before the body is sent");
    assert_eq!(interim.status(), 100);
    connection.send(&request.bytes()[head.len()..]).await;
    connection.response("POST").await
}

#[tokio::test]
async fn a_request_that_was_told_to_continue_is_retried_and_answered_like_others() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let alive = edgeward_tests::backend::Backend::start("alive").await;
    let half = [edgeward_tests::address::pod(), alive.addr()];
    site.manifests.write("half.yaml", edgeward_tests::manifest::service("half", &half));
    site.ingress(&Ingress::new("web").annotation("proxy-body-size", "1k").host(HOST, "web").host("half.test", "half"));
    let edgeward = site.serve().await;
    // One connection: the 100 does not end it.
    let mut connection = Connection::open(edgeward.http).await;
    for number in 0..10 {
        let answer = exchange_expecting(&mut connection, &Request::post("half.test", "/", "hello")).await;
        assert_eq!((answer.status(), answer.backend(), answer.closes()), (200, Some("alive"), false), "{number}");
    }
    let failing = Request::post(HOST, "/failing", "hello").header("X-Echo-Close", "1");
    let mut connection = Connection::open(edgeward.http).await;
    assert_eq!(exchange_expecting(&mut connection, &failing).await.status(), 502);
    let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == "/failing").await;
    assert_eq!(entry["status"], 502);
    let large = Request::post(HOST, "/large", vec![b'u'; 3000]).chunked();
    let mut connection = Connection::open(edgeward.http).await;
    assert_eq!(exchange_expecting(&mut connection, &large).await.status(), 413);
}

#[tokio::test]
async fn an_expectation_of_http_1_0_is_ignored() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let request = Request::post(HOST, "/", "hello").version("1.0").header("Expect", "100-continue");
    assert_eq!(connection.exchange(&request).await.status(), 200);
    assert_eq!(connection.interim(), 0);
}

#[tokio::test]
async fn a_small_body_that_nobody_wants_leaves_the_connection_open() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").host(HOST, "web"));
    site.ingress(&Ingress::new("https").annotation("force-ssl-redirect", "true").host("redirected.test", "web"));
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    for (host, size, status) in [("redirected.test", 5, 308), ("nowhere.test", 60_000, 404), (HOST, 5, 200)] {
        let answer = connection.exchange(&Request::post(host, "/", vec![b'u'; size])).await;
        assert_eq!((answer.status(), answer.closes()), (status, false), "{host}");
    }
    let answer = connection.exchange(&Request::post("nowhere.test", "/", vec![b'u'; 100_000])).await;
    assert_eq!((answer.status(), answer.closes()), (404, true));
}

#[tokio::test]
async fn what_a_backend_says_of_its_connection_is_not_passed_on() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let request = [
        "Connection: X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=1",
        "Proxy-Connection: keep-alive",
        "Upgrade: h2c",
        "X-End: 1",
    ]
    .iter()
    .fold(Request::get(HOST, "/"), |request, field| request.header("X-Echo-Set", field));
    let answer = connection.exchange(&request).await;
    for name in ["x-hop", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
    assert_eq!((answer.header("x-end"), answer.header("connection")), (Some("1"), Some("keep-alive")));
}

/// The listener of a backend which each test makes slow in its way.
async fn slow_backend(site: &Site) -> tokio::net::TcpListener {
    let listener = tokio::net::TcpListener::bind(edgeward_tests::address::pod()).await.unwrap();
    site.manifests.write("slow.yaml", service("slow", &[listener.local_addr().unwrap()]));
    site.ingress(&Ingress::new("slow").host(HOST, "slow"));
    listener
}

#[tokio::test]
async fn what_a_backend_has_sent_is_passed_on_while_it_pauses() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let listener = slow_backend(&site).await;
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.read(&mut [0; 4096]).await;
            let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _ = tcp.write_all(&[b'x'; 10_000]).await;
            // The rest never comes.
            std::future::pending::<()>().await;
        }
    });
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let started = Instant::now();
    connection.send(Request::get(HOST, "/").bytes()).await;
    let mut came = Vec::new();
    while came.iter().filter(|byte| **byte == b'x').count() < 10_000 {
        let more = connection.read_some().await.expect("what the backend has sent");
        assert!(!more.is_empty(), "the connection ends");
        came.extend(more);
    }
    assert!(came.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(started.elapsed() < Duration::from_secs(5), "after {:?}", started.elapsed());
}

#[tokio::test]
async fn a_large_body_comes_in_order_and_nothing_of_it_is_held_back() {
    const LENGTH: usize = 300_000;
    const PAUSE: Duration = Duration::from_millis(300);
    let _turn = turn::shared().await;
    let site = Site::new();
    let listener = slow_backend(&site).await;
    let body: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    let sent = body.clone();
    tokio::spawn(async move {
        // With the head, before a pause, as much as the target says.
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = tcp.read(&mut request).await.unwrap();
            let target = String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap().to_owned();
            let first: usize = target.trim_start_matches('/').parse().unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n");
            let _ = tcp.write_all(&[head.as_bytes(), &sent[..first]].concat()).await;
            tokio::time::sleep(PAUSE).await;
            let _ = tcp.write_all(&sent[first..]).await;
        }
    });
    let edgeward = site.serve().await;
    for first in [0, 100, 4_000, 10_000, 40_000, 200_000] {
        let mut least = PAUSE;
        for _ in 0..3 {
            let mut connection = Connection::open(edgeward.http).await;
            let begun = Instant::now();
            connection.send(Request::get(HOST, &format!("/{first}")).bytes()).await;
            let (mut came, mut at) = (Vec::new(), None);
            let head_end = |came: &[u8]| came.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
            while head_end(&came).is_none_or(|head| came.len() < head + LENGTH) {
                let more = connection.read_some().await.expect("more of the body");
                assert!(!more.is_empty(), "{} bytes with the head", came.len());
                came.extend(more);
                if head_end(&came).is_some_and(|head| came.len() >= head + first) {
                    at.get_or_insert_with(|| begun.elapsed());
                }
            }
            assert!(came.ends_with(&body), "{first}: the body is another");
            least = least.min(at.unwrap());
        }
        // The kernel holds a packet back for 200 ms when it is told that more comes.
        assert!(least < Duration::from_millis(150), "{first} bytes came after {least:?}");
    }
}
