//! The request decision: from a snapshot, what is known of the connection, and the request head to what to do.
//!
//! The order is fixed, and it is ingress-nginx's where that has one (row 23 of its semantics, as its recorded answers
//! correct it): malformed requests, method, host, path, closed routes, declared body size, missing slash, redirect to
//! HTTPS, then the backend.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::backend::Backend;
use crate::forward::Forwarded;
use crate::host::{Host, HostPattern};
use crate::path::NormalizedPath;
use crate::policy::SslRedirect;
use crate::route::{Route, Target};
use crate::snapshot::Snapshot;
use crate::table::RouteMatch;

/// What is known of the downstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downstream {
    /// The client's address: the peer's, or what a trusted PROXY protocol header said.
    pub client: IpAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// The port that it came in on: the local one, or what a trusted PROXY protocol header said.
    pub port: u16,
}

/// The request head, as the engines give it. Header names are lower case.
pub trait RequestHead {
    /// The method, as sent.
    fn method(&self) -> &str;
    /// The request target, as sent: origin-form, absolute-form or `*`.
    fn target(&self) -> &str;
    /// The authority: of an absolute-form target or `:authority`, else the `Host` header.
    fn authority(&self) -> Option<&str>;
    /// Whether the protocol version demands an authority: everything but HTTP/1.0.
    fn requires_authority(&self) -> bool;
    /// The values of all headers of a name, in order.
    fn header_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a;

    /// The first value of a header.
    fn header<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.header_values(name).next()
    }

    /// The declared length of the body in bytes, if it is declared.
    fn content_length(&self) -> Option<u64> {
        std::str::from_utf8(self.header("content-length")?).ok()?.trim().parse().ok()
    }
}

/// Why the proxy answers by itself, or why an upstream answer failed. One word for the access log and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// 404: no rule names the host.
    NoHost,
    /// 404: the host has rules, but none takes the path.
    NoRoute,
    /// 400: the host is missing or malformed.
    BadHost,
    /// 400: the path cannot be normalised.
    BadPath,
    /// 400: the method is not upper-case letters, `-` and `_`.
    BadMethod,
    /// 405: TRACE or CONNECT.
    MethodNotAllowed,
    /// 503: a guard of the route cannot be enforced.
    RouteClosed,
    /// 413: the body is larger than the route takes.
    BodyTooLarge,
    /// 301: the path lacks its trailing slash.
    AddSlash,
    /// The redirect to HTTPS.
    SslRedirect,
    /// 503: the backend has no endpoint.
    NoEndpoints,
    /// 200: the health path on a host without rules.
    Health,
    /// 502: no connection to an endpoint could be opened.
    ConnectFailed,
    /// 504: no connection to an endpoint within the time-out.
    ConnectTimeout,
    /// 504: the endpoint did not answer within the time-out.
    UpstreamTimeout,
    /// 502: the endpoint closed or reset the connection before its answer was whole.
    UpstreamClosed,
    /// 502: the endpoint's answer is not HTTP.
    UpstreamInvalid,
    /// The client went away first (logged as nginx's 499).
    ClientClosed,
    /// The process ended before the answer was whole (logged as 499 where none had begun).
    Shutdown,
    /// 408: the client did not send its request in time.
    ClientTimeout,
    /// 400: the request breaks HTTP's rules.
    BadRequest,
    /// 414: the request target is longer than allowed.
    UriTooLong,
    /// 431: the header block is larger than allowed.
    HeadersTooLarge,
    /// 500: a fault of the proxy itself.
    Internal,
}

impl Reason {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoHost => "no_host",
            Self::NoRoute => "no_route",
            Self::BadHost => "bad_host",
            Self::BadPath => "bad_path",
            Self::BadMethod => "bad_method",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RouteClosed => "route_closed",
            Self::BodyTooLarge => "body_too_large",
            Self::AddSlash => "add_slash",
            Self::SslRedirect => "ssl_redirect",
            Self::NoEndpoints => "no_endpoints",
            Self::Health => "health",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamInvalid => "upstream_invalid",
            Self::ClientClosed => "client_closed",
            Self::Shutdown => "shutdown",
            Self::ClientTimeout => "client_timeout",
            Self::BadRequest => "bad_request",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// Answer with this status and a short body.
    Respond {
        /// The status.
        status: u16,
        /// Why.
        reason: Reason,
    },
    /// Answer with this status and `Location`.
    Redirect {
        /// The status.
        status: u16,
        /// The `Location`: visible ASCII only.
        location: String,
        /// Why.
        reason: Reason,
    },
    /// Send it to an endpoint of this backend.
    Proxy(Arc<Backend>),
}

/// The decision about one request.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// The route that took the request, if one did.
    pub route: Option<Arc<Route>>,
    /// Who asks for what, as the configuration lets us believe it. `None` for requests too malformed to tell.
    pub forwarded: Option<Forwarded>,
}

impl Decision {
    fn respond(status: u16, reason: Reason) -> Self {
        Self { action: Action::Respond { status, reason }, route: None, forwarded: None }
    }
}

