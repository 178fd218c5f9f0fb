//! The report for people.

use std::fmt::Write;

use super::{Quantity, Report, RowReport};
use crate::subject::Kind;

/// Which proxies were measured how, a table with a line for each quantity of each row, and what is to be said of rows.
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "Processor time per request in µs where no other unit is named, median of {} rounds of 2 x {} s [lowest to highest]. \
         One worker each. A constant rate is one of {} requests per second. Congestion control: {}.\n",
        report.rounds, report.seconds, report.rate, report.congestion_control
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
                row.title,
                row.noisy_rounds,
                row.noisy_rounds as usize + row.rounds.len()
            );
        }
    }
    out
}

/// The lines of a row in the table: one for each quantity, or an empty one.
pub(super) fn lines(report: &Report, row: &RowReport) -> Vec<String> {
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
