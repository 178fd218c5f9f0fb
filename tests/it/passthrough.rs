//! TLS that is passed on to endpoints as it comes.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use edgeward_tests::backend::Start;
use edgeward_tests::certificate::{Authority, Pair};
use edgeward_tests::client::{Connection, Request, get};
use edgeward_tests::edgeward::{Edgeward, Launch, Signal};
use edgeward_tests::manifest::Ingress;
use edgeward_tests::tls::{Hello, describe};
use edgeward_tests::turn;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::site::Site;

fn passed(name: &str) -> Ingress {
    Ingress::new(name).annotation("ssl-passthrough", "true").host(&format!("{name}.test"), "secure")
}

/// Sites with a backend whose own certificate is `pair`.
async fn site(pair: &Pair) -> Site {
    let mut site = Site::new();
    site.service_as("secure", Start::default().tls(pair.clone())).await;
    site.service("web").await;
    site.ingress(&Ingress::new("web").host("web.test", "web"));
    site
}

fn allowing(site: &Site) -> Launch {
    site.launch().argument("--enable-ssl-passthrough")
}

/// The name in the certificate that a client is shown.
async fn shown(edgeward: &Edgeward, server_name: &str) -> String {
    let connection = Connection::open_tls(edgeward.https, &Hello::name(server_name)).await;
    describe(connection.certificate_der()).1.join(",")
}

#[tokio::test]
async fn the_endpoint_itself_shakes_hands_and_sees_no_header_of_the_proxy() {
    let _turn = turn::shared().await;
    let site = site(&Authority::new().pair("inner.test")).await;
    site.ingress(&passed("passed"));
    site.ingress(&Ingress::new("wild").annotation("ssl-passthrough", "true").host("*.wild.test", "secure"));
    let edgeward = allowing(&site).start().await;
    for name in ["passed.test", "a.wild.test"] {
        let mut connection = Connection::open_tls(edgeward.https, &Hello::name(name)).await;
        assert_eq!(describe(connection.certificate_der()).1, ["inner.test"], "{name}");
        for _ in 0..2 {
            assert_eq!(connection.exchange(&Request::post(name, "/x/../y", "body")).await.status(), 200);
            let received = site.recording.take().remove(0);
            assert_eq!((received.target.as_str(), received.header("x-real-ip")), ("/x/../y", None));
        }
    }
    // HTTP/2 is the endpoint's to take, other hosts end here, and so does plain HTTP.
    let connection = Connection::open_tls(edgeward.https, &Hello::name("passed.test").alpn(&["h2", "http/1.1"])).await;
    assert_ne!(connection.alpn(), Some(&b"h2"[..]), "this endpoint does not speak HTTP/2");
    for other in ["web.test", "other.test"] {
        assert_ne!(shown(&edgeward, other).await, "inner.test");
    }
    assert_eq!(get(edgeward.http, "web.test", "/").await.status(), 200);
}

#[tokio::test]
async fn without_the_flag_tls_ends_here_and_that_is_told() {
    let _turn = turn::shared().await;
    let site = site(&Authority::new().pair("inner.test")).await;
    site.ingress(&passed("passed"));
    let edgeward = site.serve().await;
    assert_ne!(shown(&edgeward, "passed.test").await, "inner.test");
    assert!(edgeward.diagnostics().await.text().contains("--enable-ssl-passthrough"));
}

#[tokio::test]
async fn a_drain_closes_what_is_passed_on_before_its_end() {
    let _turn = turn::shared().await;
    let site = site(&Authority::new().pair("inner.test")).await;
    site.ingress(&passed("passed"));
    let drain = ["--shutdown-grace-period=0", "--drain-timeout=4", "--drain-websocket-window=3"];
    let launch =
        drain.into_iter().fold(allowing(&site).access_log("off"), |launch, argument| launch.argument(argument));
    let mut edgeward = launch.start().await;
    let mut connection = Connection::open_tls(edgeward.https, &Hello::name("passed.test")).await;
    assert_eq!(connection.exchange(&Request::get("passed.test", "/")).await.status(), 200);
    let terminated = Instant::now();
    edgeward.signal(Signal::Terminate);
    assert!(connection.is_closed_within(Duration::from_secs(5)).await);
    let closed_after = terminated.elapsed();
    assert!((Duration::from_millis(800)..Duration::from_millis(3_800)).contains(&closed_after), "{closed_after:?}");
    assert!(edgeward.wait_exit(Duration::from_secs(5)).await.success());
}

#[tokio::test]
async fn a_first_message_that_takes_its_time_goes_where_it_does_by_then() {
    let _turn = turn::shared().await;
    let site = site(&Authority::new().pair("inner.test")).await;
    site.ingress(&passed("passed"));
    let edgeward = allowing(&site).start().await;
    assert_eq!(shown(&edgeward, "passed.test").await, "inner.test");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = listener.local_addr().unwrap();
    let client = tokio::spawn(async move { Connection::open_tls(relay, &Hello::name("passed.test")).await });
    let (mut client_side, _) = listener.accept().await.unwrap();
    let mut proxy_side = TcpStream::connect(edgeward.https).await.unwrap();
    let mut beginning = [0; 16];
    client_side.read_exact(&mut beginning).await.unwrap();
    proxy_side.write_all(&beginning).await.unwrap();
    // Until the proxy has begun to read it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    site.ingress(&Ingress::new("passed").host("passed.test", "secure"));
    while shown(&edgeward, "passed.test").await == "inner.test" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::spawn(async move { copy_bidirectional(&mut client_side, &mut proxy_side).await });
    assert_ne!(describe(client.await.unwrap().certificate_der()).1, ["inner.test"]);
}

#[tokio::test]
async fn networks_hold_and_a_closed_route_is_not_passed_on() {
    let _turn = turn::shared().await;
    let site = site(&Authority::new().pair("inner.test")).await;
    site.ingress(&passed("refused").annotation("whitelist-source-range", "10.0.0.0/8"));
    site.ingress(&passed("closed").annotation("configuration-snippet", "deny all;"));
    let edgeward = allowing(&site).start().await;
    let stream = edgeward_tests::client::connect(edgeward.https, None).await.unwrap();
    assert!(Connection::handshake(stream, &Hello::name("refused.test")).await.is_err());
    let mut connection = Connection::open_tls(edgeward.https, &Hello::name("closed.test")).await;
    assert_ne!(describe(connection.certificate_der()).1, ["inner.test"]);
    assert_eq!(connection.exchange(&Request::get("closed.test", "/")).await.status(), 503);
    assert!(site.recording.take().is_empty());
}
