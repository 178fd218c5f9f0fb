//! What runs beside the traffic: the controller, and the pages about health and administration.

use std::net::SocketAddr;
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
            tokio::spawn(serve_pages(listener, router));
        }
    }
}

/// Serves pages for as long as the process runs. The port may be reachable for strangers, so that connections are few and
/// none may be idle for long: they share the limit on open files with the traffic.
async fn serve_pages(listener: TcpListener, router: Router) {
    let slots = Arc::new(Semaphore::new(PAGE_CONNECTIONS));
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
            // A client that breaks off is its own affair.
            let _ = connection.await;
            drop(slot);
        });
    }
}
