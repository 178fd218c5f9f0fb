#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{Fixture, h2_body, tls_client, tls_connect};

const HEAD: &str = "Host: localhost\r\n\r\n";

#[tokio::test]
async fn a_dripping_head_is_cut_at_the_total_deadline() {
    let fixture = Fixture::start(|options| options.limits.header_timeout = Duration::from_millis(400)).await;
    let begun = Instant::now();
    let client = fixture.connect().await;
    let (mut read, mut write) = client.io.into_split();
    let drip = tokio::spawn(async move {
        write.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        while write.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = read.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", answer.escape_ascii());
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(3), "{took:?}");
    fixture.events.saw("BadRequest 408").await;
    drip.abort();
}

#[tokio::test]
async fn the_deadline_holds_on_later_requests_from_their_first_byte() {
    let fixture = Fixture::start(|options| options.limits.header_timeout = Duration::from_millis(300)).await;
    let mut client = fixture.connect().await;
    assert_eq!(client.get("/echo").await.status, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(client.get("/echo").await.status, 200);
    client.send("GET / HT").await;
    assert_eq!(client.response().await.status, 408);
}

#[tokio::test]
async fn silence_is_answered_with_silence() {
    let fixture = Fixture::start(|options| {
        options.limits.header_timeout = Duration::from_millis(300);
        options.limits.keepalive_idle = Duration::from_millis(600);
    })
    .await;
    let begun = Instant::now();
    assert_eq!(fixture.connect().await.rest().await, b"");
    assert!(begun.elapsed() < Duration::from_millis(550), "{:?}", begun.elapsed());

    let mut client = fixture.connect().await;
    assert_eq!(client.get("/echo").await.status, 200);
    let begun = Instant::now();
    assert_eq!(client.rest().await, b"");
    assert!(begun.elapsed() >= Duration::from_millis(550), "{:?}", begun.elapsed());
    fixture.is_empty().await;
    assert_eq!(fixture.events.all(), [""; 0]);
}

#[tokio::test]
async fn a_slow_answer_is_no_idle_connection() {
    let fixture = Fixture::start(|options| {
        options.limits.header_timeout = Duration::from_millis(150);
        options.limits.keepalive_idle = Duration::from_millis(150);
    })
    .await;
    let mut client = fixture.connect().await;
    assert_eq!(client.get("/slow/500").await.body, "GET /slow/500 0");
    assert_eq!(client.get("/slow/500").await.body, "GET /slow/500 0");
}

#[tokio::test]
async fn a_slow_body_is_no_slow_head() {
    let fixture = Fixture::start(|options| options.limits.header_timeout = Duration::from_millis(150)).await;
    let mut client = fixture.connect().await;
    client.send(format!("POST /echo HTTP/1.1\r\nContent-Length: 10\r\n{HEAD}")).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(80)).await;
        client.send("ab").await;
    }
    assert_eq!(client.response().await.body, "POST /echo 10");
}

#[tokio::test]
async fn large_heads_are_refused_and_the_answer_arrives() {
    let fixture = Fixture::start(|_| {}).await;
    let cases = [
        (400, format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(300_000))),
        (431, format!("GET / HTTP/1.1\r\n{}{HEAD}", "A: b\r\n".repeat(200))),
        (400, format!("GET / HTTP/1.1\r\nX: {}\r\n{HEAD}", "a".repeat(9_000))),
        (414, format!("GET /{} HTTP/1.1\r\n{HEAD}", "a".repeat(9_000))),
        (414, format!("GET /{}", "a".repeat(300_000))),
    ];
    for (status, request) in cases {
        let client = fixture.connect().await;
        let (mut read, mut write) = client.io.into_split();
        // The server stops reading long before the end, and yet its answer must come through.
        let sending = tokio::spawn(async move { write.write_all(request.as_bytes()).await });
        let mut answer = [0; 12];
        read.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer.escape_ascii().to_string(), format!("HTTP/1.1 {status}"));
        sending.abort();
    }
    let mut client = fixture.connect().await;
    client.send(format!("GET /{} HTTP/1.1\r\n{}{HEAD}", "a".repeat(8_000), "A: b\r\n".repeat(99))).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn bad_heads_are_refused_on_every_request() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    assert_eq!(client.get("/echo").await.status, 200);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.body.as_str()), (400, "400 Bad Request: two Host fields\n"));
    assert!(response.head.contains("Connection: close\r\n") && response.head.contains("Date: "), "{}", response.head);
    assert_eq!(client.rest().await, b"");
    fixture.events.saw("BadRequest 400 two Host fields").await;
    // What is no HTTP at all is not waited for.
    let mut client = fixture.connect().await;
    client.send(b"\x16\x03\x01\x02\x00\x01\x00").await;
    assert_eq!(client.response().await.status, 400);
}

