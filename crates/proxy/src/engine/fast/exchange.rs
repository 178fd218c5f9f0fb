//! One request and its response.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use edgeward_routing::backend::Backend;
use edgeward_routing::decide::{Action, Reason, RequestHead as _, decide_for};
use edgeward_routing::policy::Fault;
use edgeward_routing::settings::Compressed;
use tokio::time::timeout;

use super::super::answer::{Answer, LINGER};
use super::super::connection_options::ConnectionOptions;
use super::super::context::{Blame, End, RequestContext};
use super::super::page::Page;
use super::super::{failure, upgrade};
use super::FastPath;
use super::client::{self, Client};
use super::download::{Content, Download};
use super::ends::Ends;
use super::patience::Patience;
use super::pool::Kept;
use super::request;
use super::response::{self, ConnectionField, Delivery, Length};
use super::throttle::Throttle;
use super::tunnel::Tunnel;
use super::upload::Upload;
use super::upstream::{Upstream, connect, is_open};
use crate::clock;
use crate::head::{BodyLength, RequestHead, elements};
use crate::record::{Request, Response};
use crate::stream::Deadline;

/// What tells a client to send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Most interim responses that are taken before a response.
const MOST_INTERIM: u32 = 100;

/// A request that is being served.
pub(super) struct Exchange<'a, C> {
    pub(super) engine: &'a FastPath,
    pub(super) client: C,
    pub(super) head: RequestHead,
    pub(super) ctx: RequestContext,
    action: Action,
    pub(super) options: Option<ConnectionOptions>,
    /// Whether the connection stays for another request.
    pub(super) is_kept: bool,
    /// Whether the client was told to send its body.
    pub(super) is_continued: bool,
    /// The response, once its head is on its way to the client.
    pub(super) response: Option<Sent>,
    /// Bytes of the request's body.
    pub(super) body_bytes: u64,
    /// What a client in HTTP/2 is told when the response breaks off.
    reset_reason: h2::Reason,
}

/// What was sent to the client.
pub(super) struct Sent {
    pub(super) status: u16,
    pub(super) head: Vec<u8>,
    pub(super) body_bytes: u64,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It takes the next request.
    Next,
    /// It ends.
    Close,
}

impl<'a, C: Client> Exchange<'a, C> {
    /// Decides about a request.
    ///
    /// # Errors
    ///
    /// The client and the head, when the request is for the other engine. Nothing has been done about it then.
    pub(super) fn begin(engine: &'a FastPath, client: C, head: RequestHead) -> Result<Self, (C, RequestHead)> {
        let mut ctx = RequestContext::new(engine.shared.snapshots.load());
        let connection = Arc::clone(client.connection());
        ctx.came_from(connection.downstream());
        let action = ctx.take(decide_for(&ctx.snapshot, &ctx.downstream, connection.tls_client(), &head));
        if matches!(action, Action::Proxy(_)) {
            if ctx.policies().protocol.is_tls(ctx.downstream.tls) {
                return Err((client, head));
            }
            // What changes protocol in the middle of a body is none of the upgrades that are made.
            if !C::IS_MULTIPLEXED && head.is_http11() && head.body() == BodyLength::Bytes(0) && ctx.may_upgrade() {
                ctx.upgrade = upgrade::protocol(head.values(b"upgrade").flat_map(elements));
            }
        }
        ctx.trace(&head, &action);
        let action = ctx.count(action, &head);
        connection.head_received();
        ctx.request_id.set(Some(&head), ctx.snapshot.settings.makes_request_id);
        let options = ConnectionOptions::of(&head);
        let is_last = connection.settings.limits.is_used_up(connection.requests_taken());
        let is_kept =
            !connection.is_draining() && !is_last && options.is_some_and(|options| options.keeps(head.is_http11()));
        ctx.connection = Some(connection);
        Ok(Self {
            engine,
            client,
            head,
            ctx,
            action,
            options,
            is_kept,
            is_continued: false,
            response: None,
            body_bytes: 0,
            reset_reason: h2::Reason::INTERNAL_ERROR,
        })
    }

