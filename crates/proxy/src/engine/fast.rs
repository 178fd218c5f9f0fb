//! The fast path: exchanges between a client and an endpoint in the clear, at the price of the system calls.
//!
//! A request costs no task and no channel: heads stay the bytes that they are, a worker's connections to endpoints in HTTP/1
//! wait in a [`Pool`] without a task of their own, and bodies go through one large buffer that is borrowed for as long as
//! there is something in it, or, where they are large and nobody has to look at them, through a pipe. What a request means
//! is decided where it is for every engine; what this one does not do, it hands on before it has touched anything.
//!
//! Clients come in [`http1`] or in [`http2`], and so do endpoints, which requests in HTTP/2 share [`Links`] to. An
//! [`Exchange`] sees no more of that than the [`client`] and the [`upstream`] let it.

mod chunk;
mod client;
mod download;
mod ends;
mod exchange;
mod field;
mod http1;
mod http2;
mod links;
mod page;
mod patience;
mod pool;
mod request;
mod respond;
mod response;
mod throttle;
mod tunnel;
mod upload;
mod upstream;

use std::sync::Arc;

use pingora::proxy::HttpProxy;

use super::Shared;
use super::auth::Auth;
use super::pingora::PingoraEngine;
use crate::head::RequestHead;
use crate::stream::{Deadline, Next, Stream};
use exchange::{Exchange, Then};
use http1::Http1Client;
use links::Links;
use pool::{Buffers, Deadlines, Pipes, Pool};
pub(super) use upload::Room;

/// See the [module](self). One per worker.
pub(super) struct FastPath {
    shared: Arc<Shared>,
    auth: Arc<Auth>,
    pool: Arc<Pool>,
    links: Arc<Links>,
    buffers: Buffers,
    pipes: Pipes,
    deadlines: Deadlines,
}

/// How far a connection was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// To its end.
    ToTheEnd,
    /// Up to HTTP/2.
    ToHttp2,
    /// Up to a request that is for the other engine.
    InPart,
}

impl FastPath {
    /// An engine for the worker whose runtime this is called in.
    pub(super) fn new(shared: &Arc<Shared>, auth: &Arc<Auth>) -> Self {
        let (pool, links) = (Arc::new(Pool::default()), Arc::new(Links::default()));
        tokio::spawn(pool::sweep(Arc::downgrade(&pool), Arc::downgrade(&links)));
        let (shared, auth) = (Arc::clone(shared), Arc::clone(auth));
        let (buffers, pipes, deadlines) = Default::default();
        Self { shared, auth, pool, links, buffers, pipes, deadlines }
    }

    /// Serves a connection [in HTTP/2](http2) to its end. What is not for this engine is for the other one.
    pub(super) async fn serve_http2(&self, stream: Stream, pingora: &Arc<HttpProxy<PingoraEngine>>) {
        http2::serve(self, stream, pingora).await;
    }

    /// Serves the requests of a connection in HTTP/1, for as long as they are for this engine.
    pub(super) async fn serve(&self, stream: &mut Stream) -> Served {
        let mut deadline = self.deadlines.take();
        let served = self.serve_requests(stream, &mut deadline).await;
        self.deadlines.put(deadline);
        served
    }

    async fn serve_requests(&self, stream: &mut Stream, deadline: &mut Deadline) -> Served {
        loop {
            match stream.next().await {
                Ok(Next::Request) => {}
                Ok(Next::Http2) => return Served::ToHttp2,
                Ok(Next::Nothing) | Err(_) => return Served::ToTheEnd,
            }
            let head = RequestHead::new(stream.take_head());
            let client = Http1Client::new(stream, head.body());
            let then = match Exchange::begin(self, client, head) {
                // Apart, so that a connection that waits for its next request does not hold the place for it.
                Ok(mut exchange) => {
                    let deadline = &mut *deadline;
                    Box::pin(async move { exchange.run(deadline).await }).await
                }
                Err((_, head)) => {
                    stream.put_back(head.into_bytes());
                    return Served::InPart;
                }
            };
            match then {
                Then::Next => {}
                Then::Close => return Served::ToTheEnd,
            }
        }
    }
}

#[cfg(test)]
mod tests;
