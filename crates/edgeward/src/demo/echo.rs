//! Backends for the demonstration: they answer with what they got.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The largest request body that is read.
const MAX_BODY: usize = 1 << 20;

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EchoBackend {
    /// What it calls itself: namespace, Service and port number.
    pub(super) name: String,
    /// The status of its answers.
    pub(super) status: StatusCode,
}

/// Serves HTTP/1.1 and HTTP/2 with prior knowledge on `listener`, until the process ends.
///
/// An ordinary request is answered with JSON, a WebSocket gets every message back, and a unary gRPC call its own message.
///
/// # Errors
///
/// Never in practice: failing accepts are tried again.
pub(super) async fn serve(listener: TcpListener, backend: EchoBackend) -> std::io::Result<()> {
    axum::serve(listener, router(backend)).await
}

fn router(backend: EchoBackend) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(backend))
}

async fn answer(
    State(backend): State<Arc<EchoBackend>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    if let Ok(upgrade) = upgrade {
        return upgrade.on_upgrade(move |socket| echo_messages(socket, backend));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let is_grpc =
        parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        return grpc_answer(body);
    }
    let host = parts.headers.get(header::HOST).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let answer = json!({
        "backend": backend.name,
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        // HTTP/2 has no Host header; its authority is in the URI.
        "host": host.or_else(|| parts.uri.authority().map(ToString::to_string)),
        "protocol": protocol(parts.version),
        "headers": headers(&parts.headers),
        "body_bytes": body.len(),
    });
    (backend.status, [(header::CONTENT_TYPE, "application/json")], format!("{answer:#}\n")).into_response()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        _ => "other",
    }
}

/// The headers by name; several of one name are joined as RFC 9110 section 5.3 allows.
fn headers(headers: &HeaderMap) -> BTreeMap<&str, Value> {
    headers
        .keys()
        .map(|name| {
            let values: Vec<_> =
                headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (name.as_str(), Value::String(values.join(", ")))
        })
        .collect()
}

/// The answer to a unary gRPC call: the message that came, and the status in the trailers
/// (gRPC over HTTP/2, section "Responses").
fn grpc_answer(message: Bytes) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", header::HeaderValue::from_static("0"));
    let frames = [Frame::data(message), Frame::trailers(trailers)].map(Ok::<_, std::convert::Infallible>);
    let body = Body::new(StreamBody::new(stream::iter(frames)));
    ([(header::CONTENT_TYPE, "application/grpc")], body).into_response()
}

async fn echo_messages(mut socket: WebSocket, backend: Arc<EchoBackend>) {
    if socket.send(Message::text(format!("hello from {}", backend.name))).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.recv().await {
        let sent = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            // Pings are answered by the WebSocket itself.
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}
