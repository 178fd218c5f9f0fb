//! The request decision: from a snapshot, what is known of the connection, and the request head to what to do.
//!
//! The order is fixed, and it is ingress-nginx's where that has one (row 23 of its semantics, as its recorded answers
//! correct it): malformed requests, method, host, path, what is refused for all hosts, certificates of
//! clients, closed routes, what the host
//! redirects (`app-root`, the other name), declared body size, missing slash, preflights of scripts, the redirect of the
//! route, its rewrite, redirect to HTTPS, the limits on clients, networks, then who it is, then the backend or its canary. Who it is
//! takes time to find out, so that the engine does that: the decision only says that it must.

mod location;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::backend::Backend;
use crate::canary::backend_for;
use crate::forward::Forwarded;
use crate::host::{Host, HostPattern};
use crate::path::NormalizedPath;
use crate::policy::cors::Grant;
use crate::policy::networks::Verdict;
use crate::policy::{HostPolicies, Policies, RedirectStyle, Rewritten, Satisfy, SslRedirect, TlsClient};
use crate::respond::ResponseEdits;
use crate::route::{Route, Target};
use crate::settings::Settings;
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

impl Downstream {
    /// The port, unless it is the one that the scheme has anyway.
    fn port_in_url(&self) -> Option<u16> {
        let own = if self.tls { 443 } else { 80 };
        Some(self.port).filter(|port| *port != own)
    }
}

/// The request head, as the engines give it. Header names are lower case.
pub trait RequestHead {
    /// The method, as sent.
    fn method(&self) -> &str;
    /// The request target, as sent: origin-form, absolute-form or `*`.
    fn target(&self) -> &str;
    /// The target in origin-form as the client wrote it, where what rules see is an encoding of that. It may hold any byte.
    fn sent_target(&self) -> Option<&[u8]> {
        None
    }
    /// The authority: of an absolute-form target or `:authority`, else the `Host` header.
    fn authority(&self) -> Option<&str>;
    /// Whether the protocol version demands an authority: everything but HTTP/1.0.
    fn requires_authority(&self) -> bool;
    /// Names, in lower case or as sent, and values of all headers, in order.
    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
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
    /// 403: the operator refuses such requests or clients for all hosts.
    Blocked,
    /// 503: a guard of the route cannot be enforced.
    RouteClosed,
    /// 421: the connection was opened for another host, or before this one asked for certificates as it does now.
    Misdirected,
    /// 400: the client showed no certificate where it has to.
    NoCertificate,
    /// 400: the certificate of the client is not good.
    BadCertificate,
    /// 403: the certificate of the client is another one's than the host asks for.
    OtherCertificate,
    /// 403: whose certificates are good cannot be read.
    HostRefused,
    /// 413: the body is larger than the route takes.
    BodyTooLarge,
    /// 302: the root of the host is elsewhere (`app-root`).
    AppRoot,
    /// The redirect from the other one of the names with and without `www.`.
    OtherName,
    /// 301: the path lacks its trailing slash.
    AddSlash,
    /// 204: a preflight of a script, which the proxy answers.
    Preflight,
    /// The redirect that the route asks for.
    Redirect,
    /// 400, or 500 where it is empty: the rewrite of the route gives no path that may go on.
    BadRewrite,
    /// The redirect to HTTPS.
    SslRedirect,
    /// 503, or what the ConfigMap says: the client asks more often than the route allows.
    RateLimited,
    /// 503, or what the ConfigMap says: the client has more requests under way than the route allows.
    ConnectionsLimited,
    /// 403: the client's address may not ask.
    NetworkRefused,
    /// 401: the client has not said who it is, or nobody knows it.
    Unauthorized,
    /// 302: the client is sent to where it can say who it is.
    SignIn,
    /// 403: the authentication service refuses the request.
    Forbidden,
    /// 500: the authentication service gave no answer that says whether the request may pass.
    AuthFailed,
    /// 503: more passwords are to be compared than there is time for.
    AuthBusy,
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
            Self::Blocked => "blocked",
            Self::RouteClosed => "route_closed",
            Self::Misdirected => "misdirected",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::OtherCertificate => "other_certificate",
            Self::HostRefused => "host_refused",
            Self::BodyTooLarge => "body_too_large",
            Self::AppRoot => "app_root",
            Self::OtherName => "other_name",
            Self::AddSlash => "add_slash",
            Self::Preflight => "preflight",
            Self::Redirect => "redirect",
            Self::BadRewrite => "bad_rewrite",
            Self::SslRedirect => "ssl_redirect",
            Self::RateLimited => "rate_limited",
            Self::ConnectionsLimited => "connections_limited",
            Self::NetworkRefused => "network_refused",
            Self::Unauthorized => "unauthorized",
            Self::SignIn => "sign_in",
            Self::Forbidden => "forbidden",
            Self::AuthFailed => "auth_failed",
            Self::AuthBusy => "auth_busy",
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
    /// The target that an endpoint gets instead of the client's, where the route has it rewritten: visible ASCII.
    pub target: Option<Box<str>>,
    /// What its response says beside what the endpoint says.
    pub response: ResponseEdits,
    /// Whether the request came as far as the limits of its route, which count it. Whoever executes the decision asks
    /// [`Limits::admit`](crate::policy::Limits::admit) once; a refusal takes the place of the action.
    pub is_counted: bool,
    /// Whether the client has to say who it is before anything is done, as the [policies](Policies) of the route ask for:
    /// first [`Policies::basic_auth`], then [`Policies::external_auth`]. What else is said instead, such as redirects, is for everybody.
    pub asks_who: bool,
    /// Whether the backend stands in for that of the route, which has no endpoint.
    pub is_stand_in: bool,
}

