use edgeward_routing::backend::LoadBalance;

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("load-balance", "ewma", |s| s.backend.load_balance == Some(LoadBalance::PeakEwma)),
    ("load-balance", " round_robin", |s| s.backend.load_balance == Some(LoadBalance::RoundRobin)),
    ("upstream-hash-by", "$request_uri", |s| s.backend.hash_by.is_some()),
    ("upstream-hash-by", "${host}-x", |s| s.backend.hash_by.as_ref().is_some_and(|t| t.parts.len() == 2)),
];

pub(super) const BAD: &[Bad] = &[
    ("load-balance", &["", "least_conn", "EWMA", "chash", "sticky_balanced"], Effect::Default),
    ("upstream-hash-by", &["", "$nosuchvariable", "$", "${host"], Effect::Default),
];
