//! Keys about connections: with clients, what counts for those that are opened after a change, and with endpoints.

use std::time::Duration;

use edgeward_routing::policy::BodySize;
use edgeward_routing::settings::{Group, TlsSettings, TlsVersion};

use super::Configuration;
use super::value::{Read, seconds, switch};
use crate::annotation::{CIPHERS, parse_ciphers};

/// The largest request head that can be asked for, in bytes: every connection may hold as much.
const LARGEST_HEAD: usize = 1 << 20;

/// The longest time, about 68 years: any end of it can be told.
const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);

pub(super) fn positive(value: &str) -> Result<u32, String> {
    let number = value.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a whole number of at least 1".to_owned())
}

/// Zero ends a connection behind its first request.
pub(super) fn keep_alive(value: &str, configuration: &mut Configuration) -> Read {
    let seconds: Option<u32> = value.trim().parse().ok();
    let seconds = seconds.ok_or_else(|| "a whole number of seconds, `0` for one request a connection".to_owned())?;
    configuration.settings.limits.keepalive_idle = Duration::from_secs(seconds.into());
    Ok(())
}

/// nginx takes 0 for 1: the first request is the last.
pub(super) fn keep_alive_requests(value: &str, configuration: &mut Configuration) -> Read {
    let requests: Option<u32> = value.trim().parse().ok();
    let requests = requests.ok_or_else(|| "a whole number of requests".to_owned())?;
    configuration.settings.limits.keepalive_requests = requests.max(1);
    Ok(())
}

pub(super) fn client_header_timeout(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.limits.header_timeout = seconds(value)?;
    Ok(())
}

pub(super) fn client_body_timeout(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.limits.body_timeout = seconds(value)?;
    Ok(())
}

/// No line is longer than a buffer, and all of them together take no more than all buffers.
pub(super) fn large_client_header_buffers(value: &str, configuration: &mut Configuration) -> Read {
    let buffers = || {
        let mut words = value.split_ascii_whitespace();
        let (number, size, None) = (words.next()?, words.next()?, words.next()) else { return None };
        let number = number.parse::<usize>().ok().filter(|number| *number > 0)?;
        let size = usize::try_from(BodySize::parse(size)?.0?).ok()?;
        let total = number.checked_mul(size).filter(|total| *total <= LARGEST_HEAD)?;
        Some((size, total))
    };
    let allowed = || "a number and a size, such as `4 8k`, that come to no more than `1m`".to_owned();
    let (size, total) = buffers().ok_or_else(allowed)?;
    let limits = &mut configuration.settings.limits;
    (limits.uri_bytes, limits.line_bytes, limits.header_bytes) = (size, size, total);
    Ok(())
}

pub(super) fn http2_max_concurrent_streams(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.limits.h2_streams = positive(value)?;
    Ok(())
}

pub(super) fn use_http2(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.tls.http2 = switch(value)?;
    Ok(())
}

pub(super) fn use_proxy_protocol(value: &str, configuration: &mut Configuration) -> Read {
    let enabled = switch(value)?;
    configuration.settings.proxy_protocol.enabled = enabled;
    configuration.asks_for_proxy_protocol = enabled;
    Ok(())
}

pub(super) fn proxy_protocol_header_timeout(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.proxy_protocol.timeout = duration(value)?;
    Ok(())
}

/// A time as nginx and Go write it.
pub(super) fn duration(value: &str) -> Result<Duration, String> {
    let time = time(value).filter(|time| !time.is_zero());
    time.ok_or_else(|| "a time of more than nothing, such as `5s` or `1h30m`".to_owned())
}

/// Numbers with their units, the largest first; without one a number is of seconds (ngx_parse_time).
fn time(text: &str) -> Option<Duration> {
    let (mut rest, mut last, mut total) = (text.trim(), u64::MAX, Duration::ZERO);
    while !rest.is_empty() {
        let (digits, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, behind) = behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
        let milliseconds = match unit.trim() {
            "ms" => 1,
            "s" | "" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 24 * 3_600_000,
            "w" => 7 * 24 * 3_600_000,
            "M" => 30 * 24 * 3_600_000,
            "y" => 365 * 24 * 3_600_000,
            _ => return None,
        };
        let number: u32 = digits.parse().ok().filter(|_| milliseconds < last)?;
        total = total.checked_add(Duration::from_millis(milliseconds.checked_mul(number.into())?))?;
        (rest, last) = (behind, milliseconds);
    }
    Some(total).filter(|total| *total <= LONGEST)
}

