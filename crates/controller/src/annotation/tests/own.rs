use std::time::Duration;

use edgeward_routing::backend::{LoadBalance, Probe};

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("edgeward.dev/load-balance", "least-request", |s| s.backend.own_load_balance == Some(LoadBalance::LeastRequest)),
    ("edgeward.dev/slow-start", "30s", |s| s.backend.slow_start == Some(Duration::from_secs(30))),
    ("edgeward.dev/health-check", "tcp", |s| s.backend.health_check().unwrap().probe == Probe::Tcp),
    ("edgeward.dev/health-check", "off", |s| s.backend.health_check().is_none()),
    ("edgeward.dev/health-check-path", "/up?x=1", |s| s.backend.health_check.path.as_deref() == Some("/up?x=1")),
    ("edgeward.dev/health-check-host", "a.test:80", |s| s.backend.health_check.host.is_some()),
    ("edgeward.dev/health-check-port", "9000", |s| s.backend.health_check.port == Some(9000)),
    ("edgeward.dev/health-check-interval", "1s", |s| s.backend.health_check.interval == Some(Duration::from_secs(1))),
    ("edgeward.dev/health-check-timeout", "500ms", |s| {
        s.backend.health_check.timeout == Some(Duration::from_millis(500))
    }),
    ("edgeward.dev/health-check-healthy-threshold", "1", |s| s.backend.health_check.healthy_threshold == Some(1)),
    ("edgeward.dev/health-check-unhealthy-threshold", "5", |s| s.backend.health_check.unhealthy_threshold == Some(5)),
    ("edgeward.dev/health-check-expected-status", "204", |s| {
        s.backend.health_check.expected_status == Some((204, 204))
    }),
];

pub(super) const BAD: &[Bad] = &[
    ("edgeward.dev/load-balance", &["round_robin", ""], Effect::Default),
    ("edgeward.dev/slow-start", &["30", "s", "-1s", "1d"], Effect::Default),
    ("edgeward.dev/health-check", &["true", "HTTP"], Effect::Default),
    ("edgeward.dev/health-check-path", &["", "up", "/a b", "/a\r\nX: y", "/#", "/<x>", "/\u{e9}"], Effect::Default),
    ("edgeward.dev/health-check-host", &["", "a b", "a\r\nX: y"], Effect::Default),
    ("edgeward.dev/health-check-port", &["0", "65536", "http"], Effect::Default),
    ("edgeward.dev/health-check-interval", &["0s", "99ms", "5"], Effect::Default),
    ("edgeward.dev/health-check-timeout", &["9ms"], Effect::Default),
    ("edgeward.dev/health-check-healthy-threshold", &["0", "1001", "x"], Effect::Default),
    ("edgeward.dev/health-check-unhealthy-threshold", &["-1"], Effect::Default),
    ("edgeward.dev/health-check-expected-status", &["99", "600", "300-200", "2xx", "200-"], Effect::Default),
];
