//! The head of a request on its way to an endpoint.

use std::borrow::Cow;

use bytes::BufMut;
use edgeward_routing::decide::RequestHead as _;
use edgeward_routing::forward::Edit;

use super::super::connection_options::ConnectionOptions;
use super::super::context::RequestContext;
use super::super::page;
use super::super::upstream_head::is_hop_by_hop;
use super::field::{Edited, put_field, put_line};
use crate::head::{BodyLength, RequestHead};

/// Writes the head for an endpoint.
pub(super) fn write(out: &mut Vec<u8>, head: &RequestHead, options: ConnectionOptions, ctx: &RequestContext) {
    out.put_slice(head.method().as_bytes());
    out.put_u8(b' ');
    put_target(out, head, ctx);
    let is_chunked = ctx.sends_body() && head.body() == BodyLength::Chunked;
    let is_http10 = ctx.is_http10(is_chunked);
    out.put_slice(if is_http10 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
    put_fields(out, head, options, ctx);
    match head.body() {
        BodyLength::Chunked if is_chunked => out.put_slice(b"Transfer-Encoding: chunked\r\n"),
        BodyLength::Collected(length) if ctx.sends_body() => {
            put_field(out, b"Content-Length", length.to_string().as_bytes());
        }
        _ => {}
    }
    if let Some(protocol) = &ctx.upgrade {
        put_field(out, b"Connection", b"upgrade");
        put_field(out, b"Upgrade", protocol.as_bytes());
    } else if let Some(option) = ctx.connection_option() {
        put_field(out, b"Connection", option.as_str().as_bytes());
    }
    out.put_slice(b"\r\n");
}

/// Writes the target for an endpoint.
pub(super) fn put_target(out: &mut Vec<u8>, head: &RequestHead, ctx: &RequestContext) {
    // The name that routing saw is the name that goes upstream: one target, in origin-form.
    match (ctx.page(), &ctx.target) {
        (Some(_), _) => out.put_slice(page::target(head).as_bytes()),
        (None, Some(target)) => out.put_slice(target.as_bytes()),
        (None, None) => head.origin_form().into_iter().for_each(|part| out.put_slice(part)),
    }
}

/// Writes the fields for an endpoint that are not between it and this proxy.
pub(super) fn put_fields(out: &mut Vec<u8>, head: &RequestHead, options: ConnectionOptions, ctx: &RequestContext) {
    let sends_body = ctx.sends_body();
    let mut edited = Edited::default();
    ctx.edit_upstream(head, |edit| match edit {
        Edit::Set(name, value) => edited.set(out, name, value),
        Edit::Remove(name) => edited.remove(out, name),
        Edit::Append(name, value) => put_field(out, name.as_bytes(), value),
    });
    let named = options.named(head);
    let passing = ctx.passing(head);
    for field in head.fields() {
        let mut room = [0; 64];
        let name = &*lower_case(field.name, &mut room);
        let is_framing = !sends_body && name == b"content-length";
        let is_named = named.iter().any(|named| field.is(named));
        let is_between = is_hop_by_hop(name) || is_framing || is_named;
        if !is_between && !edited.contains(field.name) && passing.lets(name) {
            put_line(out, field.name, field.value);
        }
    }
}

/// A name in lower case. Only names that nobody has are too long for the room.
fn lower_case<'a>(name: &[u8], room: &'a mut [u8; 64]) -> Cow<'a, [u8]> {
    let Some(lower) = room.get_mut(..name.len()) else { return name.to_ascii_lowercase().into() };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    (&*lower).into()
}

#[cfg(test)]
mod tests;
