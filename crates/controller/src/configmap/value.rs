//! How the values of honoured keys are read.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use edgeward_routing::policy::block::Pattern;
use edgeward_routing::policy::{BodySize, Faults, HeaderFields, NetworkSet, Retry, Substitution};
use edgeward_routing::template::{Part, Template, Variable};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Configuration, headers};
use crate::annotation::{
    FAULTS, Risk, pair, parse_bool, parse_http_version, parse_kilobytes, parse_load_balance, parse_network,
    parse_seconds,
};

pub(super) type Read = Result<(), String>;

/// A switch. An empty value is off (Go's mapstructure with weakly typed input).
pub(super) fn switch(value: &str) -> Result<bool, String> {
    if value.is_empty() { Ok(false) } else { parse_bool(value).ok_or_else(|| "`true` or `false`".to_owned()) }
}

pub(super) fn seconds(value: &str) -> Result<std::time::Duration, String> {
    parse_seconds(value).ok_or_else(|| "a whole number of seconds of at least 1, without a unit".to_owned())
}

/// A list with commas; empty items are left out.
fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

pub(super) fn ssl_redirect(value: &str, configuration: &mut Configuration) -> Read {
    configuration.ssl_redirect = switch(value)?;
    Ok(())
}

pub(super) fn force_ssl_redirect(value: &str, configuration: &mut Configuration) -> Read {
    configuration.force_ssl_redirect = switch(value)?;
    Ok(())
}

pub(super) fn hsts(value: &str, configuration: &mut Configuration) -> Read {
    configuration.is_hsts_on = switch(value)?;
    Ok(())
}

pub(super) fn hsts_max_age(value: &str, configuration: &mut Configuration) -> Read {
    configuration.hsts.max_age = value.trim().parse().map_err(|_| "a whole number of seconds".to_owned())?;
    Ok(())
}

pub(super) fn hsts_include_subdomains(value: &str, configuration: &mut Configuration) -> Read {
    configuration.hsts.include_subdomains = switch(value)?;
    Ok(())
}

pub(super) fn hsts_preload(value: &str, configuration: &mut Configuration) -> Read {
    configuration.hsts.preload = switch(value)?;
    Ok(())
}

pub(super) fn http_redirect_code(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.redirect_status = match value.trim() {
        "301" => 301,
        "302" => 302,
        "307" => 307,
        "308" => 308,
        _ => return Err("301, 302, 307 or 308".to_owned()),
    };
    Ok(())
}

pub(super) fn no_tls_redirect_locations(value: &str, configuration: &mut Configuration) -> Read {
    configuration.no_tls_redirect = items(value).map(ToOwned::to_owned).collect();
    Ok(())
}

pub(super) fn no_auth_locations(value: &str, configuration: &mut Configuration) -> Read {
    configuration.no_auth = items(value).map(ToOwned::to_owned).collect();
    Ok(())
}

pub(super) fn allow_cross_namespace(value: &str, configuration: &mut Configuration) -> Read {
    configuration.allow_cross_namespace = switch(value)?;
    Ok(())
}

pub(super) fn use_forwarded_headers(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.use_forwarded_headers = switch(value)?;
    Ok(())
}

pub(super) fn enable_real_ip(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.enable_real_ip = switch(value)?;
    Ok(())
}

pub(super) fn compute_full_forwarded_for(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.compute_full_forwarded_for = switch(value)?;
    Ok(())
}

pub(super) fn enable_underscores_in_headers(value: &str, configuration: &mut Configuration) -> Read {
    configuration.passes_underscores = switch(value)?;
    Ok(())
}

pub(super) fn ignore_invalid_headers(value: &str, configuration: &mut Configuration) -> Read {
    configuration.ignores_invalid_headers = switch(value)?;
    Ok(())
}

pub(super) fn forwarded_for_header(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.forwarded_for = header_name(value)?;
    Ok(())
}