    /// Serves it to its end. By reference, because a future keeps what it is given by value twice.
    pub(super) async fn run(&mut self, deadline: &mut Deadline) -> Then {
        let action = std::mem::replace(&mut self.action, Action::Respond { status: 500, reason: Reason::Internal });
        let action = if self.ctx.asks_who { self.admit(action).await } else { Ok(action) };
        let outcome = match (action, self.options) {
            (Err(reason), _) => Err(reason),
            (Ok(Action::Respond { status, reason }), _) => self.answer(status, reason, deadline).await,
            (Ok(Action::Redirect { status, location, reason }), _) => {
                self.respond(Answer { status, location: Some(&location), reason }).await
            }
            (Ok(Action::Proxy(_)), None) => {
                self.respond(Answer { status: 400, location: None, reason: Reason::BadRequest }).await
            }
            (Ok(Action::Proxy(backend)), Some(options)) => self.proxy(backend, options, deadline).await,
        };
        let failed = match outcome {
            Ok(()) => false,
            Err(reason) => {
                self.fail(reason).await;
                true
            }
        };
        self.end(failed)
    }

    /// Finds out who the client is, and gives what to do, where it would be `action` for one who may pass.
    async fn admit(&mut self, action: Action) -> Result<Action, Reason> {
        let Self { engine, client, head, ctx, .. } = self;
        // Its future is large, and most requests never need it.
        let asking = Box::pin(engine.auth.ask(&engine.shared.auth, ctx, head));
        let verdict = unless_left(client, asking).await?;
        Ok(ctx.admit(&engine.shared, Request::Wire(head), verdict, action))
    }

    /// Sends the request to an endpoint, and to another one if that fails it, and the response to the client.
    async fn proxy(
        &mut self,
        backend: Arc<Backend>,
        options: ConnectionOptions,
        deadline: &mut Deadline,
    ) -> Result<(), Reason> {
        self.let_body_come().await?;
        self.ctx.send_to(backend, &self.head);
        self.engine.shared.retries.deposit();
        // An endpoint in HTTP/2 can say that it has done nothing about a request.
        let is_refusable = self.ctx.protocol().is_http2();
        let is_repeatable = is_refusable || self.ctx.is_repeatable(self.head.method()) || self.ctx.has_pages();
        let mut upload = Upload::new(self.head.body(), self.ctx.policies().body_size, is_repeatable);
        let fields = self.head.fields().map(|field| (field.name, field.value));
        self.ctx.mirror(&self.engine.shared, &self.head, fields, !self.client.is_body_read());
        upload.mirror(self.ctx.mirrored.take());
        let collected = match self.head.body() {
            // Apart: its future is for few requests.
            BodyLength::Chunked if self.ctx.collects_body() => Box::pin(self.collect(&mut upload, deadline)).await,
            _ => Ok(()),
        };
        let tried = match collected {
            Ok(()) => self.try_endpoints(&mut upload, options, deadline).await,
            Err(reason) => Err(reason),
        };
        let (status, reason) = match tried {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => (status, None),
            Err(reason) => (failure::status(reason), Some(reason)),
        };
        if let Some(reason) = reason {
            if self.response.is_some() || !self.ctx.replaces(status, reason) {
                return Err(reason);
            }
            self.ctx.reason = Some(reason);
        }
        let has_body = upload.is_repeatable() && reason != Some(Reason::BodyTooLarge);
        // Its future is large, as the one of asking, and as seldom needed.
        let page = Page { status, is_named: true, has_body, body_size: self.ctx.body_size() };
        Box::pin(self.send_page(page, upload, options, deadline)).await
    }

    /// Reads a body without a length, as far as there is room for it, so that the endpoint gets its length.
    async fn collect(&mut self, upload: &mut Upload, deadline: &mut Deadline) -> Result<(), Reason> {
        let mut patience = Patience::new(deadline, self.ctx.timeouts(), self.ctx.limits().body_timeout);
        let (client, room) = (&mut self.client, &self.engine.shared.room);
        let collected = poll_fn(|cx| upload.poll_collect(cx, client, &mut patience, room)).await;
        self.body_bytes = upload.body_bytes();
        if let Some(length) = collected? {
            self.head.body_collected(length);
        }
        Ok(())
    }

    /// Tells the client to send its body where it waits for that. The proxy answers for the upstream, as nginx does: the body is
    /// let in or refused here.
    pub(super) async fn let_body_come(&mut self) -> Result<(), Reason> {
        if self.head.expects_continue() && !self.client.is_body_read() {
            self.is_continued = true;
            client::send_interim(&mut self.client, CONTINUE).await?;
        }
        Ok(())
    }