impl Decision {
    fn respond(status: u16, reason: Reason, downstream: &Downstream) -> Self {
        Self {
            action: Action::Respond { status, reason },
            route: None,
            forwarded: None,
            target: None,
            response: ResponseEdits { hsts: downstream.tls, ..ResponseEdits::default() },
            is_counted: false,
            asks_who: false,
            is_stand_in: false,
        }
    }
}

/// Decides what to do with a request in the clear, or over TLS of which nothing is known.
pub fn decide(snapshot: &Snapshot, downstream: &Downstream, head: &impl RequestHead) -> Decision {
    decide_for(snapshot, downstream, None, head)
}

/// Decides what to do with a request of this client. A pure function: the same arguments give the same decision on every
/// engine, but for the chance in the weight of a [canary](crate::canary).
pub fn decide_for(
    snapshot: &Snapshot,
    downstream: &Downstream,
    client: Option<TlsClient<'_>>,
    head: &impl RequestHead,
) -> Decision {
    let settings = &snapshot.settings;
    let method = head.method();
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b == b'-') {
        return Decision::respond(400, Reason::BadMethod, downstream);
    }
    let host = match head.authority().map(Host::normalize) {
        Some(Some(host)) => Some(host),
        None if !head.requires_authority() => None,
        Some(None) | None => return Decision::respond(400, Reason::BadHost, downstream),
    };
    if method == "TRACE" || method == "CONNECT" {
        return Decision::respond(405, Reason::MethodNotAllowed, downstream);
    }
    let target = head.target();
    let Ok(path) = NormalizedPath::parse(target) else {
        return Decision::respond(400, Reason::BadPath, downstream);
    };
    // The server as a whole can be asked for nothing but its options (RFC 9112 section 3.2.4).
    if target == "*" && method != "OPTIONS" {
        return Decision::respond(400, Reason::BadPath, downstream);
    }
    let host = host.as_ref().map_or("", Host::as_str);
    let mut forwarded = Forwarded::of(downstream, head, settings);
    if settings.block.as_ref().is_some_and(|block| block.refuses(head)) {
        let response = ResponseEdits::default();
        let refused = Decision::respond(403, Reason::Blocked, downstream);
        return Decision { forwarded: Some(forwarded), response, ..refused };
    }
    let found = snapshot.routes.find(host, path.as_bytes());
    if path.as_bytes() == settings.health_path.as_bytes() && is_health(&found, &settings.health_path) {
        return Decision { forwarded: Some(forwarded), ..Decision::respond(200, Reason::Health, downstream) };
    }
    let (route, has_certificate) = match found {
        RouteMatch::Route(routes, route) | RouteMatch::AddSlash(routes, route) => (Some(route), routes.has_certificate),
        RouteMatch::NoPath(_) | RouteMatch::NoHost => (None, false),
    };
    let policies = route.map_or(&settings.default_policies, |route| &route.policies);
    if path.without_parameters().is_some_and(|read| is_guarded_otherwise(&snapshot.routes.find(host, &read), policies))
    {
        return Decision { forwarded: Some(forwarded), ..Decision::respond(400, Reason::BadPath, downstream) };
    }
    let request = Request { downstream, head, host, path: &path, forwarded: &forwarded, policies };
    // What holds for a host holds for paths that none of its rules takes.
    let of_host = match found {
        RouteMatch::NoPath(routes) => routes.routes().first().and_then(|route| route.policies.host.as_deref()),
        _ => policies.host.as_deref(),
    };
    let refusal = of_host.and_then(|of_host| request.refusal_of_host(of_host, client, snapshot));
    let of_host = of_host.and_then(|of_host| request.redirect_of_host(of_host, settings));
    let is_of_route = of_host.is_none() && refusal.is_none();
    let mut response = ResponseEdits {
        hsts: downstream.tls && is_of_route,
        of_route: is_of_route && policies.closed.is_none(),
        ..ResponseEdits::default()
    };
    let rewritten = policies.rewrite.as_ref().and_then(|rewrite| rewrite.apply(path.as_bytes(), &forwarded, head));
    let early = if refusal.is_some() {
        refusal
    } else if policies.closed.is_some() {
        Some(Action::Respond { status: 503, reason: Reason::RouteClosed })
    } else if of_host.is_some() {
        of_host
    } else if head.content_length().is_some_and(|length| !policies.body_size.allows(length)) {
        Some(Action::Respond { status: 413, reason: Reason::BodyTooLarge })
    } else if let RouteMatch::AddSlash(_, route) = found {
        let location = location::slashed(route.path.as_str(), target);
        Some(request.redirect(301, &location, Reason::AddSlash))
    } else {
        // From here on every answer says it, in nginx as a part of the location (recorded: c231 to c233).
        response.cors = policies.cors.as_ref().and_then(|cors| Grant::of(cors, head));
        request.rewrite(response.cors.is_some(), rewritten.as_ref(), has_certificate, settings)
    };
    let is_counted = early.is_none();
    let judgement = request.judge(settings);
    let (mut asks_who, mut is_stand_in) = (false, false);
    let action = if let Some(action) = early {
        action
    } else if let Judgement::Refused(reason) = judgement {
        Action::Respond { status: 403, reason }
    } else {
        asks_who = judgement == Judgement::AskWho;
        match route.map(|route| route.target) {
            Some(Target::Backend(id)) => match snapshot.backends.by_id(id) {
                Some(main) if !main.endpoints.is_empty() => {
                    Action::Proxy(Arc::clone(backend_for(&snapshot.backends, main, head)))
                }
                _ => match policies.stand_in.as_ref().and_then(|key| snapshot.backends.by_key(key)) {
                    Some(backend) if !backend.endpoints.is_empty() => {
                        is_stand_in = true;
                        Action::Proxy(Arc::clone(backend))
                    }
                    _ => Action::Respond { status: 503, reason: Reason::NoEndpoints },
                },
            },
            Some(Target::Default) => unmatched(snapshot, Reason::NoRoute),
            None if matches!(found, RouteMatch::NoPath(_)) => unmatched(snapshot, Reason::NoRoute),
            None => unmatched(snapshot, Reason::NoHost),
        }
    };
    let mut target = None;
    if let Some(Rewritten::Target { target: rewritten, prefix }) = rewritten {
        target = Some(rewritten);
        forwarded.prefix = prefix;
    }
    let (route, forwarded) = (route.cloned(), Some(forwarded));
    Decision { action, route, forwarded, target, response, is_counted, asks_who, is_stand_in }
}

