use edgeward_routing::policy::BodySize;

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("proxy-body-size", "8M", |s| s.body_size == Some(BodySize(Some(8 << 20)))),
    ("proxy-body-size", "0", |s| s.body_size == Some(BodySize(None))),
];

pub(super) const BAD: &[Bad] =
    &[("proxy-body-size", &["", "1x", "-1", "m", "1.5m", "99999999999999999999g"], Effect::Default)];
