//! The variables that a format may name: nginx's, as ingress-nginx sets them, and a few of Edgeward's own.

use edgeward_routing::host::Host;
use edgeward_routing::path::NormalizedPath;
use http::HeaderName;

use super::basic;
use super::entry::{Entry, Line, joined, protocol};
use super::time::{since_epoch, with_iso8601, with_local};

/// A variable. The names are nginx's; [`Variable::parse`] lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    Args,
    BodyBytesSent,
    BytesSent,
    ClientIpSource,
    ConnectionRequests,
    ContentLength,
    ContentType,
    Host,
    Https,
    IngressName,
    IsArgs,
    LocationPath,
    Msec,
    Namespace,
    ProxyAlternativeUpstreamName,
    ProxyHost,
    ProxyProtocolAddr,
    ProxyProtocolPort,
    ProxyUpstreamName,
    Reason,
    RemoteAddr,
    RemotePort,
    RemoteUser,
    Request,
    RequestId,
    RequestLength,
    RequestMethod,
    RequestTime,
    RequestUri,
    Scheme,
    ServerAddr,
    ServerPort,
    ServerProtocol,
    ServiceName,
    ServicePort,
    SslCipher,
    SslProtocol,
    SslServerName,
    SslSessionReused,
    Status,
    TimeIso8601,
    TimeLocal,
    UpstreamAddr,
    UpstreamConnectTime,
    UpstreamHeaderTime,
    UpstreamResponseLength,
    UpstreamResponseTime,
    UpstreamStatus,
    Uri,
    /// `$http_NAME`: all values of a request header.
    RequestHeader(HeaderName),
    /// `$sent_http_NAME`: all values of a response header.
    ResponseHeader(HeaderName),
    /// `$cookie_NAME`
    Cookie(Box<str>),
    /// `$arg_NAME`
    Argument(Box<str>),
}

