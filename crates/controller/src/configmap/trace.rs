//! Keys about traces.

use std::time::Duration;

use edgeward_routing::log_format::{Escape, LogFormat};
use edgeward_routing::settings::Sampled;

use super::Configuration;
use super::connection::positive;
use super::value::{Read, switch};

/// Spans that may be asked to wait at most: each takes about a kilobyte.
const LONGEST_QUEUE: u32 = 1 << 16;

/// Milliseconds that they may be asked to wait at most: a change of the settings counts once a wait is over.
const LONGEST_DELAY: u32 = 60_000;

/// What is asked for of traces, where it is not about all spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tracing {
    /// Whether requests are traced (`enable-opentelemetry`).
    pub(crate) is_on: bool,
    /// Whether the traces of clients go on here.
    pub(crate) trusts_client: bool,
    /// The name of spans.
    pub(crate) operation: Option<LogFormat>,
    /// Where the collector is, without the port: a scheme and a host.
    collector: Option<(&'static str, Box<str>)>,
    port: u16,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { is_on: false, trusts_client: true, operation: None, collector: None, port: 4317 }
    }
}

impl Tracing {
    /// The URL of the collector, if there is a word of it.
    pub(super) fn collector(&self) -> Option<Box<str>> {
        let (scheme, host) = self.collector.as_ref()?;
        Some(format!("{scheme}://{host}:{}", self.port).into())
    }
}

pub(super) fn enable(value: &str, configuration: &mut Configuration) -> Read {
    configuration.tracing.is_on = switch(value)?;
    Ok(())
}

pub(super) fn trust_incoming_span(value: &str, configuration: &mut Configuration) -> Read {
    configuration.tracing.trusts_client = switch(value)?;
    Ok(())
}

pub(super) fn operation_name(value: &str, configuration: &mut Configuration) -> Read {
    configuration.tracing.operation = match value {
        "" => None,
        text => Some(
            LogFormat::parse_constant(text, Escape::None)
                .map_err(|_| "text with variables that `log-format-upstream` knows".to_owned())?,
        ),
    };
    Ok(())
}

/// The name or the address of a host, with or without a scheme before it: `http`, or `https` for TLS.
pub(super) fn collector_host(value: &str, configuration: &mut Configuration) -> Read {
    let value = value.trim();
    let (scheme, host) = match value.strip_prefix("https://") {
        Some(host) => ("https", host),
        None => ("http", value.strip_prefix("http://").unwrap_or(value)),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    configuration.tracing.collector = match (host, bracketed) {
        ("", _) if value.is_empty() => None,
        (_, Some(address)) if is_address(address) => Some((scheme, host.into())),
        (address, None) if is_address(address) => Some((scheme, format!("[{address}]").into())),
        (name, None) if !name.is_empty() && name.bytes().all(is_name) => Some((scheme, name.into())),
        _ => return Err("the name or the address of a host".to_owned()),
    };
    Ok(())
}

pub(super) fn collector_port(value: &str, configuration: &mut Configuration) -> Read {
    let port = value.trim().parse().ok().filter(|port| *port > 0);
    configuration.tracing.port = port.ok_or_else(|| "a port".to_owned())?;
    Ok(())
}

pub(super) fn service_name(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.trace.service = Some(value.trim()).filter(|name| !name.is_empty()).map(Into::into);
    Ok(())
}

pub(super) fn sampler(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.trace.sampler.traces = match value.trim() {
        "AlwaysOn" => Sampled::All,
        "AlwaysOff" => Sampled::None,
        "TraceIdRatioBased" => Sampled::Ratio,
        _ => return Err("`AlwaysOn`, `AlwaysOff` or `TraceIdRatioBased`".to_owned()),
    };
    Ok(())
}

pub(super) fn sampler_ratio(value: &str, configuration: &mut Configuration) -> Read {
    let ratio = value.trim().parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    configuration.settings.trace.sampler.ratio = ratio.ok_or_else(|| "a number from 0 to 1".to_owned())?;
    Ok(())
}

pub(super) fn sampler_parent_based(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.trace.sampler.follows_parent = switch(value)?;
    Ok(())
}

pub(super) fn max_queue_size(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.trace.queue = at_most(LONGEST_QUEUE, value)? as usize;
    Ok(())
}

pub(super) fn schedule_delay(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.trace.delay = Duration::from_millis(at_most(LONGEST_DELAY, value)?.into());
    Ok(())
}

pub(super) fn max_batch_size(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.trace.batch = at_most(LONGEST_QUEUE, value)? as usize;
    Ok(())
}

fn at_most(most: u32, value: &str) -> Result<u32, String> {
    positive(value).ok().filter(|number| *number <= most).ok_or_else(|| format!("a whole number from 1 to {most}"))
}
