//! Calls of gRPC, and what else goes to endpoints in HTTP/2.

mod endpoint;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_tests::client::{Connection, Request, connect, send};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::manifest::{Ingress, config_map, service};
use edgeward_tests::{PATIENCE, turn};
use h2::client::SendRequest;
use h2::server::Builder;
use h2::{Reason, RecvStream, SendStream};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::site::Site;
use endpoint::{Refusal, Seen, connections, endpoint, refusing};

const HOST: &str = "calls.test";

/// What an endpoint does, by the path of the call.
const CALLS: &[&str] = &[
    // One message each way.
    "/unary",
    // A head and trailers, and nothing between.
    "/no-message",
    // The status in the head.
    "/trailers-only",
    // Not of gRPC: with a length, without one, without a body.
    "/plain",
    "/plain-without-length",
    "/empty",
    "/no-content",
    // An error that is not of gRPC.
    "/unavailable",
    // Fields of all kinds.
    "/fields",
    // An interim answer.
    "/interim",
    // The stream is reset instead of an answer, or in the middle of one.
    "/reset",
    "/reset-late",
    // An answer that says more than there is of it.
    "/short",
];

/// What the engines may say differently of a call: what the client sees on the own engine, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "/reset-late",
        "ENHANCE_YOUR_CALM",
        "the client learns why the endpoint ended the stream, and gRPC makes a status of it",
    ),
    ("/short", "INTERNAL_ERROR", "it is an error, and the head of what will never be whole need not come"),
];

/// Fields sorted by name, without what never is the same.
fn fields(headers: &HeaderMap) -> String {
    let mut sorted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in headers {
        let value = match name.as_str() {
            "x-request-id" => "ID",
            "date" if !value.to_str().unwrap().contains("1970") => "NOW",
            "x-forwarded-port" => "PORT",
            _ => value.to_str().unwrap(),
        };
        sorted.entry(name.as_str()).or_default().push(value);
    }
    format!("{sorted:?}")
}

