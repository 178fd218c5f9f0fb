use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("enable-access-log", "false", |s| s.is_logged == Some(false)),
    ("enable-opentelemetry", "true", |s| s.trace.is_on == Some(true)),
    ("opentelemetry-operation-name", "shop_web-1", |s| s.trace.operation.as_ref().unwrap().text() == "shop_web-1"),
    ("opentelemetry-trust-incoming-span", "false", |s| s.trace.trusts_client == Some(false)),
];

pub(super) const BAD: &[Bad] = &[
    ("enable-access-log", &["", "off"], Effect::Default),
    ("enable-opentelemetry", &["", "on"], Effect::Default),
    ("opentelemetry-operation-name", &[""], Effect::Default),
    ("opentelemetry-operation-name", &["a.b", "$uri"], Effect::Drops),
    ("opentelemetry-trust-incoming-span", &["yes"], Effect::Default),
];
