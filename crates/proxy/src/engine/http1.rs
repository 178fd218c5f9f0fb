//! The HTTP/1 engine of our own: plain exchanges between a client and an endpoint, at the price of the system calls.
//!
//! A request costs no task, no channel and no map: heads stay the bytes that they are, a worker's connections to endpoints
//! wait in a [`Pool`] without a task of their own, and bodies go through one large buffer that is borrowed for as long as
//! there is something in it, or, where they are large and nobody has to look at them, through a pipe. What a request means
//! is decided where it is for every engine; what this one does not do, it hands on with its connection before it has
//! touched anything.

mod chunk;
mod download;
mod exchange;
mod field;
mod patience;
mod pool;
mod request;
mod respond;
mod response;
mod upload;

use std::sync::Arc;

use super::Shared;
use crate::head::RequestHead;
use crate::stream::{Deadline, Next, Stream};
use exchange::{Exchange, Then};
use pool::{Buffers, Pipes, Pool};

/// See the [module](self). One per worker.
pub(super) struct Http1 {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    buffers: Buffers,
    pipes: Pipes,
}

/// How far a connection was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// To its end.
    ToTheEnd,
    /// Up to what the stream has next, which is for the other engine.
    InPart,
}

impl Http1 {
    /// An engine for the worker whose runtime this is called in.
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let pool = Arc::new(Pool::new(shared.options.upstream_pool, shared.options.upstream_idle));
        tokio::spawn(pool::sweep(Arc::downgrade(&pool)));
        Self { shared: Arc::clone(shared), pool, buffers: Buffers::default(), pipes: Pipes::default() }
    }

    /// Serves the requests of a connection, for as long as they are for this engine.
    pub(super) async fn serve(&self, stream: &mut Stream) -> Served {
        let mut deadline = Deadline::default();
        loop {
            match stream.next(self.shared.options.http2).await {
                Ok(Next::Request) => {}
                Ok(Next::Http2) => return Served::InPart,
                Ok(Next::Nothing) | Err(_) => return Served::ToTheEnd,
            }
            let head = RequestHead::new(stream.take_head());
            // Apart, so that a connection that waits for its next request does not hold the place for it.
            let then = match Exchange::begin(self, stream, head) {
                Ok(exchange) => Box::pin(exchange.run(&mut deadline)).await,
                Err(head) => {
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
