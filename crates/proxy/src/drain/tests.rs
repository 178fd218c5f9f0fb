#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::TcpStream;

use super::*;
use crate::fixture::{Client, Fixture, h2_body, tls_client, tls_connect};

fn options(timeout: u64, idle_grace: u64, tunnel_window: u64) -> DrainOptions {
    let [timeout, idle_grace, tunnel_window] = [timeout, idle_grace, tunnel_window].map(Duration::from_millis);
    DrainOptions { timeout, idle_grace, tunnel_window }
}

#[tokio::test]
async fn nothing_is_waited_for_when_there_is_nothing() {
    let fixture = Fixture::start(|_| {}).await;
    let drained = fixture.running.drain(&options(10_000, 1_000, 0)).await;
    assert!(drained.cut == 0 && drained.elapsed < Duration::from_millis(500), "{drained:?}");
    assert!(TcpStream::connect(fixture.http).await.is_err());
}

#[tokio::test]
async fn requests_under_way_are_finished_and_told_to_close() {
    let fixture = Fixture::start(|_| {}).await;
    let mut busy = fixture.connect().await;
    busy.send("GET /slow/500 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut idle = fixture.connect().await;
    assert_eq!(idle.get("/echo").await.status, 200);
    let serving = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The next request of an idle connection finds it open.
        let last = idle.get("/echo").await;
        assert!(last.status == 200 && last.head.to_ascii_lowercase().contains("connection: close"), "{}", last.head);
        assert_eq!(idle.rest().await, b"");
        let last = busy.response().await;
        assert!(last.status == 200 && last.head.to_ascii_lowercase().contains("connection: close"), "{}", last.head);
        assert_eq!(busy.rest().await, b"");
    };
    let drain = options(10_000, 1_000, 0);
    let (drained, ()) = tokio::join!(fixture.running.drain(&drain), serving);
    assert!(drained.cut == 0 && drained.elapsed < Duration::from_millis(900), "{drained:?}");
}

#[tokio::test]
async fn idle_connections_go_after_their_grace() {
    let fixture = Fixture::start(|_| {}).await;
    let mut used = fixture.connect().await;
    assert_eq!(used.get("/echo").await.status, 200);
    let _fresh = fixture.connect().await;
    let config = tls_client(&[], rustls::ALL_VERSIONS);
    let _shaken = tls_connect(fixture.https, "localhost", config).await.unwrap();
    let drained = fixture.running.drain(&options(10_000, 300, 0)).await;
    assert!(drained.cut == 0, "{drained:?}");
    assert!(drained.elapsed >= Duration::from_millis(300) && drained.elapsed < Duration::from_secs(2), "{drained:?}");
    assert_eq!(used.rest().await, b"");
}

#[tokio::test]
async fn http2_gets_a_goaway_and_finishes_its_streams() {
    for tls in [false, true] {
        let fixture = Fixture::start(|_| {}).await;
        let config = tls_client(&["h2"], rustls::ALL_VERSIONS);
        let (mut requests, connection): (h2::client::SendRequest<bytes::Bytes>, _) = if tls {
            let io = tls_connect(fixture.https, "localhost", config).await.unwrap();
            let (requests, connection) = h2::client::handshake(io).await.unwrap();
            (requests, tokio::spawn(connection))
        } else {
            let (requests, connection) =
                h2::client::handshake(TcpStream::connect(fixture.http).await.unwrap()).await.unwrap();
            (requests, tokio::spawn(connection))
        };
        let request = http::Request::get("https://localhost/slow/500").body(()).unwrap();
        let (response, _) = requests.send_request(request, true).unwrap();
        let serving = async {
            assert_eq!(h2_body(response.await.unwrap().into_body()).await, "GET /slow/500 0");
            // The connection ends by itself, in good order.
            connection.await.unwrap().unwrap();
        };
        let drain = options(10_000, 1_000, 0);
        let started = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            fixture.running.drain(&drain).await
        };
        let (drained, ()) = tokio::join!(started, serving);
        assert!(drained.cut == 0 && drained.elapsed < Duration::from_secs(3), "{drained:?}");
    }
}

