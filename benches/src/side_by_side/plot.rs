//! The numbers as bar charts, in SVG: a file for each row, with a panel for each quantity.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::{Quantity, Report, RowReport};
use crate::statistics::Summary;
use crate::subject::Kind;

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
/// Where bars begin: the names of the proxies stand to their left.
const BARS: f64 = 110.0;
/// How long the longest bar is: to its right stands the number.
const LONGEST: f64 = 480.0;
const LINE: f64 = 24.0;

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
    let lines: usize =
        panels.iter().map(|(quantity, bars)| bars.len() + usize::from(!quantity.label().is_empty())).sum();
    let height = MARGIN * 2.0 + LINE * (lines + 1) as f64;
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
    text(MARGIN, y, "title", "start", &row.title);
    if !row.objections().is_empty() {
        text(WIDTH - MARGIN, y, "title invalid", "end", "invalid");
    }
    let mut bars = String::new();
    y += LINE;
    for (quantity, summaries) in panels {
        if !quantity.label().is_empty() {
            text(MARGIN, y, "", "start", quantity.label());
            y += LINE;
        }
        let largest = summaries.iter().map(|(_, summary)| summary.max).fold(f64::MIN_POSITIVE, f64::max);
        let x = |value: f64| BARS + LONGEST * (value / largest).max(0.0);
        for (kind, summary) in summaries {
            text(BARS - 8.0, y, "", "end", kind.name());
            text(x(summary.max) + 8.0, y, "", "start", &crate::report::number(summary.median, summary.median));
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
    fn less_than_nothing_has_no_bar_and_a_row_without_numbers_no_chart() {
        assert!(chart(&row(&[(Kind::Edgeward, -1.0)])).is_some_and(|svg| svg.contains("width=\"0.0\"")));
        assert_eq!(chart(&RowReport::new(&crate::row::ROWS[0])), None);
    }
}
