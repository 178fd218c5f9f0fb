//! What the variables of a format come to.

use edgeward_routing::host::{Host, HostPattern};
use edgeward_routing::log_format::Variable;
use edgeward_routing::path::NormalizedPath;
use edgeward_routing::policy::digest_auth::Answer;
use http::HeaderName;

use super::basic;
use super::entry::{Entry, Line, joined, protocol};
use super::time::{since_epoch, with_iso8601, with_local};

/// Appends the value, or what stands for none.
pub(super) fn write(variable: &Variable, entry: &Entry<'_>, line: &mut Line<'_>) {
    if write_value(variable, entry, line).is_none() {
        line.absent();
    }
}

/// Appends the value; `None`, having written nothing, when there is none. What nginx holds as an empty text, like
/// the names that ingress-nginx sets per location, is written as nothing and is not `None`.
fn write_value(variable: &Variable, entry: &Entry<'_>, line: &mut Line<'_>) -> Option<()> {
    let record = entry.record;
    let request = record.request;
    match variable {
        Variable::Args => line.text(entry.query()?),
        Variable::BodyBytesSent => line.display(record.body_bytes_sent),
        Variable::BytesSent => line.display(record.bytes_sent()),
        Variable::ClientIpSource => line.plain(entry.client_source()?),
        // The request at hand is not done yet.
        Variable::ConnectionRequests => line.display(record.connection?.lifecycle.requests_done().saturating_add(1)),
        Variable::ContentLength => line.text(request.values(&http::header::CONTENT_LENGTH).next()?),
        Variable::ContentType => line.text(request.values(&http::header::CONTENT_TYPE).next()?),
        Variable::Host => line.text(Host::normalize(entry.authority()?)?.as_str()),
        Variable::Https => line.plain(if record.connection?.tls().is_some() { "on" } else { "" }),
        Variable::IngressName => line.text(record.route.map_or("", |route| &route.origin.name)),
        Variable::IsArgs => line.plain(if entry.query().is_some_and(|query| !query.is_empty()) { "?" } else { "" }),
        Variable::LocationPath => line.text(record.route.map_or("", |route| route.path.as_str())),
        Variable::Msec => line.seconds(since_epoch(entry.ended)),
        Variable::Namespace => line.text(record.route.map_or("", |route| &route.origin.namespace)),
        Variable::OpentelemetryContextTraceparent => line.display(record.trace?.text()),
        Variable::OpentelemetrySampled => line.plain(if record.trace?.is_sampled() { "1" } else { "0" }),
        Variable::OpentelemetrySpanId => line.display(record.trace?.span_id()),
        Variable::OpentelemetryTraceId => line.display(record.trace?.trace_id()),
        Variable::ProxyAlternativeUpstreamName => line.text(record.canary().map_or("", |canary| &canary.name)),
        // As nginx adds to what the client sent, believed or not.
        Variable::ProxyAddXForwardedFor => {
            let name = HeaderName::from_static("x-forwarded-for");
            if let Some(sent) = joined(request.values(&name), &name) {
                line.text(sent);
                line.plain(", ");
            }
            line.display(entry.client()?);
        }
        Variable::ProxyHost => {
            // ingress-nginx passes every request to one nginx upstream of this name.
            record.backend?;
            line.plain("upstream_balancer");
        }
        Variable::ProxyProtocolAddr => match entry.proxy_protocol_client() {
            Some(client) => line.display(client.ip()),
            None => line.plain(""),
        },
        Variable::ProxyProtocolPort => match entry.proxy_protocol_client() {
            Some(client) => line.display(client.port()),
            None => line.plain(""),
        },
        Variable::ProxyUpstreamName => match (record.main.or(record.backend), record.forwarded) {
            (Some(backend), _) => line.text(&*backend.name),
            // ingress-nginx sets `-` per host; a malformed request does not get as far.
            (None, Some(_)) => line.plain("-"),
            (None, None) => {}
        },
        Variable::Reason => line.plain(record.reason?.as_str()),
        Variable::RemoteAddr => line.display(entry.client()?),
        Variable::RemotePort => line.display(record.connection?.client_addr().port()),
        Variable::RemoteUser => {
            let authorization = request.values(&http::header::AUTHORIZATION).next()?;
            let answered = || Some(Answer::parse(authorization)?.user().to_vec());
            line.text(basic::user(authorization).or_else(answered)?);
        }
        Variable::Request => {
            line.text(request.method());
            line.plain(" ");
            line.text(entry.target());
            line.plain(" ");
            line.plain(protocol(request.version()));
        }
        Variable::RequestId => line.text(record.request_id),
        Variable::RequestLength => line.display(record.request_length),
        Variable::RequestMethod => line.text(request.method()),
        Variable::RequestTime => line.seconds(record.duration),
        Variable::RequestUri => line.text(entry.target()),
        Variable::Scheme => line.plain(if record.connection?.tls().is_some() { "https" } else { "http" }),
        Variable::ServerAddr => line.display(record.connection?.local_addr().ip()),
        // The name of the server that ingress-nginx would have for the host.
        Variable::ServerName => match record.route.map(|route| &route.host) {
            Some(HostPattern::Any) | None => line.plain("_"),
            Some(host) => line.text(host.to_string()),
        },
        Variable::ServerPort => line.display(record.connection?.local_addr().port()),
        Variable::ServerProtocol => line.plain(protocol(request.version())),
        Variable::ServiceName => line.text(record.route.map_or("", |route| &route.service)),
        Variable::ServicePort => line.text(record.main.or(record.backend).map_or("", |main| &main.key.port)),
        Variable::SslCipher => line.plain(record.connection?.tls()?.cipher),
        Variable::SslProtocol => line.plain(record.connection?.tls()?.version),
        Variable::SslServerName => line.text(record.connection?.tls()?.server_name.as_deref()?),
        Variable::SslSessionReused => line.plain(if record.connection?.tls()?.resumed { "r" } else { "." }),
        Variable::Status => line.display(record.status),
        Variable::TimeIso8601 => with_iso8601(entry.ended, |text| line.plain(text)),
        Variable::TimeLocal => with_local(entry.ended, |text| line.plain(text)),
        Variable::UpstreamAddr => return line.per_try(record.tries, |one| Some(one.address), Line::display),
        Variable::UpstreamConnectTime => return line.per_try(record.tries, |one| one.connect, Line::seconds),
        Variable::UpstreamHeaderTime => return line.per_try(record.tries, |one| one.header, Line::seconds),
        Variable::UpstreamResponseLength => {
            return line.per_try(record.tries, |one| Some(one.body_bytes), Line::display);
        }
        Variable::UpstreamResponseTime => return line.per_try(record.tries, |one| Some(one.total), Line::seconds),
        Variable::UpstreamStatus => return line.per_try(record.tries, |one| one.status, Line::display),
        Variable::Uri => {
            let target = entry.target();
            let normalized = std::str::from_utf8(target).ok().and_then(|text| NormalizedPath::parse(text).ok());
            line.text(normalized.as_ref().map_or(target, NormalizedPath::as_bytes));
        }
        Variable::RequestHeader(name) => line.text(joined(request.values(name), name)?),
        Variable::ResponseHeader(name) => line.text(joined(record.response?.values(name), name)?),
        Variable::Cookie(name) => line.text(entry.cookie(name)?),
        Variable::Argument(name) => line.text(entry.argument(name)?),
        Variable::Unknown => return None,
    }
    Some(())
}
