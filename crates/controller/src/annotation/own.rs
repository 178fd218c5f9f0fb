//! Edgeward's own annotations, on Ingresses and on Services. Those of the Service win.

use std::time::Duration;

use edgeward_routing::backend::LoadBalance;
use edgeward_routing::host::Host;

use super::settings::CheckKind;
use super::value::parse_duration;
use super::{Annotation, IngressSettings, Rejection, Scope, invalid};

const DURATION: &str = "a whole number with a unit, as in `500ms`, `30s` or `5m`";

pub(super) static TABLE: [Annotation; 11] = [
    Annotation::honoured(
        "health-check",
        Scope::Backend,
        kind,
        "Probes every endpoint: `http` asks for a path, `tcp` opens a connection, `off` probes nothing.",
    ),
    Annotation::honoured(
        "health-check-expected-status",
        Scope::Backend,
        expected_status,
        "Statuses that count as success, such as `200` or `200-399` (the default).",
    ),
    Annotation::honoured(
        "health-check-healthy-threshold",
        Scope::Backend,
        |value, settings| {
            settings.backend.health_check.healthy_threshold = Some(threshold(value)?);
            Ok(())
        },
        "Successes in a row that bring a failing endpoint back (default 2).",
    ),
    Annotation::honoured(
        "health-check-host",
        Scope::Backend,
        host,
        "The `Host` header of HTTP probes; the endpoint's address without it.",
    ),
    Annotation::honoured(
        "health-check-interval",
        Scope::Backend,
        |value, settings| {
            settings.backend.health_check.interval = Some(pause(value, Duration::from_millis(100))?);
            Ok(())
        },
        "Time between two probes of one endpoint (default `5s`, at least `100ms`).",
    ),
    Annotation::honoured("health-check-path", Scope::Backend, path, "The path that HTTP probes ask for (default `/`)."),
    Annotation::honoured(
        "health-check-port",
        Scope::Backend,
        port,
        "The port that is probed; the endpoint's own without it.",
    ),
    Annotation::honoured(
        "health-check-timeout",
        Scope::Backend,
        |value, settings| {
            settings.backend.health_check.timeout = Some(pause(value, Duration::from_millis(10))?);
            Ok(())
        },
        "Time after which a probe has failed (default `2s`).",
    ),
    Annotation::honoured(
        "health-check-unhealthy-threshold",
        Scope::Backend,
        |value, settings| {
            settings.backend.health_check.unhealthy_threshold = Some(threshold(value)?);
            Ok(())
        },
        "Failures in a row that take an endpoint out (default 3).",
    ),
    Annotation::honoured(
        "load-balance",
        Scope::Backend,
        load_balance,
        "How requests are spread: `round-robin`, `least-request` or `ewma`; wins over ingress-nginx's annotations.",
    ),
    Annotation::honoured(
        "slow-start",
        Scope::Backend,
        |value, settings| {
            settings.backend.slow_start = Some(parse_duration(value).ok_or_else(|| invalid(DURATION))?);
            Ok(())
        },
        "Time over which a new endpoint's share of requests grows to a full one (default `0s`: at once).",
    ),
];

fn unprobed(allowed: &str) -> Rejection {
    Rejection::Unprobed(allowed.to_owned())
}

fn kind(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.backend.health_check.kind = Some(match value.trim() {
        "http" => CheckKind::Http,
        "tcp" => CheckKind::Tcp,
        "off" => CheckKind::Off,
        _ => return Err(invalid("`http`, `tcp` or `off`")),
    });
    Ok(())
}

fn load_balance(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.backend.own_load_balance = Some(match value.trim() {
        "round-robin" => LoadBalance::RoundRobin,
        "least-request" => LoadBalance::LeastRequest,
        "ewma" => LoadBalance::PeakEwma,
        _ => return Err(invalid("`round-robin`, `least-request` or `ewma`")),
    });
    Ok(())
}

fn path(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    // It goes into a request line as it is, and only this can stand there (RFC 3986 sections 3.3 and 3.4).
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/?".contains(&b);
    if !value.starts_with('/') || !value.bytes().all(is_allowed) {
        return Err(unprobed("a path that starts with `/`, percent-encoded where needed, without spaces"));
    }
    settings.backend.health_check.path = Some(value.to_owned());
    Ok(())
}

fn host(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    if Host::normalize(value).is_none() {
        return Err(unprobed("a host name, with a port if needed"));
    }
    settings.backend.health_check.host = Some(value.to_owned());
    Ok(())
}

fn port(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let port = value.trim().parse::<u16>().ok().filter(|port| *port != 0);
    settings.backend.health_check.port = Some(port.ok_or_else(|| unprobed("a port number from 1 to 65535"))?);
    Ok(())
}

fn expected_status(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    let (low, high) = value.split_once('-').unwrap_or((value, value));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    match (status(low), status(high)) {
        (Some(low), Some(high)) if low <= high => {
            settings.backend.health_check.expected_status = Some((low, high));
            Ok(())
        }
        _ => Err(unprobed("a status or a range of them, such as `200` or `200-399`")),
    }
}

fn pause(value: &str, least: Duration) -> Result<Duration, Rejection> {
    parse_duration(value)
        .filter(|pause| *pause >= least)
        .ok_or_else(|| Rejection::Invalid(format!("{DURATION}, of at least {} ms", least.as_millis())))
}

fn threshold(value: &str) -> Result<u32, Rejection> {
    let number = value.trim().parse::<u32>().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| invalid("a whole number from 1 to 1000"))
}
