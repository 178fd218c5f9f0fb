//! Who may ask, how often, and what scripts of other origins are told.

use std::net::IpAddr;
use std::time::Duration;

use edgeward_tests::client::{Connection, Request, connect, send, wait_for};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, config_map};
use edgeward_tests::message::Message;
use edgeward_tests::turn;
use edgeward_tests::websocket::WebSocket;
use serde_json::json;

use crate::site::Site;

const HOST: &str = "access.test";

/// A site of one host with these annotations.
async fn site(annotations: &[(&str, &str)]) -> Site {
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&annotated(annotations));
    site
}

fn annotated(annotations: &[(&str, &str)]) -> Ingress {
    let ingress = Ingress::new("web").host(HOST, "web");
    annotations.iter().fold(ingress, |ingress, (name, value)| ingress.annotation(name, value))
}

/// Sends a request from an address of its own.
async fn from(edgeward: &Edgeward, source: &str, request: &Request) -> Message {
    let source: IpAddr = source.parse().unwrap();
    Connection::over(connect(edgeward.http, Some(source)).await.unwrap()).exchange(request).await
}

/// The statuses of so many requests in a row from an address.
async fn statuses(edgeward: &Edgeward, source: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(from(edgeward, source, &Request::get(HOST, "/")).await.status());
    }
    statuses
}

#[tokio::test]
async fn networks_refuse_with_403_and_the_log_says_why() {
    let _turn = turn::shared().await;
    let lists = [("allowlist-source-range", "127.0.1.0/24"), ("denylist-source-range", "127.0.1.2")];
    let site = site(&lists).await;
    let edgeward = site.serve().await;
    let request = Request::get(HOST, "/");
    for (source, expected) in [("127.0.1.1", 200), ("127.0.1.2", 403), ("127.0.2.1", 403)] {
        let spoofed = request.clone().header("X-Forwarded-For", "127.0.1.1").header("X-Real-IP", "127.0.1.1");
        assert_eq!(from(&edgeward, source, &spoofed).await.status(), expected, "{source}");
    }
    let entry = edgeward.access_log_entry(|entry| entry["status"] == json!(403)).await;
    assert_eq!(entry["reason"], json!("network_refused"), "{entry}");
    // A list that cannot be read lets nobody in, and one that is gone lets everybody.
    site.ingress(&annotated(&[("allowlist-source-range", "127.0.1.0/24,nonsense")]));
    wait_for(edgeward.http, &request, |answer| answer.status() == 503).await;
    site.ingress(&annotated(&[]));
    wait_for(edgeward.http, &request, |answer| answer.status() == 200).await;
}

#[tokio::test]
async fn a_rate_holds_for_each_client_over_all_paths_engines_and_snapshots() {
    let _turn = turn::shared().await;
    // One request a minute and two more: no time that the test takes matters.
    let limits = [("limit-rpm", "1"), ("limit-burst-multiplier", "2"), ("limit-allowlist", "127.0.3.0/24")];
    let site = site(&limits).await;
    let edgeward = site.serve().await;
    assert_eq!(statuses(&edgeward, "127.0.1.1", 5).await, [200, 200, 200, 503, 503]);
    let other_path = Request::get(HOST, "/other").header("X-Forwarded-For", "127.0.9.9");
    assert_eq!(from(&edgeward, "127.0.1.1", &other_path).await.status(), 503);
    assert_eq!(statuses(&edgeward, "127.0.1.2", 4).await, [200, 200, 200, 503]);
    assert_eq!(statuses(&edgeward, "127.0.3.1", 8).await, [200; 8]);
    let entry = edgeward.access_log_entry(|entry| entry["status"] == json!(503)).await;
    assert_eq!(entry["reason"], json!("rate_limited"), "{entry}");

    // Another path of the Ingress makes another snapshot: nothing is forgotten.
    site.ingress(&annotated(&limits).path("new.test", "Prefix", "/", "web"));
    wait_for(edgeward.http, &Request::get("new.test", "/"), |answer| answer.status() != 404).await;
    assert_eq!(statuses(&edgeward, "127.0.1.1", 1).await, [503]);
    // What is served by the other engine is counted once.
    let limits: Vec<_> = limits.into_iter().chain([("backend-protocol", "HTTPS")]).collect();
    site.ingress(&annotated(&limits));
    wait_for(edgeward.http, &Request::get("new.test", "/"), |answer| answer.status() == 404).await;
    let taken = statuses(&edgeward, "127.0.4.1", 5).await;
    assert!(taken[..3].iter().all(|status| *status != 503) && taken[3..] == [503, 503], "{taken:?}");
}

#[tokio::test]
async fn requests_under_way_are_counted_until_they_end() {
    let _turn = turn::shared().await;
    let site = site(&[("limit-connections", "2")]).await;
    let edgeward = site.serve().await;
    let slow = Request::get(HOST, "/").header("X-Echo-Delay", "1");
    let (first, second, third, other) = tokio::join!(
        from(&edgeward, "127.0.1.1", &slow),
        from(&edgeward, "127.0.1.1", &slow),
        async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            from(&edgeward, "127.0.1.1", &slow).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            from(&edgeward, "127.0.1.2", &slow).await
        },
    );
    assert_eq!([first, second, third, other].map(|answer| answer.status()), [200, 200, 503, 200]);
    let entry = edgeward.access_log_entry(|entry| entry["status"] == json!(503)).await;
    assert_eq!(entry["reason"], json!("connections_limited"), "{entry}");
    // Each of them is over, and gave its place back.
    assert_eq!(statuses(&edgeward, "127.0.1.1", 6).await, [200; 6]);
    // A tunnel holds its place for as long as it is open; a client that leaves gives it back.
    let open = WebSocket::open(edgeward.http, HOST, "/ws").await.unwrap();
    let also_open = WebSocket::open(edgeward.http, HOST, "/ws").await.unwrap();
    let request = Request::get(HOST, "/");
    assert_eq!(send(edgeward.http, &request).await.status(), 503);
    drop((open, also_open));
    wait_for(edgeward.http, &request, |answer| answer.status() == 200).await;
    // Streams of one connection are requests under way as well.
    let stream = connect(edgeward.http, None).await.unwrap();
    let mut client = H2Client::over(stream).await;
    assert_eq!(client.get(&format!("http://{HOST}/")).await.status, 200);
}

