//! The numbers: what is kept of measurements, what it comes to, and when it is worth nothing.

pub(crate) mod markdown;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::row::Row;
use crate::statistics::Summary;
use crate::subject::Kind;

/// A proxy whose core had more idle time than this was held up by the load generator or the origin.
const BUSY: f64 = 0.9;

/// What is measured; less is better for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Quantity {
    /// Processor time per request in microseconds, or what else the title of the row names.
    Cost,
    /// Microseconds that half of the answers took at most.
    P50,
    /// Microseconds that 99 of 100 answers took at most.
    P99,
    /// Microseconds that 999 of 1000 answers took at most.
    P999,
    /// Microseconds that the load generator itself was late at most in 99 of 100 cases; part of the latencies.
    Late,
    /// What `P99` was in the same run without changes.
    QuietP99,
    /// `P99` over `QuietP99`.
    Inflation,
    /// What changes take in processor time, in per cent of a core.
    Added,
    /// What `Cost` is when there is one route.
    CostOfOne,
    /// By how much `Cost` is above `CostOfOne`, in per cent.
    Extra,
    /// Seconds from the start to readiness.
    Ready,
    /// Seconds from the start to the last route.
    LastRoute,
    /// Resident memory in MiB; what processes share counts once.
    Memory,
}

impl Quantity {
    /// Whether it says something of a proxy without its other numbers, so that proxies are compared by it.
    const fn is_comparable(self) -> bool {
        !matches!(self, Self::Late | Self::QuietP99 | Self::Inflation | Self::Added | Self::Extra)
    }

    /// What the report calls it behind the title of a row; empty where the title says it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Cost => "",
            Self::P50 => "p50 of the latency in µs",
            Self::P99 => "p99 of the latency in µs",
            Self::P999 => "p99.9 of the latency in µs",
            Self::Late => "p99 of how late the load generator was itself in µs",
            Self::QuietP99 => "p99 without changes in µs",
            Self::Inflation => "p99 over p99 without changes",
            Self::Added => "% of a core that the changes take",
            Self::CostOfOne => "with one route",
            Self::Extra => "% above the cost with one route",
            Self::Ready => "seconds to ready",
            Self::LastRoute => "seconds to the last route over TLS",
            Self::Memory => "MiB of memory",
        }
    }
}

/// One measurement of one proxy.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// What was measured.
    pub(crate) values: BTreeMap<Quantity, f64>,
    /// Requests per second; 0 where nothing is counted.
    pub(crate) per_second: f64,
    /// The share of its core that the proxy used, of what others left of it; `None` where it is not meant to use all of it.
    pub(crate) busy_share: Option<f64>,
    /// The share of its core that went to others or was stolen by the hypervisor.
    pub(crate) foreign_share: f64,
}

impl Measurement {
    /// One without a load.
    pub(crate) fn of<const N: usize>(values: [(Quantity, f64); N]) -> Self {
        Self { values: values.into(), ..Self::default() }
    }
}

/// A proxy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SubjectReport {
    /// Which one.
    pub(crate) kind: Kind,
    /// What it says of itself.
    pub(crate) version: String,
    /// Its resident memory after all rows.
    pub(crate) resident_kib: u64,
}

/// A row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RowReport {
    /// Its name.
    pub(crate) name: String,
    /// What it measures.
    pub(crate) title: String,
    /// The unit of [`Quantity::Cost`].
    pub(crate) unit: String,
    /// Requests per second of the origin without a proxy.
    pub(crate) direct_per_second: Option<f64>,
    /// Those that cannot do it.
    pub(crate) left_out: Vec<Kind>,
    /// Why the row is worthless.
    pub(crate) faults: Vec<String>,
    /// Rounds that were dropped because something else ran on the proxy's core.
    pub(crate) noisy_rounds: u32,
    /// The rounds that count.
    pub(crate) rounds: Vec<BTreeMap<Kind, Vec<Measurement>>>,
}

