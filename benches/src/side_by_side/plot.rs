//! The numbers as bar charts, in SVG: a file for each row, with a panel for each quantity.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::{Quantity, Report, RowReport, markdown};
use crate::statistics::Summary;
use crate::subject::Kind;

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
/// Where bars begin: the names of the proxies stand to their left.
const BARS: f64 = 110.0;
/// How long the longest bar is: to its right stands the number.
const LONGEST: f64 = 480.0;
const LINE: f64 = 24.0;
/// Characters of a line of the title, beside a word that calls the row invalid.
const TITLE: usize = 80;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2937}.title{font-weight:600;font-size:15px}\
                     .invalid{fill:#b91c1c}.edgeward{fill:#c2410c}.peer{fill:#94a3b8}.floor{fill:#d6d3d1}\
                     .range{stroke:#1f2937;stroke-width:1.5}";

/// Writes the chart of every row that has numbers. Returns how many there are.
pub(crate) fn write(report: &Report, directory: &Path) -> Result<usize> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let charts = report.rows.iter().filter_map(|row| Some((&row.name, chart(row)?)));
    let mut count = 0;
    for (name, svg) in charts {
        let path = directory.join(format!("{name}.svg"));
        std::fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        count += 1;
    }
    Ok(count)
}

/// The chart of a row, if it has numbers.
fn chart(row: &RowReport) -> Option<String> {
    let panels: Vec<(Quantity, Vec<(Kind, Summary)>)> =
        row.quantities().into_iter().map(|quantity| (quantity, row.summaries(quantity))).collect();
    if panels.is_empty() {
        return None;
    }
    let title = wrapped(&row.title);
    let lines = title.len() + panels.iter().map(|(_, bars)| bars.len() + 1).sum::<usize>();
    let height = MARGIN * 2.0 + LINE * lines as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut y = MARGIN;
    let mut text = |x: f64, y: f64, class: &str, anchor: &str, text: &str| {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{:.0}\" class=\"{class}\" text-anchor=\"{anchor}\">{}</text>",
            y + LINE * 0.68,
            escaped(text)
        );
    };
    if !row.objections().is_empty() {
        text(WIDTH - MARGIN, y, "title invalid", "end", "invalid");
    }
    for line in title {
        text(MARGIN, y, "title", "start", &line);
        y += LINE;
    }
    let mut bars = String::new();
    for (quantity, summaries) in panels {
        let label = if quantity == Quantity::Cost { row.unit.as_str() } else { quantity.label() };
        text(MARGIN, y, "", "start", label);
        y += LINE;
        let largest = summaries.iter().map(|(_, summary)| summary.max).fold(f64::MIN_POSITIVE, f64::max);
        let x = |value: f64| BARS + LONGEST * (value / largest).max(0.0);
        for (kind, summary) in summaries {
            text(BARS - 8.0, y, "", "end", kind.name());
            text(x(summary.max) + 8.0, y, "", "start", &markdown::number(summary.median, summary.median));
            let _ = writeln!(
                bars,
                "<rect x=\"{BARS}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{:.0}\" class=\"{}\"/>\n\
                 <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.0}\" y2=\"{middle:.0}\" class=\"range\"/>",
                y + 3.0,
                x(summary.median) - BARS,
                LINE - 6.0,
                class(kind),
                x(summary.min),
                x(summary.max),
                middle = y + LINE / 2.0,
            );
            y += LINE;
        }
    }
    Some(svg + &bars + "</svg>\n")
}

/// A title in lines that fit.
fn wrapped(title: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in title.split(' ') {
        if let Some(line) = lines.last_mut()
            && line.len() + word.len() < TITLE
        {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Edgeward => "edgeward",
        Kind::Floor => "floor",
        _ => "peer",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Measurement;

    fn row(costs: &[(Kind, f64)]) -> RowReport {
        let measured = costs.iter().map(|(kind, cost)| (*kind, vec![Measurement::of([(Quantity::Cost, *cost)])]));
        let mut row = RowReport::new(&crate::row::ROWS[0]);
        row.title = "a < b & c".to_owned();
        row.rounds = vec![measured.collect()];
        row
    }

    #[test]
    fn the_largest_number_has_the_longest_bar_and_the_others_their_share() {
        let svg = chart(&row(&[(Kind::Edgeward, 10.0), (Kind::Nginx, 20.0)])).expect("there are numbers");
        assert!(svg.contains("width=\"240.0\" height=\"18\" class=\"edgeward\""), "{svg}");
        assert!(svg.contains("width=\"480.0\" height=\"18\" class=\"peer\""), "{svg}");
        assert!(svg.contains(">a &lt; b &amp; c</text>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }

    #[test]
    fn a_long_title_is_broken_between_words() {
        let title = ["word"; 40].join(" ");
        let lines = wrapped(&title);
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= TITLE), "{lines:?}");
        assert_eq!(lines.join(" "), title);
    }

    #[test]
    fn less_than_nothing_has_no_bar_and_a_row_without_numbers_no_chart() {
        assert!(chart(&row(&[(Kind::Edgeward, -1.0)])).is_some_and(|svg| svg.contains("width=\"0.0\"")));
        assert_eq!(chart(&RowReport::new(&crate::row::ROWS[0])), None);
    }
}