/// The name of a header, in lower case.
pub(super) fn header_name(value: &str) -> Result<Box<str>, String> {
    let name = value.trim();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("the name of a header".to_owned());
    }
    Ok(name.to_ascii_lowercase().into())
}

pub(super) fn annotations_risk_level(value: &str, configuration: &mut Configuration) -> Read {
    configuration.risk = Risk::named(value).ok_or_else(|| "`Low`, `Medium`, `High` or `Critical`".to_owned())?;
    Ok(())
}

pub(super) fn allow_snippets(value: &str, configuration: &mut Configuration) -> Read {
    configuration.asks_for_snippets = switch(value)?;
    Ok(())
}

pub(super) fn relative_redirects(value: &str, configuration: &mut Configuration) -> Read {
    configuration.redirect_style.is_relative = switch(value)?;
    Ok(())
}

/// The documentation of ingress-nginx does not have it, its code does (defaults/main.go).
pub(super) fn use_port_in_redirects(value: &str, configuration: &mut Configuration) -> Read {
    configuration.redirect_style.has_port = switch(value)?;
    Ok(())
}

pub(super) fn preserve_trailing_slash(value: &str, configuration: &mut Configuration) -> Read {
    configuration.redirect_style.keeps_slash = switch(value)?;
    Ok(())
}

/// Good networks count even beside bad ones: leaving them out would silently drop real clients' addresses.
pub(super) fn proxy_real_ip_cidr(value: &str, configuration: &mut Configuration) -> Read {
    let mut bad = Vec::new();
    configuration.settings.trusted.clear();
    for item in items(value) {
        match parse_network(item) {
            Some(network) => configuration.settings.trusted.push(network),
            None => bad.push(item),
        }
    }
    configuration.leave_out("networks such as `10.0.0.0/8`, with commas between them", &bad);
    Ok(())
}

pub(super) fn proxy_body_size(value: &str, configuration: &mut Configuration) -> Read {
    configuration.body_size = BodySize::parse(value.trim())
        .ok_or_else(|| "a number of bytes with an optional `k`, `m` or `g`, or `0` for no limit".to_owned())?;
    Ok(())
}

pub(super) fn proxy_connect_timeout(value: &str, configuration: &mut Configuration) -> Read {
    configuration.timeouts.connect = seconds(value)?;
    Ok(())
}

pub(super) fn proxy_read_timeout(value: &str, configuration: &mut Configuration) -> Read {
    configuration.timeouts.read = seconds(value)?;
    Ok(())
}

pub(super) fn proxy_send_timeout(value: &str, configuration: &mut Configuration) -> Read {
    configuration.timeouts.send = seconds(value)?;
    Ok(())
}

pub(super) fn load_balance(value: &str, configuration: &mut Configuration) -> Read {
    configuration.load_balance = parse_load_balance(value).ok_or_else(|| "`round_robin` or `ewma`".to_owned())?;
    Ok(())
}

pub(super) fn service_upstream(value: &str, configuration: &mut Configuration) -> Read {
    configuration.service_upstream = switch(value)?;
    Ok(())
}

/// Good statuses count even beside bad ones (template/configmap.go filterErrors).
pub(super) fn custom_http_errors(value: &str, configuration: &mut Configuration) -> Read {
    let mut bad = Vec::new();
    configuration.error_statuses.clear();
    for item in items(value) {
        match item.parse().ok().filter(|status| (300..600).contains(status)) {
            Some(status) => configuration.error_statuses.push(status),
            None => bad.push(item),
        }
    }
    configuration.error_statuses.sort_unstable();
    configuration.error_statuses.dedup();
    configuration.leave_out("statuses from 300 to 599, with commas between them", &bad);
    Ok(())
}

pub(super) fn disable_proxy_intercept_errors(value: &str, configuration: &mut Configuration) -> Read {
    configuration.keeps_answers = switch(value)?;
    Ok(())
}

pub(super) fn proxy_http_version(value: &str, configuration: &mut Configuration) -> Read {
    configuration.is_http10 = parse_http_version(value).ok_or_else(|| "`1.0` or `1.1`".to_owned())?;
    Ok(())
}