/// What OpenSSL has and the TLS library has not is left out: it is older than TLS 1.2.
pub(super) fn ssl_protocols(value: &str, configuration: &mut Configuration) -> Read {
    let version = |name: &str| match name {
        "TLSv1.2" => Some(TlsVersion::V1_2),
        "TLSv1.3" => Some(TlsVersion::V1_3),
        _ => None,
    };
    let (known, unknown) = sorted(value.split_ascii_whitespace(), version);
    if let (Some(oldest), Some(newest)) = (known.iter().min(), known.iter().max()) {
        let tls = &mut configuration.settings.tls;
        (tls.min_version, tls.max_version) = (*oldest, *newest);
    }
    all_known(configuration, &known, &unknown, "`TLSv1.2`, `TLSv1.3` or both, with a blank between them")
}

pub(super) fn ssl_ciphers(value: &str, configuration: &mut Configuration) -> Read {
    let (known, unknown) = parse_ciphers(value);
    if !known.is_empty() {
        configuration.settings.tls.ciphers = Some(known.as_slice().into());
    }
    all_known(configuration, &known, &unknown, CIPHERS)
}

pub(super) fn ssl_ecdh_curve(value: &str, configuration: &mut Configuration) -> Read {
    let tls = &mut configuration.settings.tls;
    if value.trim() == "auto" {
        tls.groups = None;
        return Ok(());
    }
    let offered =
        |name: &str| Group::of_openssl(name).filter(|group| tls.post_quantum || *group != Group::X25519MlKem768);
    let (known, unknown) = sorted(value.trim().split(':'), offered);
    // The hybrid is for TLS 1.3 alone, which not every client speaks.
    if known.iter().any(|group| *group != Group::X25519MlKem768) {
        tls.groups = Some(known.as_slice().into());
    }
    all_known(
        configuration,
        &known,
        &unknown,
        "`auto`, or `X25519`, `prime256v1`, `secp384r1` and `X25519MLKEM768`, with colons between them",
    )
}

/// The words that mean something, and those that mean nothing.
fn sorted<'a, T>(words: impl Iterator<Item = &'a str>, meaning: impl Fn(&str) -> Option<T>) -> (Vec<T>, Vec<&'a str>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for word in words {
        match meaning(word) {
            Some(meaning) => known.push(meaning),
            None => unknown.push(word),
        }
    }
    (known, unknown)
}

/// Good ones count even beside bad ones.
fn all_known<T>(configuration: &mut Configuration, known: &[T], unknown: &[&str], allowed: &str) -> Read {
    match (known, unknown) {
        ([], []) => Err(allowed.to_owned()),
        ([], _) => Err(format!("{allowed}, and not `{}`", unknown.join("`, `"))),
        (_, unknown) => {
            configuration.leave_out(allowed, unknown);
            Ok(())
        }
    }
}

/// What comes early could be played again by others; it is never taken.
pub(super) fn ssl_early_data(value: &str, _: &mut Configuration) -> Read {
    match switch(value) {
        Ok(false) => Ok(()),
        _ => Err("`false`: early data can be replayed, and is never taken".to_owned()),
    }
}

pub(super) fn ssl_reject_handshake(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.tls.rejects_unknown = switch(value)?;
    Ok(())
}

pub(super) fn ssl_session_tickets(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.tls.tickets = switch(value)?;
    Ok(())
}

/// Without the key it is twelve hours, other than in ingress-nginx, whose ten minutes are those of a cache.
pub(super) fn ssl_session_timeout(value: &str, configuration: &mut Configuration) -> Read {
    let time = time(value).filter(|time| *time >= Duration::from_secs(1) && *time <= TlsSettings::LONGEST_TICKET);
    configuration.settings.tls.ticket_lifetime =
        time.ok_or_else(|| "a time from `1s` to `24h`, such as `10m`".to_owned())?;
    Ok(())
}

pub(super) fn upstream_keepalive_connections(value: &str, configuration: &mut Configuration) -> Read {
    let connections = value.trim().parse().map_err(|_| "a whole number of connections, `0` for none".to_owned())?;
    configuration.settings.upstream_pool.connections = connections;
    Ok(())
}

pub(super) fn upstream_keepalive_requests(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.upstream_pool.requests = Some(positive(value)?);
    Ok(())
}

pub(super) fn upstream_keepalive_time(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.upstream_pool.age = Some(duration(value)?);
    Ok(())
}

pub(super) fn upstream_keepalive_timeout(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.upstream_pool.idle = seconds(value)?;
    Ok(())
}

pub(super) fn worker_shutdown_timeout(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.drain_timeout = Some(duration(value)?);
    Ok(())
}
