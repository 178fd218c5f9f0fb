//! Pingora's request head, as the routing crate sees it.

use edgeward_routing::decide::{Reason, RequestHead};
use edgeward_routing::settings::ClientLimits;
use http::Version;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::head::fields_length;

/// A request head whose target and authority are text.
pub(super) struct Head<'a> {
    request: &'a RequestHeader,
    target: &'a str,
    authority: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// `None` when the target is not UTF-8: no rule can name it.
    pub(super) fn of(request: &'a RequestHeader) -> Option<Self> {
        let target = std::str::from_utf8(request.raw_path()).ok()?;
        // HTTP/2 and absolute-form carry the authority in the URI (RFC 9112 section 3.2.2: it wins over Host).
        let authority = match request.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            // A Host that is not text is malformed; the empty string is refused as such.
            None => request.headers.get(http::header::HOST).map(|host| host.to_str().unwrap_or_default()),
        };
        Some(Self { request, target, authority })
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.request.method.as_str()
    }

    fn target(&self) -> &str {
        self.target
    }

    fn authority(&self) -> Option<&str> {
        self.authority
    }

    fn requires_authority(&self) -> bool {
        self.request.version != Version::HTTP_10 && self.request.version != Version::HTTP_09
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.request.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }

    fn header_values<'b>(&'b self, name: &'b str) -> impl DoubleEndedIterator<Item = &'b [u8]> + 'b {
        self.request.headers.get_all(name).iter().map(http::HeaderValue::as_bytes)
    }
}

/// What a request breaks of the limits on request heads, if anything.
pub(in super::super) fn breach(request: &RequestHeader, limits: &ClientLimits) -> Option<(u16, Reason)> {
    if request.raw_path().len() > limits.uri_bytes {
        return Some((414, Reason::UriTooLong));
    }
    if request.headers.len() > limits.header_fields {
        return Some((431, Reason::HeadersTooLarge));
    }
    let is_too_long = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + b": ".len() + value.len() > limits.line_bytes
    };
    let is_too_large = fields_length(&request.headers) > limits.header_bytes || request.headers.iter().any(is_too_long);
    is_too_large.then_some((400, Reason::HeadersTooLarge))
}

/// What the client expects (RFC 9110 section 10.1.1): an expectation of HTTP/1.0 is to be ignored.
pub(super) fn expectation(request: &RequestHeader) -> Option<&[u8]> {
    let expectation = request.headers.get(http::header::EXPECT).filter(|_| request.version >= Version::HTTP_11);
    expectation.map(http::HeaderValue::as_bytes).filter(|expectation| !expectation.is_empty())
}

/// Whether the request has a body of unknown length.
pub(super) fn is_chunked(session: &mut Session) -> bool {
    !session.is_body_empty() && !session.req_header().headers.contains_key(http::header::CONTENT_LENGTH)
}

/// Bytes of the request head: as read for HTTP/1, as its fields would be in HTTP/1 for HTTP/2.
pub(super) fn wire_length(session: &Session) -> u64 {
    if let Some(http1) = session.as_downstream().as_http1() {
        return http1.get_headers_raw_bytes().len() as u64;
    }
    let request = session.req_header();
    let line = request.method.as_str().len() + request.raw_path().len() + 12;
    (line + fields_length(&request.headers) + 2) as u64
}
