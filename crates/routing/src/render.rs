//! A short, sorted, human rendering of a snapshot: what golden tests compare and the admin page shows.

use std::fmt::Write;

use crate::affinity::{Affinity, AffinityMode};
use crate::backend::{Backend, Backends, HealthCheck, LoadBalance, Probe};
use crate::canary::{Canary, HeaderValue};
use crate::endpoint::Readiness;
use crate::policy::cors::{Cors, Origins};
use crate::policy::external_auth::{AuthUrl, ExternalAuth};
use crate::policy::{
    BackendProtocol, BodySize, HeaderFields, Mirror, Pace, Policies, RedirectStyle, Retry, Satisfy, SslRedirect,
    Timeouts,
};
use crate::route::Target;
use crate::snapshot::Snapshot;

/// Renders everything that routing depends on. Equal snapshots give equal text, whatever the order they were built in;
/// the generation and living state (health, counts) are not part of it.
pub fn render(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let mut hosts: Vec<_> = snapshot.routes.hosts().collect();
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    for host in hosts {
        let certificate = if host.has_certificate { " (certificate configured)" } else { "" };
        line(&mut out, format_args!("host {}{certificate}", host.host));
        let mut routes: Vec<_> = host.routes().iter().collect();
        routes.sort_by(|a, b| a.path.cmp(&b.path));
        for route in routes {
            let target = match route.target {
                Target::Backend(id) => snapshot.backends.by_id(id).map_or("?", |backend| &backend.name),
                Target::Default => "default backend",
            };
            let fallback = if route.fallback { " (fallback)" } else { "" };
            line(&mut out, format_args!("  {} -> {target}{fallback}{}", route.path, policies(&route.policies)));
            line(&mut out, format_args!("    {}", route.origin));
        }
    }
    let mut backends: Vec<_> = snapshot.backends.all().iter().collect();
    backends.sort_by(|a, b| a.key.cmp(&b.key));
    for backend in backends {
        render_backend(&mut out, backend, &snapshot.backends);
    }
    if let Some(backend) = snapshot.default_backend.and_then(|id| snapshot.backends.by_id(id)) {
        line(&mut out, format_args!("default backend {}", backend.name));
    }
    for (host, certificate) in &snapshot.certificates.by_host {
        let origin = certificate.origin.as_ref().map_or_else(|| "generated".to_owned(), ToString::to_string);
        line(&mut out, format_args!("certificate {host} {} ({origin})", certificate.subject));
    }
    if let Some(certificate) = &snapshot.certificates.default {
        line(&mut out, format_args!("default certificate {}", certificate.subject));
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn render_backend(out: &mut String, backend: &Backend, all: &Backends) {
    let balance = match &backend.load_balance {
        LoadBalance::RoundRobin => "round robin".to_owned(),
        LoadBalance::LeastRequest => "least request".to_owned(),
        LoadBalance::PeakEwma => "peak EWMA".to_owned(),
        LoadBalance::ConsistentHash(template) => format!("hash of {template}"),
        LoadBalance::SubsetHash(template, size) => format!("hash of {template} in groups of {size}"),
    };
    let slow_start =
        if backend.slow_start.is_zero() { String::new() } else { format!(", slow start {:?}", backend.slow_start) };
    let health = backend.health_check.as_ref().map_or_else(String::new, health_check);
    line(out, format_args!("backend {}: {balance}{slow_start}{health}", backend.name));
    if let Some(affinity) = &backend.affinity {
        line(out, format_args!("  affinity {}", self::affinity(affinity)));
    }
    if let Some(canary) = &backend.canary {
        line(out, format_args!("  canary {}", self::canary(canary, all)));
    }
    if backend.is_service_upstream {
        line(out, format_args!("  the address of the Service"));
    }
    if backend.endpoints.is_empty() {
        line(out, format_args!("  no endpoints"));
    }
    for endpoint in &backend.endpoints {
        let readiness = match endpoint.readiness {
            Readiness::Ready => "",
            Readiness::Terminating => " (terminating)",
        };
        line(out, format_args!("  {}{readiness}", endpoint.addr));
    }
}

fn health_check(check: &HealthCheck) -> String {
    let probe = match &check.probe {
        Probe::Tcp => "tcp".to_owned(),
        Probe::Http { path, host, expected } => {
            let host = host.as_ref().map_or_else(String::new, |host| format!(" host {host}"));
            format!("http {path}{host} {}-{}", expected.0, expected.1)
        }
    };
    let port = check.port.map_or_else(String::new, |port| format!(" port {port}"));
    format!(
        ", health check {probe}{port} every {:?} within {:?}, {} up {} down",
        check.interval, check.timeout, check.healthy_threshold, check.unhealthy_threshold
    )
}

fn affinity(affinity: &Affinity) -> String {
    let cookie = &*affinity.cookie;
    let mode = match affinity.mode {
        AffinityMode::Balanced => "balanced",
        AffinityMode::Persistent => "persistent",
    };
    let mut out = format!("{mode}, cookie `{}`", cookie.name);
    let seconds = [("Expires", cookie.expires), ("Max-Age", cookie.max_age)];
    for (name, seconds) in seconds.into_iter().filter_map(|(name, seconds)| Some((name, seconds?))) {
        let _ = write!(out, " {name}={seconds}");
    }
    let texts = [("Domain", &cookie.domain), ("Path", &cookie.path)];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        let _ = write!(out, " {name}={text}");
    }
    if cookie.is_secure {
        out.push_str(" Secure");
    }
    if let Some(same_site) = cookie.same_site {
        let _ = write!(out, " SameSite={}", same_site.as_str());
    }
    if cookie.spares_old_clients {
        out.push_str(", spares old clients");
    }
    if cookie.changes_on_failure {
        out.push_str(", changes on failure");
    }
    out
}

fn canary(canary: &Canary, all: &Backends) -> String {
    let rule = &*canary.rule;
    let mut out = all.by_id(canary.backend).map_or_else(|| "?".to_owned(), |backend| backend.name.to_string());
    if let Some(header) = &rule.header {
        let _ = match &header.value {
            HeaderValue::AlwaysOrNever => write!(out, ", header {}", header.name),
            HeaderValue::Equal(value) => write!(out, ", header {} = {value}", header.name),
            HeaderValue::Match(pattern) => write!(out, ", header {} ~ {}", header.name, pattern.as_str()),
        };
    }
    if let Some(cookie) = &rule.cookie {
        let _ = write!(out, ", cookie {cookie}");
    }
    let (part, whole) = rule.weight.parts();
    let _ = write!(out, ", {part} of {whole}");
    out
}

/// The policies that differ from their defaults.
fn policies(policies: &Policies) -> String {
    let mut out = String::new();
    if let Some(reason) = &policies.closed {
        let _ = write!(out, " [closed: {reason}]");
    }
    match policies.ssl_redirect {
        SslRedirect::Off => {}
        SslRedirect::WithCertificate => out.push_str(" [ssl-redirect]"),
        SslRedirect::Always => out.push_str(" [force-ssl-redirect]"),
    }
    if policies.body_size != BodySize::default() {
        let _ = match policies.body_size.0 {
            Some(bytes) => write!(out, " [body {bytes}]"),
            None => write!(out, " [body unlimited]"),
        };
    }
    if policies.protocol != BackendProtocol::default() {
        let _ = write!(out, " [{:?}]", policies.protocol);
    }
    if policies.timeouts != Timeouts::default() {
        let Timeouts { connect, send, read } = policies.timeouts;
        let _ = write!(out, " [timeouts connect {connect:?} send {send:?} read {read:?}]");
    }
    if policies.retry != Retry::default() {
        let Retry { on, tries, seconds } = policies.retry;
        let _ = write!(out, " [retry {on}, {tries} tries within {seconds} s]");
    }
    if let Some(request) = &policies.upstream_request {
        if let Some(host) = &request.host {
            let _ = write!(out, " [host {host}]");
        }
        if request.is_http10 {
            out.push_str(" [HTTP/1.0]");
        }
        if let Some(option) = request.connection {
            let _ = write!(out, " [connection {}]", option.as_str());
        }
    }
    if let Some(tls) = &policies.upstream_tls {
        let _ = write!(out, " [TLS to {}{}", tls.name, if tls.sends_name { " (sent)" } else { "" });
        if tls.verifies {
            let _ = write!(out, ", verified by {} at depth {}", tls.authorities.len(), tls.depth);
        }
        if let Some(identity) = &tls.identity {
            let _ = write!(out, ", as {}", identity.subject);
        }
        for (version, _) in [("1.2", tls.tls12), ("1.3", tls.tls13)].iter().filter(|(_, is_on)| *is_on) {
            let _ = write!(out, ", {version}");
        }
        for suite in &tls.suites {
            let _ = write!(out, ", {suite}");
        }
        out.push(']');
    }
    if let Some(mirror) = &policies.mirror {
        let Mirror { is_tls, authority, path, host, has_body } = &**mirror;
        let (scheme, body) = (if *is_tls { "https" } else { "http" }, if *has_body { "" } else { " without body" });
        let _ = write!(out, " [mirror {scheme}://{authority}{path} as {host}{body}]");
    }
    if let Some(pages) = &policies.error_pages {
        let statuses: Vec<_> = pages.statuses.iter().map(u16::to_string).collect();
        let who = pages.backend.as_ref().map_or_else(|| "default backend".to_owned(), ToString::to_string);
        let whose = if pages.intercepts { "" } else { " of its own" };
        let _ = write!(out, " [errors{whose} {} -> {who}]", statuses.join(" "));
    }
    if let Some(backend) = &policies.stand_in {
        let _ = write!(out, " [stand-in {backend}]");
    }
    if let Some(host) = &policies.host {
        if let Some(root) = &host.app_root {
            let _ = write!(out, " [app-root {root}]");
        }
        if let Some(reason) = &host.refused {
            let _ = write!(out, " [refused: {reason}]");
        }
        if let Some(asked) = &host.client_certificates {
            let _ = write!(out, " [client certificates {} {:?}", asked.verify.as_str(), asked.authority);
            if let Some(subject) = &asked.subject {
                let _ = write!(out, " subject {subject}");
            }
            if let Some(page) = &asked.error_page {
                let _ = write!(out, " page {page}");
            }
            out.push_str(if asked.passes_certificate { " passed on]" } else { "]" });
        }
        if let Some(passthrough) = &host.passthrough {
            let _ = write!(out, " [passes TLS to {}]", passthrough.backend);
        }
        if !host.tls.is_empty() {
            let _ = write!(out, " [ciphers {:?} own order {:?}]", host.tls.ciphers, host.tls.prefers_own_order);
        }
        if let Some(name) = &host.other_name {
            let _ = write!(out, " [redirect to {name}]");
        }
    }
    if let Some(redirect) = &policies.redirect {
        let _ = write!(out, " [redirect {} {}]", redirect.status, redirect.location);
    }
    if let Some(rewrite) = &policies.rewrite {
        let _ = write!(out, " [rewrite to {}", rewrite.target());
        if let Some(prefix) = rewrite.prefix() {
            let _ = write!(out, " prefix {prefix}");
        }
        out.push(']');
    }
    if policies.streams_request {
        out.push_str(" [streams requests]");
    }
    if let Some(auth) = &policies.basic_auth {
        let _ = write!(out, " [basic auth {:?} {:?}]", auth.realm, auth.users);
    }
    if let Some(auth) = &policies.digest_auth {
        let _ = write!(out, " [digest auth {:?} {:?}]", auth.realm, auth.users);
    }
    if let Some(auth) = &policies.external_auth {
        out.push_str(&external_auth(auth));
    }
    if policies.sets_session {
        out.push_str(" [session cookie]");
    }
    if policies.redirect_style != RedirectStyle::default() {
        let RedirectStyle { is_relative, has_port, keeps_slash } = policies.redirect_style;
        let _ = write!(out, " [redirects relative {is_relative} port {has_port} slash {keeps_slash}]");
    }
    access(policies, &mut out);
    if policies.is_unlogged {
        out.push_str(" [unlogged]");
    }
    if let Some(trace) = &policies.trace {
        let _ = write!(out, " [traced");
        if let Some(operation) = &trace.operation {
            let _ = write!(out, " as {}", operation.text());
        }
        out.push_str(if trace.trusts_client { " in the trace of the client]" } else { "]" });
    }
    if let Some(response) = &policies.response {
        for (name, value) in response.headers.iter().flat_map(HeaderFields::iter) {
            let _ = write!(out, " [response {name}: {value}]");
        }
        if let Some(Pace { rate, after }) = response.pace {
            let _ = write!(out, " [pace {rate} after {after}]");
        }
        let replaced = [
            ("redirect", &response.redirect),
            ("cookie domain", &response.cookie_domain),
            ("cookie path", &response.cookie_path),
        ];
        for (what, replacement) in replaced {
            if let Some(replacement) = replacement {
                let _ = write!(out, " [replaces {what} {replacement}]");
            }
        }
    }
    out
}

/// The policies about who may ask, and how much.
fn access(policies: &Policies, out: &mut String) {
    if let Some(Cors { origins, allow_credentials, methods, headers, expose, max_age }) = policies.cors.as_deref() {
        let origins = match origins {
            Origins::Any => "*".to_owned(),
            Origins::Listed(patterns) => patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        };
        let credentials = if *allow_credentials { " credentials" } else { "" };
        let expose = expose.as_ref().map_or_else(String::new, |expose| format!(" expose {expose}"));
        let _ = write!(out, " [cors {origins}{credentials} methods {methods} headers {headers}{expose} age {max_age}]");
    }
    if let Some(limits) = &policies.limits {
        let _ = write!(out, " [limits of {}", limits.zone.name());
        for (rate, unit) in [(limits.per_second, "second"), (limits.per_minute, "minute")] {
            if let Some(rate) = rate {
                let _ = write!(out, " {unit} {rate}");
            }
        }
        if let Some(connections) = limits.connections {
            let _ = write!(out, " connections {connections}");
        }
        if !limits.exempt.is_empty() {
            let _ = write!(out, " but {}", limits.exempt);
        }
        out.push(']');
    }
    if let Some(networks) = &policies.networks {
        for (set, word) in [(&networks.denied, "deny"), (&networks.allowed, "allow")] {
            if let Some(set) = set {
                let _ = write!(out, " [{word} {set}]");
            }
        }
    }
    if policies.satisfy == Satisfy::Any {
        out.push_str(" [one guard is enough]");
    }
}

/// The service that is asked.
fn external_auth(auth: &ExternalAuth) -> String {
    let AuthUrl { scheme, host, port, path } = &auth.url;
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let method = auth.method.as_deref().unwrap_or("GET");
    let mut out = format!(" [external auth {method} {scheme:?} {host}{port}{path}");
    if let Some(sign_in) = &auth.sign_in {
        let _ = write!(out, " sign-in {sign_in}");
    }
    if let Some(redirect) = &auth.request_redirect {
        let _ = write!(out, " redirect {redirect}");
    }
    if !auth.response_headers.is_empty() {
        let names: Vec<&str> = auth.response_headers.iter().map(|field| &*field.name).collect();
        let _ = write!(out, " gives {}", names.join(","));
    }
    // Their values may be secret.
    let names: Vec<_> = auth.set_headers.iter().map(|(name, _)| &**name).collect();
    if !names.is_empty() {
        let _ = write!(out, " gets {}", names.join(","));
    }
    if auth.always_set_cookie {
        out.push_str(" cookies always");
    }
    if let Some(cache) = &auth.cache {
        let _ = write!(out, " kept by {} for {:?}", cache.key, cache.times);
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests;
