//! An open-loop load generator on keep-alive connections.
//!
//! Requests are due at fixed times whatever the answers do, so a stall shows in the latencies. It retries nothing. It
//! does what a careful client does and no more: it honours `Connection: close`, and it looks whether an idle connection
//! has been closed before it sends on it. Every request without the right answer is a failure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use crate::PATIENCE;
use crate::client::connect;
use crate::message::{Broken, Message, Reader};

/// One request of a workload.
#[derive(Debug, Clone)]
pub struct Shot {
    /// Its method, which tells how the answer is read.
    pub method: &'static str,
    /// The whole request.
    pub bytes: Vec<u8>,
    /// Whatever the workload wants to know when it judges the answer.
    pub context: u64,
}

/// What is asked, and what is a right answer.
pub trait Workload: Send + Sync + 'static {
    /// The request with this number; called when it is due.
    fn shot(&self, number: usize) -> Shot;

    /// Says what is wrong with an answer.
    fn judge(&self, shot: &Shot, answer: &Message) -> Result<(), String>;
}

/// How much load.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where to.
    pub addr: SocketAddr,
    /// Requests per second, over all connections.
    pub rate: u32,
    /// Keep-alive connections.
    pub connections: usize,
    /// Requests in all; the load ends behind the last one.
    pub requests: usize,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The connection was not opened.
    Connect,
    /// The request could not be written.
    Write,
    /// There was no whole answer.
    Answer(&'static str),
    /// The answer took longer than [`PATIENCE`].
    Timeout,
    /// The answer was wrong.
    Wrong(String),
}

/// One failed request.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// When it failed.
    pub at: Instant,
    /// When it was sent.
    pub sent: Instant,
}

#[derive(Debug, Default)]
struct State {
    stopped: AtomicBool,
    keeps_to_open_connections: AtomicBool,
    in_flight: AtomicUsize,
    sent: AtomicUsize,
    told_to_close: AtomicUsize,
    closed_idle: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
    latencies: Mutex<Vec<Duration>>,
}

/// Load that is running.
#[derive(Debug)]
pub struct Load {
    state: Arc<State>,
    tasks: Vec<JoinHandle<()>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Requests sent.
    pub sent: usize,
    /// The ones that failed.
    pub failures: Vec<Failure>,
    /// Answers that said `Connection: close`.
    pub told_to_close: usize,
    /// Connections that were closed in order while they were idle.
    pub closed_idle: usize,
    latencies: Vec<Duration>,
}

impl Load {
    /// Starts it.
    pub fn start(plan: Plan, workload: Arc<dyn Workload>) -> Self {
        let state = Arc::new(State::default());
        let start = tokio::time::Instant::now();
        let tasks = (0..plan.connections)
            .map(|index| tokio::spawn(connection(index, plan, start, workload.clone(), state.clone())))
            .collect();
        Self { state, tasks }
    }

    /// Requests that have no answer yet.
    pub fn in_flight(&self) -> usize {
        self.state.in_flight.load(Ordering::SeqCst)
    }

