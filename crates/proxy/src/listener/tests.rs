#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::ErrorKind;
use tokio::net::TcpStream;

use crate::connection::Connections;
use crate::fixture::{Client, Fixture, eventually, h2_get, tls_client, tls_connect};

#[tokio::test]
async fn a_session_finds_its_connection_on_every_protocol() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    let own = client.io.local_addr().unwrap();
    assert_eq!(client.get("/connection").await.body, format!("{own} Peer None"));
    assert_eq!(client.get("/connection").await.body, format!("{own} Peer None"));

    let tcp = TcpStream::connect(fixture.http).await.unwrap();
    let own = tcp.local_addr().unwrap();
    assert_eq!(h2_get(tcp, "/connection").await, format!("{own} Peer None"));

    for (offered, agreed) in [(&[][..], "None"), (&["http/1.1"], "Http1"), (&["h2"], "Http2")] {
        let tls = tls_connect(fixture.https, "localhost", tls_client(offered, rustls::ALL_VERSIONS)).await.unwrap();
        let own = tls.get_ref().0.local_addr().unwrap();
        let body = if agreed == "Http2" {
            h2_get(tls, "/connection").await
        } else {
            Client::new(tls).get("/connection").await.body
        };
        let session = "server_name: Some(\"localhost\"), version: \"TLSv1.3\", cipher: \"TLS_AES_256_GCM_SHA384\"";
        let expected =
            format!("{own} Peer Some(TlsSession {{ {session}, alpn: {agreed}, resumed: false, client: None }})");
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn connections_above_the_cap_are_closed_at_once() {
    let fixture = Fixture::start(|options| options.listener.max_connections = 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = fixture.connect().await;
        assert_eq!(client.get("/echo").await.status, 200);
        held.push(client);
    }
    assert_eq!(fixture.connect().await.rest().await, b"");
    fixture.events.saw("Rejected too_many_connections").await;
    held.pop();
    eventually(|| fixture.running.connections().total == 2).await.unwrap();
    assert_eq!(fixture.connect().await.get("/echo").await.status, 200);
}

#[tokio::test]
async fn connections_above_a_clients_cap_are_closed() {
    let fixture = Fixture::start(|options| options.listener.max_connections_per_client = 1).await;
    let mut first = fixture.connect().await;
    assert_eq!(first.get("/echo").await.status, 200);
    assert_eq!(fixture.connect().await.rest().await, b"");
    fixture.events.saw("Rejected too_many_from_client").await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = Client::new(socket.connect(fixture.http).await.unwrap());
    assert_eq!(other.get("/echo").await.status, 200);
    drop(first);
    eventually(|| fixture.running.connections().total == 1).await.unwrap();
    assert_eq!(fixture.connect().await.get("/echo").await.status, 200);
}

#[tokio::test]
async fn connections_are_counted_by_what_they_do() {
    let fixture = Fixture::start(|_| {}).await;
    let _handshake = TcpStream::connect(fixture.https).await.unwrap();
    let _waiting = fixture.connect().await;
    let mut done = fixture.connect().await;
    assert_eq!(done.get("/echo").await.status, 200);
    let mut reading = fixture.connect().await;
    reading.send("GET /").await;
    let mut active = fixture.connect().await;
    active.send("GET /slow/1000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut tunnel = fixture.connect().await;
    tunnel.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let expected = Connections { total: 6, tls: 1, handshake: 1, waiting: 2, reading: 1, active: 1, tunnel: 1 };
    let counted = eventually(|| fixture.running.connections() == expected).await;
    assert!(counted.is_ok(), "{:?}", fixture.running.connections());
    drop((_handshake, _waiting, done, reading, active, tunnel));
    fixture.is_empty().await;
}

#[tokio::test]
async fn stopping_cuts_what_is_left_and_frees_the_port() {
    let fixture = Fixture::start(|_| {}).await;
    let mut client = fixture.connect().await;
    client.send("GET /slow/60000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually(|| fixture.running.connections().active == 1).await.unwrap();
    let address = fixture.http;
    tokio::task::spawn_blocking(move || {
        fixture.running.stop();
        fixture
    })
    .await
    .unwrap();
    assert_eq!(client.rest().await, b"");
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_connection_serves_so_many_requests_and_no_more() {
    let fixture = Fixture::start(|options| options.limits.keepalive_requests = 3).await;
    let mut client = fixture.connect().await;
    let mut served = 0;
    loop {
        served += 1;
        let response = client.get("/echo").await;
        if response.head.to_ascii_lowercase().contains("connection: close") {
            break;
        }
        assert!(served < 10);
    }
    assert_eq!(served, 3);
    assert_eq!(client.rest().await, b"");
}
