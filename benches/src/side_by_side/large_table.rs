//! Large tables, and policies: what a request costs when there are many hosts or paths, or ten policies, beside what it costs
//! when there is one route without any.

use std::path::PathBuf;

use anyhow::Result;

use crate::args::Args;
use crate::load::{Bench, Run};
use crate::measure::Measured;
use crate::report::{Measurement, Quantity};
use crate::row::{Load, Request, SMALL};
use crate::site::{self, Origins, Site, Table};
use crate::subject::{self, Kind, Subject};

/// The requests that are sent in turn.
const REQUESTS: usize = 1 << 16;

const LOAD: Load = Load::Wrk { connections: 32 };

/// How requests are spread over a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Over hosts by Zipf's law (the n-th host gets a n-th of what the first does), and over their paths evenly.
    Zipf,
    /// All for one path.
    None,
}

/// A proxy with a single route, and the same one with the table that is asked about.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    args: &'a Args,
    kind: Kind,
    path: &'static str,
    one: Side,
    many: Side,
}

#[derive(Debug)]
struct Side {
    site: Site,
    subject: Subject,
    /// The hosts and paths of the requests.
    requests: PathBuf,
}

impl Measured for Pair<'_> {
    fn kind(&self) -> Kind {
        self.kind
    }
}

impl<'a> Pair<'a> {
    /// Starts both. Requests without a spread, and the one that is checked, are for `path`.
    pub(crate) fn new(
        args: &'a Args,
        origins: Origins,
        kind: Kind,
        table: Table,
        spread: Spread,
        path: &'static str,
    ) -> Result<Self> {
        let side = |table: Table, requests: Vec<String>| -> Result<Side> {
            let site = Site::new(table, origins)?;
            // Each is another one, so that the two lists are alike to the client and its caches.
            let numbered = requests.iter().enumerate().map(|(number, request)| format!("{request}?{number:05}\n"));
            let requests = site.write("requests.txt", &numbered.collect::<String>())?;
            let subject = subject::start(kind, &site, args, path)?;
            Ok(Side { site, subject, requests })
        };
        let single = vec![format!("{} {path}", site::host(0)); REQUESTS];
        let spread = match spread {
            Spread::Zipf => zipf(table),
            Spread::None => single.clone(),
        };
        let one = side(Table { hosts: 1, paths: 1, has_policies: false, ..table }, single)?;
        Ok(Self { args, kind, path, one, many: side(table, spread)? })
    }

    /// The load on one, the other, the other, and the one.
    pub(crate) fn measure(&self) -> Result<(Measurement, Option<String>)> {
        let bench = Bench { args: self.args, load: LOAD };
        let run = |side: &Side| -> Result<Run> {
            let mut target = side.subject.target(&side.site, Request { path: self.path, ..SMALL })?;
            target.spread = Some(side.requests.clone());
            bench.run(&target, Some(&side.subject.process))
        };
        let runs = [run(&self.one)?, run(&self.many)?, run(&self.many)?, run(&self.one)?];
        let [one, many, many_again, one_again] = runs.each_ref().map(Run::cost);
        let (one, many) = (f64::midpoint(one, one_again), f64::midpoint(many, many_again));
        let values =
            [(Quantity::Cost, many), (Quantity::CostOfOne, one), (Quantity::Extra, (many / one - 1.0) * 100.0)];
        let measurement = Measurement {
            values: values.into(),
            per_second: runs[1].outcome.per_second(),
            // The worst of the four.
            busy_share: runs.iter().map(Run::busy_share).min_by(f64::total_cmp),
            foreign_share: runs.iter().map(|run| run.spent.foreign_share()).fold(0.0, f64::max),
        };
        Ok((measurement, runs.into_iter().find_map(|run| run.fault)))
    }
}

/// Hosts and paths, drawn by Zipf's law; the same ones every time.
fn zipf(table: Table) -> Vec<String> {
    let mut sum = 0.0;
    let weights: Vec<f64> = (1..=table.hosts)
        .map(|rank| {
            sum += f64::from(rank).recip();
            sum
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(1);
    (0..REQUESTS)
        .map(|_| {
            let drawn = random.f64() * sum;
            let rank = weights.partition_point(|weight| *weight < drawn);
            // The most popular hosts are not those that were written first.
            let host = (rank as u64 * 7919 % u64::from(table.hosts)) as u32;
            format!("{} /p{:05}/130B", site::host(host), random.u32(..table.paths))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_second_host_gets_half_of_what_the_first_does() {
        let table = Table { paths: 10, ..Table::with_hosts(1000) };
        let mut hosts: BTreeMap<String, usize> = BTreeMap::new();
        for request in zipf(table) {
            *hosts.entry(request[..6].to_owned()).or_default() += 1;
        }
        let mut counts: Vec<usize> = hosts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let ratio = counts[0] as f64 / counts[1] as f64;
        assert!((1.8..2.2).contains(&ratio), "{counts:?}");
        assert!(counts.len() > 900, "{}", counts.len());
    }
}
