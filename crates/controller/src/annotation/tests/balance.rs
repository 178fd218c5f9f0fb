use std::num::NonZeroUsize;

use edgeward_routing::backend::LoadBalance;

use super::{Bad, Effect, Good, read_all};

pub(super) const GOOD: &[Good] = &[
    ("load-balance", "ewma", |s| s.backend.load_balance == Some(LoadBalance::PeakEwma)),
    ("load-balance", " round_robin", |s| s.backend.load_balance == Some(LoadBalance::RoundRobin)),
    ("upstream-hash-by", "$request_uri", |s| s.backend.hash_by.is_some()),
    ("upstream-hash-by", "${host}-x", |s| s.backend.hash_by.as_ref().is_some_and(|t| t.parts.len() == 2)),
    ("upstream-hash-by-subset", "true", |s| s.backend.hash_subset == Some(true)),
    ("upstream-hash-by-subset-size", "5", |s| s.backend.hash_subset_size == NonZeroUsize::new(5)),
    ("service-upstream", "true", |s| s.backend.service_upstream == Some(true)),
    ("service-upstream", "0", |s| s.backend.service_upstream == Some(false)),
];

pub(super) const BAD: &[Bad] = &[
    ("load-balance", &["", "chash", "chashsubset", "sticky_balanced", "sticky_persistent"], Effect::Default),
    ("load-balance", &["least_conn", "EWMA", "random"], Effect::Drops),
    ("upstream-hash-by", &["", "$nosuchvariable", "$", "${host"], Effect::Default),
    ("upstream-hash-by", &["$request_uri;", "$host/x", "a\nb"], Effect::Drops),
    ("upstream-hash-by-subset", &[""], Effect::Default),
    ("upstream-hash-by-subset", &["yes"], Effect::Drops),
    ("upstream-hash-by-subset-size", &["", "0", "-1"], Effect::Default),
    ("upstream-hash-by-subset-size", &["three"], Effect::Drops),
    ("service-upstream", &["", "yes"], Effect::Default),
];

#[test]
fn a_hash_picks_a_group_where_that_is_asked_for() {
    let of = |others: &[(&str, &str)]| {
        let all = [&[("upstream-hash-by", "$uri")], others].concat();
        read_all(&all).0.backend.load_balance(&LoadBalance::RoundRobin)
    };
    let template = || "$uri".parse().unwrap();
    let groups_of = |size| LoadBalance::SubsetHash(template(), NonZeroUsize::new(size).unwrap());
    let (yes, no) = (("upstream-hash-by-subset", "true"), ("upstream-hash-by-subset", "false"));
    let size = ("upstream-hash-by-subset-size", "2");
    assert_eq!(of(&[yes]), groups_of(3));
    assert_eq!(of(&[yes, size]), groups_of(2));
    assert_eq!(of(&[no, size]), LoadBalance::ConsistentHash(template()));
    assert_eq!(of(&[size]), LoadBalance::ConsistentHash(template()));
}
