//! Cold starts: how long it takes from nothing to the first and to the last route, and what it takes in memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::args::Args;
use crate::cpu;
use crate::probe;
use crate::report::{Measurement, Quantity};
use crate::row::{Request, SMALL};
use crate::site::{Origins, Site, Table};
use crate::subject::{self, Kind};

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Hosts that each have a certificate of their own.
pub(crate) fn site(origins: Origins, hosts: u32) -> Result<Site> {
    Site::new(Table { own_certificates: true, is_for_peers: true, ..Table::with_hosts(hosts) }, origins)
}

/// Starts a proxy, and ends it when it has answered for the last host with that host's certificate.
pub(crate) fn measure(args: &Args, site: &Site, kind: Kind) -> Result<Measurement> {
    let began = Instant::now();
    let mut subject = subject::spawn(kind, site, args)?;
    let (http, health) = (subject.http, subject.health);
    // Peers have no page that says so: they are ready when they answer.
    subject.wait(site, PAUSE, || match health {
        Some(health) => probe::is_ok(health, "/readyz"),
        None => probe::ask(&site.target(http, SMALL)).map(drop),
    })?;
    let ready = began.elapsed();
    let mut target = subject.target(site, Request { tls: true, ..SMALL })?;
    target.host = site.table.hosts().last().context("there is no host")?;
    target.certificate = site.last_certificate.clone();
    subject.wait(site, PAUSE, || probe::ask(&target).map(drop))?;
    let last = began.elapsed();
    let mib = cpu::proportional_kib(&subject.process.family()) as f64 / 1024.0;
    let values =
        [(Quantity::Ready, ready.as_secs_f64()), (Quantity::LastRoute, last.as_secs_f64()), (Quantity::Memory, mib)];
    Ok(Measurement::of(values))
}
