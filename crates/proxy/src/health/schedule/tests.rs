#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_routing::backend::{Backend, Backends, HealthCheck, Probe};

use super::super::probe::ProbeError;
use super::super::tests::{backend, check, with_endpoints};
use super::{Schedule, Turn};

const INTERVAL: Duration = Duration::from_secs(10);

fn every_ten_seconds() -> HealthCheck {
    HealthCheck { interval: INTERVAL, ..check(Probe::Tcp) }
}

fn addresses(count: u32) -> Vec<SocketAddr> {
    (0..count).map(|number| SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), 80))).collect()
}

fn failure() -> Result<(), ProbeError> {
    Err(ProbeError::Refused("connection refused".into()))
}

fn follow(schedule: &mut Schedule, backends: &[&Arc<Backend>], now: Instant) {
    schedule.follow(&Backends::new(backends.iter().map(|backend| Arc::clone(backend)).collect()), now);
}

/// The next turn, taken when it is due.
fn next_turn(schedule: &mut Schedule) -> Turn {
    let due = schedule.next_due().unwrap();
    schedule.take_due(due).unwrap()
}

fn probe(schedule: &mut Schedule, result: Result<(), ProbeError>) {
    let turn = next_turn(schedule);
    schedule.finish(&turn, result, turn.started);
}

#[test]
fn thresholds_count_results_in_a_row() {
    let web = backend("web", Some(every_ten_seconds()), &addresses(1));
    let state = &web.endpoints[0].state;
    let mut schedule = Schedule::default();
    follow(&mut schedule, &[&web], Instant::now());
    // Three failures in a row take it out, two successes in a row take it in; `f` and `s` are results.
    for (result, is_healthy) in [
        ('s', true),
        ('f', true),
        ('f', true),
        ('s', true),
        ('f', true),
        ('f', true),
        ('f', false),
        ('f', false),
        ('s', false),
        ('f', false),
        ('s', false),
        ('s', true),
        ('f', true),
        ('f', true),
        ('f', false),
    ] {
        probe(&mut schedule, if result == 's' { Ok(()) } else { failure() });
        assert_eq!(state.is_healthy(), is_healthy);
    }
}

#[test]
fn first_probes_spread_over_the_interval() {
    let web = backend("web", Some(every_ten_seconds()), &addresses(10_000));
    let mut schedule = Schedule::default();
    let start = Instant::now();
    follow(&mut schedule, &[&web], start);
    let mut in_second = [0_u32; 10];
    for _ in 0..10_000 {
        let due = next_turn(&mut schedule).due;
        in_second[usize::try_from((due - start).as_secs()).unwrap()] += 1;
    }
    assert!(in_second.iter().all(|count| (800..1_200).contains(count)), "{in_second:?}");
    assert!(schedule.next_due().is_none(), "an endpoint has no turn while it is probed");
}

#[test]
fn the_interval_is_jittered_by_a_tenth() {
    let web = backend("web", Some(every_ten_seconds()), &addresses(1));
    let mut schedule = Schedule::default();
    follow(&mut schedule, &[&web], Instant::now());
    let mut gaps = Vec::new();
    let mut last = next_turn(&mut schedule);
    for _ in 0..500 {
        schedule.finish(&last, Ok(()), last.started + Duration::from_millis(300));
        let next = next_turn(&mut schedule);
        gaps.push((next.due - last.started).as_secs_f64());
        last = next;
    }
    let (lowest, highest) = gaps.iter().fold((f64::MAX, f64::MIN), |(low, high), gap| (low.min(*gap), high.max(*gap)));
    assert!((9.0..9.3).contains(&lowest), "{lowest}");
    assert!((10.7..=11.0).contains(&highest), "{highest}");
}

#[test]
fn a_slow_probe_is_followed_by_the_next_at_once_and_never_by_two() {
    let web = backend("web", Some(every_ten_seconds()), &addresses(1));
    let mut schedule = Schedule::default();
    follow(&mut schedule, &[&web], Instant::now());
    let turn = next_turn(&mut schedule);
    let end = turn.started + 5 * INTERVAL;
    schedule.finish(&turn, Ok(()), end);
    assert_eq!(schedule.next_due(), Some(end));
    assert!(schedule.take_due(end).is_some());
    assert!(schedule.take_due(end + INTERVAL).is_none());
}

