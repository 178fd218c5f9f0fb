//! Listeners and workers: from a bound address to an HTTP engine that is handed connections.
//!
//! Each worker is a thread with a runtime, listening sockets and an HTTP engine of its own. The kernel spreads
//! connections over the workers' sockets (`SO_REUSEPORT`), and a request never leaves the core it came in on.

mod accept;
mod bind;
mod observer;
mod passthrough;
mod serve;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use edgeward_routing::SnapshotReader;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use crate::connection::{Connections, Registry};
use crate::limits::MOST_CONNECTIONS;
use crate::seats::Seats;
use crate::stream::{Parting, Stream};
use crate::tls::ServerConfigs;
use accept::Worker;

pub(crate) use serve::LAST_WORDS;

pub use crate::record::Refused;
pub use crate::stream::Refusal;
pub use bind::BindError;
pub use observer::{Event, HandshakeFailure, Observer, Rejection};

/// Where to listen, and for how many. What each connection may take is in the [settings] of the snapshot that is current when it
/// is accepted.
///
/// [settings]: edgeward_routing::settings::Settings
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Addresses for plain HTTP. IPv4 and IPv6 are bound apart, so `[::]` does not include `0.0.0.0`.
    pub http: Vec<SocketAddr>,
    /// Addresses for HTTPS.
    pub https: Vec<SocketAddr>,
    /// Threads that serve; 0 for one per core.
    pub workers: usize,
    /// Connections that wait to be accepted, per worker and address. The kernel caps it at `net.core.somaxconn`.
    pub backlog: u32,
    /// Most connections at a time; 0 for no limit. A connection above it is closed at once. See
    /// [`connections_within`](crate::limits::connections_within).
    pub max_connections: usize,
    /// Most connections at a time of one client address, IPv6 by /64; 0 for no limit. The address is the one that
    /// counts after PROXY protocol.
    pub max_connections_per_client: usize,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            http: vec![SocketAddr::from(([0, 0, 0, 0], 80))],
            https: vec![SocketAddr::from(([0, 0, 0, 0], 443))],
            workers: 0,
            backlog: 4096,
            max_connections: MOST_CONNECTIONS,
            max_connections_per_client: 16_384,
        }
    }
}

/// Why the listeners do not start. The message names what to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The TLS library refuses the options.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system gives no thread or no event queue.
    #[error("cannot start worker {worker}: {source}; are limits on threads or open files too low?")]
    Worker {
        /// Number of the worker, from 0.
        worker: usize,
        /// What the system says.
        source: std::io::Error,
    },
}

/// What all workers share.
pub(crate) struct Shared {
    max_connections: usize,
    tls: ServerConfigs,
    observer: Arc<dyn Observer>,
    clients: Seats<IpAddr>,
    /// Connections at this moment, for the cap.
    live: AtomicUsize,
    /// Accept loops at this moment.
    accepting: AtomicUsize,
    /// Told whenever a connection or an accept loop ends.
    ended: Notify,
}

/// The listeners at work. Dropping it ends them at once; see [`drain`](Self::drain) for the orderly end.
pub struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registries: Vec<Arc<Registry>>,
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    /// Ends the accepting.
    pub(crate) accepting: watch::Sender<bool>,
    /// Ends the workers.
    exit: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What serves the requests of connections.
pub trait Application: Send + Sync + 'static {
    /// Serves a connection, and returns what is left of it in the end.
    fn serve(self: Arc<Self>, stream: Stream) -> impl Future<Output = Option<Parting>> + Send;
}

