use edgeward_routing::policy::Satisfy;

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("allowlist-source-range", "10.0.0.0/8", |s| s.networks.allowed.as_ref().unwrap().to_string() == "10.0.0.0/8"),
    ("whitelist-source-range", "10.0.0.1", |s| s.networks.allowed.as_ref().unwrap().to_string() == "10.0.0.1/32"),
    ("whitelist-source-range", "", |s| s.networks.allowed.is_none()),
    ("denylist-source-range", "2001:db8::/32 ,\n10.1.2.3/8", |s| {
        s.networks.denied.as_ref().unwrap().to_string() == "10.0.0.0/8,2001:db8::/32"
    }),
    ("satisfy", "any", |s| s.networks.satisfy == Satisfy::Any),
    ("satisfy", " all", |s| s.networks.satisfy == Satisfy::All),
];

pub(super) const BAD: &[Bad] = &[
    (
        "allowlist-source-range",
        &["", " ", "10.0.0.300/24", "10.0.0.0/33", "10.0.0.0/8,", "all", "a.test"],
        Effect::Closes,
    ),
    ("whitelist-source-range", &[" ", "nonsense"], Effect::Closes),
    ("denylist-source-range", &["", "nonsense", "10.0.0.1,nonsense", "10.0.0.1 10.0.0.2"], Effect::Closes),
    ("satisfy", &["", "both", "ANY"], Effect::Default),
];
