//! The load generators: how they are run, and what they say of what they got.

pub(crate) mod echo;
mod h2load;
pub(crate) mod handshakes;
pub(crate) mod open_loop;
mod wrk;

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::echo::Echo;
use self::handshakes::Handshakes;
use self::open_loop::{Latency, OpenLoop};
use crate::cpu::Account;
use crate::row::Load;
use crate::site::Target;

/// How much longer than it was told a load generator may take.
const GRACE: Duration = Duration::from_secs(15);

/// How often the processor time is looked at.
const WATCH: Duration = Duration::from_millis(50);

/// How long a load lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    /// At first, and not counted.
    pub(crate) warm_up: Duration,
    /// From then on.
    pub(crate) measured: Duration,
}

/// What a load generator got.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// Right answers.
    pub(crate) requests: u64,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// Requests that failed, or were answered other than 2xx.
    pub(crate) failures: u64,
    /// Bytes of the answers: of wrk all of them, of h2load those of the bodies. `None` where each answer was looked at.
    pub(crate) bytes: Option<u64>,
    /// How long answers took, of a load generator that counts from when it was to ask.
    pub(crate) latency: Option<Latency>,
}

impl Outcome {
    /// Nothing, in that time.
    pub(crate) const fn new(took: Duration) -> Self {
        Self { requests: 0, took, failures: 0, bytes: None, latency: None }
    }

    /// Right answers per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// Where the load generators run, and how fast those ask that do not go by the answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clients<'a> {
    /// Their processor cores, as `taskset -c` takes them.
    pub(crate) cpus: &'a str,
    /// Requests per second.
    pub(crate) rate: u32,
}

impl Clients<'_> {
    /// Runs a load, and keeps the account of the proxy meanwhile.
    pub(crate) fn run(
        self,
        load: Load,
        target: &Target<'_>,
        time: Time,
        account: Option<&mut Account>,
    ) -> Result<Outcome> {
        match load {
            Load::Wrk { connections } => {
                let command = |seconds| wrk::command(target, connections, self.cpus, seconds);
                run_command(command, wrk::parse, time, account)
            }
            Load::H2load { connections, streams } => {
                let command = |seconds| h2load::command(target, connections, streams, self.cpus, seconds);
                run_command(command, h2load::parse, time, account)
            }
            Load::Handshakes { threads, resumed } => {
                let load = Handshakes::new(target, threads, resumed)?;
                run_thread(|begin| load.run(time, begin), account)
            }
            Load::Echo { connections } => {
                let load = Echo::new(target, connections)?;
                run_thread(|begin| load.run(time, begin), account)
            }
            Load::OpenLoop { connections } => {
                let load = OpenLoop::new(target, connections, self.rate)?;
                run_thread(|begin| load.run(time, begin), account)
            }
        }
    }
}

/// Runs a load generator of this program: a thread, for this program runs on the cores of the clients. It says itself when the
/// warm-up is over, and ends by itself.
fn run_thread(
    load: impl FnOnce(&mut dyn FnMut()) -> Result<Outcome> + Send,
    mut account: Option<&mut Account>,
) -> Result<Outcome> {
    let (sender, events) = mpsc::channel();
    std::thread::scope(|scope| {
        // The channel closes when the load ends.
        let thread = scope.spawn(move || {
            load(&mut || {
                let _ = sender.send(());
            })
        });
        let mut is_counted = false;
        loop {
            match events.recv_timeout(WATCH) {
                Ok(()) => {
                    is_counted = true;
                    if let Some(account) = &mut account {
                        account.begin()?;
                    }
                }
                Err(RecvTimeoutError::Timeout) if is_counted => {
                    if let Some(account) = &mut account {
                        account.sample();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(account) = &mut account {
            account.end()?;
        }
        thread.join().unwrap_or_else(|_| bail!("the load generator panicked"))
    })
}

/// Runs another program, twice: to warm up, and to measure.
fn run_command(
    command: impl Fn(u64) -> Result<Command>,
    parse: fn(&str) -> Option<Outcome>,
    time: Time,
    mut account: Option<&mut Account>,
) -> Result<Outcome> {
    let run = |duration: Duration, account: Option<&mut Account>| -> Result<Outcome> {
        let output = output_of(command(duration.as_secs())?, duration, account)?;
        parse(&output.0).with_context(|| format!("cannot read what the load generator says:\n{}{}", output.0, output.1))
    };
    run(time.warm_up, None)?;
    if let Some(account) = &mut account {
        account.begin()?;
    }
    let outcome = run(time.measured, account.as_deref_mut())?;
    if let Some(account) = &mut account {
        account.end()?;
    }
    Ok(outcome)
}

/// What a command writes to standard output, and to standard error.
fn output_of(mut command: Command, duration: Duration, mut account: Option<&mut Account>) -> Result<(String, String)> {
    let child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot start the load generator")?;
    let mut child = Guard(child);
    let deadline = Instant::now() + duration + GRACE;
    while child.0.try_wait()?.is_none() {
        if let Some(account) = &mut account {
            account.sample();
        }
        ensure!(Instant::now() < deadline, "the load generator does not end");
        std::thread::sleep(WATCH);
    }
    // All of them print a few lines only, which their pipes hold until now.
    let text = |pipe: Option<&mut dyn std::io::Read>| -> Result<String> {
        let mut text = String::new();
        pipe.context("the output was not captured")?.read_to_string(&mut text)?;
        Ok(text)
    };
    let output = text(child.0.stdout.as_mut().map(|pipe| pipe as _))?;
    Ok((output, text(child.0.stderr.as_mut().map(|pipe| pipe as _))?))
}

/// Kills the load generator when measuring ends early.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
