//! Heads in the form of HTTP/1 in that of HTTP/2, and back.

use bytes::{BufMut, Bytes};
use edgeward_routing::decide::{Reason, RequestHead as _};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};

use super::super::super::connection_options::ConnectionOptions;
use super::super::super::context::RequestContext;
use super::super::field::put_line;
use super::super::request;
use crate::head::{RequestHead, ResponseHead, fields_length, fields_of, lines};

/// The head of a request for an endpoint.
///
/// # Errors
///
/// What is wrong with it, where it cannot be said in HTTP/2.
pub(super) fn request(
    head: &RequestHead,
    options: ConnectionOptions,
    ctx: &RequestContext,
) -> Result<Request<()>, Reason> {
    let mut out = Vec::with_capacity(head.length() + 512);
    request::put_target(&mut out, head, ctx);
    let target = out.len();
    request::put_fields(&mut out, head, options, ctx);
    out.put_slice(b"\r\n");
    let out = Bytes::from(out);
    let mut fields = HeaderMap::with_capacity(32);
    let mut authority = None;
    for field in fields_of(lines(&out[target..])) {
        let name = name(field.name).ok_or(Reason::BadRequest)?;
        let value = out.slice_ref(field.value);
        if name == http::header::HOST {
            // The proxy writes it, or has routed by it.
            authority = Some(Authority::from_maybe_shared(value).map_err(|_| Reason::Internal)?);
        } else if !is_of_connection(&name) {
            fields.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| Reason::BadRequest)?);
        }
    }
    if head.values(b"te").any(|te| te.eq_ignore_ascii_case(b"trailers")) {
        // What servers of gRPC ask for, and all that HTTP/2 has of it (RFC 9113 section 8.2.2).
        fields.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    // A client in HTTP/1.0 may have named no host, without which there is no such request.
    parts.authority = Some(authority.filter(|authority| !authority.as_str().contains('@')).ok_or(Reason::Internal)?);
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(out.slice(..target)).map_err(|_| Reason::BadRequest)?);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method().as_bytes()).map_err(|_| Reason::BadRequest)?;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Reason::BadRequest)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = fields;
    Ok(request)
}

/// Names that most requests have and the `http` crate does not know. Each would take memory of its own.
static USUAL: [HeaderName; 11] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-scheme"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-accept-encoding"),
];

fn name(bytes: &[u8]) -> Option<HeaderName> {
    let usual = USUAL.iter().find(|usual| usual.as_str().as_bytes() == bytes);
    usual.cloned().or_else(|| HeaderName::from_bytes(bytes).ok())
}

/// Whether a field is about a connection in HTTP/1 (RFC 9113 section 8.2.2).
fn is_of_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade")
}

/// Appends the head of a response, which must be the first in `out`. `None` when HTTP/1 has none such.
pub(super) fn put_response<T>(out: &mut Vec<u8>, response: &Response<T>) -> Option<ResponseHead> {
    let status = response.status();
    out.reserve(fields_length(response.headers()) + 64);
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    for (name, value) in response.headers() {
        put_line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.put_slice(b"\r\n");
    ResponseHead::parse(out).ok().flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::Arc;

    use bytes::BytesMut;
    use edgeward_routing::Snapshot;
    use edgeward_routing::decide::decide;
    use edgeward_routing::settings::Settings;

    use super::*;

    fn sent(head: &str) -> Result<Request<()>, Reason> {
        let head = RequestHead::new(BytesMut::from(head));
        let mut ctx = RequestContext::new(Arc::new(Snapshot::empty(Settings::default())));
        ctx.forwarded = decide(&ctx.snapshot, &ctx.downstream, &head).forwarded;
        request(&head, ConnectionOptions::of(&head).unwrap(), &ctx)
    }

    #[test]
    fn a_request_says_the_same_in_http_2() {
        let head = "POST /a.B/C?d HTTP/1.1\r\nHost: calls.test:80\r\nTE: trailers\r\nConnection: TE, X-Named\r\nX-Named: 1\r\n\
                    X-A: 1\r\nx-a:\r\nGrpc-Timeout: 1S\r\nTransfer-Encoding: chunked\r\nUpgrade: h2c\r\n\r\n";
        let request = sent(head).unwrap();
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://calls.test:80/a.B/C?d")
        );
        let fields = request.headers();
        let values: Vec<_> = fields.get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(values, [&b"1"[..], b""]);
        assert_eq!((&fields["te"], &fields["grpc-timeout"]), (&"trailers".parse().unwrap(), &"1S".parse().unwrap()));
        for name in ["host", "connection", "x-named", "transfer-encoding", "upgrade"] {
            assert!(!fields.contains_key(name), "{name}: {fields:?}");
        }
    }

    #[test]
    fn what_cannot_be_said_in_http_2_is_not_sent() {
        assert_eq!(sent("GET / HTTP/1.0\r\n\r\n").err(), Some(Reason::Internal));
        assert_eq!(sent("GET /<> HTTP/1.1\r\nHost: calls.test\r\n\r\n").err(), Some(Reason::BadRequest));
    }

    #[test]
    fn a_response_is_the_first_in_its_buffer() {
        let mut out = Vec::new();
        let response = Response::builder().status(503).header("x-a", "1").header("x-a", "caf\u{e9}").body(()).unwrap();
        let head = put_response(&mut out, &response).unwrap();
        assert_eq!((head.status, head.length), (503, out.len()));
        assert_eq!(head.values(&out, b"x-a").collect::<Vec<_>>(), [&b"1"[..], "caf\u{e9}".as_bytes()]);
        assert!(out.starts_with(b"HTTP/1.1 503 Service Unavailable\r\n"));
    }
}
