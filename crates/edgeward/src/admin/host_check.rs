//! Keeps web pages from reading the administration pages through the browser of somebody on this machine: a name that
//! an attacker points at 127.0.0.1 (DNS rebinding) still stands in the request's host.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers 403 to requests for a host that is not this machine's loopback.
pub(super) async fn refuse_other_hosts(request: Request, next: Next) -> Response {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    match authority.or(host) {
        Some(host) if is_loopback(&host) => {
            let mut response = next.run(request).await;
            response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
            response
        }
        _ => (StatusCode::FORBIDDEN, "ask for localhost, 127.0.0.1 or [::1]\n").into_response(),
    }
}

/// Whether a host, with or without a port, is `localhost` or a loopback address.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
