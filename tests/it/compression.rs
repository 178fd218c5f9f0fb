//! Responses are compressed for clients that take it, and stay what they are for all others.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::edgeward::{Edgeward, is_on_pingora};
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, config_map, service};
use edgeward_tests::message::Message;
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use h2::RecvStream;
use h2::client::SendRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::site::Site;

const HOST: &str = "text.test";

async fn start(site: &Site, options: &Value) -> Edgeward {
    site.manifests.write("options.yaml", config_map("ops", "options", options));
    site.launch().argument("--configmap=ops/options").start().await
}

fn both() -> Value {
    json!({"use-gzip": "true", "enable-brotli": "true"})
}

/// What a client reads of a body that is coded as `coding` says.
fn decoded(coding: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        None => out.extend_from_slice(body),
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap()),
        Some("br") => drop(brotli::Decompressor::new(body, 4096).read_to_end(&mut out).unwrap()),
        Some(other) => panic!("{other}"),
    }
    out
}

/// A request for 100000 bytes of text.
fn text(accepts: &str) -> Request {
    let request =
        Request::get(HOST, "/").header("X-Echo-Size", "100000").header("X-Echo-Set", "Content-Type: text/plain");
    if accepts.is_empty() { request } else { request.header("Accept-Encoding", accepts) }
}

#[tokio::test]
async fn clients_get_what_they_take() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = start(&site, &both()).await;
    let sent = |field: &str| text("gzip").header("X-Echo-Set", field);
    let (gzip, brotli) = (Some("gzip"), Some("br"));
    let cases: Vec<(Request, Option<&str>)> = vec![
        (text(""), None),
        (text("gzip"), gzip),
        (text("br"), brotli),
        (text("gzip, deflate, br"), brotli),
        (text("br;q=0, gzip;q=0.5"), gzip),
        (text("gzip;q=0"), None),
        (text("*"), None),
        (text("gzip").header("X-Echo-Chunked", "1"), gzip),
        (text("br").header("X-Echo-Trailer", "X-T: 1"), brotli),
        (text("gzip").header("X-Echo-Status", "404"), gzip),
        (text("gzip").header("X-Echo-Status", "500"), None),
        (text("gzip").header("X-Echo-Status", "206"), None),
        (text("gzip").version("1.0"), None),
        (sent("Cache-Control: no-transform"), None),
        (Request::get(HOST, "/").header("X-Echo-Body", "short").header("Accept-Encoding", "gzip, br"), None),
        (text("gzip").header("Range", "bytes=0-1"), gzip),
    ];
    // On one connection, so that one that does not end where it says would break the next.
    let mut plain = Connection::open(edgeward.http).await;
    let mut tls = Connection::open_tls(edgeward.https, &Hello::name(HOST)).await;
    for (request, coding) in &cases {
        for connection in [&mut plain, &mut tls] {
            let answer = connection.exchange(request).await;
            check(&answer, request, *coding);
            if answer.closes() {
                *connection = Connection::open(edgeward.http).await;
            }
        }
    }
}

fn check(answer: &Message, request: &Request, coding: Option<&str>) {
    assert_eq!(answer.header("content-encoding"), coding, "{request:?} {answer:?}");
    let body = decoded(coding, &answer.body);
    assert!(body == vec![b'b'; 100_000] || body == b"short", "{request:?} {answer:?}");
    if coding.is_some() {
        assert!(answer.body.len() < 10_000 && answer.header("content-length").is_none(), "{answer:?}");
        assert_eq!(answer.header_values("vary"), ["Accept-Encoding"], "{answer:?}");
    }
}

#[tokio::test]
async fn a_compressed_response_is_another_than_the_one_of_the_endpoint() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = start(&site, &both()).await;
    let fields = ["ETag: \"a\"", "Accept-Ranges: bytes", "Vary: Cookie"];
    let with_fields = |accepts| fields.iter().fold(text(accepts), |request, field| request.header("X-Echo-Set", field));
    let answer = send(edgeward.http, &with_fields("gzip")).await;
    assert_eq!((answer.header("etag"), answer.header("accept-ranges")), (Some("W/\"a\""), None), "{answer:?}");
    assert_eq!(answer.header_values("vary"), ["Cookie", "Accept-Encoding"]);
    // Caches have to know that other clients get it in another coding.
    let answer = send(edgeward.http, &with_fields("")).await;
    assert_eq!((answer.header("etag"), answer.header("accept-ranges")), (Some("\"a\""), Some("bytes")), "{answer:?}");
    assert_eq!((answer.header("content-length"), answer.header_values("vary").len()), (Some("100000"), 2));
    let coded = text("gzip").header("X-Echo-Set", "Content-Encoding: zstd");
    let answer = send(edgeward.http, &coded).await;
    assert_eq!((answer.header_values("content-encoding"), answer.body.len()), (vec!["zstd"], 100_000));
    let head = Request::new("HEAD", HOST, "/").header("Accept-Encoding", "gzip").header("X-Echo-Size", "100000");
    let answer = send(edgeward.http, &head).await;
    assert_eq!((answer.header("content-encoding"), answer.header("content-length")), (None, Some("100000")));
    // Of the log it is what was sent.
    let sent = edgeward.access_log_entry(|entry| entry["body_bytes_sent"].as_u64().is_some_and(|sent| sent > 0)).await;
    assert!(sent["body_bytes_sent"].as_u64() < Some(10_000), "{sent}");
}

