//! The measuring itself: rounds, their order, and which of them count.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::args::Args;
use crate::churn::Churn;
use crate::large_table::Pair;
use crate::load::Bench;
use crate::report::{Measurement, Report, RowReport, SubjectReport};
use crate::row::{Group, Request, Row, SMALL, Test};
use crate::site::{self, Origins, Site, Table};
use crate::subject::{self, Kind, Subject};
use crate::{cold_start, cpu, memory, network, packages, probe};

/// The share of the proxy's core that may go to others, or be stolen, in a measurement that counts.
const NOISE: f64 = 0.02;

/// Starts everything, measures all rows, ends everything.
pub(crate) fn all(args: &Args, rows: &[Row]) -> Result<Report> {
    ensure!(!args.subjects.is_empty(), "there is nothing to measure: see --subjects");
    let origins = Origins { http: site::free_address()?, grpc: site::free_address()? };
    let site = Site::new(Table::with_hosts(args.hosts), origins)?;
    let _origins = [subject::start_origin(&site, args, origins.http)?, subject::start_grpc_origin(&site, args)?];
    let mut kinds = args.subjects.clone();
    kinds.sort();
    kinds.dedup();
    let subjects = kinds
        .iter()
        .map(|kind| {
            eprintln!("starting {}", kind.name());
            subject::start(*kind, &site, args, SMALL.path)
        })
        .collect::<Result<Vec<_>>>()?;
    let seconds = rows.iter().map(|Row { test, .. }| {
        let measurements = u64::from(test.rounds(args.rounds)) * 2 * test.kinds(&kinds).len() as u64;
        measurements * test.seconds(args.seconds.into())
    });
    eprintln!("about {} minutes", seconds.sum::<u64>().div_ceil(60));
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
        rate: args.rate,
        congestion_control: network::congestion_control(args),
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

/// Measures one row.
fn measure_row(args: &Args, site: &Site, subjects: &[Subject], row: &Row, report: &mut RowReport) -> Result<()> {
    let kinds = row.test.kinds(&subjects.iter().map(|subject| subject.kind).collect::<Vec<_>>());
    let rounds = Rounds { args, row, count: row.test.rounds(args.rounds) };
    let running: Vec<&Subject> = subjects.iter().filter(|subject| kinds.contains(&subject.kind)).collect();
    match row.test {
        Test::Load { load, request, has_floor } => {
            let bench = Bench { args, load };
            let able = able(&running, site, request, report)?;
            if has_floor {
                let run = bench.run(&site.target(site.origins.http, request), None)?;
                report.faults.extend(run.fault.map(|fault| format!("direct: {fault}")));
                report.direct_per_second = load.saturates().then(|| run.outcome.per_second());
            }
            rounds.measure(&able, report, |subject| {
                let run = bench.run(&subject.target(site, request)?, Some(&subject.process))?;
                Ok((run.measurement(load.saturates()), run.fault))
            })?;
            for subject in able {
                if let Err(error) = probe::ask(&subject.target(site, request)?) {
                    report.faults.push(format!("{}, after the load: {error:#}", subject.kind.name()));
                }
            }
            Ok(())
        }
        Test::Idle { connections, request } => rounds.measure(&running, report, |subject| {
            Ok((memory::idle(&subject.target(site, request)?, subject, connections)?, None))
        }),
        Test::Routes { routes } => {
            rounds.measure(&kinds, report, |kind| Ok((memory::routes(args, site.origins, *kind, routes)?, None)))
        }
        Test::ColdStart { hosts } => {
            let site = cold_start::site(site.origins, hosts)?;
            rounds.measure(&kinds, report, |kind| Ok((cold_start::measure(args, &site, *kind)?, None)))
        }
        Test::Churn { hosts } => {
            let start = |_: &Kind| Churn::new(args, site.origins, hosts);
            rounds.measure(&kinds.iter().map(start).collect::<Result<Vec<_>>>()?, report, Churn::measure)
        }
        Test::LargeTable { table, spread, path, .. } => {
            let start = |kind: &Kind| {
                eprintln!("{}: starting {}", row.name, kind.name());
                Pair::new(args, site.origins, *kind, table, spread, path)
            };
            rounds.measure(&kinds.iter().map(start).collect::<Result<Vec<_>>>()?, report, Pair::measure)
        }
    }
}

/// Those of which a request gets its answer. Those that refuse what not all can do are left out; every other failure is one.
fn able<'s>(
    running: &[&'s Subject],
    site: &Site,
    request: Request,
    report: &mut RowReport,
) -> Result<Vec<&'s Subject>> {
    let mut able = Vec::new();
    for subject in running {
        match probe::ask(&subject.target(site, request)?) {
            Ok(_) => able.push(*subject),
            Err(error) if request.group == Group::Hybrid && probe::is_refusal(&error) => {
                report.left_out.push(subject.kind);
            }
            Err(error) => return Err(error).context(subject.kind.name()),
        }
    }
    Ok(able)
}

/// What is measured in rounds: a proxy, or several of one kind.
pub(crate) trait Measured {
    /// Which one it is.
    fn kind(&self) -> Kind;
}

impl Measured for Kind {
    fn kind(&self) -> Kind {
        *self
    }
}

impl Measured for &Subject {
    fn kind(&self) -> Kind {
        self.kind
    }
}

/// The rounds of a row.
#[derive(Debug, Clone, Copy)]
struct Rounds<'a> {
    args: &'a Args,
    row: &'a Row,
    count: u32,
}

impl Rounds<'_> {
    /// Measures everyone there and back again, round by round.
    fn measure<M: Measured>(
        self,
        all: &[M],
        report: &mut RowReport,
        measure: impl Fn(&M) -> Result<(Measurement, Option<String>)>,
    ) -> Result<()> {
        for round in 1..=self.count {
            let mut measured: BTreeMap<Kind, Vec<Measurement>> = BTreeMap::new();
            for one in all.iter().chain(all.iter().rev()) {
                let name = one.kind().name();
                eprintln!("{} round {round} of {}: {name}", self.row.name, self.count);
                let (measurement, fault) = measure(one).with_context(|| name)?;
                report.faults.extend(fault.map(|fault| format!("{name}: {fault}")));
                measured.entry(one.kind()).or_default().push(measurement);
            }
            let is_noisy = measured.values().flatten().any(|measurement| measurement.foreign_share > NOISE);
            if is_noisy && !self.args.keep_noisy {
                report.noisy_rounds += 1;
            } else {
                report.rounds.push(measured);
            }
        }
        Ok(())
    }
}
