#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fixture;

const ROUNDS: usize = 2000;

/// The policies that need no ring.
fn spreading() -> [LoadBalance; 3] {
    [LoadBalance::RoundRobin, LoadBalance::LeastRequest, LoadBalance::PeakEwma]
}

fn hash() -> LoadBalance {
    LoadBalance::ConsistentHash("$request_uri".parse().unwrap())
}

/// How often each endpoint is picked, each request ending before the next begins.
fn counts(backend: &Backend, tried: &[SocketAddr]) -> Vec<usize> {
    let mut counts = vec![0; backend.endpoints.len()];
    for _ in 0..ROUNDS {
        counts[pick(backend, &Ejection::default(), tried, None).unwrap()] += 1;
    }
    counts
}

/// The order of a ring for a key: some rotation of all indexes, the same for the same key.
fn ring(key: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| (key + step) % count)
}

fn pick_hashed(backend: &Backend, key: usize, tried: &[SocketAddr]) -> usize {
    let mut ring = ring(key, backend.endpoints.len());
    pick(backend, &Ejection::default(), tried, Some(&mut ring)).unwrap()
}

#[test]
fn every_endpoint_is_used() {
    for load_balance in spreading().into_iter().chain([hash()]) {
        let backend = fixture::backend("s", 5, load_balance);
        let counts = counts(&backend, &[]);
        assert!(counts.iter().all(|count| *count > ROUNDS / 20), "{:?} {counts:?}", backend.load_balance);
    }
}

#[test]
fn round_robin_takes_each_in_turn() {
    let backend = fixture::backend("s", 4, LoadBalance::RoundRobin);
    assert_eq!(counts(&backend, &[]), [ROUNDS / 4; 4]);
}

#[test]
fn a_backend_without_endpoints_picks_none_and_a_single_one_is_always_picked() {
    let ejection = Ejection::default();
    assert_eq!(pick(&fixture::backend("s", 0, LoadBalance::RoundRobin), &ejection, &[], None), None);
    for load_balance in spreading() {
        let backend = fixture::backend("s", 1, load_balance);
        backend.endpoints[0].state.set_probe_failing(true);
        let tried = [backend.endpoints[0].addr];
        assert_eq!(pick(&backend, &ejection, &tried, None), Some(0), "{:?}", backend.load_balance);
    }
}

#[test]
fn an_unhealthy_endpoint_is_never_picked_and_its_share_goes_to_all_others() {
    for load_balance in spreading() {
        let backend = fixture::backend("s", 5, load_balance);
        backend.endpoints[1].state.set_probe_failing(true);
        backend.endpoints[3].state.eject(3_600_000);
        let counts = counts(&backend, &[]);
        assert_eq!((counts[1], counts[3]), (0, 0), "{:?}", backend.load_balance);
        for index in [0, 2, 4] {
            assert!((ROUNDS / 6..ROUNDS / 2).contains(&counts[index]), "{:?} {counts:?}", backend.load_balance);
        }
    }
}

#[test]
fn health_is_ignored_when_too_many_are_unhealthy() {
    for load_balance in spreading() {
        let backend = fixture::backend("s", 4, load_balance);
        for endpoint in &backend.endpoints[..2] {
            endpoint.state.set_probe_failing(true);
        }
        let half = counts(&backend, &[]);
        assert_eq!((half[0], half[1]), (0, 0), "exactly the cap is no panic: {:?}", backend.load_balance);
        backend.endpoints[2].state.set_probe_failing(true);
        let most = counts(&backend, &[]);
        assert!(most.iter().all(|count| *count > ROUNDS / 20), "{:?} {most:?}", backend.load_balance);
    }
}