#[tokio::test]
async fn streams_of_http2_are_compressed() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = start(&site, &both()).await;
    let connection = Connection::open_tls(edgeward.https, &Hello::name(HOST).alpn(&["h2"])).await;
    let mut client = H2Client::over(connection.into_stream()).await;
    for (accepts, coding) in [("gzip", Some("gzip")), ("gzip, br", Some("br")), ("identity", None)] {
        for chunked in [false, true] {
            let mut request = hyper::Request::get(format!("https://{HOST}/"))
                .header("accept-encoding", accepts)
                .header("x-echo-set", "Content-Type: text/html; charset=utf-8")
                .header("x-echo-size", "100000");
            if chunked {
                request = request.header("x-echo-chunked", "1");
            }
            let answer = client.send(request.body(()).unwrap(), "").await.unwrap();
            let named = answer.headers.get("content-encoding").map(|value| value.to_str().unwrap());
            assert_eq!(named, coding, "{answer:?}");
            assert_eq!(decoded(coding, &answer.body), vec![b'b'; 100_000]);
        }
    }
}

/// An endpoint of which `respond` answers one request on each connection.
async fn endpoint<F: Future<Output = ()> + Send>(
    site: &Site,
    respond: impl Fn(TcpStream) -> F + Send + Sync + Copy + 'static,
) {
    let listener = TcpListener::bind(edgeward_tests::address::pod()).await.unwrap();
    site.manifests.write("own.yaml", service("own", &[listener.local_addr().unwrap()]));
    site.ingress(&Ingress::new("own").host(HOST, "own"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                respond(stream).await;
            });
        }
    });
}

/// Three events, of which each comes only when the one before it is long there, and nothing behind the last.
async fn events(mut stream: TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        let _ = stream.write_all(event.as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn events_arrive_when_they_happen() {
    let _turn = turn::shared().await;
    let site = Site::new();
    endpoint(&site, events).await;
    let options =
        json!({"use-gzip": "true", "enable-brotli": "true", "gzip-types": "text/event-stream", "brotli-types": "*"});
    let edgeward = start(&site, &options).await;
    for coding in ["gzip", "br"] {
        let mut client = edgeward_tests::client::connect(edgeward.http, None).await.unwrap();
        client.write_all(&Request::get(HOST, "/").header("Accept-Encoding", coding).bytes()).await.unwrap();
        let mut received = Vec::new();
        for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            let arrived = async {
                loop {
                    let mut piece = [0; 4096];
                    let read = client.read(&mut piece).await.unwrap();
                    received.extend_from_slice(&piece[..read]);
                    if begin_of(coding, &received).ends_with(event) {
                        break;
                    }
                }
            };
            let in_time = tokio::time::timeout(Duration::from_secs(5), arrived).await;
            assert!(in_time.is_ok(), "{event:?} in {coding}: {:?}", String::from_utf8_lossy(&received));
        }
    }
}

/// What can be read already of a body in chunks.
fn begin_of(coding: &str, received: &[u8]) -> String {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return String::new() };
    let (mut rest, mut body) = (&received[end + 4..], Vec::new());
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        let data = &rest[line + 2..];
        body.extend_from_slice(&data[..size.min(data.len())]);
        rest = data.get(size + 2..).unwrap_or_default();
    }
    let mut text = String::new();
    let _ = match coding {
        "gzip" => flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text),
        _ => brotli::Decompressor::new(&body[..], 4096).read_to_string(&mut text),
    };
    text
}

const LARGE: usize = 48 << 20;

static GIVEN: AtomicUsize = AtomicUsize::new(0);

fn noise() -> Arc<[u8]> {
    static NOISE: LazyLock<Arc<[u8]>> = LazyLock::new(|| {
        let mut random = fastrand::Rng::with_seed(1);
        (0..1 << 20).map(|_| random.u8(..)).collect()
    });
    Arc::clone(&NOISE)
}

/// Bytes that do not get smaller, and how many were taken.
async fn large(mut stream: TcpStream) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {LARGE}\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let noise = noise();
    for _ in 0..LARGE / noise.len() {
        for piece in noise.chunks(64 << 10) {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            GIVEN.fetch_add(piece.len(), Ordering::Relaxed);
        }
    }
    // The end of the connection is not to come before all is read.
    let _ = stream.read(&mut [0; 16]).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_endpoint_back() {
    let _turn = turn::shared().await;
    let site = Site::new();
    endpoint(&site, large).await;
    let edgeward = start(&site, &both()).await;
    for coding in ["gzip", "br"] {
        GIVEN.store(0, Ordering::Relaxed);
        let mut client = Connection::open(edgeward.http).await;
        client.send(Request::get(HOST, "/").header("Accept-Encoding", coding).bytes()).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let given = GIVEN.load(Ordering::Relaxed);
        assert!(given > 0 && given < LARGE / 2, "{coding}: {given}");
        let answer = client.response("GET").await;
        assert_eq!(answer.header("content-encoding"), Some(coding));
        let body = decoded(Some(coding), &answer.body);
        assert!(body.len() == LARGE && body.chunks(1 << 20).all(|piece| *piece == *noise()), "{coding}");
    }
}