async fn client(edgeward: &Edgeward) -> SendRequest<Bytes> {
    let (sender, connection) = h2::client::handshake(connect(edgeward.http, None).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Begins a call.
async fn begin(
    client: &SendRequest<Bytes>,
    path: &str,
) -> Result<(h2::client::ResponseFuture, SendStream<Bytes>), h2::Error> {
    let request = hyper::Request::post(format!("http://{HOST}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "10S")
        .header("x-named", "1")
        .body(())
        .unwrap();
    client.clone().ready().await?.send_request(request, false)
}

/// Begins a call that comes back message by message, with a first one; both sides of it are open.
async fn echo(client: &SendRequest<Bytes>) -> (SendStream<Bytes>, RecvStream) {
    let (response, mut out) = begin(client, "/echo").await.unwrap();
    out.send_data(Bytes::from_static(b"first"), false).unwrap();
    (out, timeout(PATIENCE, response).await.unwrap().unwrap().into_body())
}

/// What comes of a call: status, fields, bytes of the body, trailers, or the end of all that.
async fn outcome(response: impl Future<Output = Result<hyper::Response<h2::RecvStream>, h2::Error>>) -> String {
    let mut text = String::new();
    let read = async {
        let (head, mut body) = response.await?.into_parts();
        let _ = write!(text, "{} {}", head.status, fields(&head.headers));
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            let _ = write!(text, " {:?}", data);
        }
        let trailers = body.trailers().await?;
        let _ = write!(text, " trailers {}", trailers.as_ref().map(fields).unwrap_or_default());
        Ok::<_, h2::Error>(())
    };
    if let Err(error) = timeout(PATIENCE, read).await.expect("a call comes to its end") {
        let _ = write!(text, " ended by {:?}", error.reason());
    }
    text
}

/// A whole call with one message.
async fn call(client: &SendRequest<Bytes>, path: &str) -> String {
    let (response, mut body) = begin(client, path).await.unwrap();
    // The answer may have ended it before.
    let _ = body.send_data(Bytes::from_static(b"\0\0\0\0\x05hello"), true);
    outcome(response).await
}

/// A site with such an endpoint, on both engines.
async fn both(builder: Builder, seen: &Seen) -> (Site, [(&'static str, Edgeward); 2]) {
    let endpoints = [endpoint(builder, Arc::clone(seen)).await];
    site(&endpoints).await
}

async fn site(endpoints: &[SocketAddr]) -> (Site, [(&'static str, Edgeward); 2]) {
    let site = Site::new();
    site.manifests.write("service.yaml", service("calls", endpoints));
    site.ingress(&Ingress::new("calls").annotation("backend-protocol", "GRPC").host(HOST, "calls"));
    let launch = |fast: bool| site.launch().workers(1).argument(format!("--fast-path={fast}"));
    let engines = [("own", launch(true).start().await), ("pingora", launch(false).start().await)];
    (site, engines)
}

#[tokio::test]
async fn both_engines_say_the_same_of_calls() {
    let _turn = turn::shared().await;
    let seen = Seen::default();
    let (_site, engines) = both(Builder::new(), &seen).await;
    let mut differences = String::new();
    for path in CALLS {
        let mut all = Vec::new();
        for (name, edgeward) in &engines {
            let text = call(&client(edgeward).await, path).await;
            let upstream: Vec<_> = std::mem::take(&mut *seen.lock().unwrap())
                .into_iter()
                .filter(|line| !line.contains("connection"))
                .collect();
            let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == *path).await;
            let log = format!("{} {}", entry["status"], entry["upstream_status"]);
            all.push((name, text, upstream, log));
        }
        let [(_, a, b, c), (_, d, e, f)] = &all[..] else { unreachable!("there are two engines") };
        let is_known = |(of, own, _why): &(&str, &str, &str)| of == path && a.contains(own) && b == e;
        if (a, b, c) != (d, e, f) && !DIFFERENCES.iter().any(is_known) {
            let _ = writeln!(differences, "\n=== {path}\nown:\n{a}\n{b:?}\n{c}\nPingora:\n{d}\n{e:?}\n{f}");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[tokio::test]
async fn a_client_in_http_1_gets_the_same_answers() {
    let _turn = turn::shared().await;
    let (_site, engines) = both(Builder::new(), &Seen::default()).await;
    let mut differences = String::new();
    for path in ["/plain", "/plain-without-length", "/empty", "/no-content", "/unavailable", "/fields", "/reset"] {
        let mut requests = vec![Request::get(HOST, path), Request::post(HOST, path, b"hello".to_vec())];
        // Pingora sends chunks to clients that know none.
        if matches!(path, "/plain" | "/unavailable") {
            requests.push(Request::get(HOST, path).version("1.0"));
        }
        for request in requests {
            let mut all = Vec::new();
            for (_, edgeward) in &engines {
                let mut connection = Connection::open(edgeward.http).await;
                connection.send(request.bytes()).await;
                all.push(connection.read_response("GET").await.map(|answer| {
                    let named =
                        answer.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                    format!("{} {} {:?}", answer.start, fields(&named.collect()), answer.body)
                }));
            }
            let [own, pingora] = &all[..] else { unreachable!("there are two engines") };
            if format!("{own:?}") != format!("{pingora:?}") {
                let _ = writeln!(differences, "\n=== {request:?}\nown:\n{own:?}\nPingora:\n{pingora:?}");
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// An answer may come before the call is whole.
#[tokio::test]
async fn an_endpoint_need_not_hear_all_of_a_call() {
    let _turn = turn::shared().await;
    let (_site, engines) = both(Builder::new(), &Seen::default()).await;
    for (name, edgeward) in &engines {
        let client = client(edgeward).await;
        let (response, _out) = begin(&client, "/early").await.unwrap();
        let text = outcome(response).await;
        assert!(text.contains("12") && !text.contains("ended"), "{name}: {text}");
        assert!(call(&client, "/unary").await.contains("grpc-status"), "{name}");
    }
}

/// What an endpoint says that is too much, or makes no sense, is no answer; and others are served meanwhile.
#[tokio::test]
async fn an_endpoint_that_says_too_much_is_a_bad_gateway() {
    let _turn = turn::shared().await;
    let (_site, [(_, own), _]) = both(Builder::new(), &Seen::default()).await;
    let client = client(&own).await;
    let (response, mut out) = begin(&client, "/echo").await.unwrap();
    for path in ["/interims", "/large-head", "/reset"] {
        let text = call(&client, path).await;
        assert!(text.starts_with("502"), "{path}: {text}");
    }
    out.send_data(Bytes::from_static(b"hello"), true).unwrap();
    let text = outcome(response).await;
    assert!(text.contains("hello") && text.contains("grpc-status"), "{text}");
}

/// The backend for error pages speaks HTTP/1, and gets what the endpoint got.
#[tokio::test]
async fn an_error_page_takes_the_place_of_an_answer_in_http_2() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("pages").await;
    site.manifests.write("service.yaml", service("calls", &[endpoint(Builder::new(), Seen::default()).await]));
    let ingress = Ingress::new("calls").annotation("backend-protocol", "GRPC").annotation("custom-http-errors", "503");
    site.ingress(&ingress.annotation("default-backend", "pages").host(HOST, "calls"));
    for fast in [true, false] {
        let edgeward = site.launch().argument(format!("--fast-path={fast}")).start().await;
        let text = call(&client(&edgeward).await, "/unavailable").await;
        assert!(text.starts_with("200") && text.contains("pages"), "{text}");
        let got = site.recording.last().unwrap();
        assert_eq!((got.header("x-code"), got.body_length), (Some("503"), 10), "{got:?}");
    }
}

/// Each side hears what the other one says, before it has said all of its own.
#[tokio::test]
async fn both_sides_of_a_call_speak_at_the_same_time() {
    let _turn = turn::shared().await;
    let (_site, engines) = both(Builder::new(), &Seen::default()).await;
    for (name, edgeward) in &engines {
        let (mut out, mut body) = echo(&client(edgeward).await).await;
        for message in ["first", "second", "third"] {
            let mut got = Vec::new();
            while got.len() < message.len() {
                let data = timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                got.extend_from_slice(&data);
            }
            assert_eq!(got, message.as_bytes(), "{name}");
            match message {
                "first" => out.send_data(Bytes::from_static(b"second"), false).unwrap(),
                "second" => out.send_data(Bytes::from_static(b"third"), true).unwrap(),
                _ => {}
            }
        }
        assert!(timeout(PATIENCE, body.data()).await.unwrap().is_none());
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0", "{name}");
    }
}

#[tokio::test]
async fn a_client_that_gives_a_call_up_is_heard_by_the_endpoint() {
    let _turn = turn::shared().await;
    let seen = Seen::default();
    let (_site, engines) = both(Builder::new(), &seen).await;
    for (name, edgeward) in &engines {
        seen.lock().unwrap().clear();
        let client = client(edgeward).await;
        let (mut out, body) = echo(&client).await;
        out.send_reset(Reason::CANCEL);
        drop((body, out));
        let begun = std::time::Instant::now();
        while !seen.lock().unwrap().contains(&"Some(CANCEL)".to_owned()) {
            assert!(begun.elapsed() < PATIENCE, "{name}: {:?}", seen.lock().unwrap());
            sleep(Duration::from_millis(10)).await;
        }
        // The connection is as good as before.
        assert!(call(&client, "/unary").await.contains("grpc-status"), "{name}");
        assert_eq!(connections(&seen), 1, "{name}: {:?}", seen.lock().unwrap());
    }
}

/// Calls under way come to their end, and new ones go to another connection.
#[tokio::test]
async fn an_endpoint_that_leaves_loses_no_call() {
    let _turn = turn::shared().await;
    let seen = Seen::default();
    let (_site, engines) = both(Builder::new(), &seen).await;
    for (name, edgeward) in &engines {
        let client = client(edgeward).await;
        let (mut out, mut body) = echo(&client).await;
        assert_eq!(body.data().await.unwrap().unwrap(), "first");
        assert!(call(&client, "/leave").await.contains("grpc-status"), "{name}");
        sleep(Duration::from_millis(50)).await;
        for _ in 0..4 {
            assert!(call(&client, "/unary").await.contains("grpc-status"), "{name}");
        }
        out.send_data(Bytes::from_static(b"second"), true).unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), "second", "{name}");
        assert!(body.data().await.is_none());
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0", "{name}");
    }
}

/// What an endpoint says that it has done nothing about, another one is asked for, a POST too.
#[tokio::test]
async fn a_call_that_is_refused_is_another_endpoints() {
    let _turn = turn::shared().await;
    for refusal in [Refusal::Reset(Reason::REFUSED_STREAM), Refusal::Left] {
        let asked = Arc::default();
        let endpoints = [refusing(refusal, Arc::clone(&asked)).await, endpoint(Builder::new(), Seen::default()).await];
        let (_site, [(_, own), _]) = site(&endpoints).await;
        let client = client(&own).await;
        for _ in 0..6 {
            let text = call(&client, "/unary").await;
            assert!(text.contains("grpc-status"), "{refusal:?}: {text}");
        }
        assert!(*asked.lock().unwrap() > 0, "{refusal:?}: the first endpoint was never asked");
    }
}

/// What ends a stream may be about the connection to the endpoint, and of that the client has none.
#[tokio::test]
async fn a_client_learns_of_a_reset_what_is_about_its_call() {
    let _turn = turn::shared().await;
    let (_site, [(_, own), _]) = both(Builder::new(), &Seen::default()).await;
    let client = client(&own).await;
    for (path, why) in [("/reset-late", "ENHANCE_YOUR_CALM"), ("/reset-for-http-1", "INTERNAL_ERROR")] {
        let text = call(&client, path).await;
        assert!(text.ends_with(&format!("ended by Some({why})")), "{path}: {text}");
    }
}

/// What may have been done is not repeated.
#[tokio::test]
async fn a_call_that_breaks_is_not_repeated() {
    let _turn = turn::shared().await;
    let asked = Arc::default();
    let broken = Refusal::Reset(Reason::CANCEL);
    let endpoints = [refusing(broken, Arc::clone(&asked)).await, refusing(broken, Arc::clone(&asked)).await];
    let (_site, [(_, own), _]) = site(&endpoints).await;
    let text = call(&client(&own).await, "/unary").await;
    assert!(text.starts_with("502"), "{text}");
    assert_eq!(*asked.lock().unwrap(), 1);
}

/// One that takes one call at a time gets more connections instead.
#[tokio::test]
async fn an_endpoint_gets_no_more_streams_than_it_takes() {
    let _turn = turn::shared().await;
    let mut builder = Builder::new();
    builder.max_concurrent_streams(1);
    let seen = Seen::default();
    let (_site, engines) = both(builder, &seen).await;
    let (_, own) = &engines[0];
    let client = client(own).await;
    for _ in 0..2 {
        let calls = (0..8).map(|_| call(&client, "/slow"));
        for text in timeout(PATIENCE, futures_util::future::join_all(calls)).await.unwrap() {
            assert!(text.contains("grpc-status"), "{text}");
        }
    }
    let connections = connections(&seen);
    assert!((2..=9).contains(&connections), "{connections} connections for 8 calls at a time");
    assert!(!own.log().contains("ejected"), "{}", own.log());
}

/// What an endpoint does not read of a call may fill the window of its connection.
#[tokio::test]
async fn a_call_that_is_not_read_is_in_nobodys_way() {
    let _turn = turn::shared().await;
    let mut builder = Builder::new();
    builder.initial_connection_window_size(65_535).initial_window_size(1 << 20);
    let (_site, engines) = both(builder, &Seen::default()).await;
    let (_, own) = &engines[0];
    let stuck = client(own).await;
    let (_response, mut out) = begin(&stuck, "/unread").await.unwrap();
    out.reserve_capacity(1 << 20);
    out.send_data(Bytes::from(vec![b'm'; 1 << 20]), true).unwrap();
    sleep(Duration::from_millis(500)).await;
    let other = client(own).await;
    for _ in 0..3 {
        let text = call(&other, "/unary").await;
        assert!(text.contains("grpc-status"), "{text}");
    }
}

/// Its endpoint has taken what it waited with, and may say nothing more for long.
#[tokio::test]
async fn a_call_that_has_waited_shares_its_connection() {
    let _turn = turn::shared().await;
    let seen = Seen::default();
    let (_site, engines) = both(Builder::new(), &seen).await;
    let (_, own) = &engines[0];
    let client = client(own).await;
    let (mut out, mut body) = echo(&client).await;
    // More than a window.
    out.send_data(Bytes::from(vec![b'm'; 256 << 10]), false).unwrap();
    let mut left = "first".len() + (256 << 10);
    while left > 0 {
        let data = timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        left -= data.len();
    }
    sleep(Duration::from_millis(500)).await;
    for _ in 0..3 {
        let text = call(&client, "/unary").await;
        assert!(text.contains("grpc-status"), "{text}");
    }
    assert_eq!(connections(&seen), 1);
}

/// There are servers that end a connection on which a large head comes.
#[tokio::test]
async fn a_call_with_a_large_head_has_a_connection_of_its_own() {
    let _turn = turn::shared().await;
    let seen = Seen::default();
    let (_site, engines) = both(Builder::new(), &seen).await;
    let (_, own) = &engines[0];
    let client = client(own).await;
    for (length, expected) in [(0, 1), (3500, 1), (4500, 2), (0, 2), (4500, 3), (0, 3)] {
        let request = hyper::Request::post(format!("http://{HOST}/unary"))
            .header("content-type", "application/grpc")
            .header("x-large", "l".repeat(length))
            .header("x-large", "m".repeat(length));
        let (response, mut out) = client.clone().send_request(request.body(()).unwrap(), false).unwrap();
        out.send_data(Bytes::from_static(b"\0\0\0\0\x05hello"), true).unwrap();
        let text = outcome(response).await;
        assert!(text.contains("grpc-status"), "{length}: {text}");
        assert_eq!(connections(&seen), expected, "{length}");
    }
}

/// Calls of many clients are on one connection.
#[tokio::test]
async fn calls_share_a_connection() {
    let _turn = turn::shared().await;
    let seen = Seen::default();
    let (_site, engines) = both(Builder::new(), &seen).await;
    let (_, own) = &engines[0];
    let clients = futures_util::future::join_all((0..8).map(|_| client(own))).await;
    let calls = clients.iter().flat_map(|client| (0..8).map(move |_| call(client, "/slow")));
    for text in futures_util::future::join_all(calls).await {
        assert!(text.contains("grpc-status"), "{text}");
    }
    assert_eq!(connections(&seen), 1);
}

/// What an endpoint sends waits there, as long as the client takes nothing.
#[tokio::test]
async fn a_client_that_takes_nothing_of_large_messages_costs_little_memory() {
    let _turn = turn::shared().await;
    let (_site, engines) = both(Builder::new(), &Seen::default()).await;
    let (_, own) = &engines[0];
    assert!(call(&client(own).await, "/unary").await.contains("grpc-status"));
    let before = own.resident_bytes();
    let client = client(own).await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        let (response, mut out) = begin(&client, "/echo").await.unwrap();
        calls.push(tokio::spawn(async move {
            let body = response.await.unwrap().into_body();
            // It sends on, and takes nothing back.
            let message = Bytes::from(vec![b'm'; 1 << 20]);
            for _ in 0..16 {
                let mut left = message.clone();
                while !left.is_empty() {
                    out.reserve_capacity(left.len());
                    let Some(Ok(size)) = poll_fn(|cx| out.poll_capacity(cx)).await else { return (body, out) };
                    out.send_data(left.split_to(size.min(left.len())), false).unwrap();
                }
            }
            (body, out)
        }));
    }
    let mut held = 0;
    for _ in 0..20 {
        sleep(Duration::from_millis(100)).await;
        held = held.max(own.resident_bytes().saturating_sub(before));
    }
    eprintln!("{} KiB for 20 calls", held >> 10);
    assert!(held < 24 << 20, "{} KiB for 20 calls of which nobody takes the answers", held >> 10);
    // Others are served meanwhile.
    let other = self::client(own).await;
    assert!(call(&other, "/unary").await.contains("grpc-status"));
    calls.iter().for_each(|call| call.abort());
}

/// Who has a call open on both sides while others do what they do.
struct Patient {
    _client: SendRequest<Bytes>,
    out: SendStream<Bytes>,
    response: hyper::Response<h2::RecvStream>,
}

impl Patient {
    async fn begin(edgeward: &Edgeward) -> Self {
        let client = client(edgeward).await;
        let (response, mut out) = begin(&client, "/echo").await.unwrap();
        out.send_data(Bytes::from_static(b"first "), false).unwrap();
        Self { _client: client, out, response: response.await.unwrap() }
    }

    /// The call goes on to its end.
    async fn end(mut self) {
        self.out.send_data(Bytes::from_static(b"second"), true).unwrap();
        let text = outcome(std::future::ready(Ok(self.response))).await;
        assert!(text.contains("second") && text.contains("grpc-status"), "{text}");
    }
}

/// They are on a connection that others have too.
#[tokio::test]
async fn clients_that_take_nothing_of_many_small_messages_end_no_other_call() {
    let _turn = turn::shared().await;
    let seen = Seen::default();
    let (_site, engines) = both(Builder::new(), &seen).await;
    let (_, own) = &engines[0];
    let patient = Patient::begin(own).await;
    let before = own.resident_bytes();
    let full = || seen.lock().unwrap().iter().filter(|line| *line == "full").count();
    // Together they are given more than the connection takes at a time.
    for round in 1..=4 {
        let stuck = client(own).await;
        let mut calls = Vec::new();
        for _ in 0..30 {
            let (response, mut out) = begin(&stuck, "/drip").await.unwrap();
            out.send_data(Bytes::new(), true).unwrap();
            calls.push(response.await.unwrap());
        }
        let begun = std::time::Instant::now();
        while full() < round * calls.len() && begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(full(), round * calls.len());
        let held = own.resident_bytes().saturating_sub(before);
        eprintln!("{} KiB for 30 calls", held >> 10);
        assert!(held < 40 << 20, "{} KiB for 30 calls of which nobody takes the answers", held >> 10);
    }
    patient.end().await;
}

/// Much of what they are answered may be on its way then.
#[tokio::test]
async fn clients_that_give_up_calls_end_no_other_call() {
    let _turn = turn::shared().await;
    let seen = Seen::default();
    let (_site, engines) = both(Builder::new(), &seen).await;
    let (_, own) = &engines[0];
    let patient = Patient::begin(own).await;
    for _ in 0..8 {
        let hasty = client(own).await;
        let calls = (0..90).map(|_| async {
            let (response, mut out) = begin(&hasty, "/drip").await.unwrap();
            out.send_data(Bytes::new(), true).unwrap();
            response.await.unwrap()
        });
        drop(futures_util::future::join_all(calls).await);
        sleep(Duration::from_millis(200)).await;
    }
    patient.end().await;
}

/// Trailers follow what is compressed, for those who can have them.
#[tokio::test]
async fn what_has_trailers_is_compressed() {
    let _turn = turn::shared().await;
    let site = Site::new();
    site.manifests.write("service.yaml", service("calls", &[endpoint(Builder::new(), Seen::default()).await]));
    site.ingress(&Ingress::new("calls").annotation("backend-protocol", "GRPC").host(HOST, "calls"));
    site.manifests.write("options.yaml", config_map("ops", "options", &json!({"use-gzip": "true"})));
    let own = site.launch().argument("--fast-path=true").argument("--configmap=ops/options").start().await;
    let client = client(&own).await;
    for _ in 0..3 {
        let request = hyper::Request::get(format!("http://{HOST}/text")).header("accept-encoding", "gzip");
        let (response, _) = client.clone().send_request(request.body(()).unwrap(), true).unwrap();
        let text = outcome(response).await;
        assert!(text.contains("gzip") && text.contains("grpc-status") && !text.contains("ended"), "{text}");
    }
    let entry = own.access_log_entry(|entry| entry["request_uri"] == "/text").await;
    assert_eq!(entry["reason"], "", "{entry}");
    let answer = send(own.http, &Request::get(HOST, "/text").header("Accept-Encoding", "gzip")).await;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "text ".repeat(1000), "{answer:?}");
}

/// An endpoint that speaks HTTP/1 is one that cannot be reached in HTTP/2.
#[tokio::test]
async fn an_endpoint_that_speaks_no_http_2_is_a_bad_gateway() {
    let _turn = turn::shared().await;
    let mut web = Site::new();
    web.service("web").await;
    web.ingress(&Ingress::new("web").annotation("backend-protocol", "GRPC").host(HOST, "web"));
    let own = web.launch().argument("--fast-path=true").start().await;
    let text = call(&client(&own).await, "/unary").await;
    assert!(text.starts_with(StatusCode::BAD_GATEWAY.as_str()), "{text}");
}
