//! The numbers, as JSON and as a Markdown table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

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
    /// What the report calls it behind the title of a row; empty where the title says it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Cost => "",
            Self::P50 => "p50 of the latency in µs",
            Self::P99 => "p99 of the latency in µs",
            Self::P999 => "p99.9 of the latency in µs",
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
        if ours.len() != theirs.len() {
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

/// The report for people.
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "Processor time per request in µs where no other unit is named, median of {} rounds of 2 x {} s [lowest to highest]. One worker each. A \
         constant rate is one of {} requests per second.\n",
        report.rounds, report.seconds, report.rate
    );
    for subject in &report.subjects {
        let mib = subject.resident_kib as f64 / 1024.0;
        let version = if subject.version.is_empty() { "part of this program" } else { &subject.version };
        let hosts = if subject.kind == Kind::Edgeward { format!(", {} hosts", report.hosts) } else { String::new() };
        let _ = writeln!(out, "- {}: {version}{hosts}; {mib:.0} MiB resident after the last row", subject.kind.name());
    }
    let _ = writeln!(out, "- load: {}\n", report.clients.join("; "));
    let names: Vec<&str> = report.subjects.iter().map(|subject| subject.kind.name()).collect();
    let _ = writeln!(out, "| row | {} | best peer / Edgeward | floor / Edgeward | direct |", names.join(" | "));
    let _ = writeln!(out, "|---|{}---|---|---|", "---|".repeat(names.len()));
    for row in &report.rows {
        for line in lines(report, row) {
            let _ = writeln!(out, "{line}");
        }
    }
    let _ = writeln!(
        out,
        "\nA ratio above 1 means that Edgeward takes less. The floor forwards bytes and parses nothing. `direct` is the rate \
         of the origin without a proxy."
    );
    for row in &report.rows {
        let objections = row.objections();
        if !objections.is_empty() {
            let _ = writeln!(out, "\n**{} is invalid**: {}.", row.title, objections.join("; "));
        }
        if !row.left_out.is_empty() {
            let names: Vec<&str> = row.left_out.iter().map(|kind| kind.name()).collect();
            let _ = writeln!(out, "\n{}: {} cannot do it.", row.title, names.join(", "));
        }
        if row.noisy_rounds > 0 {
            let _ = writeln!(
                out,
                "\n{}: {} of {} rounds were dropped as noisy.",
                row.title, row.noisy_rounds, report.rounds
            );
        }
    }
    out
}

/// The lines of a row in the table: one for each quantity, or an empty one.
fn lines(report: &Report, row: &RowReport) -> Vec<String> {
    let invalid = if row.objections().is_empty() { "" } else { " **(invalid)**" };
    let line = |quantity: Quantity, is_first: bool| {
        let label = quantity.label();
        let title = match (is_first, label) {
            (true, "") => row.title.clone(),
            (true, _) => format!("{}: {label}", row.title),
            // The row goes on.
            (false, _) => format!("… {label}"),
        };
        let cells: Vec<String> = report.subjects.iter().map(|subject| cell(row, subject.kind, quantity)).collect();
        let peer = row.best_peer(quantity).and_then(|peer| Some((peer, row.ratio(peer, quantity)?)));
        let peer = peer.map_or("-".to_owned(), |(peer, ratio)| {
            let (low, high) = ratio.interval;
            format!("{:.2} ({}; 95 %: {low:.2} to {high:.2})", ratio.median, peer.name())
        });
        let floor = row.ratio(Kind::Floor, quantity).map_or("-".to_owned(), |ratio| format!("{:.2}", ratio.median));
        let direct = row.headroom().filter(|_| is_first);
        let direct = direct.map_or("-".to_owned(), |times| format!("{times:.2} x the fastest"));
        format!("| {title}{invalid} | {} | {peer} | {floor} | {direct} |", cells.join(" | "))
    };
    let quantities = row.quantities();
    if quantities.is_empty() {
        return vec![line(Quantity::Cost, true)];
    }
    quantities.iter().enumerate().map(|(index, quantity)| line(*quantity, index == 0)).collect()
}

fn cell(row: &RowReport, kind: Kind, quantity: Quantity) -> String {
    row.value(kind, quantity).map_or("-".to_owned(), |value| {
        let [median, min, max] = [value.median, value.min, value.max].map(|bound| number(bound, value.median));
        format!("{median} [{min} to {max}]")
    })
}

/// A number for people, with as many digits as one of the size of `like` is good for.
pub(crate) fn number(number: f64, like: f64) -> String {
    let digits = match like.abs() {
        ..3.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests;
