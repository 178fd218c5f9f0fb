//! `edgeward serve`: starts both sides, listens for signals, and ends in order.
//!
//! ```text
//! control runtime:         manifests -> reconciler -> snapshot; health, metrics, administration; probes; signals
//! workers (a thread each): connections -> engine, which loads the snapshot
//! ```
//!
//! Traffic is taken from the first snapshot on, not before: a proxy without routes would answer 404 to everything.

mod cluster;
mod control;
mod reload;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use edgeward_controller::translate;
use edgeward_proxy::access_log::AccessLog;
use edgeward_proxy::drain::DrainOptions;
use edgeward_proxy::engine::EngineFactory;
use edgeward_proxy::listener::{self, Running};
use edgeward_proxy::metrics::Metrics;
use edgeward_proxy::trace::{SpanQueue, Spans};
use edgeward_routing::{Publisher, Snapshot};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::cli::ServeArguments;
use crate::configuration::{Configuration, Options, Source, Sources, default_file};
use crate::health::{Followed, Readiness};
use crate::logging::{self, LogControl};
use crate::metrics::{self, ConnectionObserver, History, ProcessMetrics};
use crate::niceness;
use crate::trace;
use crate::wiring;

#[cfg(test)]
mod tests;

/// How long the last lines of the access log may take, and the last spans.
const FLUSH: Duration = Duration::from_secs(2);

/// Runs the command until a signal ends it.
///
/// # Errors
///
/// If the configuration is wrong, or an address cannot be listened on.
pub fn run(arguments: ServeArguments) -> anyhow::Result<ExitCode> {
    let file = arguments.config.or_else(default_file);
    let sources = Sources { flags: arguments.options, file, defaults: Options::default() };
    let configuration = sources.read()?;
    let log = logging::start(configuration.log_format, configuration.log_level)?;
    for warning in &arguments.warnings {
        tracing::warn!("{warning}");
    }
    serve(sources, configuration, log, |_| ())
}

/// Serves what `configuration` says, until a signal ends it. `sources` is where it came from; SIGHUP reads it again.
/// `ready` is called once, when traffic is taken.
///
/// # Errors
///
/// If an address cannot be listened on, or the system gives no threads.
pub fn serve(
    sources: Sources,
    configuration: Configuration,
    log: LogControl,
    ready: impl FnOnce(&Running),
) -> anyhow::Result<ExitCode> {
    let _last_lines = log.flush_at_end();
    if configuration.source == Source::Manifests {
        check_roots(&configuration.manifests)?;
    }
    let runtime = control_runtime()?;
    let code = runtime.block_on(async {
        // First of all: until it is listened to, a signal ends the process.
        let signals = Signals::new()?;
        Process::start(sources, configuration, log)?.run(signals, ready).await
    });
    // What still reads files or resolves names is not waited for.
    runtime.shutdown_background();
    code
}

/// A directory that is not there at start is a slip on the command line; one that goes away later is not.
fn check_roots(roots: &[PathBuf]) -> anyhow::Result<()> {
    for root in roots {
        fs::metadata(root)
            .with_context(|| format!("cannot read the manifests in {}; name them with --manifests", root.display()))?;
    }
    Ok(())
}

fn control_runtime() -> anyhow::Result<Runtime> {
    // The second is for what must not wait for a rebuild. On one processor it would: two only wake each other there.
    let threads = thread::available_parallelism().map_or(1, usize::from).min(2);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("control")
        .on_thread_start(niceness::yield_to_workers)
        .enable_all()
        .build()
        .context("cannot start the control threads; are limits on threads or open files too low?")
}

/// Everything but the traffic.
struct Process {
    sources: Sources,
    configuration: watch::Sender<Arc<Configuration>>,
    log: LogControl,
    publisher: Publisher,
    options: translate::Options,
    rescan: Arc<Notify>,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    access_log: AccessLog,
    spans: (Spans, SpanQueue),
    open_files: u64,
}

impl Process {
    fn start(sources: Sources, configuration: Configuration, log: LogControl) -> anyhow::Result<Self> {
        // More connections than the default 1,024 files need no privilege, up to the hard limit.
        let open_files = rlimit::increase_nofile_limit(u64::MAX).context("cannot read the limit on open files")?;
        let certificate = wiring::generate_certificate().context("cannot make the default certificate")?;
        let options = wiring::controller_options(&configuration, Some(certificate));
        let publisher = Publisher::new(Snapshot::empty(Default::default()));
        let metrics = Arc::new(Metrics::new(&wiring::metrics_options(&configuration))?);
        let access_log = AccessLog::open(&configuration.access_log.0, &wiring::access_log_destination(&configuration))?;
        metrics.add_access_log(&access_log)?;
        metrics.registry().register(Box::new(log.dropped().clone()))?;
        let spans = Spans::queue();
        metrics.registry().register(Box::new(spans.0.dropped().clone()))?;
        Ok(Self {
            sources,
            readiness: Readiness::new(publisher.reader()),
            publisher,
            options,
            rescan: Arc::default(),
            metrics,
            access_log,
            spans,
            log,
            open_files,
            configuration: watch::Sender::new(Arc::new(configuration)),
        })
    }

