//! HTTP/2 by ALPN and by prior knowledge, and gRPC.

use bytes::Bytes;
use edgeward_tests::client::{Connection, Request, connect};
use edgeward_tests::edgeward::{Edgeward, is_on_pingora};
use edgeward_tests::h2_backend::H2Backend;
use edgeward_tests::h2_client::{H2Client, H2Response};
use edgeward_tests::manifest::{Ingress, service};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use crate::site::Site;

const HOST: &str = "h2.test";

async fn by_alpn(edgeward: &Edgeward) -> H2Client {
    let connection = Connection::open_tls(edgeward.https, &Hello::name(HOST).alpn(&["h2", "http/1.1"])).await;
    assert_eq!(connection.alpn(), Some(b"h2".as_slice()));
    H2Client::over(connection.into_stream()).await
}

async fn by_prior_knowledge(edgeward: &Edgeward) -> H2Client {
    H2Client::over(connect(edgeward.http, None).await.unwrap()).await
}

#[tokio::test]
async fn http_2_is_served_by_alpn_and_by_prior_knowledge() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    for (mut client, scheme, port) in [
        (by_alpn(&edgeward).await, "https", edgeward.https.port()),
        (by_prior_knowledge(&edgeward).await, "http", edgeward.http.port()),
    ] {
        for number in 0..10 {
            let answer = client.get(&format!("{scheme}://{HOST}/{number}?q=1")).await;
            assert_eq!((answer.status.as_u16(), answer.backend()), (200, Some("web")));
            assert_eq!(answer.json()["path"], format!("/{number}?q=1"));
        }
        let got = site.recording.last().unwrap();
        assert_eq!(got.version, "HTTP/1.1");
        assert_eq!(got.header("host"), Some(HOST));
        assert_eq!(got.header("x-forwarded-proto"), Some(scheme));
        assert_eq!(got.header("x-forwarded-port"), Some(port.to_string().as_str()));
        assert_eq!(client.get(&format!("{scheme}://elsewhere.test/")).await.status.as_u16(), 404);
    }
}

#[tokio::test]
async fn http_1_1_is_served_over_tls_without_alpn_and_when_asked_for() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    for hello in [Hello::name(HOST), Hello::name(HOST).alpn(&["http/1.1"]), Hello::name(HOST).tls12()] {
        let mut connection = Connection::open_tls(edgeward.https, &hello).await;
        let answer = connection.exchange(&Request::get(HOST, "/")).await;
        assert_eq!((answer.status(), answer.backend()), (200, Some("web")), "{hello:?}");
    }
}

#[tokio::test]
async fn streams_of_a_connection_do_not_wait_for_each_other() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let slow = by_alpn(&edgeward).await;
    let started = std::time::Instant::now();
    let requests = (0..20).map(|number| {
        let mut client = H2Client::clone(&slow);
        async move {
            let request =
                hyper::Request::get(format!("https://{HOST}/{number}")).header("x-echo-delay", "0.5").body(()).unwrap();
            client.send(request, Bytes::new()).await.map(|answer| answer.status.as_u16())
        }
    });
    let statuses = futures_util::future::join_all(requests).await;
    assert!(statuses.iter().all(|status| matches!(status, Ok(200))), "{statuses:?}");
    assert!(started.elapsed().as_secs() < 5, "20 requests of 0.5 s took {:?}", started.elapsed());
}

#[tokio::test]
async fn bodies_pass_over_http_2() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").annotation("proxy-body-size", "2m").host(HOST, "web"));
    let edgeward = site.serve().await;
    let mut client = by_alpn(&edgeward).await;
    for size in [1_usize, 100_000, 2_000_000] {
        let request = hyper::Request::post(format!("https://{HOST}/")).body(()).unwrap();
        let answer = client.send(request, vec![b'u'; size]).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.json()["body_length"].as_u64()), (200, Some(size as u64)));
        let request =
            hyper::Request::get(format!("https://{HOST}/")).header("x-echo-size", size.to_string()).body(()).unwrap();
        let answer = client.send(request, Bytes::new()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, size));
    }
    let request = hyper::Request::post(format!("https://{HOST}/"))
        .header("content-length", (3 << 20).to_string())
        .body(())
        .unwrap();
    // The answer may come before the body is sent, and may end the stream under it; the log has it either way.
    if let Ok(answer) = client.send(request, vec![b'u'; 3 << 20]).await {
        assert_eq!(answer.status.as_u16(), 413);
    }
    edgeward.access_log_entry(|entry| entry["status"] == 413).await;
    assert_eq!(client.get(&format!("https://{HOST}/after")).await.status.as_u16(), 200, "the connection is broken");
}

async fn grpc_site() -> (Site, H2Backend, Edgeward) {
    let site = Site::new();
    let backend = H2Backend::start("grpc").await;
    site.manifests.write("grpc.yaml", service("grpc", &[backend.addr()]));
    site.ingress(&Ingress::new("grpc").annotation("backend-protocol", "GRPC").host(HOST, "grpc"));
    let edgeward = site.serve().await;
    (site, backend, edgeward)
}

