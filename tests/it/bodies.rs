//! Bodies of requests whose length is not declared (`proxy-request-buffering`), on the engine that collects them.

use std::time::Duration;

use edgeward_tests::address::pod;
use edgeward_tests::backend::Start;
use edgeward_tests::client::{Connection, Request, connect, send, wait_for};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, service};
use edgeward_tests::turn;
use tokio::time::sleep;

use crate::site::Site;

const HOST: &str = "bodies.test";

async fn serve(site: &mut Site, change: impl FnOnce(Ingress) -> Ingress) -> Edgeward {
    site.service("web").await;
    site.ingress(&change(Ingress::new("web")).host(HOST, "web"));
    site.launch().argument("--fast-path=true").start().await
}

/// Length, `Content-Length` and `Transfer-Encoding` of what the endpoint got last.
fn got(site: &Site) -> (usize, Option<String>, Option<String>) {
    let received = site.recording.take().pop().unwrap();
    let field = |name: &str| received.header(name).map(str::to_owned);
    assert!(received.complete && received.trailers.is_empty(), "{received:?}");
    (received.body_length, field("content-length"), field("transfer-encoding"))
}

#[tokio::test]
async fn the_endpoint_gets_the_length_of_a_body_that_came_without() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    let edgeward = serve(&mut site, |ingress| ingress.annotation("proxy-body-size", "8m")).await;
    let mut connection = Connection::open(edgeward.http).await;
    for size in [0, 1, 5, 70_000, 1 << 20] {
        let request = Request::post(HOST, "/", "x".repeat(size)).chunked();
        assert_eq!(connection.exchange(&request).await.status(), 200, "{size}");
        assert_eq!(got(&site), (size, Some(size.to_string()), None));
    }
    let head = format!("PUT / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    connection.send(head + "3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n").await;
    assert_eq!(connection.response("PUT").await.status(), 200);
    assert_eq!(got(&site), (3, Some("3".to_owned()), None));
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    connection.send(head + "3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(connection.response("POST").await.status(), 200);
    assert_eq!(got(&site), (3, Some("3".to_owned()), None));

    let mut http2 = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let request = hyper::Request::post(format!("http://{HOST}/")).body(()).unwrap();
    assert_eq!(http2.send(request, "hello").await.unwrap().status, 200);
    assert_eq!(got(&site), (5, Some("5".to_owned()), None));
    // A request without a body has no length to tell.
    assert_eq!(send(edgeward.http, &Request::get(HOST, "/")).await.status(), 200);
    assert_eq!(got(&site), (0, None, None));
}

#[tokio::test]
async fn what_is_too_long_or_not_to_be_collected_goes_on_in_chunks() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    let edgeward = serve(&mut site, |ingress| ingress.annotation("proxy-body-size", "8m")).await;
    let off = Ingress::new("off").annotation("proxy-request-buffering", "off");
    site.ingress(&off.host("off.test", "web"));
    for (host, size) in [(HOST, (1 << 20) + 40_000), (HOST, 5_000_000), ("off.test", 5), ("off.test", 70_000)] {
        let request = Request::post(host, "/", "x".repeat(size)).chunked();
        wait_for(edgeward.http, &request, |answer| answer.status() == 200).await;
        assert_eq!(got(&site), (size, None, Some("chunked".to_owned())), "{host}");
    }
}

#[tokio::test]
async fn no_endpoint_is_asked_before_a_body_is_whole_or_for_one_that_is_bad() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    let edgeward = serve(&mut site, |ingress| ingress.annotation("proxy-body-size", "1k")).await;
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut slow = Connection::open(edgeward.http).await;
    slow.send(head.clone()).await;
    sleep(Duration::from_millis(200)).await;
    assert!(site.recording.take().is_empty());
    slow.send("0\r\n\r\n").await;
    assert_eq!(slow.response("POST").await.status(), 200);
    assert_eq!(got(&site).0, 3);

    let large = Request::post(HOST, "/", "x".repeat(1025)).chunked();
    assert_eq!(send(edgeward.http, &large).await.status(), 413);
    let mut broken = Connection::open(edgeward.http).await;
    broken.send(head.clone() + "zz\r\n").await;
    assert_eq!(broken.response("POST").await.status(), 400);
    let mut gone = Connection::open(edgeward.http).await;
    gone.send(head.clone()).await;
    drop(gone);
    let entry = edgeward.access_log_entry(|entry| entry["status"] == 499).await;
    assert_eq!(entry["reason"], "client_closed", "{entry}");
    assert!(site.recording.take().is_empty());
}

#[tokio::test]
async fn a_body_that_was_collected_is_sent_again_to_another_endpoint() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    let edgeward = serve(&mut site, |ingress| ingress).await;
    let endpoint = Start::default().recording(&site.recording).start("good").await;
    let dead = pod();
    site.manifests.write("pair.yaml", service("pair", &[dead, endpoint.addr()]));
    site.ingress(&Ingress::new("pair").host("pair.test", "pair"));
    let request = Request::post("pair.test", "/", "x".repeat(100_000)).chunked();
    wait_for(edgeward.http, &request, |answer| answer.status() == 200).await;
    for _ in 0..4 {
        site.recording.take();
        assert_eq!(send(edgeward.http, &request).await.status(), 200);
        assert_eq!(got(&site), (100_000, Some("100000".to_owned()), None));
    }
}

#[tokio::test]
async fn a_client_that_pauses_in_a_body_is_told_so() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").host(HOST, "web"));
    let launch = site.launch().argument("--fast-path=true").argument("--body-timeout=1");
    let edgeward = launch.start().await;
    let mut slow = Connection::open(edgeward.http).await;
    slow.send(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")).await;
    assert_eq!(slow.response("POST").await.status(), 408);
    assert!(site.recording.take().is_empty());
}