/// What a rewrite answers by itself.
fn answer_of_rewrite(rewritten: &Rewritten) -> Option<Action> {
    Some(match rewritten {
        Rewritten::Target { .. } => return None,
        Rewritten::Redirect(location) => {
            Action::Redirect { status: 302, location: location.clone(), reason: Reason::Redirect }
        }
        Rewritten::Empty => Action::Respond { status: 500, reason: Reason::BadRewrite },
        Rewritten::Escaping => Action::Respond { status: 400, reason: Reason::BadRewrite },
    })
}

/// A request that is well-formed, for the phases of its decision.
struct Request<'r, H> {
    downstream: &'r Downstream,
    head: &'r H,
    /// Normalised; empty for none.
    host: &'r str,
    path: &'r NormalizedPath<'r>,
    forwarded: &'r Forwarded,
    policies: &'r Policies,
}

impl<H: RequestHead> Request<'_, H> {
    /// What the host refuses, before anything else (nginx: before the phases of a request, and `server` before its rewrites).
    fn refusal_of_host(
        &self,
        policies: &HostPolicies,
        client: Option<TlsClient<'_>>,
        snapshot: &Snapshot,
    ) -> Option<Action> {
        if policies.refused.is_some() {
            return Some(Action::Respond { status: 403, reason: Reason::HostRefused });
        }
        let asked = policies.client_certificates.as_ref()?;
        let is_served = |name: &str| {
            let name = Host::normalize(name);
            let found = name.as_ref().and_then(|name| snapshot.routes.host(name.as_str()));
            found.is_some_and(|routes| routes.host != HostPattern::Any)
        };
        let (status, reason) = asked.refusal(self.host, client, is_served)?;
        Some(match &asked.error_page {
            Some(page) if matches!(reason, Reason::NoCertificate | Reason::BadCertificate) => {
                Action::Redirect { status: 302, location: page.to_string(), reason }
            }
            _ => Action::Respond { status, reason },
        })
    }

    /// What the host redirects before its routes are looked at.
    fn redirect_of_host(&self, policies: &HostPolicies, settings: &Settings) -> Option<Action> {
        if let Some(name) = &policies.other_name {
            let (scheme, port) = (self.forwarded.url_scheme(), self.forwarded.url_port(self.downstream));
            let location = location::elsewhere(scheme, name, port, self.head.target());
            return Some(Action::Redirect { status: settings.redirect_status, location, reason: Reason::OtherName });
        }
        let root = policies.app_root.as_ref().filter(|_| self.path.as_bytes() == b"/")?;
        // The `Host` as it was sent, its port included.
        let location = location::absolute(self.downstream.tls, self.head.authority().unwrap_or_default(), root);
        Some(Action::Redirect { status: 302, location, reason: Reason::AppRoot })
    }

    /// What the route answers before anybody is counted or judged: preflights of scripts that may ask, and redirects.
    fn rewrite(
        &self,
        is_granted: bool,
        rewritten: Option<&Rewritten>,
        has_certificate: bool,
        settings: &Settings,
    ) -> Option<Action> {
        let Policies { redirect, redirect_style, ssl_redirect, .. } = self.policies;
        if is_granted && self.head.method() == "OPTIONS" {
            return Some(Action::Respond { status: 204, reason: Reason::Preflight });
        }
        if let Some(redirect) = redirect {
            return Some(self.redirect(redirect.status, &redirect.location, Reason::Redirect));
        }
        if let Some(answer) = rewritten.and_then(answer_of_rewrite) {
            return Some(answer);
        }
        if self.forwarded.scheme_is_not_http() || !redirects_to_https(*ssl_redirect, has_certificate) {
            return None;
        }
        let keeps_slash = redirect_style.keeps_slash;
        let location = location::https(self.forwarded, self.host, self.head.target(), keeps_slash);
        Some(Action::Redirect { status: settings.redirect_status, location, reason: Reason::SslRedirect })
    }

    /// What the guards of the route say before anybody has said who it is (nginx `satisfy`: all of them, or one is enough).
    fn judge(&self, settings: &Settings) -> Judgement {
        let client = self.forwarded.client;
        if settings.block.as_ref().is_some_and(|block| block.networks.contains(client)) {
            return Judgement::Refused(Reason::Blocked);
        }
        let by_network = self.policies.networks.as_ref().map(|networks| networks.judge(client));
        let is_one_enough = self.policies.satisfy == Satisfy::Any;
        match by_network {
            Some(Verdict::Refused) if !(is_one_enough && self.policies.asks_who()) => {
                Judgement::Refused(Reason::NetworkRefused)
            }
            Some(Verdict::Allowed) if is_one_enough => Judgement::Pass,
            _ if self.policies.asks_who() => Judgement::AskWho,
            _ => Judgement::Pass,
        }
    }

    /// A redirect that a route asks for.
    fn redirect(&self, status: u16, location: &str, reason: Reason) -> Action {
        let style = self.policies.redirect_style;
        let location = location::relative_to(self.downstream, self.host, location.as_bytes(), style);
        Action::Redirect { status, location, reason }
    }
}

/// The `Location` of a sign-in page.
pub(crate) fn sign_in_location(
    location: &[u8],
    downstream: &Downstream,
    head: &impl RequestHead,
    style: RedirectStyle,
) -> String {
    let host = head.authority().and_then(Host::normalize);
    let host = host.as_ref().map_or("", Host::as_str);
    location::relative_to(downstream, host, location, style)
}

/// What the guards of a route say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// The request may pass.
    Pass,
    /// The client has to say who it is.
    AskWho,
    /// It may not pass.
    Refused(Reason),
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

/// Whether a path that some servers read in another way leads to guards there that those of its route do not stand for: what is
/// `/admin` to them would be served without.
fn is_guarded_otherwise(found: &RouteMatch<'_>, policies: &Policies) -> bool {
    match found {
        RouteMatch::Route(_, other) | RouteMatch::AddSlash(_, other) => other.policies.is_guarded_unlike(policies),
        RouteMatch::NoPath(_) | RouteMatch::NoHost => false,
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

#[cfg(test)]
mod tests;
