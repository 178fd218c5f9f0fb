//! How often one client may ask.

use std::sync::Arc;

use edgeward_routing::policy::limits::{Rate, Zone};
use edgeward_routing::policy::{Limits, NetworkSet};

use super::network::{NETWORKS, parse_networks};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Limits on clients",
    doc: "How often one client may ask.",
    annotations: &[
        Annotation::honoured("limit-allowlist", Scope::Route, allowlist, "Networks that the limits do not count.")
            .aliased(&["limit-whitelist"]),
        Annotation::honoured(
            "limit-burst-multiplier",
            Scope::Route,
            burst_multiplier,
            "How many times its rate a client may be above it (default 5); `0` for no burst.",
        ),
        Annotation::honoured(
            "limit-connections",
            Scope::Route,
            |value, settings| number(value, &mut settings.limits.connections),
            "Requests that one client address may have under way; others get 503.",
        ),
        Annotation::honoured(
            "limit-rpm",
            Scope::Route,
            |value, settings| number(value, &mut settings.limits.per_minute),
            "Requests per minute that one client address may send; others get 503.",
        ),
        Annotation::honoured(
            "limit-rps",
            Scope::Route,
            |value, settings| number(value, &mut settings.limits.per_second),
            "Requests per second that one client address may send; others get 503.",
        ),
    ],
};

/// What an Ingress asks for. 0 is no limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LimitSettings {
    /// `limit-rps`.
    pub per_second: u64,
    /// `limit-rpm`.
    pub per_minute: u64,
    /// `limit-connections`.
    pub connections: u64,
    /// `limit-burst-multiplier`.
    pub burst_multiplier: Option<u64>,
    /// `limit-allowlist`.
    pub exempt: NetworkSet,
}

impl LimitSettings {
    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        (self.per_second, self.per_minute, self.connections) != (0, 0, 0)
    }

    /// The limits, which count in this zone.
    pub fn limits(&self, zone: Arc<Zone>) -> Limits {
        // ratelimit/main.go defBurst.
        let burst = |rate: u64| rate.saturating_mul(self.burst_multiplier.unwrap_or(5));
        let some = |number: u64| Some(number).filter(|number| *number > 0);
        Limits {
            zone,
            per_second: some(self.per_second).map(|rate| Rate::per_second(rate, burst(rate))),
            per_minute: some(self.per_minute).map(|rate| Rate::per_minute(rate, burst(rate))),
            connections: some(self.connections).map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
            exempt: self.exempt.clone(),
        }
    }
}

const NUMBER: &str = "a whole number; `0` is no limit";

/// A number as Go reads one. One below 0 is no limit, as in ingress-nginx (recorded: c220), and so is an empty value.
fn number(value: &str, setting: &mut u64) -> Result<(), Rejection> {
    if value.is_empty() {
        return Err(invalid(NUMBER));
    }
    let number: i64 = value.parse().map_err(|_| Rejection::Drops(NUMBER.to_owned()))?;
    *setting = u64::try_from(number).unwrap_or_default();
    Ok(())
}

/// What is no number is taken for the default (ratelimit/main.go). nginx refuses a burst of 0 or less, and with it every change of
/// its configuration; here 0 is no burst.
fn burst_multiplier(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let number = value.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok());
    settings.limits.burst_multiplier = Some(number.ok_or_else(|| invalid("a whole number of at least 0"))?);
    Ok(())
}

fn allowlist(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    if value.is_empty() {
        return Err(invalid(NETWORKS));
    }
    settings.limits.exempt = parse_networks(value).ok_or_else(|| Rejection::Drops(NETWORKS.to_owned()))?;
    Ok(())
}
