#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;

use edgeward_routing::affinity::{SessionCookie, identity};
use edgeward_routing::endpoint::{Endpoint, Readiness};

use super::*;
use crate::access_log::fixture;

fn affinity(mode: AffinityMode, changes_on_failure: bool) -> Affinity {
    let cookie = Arc::new(SessionCookie { changes_on_failure, ..SessionCookie::default() });
    Affinity { mode, cookie, identity: identity("default-web-80") }
}

fn backend(addresses: &[SocketAddr]) -> Backend {
    let endpoint = |addr: &SocketAddr| Endpoint { addr: *addr, readiness: Readiness::Ready, state: Arc::default() };
    Backend { endpoints: addresses.iter().map(endpoint).collect(), ..fixture::backend() }
}

fn addresses(count: u8) -> Vec<SocketAddr> {
    (1..=count).map(|last| SocketAddr::from(([10, 0, 0, last], 8080))).collect()
}

const MODES: [AffinityMode; 2] = [AffinityMode::Balanced, AffinityMode::Persistent];

#[test]
fn a_key_leads_back_to_its_endpoint_on_every_proxy() {
    for mode in MODES {
        let affinity = affinity(mode, false);
        let (here, elsewhere) = (backend(&addresses(5)), backend(&addresses(5)));
        let mut used = BTreeSet::new();
        for _ in 0..200 {
            let Choice { index, key } = pick(&here, &affinity, None, &[]).unwrap();
            let again = pick(&elsewhere, &affinity, Some(key.unwrap().as_bytes()), &[]).unwrap();
            assert_eq!(again, Choice { index, key: None }, "{mode:?}");
            used.insert(index);
        }
        // That one of five is never among 200 has a chance of less than 1e-14 even at half its share.
        assert_eq!(used.len(), 5, "{mode:?}");
    }
}

#[test]
fn every_text_is_a_key_but_only_names_are_persistent_ones() {
    // Recorded: c261, c262.
    let backend_of = || backend(&addresses(3));
    let balanced = affinity(AffinityMode::Balanced, false);
    let persistent = affinity(AffinityMode::Persistent, false);
    for text in ["bogus", "1.2.3.4", "", "14a51054c433c4d308e3dba330720c5e"] {
        let choice = pick(&backend_of(), &balanced, Some(text.as_bytes()), &[]).unwrap();
        assert_eq!(choice.key, None, "{text}");
        assert_eq!(pick(&backend_of(), &balanced, Some(text.as_bytes()), &[]), Some(choice));
        let choice = pick(&backend_of(), &persistent, Some(text.as_bytes()), &[]).unwrap();
        assert!(choice.key.is_some(), "{text}");
    }
}

#[test]
fn a_persistent_session_outlives_other_endpoints() {
    let affinity = affinity(AffinityMode::Persistent, false);
    let all = addresses(9);
    let Choice { index, key } = pick(&backend(&all), &affinity, None, &[]).unwrap();
    let key = key.unwrap();
    let fewer: Vec<SocketAddr> = all[index..].to_vec();
    let choice = pick(&backend(&fewer), &affinity, Some(key.as_bytes()), &[]);
    assert_eq!(choice, Some(Choice { index: 0, key: None }));
    let without: Vec<SocketAddr> = all.iter().copied().filter(|addr| *addr != all[index]).collect();
    let choice = pick(&backend(&without), &affinity, Some(key.as_bytes()), &[]).unwrap();
    assert!(choice.key.is_some_and(|new| new != key), "its endpoint is gone");
}

#[test]
fn a_session_stays_with_a_failing_endpoint_unless_it_may_change() {
    for mode in MODES {
        let all = addresses(3);
        let backend = backend(&all);
        let Choice { index, key } = pick(&backend, &affinity(mode, false), None, &[]).unwrap();
        let key = key.unwrap();
        let tried = [all[index]];
        let stays = pick(&backend, &affinity(mode, false), Some(key.as_bytes()), &tried);
        assert_eq!(stays, Some(Choice { index, key: None }), "{mode:?}");
        let moves = pick(&backend, &affinity(mode, true), Some(key.as_bytes()), &tried).unwrap();
        assert!(moves.index != index && moves.key.is_some(), "{mode:?}");
        // An unhealthy endpoint counts as one that failed.
        backend.endpoints[index].state.set_probe_failing(true);
        assert_eq!(pick(&backend, &affinity(mode, false), Some(key.as_bytes()), &[]).unwrap().index, index);
        assert_ne!(pick(&backend, &affinity(mode, true), Some(key.as_bytes()), &[]).unwrap().index, index);
        for _ in 0..100 {
            assert_ne!(pick(&backend, &affinity(mode, false), None, &[]).unwrap().index, index, "{mode:?}: a new one");
        }
    }
}

#[test]
fn where_nothing_is_fit_anything_is_taken() {
    for mode in MODES {
        let all = addresses(2);
        let backend_of = || backend(&all);
        for changes in [false, true] {
            assert!(pick(&backend_of(), &affinity(mode, changes), None, &all).is_some());
        }
        assert_eq!(pick(&backend(&[]), &affinity(mode, false), Some(b"key"), &[]), None);
        assert_eq!(pick(&backend(&[]), &affinity(mode, false), None, &[]), None);
        // One endpoint is tried again, and the client keeps its key.
        let only = addresses(1);
        let backend = backend(&only);
        let key = pick(&backend, &affinity(mode, true), None, &[]).unwrap().key.unwrap();
        let choice = pick(&backend, &affinity(mode, true), Some(key.as_bytes()), &only);
        assert_eq!(choice, Some(Choice { index: 0, key: None }), "{mode:?}");
    }
}