    async fn run(self, mut signals: Signals, ready: impl FnOnce(&Running)) -> anyhow::Result<ExitCode> {
        let Self {
            sources,
            configuration,
            log,
            publisher,
            options,
            rescan,
            readiness,
            metrics,
            access_log,
            spans: (spans, span_queue),
            open_files,
        } = self;
        let snapshots = publisher.reader();
        let current = configuration.borrow().clone();
        let pages = control::bind_pages(&current).await?;
        let (options, options_seen) = watch::channel(Arc::new(options));
        let control::Controller { mut published, status, cluster } =
            control::start_controller(&current, publisher, options_seen, Arc::clone(&rescan)).await?;
        readiness.follow(Followed {
            status: status.clone(),
            contact: cluster.as_ref().map(|cluster| Arc::clone(&cluster.contact)),
            cordoned: cluster.as_ref().and_then(|cluster| cluster.cordoned.clone()),
        });
        let leads = cluster.as_ref().map(|cluster| cluster.leads.clone());
        let history = Arc::new(History::new()?);
        tokio::spawn(Arc::clone(&history).follow(status.clone()));
        pages.serve(&current, &readiness, &metrics, &snapshots, &status, configuration.subscribe());
        let reload = reload::Reload { sources, configuration: &configuration, options: &options, log, rescan: &rescan };
        let on_hangup = || {
            reload.run();
            access_log.reopen();
        };
        // Nothing is served yet, so that there is nothing to finish when a signal comes now.
        tokio::select! {
            first = published.wait_for(|generation| *generation > 0) => {
                first.context("the controller ended before it had read the manifests")?;
            }
            _ = signals.stop(&on_hangup) => return Ok(ExitCode::SUCCESS),
        }
        let engines = EngineFactory::new(
            wiring::engine_options(&current),
            snapshots.clone(),
            Arc::clone(&metrics),
            access_log.clone(),
            spans,
        );
        let (end_of_spans, no_more_spans) = oneshot::channel();
        let sending_spans = tokio::spawn(trace::run(span_queue, snapshots.clone(), no_more_spans));
        let observer = Arc::new(ConnectionObserver::new(Arc::clone(&metrics), access_log.clone()));
        let running = Arc::new(listener::start(
            wiring::listener_options(&current, open_files),
            snapshots.clone(),
            |_| engines.engine(),
            observer.clone(),
        )?);
        tokio::spawn(edgeward_proxy::health::run(snapshots.clone(), Default::default(), std::future::pending()));
        metrics.registry().register(Box::new(ProcessMetrics::new(metrics::Sources {
            identity: wiring::identity(&current),
            snapshots: snapshots.clone(),
            status,
            history,
            readiness: readiness.clone(),
            leads,
            metrics: Arc::clone(&metrics),
            observer,
            running: Arc::clone(&running),
        })?))?;
        readiness.start_serving();
        tracing::info!(http = ?running.http_addrs(), https = ?running.https_addrs(), "serving");
        ready(&running);
        signals.stop(&on_hangup).await;
        let current = configuration.borrow().clone();
        let drain = wiring::drain_options(&current, snapshots.load().settings.drain_timeout);
        readiness.start_draining();
        let ended = tokio::spawn(async {
            if let Some(cluster) = cluster {
                cluster.end().await;
            }
        });
        let code = stop(&running, current.shutdown_grace_period.0, &drain, ended, signals.stop(&on_hangup)).await;
        tokio::task::spawn_blocking(move || {
            running.stop();
            access_log.flush(FLUSH);
        })
        .await?;
        drop(end_of_spans);
        // A collector that does not take the last ones has nobody wait for it.
        let _ = timeout(FLUSH, sending_spans).await;
        Ok(code)
    }
}

/// Waits for the network to turn away, finishes what is under way. A second signal to stop ends the wait.
async fn stop(
    running: &Running,
    grace: Duration,
    drain: &DrainOptions,
    ended: JoinHandle<()>,
    second_signal: impl Future<Output = &'static str>,
) -> ExitCode {
    tracing::info!(grace_period = ?grace, "stopping: not ready any more, and still accepting for the grace period");
    let in_order = async {
        tokio::time::sleep(grace).await;
        let drained = running.drain(drain).await;
        // A fault in what it writes has been reported, and must not keep the process.
        let _ = ended.await;
        drained
    };
    tokio::select! {
        drained = in_order => {
            tracing::info!(cut = drained.cut, elapsed = ?drained.elapsed, "stopped");
            ExitCode::SUCCESS
        }
        name = second_signal => {
            tracing::warn!("a second {name}: ending at once");
            ExitCode::FAILURE
        }
    }
}

/// The signals that this process listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop, and says which it was. Calls `on_hangup` for each SIGHUP meanwhile.
    async fn stop(&mut self, on_hangup: impl Fn()) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => on_hangup(),
            }
        }
    }
}
