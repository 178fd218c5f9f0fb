//! The measuring itself: rounds, order, warm-up, and what makes a number worthless.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::args::Args;
use crate::client::{self, Outcome};
use crate::cpu::{self, Core, Meter};
use crate::report::{Measurement, Report, RowReport, SubjectReport};
use crate::row::{Load, Row};
use crate::site::Site;
use crate::subject::{self, Kind, Subject};
use crate::{origin, packages, probe};

/// Seconds of load before each measurement that are not counted.
const WARM_UP: u32 = 1;

/// The share of the proxy's core that may go to others, or be stolen, in a measurement that counts.
const NOISE: f64 = 0.02;

/// Starts everything, measures all rows, ends everything.
pub(crate) fn all(args: &Args, rows: &[Row]) -> Result<Report> {
    ensure!(!args.subjects.is_empty(), "there is nothing to measure: see --subjects");
    let site = Site::new(args.hosts)?;
    let _origin = subject::start_origin(&site, args)?;
    let mut kinds = args.subjects.clone();
    kinds.sort();
    kinds.dedup();
    let subjects = kinds
        .iter()
        .map(|kind| {
            eprintln!("starting {}", kind.name());
            subject::start(*kind, &site, args)
        })
        .collect::<Result<Vec<_>>>()?;
    let measurements = u64::from(args.rounds) * 2 * rows.len() as u64 * subjects.len() as u64;
    eprintln!("at most {} minutes", (measurements * u64::from(WARM_UP + args.seconds + 1)).div_ceil(60));
    let rows = rows
        .iter()
        .map(|row| {
            // One that fails is no reason to lose the others.
            let mut report = RowReport::new(row);
            if let Err(error) = measure_row(args, &site, &subjects, row, &mut report) {
                eprintln!("{}: {error:#}", row.name);
                report.faults.push(format!("{error:#}"));
            }
            report
        })
        .collect();
    let wrk = packages::find("wrk").map_or_else(String::new, |program| packages::version(&program, "-v"));
    let h2load = packages::find("h2load").map_or_else(String::new, |program| packages::version(&program, "--version"));
    Ok(Report {
        rounds: args.rounds,
        seconds: args.seconds,
        hosts: args.hosts,
        clients: vec![wrk, h2load],
        subjects: subjects
            .iter()
            .map(|subject| SubjectReport {
                kind: subject.kind,
                version: subject.version.clone(),
                resident_kib: cpu::resident_kib(&subject.process.family()),
            })
            .collect(),
        rows,
    })
}

/// Measures one row: in each round all proxies there and back again, and the origin directly once.
fn measure_row(args: &Args, site: &Site, subjects: &[Subject], row: &Row, report: &mut RowReport) -> Result<()> {
    let subjects: Vec<&Subject> =
        subjects.iter().filter(|subject| row.has_floor || subject.kind != Kind::Floor).collect();
    for subject in &subjects {
        check(row, subject, site).with_context(|| subject.kind.name())?;
    }
    if row.has_floor {
        // Like the others: warmed up, and asked the same.
        client::run(row, site.origin, site, &args.client_cpus, WARM_UP, || {})?;
        let outcome = client::run(row, site.origin, site, &args.client_cpus, args.seconds, || {})?;
        let bytes = probe::plain(site.origin, site, row)?;
        report.faults.extend(fault(row, &outcome, bytes).map(|fault| format!("direct: {fault}")));
        report.direct_per_second = Some(outcome.requests as f64 / outcome.seconds);
    }
    for round in 1..=args.rounds {
        let mut measured: BTreeMap<Kind, Vec<Measurement>> = BTreeMap::new();
        for subject in subjects.iter().chain(subjects.iter().rev()) {
            eprintln!("{} round {round} of {}: {}", row.name, args.rounds, subject.kind.name());
            let (measurement, fault) = measure(args, site, subject, row).with_context(|| subject.kind.name())?;
            report.faults.extend(fault.map(|fault| format!("{}: {fault}", subject.kind.name())));
            measured.entry(subject.kind).or_default().push(measurement);
        }
        let is_noisy = measured.values().flatten().any(|measurement| measurement.foreign_share > NOISE);
        if is_noisy && !args.keep_noisy {
            report.noisy_rounds += 1;
        } else {
            report.rounds.push(measured);
        }
    }
    for subject in &subjects {
        if let Err(error) = check(row, subject, site) {
            report.faults.push(format!("{}, after the load: {error:#}", subject.kind.name()));
        }
    }
    Ok(())
}

