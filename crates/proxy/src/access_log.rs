//! The access log: one line per finished request, written without ever making a request wait.
//!
//! A worker formats the line into a buffer of its own and puts a copy on a bounded queue; one thread takes lines off it
//! and writes them in batches. When the queue is full, because the disk or the reader of the pipe is too slow, the line
//! is dropped and counted.

mod basic;
mod entry;
mod escape;
mod format;
mod time;
mod variable;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgeward_routing::log_format::LogFormat;
use edgeward_routing::settings::LogSettings;
use prometheus::IntCounter;

pub use format::AccessLogFormat;
pub(crate) use format::write as write_text;

use crate::lines::{Output, Queue};
use crate::listener::{Event, Observer};
use crate::record::RequestRecord;

/// Lines that may wait for the writer.
const QUEUED_LINES: usize = 16 * 1024;
/// Bytes that may wait for the writer: lines of hostile requests are long.
const QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// A worker's buffer above this size is given back after the line that needed it.
const KEPT_BUFFER: usize = 64 * 1024;

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLogDestination {
    /// The standard output of the process.
    #[default]
    Stdout,
    /// A file, appended to and created where it is missing (ConfigMap `access-log-path`).
    File(PathBuf),
}

/// Why an access log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum OpenAccessLogError {
    /// The file cannot be opened for appending.
    #[error("cannot open the access log {path}: {source}; name a writable file with --access-log-path")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The standard output cannot be used.
    #[error("cannot write the access log to the standard output: {0}; name a file with --access-log-path")]
    Stdout(io::Error),
    /// The writer thread cannot be started.
    #[error("cannot start the thread that writes the access log: {0}")]
    Thread(io::Error),
}

/// A handle on the access log; clones write to the same one. Call [`flush`](AccessLog::flush) before the process ends.
#[derive(Debug, Clone)]
pub struct AccessLog {
    dropped: IntCounter,
    /// `None` when the log is off.
    open: Option<Arc<Open>>,
}

#[derive(Debug)]
struct Open {
    format: LogFormat,
    queue: Queue,
}

impl AccessLog {
    /// Opens the destination and starts the writer.
    ///
    /// # Errors
    /// When the destination cannot be opened. Later failures never stop anything: lines are dropped and counted until
    /// the destination takes them again.
    pub fn open(format: &AccessLogFormat, destination: &AccessLogDestination) -> Result<Self, OpenAccessLogError> {
        let Some(format) = format.compiled() else { return Ok(Self::off()) };
        let output = match destination {
            AccessLogDestination::Stdout => Output::stdout().map_err(OpenAccessLogError::Stdout)?,
            AccessLogDestination::File(path) => {
                Output::file(path).map_err(|source| OpenAccessLogError::File { path: path.clone(), source })?
            }
        };
        Self::start(format, output).map_err(OpenAccessLogError::Thread)
    }

    /// A log that writes nothing.
    pub fn off() -> Self {
        Self { dropped: dropped_counter(), open: None }
    }

    fn start(format: LogFormat, output: Output) -> io::Result<Self> {
        let dropped = dropped_counter();
        let queue = Queue::start("access-log", output, dropped.clone(), QUEUED_LINES, QUEUED_BYTES)?;
        Ok(Self { dropped, open: Some(Arc::new(Open { format, queue })) })
    }

    /// Writes the line of a finished request, unless `settings` skip it, and in their format where they have one. Never
    /// blocks: a line that finds no room is dropped and counted.
    pub fn log(&self, record: &RequestRecord<'_>, settings: &LogSettings) {
        let Some(open) = &self.open else { return };
        if settings.skips(record.request.target()) {
            return;
        }
        let format = settings.format.as_ref().unwrap_or(&open.format);
        LINE.with_borrow_mut(|line| {
            line.clear();
            format::write(format, record, line);
            line.push(b'\n');
            open.queue.send(line);
            if line.capacity() > KEPT_BUFFER {
                *line = Vec::new();
            }
        });
    }

    /// Whether anything is logged at all.
    pub fn is_on(&self) -> bool {
        self.open.is_some()
    }

    /// Opens the file anew, so that a log rotation can move the old one away (SIGHUP). The old one stays in use when the
    /// new one cannot be opened. Does nothing for the standard output.
    pub fn reopen(&self) {
        if let Some(open) = &self.open {
            open.queue.reopen();
        }
    }

    /// Waits until every line logged before this call is written or dropped, at most for `timeout`. Returns whether that
    /// is so. It blocks the thread: call it at the end of a drain, off the workers.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.open.as_ref().is_none_or(|open| open.queue.flush(timeout))
    }

    /// The counter of dropped lines, `edgeward_access_log_dropped_total`.
    pub fn dropped(&self) -> &IntCounter {
        &self.dropped
    }
}

impl Observer for AccessLog {
    fn observe(&self, event: Event<'_>) {
        if let (Event::BadRequest(refused), true) = (event, self.is_on()) {
            refused.with_record(|record| self.log(record, &refused.connection.settings.log));
        }
    }
}

fn dropped_counter() -> IntCounter {
    IntCounter::new("edgeward_access_log_dropped_total", "Lines of the access log that could not be written")
        .expect("the name is a valid metric name")
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