/// Binds all addresses and starts to serve. `app` is called once for every worker, with the worker's number and in the
/// context of its runtime; the worker hands its connections to what it returns.
///
/// Certificates are looked up in the current snapshot at each handshake. `observer` is told of everything that concerns a
/// connection rather than a request.
///
/// # Errors
///
/// When an address cannot be bound, or the system gives no threads. Nothing is left running then.
pub fn start<A, F>(
    options: ListenerOptions,
    snapshots: SnapshotReader,
    app: F,
    observer: Arc<dyn Observer>,
) -> Result<Running, StartError>
where
    A: Application,
    F: Fn(usize) -> A,
{
    // Pingora would install ring for its upstream connections. An error means that it is done already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tls = ServerConfigs::new(snapshots)?;
    let workers = match options.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let http = bind::all(&options.http, "HTTP", workers, options.backlog)?;
    let https = bind::all(&options.https, "HTTPS", workers, options.backlog)?;
    let (accepting, _) = watch::channel(true);
    let (exit, _) = watch::channel(false);
    let shared = Arc::new(Shared {
        clients: Seats::new(options.max_connections_per_client),
        max_connections: options.max_connections,
        tls,
        observer,
        live: AtomicUsize::new(0),
        accepting: AtomicUsize::new(0),
        ended: Notify::new(),
    });
    // From here on an error drops `running`, which ends the workers that were started.
    let mut running = Running {
        shared,
        registries: Vec::new(),
        http: http.addresses,
        https: https.addresses,
        accepting,
        exit,
        threads: Mutex::default(),
    };
    for (index, (http, https)) in http.sockets.into_iter().zip(https.sockets).enumerate() {
        running
            .start_worker(index, http, https, &app)
            .map_err(|source| StartError::Worker { worker: index, source })?;
    }
    Ok(running)
}

impl Running {
    fn start_worker<A>(
        &mut self,
        index: usize,
        http: Vec<std::net::TcpListener>,
        https: Vec<std::net::TcpListener>,
        app: &impl Fn(usize) -> A,
    ) -> std::io::Result<()>
    where
        A: Application,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (listeners, app) = {
            let _context = runtime.enter();
            let plain = http.into_iter().map(|socket| (socket, false));
            let secure = https.into_iter().map(|socket| (socket, true));
            let listeners = plain
                .chain(secure)
                .map(|(socket, tls)| Ok((TcpListener::from_std(socket)?, tls)))
                .collect::<std::io::Result<Vec<_>>>()?;
            (listeners, Arc::new(app(index)))
        };
        let registry = Arc::new(Registry::default());
        self.shared.accepting.fetch_add(listeners.len(), Ordering::Relaxed);
        let worker = Worker { shared: Arc::clone(&self.shared), registry: Arc::clone(&registry), app };
        let (accepting, exit) = (self.accepting.subscribe(), self.exit.subscribe());
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || run(&runtime, worker, listeners, accepting, exit))?;
        self.registries.push(registry);
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// The addresses that HTTP is served on, with the ports that the system chose where 0 was asked for.
    pub fn http_addrs(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The addresses that HTTPS is served on.
    pub fn https_addrs(&self) -> &[SocketAddr] {
        &self.https
    }

    /// How many connections there are, and what they are doing.
    pub fn connections(&self) -> Connections {
        let mut sum = Connections::default();
        self.registries.iter().for_each(|registry| registry.count(&mut sum));
        sum
    }

    /// Ends the workers and waits for their threads. What connections are left are cut. Blocks.
    pub fn stop(&self) {
        self.exit.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A worker that panicked has said so on its own.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.exit.send_replace(true);
    }
}

impl Shared {
    /// Waits until a connection has ended, or a listener has.
    pub(crate) async fn something_ended(&self) {
        self.ended.notified().await;
    }

    /// Whether no listener takes connections any more.
    pub(crate) fn accepts_nothing(&self) -> bool {
        self.accepting.load(Ordering::Acquire) == 0
    }
}

/// Runs a worker until `exit` turns true. Its connections live on when accepting has ended.
fn run<A: Application>(
    runtime: &Runtime,
    worker: Worker<A>,
    listeners: Vec<(TcpListener, bool)>,
    accepting: watch::Receiver<bool>,
    mut exit: watch::Receiver<bool>,
) {
    runtime.block_on(async {
        let worker = Arc::new(worker);
        for (listener, tls) in listeners {
            tokio::spawn(Arc::clone(&worker).accept(listener, tls, accepting.clone()));
        }
        // An error means that nobody is left to say it.
        let _ = exit.wait_for(|exit| *exit).await;
    });
}

#[cfg(test)]
mod tests;
