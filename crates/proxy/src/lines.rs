//! The thread that writes the lines of a log, and the bounded queue in front of it: no log ever makes a request wait.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::IntCounter;

/// Bytes that are written at once.
const BATCH: usize = 64 * 1024;
/// How long the writer lets lines gather. Under load one wake-up and one write then serve many lines, and no worker has
/// to wake it.
const GATHER: Duration = Duration::from_millis(5);
/// Pause before another attempt when a destination in non-blocking mode takes no byte.
const RETRY: Duration = Duration::from_millis(5);

/// The queue, as those who log see it.
pub struct Queue {
    messages: SyncSender<Message>,
    shared: Arc<Shared>,
    dropped: IntCounter,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes of the lines that wait.
    waiting: AtomicUsize,
    reopen: AtomicBool,
}

enum Message {
    Line(Box<[u8]>),
    /// Answer when everything before this is written or dropped.
    Flush(SyncSender<()>),
    /// Look at the flags in [`Shared`].
    Wake,
}

impl Queue {
    /// Starts the writer, on a thread with the log's name. The queue holds at most `max_lines` lines of `max_bytes` bytes
    /// together; `dropped` counts the lines that are lost.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        name: &'static str,
        output: Output,
        dropped: IntCounter,
        max_lines: usize,
        max_bytes: usize,
    ) -> io::Result<Self> {
        let (messages, received) = sync_channel(max_lines);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            name,
            messages: received,
            shared: Arc::clone(&shared),
            dropped: dropped.clone(),
            output,
            batch: Vec::with_capacity(BATCH),
            flushes: Vec::new(),
            torn: false,
            failing: false,
        };
        thread::Builder::new().name(name.to_owned()).spawn(move || writer.run())?;
        Ok(Self { messages, shared, dropped, max_bytes })
    }

    /// Queues a copy of a line, which ends with its line break, or drops and counts it. Never blocks.
    pub fn send(&self, line: &[u8]) {
        let waiting = self.shared.waiting.fetch_add(line.len(), Ordering::Relaxed);
        let fits = waiting.saturating_add(line.len()) <= self.max_bytes;
        if !fits || self.messages.try_send(Message::Line(line.into())).is_err() {
            self.shared.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.dropped.inc();
        }
    }

    /// Has the writer open its file anew.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // On a full queue the writer is awake and sees the flag anyway.
        let _ = self.messages.try_send(Message::Wake);
    }

    /// Waits until all lines queued before are written or dropped. Returns whether they are, within `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        let began = Instant::now();
        let (done, flushed) = sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(refused) = self.messages.try_send(message) {
            match refused {
                TrySendError::Full(back) if began.elapsed() < timeout => message = back,
                _ => return false,
            }
            thread::sleep(Duration::from_millis(1));
        }
        flushed.recv_timeout(timeout.saturating_sub(began.elapsed())).is_ok()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Where lines go.
pub struct Output {
    stream: Box<dyn Write + Send>,
    /// The file to open anew; `None` for what cannot be.
    path: Option<PathBuf>,
}

impl Output {
    /// A file, appended to and created where it is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be opened for appending.
    pub fn file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { stream: Box::new(file), path: Some(path.to_owned()) })
    }

    /// The standard output past the buffer of [`io::Stdout`], so that what is written is written.
    ///
    /// # Errors
    ///
    /// When it is closed.
    pub fn stdout() -> io::Result<Self> {
        Self::descriptor(io::stdout().as_fd())
    }

    /// The standard error.
    ///
    /// # Errors
    ///
    /// When it is closed.
    pub fn stderr() -> io::Result<Self> {
        Self::descriptor(io::stderr().as_fd())
    }

    fn descriptor(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { stream: Box::new(std::fs::File::from(descriptor.try_clone_to_owned()?)), path: None })
    }

    #[cfg(test)]
    pub(crate) fn stream(stream: impl Write + Send + 'static) -> Self {
        Self { stream: Box::new(stream), path: None }
    }
}

struct Writer {
    name: &'static str,
    messages: Receiver<Message>,
    shared: Arc<Shared>,
    dropped: IntCounter,
    output: Output,
    batch: Vec<u8>,
    flushes: Vec<SyncSender<()>>,
    /// Whether the last thing written is the beginning of a line.
    torn: bool,
    failing: bool,
}

impl Writer {
    /// Writes until every sender is gone and the queue is empty.
    fn run(mut self) {
        while let Ok(first) = self.messages.recv() {
            self.take(first);
            let mut more = true;
            while more && self.batch.len() < BATCH {
                match self.messages.try_recv() {
                    Ok(message) => self.take(message),
                    Err(_) => more = false,
                }
            }
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            self.write_batch();
            for done in self.flushes.drain(..) {
                // Who asked may have given up waiting.
                let _ = done.try_send(());
            }
            if !more {
                thread::sleep(GATHER);
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => {
                self.shared.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                self.batch.extend_from_slice(&line);
            }
            Message::Flush(done) => self.flushes.push(done),
            Message::Wake => {}
        }
    }

    fn reopen(&mut self) {
        let Some(path) = self.output.path.clone() else { return };
        match Output::file(&path) {
            Ok(output) => {
                self.output = output;
                self.torn = false;
            }
            Err(error) => {
                tracing::warn!(log = self.name, path = %path.display(), %error, "cannot reopen the log; the old file stays in use");
            }
        }
    }

    /// Writes the batch, or drops what cannot be written and counts its lines.
    fn write_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mended = usize::from(self.torn);
        if self.torn {
            self.batch.insert(0, b'\n');
        }
        let (written, outcome) = write_some(&mut *self.output.stream, &self.batch);
        if written > 0 {
            self.torn = self.batch[written - 1] != b'\n';
        }
        if let Err(error) = &outcome {
            // A line break in what is left over is a line lost; one that was cut in the middle is lost, too.
            let lost = self.batch[written.max(mended)..].iter().filter(|b| **b == b'\n').count();
            self.dropped.inc_by(lost as u64);
            if !self.failing {
                tracing::warn!(log = self.name, %error, "cannot write the log; lines are dropped until it can be written");
            }
        } else if self.failing {
            tracing::info!(log = self.name, "the log is written again");
        }
        self.failing = outcome.is_err();
        self.batch.clear();
    }
}

/// Writes all of `bytes` if it can. Returns how many bytes were taken, too.
fn write_some(stream: &mut dyn Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                // A pipe whose other end switched it to non-blocking: waiting here is what a full pipe does otherwise.
                io::ErrorKind::WouldBlock => thread::sleep(RETRY),
                _ => return (written, Err(error)),
            },
        }
    }
    (written, Ok(()))
}