fn address(row: &Row, subject: &Subject) -> Result<SocketAddr> {
    if row.tls { subject.https.context("it does not speak TLS") } else { Ok(subject.http) }
}

/// One right answer, and its length in bytes as the load generator counts it.
fn check(row: &Row, subject: &Subject, site: &Site) -> Result<u64> {
    let address = address(row, subject)?;
    let bytes = if row.tls { probe::tls(address, site, row)? } else { probe::plain(address, site, row)? };
    Ok(match row.load {
        Load::Wrk { .. } | Load::Handshakes { .. } | Load::Idle { .. } => bytes,
        Load::H2load { .. } => origin::body_length(row.path).unwrap_or_default() as u64,
    })
}

/// One measurement, and what is wrong with it.
fn measure(args: &Args, site: &Site, subject: &Subject, row: &Row) -> Result<(Measurement, Option<String>)> {
    let to = address(row, subject)?;
    let bytes = check(row, subject, site)?;
    if let Load::Idle { connections } = row.load {
        return Ok((idle(row, to, site, subject, connections)?, None));
    }
    client::run(row, to, site, &args.client_cpus, WARM_UP, || {})?;
    let mut meter = Meter::start(subject.process.family())?;
    let (before, began) = (Core::read(args.proxy_cpu)?, Instant::now());
    let outcome = client::run(row, to, site, &args.client_cpus, args.seconds, || meter.sample())?;
    let (after, took) = (Core::read(args.proxy_cpu)?, began.elapsed().as_nanos() as f64);
    let used = meter.nanoseconds();
    let foreign = (after.busy - before.busy).saturating_sub(used) + (after.steal - before.steal);
    let measurement = Measurement {
        cost: used as f64 / 1e3 / outcome.requests.max(1) as f64,
        per_second: outcome.requests as f64 / outcome.seconds,
        busy_share: used as f64 / (took - foreign as f64).max(used as f64),
        foreign_share: foreign as f64 / took,
    };
    Ok((measurement, fault(row, &outcome, bytes)))
}

/// What connections cost that wait for their next request.
fn idle(row: &Row, to: SocketAddr, site: &Site, subject: &Subject, connections: u32) -> Result<Measurement> {
    let open = |_| if row.tls { probe::open_tls(to, site, row) } else { probe::open(to, site, row) };
    let held = (0..connections).map(open).collect::<Result<Vec<_>>>()?;
    // Some put away what a request has needed a moment later.
    std::thread::sleep(Duration::from_secs(2));
    let grown = cpu::resident_kib(&subject.process.family()).saturating_sub(subject.resident_kib);
    let cost = grown as f64 / held.len() as f64;
    Ok(Measurement { cost, per_second: 0.0, busy_share: 1.0, foreign_share: 0.0 })
}

/// Why what a load generator got is not what was asked for. `bytes` is the length of one right answer.
fn fault(row: &Row, outcome: &Outcome, bytes: u64) -> Option<String> {
    if outcome.failures > 0 {
        return Some(format!("{} of {} requests failed", outcome.failures, outcome.requests + outcome.failures));
    }
    if outcome.requests == 0 {
        return Some("no request was answered".to_owned());
    }
    // Answers that were under way at the end are in the bytes and not in the requests.
    let under_way = match row.load {
        Load::Wrk { connections, .. } => u64::from(connections),
        Load::Handshakes { threads, .. } => u64::from(threads),
        Load::Idle { connections } => u64::from(connections),
        Load::H2load { connections, streams } => u64::from(connections * streams),
    };
    // The date, and so the length of a head, does not change; but a byte or two per answer is not a wrong answer.
    let expected = outcome.requests * bytes;
    let slack = expected / 100 + under_way * (bytes + 512);
    (outcome.bytes.abs_diff(expected) > slack).then(|| {
        format!("{} answers have {} bytes, not {expected}: some are not the right one", outcome.requests, outcome.bytes)
    })
}