#[tokio::test]
async fn a_field_that_is_none_does_not_fail_its_request() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    let hosts = "bad@name: x\r\nHost: localhost\r\n";
    client
        .send(format!("POST /a HTTP/1.1\r\n{hosts}Content-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n{hosts}\r\n"))
        .await;
    assert_eq!(client.response().await.body, "POST /a 5");
    assert_eq!(client.response().await.body, "GET /b 0");
}

#[tokio::test]
async fn a_response_that_is_cut_short_ends_with_a_reset() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    // HTTP/1.0 and no length: the body ends with the connection.
    client.send(format!("GET /cut HTTP/1.0\r\n{HEAD}")).await;
    let mut answer = Vec::new();
    let error = client.io.read_to_end(&mut answer).await.expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let fixture = Fixture::start(|_| {}).await;
    let requests = format!(
        "GET /slow/1 HTTP/1.1\r\n{HEAD}\
         POST /b HTTP/1.1\r\nContent-Length: 5\r\n{HEAD}hello\
         POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{HEAD}3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nT: v\r\n\r\n\
         \r\nHEAD /d HTTP/1.1\r\nConnection: close\r\n{HEAD}"
    );
    for step in [1, 7, 64, 1000] {
        let mut client = fixture.connect().await;
        client.io.set_nodelay(true).unwrap();
        for piece in requests.as_bytes().chunks(step) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.response().await.body, "GET /slow/1 0");
        assert_eq!(client.response().await.body, "POST /b 5");
        assert_eq!(client.response().await.body, "POST /c 7");
        let rest = client.rest().await;
        assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n") && rest.ends_with(b"\r\n\r\n"), "{}", rest.escape_ascii());
    }
}

#[tokio::test]
async fn an_unread_body_is_no_request() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    let hidden = format!("GET /echo HTTP/1.1\r\n{HEAD}");
    client.send(format!("POST /unread HTTP/1.1\r\nContent-Length: {}\r\n{HEAD}", hidden.len() + 1)).await;
    assert_eq!(client.response().await.body, "unread");
    let _ = client.io.write_all(hidden.as_bytes()).await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_bad_chunk_is_refused_before_the_engine_sees_the_request() {
    let fixture = Fixture::start(|_| {}).await;
    let head = format!("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{HEAD}");
    let mut client = fixture.connect().await;
    client.send(format!("{head}5\nhello\r\n0\r\n\r\n")).await;
    assert_eq!(client.response().await.status, 400);
    fixture.events.saw("BadRequest 400 chunk size is no number").await;
    // Later it is the engine that hears of it.
    let mut client = fixture.connect().await;
    client.send(&head).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.send("5\nhello\r\n0\r\n\r\n").await;
    let rest = client.rest().await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", rest.escape_ascii());
    assert_eq!(fixture.events.all().len(), 1);
}

