//! The head of a response on its way to the client.

use bytes::BufMut;
use edgeward_routing::decide::Reason;
use edgeward_routing::forward::Edit;
use edgeward_routing::policy::ResponsePolicies;
use edgeward_routing::respond::is_hidden;
use edgeward_routing::settings::{Compressed, Settings, weak_etag};

use super::super::connection_options::Named;
use super::super::context::RequestContext;
use super::field::{Edited, put_field, put_unfolded};
use crate::clock;
use crate::head::{Field, ResponseHead, elements, parse_length};

/// Where the body of a response ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none, or it has so many bytes.
    Bytes(u64),
    /// Where the chunked coding says.
    Chunked,
    /// Where the connection ends.
    Connection,
}

impl Length {
    /// The length of the body of a response to a request that is `HEAD` or not.
    ///
    /// # Errors
    ///
    /// [`Reason::UpstreamInvalid`] when it can be read in two ways.
    pub(super) fn of(response: &ResponseHead, bytes: &[u8], is_head: bool) -> Result<Self, Reason> {
        let mut coding = None;
        for value in codings(response, bytes) {
            if !value.eq_ignore_ascii_case(b"chunked") || coding.replace(value).is_some() {
                return Err(Reason::UpstreamInvalid);
            }
        }
        let mut length = None;
        for value in response.values(bytes, b"content-length").flat_map(|value| value.split(|byte| *byte == b',')) {
            let this = parse_length(value.trim_ascii()).ok_or(Reason::UpstreamInvalid)?;
            if length.replace(this).is_some_and(|other| other != this) {
                return Err(Reason::UpstreamInvalid);
            }
        }
        Ok(match (coding, length) {
            _ if is_head || matches!(response.status, 100..=199 | 204 | 304) => Self::Bytes(0),
            (Some(_), _) => Self::Chunked,
            (None, Some(length)) => Self::Bytes(length),
            (None, None) => Self::Connection,
        })
    }
}

/// Whether an endpoint takes another request on its connection (RFC 9112 section 9.3).
pub(super) fn keeps_connection(response: &ResponseHead, bytes: &[u8]) -> bool {
    let mut keep_alive = false;
    for option in response.values(bytes, b"connection").flat_map(elements) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    // What HTTP/1.0 says in chunks, it was not meant to (RFC 9112 section 6.1).
    response.is_http11 || keep_alive && !is_coded(response, bytes)
}

/// Whether the body is in a coding, or would be.
pub(super) fn is_coded(response: &ResponseHead, bytes: &[u8]) -> bool {
    codings(response, bytes).next().is_some()
}

/// The codings of the body. That of old is none (RFC 9112 section 7.2 has no `identity` any more).
fn codings<'a>(response: &'a ResponseHead, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let values = response.values(bytes, b"transfer-encoding");
    values.filter(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// How the response goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Whether it says that the body is in chunks.
    pub(super) chunked: bool,
    /// What it says of the connection, where that is a matter of its head.
    pub(super) connection: Option<ConnectionField>,
    /// What it is compressed with.
    pub(super) compressed: Compressed,
}

/// What a response says of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionField {
    /// The client may send another request.
    KeepAlive,
    /// It may not.
    Close,
    /// It changes protocol.
    Upgrade,
}

/// Writes the head for the client.
pub(super) fn write(
    out: &mut Vec<u8>,
    response: &ResponseHead,
    bytes: &[u8],
    delivery: Delivery,
    ctx: &RequestContext,
) {
    put_status_line(out, response, bytes);
    let is_coded = is_coded(response, bytes);
    let mut edited = Edited::default();
    let mut appended = Vec::new();
    ctx.edit_response(response.status, |edit| match edit {
        Edit::Set(name, value) => edited.set(out, name, value),
        Edit::Remove(name) => edited.remove(out, name),
        // Behind those of the name that the endpoint has: the last cookie of a name is the one that counts.
        Edit::Append(name, value) => put_field(&mut appended, name.as_bytes(), value),
    });
    let filter = Filter::new(&edited, response, bytes, ctx);
    let mut has_length = false;
    let is_compressed = delivery.compressed.with.is_some();
    for field in response.fields(bytes) {
        match field.name.len() {
            4 if field.is(b"date") => {}
            4 if is_compressed && field.is(b"etag") => {
                if let Some(etag) = weak_etag(field.value) {
                    filter.pass(out, Field { name: field.name, value: &etag });
                }
            }
            13 if is_compressed && field.is(b"accept-ranges") => {}
            7 if field.is(b"upgrade") && delivery.connection == Some(ConnectionField::Upgrade) => {
                filter.pass(out, field);
            }
            14 if field.is(b"content-length") => {
                // One is enough, and none has a meaning beside chunks. Nobody may name it away.
                if !is_coded && !is_compressed && !std::mem::replace(&mut has_length, true) {
                    put_field(out, field.name, elements(field.value).next().unwrap_or_default());
                }
            }
            _ if is_between(field) => {}
            _ => filter.pass(out, field),
        }
    }
    out.put_slice(&appended);
    if let Some((coding, _)) = delivery.compressed.with {
        put_field(out, b"Content-Encoding", coding.name().as_bytes());
    }
    if delivery.compressed.adds_vary {
        put_field(out, b"Vary", b"Accept-Encoding");
    }
    if delivery.chunked {
        out.put_slice(b"Transfer-Encoding: chunked\r\n");
    }
    put_end(out, delivery.connection);
}

