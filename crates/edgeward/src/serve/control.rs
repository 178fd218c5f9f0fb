//! What runs beside the traffic: the controller, and the pages about health and administration.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use edgeward_controller::directory::{DirectorySource, Locator};
use edgeward_controller::reconcile::{Holdoff, Reconciler, Status};
use edgeward_controller::translate;
use edgeward_proxy::metrics::Metrics;
use edgeward_routing::{Publisher, SnapshotReader};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::cluster::Cluster;
use crate::admin::Admin;
use crate::configuration::{Configuration, Source};
use crate::health::{self, Readiness};

/// Messages that may wait between the source and the reconciler; a source that is faster waits.
pub(super) const QUEUED_CHANGES: usize = 1024;

/// Connections for the pages of one port at a time; more wait.
const PAGE_CONNECTIONS: usize = 256;

/// How long a connection for the pages may be without a whole request head.
const PAGE_HEADER: Duration = Duration::from_secs(10);

/// How long a connection for the pages may last: then it takes no further request, and as long again later it is cut. Who asks
/// for pages and does not read them keeps no others from them.
const PAGE_TIME: Duration = Duration::from_secs(15);

/// What the controller tells.
pub(super) struct Controller {
    /// The generation that is current; 0 before the first.
    pub(super) published: watch::Receiver<u64>,
    /// What is known of the last rebuild, and later than it.
    pub(super) status: watch::Receiver<Status>,
    /// The cluster, where objects come from one.
    pub(super) cluster: Option<Cluster>,
}

/// Starts the source and the reconciler.
///
/// # Errors
///
/// If nothing says how to reach the cluster.
pub(super) async fn start_controller(
    configuration: &Configuration,
    publisher: Publisher,
    options: watch::Receiver<Arc<translate::Options>>,
    rescan: Arc<Notify>,
) -> anyhow::Result<Controller> {
    let (sender, changes) = mpsc::channel(QUEUED_CHANGES);
    let (published, published_seen) = watch::channel(0);
    let (status, status_seen) = watch::channel(Status::default());
    let (locator, cluster) = match configuration.source {
        Source::Kubernetes => {
            let cluster = Cluster::start(configuration, sender, status_seen.clone()).await?;
            // Objects of a cluster stand in no file.
            (Locator::default(), Some(cluster))
        }
        Source::Auto | Source::Manifests => {
            let source =
                DirectorySource::new(configuration.manifests.clone()).rescan_every(configuration.rescan_interval.0);
            let locator = source.locator();
            tokio::spawn(source.run(sender, rescan));
            (locator, None)
        }
    };
    let reconciler = Reconciler {
        changes,
        publisher,
        options,
        locator: Arc::new(locator),
        published,
        status,
        holdoff: Holdoff::default(),
    };
    tokio::spawn(reconciler.run());
    Ok(Controller { published: published_seen, status: status_seen, cluster })
}

/// The listeners of the pages.
pub(super) struct Pages {
    health: TcpListener,
    admin: TcpListener,
}

/// Binds the listeners of the pages.
///
/// # Errors
///
/// If one of the addresses is taken or not this machine's.
pub(super) async fn bind_pages(configuration: &Configuration) -> anyhow::Result<Pages> {
    let health = SocketAddr::new(configuration.healthz_host, configuration.healthz_port);
    Ok(Pages {
        health: bind(health, "health and metrics", "--healthz-host or --healthz-port").await?,
        admin: bind(configuration.admin_address.0, "administration", "--admin-address").await?,
    })
}

async fn bind(address: SocketAddr, what: &str, flags: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for {what}; choose another address with {flags}, or end what listens there")
    })
}

impl Pages {
    /// Serves the pages from now on.
    pub(super) fn serve(
        self,
        configuration: &Configuration,
        readiness: &Readiness,
        metrics: &Arc<Metrics>,
        snapshots: &SnapshotReader,
        status: &watch::Receiver<Status>,
        configurations: watch::Receiver<Arc<Configuration>>,
    ) {
        let admin =
            Admin { snapshots: snapshots.clone(), status: status.clone(), configuration: configurations }.router();
        let health = health::router(readiness.clone(), Arc::clone(metrics), &configuration.health_check_path);
        for (listener, router, what) in [(self.health, health, "health"), (self.admin, admin, "administration")] {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "{what} pages");
            }
            tokio::spawn(serve_pages(listener, router, PAGE_CONNECTIONS, PAGE_TIME));
        }
    }
}

/// Serves pages for as long as the process runs. The port may be reachable for strangers, so that connections are few and
/// none may be idle for long: they share the limit on open files with the traffic.
async fn serve_pages(listener: TcpListener, router: Router, connections: usize, time: Duration) {
    let slots = Arc::new(Semaphore::new(connections));
    let service = TowerToHyperService::new(router);
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection for the pages");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(PAGE_HEADER);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            // A client that breaks off is its own affair.
            if timeout(time, &mut connection).await.is_err() {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(time, connection).await;
            }
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        client
    }

    #[tokio::test]
    async fn clients_that_do_not_read_keep_nobody_from_the_pages() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let large = || async { vec![b'x'; 64 << 20] };
        let router = Router::new().route("/large", get(large)).route("/small", get(|| async { "small" }));
        tokio::spawn(serve_pages(listener, router, 4, Duration::from_millis(200)));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(ask(address, "/large").await);
        }
        let mut client = ask(address, "/small").await;
        let mut answer = [0; 12];
        timeout(Duration::from_secs(20), client.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
}
