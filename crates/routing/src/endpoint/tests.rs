use std::time::Duration;

use super::*;

#[test]
fn a_new_endpoint_is_healthy_and_idle() {
    let state = EndpointState::default();
    assert!(state.is_healthy() && !state.is_ejected() && !state.is_probe_failing());
    assert_eq!(state.in_flight(), 0);
}

#[test]
fn a_request_is_in_flight_until_its_guard_is_dropped() {
    let state = Arc::new(EndpointState::default());
    let first = state.begin();
    let second = state.begin();
    assert_eq!(state.in_flight(), 2);
    drop(first);
    assert_eq!(state.in_flight(), 1);
    drop(second);
    assert_eq!(state.in_flight(), 0);
}

#[test]
fn a_probe_verdict_tells_whether_it_is_news() {
    let state = EndpointState::default();
    assert!(!state.set_probe_failing(false));
    assert!(state.set_probe_failing(true));
    assert!(!state.set_probe_failing(true));
    assert!(!state.is_healthy());
    assert!(state.set_probe_failing(false));
    assert!(state.is_healthy());
}

#[test]
fn an_ejection_ends_by_itself() {
    let state = EndpointState::default();
    assert_eq!(state.eject(20), 20);
    assert!(state.is_ejected() && !state.is_healthy());
    while state.is_ejected() {
        assert!(state.age_ms() < 5_000, "the ejection of 20 ms has not ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(state.is_healthy());
}

#[test]
fn each_ejection_in_a_row_is_twice_as_long_up_to_ten_times() {
    let state = EndpointState::default();
    let lengths: Vec<u64> = (0..20).map(|_| state.eject(1000)).collect();
    assert_eq!(lengths[..6], [1000, 2000, 4000, 8000, 10_000, 10_000]);
    assert_eq!(lengths[19], 10_000);
}

#[test]
fn a_success_after_the_ejection_forgives_and_one_during_it_does_not() {
    let state = EndpointState::default();
    state.eject(0);
    while state.is_ejected() {
        std::thread::sleep(Duration::from_millis(1));
    }
    state.record_success();
    assert_eq!(state.eject(1000), 1000);
    // A request that was under way when the endpoint was ejected says nothing about the future.
    state.record_success();
    assert_eq!(state.eject(1000), 2000);
}

#[test]
fn failures_count_in_a_row() {
    let state = EndpointState::default();
    assert_eq!([state.record_failure(), state.record_failure()], [1, 2]);
    state.record_success();
    assert_eq!(state.record_failure(), 1);
    state.eject(1);
    assert_eq!(state.record_failure(), 1);
}

#[test]
fn usable_time_starts_anew_with_recovery() {
    let state = EndpointState::aged(Duration::from_secs(60));
    assert!(state.usable_for_ms() >= 60_000);
    state.set_probe_failing(true);
    state.set_probe_failing(false);
    assert!(state.usable_for_ms() < 30_000);

    let state = EndpointState::aged(Duration::from_secs(60));
    state.eject(10_000);
    assert_eq!(state.usable_for_ms(), 0);
}