#[test]
fn endpoints_that_were_tried_are_passed_over_while_others_are_left() {
    for load_balance in spreading().into_iter().chain([hash()]) {
        let backend = fixture::backend("s", 3, load_balance);
        let addrs: Vec<_> = backend.endpoints.iter().map(|endpoint| endpoint.addr).collect();
        for (tried, expected) in [(&addrs[..1], [1, 2].as_slice()), (&addrs[..2], &[2]), (&addrs[..], &[0, 1, 2])] {
            let counts = counts(&backend, tried);
            let used: Vec<_> = (0..3).filter(|index| counts[*index] > 0).collect();
            assert_eq!(used, expected, "{:?} after {tried:?}", backend.load_balance);
        }
    }
}

#[test]
fn an_unhealthy_endpoint_is_tried_once_all_healthy_ones_were() {
    for load_balance in spreading() {
        let backend = fixture::backend("s", 3, load_balance);
        backend.endpoints[2].state.set_probe_failing(true);
        let tried = [backend.endpoints[0].addr, backend.endpoints[1].addr];
        assert_eq!(counts(&backend, &tried), [0, 0, ROUNDS], "{:?}", backend.load_balance);
    }
}

#[test]
fn the_same_key_goes_to_the_same_endpoint_and_only_keys_of_a_lost_one_move() {
    let backend = fixture::backend("s", 5, hash());
    let before: Vec<_> = (0..50).map(|key| pick_hashed(&backend, key, &[])).collect();
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!(before, (0..50).map(|key| pick_hashed(&backend, key, &[])).collect::<Vec<_>>());

    backend.endpoints[2].state.set_probe_failing(true);
    for (key, index) in before.iter().enumerate() {
        let expected = if *index == 2 { 3 } else { *index };
        assert_eq!(pick_hashed(&backend, key, &[]), expected, "the next one of the ring takes over");
    }
    backend.endpoints[2].state.set_probe_failing(false);
    assert_eq!(before, (0..50).map(|key| pick_hashed(&backend, key, &[])).collect::<Vec<_>>());
}

#[test]
fn a_hashed_request_that_failed_goes_on_along_the_ring() {
    let backend = fixture::backend("s", 4, hash());
    let addr = |index: usize| backend.endpoints[index].addr;
    assert_eq!(pick_hashed(&backend, 1, &[addr(1)]), 2);
    assert_eq!(pick_hashed(&backend, 1, &[addr(1), addr(2)]), 3);
    backend.endpoints[2].state.set_probe_failing(true);
    assert_eq!(pick_hashed(&backend, 1, &[addr(1)]), 3);
}

#[test]
fn a_ring_with_foreign_indexes_is_harmless() {
    let backend = fixture::backend("s", 2, hash());
    let mut foreign = [9, 7, 1].into_iter();
    assert_eq!(pick(&backend, &Ejection::default(), &[], Some(&mut foreign)), Some(1));
    assert!(pick(&backend, &Ejection::default(), &[], Some(&mut std::iter::empty())).is_some());
}

#[test]
fn least_request_prefers_the_endpoint_with_fewer_in_flight() {
    let backend = fixture::backend("s", 2, LoadBalance::LeastRequest);
    let _busy: Vec<_> = (0..3).map(|_| backend.endpoints[0].state.begin()).collect();
    assert_eq!(counts(&backend, &[]), [0, ROUNDS]);
}

#[test]
fn least_request_keeps_requests_in_flight_even() {
    let backend = fixture::backend("s", 8, LoadBalance::LeastRequest);
    let held: Vec<_> = (0..800)
        .map(|_| backend.endpoints[pick(&backend, &Ejection::default(), &[], None).unwrap()].state.begin())
        .collect();
    let in_flight: Vec<_> = backend.endpoints.iter().map(|endpoint| endpoint.state.in_flight()).collect();
    assert!(in_flight.iter().all(|count| (90..=110).contains(count)), "{in_flight:?}");
    drop(held);
}