/// Decides what to do with a request. A pure function: the same arguments give the same decision on every engine.
pub fn decide(snapshot: &Snapshot, downstream: &Downstream, head: &impl RequestHead) -> Decision {
    let settings = &snapshot.settings;
    let method = head.method();
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b == b'-') {
        return Decision::respond(400, Reason::BadMethod);
    }
    let host = match head.authority().map(Host::normalize) {
        Some(Some(host)) => Some(host),
        None if !head.requires_authority() => None,
        Some(None) | None => return Decision::respond(400, Reason::BadHost),
    };
    if method == "TRACE" || method == "CONNECT" {
        return Decision::respond(405, Reason::MethodNotAllowed);
    }
    let Ok(path) = NormalizedPath::parse(head.target()) else {
        return Decision::respond(400, Reason::BadPath);
    };
    let host = host.as_ref().map_or("", Host::as_str);
    let forwarded = Forwarded::of(downstream, head, settings);
    let found = snapshot.routes.find(host, path.as_bytes());
    if path.as_bytes() == settings.health_path.as_bytes() && is_health(&found, &settings.health_path) {
        return Decision { forwarded: Some(forwarded), ..Decision::respond(200, Reason::Health) };
    }
    let (route, has_certificate) = match found {
        RouteMatch::Route(routes, route) | RouteMatch::AddSlash(routes, route) => (Some(route), routes.has_certificate),
        RouteMatch::NoPath(_) | RouteMatch::NoHost => (None, false),
    };
    let policies = route.map_or(&settings.default_policies, |route| &route.policies);
    let secure = forwarded.scheme_is_not_http();
    let action = if policies.closed.is_some() {
        Action::Respond { status: 503, reason: Reason::RouteClosed }
    } else if head.content_length().is_some_and(|length| !policies.body_size.allows(length)) {
        Action::Respond { status: 413, reason: Reason::BodyTooLarge }
    } else if let RouteMatch::AddSlash(_, route) = found {
        Action::Redirect {
            status: 301,
            location: slashed(downstream.tls, host, route.path.as_str(), head.target()),
            reason: Reason::AddSlash,
        }
    } else if !secure && redirects_to_https(policies.ssl_redirect, has_certificate) {
        Action::Redirect {
            status: settings.redirect_status,
            location: https_url(&forwarded, host, head.target()),
            reason: Reason::SslRedirect,
        }
    } else {
        match route.map(|route| route.target) {
            Some(Target::Backend(id)) => match snapshot.backends.by_id(id) {
                Some(backend) if !backend.endpoints.is_empty() => Action::Proxy(Arc::clone(backend)),
                _ => Action::Respond { status: 503, reason: Reason::NoEndpoints },
            },
            Some(Target::Default) => unmatched(snapshot, Reason::NoRoute),
            None if matches!(found, RouteMatch::NoPath(_)) => unmatched(snapshot, Reason::NoRoute),
            None => unmatched(snapshot, Reason::NoHost),
        }
    };
    Decision { action, route: route.cloned(), forwarded: Some(forwarded) }
}

/// Whether the health path is the proxy's own here: no rule names the host, and no rule for any host names the path
/// itself (ingress-nginx nginx.tmpl, the `_` server; recorded: c116).
fn is_health(found: &RouteMatch<'_>, health_path: &str) -> bool {
    match found {
        RouteMatch::NoHost => true,
        RouteMatch::NoPath(routes) => routes.host == HostPattern::Any,
        RouteMatch::Route(routes, route) | RouteMatch::AddSlash(routes, route) => {
            routes.host == HostPattern::Any && route.path.as_str() != health_path
        }
    }
}

/// The default backend, or 404 where it is not set, missing or without endpoints (ingress-nginx's built-in server).
fn unmatched(snapshot: &Snapshot, reason: Reason) -> Action {
    match snapshot.default_backend.and_then(|id| snapshot.backends.by_id(id)) {
        Some(backend) if !backend.endpoints.is_empty() => Action::Proxy(Arc::clone(backend)),
        _ => Action::Respond { status: 404, reason },
    }
}

fn redirects_to_https(policy: SslRedirect, has_certificate: bool) -> bool {
    match policy {
        SslRedirect::Off => false,
        SslRedirect::WithCertificate => has_certificate,
        SslRedirect::Always => true,
    }
}

/// `https://` + the host without its port + the raw request target without a slash at its very end
/// (lua_ingress.lua rewrite; recorded: `/x/?y=1` stays, `/` becomes nothing).
fn https_url(forwarded: &Forwarded, host: &str, target: &str) -> String {
    let named = forwarded.host_without_port();
    let host = if named.is_empty() { host } else { named };
    let target = origin_form(target);
    let target = target.strip_suffix('/').unwrap_or(target);
    let mut url = String::with_capacity(8 + host.len() + target.len());
    url.push_str("https://");
    url.push_str(host);
    push_visible(&mut url, target);
    url
}

/// The path of the rule, which ends in a slash, in place of the request's, with the request's query (nginx auto_redirect).
fn slashed(tls: bool, host: &str, path: &str, target: &str) -> String {
    let mut url = String::with_capacity(16 + host.len() + target.len());
    url.push_str(if tls { "https://" } else { "http://" });
    url.push_str(host);
    for byte in path.bytes() {
        // What nginx escapes in a location's name (ngx_escape_uri NGX_ESCAPE_URI).
        if byte <= b' ' || byte >= 0x7f || matches!(byte, b'%' | b'?' | b'#') {
            push_escaped(&mut url, byte);
        } else {
            url.push(byte as char);
        }
    }
    if let Some((_, query)) = target.split_once('?') {
        url.push('?');
        push_visible(&mut url, query);
    }
    url
}

/// Cuts scheme and authority off an absolute-form target.
fn origin_form(target: &str) -> &str {
    if target.starts_with('/') {
        return target;
    }
    target.split_once("://").and_then(|(_, rest)| rest.find(['/', '?', '#']).map(|at| &rest[at..])).unwrap_or("/")
}

/// Appends text so that no byte of it can end the header: everything that is not visible ASCII is percent-encoded.
fn push_visible(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if (0x21..0x7f).contains(&byte) {
            url.push(byte as char);
        } else {
            push_escaped(url, byte);
        }
    }
}

fn push_escaped(url: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    url.push('%');
    url.push(HEX[usize::from(byte >> 4)] as char);
    url.push(HEX[usize::from(byte & 15)] as char);
}

#[cfg(test)]
mod tests;
