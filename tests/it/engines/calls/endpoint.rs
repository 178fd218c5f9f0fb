//! Endpoints in HTTP/2: one that does what the path of a call says, and one that refuses all calls.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use edgeward_tests::address::pod;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use hyper::Response;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::fields;

pub(super) type Seen = Arc<Mutex<Vec<String>>>;

/// How many connections it was asked for.
pub(super) fn connections(seen: &Seen) -> usize {
    seen.lock().unwrap().iter().filter(|line| line.starts_with("connection")).count()
}

/// An endpoint that speaks HTTP/2, on these terms.
pub(super) async fn endpoint(builder: Builder, seen: Seen) -> SocketAddr {
    let address = pod();
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (tcp, _) = listener.accept().await.unwrap();
            seen.lock().unwrap().push(format!("connection {number}"));
            tokio::spawn(serve(tcp, builder.clone(), Arc::clone(&seen)));
        }
    });
    address
}

async fn serve(tcp: TcpStream, builder: Builder, seen: Seen) -> Option<()> {
    let mut connection = builder.handshake::<_, Bytes>(tcp).await.ok()?;
    while let Some(asked) = connection.accept().await {
        let (request, respond) = asked.ok()?;
        if request.uri().path() == "/leave" {
            connection.graceful_shutdown();
        }
        let (head, body) = request.into_parts();
        let text = format!("{} {} {}", head.method, head.uri, fields(&head.headers));
        seen.lock().unwrap().push(text);
        tokio::spawn(answer(head.uri.path().to_owned(), body, respond, Arc::clone(&seen)));
    }
    Some(())
}

fn head(status: u16) -> response::Builder {
    Response::builder().status(status).header("content-type", "application/grpc")
}

