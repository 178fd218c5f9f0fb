//! What one client may take.

use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeward_tests::client::{Connection, Request, connect, get, send};
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::turn;

use crate::site::Site;

const HOST: &str = "limits.test";

#[tokio::test]
async fn the_header_block_and_the_target_have_limits() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let many = |count: usize| {
        (0..count).fold(Request::get(HOST, "/"), |request, index| request.header(&format!("X-{index}"), "v"))
    };
    let fields = |count: usize, bytes: usize| {
        (0..count)
            .fold(Request::get(HOST, "/"), |request, index| request.header(&format!("X-{index}"), &"v".repeat(bytes)))
    };
    let table: &[(&str, Request, u16)] = &[
        ("8,000 bytes in one field", Request::get(HOST, "/").header("X-L", &"a".repeat(8000)), 200),
        ("8,300 bytes in one field", Request::get(HOST, "/").header("X-L", &"a".repeat(8300)), 400),
        ("30 KiB in five fields", fields(5, 6 * 1024), 200),
        ("35 KiB in five fields", fields(5, 7 * 1024), 400),
        ("1 MiB in one field", Request::get(HOST, "/").header("X-L", &"a".repeat(1 << 20)), 400),
        ("195 fields", many(195), 200),
        ("201 fields", many(201), 431),
        ("1,000 fields", many(1000), 431),
        ("a target of 8,000 bytes", Request::get(HOST, &format!("/{}", "u".repeat(7999))), 200),
        ("a target of 8,300 bytes", Request::get(HOST, &format!("/{}", "u".repeat(8299))), 414),
    ];
    for (what, request, status) in table {
        let mut connection = Connection::open(edgeward.http).await;
        let answer = connection.try_exchange(request).await.unwrap_or_else(|broken| panic!("{what}: {broken}"));
        assert_eq!(answer.status(), *status, "{what}");
    }
    // Every request of a connection is measured, not only the first.
    let mut connection = Connection::open(edgeward.http).await;
    assert_eq!(connection.exchange(&Request::get(HOST, "/")).await.status(), 200);
    assert_eq!(connection.try_exchange(&many(201)).await.map(|answer| answer.status()), Ok(431));
}

#[tokio::test]
async fn a_request_header_has_a_total_deadline() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--header-timeout=1").start().await;
    // One byte every 100 ms: never idle for long, never done.
    let mut connection = Connection::open(edgeward.http).await;
    let started = Instant::now();
    connection.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ")).await;
    let dripping = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if connection.write("a").await.is_err() || started.elapsed() > Duration::from_secs(5) {
                return started.elapsed();
            }
        }
    };
    let cut = dripping.await;
    assert!(cut < Duration::from_secs(4), "a dripping header was still read after {cut:?}");

    // Without dripping the answer can be read.
    let mut connection = Connection::open(edgeward.http).await;
    connection.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ")).await;
    let answer = connection.read_response("GET").await.expect("an answer to a header that stops");
    assert_eq!(answer.status(), 408);

    // A connection that never sends a byte ends too.
    let mut silent = Connection::open(edgeward.http).await;
    assert!(silent.is_closed_within(Duration::from_secs(4)).await);
    assert_eq!(get(edgeward.http, HOST, "/").await.status(), 200);
}

#[tokio::test]
async fn a_slow_header_on_a_kept_connection_is_cut_too_and_an_idle_one_lives_longer() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--header-timeout=1").argument("--keepalive-timeout=3").start().await;
    let mut connection = Connection::open(edgeward.http).await;
    assert_eq!(connection.exchange(&Request::get(HOST, "/")).await.status(), 200);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(connection.exchange(&Request::get(HOST, "/")).await.status(), 200, "idle is no slow header");
    connection.send("GET / HT").await;
    let answer = connection.read_response("GET").await.expect("an answer to a header that stops");
    assert_eq!(answer.status(), 408);

    let mut idle = Connection::open(edgeward.http).await;
    assert_eq!(idle.exchange(&Request::get(HOST, "/")).await.status(), 200);
    assert!(idle.is_closed_within(Duration::from_secs(6)).await, "an idle connection is kept for ever");
}