#[tokio::test]
async fn large_bodies_pass_unharmed_both_ways() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    client.send(format!("POST /echo HTTP/1.1\r\nContent-Length: 3000000\r\n{HEAD}")).await;
    client.send(vec![b'y'; 3_000_000]).await;
    assert_eq!(client.response().await.body, "POST /echo 3000000");
    assert_eq!(client.get("/large").await.body.len(), 32 << 20);
    let tls = tls_connect(fixture.https, "localhost", tls_client(&[], rustls::ALL_VERSIONS)).await.unwrap();
    let mut client = crate::fixture::Client::new(tls);
    assert_eq!(client.get("/large").await.body.len(), 32 << 20);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let fixture = Fixture::start(|options| options.limits.write_timeout = Duration::from_millis(300)).await;
    let mut client = fixture.connect().await;
    client.send(format!("GET /large HTTP/1.1\r\n{HEAD}")).await;
    fixture.events.saw("SlowReader").await;
    fixture.is_empty().await;
}

#[tokio::test]
async fn http2_without_a_preface_is_closed() {
    let fixture = Fixture::start(|options| options.limits.header_timeout = Duration::from_millis(300)).await;
    let config = tls_client(&["h2"], rustls::ALL_VERSIONS);
    let mut tls = tls_connect(fixture.https, "localhost", config).await.unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    let _ = tls.read_to_end(&mut rest).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    // A part of it on plain text is a head that took too long.
    let mut client = fixture.connect().await;
    client.send("PRI * HT").await;
    assert_eq!(client.response().await.status, 408);
}

#[tokio::test]
async fn bytes_behind_an_upgrade_request_wait_for_the_101() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    client.send(format!("GET /ws HTTP/1.1\r\n{upgrade}{HEAD}\x01\x02early")).await;
    let response = client.response().await;
    assert_eq!(response.status, 101);
    client.send("!").await;
    assert_eq!(client.exactly(12).await, b"\x81\x02hi\x01\x02early!");
}

#[tokio::test]
async fn targets_that_the_engine_cannot_parse_are_refused_before_it() {
    let fixture = Fixture::start(|_| {}).await;
    for (target, status) in [
        ("http://other.test/", 400),
        ("http:/localhost", 400),
        ("/a<b?`", 200),
        ("/a|b{c}\"^\\?d[]", 200),
        ("http://localhost/a", 200),
    ] {
        let mut client = fixture.connect().await;
        client.send(format!("GET {target} HTTP/1.1\r\n{HEAD}")).await;
        let response = client.response().await;
        assert_eq!(response.status, status, "{target}");
        assert!(!response.head.to_ascii_lowercase().contains("server:"), "{target}: {}", response.head);
    }
}

/// HTTP/2 frames.
mod frames {
    /// The preface of a client, with its settings.
    pub(super) fn preface() -> Vec<u8> {
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b"")].concat()
    }

    pub(super) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// A GET of `localhost`, whole.
    pub(super) fn get(stream: u8, path: &str) -> Vec<u8> {
        let length = u8::try_from(path.len()).unwrap();
        let block = [b"\x82\x86\x04", &[length][..], path.as_bytes(), b"\x01\x09localhost"].concat();
        frame(1, 5, stream, &block)
    }

    /// The kinds of the frames that make up `bytes`.
    pub(super) fn kinds(mut bytes: &[u8]) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let [_, high, low, kind, rest @ ..] = bytes {
            kinds.push(*kind);
            bytes = rest.get(5 + usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
        }
        kinds
    }

    pub(super) const GOAWAY: u8 = 7;
}

