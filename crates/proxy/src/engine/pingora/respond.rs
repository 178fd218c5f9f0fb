//! Answers of the proxy's own: errors, redirects, 404s.

use bytes::Bytes;
use edgeward_routing::forward::Edit;
use edgeward_routing::respond::is_hidden;
use edgeward_routing::settings::{Compressed, weak_etag};
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, LOCATION, REFRESH, SET_COOKIE,
    TRANSFER_ENCODING, VARY,
};
use http::{HeaderValue, Method, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::super::answer::{Answer, DRAINED_BODY, LINGER, body_of, ends_connection};
use super::super::compressor::{Compressor, Compressors};
use super::super::context::RequestContext;
use super::head::{Head, expectation};
use crate::clock;

/// Sends the answer with a short body, and sees to it that an unwanted request body does not stand in its way.
pub(super) async fn send(session: &mut Session, answer: &Answer<'_>, ctx: &RequestContext) -> Result<()> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = body_of(status).map(Bytes::from);
    let mut head = ResponseHeader::build(status, Some(6))?;
    head.insert_header(DATE, &clock::date()[..])?;
    if let Some(body) = &body {
        head.insert_header(CONTENT_TYPE, "text/plain; charset=utf-8")?;
        head.insert_header(CONTENT_LENGTH, body.len())?;
    }
    if let Some(location) = answer.location {
        head.insert_header(LOCATION, location)?;
    }
    edit(&mut head, ctx)?;
    if ends_connection(answer.status) {
        session.set_keepalive(None);
    }
    let unwanted = unwanted_body(session).await;
    if unwanted != Unwanted::Nothing {
        session.set_keepalive(None);
    }
    let body = body.filter(|_| session.req_header().method != Method::HEAD);
    session.write_response_header(Box::new(head), body.is_none()).await?;
    if body.is_some() {
        session.write_response_body(body, true).await?;
    }
    if unwanted == Unwanted::OnItsWay {
        session.finish_body().await?;
        // What comes in is dropped; a client that goes on for too long is cut.
        let _ = tokio::time::timeout(LINGER, session.drain_request_body()).await;
    }
    Ok(())
}

/// Changes what has to be changed in every response to a client.
pub(super) fn edit(response: &mut ResponseHeader, ctx: &RequestContext) -> Result<()> {
    let mut outcome = Ok(());
    ctx.edit_response(response.status.as_u16(), |edit| match edit {
        Edit::Set(name, value) => {
            if let Err(error) = response.insert_header(name.to_owned(), value) {
                outcome = Err(error);
            }
        }
        Edit::Append(name, value) => {
            if let Err(error) = response.append_header(name.to_owned(), value) {
                outcome = Err(error);
            }
        }
        Edit::Remove(name) => {
            response.remove_header(name);
        }
    });
    outcome
}

/// Takes out of an interim response what is laid down for the response itself.
pub(super) fn edit_interim(response: &mut ResponseHeader, ctx: &RequestContext) {
    ctx.edit_response(response.status.as_u16(), |edit| {
        if let Edit::Set(name, _) | Edit::Remove(name) = edit {
            response.remove_header(name);
        }
    });
}

/// Takes out of the response of an endpoint what no client gets, and rewrites what the route has rewritten.
pub(super) fn edit_upstream(response: &mut ResponseHeader, ctx: &RequestContext) -> Result<()> {
    let settings = &ctx.snapshot.settings;
    let names = response.headers.keys();
    let hidden: Vec<_> = names.filter(|name| is_hidden(name.as_str().as_bytes(), settings)).cloned().collect();
    for name in hidden {
        response.remove_header(&name);
    }
    let Some(policies) = ctx.policies().response.as_deref().filter(|policies| policies.rewrites()) else {
        return Ok(());
    };
    for name in [LOCATION, REFRESH, SET_COOKIE] {
        let values: Vec<_> = response.headers.get_all(&name).iter().cloned().collect();
        response.remove_header(&name);
        for value in values {
            match policies.rewritten(name.as_str().as_bytes(), value.as_bytes()) {
                Some(value) => response.append_header(name.clone(), value)?,
                None => response.append_header(name.clone(), value)?,
            };
        }
    }
    Ok(())
}

/// What compression comes to for a response as the endpoint sent it.
pub(super) fn compressed(session: &Session, response: &ResponseHeader, ctx: &RequestContext) -> Compressed {
    if ctx.snapshot.settings.compression.is_none() || ctx.protocol().is_http2() {
        // What speaks HTTP/2 is gRPC, whose end is no piece of the body.
        return Compressed::default();
    }
    let head = Head::of(session.req_header());
    let values = |name| response.headers.get_all(name).iter().map(HeaderValue::as_bytes);
    head.map_or_else(Compressed::default, |head| ctx.compressed(&head, response.status.as_u16(), values))
}

/// Begins to compress a response, and has its head say so.
pub(super) fn compress(
    session: &Session,
    response: &mut ResponseHeader,
    ctx: &mut RequestContext,
    compressed: Compressed,
    compressors: &Compressors,
) -> Result<()> {
    if compressed.adds_vary {
        response.append_header(VARY, "Accept-Encoding")?;
    }
    let Some((coding, level)) = compressed.with else { return Ok(()) };
    let Some(compressor) = compressors.begin(coding, level) else { return Ok(()) };
    response.append_header(CONTENT_ENCODING, coding.name())?;
    response.remove_header(&CONTENT_LENGTH);
    response.remove_header(&ACCEPT_RANGES);
    if let Some(etag) = response.remove_header(&ETAG).and_then(|etag| weak_etag(etag.as_bytes())) {
        response.insert_header(ETAG, etag)?;
    }
    if session.req_header().version == Version::HTTP_11 {
        response.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    ctx.compressor = Some(compressor);
    Ok(())
}

/// Compresses a piece of a body. Nothing is held back: it is not known whether there is a pause behind it.
pub(super) fn compress_body(compressor: &mut Compressor, body: &mut Option<Bytes>, is_last: bool) -> Result<()> {
    let piece = body.take().unwrap_or_default();
    let mut compress = || {
        compressor.push(&piece)?;
        if is_last { compressor.finish() } else { compressor.flush().map(drop) }
    };
    compress().map_err(|_| Error::explain(ErrorType::InternalError, "the response cannot be compressed"))?;
    *body = Some(compressor.take().into());
    Ok(())
}

/// What is still to come of the request.
#[derive(PartialEq, Eq)]
enum Unwanted {
    /// Nothing.
    Nothing,
    /// A body that the client holds back until it is told to continue.
    HeldBack,
    /// A body that the client sends.
    OnItsWay,
}

/// Tells what is still to come, once a small body in the way of a connection that would be kept has been read over.
async fn unwanted_body(session: &mut Session) -> Unwanted {
    if session.is_body_done() {
        return Unwanted::Nothing;
    }
    let request = session.req_header();
    // Behind a `100` the client sends.
    if expectation(request).is_some() && session.response_written().is_none() {
        return Unwanted::HeldBack;
    }
    let declared = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let is_small = declared.is_some_and(|length| length <= DRAINED_BODY);
    if is_small
        && session.get_keepalive().is_some()
        && let Ok(Ok(())) = tokio::time::timeout(LINGER, session.drain_request_body()).await
    {
        return Unwanted::Nothing;
    }
    Unwanted::OnItsWay
}