impl Variable {
    /// The variable of a name, written without `$`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "args" | "query_string" => Self::Args,
            "body_bytes_sent" => Self::BodyBytesSent,
            "bytes_sent" => Self::BytesSent,
            "connection_requests" => Self::ConnectionRequests,
            "content_length" => Self::ContentLength,
            "content_type" => Self::ContentType,
            "edgeward_client_ip_source" => Self::ClientIpSource,
            "edgeward_reason" => Self::Reason,
            "host" | "best_http_host" => Self::Host,
            "https" => Self::Https,
            "ingress_name" => Self::IngressName,
            "is_args" => Self::IsArgs,
            "location_path" => Self::LocationPath,
            "msec" => Self::Msec,
            "namespace" => Self::Namespace,
            "proxy_alternative_upstream_name" => Self::ProxyAlternativeUpstreamName,
            "proxy_host" => Self::ProxyHost,
            "proxy_protocol_addr" => Self::ProxyProtocolAddr,
            "proxy_protocol_port" => Self::ProxyProtocolPort,
            "proxy_upstream_name" => Self::ProxyUpstreamName,
            "remote_addr" | "the_real_ip" => Self::RemoteAddr,
            "remote_port" => Self::RemotePort,
            "remote_user" => Self::RemoteUser,
            "req_id" | "request_id" => Self::RequestId,
            "request" => Self::Request,
            "request_length" => Self::RequestLength,
            "request_method" => Self::RequestMethod,
            "request_time" => Self::RequestTime,
            "request_uri" => Self::RequestUri,
            "scheme" => Self::Scheme,
            "server_addr" => Self::ServerAddr,
            "server_port" => Self::ServerPort,
            "server_protocol" => Self::ServerProtocol,
            "service_name" => Self::ServiceName,
            "service_port" => Self::ServicePort,
            "ssl_cipher" => Self::SslCipher,
            "ssl_protocol" => Self::SslProtocol,
            "ssl_server_name" => Self::SslServerName,
            "ssl_session_reused" => Self::SslSessionReused,
            "status" => Self::Status,
            "time_iso8601" => Self::TimeIso8601,
            "time_local" => Self::TimeLocal,
            "upstream_addr" => Self::UpstreamAddr,
            "upstream_connect_time" => Self::UpstreamConnectTime,
            "upstream_header_time" => Self::UpstreamHeaderTime,
            "upstream_response_length" => Self::UpstreamResponseLength,
            "upstream_response_time" => Self::UpstreamResponseTime,
            "upstream_status" => Self::UpstreamStatus,
            "uri" | "document_uri" => Self::Uri,
            _ => return Self::parse_named(name),
        })
    }

    fn parse_named(name: &str) -> Option<Self> {
        let rest = |prefix| name.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty());
        // nginx folds `-` to `_` to look a header up; no header that reaches a request has a `_` of its own.
        let header = |rest: &str| HeaderName::from_bytes(rest.replace('_', "-").as_bytes()).ok();
        if let Some(rest) = rest("http_") {
            return header(rest).map(Self::RequestHeader);
        }
        if let Some(rest) = rest("sent_http_") {
            return header(rest).map(Self::ResponseHeader);
        }
        if let Some(rest) = rest("cookie_") {
            return Some(Self::Cookie(rest.into()));
        }
        rest("arg_").map(|rest| Self::Argument(rest.into()))
    }

    /// Appends the value, or what stands for none.
    pub(super) fn write(&self, entry: &Entry<'_>, line: &mut Line<'_>) {
        if self.write_value(entry, line).is_none() {
            line.absent();
        }
    }

    /// Appends the value; `None`, having written nothing, when there is none. What nginx holds as an empty text, like
    /// the names that ingress-nginx sets per location, is written as nothing and is not `None`.
    fn write_value(&self, entry: &Entry<'_>, line: &mut Line<'_>) -> Option<()> {
        let record = entry.record;
        let request = record.request;
        match self {
            Self::Args => line.text(entry.query()?),
            Self::BodyBytesSent => line.display(record.body_bytes_sent),
            Self::BytesSent => line.display(record.bytes_sent()),
            Self::ClientIpSource => line.plain(entry.client_source()?),
            // The request at hand is not done yet.
            Self::ConnectionRequests => line.display(record.connection?.lifecycle.requests_done().saturating_add(1)),
            Self::ContentLength => line.text(request.values(&http::header::CONTENT_LENGTH).next()?),
            Self::ContentType => line.text(request.values(&http::header::CONTENT_TYPE).next()?),
            Self::Host => line.text(Host::normalize(entry.authority()?)?.as_str()),
            Self::Https => line.plain(if record.connection?.tls().is_some() { "on" } else { "" }),
            Self::IngressName => line.text(record.route.map_or("", |route| &route.origin.name)),
            Self::IsArgs => line.plain(if entry.query().is_some_and(|query| !query.is_empty()) { "?" } else { "" }),
            Self::LocationPath => line.text(record.route.map_or("", |route| route.path.as_str())),
            Self::Msec => line.seconds(since_epoch(entry.ended)),
            Self::Namespace => line.text(record.route.map_or("", |route| &route.origin.namespace)),
            Self::ProxyAlternativeUpstreamName => line.text(record.canary().map_or("", |canary| &canary.name)),
            Self::ProxyHost => {
                // ingress-nginx passes every request to one nginx upstream of this name.
                record.backend?;
                line.plain("upstream_balancer");
            }
            Self::ProxyProtocolAddr => match entry.proxy_protocol_client() {
                Some(client) => line.display(client.ip()),
                None => line.plain(""),
            },
            Self::ProxyProtocolPort => match entry.proxy_protocol_client() {
                Some(client) => line.display(client.port()),
                None => line.plain(""),
            },
            Self::ProxyUpstreamName => match (record.main.or(record.backend), record.forwarded) {
                (Some(backend), _) => line.text(&*backend.name),
                // ingress-nginx sets `-` per host; a malformed request does not get as far.
                (None, Some(_)) => line.plain("-"),
                (None, None) => {}
            },
            Self::Reason => line.plain(record.reason?.as_str()),
            Self::RemoteAddr => line.display(entry.client()?),
            Self::RemotePort => line.display(record.connection?.client_addr().port()),
            Self::RemoteUser => {
                let authorization = request.values(&http::header::AUTHORIZATION).next()?;
                line.text(basic::user(authorization)?);
            }
            Self::Request => {
                line.text(request.method());
                line.plain(" ");
                line.text(entry.target());
                line.plain(" ");
                line.plain(protocol(request.version()));
            }
            Self::RequestId => line.text(record.request_id),
            Self::RequestLength => line.display(record.request_length),
            Self::RequestMethod => line.text(request.method()),
            Self::RequestTime => line.seconds(record.duration),
            Self::RequestUri => line.text(entry.target()),
            Self::Scheme => line.plain(if record.connection?.tls().is_some() { "https" } else { "http" }),
            Self::ServerAddr => line.display(record.connection?.local_addr().ip()),
            Self::ServerPort => line.display(record.connection?.local_addr().port()),
            Self::ServerProtocol => line.plain(protocol(request.version())),
            Self::ServiceName => line.text(record.route.map_or("", |route| &route.service)),
            Self::ServicePort => line.text(record.main.or(record.backend).map_or("", |main| &main.key.port)),
            Self::SslCipher => line.plain(record.connection?.tls()?.cipher),
            Self::SslProtocol => line.plain(record.connection?.tls()?.version),
            Self::SslServerName => line.text(record.connection?.tls()?.server_name.as_deref()?),
            Self::SslSessionReused => line.plain(if record.connection?.tls()?.resumed { "r" } else { "." }),
            Self::Status => line.display(record.status),
            Self::TimeIso8601 => with_iso8601(entry.ended, |text| line.plain(text)),
            Self::TimeLocal => with_local(entry.ended, |text| line.plain(text)),
            Self::UpstreamAddr => return line.per_try(record.tries, |one| Some(one.address), Line::display),
            Self::UpstreamConnectTime => return line.per_try(record.tries, |one| one.connect, Line::seconds),
            Self::UpstreamHeaderTime => return line.per_try(record.tries, |one| one.header, Line::seconds),
            Self::UpstreamResponseLength => {
                return line.per_try(record.tries, |one| Some(one.body_bytes), Line::display);
            }
            Self::UpstreamResponseTime => return line.per_try(record.tries, |one| Some(one.total), Line::seconds),
            Self::UpstreamStatus => return line.per_try(record.tries, |one| one.status, Line::display),
            Self::Uri => {
                let target = entry.target();
                let normalized = std::str::from_utf8(target).ok().and_then(|text| NormalizedPath::parse(text).ok());
                line.text(normalized.as_ref().map_or(target, NormalizedPath::as_bytes));
            }
            Self::RequestHeader(name) => line.text(joined(request.values(name), name)?),
            Self::ResponseHeader(name) => line.text(joined(record.response?.values(name), name)?),
            Self::Cookie(name) => line.text(entry.cookie(name)?),
            Self::Argument(name) => line.text(entry.argument(name)?),
        }
        Some(())
    }
}
