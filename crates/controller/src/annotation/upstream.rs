//! What is spoken to endpoints, and how long they are waited for.

use std::time::Duration;

use edgeward_routing::policy::{BackendProtocol, ConnectionOption, Faults, Retry, UpstreamRequest};
use edgeward_routing::template::Template;

use super::value::{FAULTS, SECONDS, is_server_name, parse_http_version, parse_seconds};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

const FASTCGI: &str =
    "put a web server that speaks HTTP in front of the application, in its Pod: FastCGI is not spoken";

pub(super) static GROUP: Group = Group {
    name: "Endpoints",
    doc: "What is spoken to endpoints, and how long they are waited for.",
    annotations: &[
        Annotation::honoured(
            "backend-protocol",
            Scope::Route,
            backend_protocol,
            "What the endpoints speak: HTTP, HTTPS, AUTO_HTTP, GRPC or GRPCS. FCGI is not spoken, and its routes answer 503.",
        ),
        Annotation::honoured(
            "connection-proxy-header",
            Scope::Route,
            |value, settings| {
                settings.upstream.connection = Some(connection(value)?);
                Ok(())
            },
            "Value of the `Connection` header to the application, `close` or `keep-alive`.",
        ),
        Annotation::refused(
            "fastcgi-index",
            Scope::Route,
            "File name that FastCGI appends to a path that ends in a slash.",
        )
        .instead(FASTCGI),
        Annotation::refused("fastcgi-params-configmap", Scope::Route, "ConfigMap with FastCGI parameters.")
            .instead(FASTCGI),
        Annotation::honoured(
            "proxy-connect-timeout",
            Scope::Route,
            connect_timeout,
            "Seconds to open a connection to an endpoint.",
        ),
        Annotation::honoured(
            "proxy-http-version",
            Scope::Route,
            |value, settings| {
                settings.upstream.is_http10 = Some(is_http10(value)?);
                Ok(())
            },
            "HTTP version towards the endpoints, `1.0` or `1.1`. A body whose length is not known when it goes on is sent in 1.1 all the same.",
        ),
        Annotation::honoured(
            "proxy-next-upstream",
            Scope::Route,
            |value, settings| {
                settings.upstream.retry_on = Some(faults(value)?);
                Ok(())
            },
            "Faults after which the next endpoint is tried.",
        ),
        Annotation::honoured(
            "proxy-next-upstream-timeout",
            Scope::Route,
            |value, settings| {
                settings.upstream.retry_seconds = Some(number(value, "of seconds, `0` for no limit")?);
                Ok(())
            },
            "Seconds within which further endpoints are tried, counted from the first try.",
        ),
        Annotation::honoured(
            "proxy-next-upstream-tries",
            Scope::Route,
            |value, settings| {
                settings.upstream.tries = Some(Retry::tries_of(number(value, "of tries")?));
                Ok(())
            },
            "Number of tries at endpoints, at most 100.",
        ),
        Annotation::honoured(
            "proxy-read-timeout",
            Scope::Route,
            read_timeout,
            "Seconds between two reads of the response, and for which a WebSocket may be silent. One that nothing is said about may be \
             for `--upgraded-timeout` (an hour), or for the time in the ConfigMap if that is longer; in ingress-nginx it is for \
             that time, a minute.",
        ),
        Annotation::honoured(
            "proxy-send-timeout",
            Scope::Route,
            send_timeout,
            "Seconds between two writes of the request.",
        ),
        Annotation::honoured(
            "upstream-vhost",
            Scope::Route,
            |value, settings| {
                settings.upstream.host = Some(host(value)?);
                Ok(())
            },
            "`Host` header to the application, with nginx variables. Bytes that are not visible ASCII are left out of them.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpstreamSettings {
    /// `backend-protocol`.
    pub protocol: Option<BackendProtocol>,
    /// `proxy-connect-timeout`.
    pub connect_timeout: Option<Duration>,
    /// `proxy-send-timeout`.
    pub send_timeout: Option<Duration>,
    /// `proxy-read-timeout`.
    pub read_timeout: Option<Duration>,
    /// `proxy-next-upstream`.
    pub retry_on: Option<Faults>,
    /// `proxy-next-upstream-tries`.
    pub tries: Option<u16>,
    /// `proxy-next-upstream-timeout`.
    pub retry_seconds: Option<u32>,
    /// `proxy-http-version`: whether it is 1.0.
    pub is_http10: Option<bool>,
    /// `connection-proxy-header`.
    pub connection: Option<ConnectionOption>,
    /// `upstream-vhost`.
    pub host: Option<Template>,
}

impl UpstreamSettings {
    /// When another endpoint is tried, where `default` holds for what is not asked for.
    pub fn retry(&self, default: Retry, non_idempotent: bool) -> Retry {
        let on = self.retry_on.unwrap_or(default.on);
        Retry {
            on: if non_idempotent { on.with_non_idempotent() } else { on },
            tries: self.tries.unwrap_or(default.tries),
            seconds: self.retry_seconds.unwrap_or(default.seconds),
        }
    }

    /// How requests are written; `None` for the usual way.
    pub fn request(&self, is_http10: bool) -> Option<UpstreamRequest> {
        let is_http10 = self.is_http10.unwrap_or(is_http10);
        let request = UpstreamRequest { host: self.host.clone(), is_http10, connection: self.connection };
        (request != UpstreamRequest::default()).then_some(request)
    }
}

fn connection(value: &str) -> Result<ConnectionOption, Rejection> {
    match value.trim() {
        "close" => Ok(ConnectionOption::Close),
        "keep-alive" => Ok(ConnectionOption::KeepAlive),
        // What has nothing in it counts as absent (parser/main.go parseString).
        "" => Err(invalid("`close` or `keep-alive`")),
        _ => Err(Rejection::Drops("`close` or `keep-alive`".to_owned())),
    }
}

/// Whether a value of `proxy-http-version` is 1.0.
fn is_http10(value: &str) -> Result<bool, Rejection> {
    parse_http_version(value).ok_or_else(|| invalid("`1.0` or `1.1`"))
}

fn faults(value: &str) -> Result<Faults, Rejection> {
    Faults::parse(value).ok_or_else(|| invalid(FAULTS))
}

/// A number that is not negative, as Go's strconv.Atoi reads it.
fn number(value: &str, of: &str) -> Result<u32, Rejection> {
    value.parse().map_err(|_| invalid(&format!("a whole number {of}")))
}

/// Text that ingress-nginx takes for the name of a server; what else it is has no use as a `Host`. nginx variables that are
/// not known here stop the original's whole configuration; here they drop the Ingress, as every other bad value.
fn host(value: &str) -> Result<Template, Rejection> {
    let value = value.trim();
    let allowed = "a name of letters, digits and `-._~:`, with nginx variables";
    if value.is_empty() {
        return Err(invalid(allowed));
    }
    if !is_server_name(value) {
        return Err(Rejection::Drops(allowed.to_owned()));
    }
    value.parse().map_err(|error| Rejection::Drops(format!("{allowed} ({error})")))
}

fn backend_protocol(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("FCGI") {
        return Err(Rejection::Unserved("FastCGI is not spoken"));
    }
    let protocol = BackendProtocol::parse(value).ok_or_else(|| invalid("HTTP, HTTPS, AUTO_HTTP, GRPC or GRPCS"))?;
    settings.upstream.protocol = Some(protocol);
    Ok(())
}

fn connect_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.upstream.connect_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}

fn send_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.upstream.send_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}

fn read_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.upstream.read_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}