/// A unary call with an uncompressed message.
async fn call(client: &mut H2Client, scheme: &str, status: &str) -> H2Response {
    let request = hyper::Request::post(format!("{scheme}://{HOST}/echo.Echo/Say"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-echo-grpc-status", status)
        .body(())
        .unwrap();
    client.send(request, Bytes::from_static(b"\0\0\0\0\x05hello")).await.expect("an answer to the call")
}

#[tokio::test]
async fn grpc_calls_pass_with_their_trailers() {
    let _turn = turn::shared().await;
    let (_site, backend, edgeward) = grpc_site().await;
    for (mut client, scheme) in [(by_alpn(&edgeward).await, "https"), (by_prior_knowledge(&edgeward).await, "http")] {
        for status in ["0", "5"] {
            let answer = call(&mut client, scheme, status).await;
            assert_eq!(answer.status.as_u16(), 200);
            assert_eq!(answer.headers["content-type"], "application/grpc");
            assert_eq!(answer.body, b"\0\0\0\0\x05hello");
            let trailers = answer.trailers.expect("trailers");
            assert_eq!(trailers["grpc-status"], status);
            assert_eq!(trailers["grpc-message"], "done");
        }
        let got = backend.take();
        let (line, headers) = got.last().unwrap();
        assert_eq!(line, "POST /echo.Echo/Say HTTP/2.0");
        assert_eq!(headers["te"], "trailers", "gRPC servers ask for it");
        assert!(headers.contains_key("x-request-id"), "{headers:?}");
    }
}

#[tokio::test]
async fn an_http_1_1_client_reaches_an_http_2_backend() {
    let _turn = turn::shared().await;
    let (_site, _backend, edgeward) = grpc_site().await;
    let mut connection = Connection::open(edgeward.http).await;
    for size in [0, 10, 100_000] {
        let answer = connection.exchange(&Request::post(HOST, "/json", vec![b'u'; size])).await;
        assert_eq!((answer.status(), answer.json()["body_length"].as_u64()), (200, Some(size as u64)));
    }
}

#[tokio::test]
async fn cookies_in_several_fields_reach_an_http_1_backend_as_one() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut client = by_alpn(&edgeward).await;
    let request = hyper::Request::get(format!("https://{HOST}/"))
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("cookie", "c=3")
        .body(())
        .unwrap();
    client.send(request, Bytes::new()).await.unwrap();
    let got = site.recording.last().unwrap();
    let cookies: Vec<_> = got.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert_eq!(got.header("cookie"), Some("a=1; b=2; c=3"));
}

#[tokio::test]
async fn a_cancelled_stream_is_a_client_that_went_away() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut client = by_alpn(&edgeward).await;
    let request =
        hyper::Request::get(format!("https://{HOST}/cancelled")).header("x-echo-delay", "5").body(()).unwrap();
    let answer = tokio::time::timeout(std::time::Duration::from_millis(300), client.send(request, Bytes::new())).await;
    assert!(answer.is_err(), "{answer:?}");
    let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == "/cancelled").await;
    assert_eq!((&entry["status"], &entry["reason"]), (&499.into(), &"client_closed".into()));
    assert_eq!(client.get(&format!("https://{HOST}/after")).await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_client_may_go_away_while_nobody_takes_its_body() {
    let _turn = turn::shared().await;
    // The kernel takes connections for it, and as much as fits into its buffers.
    let endpoint = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new();
    site.manifests.write("service.yaml", service("web", &[endpoint.local_addr().unwrap()]));
    site.ingress(&Ingress::new("web").annotation("proxy-body-size", "0").host(HOST, "web"));
    // Pingora waits for the endpoint alone.
    let edgeward = site.launch().argument("--fast-path=true").start().await;
    let mut client = by_alpn(&edgeward).await;
    let request = hyper::Request::put(format!("https://{HOST}/stuck")).body(()).unwrap();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(1), client.send(request, vec![0; 32 << 20])).await;
    assert!(answer.is_err(), "{answer:?}");
    let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == "/stuck").await;
    assert_eq!((&entry["status"], &entry["reason"]), (&499.into(), &"client_closed".into()));
}

#[tokio::test]
async fn http_2_can_be_switched_off() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--http2=false").start().await;
    let connection = Connection::open_tls(edgeward.https, &Hello::name(HOST).alpn(&["h2", "http/1.1"])).await;
    assert_ne!(connection.alpn(), Some(b"h2".as_slice()));
    let mut connection = Connection::open(edgeward.http).await;
    connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let answer = connection.read_response("PRI").await.expect("an answer in HTTP/1");
    assert!((400..600).contains(&answer.status()), "{answer:?}");
}

/// What is held for a client that takes nothing is little, however many streams it opens.
#[tokio::test]
async fn a_client_that_does_not_read_costs_little_memory() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().workers(1).start().await;
    let size = 2 << 20;
    let request = |size: usize| {
        hyper::Request::get(format!("http://{HOST}/")).header("x-echo-size", size.to_string()).body(()).unwrap()
    };
    by_prior_knowledge(&edgeward).await.send(request(size), Bytes::new()).await.unwrap();
    let before = edgeward.resident_bytes();
    let stream = connect(edgeward.http, None).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(i32::MAX as u32).initial_connection_window_size(i32::MAX as u32);
    let (mut sender, mut connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
    let mut answers = Vec::new();
    // Its frames go out, and come in for as long as it is asked for them.
    for _ in 0..100 {
        futures_util::future::poll_fn(|cx| {
            let _ = std::pin::Pin::new(&mut connection).poll(cx);
            sender.poll_ready(cx)
        })
        .await
        .unwrap();
        answers.push(sender.send_request(request(size), true).unwrap());
    }
    let _ = futures_util::poll!(&mut connection);
    let mut held = 0;
    for _ in 0..30 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        held = held.max(edgeward.resident_bytes().saturating_sub(before));
    }
    eprintln!("{} KiB for 100 streams", held >> 10);
    // Pingora's engine holds as much again on the way from the endpoint.
    let limit = if is_on_pingora() { 72 } else { 32 };
    assert!(held < limit << 20, "{} KiB for 100 streams that nobody reads", held >> 10);
}
