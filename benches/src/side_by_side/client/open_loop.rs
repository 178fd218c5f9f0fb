//! A load generator that asks at a constant rate, whether answers come or not.
//!
//! One that waits for an answer before it asks again asks less of a proxy that is slow, and does not see the requests that
//! would have had to wait (coordinated omission). Here each request has its time, and how long its answer took is counted from
//! then, even when there was no connection free to ask on.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::{Outcome, Time};
use crate::report::Quantity;
use crate::site::Target;
use crate::{answer, origin, probe};

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(5);

const TIMER: Token = Token(usize::MAX);

/// Nanoseconds that are told apart up to a minute, to a thousandth of themselves.
const LONGEST: u64 = 60_000_000_000;

/// How long answers took, from when they were to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latency {
    /// Half of them took no longer.
    pub(crate) p50: Duration,
    /// 99 of 100 took no longer.
    pub(crate) p99: Duration,
    /// 999 of 1000 took no longer.
    pub(crate) p999: Duration,
    /// How late the load generator itself was in 99 of 100 cases; this is part of the others.
    pub(crate) late: Duration,
}

impl Latency {
    /// What the report has of it, in microseconds.
    pub(crate) fn values(self) -> [(Quantity, f64); 4] {
        [(Quantity::P50, self.p50), (Quantity::P99, self.p99), (Quantity::P999, self.p999), (Quantity::Late, self.late)]
            .map(|(quantity, duration)| (quantity, duration.as_secs_f64() * 1e6))
    }
}

/// When requests are to be sent: evenly, however late those before were sent.
#[derive(Debug)]
struct Schedule {
    rate: u32,
    next: u64,
    /// No request is to be sent from then on.
    end: Duration,
}

impl Schedule {
    const fn new(rate: u32, end: Duration) -> Self {
        Self { rate, next: 0, end }
    }

    /// The time, since the beginning, at which the next request is to be sent, if that is not after `now`.
    fn due(&mut self, now: Duration) -> Option<Duration> {
        let nanoseconds = u128::from(self.next) * 1_000_000_000 / u128::from(self.rate);
        let at = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        (at <= now && at < self.end).then(|| {
            self.next += 1;
            at
        })
    }
}

/// What there is to do.
#[derive(Debug)]
pub(crate) struct OpenLoop {
    to: SocketAddr,
    request: Vec<u8>,
    body: usize,
    connections: usize,
    rate: u32,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// When the request under way was to be sent.
    asked: Option<Duration>,
}

/// A run, as far as it is.
struct Run<'l> {
    load: &'l OpenLoop,
    poll: Poll,
    connections: Vec<Connection>,
    /// Those without a request; the one that has waited longest is next.
    idle: VecDeque<usize>,
    /// The times of requests that no connection was free for.
    waiting: VecDeque<Duration>,
    began: Instant,
    /// What is to be sent earlier is not counted.
    counted_from: Duration,
    latencies: Histogram<u64>,
    lateness: Histogram<u64>,
    failures: u64,
    last_answer: Duration,
}

impl OpenLoop {
    pub(crate) fn new(target: &Target<'_>, connections: usize, rate: u32) -> Result<Self> {
        ensure!(
            !target.request.tls && target.request.upload == 0,
            "constant rates are for requests without TLS and body"
        );
        Ok(Self {
            to: target.address,
            request: probe::head(&target.host, &target.request),
            body: origin::body_length(target.request.path).context("the origin has no such path")?,
            connections,
            rate,
        })
    }

    /// Asks at the rate for as long as it is told, and looks at every answer. A connection that is closed, or gives a wrong
    /// answer, is a failure and replaced.
    pub(crate) fn run(&self, time: Time, begin: impl FnOnce()) -> Result<Outcome> {
        let end = time.warm_up + time.measured;
        let poll = Poll::new()?;
        let timer = timer(self.rate)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let connections = (0..self.connections).map(|id| self.connect(&poll, id)).collect::<Result<_>>()?;
        let mut run = Run {
            load: self,
            poll,
            connections,
            idle: (0..self.connections).collect(),
            waiting: VecDeque::new(),
            began: Instant::now(),
            counted_from: time.warm_up,
            latencies: Histogram::new_with_bounds(1, LONGEST, 3)?,
            lateness: Histogram::new_with_bounds(1, LONGEST, 3)?,
            failures: 0,
            last_answer: end,
        };
        run.ask_until(end, &timer, begin)?;
        Ok(run.outcome(time))
    }

    fn connect(&self, poll: &Poll, id: usize) -> Result<Connection> {
        let stream = std::net::TcpStream::connect_timeout(&self.to, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(id), Interest::READABLE)?;
        Ok(Connection { stream, input: Vec::new(), asked: None })
    }
}

