//! Engines: they execute what [`decide`](edgeward_routing::decide::decide()) decides.
//!
//! There are two. The [`fast`] path is our own, and serves what most requests are: whatever goes to endpoints in the clear,
//! tunnels and gRPC included. It hands requests on to the engine on [`pingora`] for everything else, which is TLS to
//! endpoints. Decisions, policies, retries, balancing and records are the same for both; so are their answers.

mod answer;
mod auth;
mod budget;
mod compressor;
mod connection_options;
mod context;
mod failure;
mod fast;
mod mirror;
mod page;
mod pingora;
mod upgrade;
mod upstream_head;

use std::sync::Arc;
use std::time::Duration;

use ::pingora::apps::ServerApp;
use ::pingora::proxy::HttpProxy;
use edgeward_routing::publish::SnapshotReader;

use crate::access_log::AccessLog;
use crate::listener::Application;
use crate::metrics::Metrics;
use crate::stream::{Parting, Stream};
use crate::subrequest::Mirrors;
use crate::trace::Spans;
use auth::{Auth, AuthShared};
use budget::RetryBudget;
use compressor::Compressors;
use fast::{FastPath, Room, Served};
use pingora::PingoraEngine;

/// What the engine needs to know beyond the snapshot. It is fixed for the life of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Whether exchanges with endpoints in the clear are made by the engine of our own, which costs half of what Pingora's
    /// does.
    pub fast_path: bool,
    /// How long a WebSocket or another upgraded connection may be silent in both directions.
    pub upgraded_idle: Duration,
    /// How many streams may share one HTTP/2 connection to an endpoint.
    pub upstream_h2_streams: usize,
    /// Retries as a share of requests, in percent; see [`RetryBudget`].
    pub retry_percent: u32,
    /// Whether authentication services and targets of copies may have [every address](edgeward_routing::address::may_connect), as
    /// where objects are files of this machine.
    pub allow_loopback: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            fast_path: true,
            upgraded_idle: Duration::from_secs(3600),
            upstream_h2_streams: 100,
            retry_percent: 20,
            allow_loopback: true,
        }
    }
}

/// What the engines of all workers share.
#[derive(Debug)]
struct Shared {
    options: EngineOptions,
    snapshots: SnapshotReader,
    retries: RetryBudget,
    metrics: Arc<Metrics>,
    access_log: AccessLog,
    spans: Spans,
    auth: AuthShared,
    mirrors: Option<Mirrors>,
    room: Room,
    compressors: Compressors,
}

/// Makes the engines of all workers.
#[derive(Debug, Clone)]
pub struct EngineFactory(Arc<Shared>);

impl EngineFactory {
    /// Engines that route by what `snapshots` gives. They share one retry budget. In the context of the runtime on whose
    /// threads passwords are compared.
    pub fn new(
        options: EngineOptions,
        snapshots: SnapshotReader,
        metrics: Arc<Metrics>,
        access_log: AccessLog,
        spans: Spans,
    ) -> Self {
        let retries = RetryBudget::new(options.retry_percent);
        let auth = AuthShared::new(options.allow_loopback);
        let mirrors = Mirrors::new(options.allow_loopback);
        let (room, compressors) = (Room::new(), Compressors::new());
        Self(Arc::new(Shared {
            options,
            snapshots,
            retries,
            metrics,
            access_log,
            spans,
            auth,
            mirrors,
            room,
            compressors,
        }))
    }

    /// The engines of one worker, in the context of its runtime. They share no connection to an endpoint with other
    /// workers.
    pub fn engine(&self) -> Engine {
        let auth = Arc::new(Auth::default());
        Engine {
            fast: self.0.options.fast_path.then(|| FastPath::new(&self.0, &auth)),
            pingora: Arc::new(PingoraEngine::proxy(&self.0, &auth)),
        }
    }
}

/// The engines of one worker: each takes the connections, or the part of one, that it is for.
pub struct Engine {
    fast: Option<FastPath>,
    pingora: Arc<HttpProxy<PingoraEngine>>,
}

impl Application for Engine {
    async fn serve(self: Arc<Self>, mut stream: Stream) -> Option<Parting> {
        let served = match &self.fast {
            Some(fast) => Some((fast, fast.serve(&mut stream).await)),
            None => None,
        };
        if let Some((_, Served::ToTheEnd)) = served {
            return Some(stream.part());
        }
        let left = stream.left();
        // Their futures are large, and most connections never need them.
        if let Some((fast, Served::ToHttp2)) = served {
            Box::pin(fast.serve_http2(stream, &self.pingora)).await;
        } else {
            let shutdown = stream.connection().shutdown();
            Box::pin(self.pingora.process_new(Box::new(stream), &shutdown)).await;
        }
        left.await.ok()
    }
}
