//! A backend that speaks HTTP/2 with prior knowledge, and gRPC.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::address::pod;

/// A running backend. A request of type `application/grpc` gets its message back with trailers; any other gets JSON.
#[derive(Debug)]
pub struct H2Backend {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    accepting: JoinHandle<()>,
}

impl H2Backend {
    /// Starts one on an address of its own.
    ///
    /// # Panics
    ///
    /// When its listener has no address.
    pub async fn start(name: &str) -> Self {
        let listener = loop {
            if let Ok(listener) = TcpListener::bind(pod()).await {
                break listener;
            }
        };
        let addr = listener.local_addr().expect("a listener has an address");
        let heads = Arc::default();
        let accepting = tokio::spawn(accept(listener, name.to_owned(), Arc::clone(&heads)));
        Self { addr, heads, accepting }
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Request lines (`POST /path HTTP/2.0`) and header fields that it got since the last call.
    pub fn take(&self) -> Vec<(String, HeaderMap)> {
        std::mem::take(&mut self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for H2Backend {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Heads = Arc<Mutex<Vec<(String, HeaderMap)>>>;

async fn accept(listener: TcpListener, name: String, heads: Heads) {
    while let Ok((stream, _)) = listener.accept().await {
        let (name, heads) = (name.clone(), heads.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, name.clone(), heads.clone()));
            // A connection that breaks is the peer's affair.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    name: String,
    heads: Heads,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let line = format!("{} {} {:?}", head.method, head.uri.path(), head.version);
    heads.lock().unwrap_or_else(PoisonError::into_inner).push((line, head.headers.clone()));
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let grpc = head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let response = Response::builder().header("x-backend", name.as_str());
    let response = if grpc {
        let mut trailers = HeaderMap::new();
        let status = head.headers.get("x-echo-grpc-status").cloned();
        trailers.insert("grpc-status", status.unwrap_or(HeaderValue::from_static("0")));
        trailers.insert("grpc-message", HeaderValue::from_static("done"));
        let frames = [Ok(Frame::data(body)), Ok(Frame::trailers(trailers))];
        response
            .header("content-type", "application/grpc")
            .body(BoxBody::new(StreamBody::new(futures_util::stream::iter(frames))))
    } else {
        let text = json!({
            "backend": name,
            "method": head.method.as_str(),
            "path": head.uri.path_and_query().map(ToString::to_string),
            "authority": head.uri.authority().map(ToString::to_string),
            "version": format!("{:?}", head.version),
            "body_length": body.len(),
        });
        response.header("content-type", "application/json").body(BoxBody::new(Full::new(Bytes::from(text.to_string()))))
    };
    Ok(response.expect("the parts of the answer are valid"))
}