/// Everything.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Rounds per row.
    pub(crate) rounds: u32,
    /// Seconds per measurement.
    pub(crate) seconds: u32,
    /// Hosts that Edgeward routes.
    pub(crate) hosts: u32,
    /// Requests per second of the rows with a constant rate.
    pub(crate) rate: u32,
    /// The congestion control of all connections; empty in files that were written before it was kept.
    #[serde(default)]
    pub(crate) congestion_control: String,
    /// The load generators.
    pub(crate) clients: Vec<String>,
    /// The proxies.
    pub(crate) subjects: Vec<SubjectReport>,
    /// The rows.
    pub(crate) rows: Vec<RowReport>,
}

impl RowReport {
    /// A row without a number yet.
    pub(crate) fn new(row: &Row) -> Self {
        Self {
            name: row.name.to_owned(),
            title: row.title.to_owned(),
            unit: row.test.unit().to_owned(),
            direct_per_second: None,
            left_out: Vec::new(),
            faults: Vec::new(),
            noisy_rounds: 0,
            rounds: Vec::new(),
        }
    }

    /// A quantity of one proxy, round by round: the mean of the way there and the way back.
    fn series(&self, kind: Kind, number: impl Fn(&Measurement) -> Option<f64>) -> Vec<f64> {
        let mean = |both: &Vec<Measurement>| {
            let numbers: Vec<f64> = both.iter().filter_map(&number).collect();
            (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
        };
        self.rounds.iter().filter_map(|round| mean(round.get(&kind)?)).collect()
    }

    /// All that was measured.
    pub(crate) fn quantities(&self) -> BTreeSet<Quantity> {
        let measurements = self.rounds.iter().flat_map(BTreeMap::values).flatten();
        measurements.flat_map(|measurement| measurement.values.keys().copied()).collect()
    }

    /// A quantity of one proxy.
    fn value(&self, kind: Kind, quantity: Quantity) -> Option<Summary> {
        Summary::of(&self.series(kind, |measurement| measurement.values.get(&quantity).copied()))
    }

    /// A quantity of all proxies that have it.
    pub(crate) fn summaries(&self, quantity: Quantity) -> Vec<(Kind, Summary)> {
        let kinds: BTreeSet<Kind> = self.rounds.iter().flat_map(BTreeMap::keys).copied().collect();
        kinds.into_iter().filter_map(|kind| Some((kind, self.value(kind, quantity)?))).collect()
    }

    /// How many times what Edgeward takes another one does, round by round.
    fn ratio(&self, other: Kind, quantity: Quantity) -> Option<Summary> {
        let series = |kind| self.series(kind, |measurement| measurement.values.get(&quantity).copied());
        let (ours, theirs) = (series(Kind::Edgeward), series(other));
        if ours.len() != theirs.len() || !quantity.is_comparable() {
            return None;
        }
        Summary::of(&theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect::<Vec<_>>())
    }

    /// The peer that takes the least.
    fn best_peer(&self, quantity: Quantity) -> Option<Kind> {
        let peers = self.rounds.first()?.keys().copied().filter(|kind| kind.is_peer());
        let value = |kind: &Kind| self.value(*kind, quantity).map_or(f64::INFINITY, |summary| summary.median);
        peers.min_by(|a, b| value(a).total_cmp(&value(b)))
    }

    /// Why nobody should believe this row; empty for a good one.
    pub(crate) fn objections(&self) -> Vec<String> {
        let mut objections = self.faults.clone();
        let Some(first) = self.rounds.first() else {
            objections.push("every round was disturbed by something else on the proxy's core".to_owned());
            return objections;
        };
        for kind in first.keys().copied() {
            let busy = Summary::of(&self.series(kind, |measurement| measurement.busy_share));
            if let Some(busy) = busy.filter(|busy| busy.median < BUSY) {
                let share = busy.median * 100.0;
                objections.push(format!(
                    "the client was the bottleneck: {} had only {share:.0} % of a core to do",
                    kind.name()
                ));
            }
        }
        objections
    }

    /// How many times as fast the origin is without a proxy, beside the fastest one.
    fn headroom(&self) -> Option<f64> {
        let kinds = self.rounds.first()?.keys();
        let rates =
            kinds.filter_map(|kind| Summary::of(&self.series(*kind, |measurement| Some(measurement.per_second))));
        Some(self.direct_per_second? / rates.map(|rate| rate.median).fold(f64::MIN_POSITIVE, f64::max))
    }
}

#[cfg(test)]
mod tests;
