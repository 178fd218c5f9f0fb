use super::markdown::{lines, markdown};
use super::*;
use crate::row::select;

fn measurement(cost: f64, busy_share: f64) -> Measurement {
    let values = BTreeMap::from([(Quantity::Cost, cost)]);
    Measurement { values, per_second: 1e6 / cost, busy_share: Some(busy_share), foreign_share: 0.0 }
}

/// A row in which the proxies cost that much in each round.
fn row(rounds: &[[f64; 4]], busy: f64) -> RowReport {
    let kinds = [Kind::Edgeward, Kind::Nginx, Kind::Haproxy, Kind::Floor];
    let small = select(&["http1-keepalive-130B".to_owned()]).expect("a row of this name")[0];
    RowReport {
        direct_per_second: Some(100_000.0),
        rounds: rounds
            .iter()
            .map(|costs| kinds.into_iter().zip(costs.map(|cost| vec![measurement(cost, busy); 2])).collect())
            .collect(),
        ..RowReport::new(&small)
    }
}

/// A report of this row.
fn report(subjects: Vec<SubjectReport>, row: RowReport) -> Report {
    let congestion_control = "cubic".to_owned();
    Report {
        rounds: 1,
        seconds: 1,
        hosts: 1,
        rate: 1,
        congestion_control,
        clients: Vec::new(),
        subjects,
        rows: vec![row],
    }
}

#[test]
fn edgeward_is_compared_with_the_cheapest_peer_round_by_round() {
    let row = row(&[[20.0, 30.0, 25.0, 15.0], [40.0, 60.0, 50.0, 30.0], [20.0, 10.0, 26.0, 15.0]], 1.0);
    assert_eq!(row.best_peer(Quantity::Cost), Some(Kind::Haproxy));
    assert_eq!(row.ratio(Kind::Haproxy, Quantity::Cost).map(|ratio| ratio.median), Some(1.25));
    assert_eq!(row.ratio(Kind::Floor, Quantity::Cost).map(|ratio| ratio.median), Some(0.75));
    assert_eq!(row.headroom(), Some(100_000.0 / (1e6 / 15.0)));
    assert!(row.objections().is_empty());
}

#[test]
fn a_row_with_faults_an_idle_proxy_or_no_quiet_round_says_so() {
    let idle = row(&[[20.0, 30.0, 25.0, 15.0]], 0.7);
    assert_eq!(idle.objections().len(), 4);
    assert!(idle.objections()[0].contains("bottleneck"));
    assert_eq!(row(&[], 1.0).objections().len(), 1);
    let faulty = RowReport { faults: vec!["nginx: 3 of 9 requests failed".to_owned()], ..row(&[[1.0; 4]], 1.0) };
    assert_eq!(faulty.objections(), faulty.faults);

    let kinds = [Kind::Edgeward, Kind::Nginx, Kind::Haproxy, Kind::Floor];
    let subjects = kinds.map(|kind| SubjectReport { kind, version: "1".to_owned(), resident_kib: 1024 }).into();
    let text = markdown(&report(subjects, faulty));
    assert!(text.contains("| HTTP/1.1 keep-alive, 130 B **(invalid)** | 1.00 [1.00 to 1.00] |"), "{text}");
    assert!(text.contains("Congestion control: cubic."), "{text}");
    assert!(text.contains("is invalid**: nginx: 3 of 9 requests failed."), "{text}");
}

#[test]
fn without_edgeward_there_is_nothing_to_compare() {
    let mut row = row(&[[20.0, 30.0, 25.0, 15.0]], 1.0);
    for round in &mut row.rounds {
        round.remove(&Kind::Edgeward);
    }
    assert_eq!(row.best_peer(Quantity::Cost), Some(Kind::Haproxy));
    assert_eq!(row.ratio(Kind::Haproxy, Quantity::Cost), None);
}

#[test]
fn a_row_has_a_line_for_each_quantity_and_each_has_its_own_best_peer() {
    let mut row = row(&[[20.0, 30.0, 25.0, 15.0]], 1.0);
    for (kind, p99) in [(Kind::Edgeward, 100.0), (Kind::Nginx, 110.0), (Kind::Haproxy, 120.0)] {
        for measurement in row.rounds[0].entry(kind).or_default() {
            measurement.values.insert(Quantity::P99, p99);
        }
    }
    assert_eq!(row.best_peer(Quantity::P99), Some(Kind::Nginx));
    let subjects = vec![SubjectReport { kind: Kind::Edgeward, version: String::new(), resident_kib: 0 }];
    let report = report(subjects, row);
    let lines = lines(&report, &report.rows[0]);
    assert_eq!(lines.len(), 2);
    assert!(lines[1].contains("… p99 of the latency in µs | 100 [100 to 100] | 1.10 (nginx;"), "{}", lines[1]);
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let subjects = vec![SubjectReport { kind: Kind::Edgeward, version: "1".to_owned(), resident_kib: 1 }];
    let report = report(subjects, row(&[[20.0, 30.0, 25.0, 15.0]], 1.0));
    let text = serde_json::to_string(&report).expect("it can be written");
    let again: Report = serde_json::from_str(&text).expect("it can be read");
    assert_eq!(markdown(&again), markdown(&report));
}