    /// Sends the request to an endpoint, and to another one if that fails it, and the response to the client; or gives the
    /// status of a response that a page takes the place of.
    pub(super) async fn try_endpoints(
        &mut self,
        upload: &mut Upload,
        options: ConnectionOptions,
        deadline: &mut Deadline,
    ) -> Result<Option<u16>, Reason> {
        let shared = &*self.engine.shared;
        loop {
            let tried = self.attempt(upload, options, deadline).await;
            self.body_bytes = upload.body_bytes();
            match tried {
                Ok(Tried::Delivered) => return Ok(None),
                Ok(Tried::Intercepted(status)) => return Ok(Some(status)),
                Ok(Tried::PassedOver) => self.ctx.pass_over_try(),
                Err(Failure { reason, was_sent }) => {
                    let Some(fault) = Fault::of(reason) else { return Err(reason) };
                    // Silence behind the head is what streams of events and tunnels have between two messages, and a call
                    // whose client has more to say.
                    let is_open = self.response.is_some() || upload.is_starved();
                    let is_quiet = is_open && reason == Reason::UpstreamTimeout;
                    let blame = if is_quiet { Blame::Nobody } else { Blame::Endpoint };
                    self.ctx.fail_try(reason, blame, &shared.metrics);
                    let is_possible = self.response.is_none() && upload.is_repeatable();
                    if !is_possible || !self.ctx.may_retry(shared, fault, self.head.method(), was_sent) {
                        return Err(reason);
                    }
                }
            }
            shared.metrics.upstream_retry();
        }
    }