impl Run<'_> {
    fn ask_until(&mut self, end: Duration, timer: &OwnedFd, begin: impl FnOnce()) -> Result<()> {
        let mut schedule = Schedule::new(self.load.rate, end);
        let mut begin = Some(begin);
        let mut events = Events::with_capacity(256);
        loop {
            let now = self.began.elapsed();
            if now >= self.counted_from
                && let Some(begin) = begin.take()
            {
                begin();
            }
            while let Some(at) = schedule.due(now) {
                if at >= self.counted_from {
                    self.lateness.saturating_record(nanoseconds(now - at));
                }
                self.waiting.push_back(at);
            }
            while let (Some(id), Some(at)) = (self.idle.front().copied(), self.waiting.front().copied()) {
                self.idle.pop_front();
                self.waiting.pop_front();
                self.ask(id, at)?;
            }
            let is_done = self.waiting.is_empty() && self.idle.len() == self.connections.len();
            if now >= end && (is_done || now >= end + PATIENCE) {
                return Ok(());
            }
            if let Err(error) = self.poll.poll(&mut events, Some(PATIENCE))
                && error.kind() != ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            for event in &events {
                match event.token() {
                    TIMER => drop(rustix::io::read(timer, &mut [0; 8])),
                    Token(id) => self.receive(id)?,
                }
            }
        }
    }

    fn ask(&mut self, id: usize, at: Duration) -> Result<()> {
        let connection = &mut self.connections[id];
        connection.asked = Some(at);
        // A request that does not fit into the buffer of an idle connection is none of those that are sent here.
        match connection.stream.write(&self.load.request) {
            Ok(count) if count == self.load.request.len() => Ok(()),
            _ => self.fail(id),
        }
    }

    fn receive(&mut self, id: usize) -> Result<()> {
        let connection = &mut self.connections[id];
        let mut buffer = [0; 16 << 10];
        loop {
            match connection.stream.read(&mut buffer) {
                Ok(count) if count > 0 => connection.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                _ => return self.fail(id),
            }
            match (answer::check(&connection.input, self.load.body), connection.asked) {
                (Ok(Some(_)), Some(asked)) => {
                    connection.asked = None;
                    connection.input.clear();
                    self.idle.push_back(id);
                    let now = self.began.elapsed();
                    if asked >= self.counted_from {
                        self.latencies.saturating_record(nanoseconds(now - asked));
                        self.last_answer = self.last_answer.max(now);
                    }
                    return Ok(());
                }
                (Ok(None), Some(_)) => {}
                (Err(_), Some(_)) => return self.fail(id),
                // Nobody has asked for it.
                (_, None) => {
                    self.failures += 1;
                    return self.fail(id);
                }
            }
        }
    }

    /// Counts what was under way on a connection, and replaces that. A proxy may close one that waits.
    fn fail(&mut self, id: usize) -> Result<()> {
        if let Some(asked) = self.connections[id].asked {
            self.failures += u64::from(asked >= self.counted_from);
            self.idle.push_back(id);
        }
        self.connections[id] = self.load.connect(&self.poll, id)?;
        Ok(())
    }

    fn outcome(self, time: Time) -> Outcome {
        let at = |histogram: &Histogram<u64>, quantile| Duration::from_nanos(histogram.value_at_quantile(quantile));
        let is_counted = |asked: &&Duration| **asked >= self.counted_from;
        let under_way = self.connections.iter().filter_map(|connection| connection.asked.as_ref()).filter(is_counted);
        let unanswered = under_way.count() + self.waiting.iter().filter(is_counted).count();
        Outcome {
            requests: self.latencies.len(),
            failures: self.failures + unanswered as u64,
            latency: Some(Latency {
                p50: at(&self.latencies, 0.5),
                p99: at(&self.latencies, 0.99),
                p999: at(&self.latencies, 0.999),
                late: at(&self.lateness, 0.99),
            }),
            ..Outcome::new(self.last_answer.saturating_sub(time.warm_up))
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A clock that ticks at the rate: epoll itself only counts milliseconds.
fn timer(rate: u32) -> Result<OwnedFd> {
    let timer =
        rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC.union(TimerfdFlags::NONBLOCK))?;
    let interval = Duration::from_secs(1) / rate;
    let interval = Timespec { tv_sec: interval.as_secs().try_into()?, tv_nsec: interval.subsec_nanos().into() };
    let times = Itimerspec { it_interval: interval, it_value: interval };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
    Ok(timer)
}

#[cfg(test)]
mod tests;
