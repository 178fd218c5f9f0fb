//! WebSockets and other upgrades.

use std::time::Duration;

use edgeward_tests::client::{Connection, Request};
use edgeward_tests::manifest::Ingress;
use edgeward_tests::turn;
use edgeward_tests::websocket::{Ending, WebSocket};

use crate::site::Site;

const HOST: &str = "tunnel.test";

#[tokio::test]
async fn a_websocket_echoes_messages_of_every_size() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut socket = WebSocket::open(edgeward.http, HOST, "/ws").await.unwrap();
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        socket.echo(&"m".repeat(size)).await.unwrap();
    }
    let got = site.recording.last().unwrap();
    assert_eq!(got.header("upgrade"), Some("websocket"));
    assert!(got.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "{got:?}");
    assert!(got.header("sec-websocket-key").is_some());
    socket.close().await;
}

#[tokio::test]
async fn a_websocket_outlives_the_read_timeout_while_it_is_active() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(
        &Ingress::new("web")
            .annotation("proxy-read-timeout", "1")
            .annotation("proxy-send-timeout", "1")
            .host(HOST, "web"),
    );
    let edgeward = site.serve().await;
    let mut socket = WebSocket::open(edgeward.http, HOST, "/ws").await.unwrap();
    for number in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        socket.echo(&number.to_string()).await.unwrap();
    }
    // A silent one has the time that its route lays down.
    let started = std::time::Instant::now();
    tokio::time::timeout(Duration::from_secs(5), socket.ending()).await.expect("the WebSocket ends");
    assert!(started.elapsed() > Duration::from_millis(900), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_websocket_ends_when_its_backend_dies() {
    let _turn = turn::shared().await;
    let backend = edgeward_tests::backend::Backend::start("web").await;
    let site = Site::new();
    site.manifests.write("service.yaml", edgeward_tests::manifest::service("web", &[backend.addr()]));
    site.ingress(&Ingress::new("web").host(HOST, "web"));
    let edgeward = site.serve().await;
    let mut socket = WebSocket::open(edgeward.http, HOST, "/ws").await.unwrap();
    socket.echo("hello").await.unwrap();
    backend.kill();
    let ending = tokio::time::timeout(Duration::from_secs(5), socket.ending()).await.expect("the WebSocket ends");
    assert!(matches!(ending, Ending::Abnormal(_)), "{ending:?}");
}

#[tokio::test]
async fn another_protocol_is_tunnelled_as_bytes() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let request = Request::get(HOST, "/raw").header("Connection", "Upgrade").header("Upgrade", "echo/1");
    connection.send(request.bytes()).await;
    let answer = connection.response("GET").await;
    assert_eq!((answer.status(), answer.header("upgrade")), (101, Some("echo/1")));
    for text in ["hello", "\0\x01\x02\r\n\r\n", "GET /raw HTTP/1.1\r\n\r\n"] {
        connection.send(text).await;
        let mut got = Vec::new();
        while got.len() < text.len() {
            let bytes = connection.read_some().await.unwrap();
            assert!(!bytes.is_empty(), "the tunnel ended");
            got.extend(bytes);
        }
        assert_eq!(got, text.as_bytes());
    }
    assert_eq!(site.recording.take().len(), 1, "bytes of the tunnel were taken for requests");
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let request = Request::get(HOST, "/plain").header("Connection", "Upgrade").header("Upgrade", "websocket");
    assert_eq!(connection.exchange(&request).await.json()["path"], "/plain");
}

#[tokio::test]
async fn bytes_behind_an_upgrade_are_never_tunnelled_before_the_101() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let upgrade = Request::get(HOST, "/plain").header("Connection", "Upgrade").header("Upgrade", "websocket");
    let mut bytes = upgrade.bytes();
    bytes.extend(b"GET /second HTTP/1.1\r\nHost: internal.test\r\n\r\n");
    connection.send(&bytes).await;
    connection.response("GET").await;
    connection.finish().await;
    // What comes behind it is nothing, an answer of its own, or the end.
    let _ = connection.read_response("GET").await;
    for got in site.recording.take() {
        assert_eq!(got.target, "/plain", "a request for another host went to this one's backend: {got:?}");
    }
}

#[tokio::test]
async fn an_upgrade_to_http_2_or_to_one_of_several_protocols_is_an_ordinary_request() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    for upgrades in [&["h2c"][..], &["x", "h2c"], &["x, h2c"], &["x", "y"]] {
        // The backend would open a tunnel for whatever it is offered.
        let request = Request::get(HOST, "/raw")
            .header("Connection", "Upgrade, HTTP2-Settings")
            .header("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA");
        let request = upgrades.iter().fold(request, |request, upgrade| request.header("Upgrade", upgrade));
        let mut connection = Connection::open(edgeward.http).await;
        assert_eq!(connection.exchange(&request).await.status(), 200, "{upgrades:?}");
        let got = site.recording.last().unwrap();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(got.header(name), None, "{upgrades:?}: {got:?}");
        }
    }
}

#[tokio::test]
async fn an_upgrade_names_no_header_of_ours_for_removal() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    let request = Request::get(HOST, "/raw")
        .header("Connection", "Upgrade, X-Real-IP, X-Scheme, X-Hop")
        .header("X-Hop", "1")
        .header("Keep-Alive", "5")
        .header("Upgrade", "echo/1");
    connection.send(request.bytes()).await;
    assert_eq!(connection.response("GET").await.status(), 101);
    let got = site.recording.last().unwrap();
    assert_eq!((got.header("connection"), got.header("upgrade")), (Some("upgrade"), Some("echo/1")));
    assert_eq!((got.header("x-real-ip"), got.header("x-scheme")), (Some("127.0.0.1"), Some("http")));
    assert_eq!((got.header("x-hop"), got.header("keep-alive")), (None, None));
}

#[tokio::test]
async fn an_upgrade_is_answered_within_the_read_timeout() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").annotation("proxy-read-timeout", "1").host(HOST, "web"));
    let edgeward = site.serve().await;
    for (path, protocol) in [("/websocket", "websocket"), ("/h2c", "h2c")] {
        let request = Request::new("POST", HOST, path)
            .header("Connection", "Upgrade")
            .header("Upgrade", protocol)
            .header("X-Echo-Delay", "30");
        let started = std::time::Instant::now();
        assert_eq!(Connection::open(edgeward.http).await.exchange(&request).await.status(), 504, "{protocol}");
        assert!(started.elapsed() < Duration::from_secs(5), "{protocol}: {:?}", started.elapsed());
        let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == path).await;
        assert_eq!(entry["reason"], "upstream_timeout");
    }
    // An answer in time takes the deadline back: the connection serves on.
    let mut connection = Connection::open(edgeward.http).await;
    let refused = Request::get(HOST, "/plain").header("Connection", "Upgrade").header("Upgrade", "websocket");
    assert_eq!(connection.exchange(&refused).await.status(), 200);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(connection.exchange(&Request::get(HOST, "/after")).await.status(), 200);
}
