//! Which requests change the protocol of their connection.

use http::HeaderValue;

/// The one protocol that a request asks to go on in (RFC 9110 section 7.8), from the elements of its `Upgrade`. `None` when it
/// offers a choice, and for HTTP itself: a connection in HTTP/2 to an endpoint would lead past every rule of this proxy.
pub(super) fn protocol<'a>(mut offered: impl Iterator<Item = &'a [u8]>) -> Option<HeaderValue> {
    let protocol = offered.next().filter(|protocol| protocol.iter().all(|b| is_token_or_slash(*b)))?;
    let name = protocol.split(|b| *b == b'/').next()?;
    let is_http = ["http", "h2", "h2c"].iter().any(|http| name.eq_ignore_ascii_case(http.as_bytes()));
    if is_http || offered.next().is_some() {
        return None;
    }
    HeaderValue::from_bytes(protocol).ok()
}

/// Whether a protocol is that of WebSockets (RFC 6455 section 4.1).
pub(super) fn is_websocket(protocol: &HeaderValue) -> bool {
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
}

fn is_token_or_slash(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&b)
}

#[cfg(test)]
mod tests;