#[tokio::test]
async fn the_config_map_has_the_statuses_of_refusals_and_what_is_refused_for_all() {
    let _turn = turn::shared().await;
    let site = site(&[("limit-rpm", "1"), ("limit-burst-multiplier", "0")]).await;
    site.ingress(&Ingress::new("own").annotation("allowlist-source-range", "127.0.0.0/8").host("own.test", "web"));
    let options = json!({
        "limit-req-status-code": "429",
        "whitelist-source-range": "127.0.1.0/24",
        "block-cidrs": "127.0.6.0/24",
        "block-user-agents": "~*evil,curl/1",
        "block-referers": "~spam\\.test",
    });
    site.manifests.write("options.yaml", config_map("default", "options", &options));
    let edgeward = site.launch().argument("--configmap=default/options").start().await;
    assert_eq!(statuses(&edgeward, "127.0.1.1", 2).await, [200, 429]);
    for (source, host, header, expected) in [
        ("127.0.2.1", HOST, ("X-Any", "x"), 403),
        ("127.0.2.1", "own.test", ("X-Any", "x"), 200),
        ("127.0.6.1", "own.test", ("X-Any", "x"), 403),
        ("127.0.6.1", "unknown.test", ("X-Any", "x"), 403),
        ("127.0.2.1", "unknown.test", ("X-Any", "x"), 404),
        ("127.0.2.1", "own.test", ("User-Agent", "an EVIL one"), 403),
        ("127.0.2.1", "own.test", ("User-Agent", "curl/1"), 403),
        ("127.0.2.1", "own.test", ("User-Agent", "curl/12"), 200),
        ("127.0.2.1", "own.test", ("Referer", "http://spam.test/"), 403),
        ("127.0.2.1", "unknown.test", ("Referer", "http://spam.test/"), 403),
    ] {
        let request = Request::get(host, "/").header(header.0, header.1);
        let answer = from(&edgeward, source, &request).await;
        assert_eq!(answer.status(), expected, "{source} {host} {header:?}");
    }
}

#[tokio::test]
async fn preflights_are_answered_and_every_answer_to_an_origin_says_what_it_may() {
    let _turn = turn::shared().await;
    let site = site(&[
        ("enable-cors", "true"),
        ("cors-allow-origin", "https://*.o.test"),
        ("cors-expose-headers", "X-E"),
        ("denylist-source-range", "127.0.5.0/24"),
    ])
    .await;
    let edgeward = site.serve().await;
    let origin = |request: Request| request.header("Origin", "https://a.o.test");
    let preflight = origin(Request::new("OPTIONS", HOST, "/x"));

    let mut connection = Connection::open(edgeward.http).await;
    let answer = connection.exchange(&preflight).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.o.test"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("X-E"));
    // RFC 9110 section 8.6: a 204 has none; and the connection goes on.
    assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None));
    assert!(site.recording.last().is_none(), "a preflight reached the backend");
    let entry = edgeward.access_log_entry(|entry| entry["status"] == json!(204)).await;
    assert_eq!(entry["reason"], json!("preflight"), "{entry}");

    // What the endpoint says of it is replaced, once, and left alone for other origins.
    let set = |request: Request| request.header("X-Echo-Set", "Access-Control-Allow-Origin: https://backend.test");
    let answer = connection.exchange(&set(origin(Request::get(HOST, "/")))).await;
    let values: Vec<_> = answer.header_values("access-control-allow-origin");
    assert_eq!((answer.status(), values), (200, vec!["https://a.o.test"]));
    let stranger = set(Request::get(HOST, "/").header("Origin", "https://evil.test"));
    let answer = connection.exchange(&stranger).await;
    let values: Vec<_> = answer.header_values("access-control-allow-origin");
    assert_eq!((answer.status(), values), (200, vec!["https://backend.test"]));
    assert_eq!(answer.header("access-control-allow-methods"), None);
    let answer = connection.exchange(&Request::new("OPTIONS", HOST, "/").header("Origin", "https://evil.test")).await;
    assert_eq!(answer.status(), 200, "an OPTIONS of another origin goes to the backend");

    let refused = from(&edgeward, "127.0.5.1", &origin(Request::get(HOST, "/"))).await;
    assert_eq!((refused.status(), refused.header("access-control-allow-origin")), (403, Some("https://a.o.test")));
    assert_eq!(from(&edgeward, "127.0.5.1", &preflight).await.status(), 204);
    let failed = connection.exchange(&origin(Request::get(HOST, "/").header("X-Echo-Close", "1"))).await;
    assert_eq!((failed.status(), failed.header("access-control-allow-origin")), (502, Some("https://a.o.test")));

    let stream = connect(edgeward.http, None).await.unwrap();
    let mut client = H2Client::over(stream).await;
    let request = hyper::Request::options(format!("http://{HOST}/")).header("origin", "https://a.o.test").body(());
    let answer = client.send(request.unwrap(), "").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
}