    /// Sends the request to one endpoint.
    async fn attempt(
        &mut self,
        upload: &mut Upload,
        options: ConnectionOptions,
        deadline: &mut Deadline,
    ) -> Result<Tried, Failure> {
        let FastPath { shared, pool, buffers, pipes, .. } = self.engine;
        // The decision saw endpoints, and a snapshot does not change under a request.
        let endpoint =
            self.ctx.pick_endpoint(&self.head).ok_or(Failure { reason: Reason::Internal, was_sent: false })?;
        let address = endpoint.addr;
        let now = clock::now();
        self.ctx.begin_try(endpoint, now);
        let timeouts = self.ctx.timeouts();
        let (mut upstream, is_reused) = if self.ctx.protocol().is_http2() {
            let (call, is_reused) = self.call(address, now, upload, options).await?;
            (Upstream::Http2(call), is_reused)
        } else {
            let is_usable = |kept: &Kept| failure::is_idempotent(self.head.method()) || is_open(&kept.tcp);
            let kept = pool.take(address, now).filter(is_usable);
            let is_reused = kept.is_some();
            let kept = match kept {
                Some(kept) => kept,
                None => {
                    let connecting = Box::pin(timeout(timeouts.connect, connect(address)));
                    let connected = unless_left(&mut self.client, connecting).await;
                    let connected = connected.and_then(|connected| connected.unwrap_or(Err(Reason::ConnectTimeout)));
                    Kept::new(connected.map_err(|reason| Failure { reason, was_sent: false })?)
                }
            };
            let has_body = self.head.body() != BodyLength::Bytes(0);
            let mut head = if has_body { buffers.take() } else { Vec::with_capacity(self.head.length() + 512) };
            request::write(&mut head, &self.head, options, &self.ctx);
            let sends_body = self.ctx.sends_body();
            let chunked = sends_body && self.head.body() == BodyLength::Chunked;
            buffers.put(upload.begin(head, self.client.is_body_read() || !sends_body, chunked));
            (Upstream::Http1(kept), is_reused)
        };
        shared.metrics.upstream_connection(is_reused);
        self.ctx.connected(is_reused);

        let is_call = matches!(upstream, Upstream::Http2(_)) && self.is_grpc();
        let patience = Patience::new(deadline, timeouts, self.ctx.limits().body_timeout).for_call(is_call);
        let is_body_unwanted = self.is_body_unwanted();
        let mut ends = Ends { client: &mut self.client, upstream: &mut upstream, buffers, pipes, patience };
        let mut buf = Vec::new();
        let is_head = self.head.method() == "HEAD";
        let mut interim_left = MOST_INTERIM;
        let begun = loop {
            let response = match poll_fn(|cx| ends.poll_response(cx, upload, &mut buf)).await {
                Ok(response) => response,
                Err(reason) => return Err(upstream.failed(reason)),
            };
            match response.status {
                101 if self.ctx.upgrade.is_none() => return Err(Reason::UpstreamInvalid.into()),
                101 => break response,
                100..=199 if interim_left == 0 => return Err(Reason::UpstreamInvalid.into()),
                100..=199 => {
                    interim_left -= 1;
                    // The client was told to continue by this proxy.
                    if response.status != 100 && self.head.is_http11() {
                        let mut interim = Vec::new();
                        response::write_interim(&mut interim, &response, &buf, &self.ctx);
                        client::send_interim(ends.client, &interim).await?;
                    }
                    let rest = buf.len() - response.length;
                    buf.copy_within(response.length.., 0);
                    buf.truncate(rest);
                }
                _ => break response,
            }
        };
        self.ctx.response_head(begun.status);
        if let (101, Some(protocol)) = (begun.status, &self.ctx.upgrade) {
            self.is_kept = false;
            let mut head = Vec::with_capacity(begun.length + 512);
            let delivery = Delivery {
                chunked: false,
                connection: Some(ConnectionField::Upgrade),
                compressed: Compressed::default(),
            };
            response::write(&mut head, &begun, &buf, delivery, &self.ctx);
            ends.client.connection().upgraded(upgrade::is_websocket(protocol));
            ends.patience.await_answer_for(self.ctx.tunnel_idle(shared));
            let mut tunnel = Tunnel::new(&head, &buf[begun.length..]);
            buffers.put(buf);
            let outcome = poll_fn(|cx| tunnel.poll(cx, &mut ends)).await;
            if let Some(current) = self.ctx.tries.last_mut() {
                current.body_bytes += tunnel.delivered();
            }
            self.response = Some(Sent { status: begun.status, head, body_bytes: tunnel.delivered() });
            return outcome.map(|()| Tried::Delivered).map_err(Failure::from);
        }
        let fault = Fault::Status(begun.status);
        if upload.is_repeatable() && self.ctx.may_retry(shared, fault, self.head.method(), true) {
            buffers.put(buf);
            return Ok(Tried::PassedOver);
        }
        if self.ctx.intercepts(begun.status) {
            buffers.put(buf);
            return Ok(Tried::Intercepted(begun.status));
        }
        upload.settle();
        if let Upstream::Http2(_) = ends.upstream {
            // A call may go on for long.
            upload.forget();
        }
        let length = Length::of(&begun, &buf, is_head)?;
        let left = ends.upstream.body(length)?;
        // What ends with the connection to the endpoint need not end the one to the client; an older client knows no chunks.
        let mut compressed = self.ctx.compressed(&self.head, begun.status, |name| begun.values(&buf, name.as_bytes()));
        let compressor = compressed.with.and_then(|(coding, level)| shared.compressors.begin(coding, level));
        compressed.with = compressed.with.filter(|_| compressor.is_some());
        let chunked = length == Length::Chunked || length == Length::Connection || compressed.with.is_some();
        let chunked = chunked && self.head.is_http11();
        self.is_kept &= chunked || matches!(length, Length::Bytes(_));
        self.is_kept &= !self.ctx.connection.as_ref().is_some_and(|connection| connection.is_draining());
        // What of the request is still to come would stand before the next one.
        self.is_kept &= ends.client.is_body_read();
        let is_last = self.ctx.is_last_on_connection(self.ctx.sends_body() && self.head.body() == BodyLength::Chunked);
        let is_reusable = !is_last && length != Length::Connection && response::keeps_connection(&begun, &buf);
        // An answer to HEAD, and a 304, say of the body that they do not have how it would come.
        let says_chunked = chunked || self.head.is_http11() && begun.status != 204 && response::is_coded(&begun, &buf);
        let delivery = Delivery { chunked: says_chunked, connection: connection_field::<C>(self.is_kept), compressed };
        let mut head = Vec::with_capacity(begun.length + 512);
        response::write(&mut head, &begun, &buf, delivery, &self.ctx);
        let stays_for_now = self.is_kept || is_body_unwanted;
        let pace = self.ctx.policies().response.as_ref().and_then(|response| response.pace);
        let throttle = pace.map(|pace| Throttle::new(pace, self.ctx.clock));
        let body = Content { length: left, chunked, compressor };
        let download = Download::new(head, body, buf, begun.length, stays_for_now)?;
        let mut download = download.held_by(throttle);
        let outcome = poll_fn(|cx| download.poll(cx, &mut ends, upload)).await;
        if outcome.is_ok() && !upload.is_over() {
            // Some answer first and read then. The client has its answer whatever becomes of the rest.
            let rest = poll_fn(|cx| ends.poll_rest(cx, upload));
            let _ = match C::IS_MULTIPLEXED {
                // Its stream counts no more, so that there could be any number of these.
                true => timeout(LINGER, rest).await.unwrap_or(Ok(())),
                false => rest.await,
            };
        }
        if let Some(current) = self.ctx.tries.last_mut() {
            current.body_bytes += download.received();
        }
        let (status, body_bytes) = (begun.status, download.delivered());
        download.release(buffers, pipes);
        upload.release(buffers, pipes);
        match upstream {
            Upstream::Http1(kept) => {
                if outcome.is_ok() && is_reusable && download.is_clean() && upload.is_done() {
                    pool.put(address, kept, &self.ctx.snapshot.settings.upstream_pool);
                }
            }
            Upstream::Http2(call) => self.reset_reason = call.reset_reason(),
        }
        // A head that cannot be sent is answered for, as one that cannot be read.
        if download.has_begun() || !matches!(outcome, Err(Reason::UpstreamInvalid)) {
            self.response = Some(Sent { status, head: download.into_head(), body_bytes });
        }
        outcome.map(|()| Tried::Delivered).map_err(Failure::from)
    }

