//! The variables that a format may name: nginx's, as ingress-nginx sets them, and a few of Edgeward's own.

use http::HeaderName;

/// A variable. The names are nginx's; [`Variable::parse`] lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are named as nginx names them")]
pub enum Variable {
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
    OpentelemetryContextTraceparent,
    OpentelemetrySampled,
    OpentelemetrySpanId,
    OpentelemetryTraceId,
    ProxyAlternativeUpstreamName,
    ProxyAddXForwardedFor,
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
    ServerName,
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
    /// One that does not exist: it never has a value.
    Unknown,
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
            "opentelemetry_context_traceparent" => Self::OpentelemetryContextTraceparent,
            "opentelemetry_sampled" => Self::OpentelemetrySampled,
            "opentelemetry_span_id" => Self::OpentelemetrySpanId,
            "opentelemetry_trace_id" => Self::OpentelemetryTraceId,
            "proxy_alternative_upstream_name" => Self::ProxyAlternativeUpstreamName,
            "proxy_add_x_forwarded_for" => Self::ProxyAddXForwardedFor,
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
            "server_name" => Self::ServerName,
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
}