#[tokio::test]
async fn websockets_live_to_the_window_and_are_closed_with_1001() {
    let fixture = Fixture::start(|_| {}).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = fixture.connect().await;
        client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
        assert_eq!(client.response().await.status, 101);
        assert_eq!(client.exactly(4).await, b"\x81\x02hi");
        clients.push(client);
    }
    // This one is in the middle of a frame for longer than the drain lasts: there is no place for a close frame.
    clients[0].send(b"\x81\x05h").await;
    assert_eq!(clients[0].exactly(3).await, b"\x81\x05h");
    // And this one gets to the end of a frame late.
    clients[1].send(b"\x81\x05he").await;
    assert_eq!(clients[1].exactly(4).await, b"\x81\x05he");
    let begun = Instant::now();
    let serving: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(index, mut client)| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                client.send(if index < 2 { &b""[..] } else { b"\x81\x01a" }).await;
                if index == 1 {
                    tokio::time::sleep(Duration::from_millis(1250)).await;
                    client.send(b"llo\x81\x03no").await;
                }
                (client.rest().await, begun.elapsed())
            })
        })
        .collect();
    let drained = fixture.running.drain(&options(2_000, 100, 1_500)).await;
    assert!(drained.elapsed <= Duration::from_millis(2_300), "{drained:?}");
    let mut times = Vec::new();
    for (index, client) in serving.into_iter().enumerate() {
        let (rest, at) = client.await.unwrap();
        match index {
            0 => {}
            1 => assert!(rest.starts_with(b"llo"), "{}", rest.escape_ascii()),
            _ => {
                assert_eq!(rest.escape_ascii().to_string(), "\\x81\\x01a\\x88\\x02\\x03\\xe9", "{index} at {at:?}");
                times.push(at);
            }
        }
    }
    times.sort();
    assert!(times[0] >= Duration::from_millis(400), "{times:?}");
    let spread = times[times.len() - 1] - times[0];
    assert!(spread > Duration::from_millis(300), "all at once: {times:?}");
}

#[tokio::test]
async fn what_takes_too_long_is_cut() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    client.send("GET /slow/60000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let drained = fixture.running.drain(&options(300, 100, 100)).await;
    assert_eq!(drained.cut, 1);
    assert!(drained.elapsed >= Duration::from_millis(300) && drained.elapsed < Duration::from_secs(1), "{drained:?}");
    assert_eq!(client.rest().await, b"");
    fixture.is_empty().await;
}

#[tokio::test]
async fn no_request_fails_on_connections_that_are_in_use() {
    let fixture = Arc::new(Fixture::start(|_| {}).await);
    let (draining, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..40)
        .map(|index| {
            let (fixture, draining, served) = (Arc::clone(&fixture), Arc::clone(&draining), Arc::clone(&served));
            tokio::spawn(async move {
                let mut client = Client::new(TcpStream::connect(fixture.http).await.unwrap());
                tokio::time::sleep(Duration::from_millis(index)).await;
                loop {
                    client.send("GET /slow/3 HTTP/1.1\r\nHost: a\r\n\r\n").await;
                    let response = client.try_response().await.map_err(|error| format!("{error}"))?;
                    served.fetch_add(1, Ordering::Relaxed);
                    if response.head.to_ascii_lowercase().contains("connection: close") {
                        return if draining.load(Ordering::Relaxed) { Ok(()) } else { Err("closed early".to_owned()) };
                    }
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(10..80))).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    draining.store(true, Ordering::Relaxed);
    let drained = fixture.running.drain(&options(10_000, 1_000, 0)).await;
    for client in clients {
        assert_eq!(client.await.unwrap(), Ok(()));
    }
    assert!(drained.cut == 0 && drained.elapsed < Duration::from_secs(2), "{drained:?}");
    assert!(served.load(Ordering::Relaxed) > 200);
}

#[tokio::test]
async fn an_http2_client_that_vanished_is_not_waited_for() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    // A preface with settings and a ping, and then nothing: the GOAWAY is never answered.
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x08\x06\0\0\0\0\0ping-it!").await;
    client.exactly(9).await;
    let drained = fixture.running.drain(&options(10_000, 300, 0)).await;
    assert!(drained.cut == 0, "{drained:?}");
    assert!(drained.elapsed >= Duration::from_millis(300) && drained.elapsed < Duration::from_secs(2), "{drained:?}");
}