/// More text than waits anywhere on its way.
async fn plenty(mut stream: TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 16777216\r\n\r\n").await;
    let noise = noise();
    for _ in 0..16 {
        if stream.write_all(&noise).await.is_err() {
            return;
        }
    }
    let _ = stream.read(&mut [0; 16]).await;
}

/// What clients in HTTP/2 get that take Brotli and read nothing of it.
async fn stuck(edgeward: &Edgeward, clients: usize) -> Vec<(hyper::Response<RecvStream>, SendRequest<Bytes>)> {
    let mut stuck = Vec::new();
    for _ in 0..clients {
        let stream = edgeward_tests::client::connect(edgeward.http, None).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get(format!("http://{HOST}/")).header("accept-encoding", "br");
        let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        stuck.push((response.await.unwrap(), client));
    }
    stuck
}

fn compressed(stuck: &[(hyper::Response<RecvStream>, SendRequest<Bytes>)]) -> usize {
    stuck.iter().filter(|(head, _)| head.headers().contains_key("content-encoding")).count()
}

/// A compressor takes megabytes for as long as its response lasts, which is up to the client.
#[tokio::test]
async fn what_there_is_no_room_to_compress_goes_out_as_it_is() {
    let _turn = turn::shared().await;
    let site = Site::new();
    endpoint(&site, plenty).await;
    let edgeward = start(&site, &both()).await;
    let stuck = stuck(&edgeward, 60).await;
    let compressed = compressed(&stuck);
    assert!((20..50).contains(&compressed), "{compressed}");
    let (plain, _) = stuck.last().unwrap();
    assert_eq!(
        (&plain.headers()["vary"], plain.headers()["content-length"].len()),
        (&"Accept-Encoding".parse().unwrap(), 8)
    );
    drop(stuck);
    let ask = Request::new("GET", HOST, "/").header("Accept-Encoding", "br");
    edgeward_tests::client::wait_for(edgeward.http, &ask, |answer| answer.header("content-encoding") == Some("br"))
        .await;
}

/// It takes most where there is least to gain.
#[tokio::test]
async fn all_that_is_compressed_at_a_time_takes_no_more_memory_than_there_is_room_for() {
    let _turn = turn::shared().await;
    let site = Site::new();
    endpoint(&site, plenty).await;
    let edgeward = start(&site, &json!({"enable-brotli": "true", "brotli-level": "1"})).await;
    drop(stuck(&edgeward, 1).await);
    let before = edgeward.resident_bytes();
    let stuck = stuck(&edgeward, 300).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let held = edgeward.resident_bytes().saturating_sub(before);
    let compressed = compressed(&stuck);
    eprintln!("{} KiB for {compressed} that are compressed", held >> 10);
    // The others have buffers, and larger ones on Pingora's engine.
    let limit = if is_on_pingora() { 256 } else { 160 };
    assert!(held < limit << 20, "{} KiB for {compressed} that are compressed", held >> 10);
}

#[tokio::test]
async fn the_options_say_what_is_worth_it() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let options = json!({
        "use-gzip": "true", "gzip-level": "9", "gzip-min-length": "3", "gzip-types": "text/css", "gzip-disable": "old",
    });
    let edgeward = start(&site, &options).await;
    let ask = |content_type: &str, body: &str| {
        let request = Request::get(HOST, "/").header("Accept-Encoding", "gzip, br").header("X-Echo-Body", body);
        request.header("X-Echo-Set", &format!("Content-Type: {content_type}"))
    };
    for (content_type, body, agent, coding) in [
        ("text/css", "abc", "new", Some("gzip")),
        ("text/html", "abc", "new", Some("gzip")),
        ("text/css", "ab", "new", None),
        ("text/plain", "abc", "new", None),
        ("text/css", "abc", "Very Old 1.0", None),
    ] {
        let answer = send(edgeward.http, &ask(content_type, body).header("User-Agent", agent)).await;
        assert_eq!(answer.header("content-encoding"), coding, "{content_type} {body} {agent}");
        assert_eq!(decoded(coding, &answer.body), body.as_bytes());
    }
    // Without the keys nothing is.
    site.manifests.write("options.yaml", config_map("ops", "options", &json!({})));
    edgeward_tests::client::wait_for(edgeward.http, &ask("text/css", "abc"), |answer| {
        answer.header("content-encoding").is_none() && answer.header("vary").is_none()
    })
    .await;
}
