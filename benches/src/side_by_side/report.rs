//! The numbers, as JSON and as a Markdown table.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::row::Row;
use crate::statistics::Summary;
use crate::subject::Kind;

/// A proxy whose core had more idle time than this was held up by the load generator or the origin.
const BUSY: f64 = 0.9;

/// One measurement of one proxy.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Measurement {
    /// Processor time per request in microseconds; for rows of memory, KiB per connection.
    pub(crate) cost: f64,
    /// Requests per second.
    pub(crate) per_second: f64,
    /// The share of its core that the proxy used, of what others left of it.
    pub(crate) busy_share: f64,
    /// The share of its core that went to others or was stolen by the hypervisor.
    pub(crate) foreign_share: f64,
}

/// A proxy.
#[derive(Debug, Serialize)]
pub(crate) struct SubjectReport {
    /// Which one.
    pub(crate) kind: Kind,
    /// What it says of itself.
    pub(crate) version: String,
    /// Its resident memory after all rows.
    pub(crate) resident_kib: u64,
}

/// A row.
#[derive(Debug, Serialize)]
pub(crate) struct RowReport {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it measures.
    pub(crate) title: &'static str,
    /// Requests per second of the origin without a proxy.
    pub(crate) direct_per_second: Option<f64>,
    /// Why the row is worthless.
    pub(crate) faults: Vec<String>,
    /// Rounds that were dropped because something else ran on the proxy's core.
    pub(crate) noisy_rounds: u32,
    /// The rounds that count.
    pub(crate) rounds: Vec<BTreeMap<Kind, Vec<Measurement>>>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Rounds per row.
    pub(crate) rounds: u32,
    /// Seconds per measurement.
    pub(crate) seconds: u32,
    /// Hosts that Edgeward routes.
    pub(crate) hosts: u32,
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
            name: row.name,
            title: row.title,
            direct_per_second: None,
            faults: Vec::new(),
            noisy_rounds: 0,
            rounds: Vec::new(),
        }
    }

    /// A quantity of one proxy, round by round: the mean of the way there and the way back.
    fn series(&self, kind: Kind, quantity: impl Fn(&Measurement) -> f64) -> Vec<f64> {
        self.rounds
            .iter()
            .filter_map(|round| round.get(&kind))
            .map(|both| both.iter().map(&quantity).sum::<f64>() / both.len() as f64)
            .collect()
    }

    /// What a request, or a connection, costs one proxy.
    fn cost(&self, kind: Kind) -> Option<Summary> {
        Summary::of(&self.series(kind, |measurement| measurement.cost))
    }

    /// How many times the cost of Edgeward another one has, round by round.
    fn ratio(&self, other: Kind) -> Option<Summary> {
        let ours = self.series(Kind::Edgeward, |measurement| measurement.cost);
        let theirs = self.series(other, |measurement| measurement.cost);
        if ours.len() != theirs.len() {
            return None;
        }
        Summary::of(&theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect::<Vec<_>>())
    }

    /// The peer that takes the least.
    fn best_peer(&self) -> Option<Kind> {
        let peers = self.rounds.first()?.keys().copied().filter(|kind| kind.is_peer());
        let cost = |kind: &Kind| self.cost(*kind).map_or(f64::INFINITY, |summary| summary.median);
        peers.min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// Why nobody should believe this row; empty for a good one.
    fn objections(&self) -> Vec<String> {
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
        let rates = kinds.filter_map(|kind| Summary::of(&self.series(*kind, |measurement| measurement.per_second)));
        Some(self.direct_per_second? / rates.map(|rate| rate.median).fold(f64::MIN_POSITIVE, f64::max))
    }
}

/// The report for people.
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "Processor time per request in µs where no other unit is named, median of {} rounds of 2 x {} s [lowest to highest]. One worker each.\n",
        report.rounds, report.seconds
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
        let cells: Vec<String> = report.subjects.iter().map(|subject| cost_cell(row, subject.kind)).collect();
        let invalid = if row.objections().is_empty() { "" } else { " **(invalid)**" };
        let peer = row.best_peer().and_then(|peer| Some((peer, row.ratio(peer)?)));
        let peer = peer.map_or("-".to_owned(), |(peer, ratio)| {
            let (low, high) = ratio.interval;
            format!("{:.2} ({}; 95 %: {low:.2} to {high:.2})", ratio.median, peer.name())
        });
        let floor = row.ratio(Kind::Floor).map_or("-".to_owned(), |ratio| format!("{:.2}", ratio.median));
        let direct = row.headroom().map_or("-".to_owned(), |times| format!("{times:.2} x the fastest"));
        let _ = writeln!(out, "| {}{invalid} | {} | {peer} | {floor} | {direct} |", row.title, cells.join(" | "));
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

fn cost_cell(row: &RowReport, kind: Kind) -> String {
    row.cost(kind).map_or("-".to_owned(), |cost| {
        let digits = if cost.median < 100.0 { 1 } else { 0 };
        format!("{:.digits$} [{:.digits$} to {:.digits$}]", cost.median, cost.min, cost.max)
    })
}

#[cfg(test)]
mod tests;