pub(super) fn proxy_next_upstream(value: &str, configuration: &mut Configuration) -> Read {
    configuration.retry.on = Faults::parse(value).ok_or_else(|| FAULTS.to_owned())?;
    Ok(())
}

pub(super) fn proxy_next_upstream_timeout(value: &str, configuration: &mut Configuration) -> Read {
    let seconds = value.trim().parse();
    configuration.retry.seconds = seconds.map_err(|_| "a whole number of seconds, `0` for no limit".to_owned())?;
    Ok(())
}

pub(super) fn proxy_next_upstream_tries(value: &str, configuration: &mut Configuration) -> Read {
    let tries = value.trim().parse().map_err(|_| "a whole number of tries, at most 100".to_owned())?;
    configuration.retry.tries = Retry::tries_of(tries);
    Ok(())
}

pub(super) fn proxy_ssl_location_only(value: &str, configuration: &mut Configuration) -> Read {
    configuration.upstream_tls_of_routes_only = switch(value)?;
    Ok(())
}

pub(super) fn retry_non_idempotent(value: &str, configuration: &mut Configuration) -> Read {
    configuration.retries_non_idempotent = switch(value)?;
    Ok(())
}

/// Networks that guard: all of them, or none where one is wrong. `all` is everybody, as in nginx.
fn networks(value: &str) -> Result<NetworkSet, String> {
    let mut networks: Vec<IpNet> = Vec::new();
    for item in items(value) {
        if item == "all" {
            networks.push(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0).into());
            networks.push(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0).into());
        } else {
            let allowed = || "networks such as `10.0.0.0/8`, with commas between them".to_owned();
            networks.push(parse_network(item).ok_or_else(allowed)?);
        }
    }
    Ok(networks.into_iter().collect())
}

pub(super) fn whitelist_source_range(value: &str, configuration: &mut Configuration) -> Read {
    configuration.allowed = Some(networks(value)?).filter(|networks| !networks.is_empty()).map(Arc::new);
    Ok(())
}

pub(super) fn denylist_source_range(value: &str, configuration: &mut Configuration) -> Read {
    configuration.denied = Some(networks(value)?).filter(|networks| !networks.is_empty()).map(Arc::new);
    Ok(())
}

pub(super) fn block_cidrs(value: &str, configuration: &mut Configuration) -> Read {
    configuration.block.networks = networks(value)?;
    Ok(())
}

pub(super) fn block_user_agents(value: &str, configuration: &mut Configuration) -> Read {
    configuration.block.user_agents = patterns(value)?;
    Ok(())
}

pub(super) fn block_referers(value: &str, configuration: &mut Configuration) -> Read {
    configuration.block.referers = patterns(value)?;
    Ok(())
}

/// Patterns with commas between them, each in quotes where it needs them in nginx's configuration.
pub(super) fn patterns(value: &str) -> Result<Box<[Pattern]>, String> {
    let unquoted = |item: &'_ str| {
        let in_quotes = |quote| item.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).map(str::to_owned);
        in_quotes('"').or_else(|| in_quotes('\'')).unwrap_or_else(|| item.to_owned())
    };
    let pattern = |item| {
        Pattern::parse(&unquoted(item)).ok_or_else(|| {
            format!("plain texts, or regular expressions without look-around and back-references behind `~` or `~*`; not `{item}`")
        })
    };
    items(value).map(pattern).collect()
}

/// The identity of a request is another for each, so that nothing would be counted by it.
pub(super) fn limit_conn_zone_variable(value: &str, configuration: &mut Configuration) -> Read {
    let template = value.trim().parse::<Template>().ok().filter(|key| {
        !key.parts.contains(&Part::Variable(Variable::RequestId))
            && !key.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    });
    let key = template.ok_or_else(|| {
        "variables that tell clients apart, such as `$binary_remote_addr` or `$http_x_api_key`".to_owned()
    })?;
    let is_address = key.parts == [Part::Variable(Variable::RemoteAddr)];
    configuration.settings.limit_key = Some(key).filter(|_| !is_address);
    Ok(())
}

