//! Edgeward's own log, on standard error. The access log is another one, and belongs to the proxy.
//!
//! Workers log as well, and must not wait for whoever reads the log: the lines go through a queue, as those of the access
//! log do.

use std::io::{self, IsTerminal, Write};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use edgeward_proxy::lines::{Output, Queue};
use prometheus::IntCounter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::configuration::{LogFormat, LogLevel};
use crate::niceness;

/// Lines that may wait for whoever reads the log, and their bytes.
const QUEUED_LINES: usize = 4 * 1024;
const QUEUED_BYTES: usize = 4 * 1024 * 1024;

/// How long the last lines may take.
const FLUSH: Duration = Duration::from_secs(2);

/// A hold on the log while the process runs.
#[derive(Debug, Clone)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: Arc<Queue>,
    dropped: IntCounter,
}

impl LogControl {
    /// Writes `level` and what is more severe from now on, unless `RUST_LOG` says otherwise.
    pub fn set_level(&self, level: LogLevel) {
        if let Err(error) = self.filter.reload(filter(level)) {
            tracing::warn!(%error, "the log level stays as it is");
        }
    }
}

impl LogControl {
    /// The counter of lines that could not be written, `edgeward_log_dropped_total`.
    pub fn dropped(&self) -> &IntCounter {
        &self.dropped
    }

    /// Writes what waits when the guard is dropped. It blocks the thread: hold it where the process ends.
    pub fn flush_at_end(&self) -> FlushGuard {
        FlushGuard(Arc::clone(&self.lines))
    }
}

/// See [`LogControl::flush_at_end`].
#[derive(Debug)]
pub struct FlushGuard(Arc<Queue>);

impl Drop for FlushGuard {
    fn drop(&mut self) {
        self.0.flush(FLUSH);
    }
}

/// Writes each event with one call.
struct Line(Arc<Queue>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.send(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts the log. A second call in one process has no effect, and its control none either.
///
/// # Errors
///
/// If the standard error is closed, or the system gives no thread.
pub fn start(format: LogFormat, level: LogLevel) -> anyhow::Result<LogControl> {
    let dropped = IntCounter::new("edgeward_log_dropped_total", "Lines of the log that could not be written")?;
    let output = Output::stderr().context("cannot write the log to the standard error")?;
    let lines = start_queue(output, dropped.clone()).context("cannot start the thread that writes the log")?;
    let lines = Arc::new(lines);
    let writer = Arc::clone(&lines);
    let (filter, handle) = reload::Layer::new(filter(level));
    let is_colored = std::io::stderr().is_terminal() && !no_color();
    let events = fmt::layer().with_writer(move || Line(Arc::clone(&writer))).with_ansi(is_colored);
    let events = match format {
        LogFormat::Text => events.boxed(),
        LogFormat::Json => events.json().flatten_event(true).boxed(),
    };
    // Only tests start it twice; the first one stays.
    let _ = tracing_subscriber::registry().with(filter).with(events).try_init();
    Ok(LogControl { filter: handle, lines, dropped })
}

/// The thread that starts the queue is not the caller's, which the workers come from: they must not yield to themselves.
fn start_queue(output: Output, dropped: IntCounter) -> io::Result<Queue> {
    let start = || {
        niceness::yield_to_workers();
        Queue::start("log", output, dropped, QUEUED_LINES, QUEUED_BYTES)
    };
    let started = thread::scope(|scope| Ok::<_, io::Error>(thread::Builder::new().spawn_scoped(scope, start)?.join()))?;
    started.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Whether the user asks for no colours (<https://no-color.org>).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn filter(level: LogLevel) -> EnvFilter {
    // Pingora's own log is off at every level. What a client does wrong is an error to it, and the access log tells that
    // with the reason; below that it writes whole request heads, with their passwords and cookies. RUST_LOG can switch
    // it on, and says so by naming it. What kube's client has to say of each failed request, the source says once; and
    // it writes answers that it cannot read, which may hold Secrets.
    const OFF: [&str; 6] = ["pingora_proxy", "pingora_core", "pingora", "pingora_pool", "kube_client", "kube_runtime"];
    EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        let off = OFF.map(|target| format!(",{target}=off")).concat();
        EnvFilter::new(format!("{}{off}", level.name()))
    })
}
