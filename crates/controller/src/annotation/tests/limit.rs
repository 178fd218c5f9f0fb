use std::sync::Arc;

use edgeward_routing::policy::limits::{Rate, Zone};

use super::{Bad, Effect, Good, read_all};

pub(super) const GOOD: &[Good] = &[
    ("limit-rps", "5", |s| s.limits.per_second == 5),
    ("limit-rps", "-1", |s| !s.limits.is_limited()),
    ("limit-rps", "0", |s| !s.limits.is_limited()),
    ("limit-rpm", "+60", |s| s.limits.per_minute == 60),
    ("limit-connections", "2", |s| s.limits.connections == 2),
    ("limit-burst-multiplier", "1", |s| s.limits.burst_multiplier == Some(1)),
    ("limit-allowlist", "10.0.0.0/8, ::1", |s| s.limits.exempt.to_string() == "10.0.0.0/8,::1/128"),
    ("limit-whitelist", "10.0.0.1", |s| s.limits.exempt.to_string() == "10.0.0.1/32"),
];

pub(super) const BAD: &[Bad] = &[
    ("limit-rps", &["abc", "1.5", " 1", "9223372036854775808"], Effect::Drops),
    ("limit-rps", &[""], Effect::Default),
    ("limit-rpm", &["1/s"], Effect::Drops),
    ("limit-connections", &["1.5"], Effect::Drops),
    ("limit-burst-multiplier", &["", "abc", "-1", "1.5"], Effect::Default),
    ("limit-allowlist", &[" ", "nonsense", "10.0.0.1,"], Effect::Drops),
    ("limit-allowlist", &[""], Effect::Default),
];

#[test]
fn a_burst_is_a_multiple_of_its_rate_and_five_times_it_by_default() {
    let limits = |annotations: &[(&str, &str)]| read_all(annotations).0.limits.limits(Arc::new(Zone::new("x")));
    let both = limits(&[("limit-rps", "2"), ("limit-rpm", "30")]);
    assert_eq!((both.per_second, both.per_minute), (Some(Rate::per_second(2, 10)), Some(Rate::per_minute(30, 150))));
    assert_eq!(both.connections, None);
    let none = limits(&[("limit-rps", "2"), ("limit-burst-multiplier", "0"), ("limit-connections", "3")]);
    assert_eq!((none.per_second, none.connections), (Some(Rate::per_second(2, 0)), Some(3)));
    let most = limits(&[("limit-rps", "9223372036854775807"), ("limit-burst-multiplier", "9223372036854775807")]);
    assert_eq!(most.per_second, Some(Rate::per_second(u64::MAX / 2, u64::MAX)));
}