#[test]
fn peak_ewma_avoids_the_slow_endpoint_and_counts_what_is_in_flight() {
    let backend = fixture::backend("s", 2, LoadBalance::PeakEwma);
    record_latency(&backend.endpoints[0].state, Duration::from_millis(500));
    record_latency(&backend.endpoints[1].state, Duration::from_millis(5));
    assert_eq!(counts(&backend, &[]), [0, ROUNDS]);
    let _busy: Vec<_> = (0..200).map(|_| backend.endpoints[1].state.begin()).collect();
    assert_eq!(counts(&backend, &[]), [ROUNDS, 0]);
}

/// As a pod that has just started and is slow to answer for the first time.
#[test]
fn an_endpoint_that_has_never_answered_is_not_taken_for_a_fast_one() {
    let backend = fixture::backend("s", 10, LoadBalance::PeakEwma);
    for endpoint in &backend.endpoints[1..] {
        record_latency(&endpoint.state, Duration::from_millis(50));
    }
    // The others answer at once; it holds what it gets.
    let mut held = Vec::new();
    for _ in 0..ROUNDS {
        if pick(&backend, &Ejection::default(), &[], None) == Some(0) {
            held.push(backend.endpoints[0].state.begin());
        }
    }
    assert!(held.len() <= 2, "{} requests wait for it", held.len());
}

#[test]
fn a_peak_counts_at_once_and_fades() {
    let state = EndpointState::default();
    let ewma = || state.ewma_ns.load(Ordering::Relaxed);
    record_latency(&state, Duration::from_millis(100));
    assert_eq!(ewma(), 100_000_000);
    record_latency(&state, Duration::from_millis(1));
    assert!((99_000_000..=100_000_000).contains(&ewma()), "one fast answer does not make up for it: {}", ewma());
    // As if the last answer had come one time constant ago.
    let state = EndpointState::aged(EWMA_DECAY);
    state.ewma_ns.store(100_000_000, Ordering::Relaxed);
    record_latency(&state, Duration::ZERO);
    let faded = state.ewma_ns.load(Ordering::Relaxed);
    assert!((36_000_000..=37_000_000).contains(&faded), "1/e is left: {faded}");
}

/// Five endpoints, the first of them new and the others old.
fn with_newcomer(load_balance: LoadBalance) -> Backend {
    let mut backend = fixture::backend("s", 5, load_balance);
    backend.slow_start = Duration::from_secs(60);
    for endpoint in &mut backend.endpoints[1..] {
        endpoint.state = Arc::new(EndpointState::aged(Duration::from_secs(90)));
    }
    backend
}

#[test]
fn a_new_endpoint_starts_with_a_tenth_of_a_share_in_turn() {
    let counts = counts(&with_newcomer(LoadBalance::RoundRobin), &[]);
    let full = ROUNDS / 5;
    assert!((full / 40..full / 4).contains(&counts[0]), "{counts:?}");
    assert!(counts[1..].iter().all(|count| (full..full * 3 / 2).contains(count)), "{counts:?}");
}

#[test]
fn a_share_grows_with_time_to_a_full_one() {
    let mut backend = fixture::backend("s", 1, LoadBalance::RoundRobin);
    let after = |backend: &Backend, seconds| share(backend, &EndpointState::aged(Duration::from_secs(seconds)));
    assert_eq!(after(&backend, 0), 1.0, "without slow start");
    backend.slow_start = Duration::from_secs(100);
    for (seconds, expected) in [(0, 0.1), (5, 0.1), (50, 0.5), (75, 0.75), (100, 1.0), (300, 1.0)] {
        assert!((after(&backend, seconds) - expected).abs() < 0.01, "after {seconds} s");
    }
}

#[test]
fn a_new_endpoint_seems_more_loaded_to_the_choice_of_two() {
    for load_balance in [LoadBalance::LeastRequest, LoadBalance::PeakEwma] {
        let counts = counts(&with_newcomer(load_balance), &[]);
        assert_eq!(counts[0], 0, "an idle old one is always cheaper");
    }
    let backend = with_newcomer(LoadBalance::LeastRequest);
    let _busy: Vec<_> =
        backend.endpoints[1..].iter().flat_map(|endpoint| (0..20).map(|_| endpoint.state.begin())).collect();
    assert!(counts(&backend, &[])[0] > ROUNDS / 4, "ten times the load weighs as much");
}