#[tokio::test]
async fn an_http2_client_that_is_silent_after_its_preface_gets_a_goaway_and_is_cut() {
    let fixture = Fixture::start(|options| {
        options.limits.header_timeout = Duration::from_millis(300);
        options.limits.linger = Duration::from_millis(200);
    })
    .await;
    let begun = Instant::now();
    let mut client = fixture.connect().await;
    client.send(frames::preface()).await;
    let rest = client.rest().await;
    assert!(frames::kinds(&rest).contains(&frames::GOAWAY), "{:?}", frames::kinds(&rest));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn an_http2_head_has_a_total_deadline_beside_other_streams() {
    let fixture = Fixture::start(|options| options.limits.header_timeout = Duration::from_millis(400)).await;
    let begun = Instant::now();
    let mut client = fixture.connect().await;
    client.send([frames::preface(), frames::get(1, "/slow/20000")].concat()).await;
    let (mut read, mut write) = client.io.into_split();
    let drip = tokio::spawn(async move {
        for byte in frames::get(3, "/dripping-for-a-while-and-more") {
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut rest = Vec::new();
    let _ = read.read_to_end(&mut rest).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(2), "{took:?}");
    fixture.events.saw("BadRequest 408").await;
    drip.abort();
}

#[tokio::test]
async fn an_http2_body_that_does_not_go_on_ends_its_stream_only() {
    let fixture = Fixture::start(|options| options.limits.body_timeout = Duration::from_millis(400)).await;
    let tcp = tokio::net::TcpStream::connect(fixture.http).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(tcp).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = |path| http::Request::post(format!("http://localhost{path}")).body(()).unwrap();
    let begun = Instant::now();
    let (silent, _body) = requests.send_request(request("/silent"), false).unwrap();
    let (slow, mut body) = requests.send_request(request("/slow"), false).unwrap();
    let slowly = async {
        for number in 0..8 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            body.send_data(bytes::Bytes::from_static(b"ab"), number == 7).unwrap();
        }
        h2_body(slow.await.unwrap().into_body()).await
    };
    let (silent, slow) = tokio::join!(async { (silent.await, begun.elapsed()) }, slowly);
    assert!(silent.0.unwrap_err().is_reset());
    assert!(silent.1 >= Duration::from_millis(400) && silent.1 < Duration::from_secs(2), "{:?}", silent.1);
    assert_eq!(slow, "POST /slow 16");
    driver.abort();
}

#[tokio::test]
async fn an_http2_connection_serves_so_many_requests_and_ends_with_a_goaway() {
    let fixture = Fixture::start(|options| options.limits.keepalive_requests = 3).await;
    let tcp = tokio::net::TcpStream::connect(fixture.http).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(tcp).await.unwrap();
    let driver = tokio::spawn(connection);
    // More than it may have, all at once: those that are under way are served.
    let request = |number| http::Request::get(format!("http://localhost/slow/{number}")).body(()).unwrap();
    let sent: Vec<_> = (200..206).map(|number| requests.send_request(request(number), true).unwrap().0).collect();
    for (number, response) in (200..206).zip(sent) {
        assert_eq!(h2_body(response.await.unwrap().into_body()).await, format!("GET /slow/{number} 0"));
    }
    driver.await.unwrap().expect("an end in good order");
    fixture.is_empty().await;
}

#[tokio::test]
async fn an_idle_http2_connection_ends_with_a_goaway() {
    let fixture = Fixture::start(|options| options.limits.keepalive_idle = Duration::from_millis(400)).await;
    let tcp = tokio::net::TcpStream::connect(fixture.http).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(tcp).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("http://localhost/slow/600").body(()).unwrap();
    let response = requests.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(h2_body(response.into_body()).await, "GET /slow/600 0", "a slow answer is no idle connection");
    let idle = Instant::now();
    driver.await.unwrap().expect("an end in good order");
    let took = idle.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn streams_that_are_cancelled_after_they_were_taken_up_end_the_connection() {
    let fixture = Fixture::start(|options| options.limits.h2_cancels = 10).await;
    let tcp = tokio::net::TcpStream::connect(fixture.http).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(tcp).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut cancelled = 0;
    while cancelled < 50 {
        let request = http::Request::get("http://localhost/slow/60000").body(()).unwrap();
        let Ok((response, _)) = requests.send_request(request, true) else { break };
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(response);
        cancelled += 1;
    }
    assert!((11..20).contains(&cancelled), "{cancelled}");
    fixture.events.saw("TooManyCancels").await;
    driver.abort();
}
