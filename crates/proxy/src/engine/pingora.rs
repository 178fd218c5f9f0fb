//! The engine on `pingora-proxy`: for every protocol.
//!
//! Its policies act on head types and decisions of the routing crate; this module only translates them to Pingora's
//! hooks, whose order is: early request, request (own answers), upstream peer, upstream request, request body, response,
//! failure, logging.

mod error;
mod head;
mod page;
mod respond;
mod upstream;
mod upstream_tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use edgeward_routing::decide::{Action, Reason, decide_for};
use edgeward_routing::forward::Edit;
use edgeward_routing::policy::Fault;
use http::Version;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::HttpPeer;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::{Error, ErrorType, Result};

use super::answer::{Answer, LINGER};
use super::auth::Auth;
use super::connection_options::ConnectionOptions;
use super::context::{Blame, End, RequestContext};
use super::page::{self as pages, Answerer, Page, Turn};
use super::{Shared, failure, upgrade};
use crate::clock;
use crate::connection::Connection;
use crate::limits::{h2_options, server_options};
use crate::record::{Request, Response};
use head::Head;
use upstream_tls::Terms;

pub(super) use head::breach;

/// An answer of an endpoint that is not passed on, because another one is to answer.
const PASSED_OVER: ErrorType = ErrorType::Custom("another endpoint is to answer");

/// An answer of an endpoint that a page takes the place of.
const INTERCEPTED: ErrorType = ErrorType::Custom("an error page takes the place of the answer");

/// The proxy application. One per worker, so that workers share no connection pool and no lock.
pub(super) struct PingoraEngine {
    shared: Arc<Shared>,
    auth: Arc<Auth>,
}

impl std::ops::Deref for PingoraEngine {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl PingoraEngine {
    /// An engine with an upstream pool of its own, for one worker.
    pub(super) fn proxy(shared: &Arc<Shared>, auth: &Arc<Auth>) -> HttpProxy<Self> {
        let conf = ServerConf {
            threads: 1,
            // Once and for all, as the rest that Pingora is told here.
            upstream_keepalive_pool_size: shared.snapshots.load().settings.upstream_pool.connections,
            // The engine counts tries itself, with the snapshot's limit.
            max_retries: usize::MAX,
            ..ServerConf::default()
        };
        let engine = Self { shared: Arc::clone(shared), auth: Arc::clone(auth) };
        let mut proxy = http_proxy(&Arc::new(conf), engine);
        // Pingora has these once and for all connections. Where they are ours to serve, each has its own.
        let settings = &shared.snapshots.load().settings;
        let mut server_options = server_options();
        server_options.h2c = settings.tls.http2;
        proxy.server_options = Some(server_options);
        proxy.h2_options = Some(h2_options(&settings.limits));
        proxy
    }

    /// Sends an answer of the proxy's own.
    async fn answer(&self, session: &mut Session, ctx: &mut RequestContext, answer: Answer<'_>) -> Result<()> {
        ctx.answer_for(answer.reason);
        close_while_draining(session, ctx);
        respond::send(session, &answer, ctx).await
    }
}

#[async_trait]
impl ProxyHttp for PingoraEngine {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new(self.snapshots.load())
    }

