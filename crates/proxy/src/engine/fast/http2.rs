//! Clients in HTTP/2: one task for a connection and all of its streams.
//!
//! So whatever the endpoints have answered by the time the task runs leaves in one write, and whatever a client has asked in
//! one read is asked of the endpoints without a detour by other tasks. The frames are the `h2` crate's, and a request is
//! Pingora's session, so that it can be handed on.

mod client;
mod head;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
use pingora::protocols::{Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Ssl};
use pingora::proxy::HttpProxy;
use tokio::time::timeout;

use super::super::pingora::PingoraEngine;
use super::FastPath;
use super::exchange::Exchange;
use crate::connection::Connection;
use crate::limits::h2_options;
use crate::stream::Stream;
use client::Http2Client;

/// Malformed requests after which a connection ends; what Pingora allows one.
const MAX_MALFORMED: usize = 32;

/// The frames of a connection.
type Frames = h2::server::Connection<pingora::protocols::Stream, Bytes>;

/// What the streams of a connection have in common.
struct Streams<'a> {
    engine: &'a FastPath,
    /// For the requests that are not for this engine.
    pingora: &'a Arc<HttpProxy<PingoraEngine>>,
    connection: Arc<Connection>,
    digest: Arc<Digest>,
}

/// Serves a connection in HTTP/2 to its end.
pub(super) async fn serve(engine: &FastPath, stream: Stream, pingora: &Arc<HttpProxy<PingoraEngine>>) {
    let connection = Arc::clone(stream.connection());
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let options = h2_options(&connection.settings.limits);
    let Ok(mut frames) = handshake(Box::new(stream), Some(options)).await else { return };
    let streams = Streams { engine, pingora, connection, digest };
    let linger = streams.connection.settings.limits.linger;
    let mut requests = FuturesUnordered::new();
    let mut malformed = 0;
    let mut is_leaving = false;
    poll_fn(|cx| {
        loop {
            // Answers first, so that the frames of all of them leave together.
            while let Poll::Ready(Some(())) = requests.poll_next_unpin(cx) {}
            let asked = requests.len();
            loop {
                match streams.poll_accept(cx, &mut frames) {
                    Poll::Ready(Some(H2Accept::Session(session))) => requests.push(streams.begin(session)),
                    Poll::Ready(Some(H2Accept::Rejected)) => malformed += 1,
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
                if malformed >= MAX_MALFORMED {
                    return Poll::Ready(());
                }
            }
            if !is_leaving && streams.connection.lifecycle.is_leaving() {
                is_leaving = true;
                frames.graceful_shutdown();
            } else if requests.len() == asked {
                return Poll::Pending;
            }
        }
    })
    .await;
    // What is still under way finds its stream gone, and ends with that; or with the connection, whose end waits for this.
    drop(frames);
    let rest = async { while requests.next().await.is_some() {} };
    let _ = timeout(linger, rest).await;
}

impl Streams<'_> {
    /// Takes the next request up, and moves all frames. `None` at the end of the connection.
    fn poll_accept(&self, cx: &mut Context<'_>, frames: &mut Frames) -> Poll<Option<H2Accept>> {
        // It holds nothing between two calls but what the connection holds.
        let accepted = pin!(HttpSession::from_h2_conn(frames, Arc::clone(&self.digest))).poll(cx);
        accepted.map(|accepted| match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "an HTTP/2 connection ended");
                None
            }
        })
    }

    /// Takes a request up. The future serves it.
    fn begin(&self, session: HttpSession) -> impl Future<Output = ()> {
        let begun = match head::of(&session, &self.connection.settings.limits) {
            None => Err(session),
            Some(head) => {
                let client = Http2Client::new(session, Arc::clone(&self.connection));
                Exchange::begin(self.engine, client, head).map_err(|(client, _)| client.into_session())
            }
        };
        match begun {
            Ok(mut exchange) => Either::Left(async move {
                let deadlines = &self.engine.deadlines;
                let mut deadline = deadlines.take();
                exchange.run(&mut deadline).await;
                deadlines.put(deadline);
            }),
            // Its futures are large, and most requests never need them.
            Err(session) => Either::Right(Box::pin(self.hand_on(session))),
        }
    }

    /// Has the other engine serve a request of which nothing but the head was read.
    async fn hand_on(&self, session: HttpSession) {
        let shutdown = self.connection.shutdown();
        self.pingora.process_new_http(ServerSession::new_http2(session), &shutdown).await;
    }
}
