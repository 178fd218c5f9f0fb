//! Heads of HTTP/2 in the form of HTTP/1, which is what endpoints get, and back.

use bytes::{BufMut, Bytes};
use edgeward_routing::settings::ClientLimits;
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::v2::server::HttpSession;

use super::super::super::pingora::breach;
use super::super::field::put_field;
use crate::head::{RequestHead, fields_length, fields_of, joined_cookies, lines};

/// The head of a request. `None` when it is one for the other engine, which refuses it or knows what to do: beyond the
/// limits, of a method that asks for a tunnel, or with an expectation.
pub(super) fn of(session: &HttpSession, limits: &ClientLimits) -> Option<RequestHead> {
    let request = session.req_header();
    let target = request.raw_path();
    let is_plain = request.method != Method::CONNECT
        && target.starts_with(b"/")
        && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
        && !request.headers.contains_key(EXPECT);
    if !is_plain || breach(request, limits).is_some() {
        return None;
    }
    let mut out = Vec::with_capacity(target.len() + fields_length(&request.headers) + 128);
    out.put_slice(request.method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(target);
    out.put_slice(b" HTTP/1.1\r\n");
    // It wins over the field (RFC 9113 section 8.3.1).
    let authority = request.uri.authority();
    if let Some(authority) = authority {
        put_field(&mut out, b"host", authority.as_str().as_bytes());
    }
    let cookies = joined_cookies(&request.headers);
    let mut has_length = false;
    for (name, value) in &request.headers {
        let is_written = name == HOST && authority.is_some()
            || name == COOKIE && cookies.is_some()
            // Another one is the same: the layer below has seen to that.
            || name == CONTENT_LENGTH && std::mem::replace(&mut has_length, true);
        if !is_written {
            put_field(&mut out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if let Some(cookies) = cookies {
        put_field(&mut out, b"cookie", &cookies);
    }
    if !session.is_body_done() && !has_length {
        out.put_slice(b"transfer-encoding: chunked\r\n");
    }
    out.put_slice(b"\r\n");
    Some(RequestHead::of_http2(Bytes::from(out).into()))
}

/// The head of a response that was written as one of HTTP/1. `None` when that is not possible.
pub(super) fn response(head: &[u8]) -> Option<ResponseHeader> {
    let head = Bytes::copy_from_slice(head);
    let mut lines = lines(&head);
    let status = StatusCode::from_bytes(lines.next()?.split(|byte| *byte == b' ').nth(1)?).ok()?;
    let mut fields = HeaderMap::with_capacity(16);
    for field in fields_of(lines) {
        let name = HeaderName::from_bytes(field.name).ok()?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value)).ok()?;
        // It has no meaning in a response, and HTTP/2 knows it in requests only (RFC 9113 section 8.2.2).
        if name != TE {
            fields.append(name, value);
        }
    }
    let mut parts = http::Response::new(()).into_parts().0;
    (parts.status, parts.headers) = (status, fields);
    Some(parts.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_response_is_the_same_in_both_forms() {
        let header = response(b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\nTE: gzip\r\nx-a:  2 \r\nEmpty:\r\n\r\n").unwrap();
        assert_eq!(header.status, 404);
        let fields: Vec<_> = header.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("x-a", &b"1"[..]), ("x-a", b"2"), ("empty", b"")]);
        for not_text in [&b"HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\nA b: 1\r\n\r\n", b"HTTP/1.1"]
        {
            assert!(response(not_text).is_none(), "{not_text:?}");
        }
    }
}
