use edgeward_routing::policy::BodySize;

use super::{Bad, Effect, Good, IngressSettings};

fn is_nothing(settings: &IngressSettings) -> bool {
    *settings == IngressSettings::default()
}

pub(super) const GOOD: &[Good] = &[
    ("client-body-buffer-size", "999999g", is_nothing),
    ("client-body-buffer-size", "1 K", is_nothing),
    ("limit-rate", "100", |s| s.body.rate == Some(102_400)),
    ("limit-rate", "-1", |s| s.body.rate == Some(0)),
    ("limit-rate-after", "+2", |s| s.body.rate_after == Some(2048)),
    ("proxy-body-size", "8M", |s| s.body_size == Some(BodySize(Some(8 << 20)))),
    ("proxy-body-size", "0", |s| s.body_size == Some(BodySize(None))),
    ("proxy-buffer-size", "8k", is_nothing),
    ("proxy-buffering", " on ", is_nothing),
    ("proxy-buffers-number", "8", is_nothing),
    ("proxy-busy-buffers-size", "16k", is_nothing),
    ("proxy-max-temp-file-size", "0", is_nothing),
    ("proxy-request-buffering", "off", |s| s.streams_request == Some(true)),
    ("proxy-request-buffering", " on", |s| s.streams_request == Some(false)),
];

pub(super) const BAD: &[Bad] = &[
    ("client-body-buffer-size", &[""], Effect::Default),
    ("client-body-buffer-size", &["big", "1kk", "1k;"], Effect::Drops),
    ("limit-rate", &["", "fast", "1.5", " 1"], Effect::Default),
    ("limit-rate-after", &["", "1k"], Effect::Default),
    ("proxy-body-size", &["", "1x", "-1", "m", "1.5m", "99999999999999999999g"], Effect::Default),
    ("proxy-buffer-size", &["", "0", "0k", "x"], Effect::Default),
    ("proxy-buffering", &["", "yes", "ON"], Effect::Default),
    ("proxy-buffers-number", &["", "0", "-1", "x"], Effect::Default),
    ("proxy-busy-buffers-size", &["", "x"], Effect::Default),
    ("proxy-max-temp-file-size", &["", "1t"], Effect::Default),
    ("proxy-request-buffering", &["", "true"], Effect::Default),
];