    /// Requests sent so far.
    pub fn sent(&self) -> usize {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// From now on no connection is opened: clients have been led elsewhere. A connection that is told to close, or is
    /// closed while idle, takes its future requests with it.
    pub fn open_no_more_connections(&self) {
        self.state.keeps_to_open_connections.store(true, Ordering::SeqCst);
    }

    /// Sends nothing more.
    pub fn stop(&self) {
        self.state.stopped.store(true, Ordering::SeqCst);
    }

    /// Waits for the end of the plan, or of the requests in flight after [`stop`](Self::stop).
    ///
    /// # Panics
    ///
    /// When the workload panicked.
    pub async fn report(self) -> Report {
        for task in self.tasks {
            task.await.expect("the load runs to its end");
        }
        let mut latencies = std::mem::take(&mut *lock(&self.state.latencies));
        latencies.sort_unstable();
        Report {
            sent: self.state.sent.load(Ordering::SeqCst),
            failures: std::mem::take(&mut *lock(&self.state.failures)),
            told_to_close: self.state.told_to_close.load(Ordering::SeqCst),
            closed_idle: self.state.closed_idle.load(Ordering::SeqCst),
            latencies,
        }
    }
}

impl Report {
    /// The latency below which this share (0 to 1) of the answers came, from the time when the request was due.
    pub fn latency(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into a list that fits into memory"
        )]
        let index = (last as f64 * share) as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }

    /// Fails the test unless every request was answered rightly.
    ///
    /// # Panics
    ///
    /// When one was not.
    pub fn assert_clean(&self) {
        assert!(self.failures.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<&FailureKind, usize> = BTreeMap::new();
        for failure in &self.failures {
            *kinds.entry(&failure.kind).or_default() += 1;
        }
        write!(
            f,
            "{} sent, {} failed, {} told to close, {} closed while idle, latency p50 {:?} p99 {:?} max {:?}",
            self.sent,
            self.failures.len(),
            self.told_to_close,
            self.closed_idle,
            self.latency(0.5),
            self.latency(0.99),
            self.latency(1.0)
        )?;
        for (kind, count) in kinds.into_iter().take(12) {
            write!(f, "\n  {count} x {kind:?}")?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Open {
    stream: TcpStream,
    reader: Reader,
}

/// Counts a request as in flight until it is answered or has failed.
struct InFlight<'a>(&'a State);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn connection(
    index: usize,
    plan: Plan,
    start: tokio::time::Instant,
    workload: Arc<dyn Workload>,
    state: Arc<State>,
) {
    let mut open: Option<Open> = None;
    for number in (index..plan.requests).step_by(plan.connections) {
        let due = start + Duration::from_secs(1) * u32::try_from(number).unwrap_or(u32::MAX) / plan.rate;
        sleep_until(due).await;
        if state.stopped.load(Ordering::SeqCst) {
            return;
        }
        if open.as_ref().is_some_and(|open| is_closed(&open.stream)) {
            state.closed_idle.fetch_add(1, Ordering::SeqCst);
            open = None;
        }
        if open.is_none() && state.keeps_to_open_connections.load(Ordering::SeqCst) {
            return;
        }
        let sent = Instant::now();
        state.sent.fetch_add(1, Ordering::SeqCst);
        state.in_flight.fetch_add(1, Ordering::SeqCst);
        let in_flight = InFlight(&state);
        let outcome = one(&mut open, plan.addr, &*workload, number).await;
        drop(in_flight);
        match outcome {
            Ok(closes) => {
                lock(&state.latencies).push(due.elapsed());
                if closes {
                    state.told_to_close.fetch_add(1, Ordering::SeqCst);
                    open = None;
                }
            }
            Err((kind, keeps)) => {
                lock(&state.failures).push(Failure { kind, at: Instant::now(), sent });
                if !keeps {
                    open = None;
                }
            }
        }
    }
}

/// Whether the other side has closed a connection on which no answer is due.
fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    match stream.try_read(&mut byte) {
        Ok(_) => true,
        Err(e) => e.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// One request: whether the answer closes the connection, or the failure and whether the connection can still be used.
async fn one(
    open: &mut Option<Open>,
    addr: SocketAddr,
    workload: &dyn Workload,
    number: usize,
) -> Result<bool, (FailureKind, bool)> {
    let open = match open {
        Some(open) => open,
        None => {
            let stream = connect(addr, None).await.map_err(|_| (FailureKind::Connect, false))?;
            open.insert(Open { stream, reader: Reader::default() })
        }
    };
    let shot = workload.shot(number);
    open.stream.write_all(&shot.bytes).await.map_err(|_| (FailureKind::Write, false))?;
    let mut interim = 0;
    let answer = timeout(PATIENCE, open.reader.response(&mut open.stream, shot.method, &mut interim))
        .await
        .map_err(|_| (FailureKind::Timeout, false))?
        .map_err(|broken| {
            let kind = match broken {
                Broken::Closed => "closed without an answer",
                Broken::Truncated => "truncated",
                Broken::Reset => "reset",
                Broken::Malformed => "malformed",
            };
            (FailureKind::Answer(kind), false)
        })?;
    let closes = answer.closes();
    workload.judge(&shot, &answer).map_err(|wrong| (FailureKind::Wrong(wrong), !closes))?;
    Ok(closes)
}
