//! A load on one proxy: what it cost, how long answers took, and what was wrong with it.

use std::time::Duration;

use anyhow::Result;

use crate::args::Args;
use crate::client::{Clients, Outcome, Time};
use crate::cpu::{Account, Spent};
use crate::process::Process;
use crate::report::{Measurement, Quantity};
use crate::row::{Load, Protocol, Request};
use crate::site::Target;
use crate::{origin, probe};

/// The load before each measurement that is not counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// The share of a constant rate that a proxy has to answer.
const KEPT: f64 = 0.98;

/// A load generator that is later than this in one of 100 cases measures itself.
const LATE: Duration = Duration::from_millis(1);

/// A load, for everyone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bench<'a> {
    /// How long, how fast and where.
    pub(crate) args: &'a Args,
    /// The load.
    pub(crate) load: Load,
}

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Run {
    /// What the clients got.
    pub(crate) outcome: Outcome,
    /// What the proxy spent.
    pub(crate) spent: Spent,
    /// Why it is worthless.
    pub(crate) fault: Option<String>,
}

impl Bench<'_> {
    /// Sees that the answer is right, and runs the load. Without a process it is on the origin itself.
    pub(crate) fn run(&self, target: &Target<'_>, proxy: Option<&Process>) -> Result<Run> {
        let bytes = probe::ask(target)?;
        let time = Time { warm_up: WARM_UP, measured: Duration::from_secs(self.args.seconds.into()) };
        let clients = Clients { cpus: &self.args.client_cpus, rate: self.args.rate };
        let mut account = proxy.map(|process| Account::new(process.family(), self.args.proxy_cpu));
        let outcome = clients.run(self.load, target, time, account.as_mut())?;
        let fault = self.fault(&target.request, &outcome, bytes);
        Ok(Run { outcome, spent: account.map(|account| account.spent()).unwrap_or_default(), fault })
    }

    /// Why what a load generator got is not what was asked for. `bytes` is the length of one right answer.
    fn fault(&self, request: &Request, outcome: &Outcome, bytes: u64) -> Option<String> {
        if outcome.failures > 0 {
            return Some(format!("{} of {} requests failed", outcome.failures, outcome.requests + outcome.failures));
        }
        if outcome.requests == 0 {
            return Some("no request was answered".to_owned());
        }
        if let Some(latency) = outcome.latency {
            if outcome.per_second() < f64::from(self.args.rate) * KEPT {
                return Some(format!("only {:.0} answers per second: --rate is too high", outcome.per_second()));
            }
            if latency.late > LATE {
                return Some(format!("the load generator was late itself, by {:?}", latency.late));
            }
        }
        // h2load counts the bodies only; the message of a call is one.
        let length = match (self.load, request.protocol) {
            (Load::H2load { .. }, Protocol::Http) => origin::body_length(request.path)? as u64,
            _ => bytes,
        };
        // Answers that were under way at the end are in the bytes and not in the requests.
        let under_way = match self.load {
            Load::Wrk { connections } => u64::from(connections),
            Load::Handshakes { threads, .. } => u64::from(threads),
            Load::H2load { connections, streams } => u64::from(connections * streams),
            Load::Echo { .. } | Load::OpenLoop { .. } => 0,
        };
        // The date, and so the length of a head, does not change; but a byte or two per answer is not a wrong answer.
        let expected = outcome.requests * length;
        let slack = expected / 100 + under_way * (length + 512);
        let counted = outcome.bytes.filter(|bytes| bytes.abs_diff(expected) > slack)?;
        Some(format!("{} answers have {counted} bytes, not {expected}: some are not the right one", outcome.requests))
    }
}

impl Run {
    /// Microseconds of processor time per request.
    pub(crate) fn cost(&self) -> f64 {
        self.spent.used / 1e3 / self.outcome.requests.max(1) as f64
    }

    /// The share of its core that the proxy used.
    pub(crate) fn busy_share(&self) -> f64 {
        self.spent.busy_share(self.outcome.took)
    }

    /// What the report has of it, of a load that keeps the proxy busy or does not.
    pub(crate) fn measurement(&self, saturates: bool) -> Measurement {
        let latencies = self.outcome.latency.map(|latency| latency.values());
        Measurement {
            values: [(Quantity::Cost, self.cost())].into_iter().chain(latencies.into_iter().flatten()).collect(),
            per_second: self.outcome.per_second(),
            busy_share: saturates.then(|| self.busy_share()),
            foreign_share: self.spent.foreign_share(),
        }
    }
}