#[test]
fn intervals_out_of_any_sense_neither_spin_nor_overflow() {
    for (interval, lowest) in [(Duration::ZERO, Duration::from_millis(9)), (Duration::MAX, Duration::from_secs(77_000))]
    {
        let web = backend("web", Some(HealthCheck { interval, ..check(Probe::Tcp) }), &addresses(1));
        let mut schedule = Schedule::default();
        follow(&mut schedule, &[&web], Instant::now());
        let turn = next_turn(&mut schedule);
        schedule.finish(&turn, Ok(()), turn.started);
        assert!(schedule.next_due().unwrap() - turn.started >= lowest);
    }
}

#[test]
fn only_backends_with_a_check_are_probed() {
    let (checked, unchecked) =
        (backend("a", Some(every_ten_seconds()), &addresses(2)), backend("b", None, &addresses(2)));
    let mut schedule = Schedule::default();
    follow(&mut schedule, &[&checked, &unchecked], Instant::now());
    for _ in 0..2 {
        assert_eq!(&*next_turn(&mut schedule).backend, "default-a-80");
    }
    assert!(schedule.next_due().is_none());
}

#[test]
fn a_snapshot_without_a_change_moves_no_turn() {
    let web = backend("web", Some(every_ten_seconds()), &addresses(50));
    let mut schedule = Schedule::default();
    let start = Instant::now();
    follow(&mut schedule, &[&web], start);
    let due = schedule.next_due();
    let again = with_endpoints("web", web.health_check.clone(), web.endpoints.clone());
    follow(&mut schedule, &[&again], start + INTERVAL);
    assert_eq!(schedule.next_due(), due);
    for _ in 0..50 {
        next_turn(&mut schedule);
    }
    assert!(schedule.next_due().is_none());
}

#[test]
fn an_endpoint_that_goes_and_comes_back_starts_healthy_and_forgets_the_probe_under_way() {
    let check = HealthCheck { unhealthy_threshold: 1, ..every_ten_seconds() };
    let web = backend("web", Some(check.clone()), &addresses(1));
    let mut schedule = Schedule::default();
    follow(&mut schedule, &[&web], Instant::now());
    let under_way = next_turn(&mut schedule);

    let new = backend("web", Some(check), &addresses(1));
    follow(&mut schedule, &[&new], Instant::now());
    schedule.finish(&under_way, failure(), Instant::now());
    assert!(new.endpoints[0].state.is_healthy());
    assert!(web.endpoints[0].state.is_healthy());

    probe(&mut schedule, failure());
    assert!(!new.endpoints[0].state.is_healthy());
    follow(&mut schedule, &[], Instant::now());
    assert!(new.endpoints[0].state.is_healthy());
    assert!(schedule.next_due().is_none());
}

#[test]
fn a_changed_question_forgets_the_verdict_and_changed_times_keep_it() {
    let first = HealthCheck { unhealthy_threshold: 1, ..every_ten_seconds() };
    let slower = HealthCheck { interval: 2 * INTERVAL, ..first.clone() };
    let elsewhere = HealthCheck { port: Some(9_000), ..slower.clone() };
    let web = backend("web", Some(first), &addresses(1));
    let state = &web.endpoints[0].state;
    let mut schedule = Schedule::default();
    follow(&mut schedule, &[&web], Instant::now());
    probe(&mut schedule, failure());
    assert!(!state.is_healthy());

    follow(&mut schedule, &[&with_endpoints("web", Some(slower), web.endpoints.clone())], Instant::now());
    assert!(!state.is_healthy());
    let under_way = next_turn(&mut schedule);
    assert_eq!(under_way.check.interval, 2 * INTERVAL);

    follow(&mut schedule, &[&with_endpoints("web", Some(elsewhere), web.endpoints.clone())], Instant::now());
    assert!(state.is_healthy());
    schedule.finish(&under_way, failure(), Instant::now());
    assert!(state.is_healthy(), "an answer to the old question says nothing");
    let turn = next_turn(&mut schedule);
    assert_eq!((turn.endpoint.port(), turn.address.port()), (80, 9_000));
    assert!(schedule.next_due().is_none());
}