#[test]
fn endpoints_that_are_all_new_share_evenly() {
    let mut backend = fixture::backend("s", 3, LoadBalance::RoundRobin);
    backend.slow_start = Duration::from_secs(3600);
    let mut longest = 0;
    let (mut last, mut run) = (usize::MAX, 0);
    for _ in 0..ROUNDS {
        let index = pick(&backend, &Ejection::default(), &[], None).unwrap();
        run = if index == last { run + 1 } else { 1 };
        last = index;
        longest = longest.max(run);
    }
    // A run ends with nine in ten requests; one that never ended would be many times as long.
    assert!(longest <= 8, "{longest} requests in a row on one endpoint");
    let counts = counts(&backend, &[]);
    assert!(counts.iter().all(|count| (ROUNDS / 4..ROUNDS / 2).contains(count)), "{counts:?}");
}

#[test]
fn failures_in_a_row_eject_within_the_cap() {
    let backend = fixture::backend("s", 4, LoadBalance::RoundRobin);
    let ejection = Ejection::default();
    let fail = |index: usize, times: usize| {
        (0..times).map(|_| record_failure(&backend, &backend.endpoints[index].state, &ejection)).collect::<Vec<_>>()
    };
    let base = Some(ejection.base);
    assert_eq!(fail(0, 3), [None, None, base]);
    assert_eq!(fail(0, 3), [None, None, None], "already out");
    assert_eq!(fail(1, 3), [None, None, base]);
    assert_eq!(fail(2, 5), [None; 5], "two of four is the cap");
    assert!(backend.endpoints[2].state.is_healthy());
}

#[test]
fn a_lone_endpoint_is_never_ejected_and_zero_switches_ejection_off() {
    let alone = fixture::backend("s", 1, LoadBalance::RoundRobin);
    let four = fixture::backend("s", 4, LoadBalance::RoundRobin);
    let off = Ejection { consecutive_failures: 0, ..Ejection::default() };
    for _ in 0..10 {
        assert_eq!(record_failure(&alone, &alone.endpoints[0].state, &Ejection::default()), None);
        assert_eq!(record_failure(&four, &four.endpoints[0].state, &off), None);
    }
}

proptest! {
    #[test]
    fn a_pick_is_fresh_and_healthy_where_one_is(
        endpoints in prop::collection::vec((any::<bool>(), any::<bool>()), 1..9),
        policy in 0..4usize,
        key in any::<u16>(),
    ) {
        let load_balance = spreading().into_iter().chain([hash()]).nth(policy).unwrap();
        let backend = fixture::backend("s", u8::try_from(endpoints.len()).unwrap(), load_balance);
        let mut tried = Vec::new();
        for (endpoint, (healthy, was_tried)) in backend.endpoints.iter().zip(&endpoints) {
            endpoint.state.set_probe_failing(!healthy);
            tried.extend(was_tried.then_some(endpoint.addr));
        }
        let ejection = Ejection::default();
        let mut ring = ring(usize::from(key), endpoints.len());
        let hashed: Option<&mut dyn Iterator<Item = usize>> = if policy == 3 { Some(&mut ring) } else { None };
        let (healthy, was_tried) = endpoints[pick(&backend, &ejection, &tried, hashed).unwrap()];
        if endpoints.len() > 1 && endpoints.iter().any(|(_, tried)| !tried) {
            prop_assert!(!was_tried);
            let some_good = endpoints.iter().any(|(healthy, tried)| *healthy && !tried);
            prop_assert!(healthy || !some_good || is_panic(&backend.endpoints, &ejection));
        }
    }
}
