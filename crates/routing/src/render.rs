//! A short, sorted, human rendering of a snapshot: what golden tests compare and the admin page shows.

use std::fmt::Write;

use crate::backend::{Backend, HealthCheck, LoadBalance, Probe};
use crate::endpoint::Readiness;
use crate::policy::cors::{Cors, Origins};
use crate::policy::{BackendProtocol, BodySize, Policies, RedirectStyle, Satisfy, SslRedirect, Timeouts};
use crate::route::Target;
use crate::snapshot::Snapshot;

/// Renders everything that routing depends on. Equal snapshots give equal text, whatever the order they were built in;
/// the generation and living state (health, counts) are not part of it.
pub fn render(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let mut hosts: Vec<_> = snapshot.routes.hosts().iter().collect();
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
        render_backend(&mut out, backend);
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

fn render_backend(out: &mut String, backend: &Backend) {
    let balance = match &backend.load_balance {
        LoadBalance::RoundRobin => "round robin".to_owned(),
        LoadBalance::LeastRequest => "least request".to_owned(),
        LoadBalance::PeakEwma => "peak EWMA".to_owned(),
        LoadBalance::ConsistentHash(template) => format!("hash of {template}"),
    };
    let slow_start =
        if backend.slow_start.is_zero() { String::new() } else { format!(", slow start {:?}", backend.slow_start) };
    let health = backend.health_check.as_ref().map_or_else(String::new, health_check);
    line(out, format_args!("backend {}: {balance}{slow_start}{health}", backend.name));
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
    if let Some(host) = &policies.host {
        if let Some(root) = &host.app_root {
            let _ = write!(out, " [app-root {root}]");
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
    if policies.redirect_style != RedirectStyle::default() {
        let RedirectStyle { is_relative, has_port, keeps_slash } = policies.redirect_style;
        let _ = write!(out, " [redirects relative {is_relative} port {has_port} slash {keeps_slash}]");
    }
    access(policies, &mut out);
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

#[cfg(test)]
mod tests;
