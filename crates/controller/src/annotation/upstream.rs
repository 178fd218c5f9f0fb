//! What is spoken to endpoints, and how long they are waited for.

use edgeward_routing::policy::BackendProtocol;

use super::value::{SECONDS, parse_seconds};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Endpoints",
    doc: "What is spoken to endpoints, and how long they are waited for.",
    annotations: &[
        Annotation::honoured(
            "backend-protocol",
            Scope::Route,
            backend_protocol,
            "What the endpoints speak: HTTP, HTTPS, AUTO_HTTP, GRPC or GRPCS.",
        )
        .differing("FCGI is not spoken: its routes answer 503."),
        Annotation::later(
            "connection-proxy-header",
            Scope::Route,
            "Value of the `Connection` header to the application.",
        ),
        Annotation::later(
            "fastcgi-index",
            Scope::Route,
            "File name that FastCGI appends to a path that ends in a slash.",
        ),
        Annotation::later("fastcgi-params-configmap", Scope::Route, "ConfigMap with FastCGI parameters."),
        Annotation::honoured(
            "proxy-connect-timeout",
            Scope::Route,
            connect_timeout,
            "Seconds to open a connection to an endpoint.",
        ),
        Annotation::later("proxy-http-version", Scope::Route, "HTTP version towards the endpoints.")
            .meanwhile("it is 1.1"),
        Annotation::later("proxy-next-upstream", Scope::Route, "Faults after which the next endpoint is tried.")
            .meanwhile("they are connect failures and lost connections"),
        Annotation::later(
            "proxy-next-upstream-timeout",
            Scope::Route,
            "Time within which further endpoints are tried.",
        ),
        Annotation::later("proxy-next-upstream-tries", Scope::Route, "Number of endpoints that are tried."),
        Annotation::honoured(
            "proxy-read-timeout",
            Scope::Route,
            read_timeout,
            "Seconds between two reads of the response.",
        ),
        Annotation::honoured(
            "proxy-send-timeout",
            Scope::Route,
            send_timeout,
            "Seconds between two writes of the request.",
        ),
        Annotation::later("upstream-vhost", Scope::Route, "`Host` header to the application.")
            .meanwhile("it gets the client's"),
    ],
};

fn backend_protocol(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("FCGI") {
        return Err(Rejection::Unserved("FastCGI is not spoken"));
    }
    let protocol = BackendProtocol::parse(value).ok_or_else(|| invalid("HTTP, HTTPS, AUTO_HTTP, GRPC or GRPCS"))?;
    settings.protocol = Some(protocol);
    Ok(())
}

fn connect_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.connect_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}

fn send_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.send_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}

fn read_timeout(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.read_timeout = Some(parse_seconds(value).ok_or_else(|| invalid(SECONDS))?);
    Ok(())
}