#[tokio::test]
async fn a_tls_handshake_has_a_deadline() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--tls-handshake-timeout=1").start().await;
    let mut connection = Connection::open(edgeward.https).await;
    connection.send([0x16, 0x03, 0x01]).await;
    assert!(connection.is_closed_within(Duration::from_secs(4)).await);
    // And rubbish instead of a handshake ends at once.
    let mut connection = Connection::open(edgeward.https).await;
    connection.send("GET / HTTP/1.1\r\n\r\n").await;
    let _ = connection.read_some().await;
    assert!(connection.is_closed_within(Duration::from_secs(4)).await);
}

#[tokio::test]
async fn a_client_address_can_be_held_to_a_number_of_connections() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--max-connections-per-client=5").start().await;
    let mut kept = Vec::new();
    for _ in 0..5 {
        let mut connection = Connection::open(edgeward.http).await;
        assert_eq!(connection.exchange(&Request::get(HOST, "/")).await.status(), 200);
        kept.push(connection);
    }
    let mut one_more = Connection::open(edgeward.http).await;
    let answer = one_more.try_exchange(&Request::get(HOST, "/")).await;
    assert!(answer.is_err(), "{answer:?}");
    // Another client is not held to it, and closing makes room.
    let other = connect(edgeward.http, Some("127.0.0.9".parse().unwrap())).await.unwrap();
    assert_eq!(Connection::over(other).exchange(&Request::get(HOST, "/")).await.status(), 200);
    drop(kept);
    let started = Instant::now();
    loop {
        let mut connection = Connection::open(edgeward.http).await;
        if connection.try_exchange(&Request::get(HOST, "/")).await.is_ok() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "closed connections still count");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn all_clients_together_can_be_held_to_a_number_of_connections() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--max-connections=6").start().await;
    let mut kept = Vec::new();
    let mut refused = 0;
    for client in 1..=10 {
        let stream = connect(edgeward.http, Some([127, 0, 0, client].into())).await.unwrap();
        let mut connection = Connection::over(stream);
        match connection.try_exchange(&Request::get(HOST, "/")).await {
            Ok(_) => kept.push(connection),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((kept.len(), refused), (6, 4));
    // The ones that are in are not harmed, health pages are reached, and closing makes room.
    for connection in &mut kept {
        assert_eq!(connection.exchange(&Request::get(HOST, "/")).await.status(), 200);
    }
    assert!(edgeward.is_ready().await);
    drop(kept);
    let started = Instant::now();
    while Connection::open(edgeward.http).await.try_exchange(&Request::get(HOST, "/")).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(5), "closed connections still count");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_connection_serves_a_number_of_requests_and_says_when_it_ends() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--keepalive-requests=5").start().await;
    let mut connection = Connection::open(edgeward.http).await;
    for number in 1..=5 {
        let answer = connection.exchange(&Request::get(HOST, "/")).await;
        assert_eq!((answer.status(), answer.closes()), (200, number == 5), "request {number}");
    }
    assert!(connection.is_closed_within(Duration::from_secs(4)).await);
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_harm_no_other() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut attacker = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let mut ended = false;
    for number in 0..50_000 {
        let request = hyper::Request::post(format!("http://{HOST}/{number}")).body(()).unwrap();
        if attacker.send_and_reset(request).await.is_err() {
            ended = true;
            break;
        }
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let request = hyper::Request::get(format!("http://{HOST}/")).body(()).unwrap();
    ended = ended || attacker.send(request, Bytes::new()).await.is_err();
    assert!(ended, "50,000 resets did not end the connection");
    let answer = send(edgeward.http, &Request::get(HOST, "/")).await;
    assert_eq!(answer.status(), 200);
}
