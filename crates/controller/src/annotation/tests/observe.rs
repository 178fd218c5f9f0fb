use super::{Bad, Effect, Good, IngressSettings};

fn is_nothing(settings: &IngressSettings) -> bool {
    *settings == IngressSettings::default()
}

pub(super) const GOOD: &[Good] = &[
    ("enable-access-log", "false", |s| s.is_logged == Some(false)),
    ("enable-opentelemetry", "true", is_nothing),
    ("opentelemetry-operation-name", "shop_web-1", is_nothing),
    ("opentelemetry-trust-incoming-span", "false", is_nothing),
];

pub(super) const BAD: &[Bad] = &[
    ("enable-access-log", &["", "off"], Effect::Default),
    ("enable-opentelemetry", &["", "on"], Effect::Default),
    ("opentelemetry-operation-name", &[""], Effect::Default),
    ("opentelemetry-operation-name", &["a.b", "$uri"], Effect::Drops),
    ("opentelemetry-trust-incoming-span", &["yes"], Effect::Default),
];