pub(super) fn limit_req_status_code(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.rate_status = refusal_status(value)?;
    Ok(())
}

pub(super) fn limit_conn_status_code(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.connections_status = refusal_status(value)?;
    Ok(())
}

/// A status that nginx refuses with. With 444 and 499 it closes the connection without an answer.
fn refusal_status(value: &str) -> Result<u16, String> {
    let status = value.trim().parse().ok().filter(|status| matches!(status, 400..=599) && !matches!(status, 444 | 499));
    status.ok_or_else(|| "a status from 400 to 599, without 444 and 499".to_owned())
}

pub(super) fn add_headers(value: &str, configuration: &mut Configuration) -> Read {
    configuration.add_headers = named(value)?;
    Ok(())
}

pub(super) fn proxy_set_headers(value: &str, configuration: &mut Configuration) -> Read {
    configuration.set_headers = named(value)?;
    Ok(())
}

fn named(value: &str) -> Result<Option<crate::object::NamespacedName>, String> {
    match headers::name(value) {
        None if !value.is_empty() => Err("`namespace/name` of a ConfigMap".to_owned()),
        name => Ok(name),
    }
}

pub(super) fn allow_backend_server_header(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.passes_server = switch(value)?;
    Ok(())
}

pub(super) fn hide_headers(value: &str, configuration: &mut Configuration) -> Read {
    configuration.settings.hidden_headers = items(value).map(|name| name.to_ascii_lowercase().into()).collect();
    Ok(())
}

/// Good names count even beside bad ones.
pub(super) fn global_allowed_response_headers(value: &str, configuration: &mut Configuration) -> Read {
    let (good, bad): (Vec<_>, Vec<_>) = items(value).partition(|name| HeaderFields::name(name).is_ok());
    configuration.allowed_response_headers = good.into_iter().map(Into::into).collect();
    configuration.leave_out("names of headers, with commas between them", &bad);
    Ok(())
}

/// The two may be read in any order, so that what they come to together is checked when routes are made.
pub(super) fn proxy_redirect_from(value: &str, configuration: &mut Configuration) -> Read {
    Substitution::prefix(value.trim(), "").map_err(|error| error.to_string())?;
    configuration.redirect_from = value.trim().into();
    Ok(())
}

pub(super) fn proxy_redirect_to(value: &str, configuration: &mut Configuration) -> Read {
    Substitution::prefix("~", value.trim()).map_err(|error| error.to_string())?;
    configuration.redirect_to = value.trim().into();
    Ok(())
}

pub(super) fn proxy_cookie_domain(value: &str, configuration: &mut Configuration) -> Read {
    configuration.cookie_domain = pair(value, Substitution::domain)?;
    Ok(())
}

pub(super) fn proxy_cookie_path(value: &str, configuration: &mut Configuration) -> Read {
    configuration.cookie_path = pair(value, Substitution::prefix)?;
    Ok(())
}

pub(super) fn limit_rate(value: &str, configuration: &mut Configuration) -> Read {
    configuration.rate = kilobytes(value)?;
    Ok(())
}

pub(super) fn limit_rate_after(value: &str, configuration: &mut Configuration) -> Read {
    configuration.rate_after = kilobytes(value)?;
    Ok(())
}

fn kilobytes(value: &str) -> Result<u64, String> {
    parse_kilobytes(value).ok_or_else(|| "a whole number of kilobytes".to_owned())
}

pub(super) fn disable_access_log(value: &str, configuration: &mut Configuration) -> Read {
    configuration.is_log_off |= switch(value)?;
    Ok(())
}

pub(super) fn proxy_request_buffering(value: &str, configuration: &mut Configuration) -> Read {
    configuration.streams_request = match value.trim() {
        "on" => false,
        "off" => true,
        _ => return Err("`on` or `off`".to_owned()),
    };
    Ok(())
}