/// Writes an interim response (RFC 9110 section 15.2), which has no say in connection and body. What is laid down for the
/// response itself it does not have, nor what that takes the place of.
pub(super) fn write_interim(out: &mut Vec<u8>, response: &ResponseHead, bytes: &[u8], ctx: &RequestContext) {
    put_status_line(out, response, bytes);
    let mut edited = Edited::default();
    ctx.edit_response(response.status, |edit| {
        if let Edit::Set(name, _) | Edit::Remove(name) = edit {
            edited.remove(out, name);
        }
    });
    let filter = Filter::new(&edited, response, bytes, ctx);
    for field in response.fields(bytes).filter(|field| !is_between(*field) && !field.is(b"content-length")) {
        filter.pass(out, field);
    }
    out.put_slice(b"\r\n");
}

/// Whether a field is between an endpoint and this proxy, or for the proxy to write.
fn is_between(field: Field<'_>) -> bool {
    match field.name.len() {
        7 => field.is(b"upgrade"),
        10 => field.is(b"connection") || field.is(b"keep-alive"),
        16 => field.is(b"proxy-connection"),
        17 => field.is(b"transfer-encoding"),
        _ => false,
    }
}

/// Which fields of a response are for the client, and how.
struct Filter<'r, 'e> {
    edited: &'e Edited<'r>,
    settings: &'r Settings,
    /// What `Connection` names.
    named: Named<'r>,
    rewriting: Option<&'r ResponsePolicies>,
}

impl<'r, 'e> Filter<'r, 'e> {
    fn new(edited: &'e Edited<'r>, response: &'r ResponseHead, bytes: &'r [u8], ctx: &'r RequestContext) -> Self {
        let options = response.values(bytes, b"connection").flat_map(elements);
        Self {
            edited,
            settings: &ctx.snapshot.settings,
            named: options.filter(|option| !is_plain_option(option)).collect(),
            rewriting: ctx.policies().response.as_deref().filter(|response| response.rewrites()),
        }
    }

    /// Writes a field, if it is for the client.
    fn pass(&self, out: &mut Vec<u8>, field: Field<'_>) {
        let is_left_out = is_hidden(field.name, self.settings)
            || self.edited.contains(field.name)
            || self.named.iter().any(|named| field.is(named));
        if !is_left_out {
            let rewritten = self.rewriting.and_then(|response| response.rewritten(field.name, field.value));
            put_unfolded(out, field.name, rewritten.as_deref().unwrap_or(field.value));
        }
    }
}

/// Whether an option of a connection names no field.
fn is_plain_option(option: &[u8]) -> bool {
    [&b"keep-alive"[..], b"close", b"upgrade"].iter().any(|plain| option.eq_ignore_ascii_case(plain))
}

fn put_status_line(out: &mut Vec<u8>, response: &ResponseHead, bytes: &[u8]) {
    out.put_slice(b"HTTP/1.1 ");
    let status = response.status;
    out.put_slice(&[status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8));
    out.put_u8(b' ');
    out.put_slice(response.reason(bytes));
    out.put_slice(b"\r\n");
}

/// Ends a head with what every response of this proxy has.
pub(super) fn put_end(out: &mut Vec<u8>, connection: Option<ConnectionField>) {
    put_field(out, b"Date", &clock::date());
    out.put_slice(match connection {
        Some(ConnectionField::KeepAlive) => b"Connection: keep-alive\r\n\r\n",
        Some(ConnectionField::Close) => b"Connection: close\r\n\r\n",
        Some(ConnectionField::Upgrade) => b"Connection: upgrade\r\n\r\n",
        None => b"\r\n",
    });
}

#[cfg(test)]
mod tests;
