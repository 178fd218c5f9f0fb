//! What a collector is told of a request.
//!
//! The names are those of the semantic conventions for HTTP and Kubernetes; what they have none for begins with `edgeward.`.
//! No query is among it, and of the client's header fields only `User-Agent`: the others may be secret.

use std::borrow::Cow;

use edgeward_routing::log_format::LogFormat;
use edgeward_routing::path::NormalizedPath;
use http::Version;
use http::header::USER_AGENT;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::RequestTrace;
use crate::access_log::write_text;
use crate::record::RequestRecord;

/// The longest text of a client in a span, in bytes: as many wait as the settings say.
const LONGEST: usize = 1024;

/// Methods that may be the name of a span; others could be as many as clients please.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The span of a finished request.
pub(crate) fn span(trace: &RequestTrace, operation: Option<&LogFormat>, record: &RequestRecord<'_>) -> SpanData {
    let status = if record.status >= 500 { Status::error("") } else { Status::Unset };
    let parent_span_id = trace.parent_id();
    SpanData {
        span_context: trace.context(),
        parent_span_is_remote: parent_span_id != opentelemetry::trace::SpanId::INVALID,
        parent_span_id,
        span_kind: SpanKind::Server,
        name: Cow::Owned(name(operation, record)),
        start_time: record.started,
        end_time: record.started.checked_add(record.duration).unwrap_or(record.started),
        attributes: attributes(record),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::builder("edgeward")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

/// The name that is asked for, or the method and the path of the route: never what only clients choose.
fn name(operation: Option<&LogFormat>, record: &RequestRecord<'_>) -> String {
    if let Some(operation) = operation {
        let mut name = Vec::new();
        write_text(operation, record, &mut name);
        return text(&name);
    }
    let method = method(record).unwrap_or("HTTP");
    match record.route {
        Some(route) if !route.fallback => format!("{method} {}", route.path.as_str()),
        _ => method.to_owned(),
    }
}

fn method<'a>(record: &RequestRecord<'a>) -> Option<&'a str> {
    let method = record.request.method();
    METHODS.contains(&method).then_some(method)
}

fn attributes(record: &RequestRecord<'_>) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(20);
    let mut add = |name: &'static str, value: Value| all.push(KeyValue::new(name, value));
    let request = record.request;
    add("http.request.method", Value::from(method(record).unwrap_or("_OTHER").to_owned()));
    if method(record).is_none() {
        add("http.request.method_original", text(request.method().as_bytes()).into());
    }
    add("http.response.status_code", i64::from(record.status).into());
    if record.status >= 500 {
        add("error.type", record.status.to_string().into());
    }
    add("url.path", text(&path(request.target())).into());
    if let Some(forwarded) = record.forwarded {
        add("url.scheme", text(&forwarded.scheme).into());
        add("server.address", text(forwarded.host_without_port().as_bytes()).into());
    }
    let version = match request.version() {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    add("network.protocol.version", version.into());
    if let Some(connection) = record.connection {
        add("server.port", i64::from(connection.downstream().port).into());
        add("network.peer.address", connection.peer_addr().ip().to_string().into());
        add("network.peer.port", i64::from(connection.peer_addr().port()).into());
    }
    if let Some(client) = record.client {
        add("client.address", client.to_string().into());
    }
    if let Some(agent) = request.values(&USER_AGENT).next() {
        add("user_agent.original", text(agent).into());
    }
    if let Some(route) = record.route {
        if !route.fallback {
            add("http.route", route.path.as_str().to_owned().into());
        }
        add("k8s.namespace.name", route.origin.namespace.to_string().into());
        add("k8s.ingress.name", route.origin.name.to_string().into());
        if !route.service.is_empty() {
            add("k8s.service.name", route.service.to_string().into());
        }
    }
    if let Some(last) = record.tries.last() {
        add("edgeward.upstream.address", last.address.to_string().into());
        add("edgeward.upstream.tries", i64::try_from(record.tries.len()).unwrap_or(i64::MAX).into());
    }
    if let Some(reason) = record.reason {
        add("edgeward.reason", reason.as_str().into());
    }
    add("edgeward.request_id", text(record.request_id.as_bytes()).into());
    all
}

/// The path of a target as routing sees it; as it was sent where it has none.
fn path(target: &[u8]) -> Vec<u8> {
    let normalized = std::str::from_utf8(target).ok().and_then(|text| NormalizedPath::parse(text).ok());
    match normalized {
        Some(path) => path.as_bytes().to_vec(),
        None => target.split(|byte| *byte == b'?').next().unwrap_or_default().to_vec(),
    }
}

/// Text of a client, shortened.
fn text(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned();
    text.retain(|character| !character.is_control());
    text
}