    // The default adds a compression module that runs, disabled, on every request.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
        if let Some(connection) = Connection::of(session) {
            connection.head_received();
            ctx.came_from(connection.downstream());
            if connection.settings.limits.is_used_up(connection.requests_taken()) {
                session.set_keepalive(None);
            }
            ctx.connection = Some(connection);
        }
        let limits = ctx.limits();
        // It sets the keep-alive time to infinite after each HTTP/1.1 head.
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(limits.keepalive_idle.as_secs().max(1)));
        }
        session.set_read_timeout(Some(limits.body_timeout));
        session.set_write_timeout(Some(limits.write_timeout));
        session.set_total_drain_timeout(Some(limits.body_timeout));
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<bool> {
        let head = Head::of(session.req_header());
        ctx.request_id.set(head.as_ref(), ctx.snapshot.settings.makes_request_id);
        if let Some((status, reason)) = breach(session.req_header(), ctx.limits()) {
            self.answer(session, ctx, Answer { status, location: None, reason }).await?;
            return Ok(true);
        }
        let action = match head {
            Some(head) => {
                let connection = ctx.connection.clone();
                let client = connection.as_ref().and_then(|connection| connection.tls_client());
                let action = ctx.take(decide_for(&ctx.snapshot, &ctx.downstream, client, &head));
                ctx.trace(&head, &action);
                let action = ctx.count(action, &head);
                if ctx.asks_who {
                    let verdict = self.auth.ask(&self.shared.auth, ctx, &head).await;
                    ctx.admit(&self.shared, Request::Map(session.req_header()), verdict, action)
                } else {
                    action
                }
            }
            None => {
                self.answer(session, ctx, Answer { status: 400, location: None, reason: Reason::BadPath }).await?;
                return Ok(true);
            }
        };
        match action {
            Action::Respond { status, reason } => self.answer_or_page(session, ctx, status, reason).await,
            Action::Redirect { status, location, reason } => {
                self.answer(session, ctx, Answer { status, location: Some(&location), reason }).await?;
                Ok(true)
            }
            Action::Proxy(_) if !has_good_options(session) => {
                self.answer(session, ctx, Answer { status: 400, location: None, reason: Reason::BadRequest }).await?;
                Ok(true)
            }
            Action::Proxy(backend) => {
                if !page::let_body_come(session).await? {
                    let answer = Answer { status: 417, location: None, reason: Reason::BadRequest };
                    self.answer(session, ctx, answer).await?;
                    return Ok(true);
                }
                // What changes protocol in the middle of a body, or into HTTP/2, is none of the upgrades that are made.
                if session.is_upgrade_req() && session.is_body_empty() && ctx.may_upgrade() {
                    ctx.upgrade = upstream::upgrade(session.req_header());
                }
                if let Some(head) = Head::of(session.req_header()) {
                    ctx.send_to(backend, &head);
                }
                if ctx.policies().mirror.is_some() {
                    let has_body = !session.is_body_empty();
                    let request = session.req_header();
                    let fields =
                        request.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
                    if let Some(head) = Head::of(request) {
                        ctx.mirror(self, &head, fields, has_body);
                    }
                }
                self.retries.deposit();
                Ok(false)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<Box<HttpPeer>> {
        let picked = Head::of(session.req_header()).and_then(|head| ctx.pick_endpoint(&head));
        let Some(endpoint) = picked else {
            // The decision saw endpoints, and a snapshot does not change under a request.
            return Error::e_explain(ErrorType::InternalError, "the backend has no endpoint");
        };
        let protocol = ctx.protocol();
        let timeouts = ctx.timeouts();
        let tls = protocol.is_tls(ctx.downstream.tls);
        let idle = ctx.snapshot.settings.upstream_pool.idle;
        let own = ctx.policies().upstream_tls.as_deref().filter(|_| tls);
        let mut peer =
            upstream::peer(endpoint.addr, tls && own.is_none(), protocol.is_http2(), &timeouts, idle, &self.options);
        if let Some(own) = own {
            let name = Head::of(session.req_header()).and_then(|head| ctx.upstream_name(own, &head));
            let terms = name.and_then(|name| Terms::of(own, name, protocol, timeouts.connect));
            let Some(terms) = terms else {
                let why = "the route has no terms for a connection to its endpoints";
                return Err(Error::explain(ErrorType::ConnectError, why).into_up());
            };
            terms.lay_down(&mut peer);
        }
        if ctx.upgrade.is_some() {
            // Fixed from here on, so that it has to be the tunnel's. The answer is waited for with a deadline of its own.
            peer.options.read_timeout = Some(ctx.tunnel_idle(self));
        }
        if ctx.is_last_on_connection(ctx.sends_body() && head::is_chunked(session)) {
            upstream::close_behind(&mut peer);
        }
        ctx.begin_try(endpoint, clock::now());
        Ok(Box::new(peer))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        #[cfg(unix)] _fd: std::os::unix::io::RawFd,
        _digest: Option<&pingora::protocols::Digest>,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        self.metrics.upstream_connection(reused);
        ctx.connected(reused);
        if let (Some(connection), true) = (&ctx.connection, ctx.upgrade.is_some()) {
            connection.set_deadline(Some(Instant::now() + ctx.policies().timeouts.read));
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        // The name that routing saw is the name that goes upstream: one target, in origin-form.
        match &ctx.target {
            Some(target) => upstream.set_raw_path(target.as_bytes())?,
            None => upstream::normalize_target(upstream)?,
        }
        let page = ctx.page().and_then(|_| Head::of(session.req_header())).map(|head| pages::target(&head));
        if let Some(target) = page {
            upstream.set_raw_path(target.as_bytes())?;
        }
        if !ctx.sends_body() && !session.is_body_empty() {
            upstream.remove_header(&http::header::TRANSFER_ENCODING);
            upstream.insert_header(http::header::CONTENT_LENGTH, "0")?;
        }
        if let Some(passing) = Head::of(session.req_header()).map(|head| ctx.passing(&head)) {
            let names = upstream.headers.keys();
            let dropped: Vec<_> = names.filter(|name| !passing.lets(name.as_str().as_bytes())).cloned().collect();
            for name in dropped {
                upstream.remove_header(&name);
            }
        }
        upstream.remove_header(&http::header::EXPECT);
        if session.req_header().version == Version::HTTP_2 && upstream.version != Version::HTTP_2 {
            upstream::join_cookies(upstream)?;
        }
        if let Some(head) = Head::of(session.req_header()) {
            let mut outcome = Ok(());
            let edit = |edit: Edit<'_, '_>| match edit {
                Edit::Set(name, value) => {
                    if let Err(error) = upstream.insert_header(name.to_owned(), value) {
                        outcome = Err(error);
                    }
                }
                Edit::Append(name, value) => {
                    if let Err(error) = upstream.append_header(name.to_owned(), value) {
                        outcome = Err(error);
                    }
                }
                Edit::Remove(name) => {
                    upstream.remove_header(name);
                }
            };
            ctx.edit_upstream(&head, edit);
            outcome?;
        }
        if upstream.version == Version::HTTP_11 && ctx.is_http10(ctx.sends_body() && head::is_chunked(session)) {
            upstream.set_version(Version::HTTP_10);
        }
        if let (None, Some(option)) = (&ctx.upgrade, ctx.connection_option()) {
            upstream.insert_header(http::header::CONNECTION, option.as_str())?;
        }
        if let Some(protocol) = &ctx.upgrade {
            upstream.insert_header(http::header::CONNECTION, "upgrade")?;
            upstream.insert_header(http::header::UPGRADE, protocol)?;
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        ctx.request_body_bytes += body.as_ref().map_or(0, |body| body.len() as u64);
        if !ctx.sends_body() {
            if ctx.since_response().is_some_and(|time| time > LINGER) {
                let why = "the client goes on sending a body that is not wanted";
                return Err(Error::explain(ErrorType::HTTPStatus(413), why).into_down());
            }
            // Nothing of it is written, and only its end is an end.
            *body = (!end_of_stream).then(Bytes::new);
            return Ok(());
        }
        // What follows an upgrade is not a body.
        if session.was_upgraded() || ctx.body_size().allows(ctx.request_body_bytes) {
            ctx.mirror_body(body.as_deref(), end_of_stream);
            return Ok(());
        }
        ctx.reason = Some(Reason::BodyTooLarge);
        Err(Error::explain(ErrorType::HTTPStatus(413), "the request body is larger than the route takes").into_down())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let status = response.status.as_u16();
        ctx.response_head(status);
        if is_final(response) && self.may_retry(session, ctx, Fault::Status(status), true) {
            return Err(Error::new(PASSED_OVER).into_up());
        }
        if ctx.intercepts(status) {
            return Err(Error::new(INTERCEPTED).into_up());
        }
        if response.status == http::StatusCode::SWITCHING_PROTOCOLS && ctx.upgrade.is_none() {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "a 101 that was not asked for").into_up());
        }
        if let (Some(connection), true) = (&ctx.connection, is_final(response)) {
            connection.set_deadline(None);
        }
        upstream::remove_hop_by_hop(response);
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        if let (Some(current), Some(body)) = (ctx.tries.last_mut(), body) {
            current.body_bytes += body.len() as u64;
        }
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        close_while_draining(session, ctx);
        if response.status == http::StatusCode::SWITCHING_PROTOCOLS
            && let (Some(connection), Some(protocol)) = (&ctx.connection, &ctx.upgrade)
        {
            connection.upgraded(upgrade::is_websocket(protocol));
            session.set_read_timeout(Some(ctx.tunnel_idle(self)));
        }
        // An older client knows no chunks: the end of the connection ends the body (RFC 9112 section 6.1).
        if session.req_header().version < Version::HTTP_11
            && response.remove_header(&http::header::TRANSFER_ENCODING).is_some()
        {
            session.set_keepalive(None);
        }
        let compressed = respond::compressed(session, response, ctx);
        respond::edit_upstream(response, ctx)?;
        match is_final(response) {
            true => {
                respond::edit(response, ctx)?;
                respond::compress(session, response, ctx, compressed, &self.shared.compressors)
            }
            false => {
                respond::edit_interim(response, ctx);
                Ok(())
            }
        }
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        if let Some(compressor) = &mut ctx.compressor {
            respond::compress_body(compressor, body, end_of_stream)?;
        }
        // What follows an upgrade is not a body.
        let paced = ctx.policies().response.as_ref().and_then(|response| response.pace);
        let (Some(pace), Some(body), false) = (paced, body, session.was_upgraded()) else { return Ok(None) };
        ctx.response_body_bytes += body.len() as u64;
        Ok(pace.time_of(ctx.response_body_bytes).checked_sub(ctx.clock.elapsed()))
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestContext,
        mut e: Box<Error>,
    ) -> Box<Error> {
        let reason = error::reason(&e);
        if !failure::blames_endpoint(reason) {
            e.set_retry(false);
            return e;
        }
        ctx.fail_try(reason, Blame::Endpoint, &self.metrics);
        // Nothing was sent: another endpoint may take any request.
        let retries = Fault::of(reason).is_some_and(|fault| self.may_retry(session, ctx, fault, false));
        e.set_retry(retries || Self::turns_to_page(session, ctx, reason));
        e
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut e: Box<Error>,
        ctx: &mut RequestContext,
        _reused: bool,
    ) -> Box<Error> {
        let overdue = ctx.connection.as_ref().is_some_and(|connection| connection.is_overdue());
        if let Some(connection) = &ctx.connection {
            connection.set_deadline(None);
        }
        if *e.etype() == PASSED_OVER {
            ctx.pass_over_try();
            e.set_retry(true);
            return e;
        }
        if *e.etype() == INTERCEPTED {
            let status = ctx.tries.last().and_then(|last| last.status).unwrap_or(502);
            let (has_body, body_size) = (!session.as_ref().retry_buffer_truncated(), ctx.body_size());
            let turn = Head::of(session.req_header())
                .map(|head| ctx.turn_to(Page { status, is_named: true, has_body, body_size }, &head));
            e.set_retry(turn == Some(Turn::Asked));
            return e;
        }
        if overdue {
            // The read that failed was the client's, but what did not come is the answer of the endpoint.
            e.etype = ErrorType::ReadTimedout;
            e.as_up();
        } else if error::is_silence(&e) && !session.is_body_done() && !is_grpc(session.req_header()) {
            // An endpoint need not answer before it has the whole request. What pauses is the client; but a call of gRPC may
            // leave its side open for as long as it likes.
            e.as_down();
        }
        let reason = error::reason(&e);
        if !failure::blames_endpoint(reason) {
            e.set_retry(Self::turns_to_page(session, ctx, reason));
            return e;
        }
        // Silence behind the head is what streams of events and tunnels have between two messages; and a client that has more
        // to say may be who is waited for.
        let is_quiet = error::is_silence(&e) && (final_response(session).is_some() || !session.is_body_done());
        let blame = if is_quiet { Blame::Nobody } else { Blame::Endpoint };
        ctx.fail_try(reason, blame, &self.metrics);
        let retries = Fault::of(reason).is_some_and(|fault| self.may_retry(session, ctx, fault, true));
        e.set_retry(retries || Self::turns_to_page(session, ctx, reason));
        e
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut RequestContext) -> FailToProxy {
        let (status, reason) = match (ctx.answerer, ctx.reason.unwrap_or_else(|| error::reason(e))) {
            (Answerer::Nobody, _) => (404, Reason::NoRoute),
            (_, reason) => (error::status(e, reason), reason),
        };
        ctx.reason = Some(reason);
        if final_response(session).is_some() || status == 0 {
            // The head is out: all that is left is to cut the connection, so that the client sees that the body is not whole.
            if let Some(connection) = &ctx.connection {
                connection.cut_short();
            }
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        session.set_keepalive(None);
        if let Err(error) = self.answer(session, ctx, Answer { status, location: None, reason }).await {
            tracing::debug!(%error, "the client did not take the error response");
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    // Failures are in the access log with their reason; a line per request in the process log would only flood it.
    fn suppress_error_log(&self, _session: &Session, _ctx: &RequestContext, error: &Error) -> bool {
        tracing::debug!(%error, "request failed");
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &RequestContext,
        error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        if *error.etype() != INTERCEPTED {
            self.metrics.upstream_retry();
        }
        true
    }

    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut RequestContext) {
        let response = final_response(session);
        ctx.reason = ctx.reason.or_else(|| e.map(error::reason));
        let end = End {
            request: Request::Map(session.req_header()),
            response: response.map(Response::Map),
            status: response.map_or(499, |response| response.status.as_u16()),
            failed: e.is_some(),
            request_length: head::wire_length(session) + session.body_bytes_read() as u64,
            body_bytes_sent: session.body_bytes_sent() as u64,
        };
        ctx.finish(self, end);
    }
}

/// The answer that the client has got, or the head of it: a `100` or another interim one is none.
fn final_response(session: &Session) -> Option<&ResponseHeader> {
    session.response_written().filter(|response| is_final(response))
}

/// Whether no other response to the request follows (RFC 9110 section 15.2): after a `101` nothing of HTTP does.
fn is_final(response: &ResponseHeader) -> bool {
    response.status == http::StatusCode::SWITCHING_PROTOCOLS || !response.status.is_informational()
}

/// Whether what the client says of its connection is well-formed.
fn has_good_options(session: &Session) -> bool {
    Head::of(session.req_header()).is_some_and(|head| ConnectionOptions::of(&head).is_some())
}

fn is_grpc(request: &RequestHeader) -> bool {
    let content_type = request.headers.get(http::header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Tells an HTTP/1 client not to send another request here once the listeners take no new connections.
fn close_while_draining(session: &mut Session, ctx: &RequestContext) {
    if ctx.connection.as_ref().is_some_and(|connection| connection.is_draining()) {
        session.set_keepalive(None);
    }
}

impl PingoraEngine {
    /// Whether the request is sent once more after a fault: nothing of a response is out, its body can be repeated, and its
    /// route, its tries and the retry budget allow it.
    fn may_retry(&self, session: &Session, ctx: &RequestContext, fault: Fault, was_sent: bool) -> bool {
        final_response(session).is_none()
            && !session.as_ref().retry_buffer_truncated()
            && ctx.may_retry(self, fault, session.req_header().method.as_str(), was_sent)
    }
}