fn status(code: &'static str) -> HeaderMap {
    let fields = [("grpc-status", code), ("grpc-message", "done")];
    fields.into_iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

async fn answer(path: String, mut body: RecvStream, mut respond: SendResponse<Bytes>, seen: Seen) -> Option<()> {
    if path == "/echo" {
        let mut out = respond.send_response(head(200).body(()).unwrap(), false).ok()?;
        while let Some(data) = body.data().await {
            let Ok(data) = data.map_err(|error| seen.lock().unwrap().push(format!("{:?}", error.reason()))) else {
                return None;
            };
            let _ = body.flow_control().release_capacity(data.len());
            out.send_data(data, false).ok()?;
        }
        return out.send_trailers(status("0")).ok();
    }
    if path == "/unread" {
        sleep(Duration::from_secs(60)).await;
    }
    let (mut got, mut request_trailers) = (0, None);
    if path != "/early" {
        while let Some(data) = body.data().await {
            let data = data.ok()?;
            got += data.len();
            let _ = body.flow_control().release_capacity(data.len());
        }
        request_trailers = body.trailers().await.ok()?;
    }
    seen.lock().unwrap().push(format!("{got} bytes, trailers {request_trailers:?}"));
    let plain = Response::builder();
    let interims = match path.as_str() {
        "/interim" => 1,
        "/interims" => 1000,
        _ => 0,
    };
    for _ in 0..interims {
        respond.send_informational(Response::builder().status(103).header("link", "x").body(()).unwrap()).ok()?;
    }
    let mut whole = |head: response::Builder, body: &'static str| {
        let mut out = respond.send_response(head.body(()).unwrap(), body.is_empty()).ok()?;
        if !body.is_empty() {
            out.send_data(Bytes::from_static(body.as_bytes()), true).ok()?;
        }
        Some(())
    };
    match path.as_str() {
        "/plain" => whole(plain.header("content-length", "5"), "hello"),
        "/plain-without-length" => whole(plain, "hello"),
        "/empty" => whole(plain, ""),
        "/no-content" => whole(plain.status(204), ""),
        "/unavailable" => whole(plain.status(503).header("content-length", "4"), "away"),
        "/trailers-only" | "/early" => whole(head(200).header("grpc-status", "12"), ""),
        "/fields" => whole(
            head(200)
                .header("server", "it")
                .header("x-a", "1")
                .header("x-a", "2")
                .header("set-cookie", "c=d")
                .header("date", "Thu, 01 Jan 1970 00:00:00 GMT")
                .header("x-empty", "")
                .header("grpc-encoding", "identity"),
            "message",
        ),
        "/interim" | "/interims" => whole(head(200), "message"),
        "/large-head" => whole(head(200).header("x-large", "large".repeat(30_000)).header("x-a", "1"), "message"),
        // Plenty of text.
        "/text" => {
            let plain = plain.header("content-type", "text/plain");
            let mut out = respond.send_response(plain.body(()).unwrap(), false).ok()?;
            out.send_data(Bytes::from("text ".repeat(1000)), false).ok()?;
            out.send_trailers(status("0")).ok()
        }
        // Small messages, as many as are taken.
        "/drip" => {
            let mut out = respond.send_response(head(200).body(()).unwrap(), false).ok()?;
            loop {
                out.reserve_capacity(7);
                while out.capacity() < 7 {
                    match timeout(Duration::from_secs(1), poll_fn(|cx| out.poll_capacity(cx))).await {
                        Ok(Some(Ok(_))) => {}
                        Ok(_) => return None,
                        Err(_) => {
                            seen.lock().unwrap().push("full".to_owned());
                            return poll_fn(|cx| out.poll_reset(cx)).await.ok().map(drop);
                        }
                    }
                }
                out.send_data(Bytes::from_static(b"\0\0\0\0\x02ok"), false).ok()?;
            }
        }
        "/reset" => {
            respond.send_reset(Reason::ENHANCE_YOUR_CALM);
            Some(())
        }
        "/short" => {
            let mut out = respond.send_response(plain.header("content-length", "9").body(()).unwrap(), false).ok()?;
            out.send_data(Bytes::from_static(b"hello"), true).ok()
        }
        _ => {
            let slow = path == "/slow";
            if slow {
                sleep(Duration::from_millis(100)).await;
            }
            let mut out = respond.send_response(head(200).body(()).unwrap(), false).ok()?;
            if path != "/no-message" {
                out.send_data(Bytes::from_static(b"\0\0\0\0\x02ok"), false).ok()?;
            }
            let reset = match path.as_str() {
                "/reset-late" => Some(Reason::ENHANCE_YOUR_CALM),
                "/reset-for-http-1" => Some(Reason::HTTP_1_1_REQUIRED),
                _ => None,
            };
            if let Some(why) = reset {
                sleep(Duration::from_millis(50)).await;
                out.send_reset(why);
                return Some(());
            }
            out.send_trailers(status("0")).ok()
        }
    }
}

/// What an endpoint says of every call, instead of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    /// The stream is reset for this reason.
    Reset(Reason),
    /// It left before the call.
    Left,
}

/// An endpoint that refuses. It counts how often it was asked.
pub(super) async fn refusing(refusal: Refusal, asked: Arc<Mutex<usize>>) -> SocketAddr {
    let address = pod();
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(refuse(tcp, refusal, Arc::clone(&asked)));
        }
    });
    address
}

async fn refuse(mut tcp: TcpStream, refusal: Refusal, asked: Arc<Mutex<usize>>) -> std::io::Result<()> {
    // Settings, all of which are left to be what they are.
    tcp.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    tcp.read_exact(&mut [0; 24]).await?;
    loop {
        let mut frame = [0; 9];
        tcp.read_exact(&mut frame).await?;
        let [a, b, c, kind, _, stream @ ..] = frame;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        tcp.read_exact(&mut payload).await?;
        if kind == 1 {
            *asked.lock().unwrap() += 1;
            match refusal {
                Refusal::Reset(why) => {
                    let why = u32::from(why).to_be_bytes();
                    tcp.write_all(&[&[0, 0, 4, 3, 0][..], &stream, &why].concat()).await?;
                }
                Refusal::Left => tcp.write_all(&[&[0, 0, 8, 7, 0][..], &[0; 12]].concat()).await?,
            }
        }
    }
}