    /// Whether it is a call of gRPC.
    fn is_grpc(&self) -> bool {
        self.head.values(b"content-type").next().is_some_and(|value| value.starts_with(b"application/grpc"))
    }

    /// Answers for what went wrong, if somebody is left to answer.
    async fn fail(&mut self, reason: Reason) {
        self.ctx.reason = Some(reason);
        self.is_kept = false;
        let status = failure::status(reason);
        if self.response.is_none() && status != 0 {
            let answered = self.respond(Answer { status, location: None, reason }).await;
            if answered.is_err() {
                tracing::debug!("the client did not take the error response");
            }
        } else if self.response.is_some() {
            self.client.cut_short(self.reset_reason);
        }
    }

    /// Tells what became of it.
    fn end(&mut self, failed: bool) -> Then {
        let end = End {
            request: Request::Wire(&self.head),
            response: self.response.as_ref().map(|sent| Response::Wire(&sent.head)),
            status: self.response.as_ref().map_or(499, |sent| sent.status),
            failed,
            request_length: self.head.length() as u64 + self.body_bytes,
            body_bytes_sent: self.response.as_ref().map_or(0, |sent| sent.body_bytes),
        };
        self.ctx.finish(&self.engine.shared, end);
        if self.is_kept && self.client.is_body_read() { Then::Next } else { Then::Close }
    }
}

/// What `work` comes to, unless the client leaves or the connection is cut before.
pub(super) async fn unless_left<C: Client, T>(client: &mut C, work: impl Future<Output = T>) -> Result<T, Reason> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        match C::IS_MULTIPLEXED || client.is_body_read() {
            true => client.poll_left(cx).map(Err),
            // It has to be read to be seen, which is for later.
            false => client.check_cut().map_or_else(|reason| Poll::Ready(Err(reason)), |()| Poll::Pending),
        }
    })
    .await
}

/// What a response says of the connection.
pub(super) fn connection_field<C: Client>(is_kept: bool) -> Option<ConnectionField> {
    match is_kept {
        _ if C::IS_MULTIPLEXED => None,
        true => Some(ConnectionField::KeepAlive),
        false => Some(ConnectionField::Close),
    }
}

/// What became of a try at an endpoint that answered.
enum Tried {
    /// The client has the response.
    Delivered,
    /// Another endpoint is to answer.
    PassedOver,
    /// The backend for error pages is to answer, for this status.
    Intercepted(u16),
}

/// Why an endpoint did not serve a request.
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// Whether anything of it may have reached the endpoint.
    pub(super) was_sent: bool,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, was_sent: true }
    }
}
