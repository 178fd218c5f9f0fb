//! What proxies take in memory.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::args::Args;
use crate::report::{Measurement, Quantity};
use crate::row::SMALL;
use crate::site::{Origins, Site, Table, Target};
use crate::subject::{self, Kind, Subject};
use crate::{cpu, probe};

/// Some put away what a request, or their start, has needed a moment later.
const MOMENT: Duration = Duration::from_secs(2);

/// How long it may take to open all connections. Each has a time-out, and thousands of them would take hours.
const PATIENCE: Duration = Duration::from_secs(120);

/// What connections cost that wait for their next request.
pub(crate) fn idle(target: &Target<'_>, subject: &Subject, connections: u32) -> Result<Measurement> {
    let started = Instant::now();
    let mut held = Vec::new();
    for number in 0..connections {
        ensure!(started.elapsed() < PATIENCE, "{number} connections took more than {PATIENCE:?} to open");
        held.push(probe::open(target)?);
    }
    std::thread::sleep(MOMENT);
    let grown = cpu::resident_kib(&subject.process.family()).saturating_sub(subject.resident_kib);
    Ok(Measurement::of([(Quantity::Cost, grown as f64 / held.len() as f64)]))
}

/// Starts a proxy with a single route, and one with that many: what each of the others costs.
pub(crate) fn routes(args: &Args, origins: Origins, kind: Kind, routes: u32) -> Result<Measurement> {
    let taken = |hosts| -> Result<f64> {
        let site = Site::new(Table { is_for_peers: true, ..Table::with_hosts(hosts) }, origins)?;
        let subject = subject::start(kind, &site, args, SMALL.path)?;
        std::thread::sleep(MOMENT);
        Ok(cpu::proportional_kib(&subject.process.family()) as f64)
    };
    let (one, all) = (taken(1)?, taken(routes)?);
    Ok(Measurement::of([(Quantity::Cost, (all - one) / f64::from(routes - 1)), (Quantity::Memory, all / 1024.0)]))
}
