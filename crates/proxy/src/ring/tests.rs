#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use edgeward_routing::attachment::Attachment;
use edgeward_routing::backend::{Backend, BackendKey, LoadBalance};
use edgeward_routing::balance::pick;
use edgeward_routing::endpoint::{Endpoint, Readiness};
use edgeward_routing::settings::Ejection;
use edgeward_routing::template::Template;

use super::{endpoints_for, grouped_endpoints_for};

fn backend(addresses: &[SocketAddr]) -> Backend {
    let endpoints =
        addresses.iter().map(|addr| Endpoint { addr: *addr, readiness: Readiness::Ready, state: Arc::default() });
    Backend {
        key: BackendKey { namespace: "default".into(), service: "web".into(), port: "80".into() },
        name: "default-web-80".into(),
        load_balance: LoadBalance::ConsistentHash(Template::default()),
        health_check: None,
        affinity: None,
        canary: None,
        is_service_upstream: false,
        slow_start: Duration::ZERO,
        endpoints: endpoints.collect(),
        cursor: Arc::default(),
        ring: Attachment::default(),
    }
}

fn addresses(count: u8) -> Vec<SocketAddr> {
    (1..=count).map(|last| SocketAddr::from(([10, 0, 0, last], 8080))).collect()
}

/// The address that each key belongs to.
fn owners(backend: &Backend, keys: usize) -> Vec<SocketAddr> {
    (0..keys)
        .map(|key| backend.endpoints[endpoints_for(backend, format!("/item/{key}").as_bytes()).next().unwrap()].addr)
        .collect()
}

#[test]
fn a_key_belongs_to_the_same_address_on_every_node_and_in_every_version() {
    // Fixed values: a change of the hash would move every key while two versions serve side by side.
    let backend = backend(&["1.0.0.1:80", "1.0.0.255:80", "1.1.1.1:80"].map(|addr| addr.parse().unwrap()));
    let owner = |key: &str| backend.endpoints[endpoints_for(&backend, key.as_bytes()).next().unwrap()].addr.to_string();
    let expected =
        [("test0", "1.0.0.1:80"), ("test1", "1.1.1.1:80"), ("test5", "1.0.0.255:80"), ("test9", "1.0.0.1:80")];
    for (key, address) in expected {
        assert_eq!(owner(key), address, "{key}");
    }
}

#[test]
fn the_order_of_the_endpoints_does_not_matter() {
    let mut reversed = addresses(7);
    reversed.reverse();
    assert_eq!(owners(&backend(&addresses(7)), 500), owners(&backend(&reversed), 500));
}

#[test]
fn every_endpoint_comes_exactly_once() {
    let v6 = ["[2001:db8::1]:80", "[2001:db8::2]:80"].map(|addr| addr.parse().unwrap());
    for addresses in [addresses(1), addresses(2), addresses(40), v6.to_vec()] {
        let backend = backend(&addresses);
        for key in 0..50_u32 {
            let order: Vec<usize> = endpoints_for(&backend, &key.to_le_bytes()).collect();
            assert_eq!(order.len(), addresses.len());
            assert_eq!(order.into_iter().collect::<BTreeSet<_>>(), (0..addresses.len()).collect());
        }
    }
}

#[test]
fn no_endpoint_gives_no_index_and_a_repeated_address_counts_once() {
    assert_eq!(endpoints_for(&backend(&[]), b"key").count(), 0);
    let address = addresses(1)[0];
    assert_eq!(endpoints_for(&backend(&[address, address]), b"key").count(), 1);
}

#[test]
fn keys_spread_over_all_endpoints() {
    let backend = backend(&addresses(20));
    let owners = owners(&backend, 20_000);
    for endpoint in &backend.endpoints {
        let share = owners.iter().filter(|owner| **owner == endpoint.addr).count();
        assert!((600..1_600).contains(&share), "{} has {share} of 20000 keys", endpoint.addr);
    }
}

#[test]
fn an_endpoint_that_goes_moves_only_its_own_keys() {
    let all = addresses(20);
    let gone = all[7];
    let rest: Vec<SocketAddr> = all.iter().copied().filter(|addr| *addr != gone).collect();
    let (before, after) = (owners(&backend(&all), 20_000), owners(&backend(&rest), 20_000));
    let mut moved_to = BTreeSet::new();
    for (was, is) in before.iter().zip(&after) {
        assert!(was == is || *was == gone, "a key of {was} moved to {is}");
        if was != is {
            moved_to.insert(*is);
        }
    }
    assert!(moved_to.len() > 10, "its keys go to many endpoints, not to one neighbour: {moved_to:?}");
}

#[test]
fn an_endpoint_that_comes_takes_about_its_share_and_nothing_else_moves() {
    let (before, after) = (owners(&backend(&addresses(19)), 20_000), owners(&backend(&addresses(20)), 20_000));
    let new = *addresses(20).last().unwrap();
    let moved: Vec<_> = before.iter().zip(&after).filter(|(was, is)| was != is).collect();
    assert!(moved.iter().all(|(_, is)| **is == new));
    assert!((600..1_600).contains(&moved.len()), "{} of 20000 keys moved to one of 20 endpoints", moved.len());
}

#[test]
fn an_unhealthy_endpoint_is_skipped_for_the_next_on_the_ring() {
    let backend = backend(&addresses(10));
    let order: Vec<usize> = endpoints_for(&backend, b"user-42").collect();
    let ejection = Ejection::default();
    let choice =
        |tried: &[SocketAddr]| pick(&backend, &ejection, tried, Some(&mut endpoints_for(&backend, b"user-42")));

    assert_eq!(choice(&[]), Some(order[0]));
    assert_eq!(choice(&[backend.endpoints[order[0]].addr]), Some(order[1]), "a retry goes to the next on the ring");

    backend.endpoints[order[0]].state.set_probe_failing(true);
    backend.endpoints[order[1]].state.set_probe_failing(true);
    assert_eq!(choice(&[]), Some(order[2]));

    backend.endpoints[order[0]].state.set_probe_failing(false);
    assert_eq!(choice(&[]), Some(order[0]), "the key comes back with its endpoint");
}

#[test]
fn a_group_takes_all_requests_of_a_key_and_shares_them() {
    let size = NonZeroUsize::new(3).unwrap();
    for count in [1, 2, 3, 7, 9] {
        let backend = backend(&addresses(count));
        for key in 0..20_u32 {
            let mut used = BTreeSet::new();
            for _ in 0..200 {
                let order: Vec<usize> = grouped_endpoints_for(&backend, size, &key.to_le_bytes()).collect();
                used.insert(order[0]);
                let all: BTreeSet<usize> = order.iter().copied().collect();
                assert_eq!(all, (0..usize::from(count)).collect(), "the others come behind");
            }
            // That one of three is never first in 200 has a chance below 1e-35.
            assert_eq!(used.len(), usize::from(count).min(3), "{count} endpoints");
        }
    }
    assert_eq!(grouped_endpoints_for(&backend(&[]), size, b"key").count(), 0);
}

#[test]
fn every_group_is_some_keys_group() {
    let size = NonZeroUsize::new(2).unwrap();
    let backend = backend(&addresses(10));
    let firsts: BTreeSet<usize> = (0..2_000_u32)
        .map(|key| grouped_endpoints_for(&backend, size, &key.to_le_bytes()).next().unwrap() / 2)
        .collect();
    assert_eq!(firsts.len(), 5);
}
