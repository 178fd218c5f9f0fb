//! A collector of OpenTelemetry: it takes spans in OTLP over gRPC, and keeps them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::PATIENCE;
use crate::address::pod;

/// The call that brings spans (OTLP, section OTLP/gRPC).
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A span that a collector got.
#[derive(Debug, Clone)]
pub struct Collected {
    /// Who sent it.
    pub service: String,
    /// What was sent.
    pub span: Span,
}

impl Collected {
    /// An attribute, as text.
    pub fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.span.attributes, name)
    }

    /// The identities of its trace, of itself and of the span that it is in, in hexadecimal; the last is empty for none.
    pub fn ids(&self) -> (String, String, String) {
        let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let Span { trace_id, span_id, parent_span_id, .. } = &self.span;
        (hexadecimal(trace_id), hexadecimal(span_id), hexadecimal(parent_span_id))
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|one| one.key == name)?.value.clone()?.value?;
    Some(match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

type Spans = Arc<Mutex<Vec<Collected>>>;

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    addr: SocketAddr,
    spans: Spans,
    accepting: JoinHandle<()>,
}

impl Collector {
    /// Starts one on an address of its own.
    pub async fn start() -> Self {
        loop {
            let addr = pod();
            if let Ok(listener) = TcpListener::bind(addr).await {
                let spans = Spans::default();
                return Self { addr, accepting: tokio::spawn(accept(listener, Arc::clone(&spans))), spans };
            }
        }
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// All spans since the last call, in the order in which they were sent, once there are so many.
    ///
    /// # Panics
    ///
    /// When they do not come.
    pub async fn take(&self, count: usize) -> Vec<Collected> {
        let started = Instant::now();
        loop {
            {
                let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
                if spans.len() >= count {
                    return std::mem::take(&mut spans);
                }
                assert!(started.elapsed() < PATIENCE, "{} of {count} spans came: {spans:?}", spans.len());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, spans: Spans) {
    while let Ok((stream, _)) = listener.accept().await {
        let spans = Arc::clone(&spans);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, Arc::clone(&spans)));
            // A connection that breaks is the peer's affair.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Frames = futures_util::stream::Iter<std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>>;

async fn respond(request: Request<Incoming>, spans: Spans) -> Result<Response<StreamBody<Frames>>, Infallible> {
    let is_export = request.uri().path() == EXPORT;
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    // One message, not compressed, with its length in front.
    let message = body.get(5..).and_then(|message| ExportTraceServiceRequest::decode(message).ok());
    let status = match message {
        Some(message) if is_export => {
            let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
            for of_resource in message.resource_spans {
                let attributes = of_resource.resource.map(|resource| resource.attributes).unwrap_or_default();
                let service = attribute(&attributes, "service.name").unwrap_or_default();
                let sent = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(sent.map(|span| Collected { service: service.clone(), span }));
            }
            "0"
        }
        _ => "12",
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames = [Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Ok(Response::builder().header("content-type", "application/grpc").body(body).expect("the answer is valid"))
}
