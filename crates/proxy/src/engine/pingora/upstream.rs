//! What Pingora is told of an endpoint, and how the request is made fit for it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use edgeward_routing::policy::Timeouts;
use http::header::{CONNECTION, COOKIE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::HttpPeer;
use pingora::upstreams::peer::H1UpgradePolicy;

use super::super::{EngineOptions, upgrade};
use crate::head;

/// The connection target for an endpoint.
pub(super) fn peer(
    address: SocketAddr,
    tls: bool,
    http2: bool,
    timeouts: &Timeouts,
    idle: Duration,
    options: &EngineOptions,
) -> HttpPeer {
    // No server name goes out, as in ingress-nginx without proxy-ssl-name (proxy_ssl_server_name off): TLS has none for an
    // address (RFC 6066 section 3). An empty name would fail in Pingora's rustls connector.
    let name = if tls { address.ip().to_string() } else { String::new() };
    let mut peer = HttpPeer::new(address, tls, name);
    // Pingora's pool does not tell protocols apart, so the key has to.
    peer.group_key = u64::from(http2);
    peer.options.verify_cert = false;
    peer.options.verify_hostname = false;
    peer.options.connection_timeout = Some(timeouts.connect);
    peer.options.total_connection_timeout = Some(timeouts.connect);
    peer.options.read_timeout = Some(timeouts.read);
    peer.options.write_timeout = Some(timeouts.send);
    peer.options.idle_timeout = Some(idle);
    // The engine writes the upgrades that it lets pass by itself; kept ones would keep all that `Connection` names.
    peer.options.http_upstream_request_policy.h1_upgrade = H1UpgradePolicy::Deny;
    peer.options.max_h2_streams = options.upstream_h2_streams;
    if http2 {
        peer.options.set_http_version(2, 2);
    }
    peer
}

/// A number for a group of connections. No other group in this process has it: those of [`peer`] have 0 and 1.
pub(super) fn group() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(2);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Has no other request use the connection.
pub(super) fn close_behind(peer: &mut HttpPeer) {
    peer.group_key = group();
    peer.options.idle_timeout = Some(Duration::ZERO);
}

/// The protocol that a request asks to go on in, if it is one that is let pass.
pub(super) fn upgrade(request: &RequestHeader) -> Option<HeaderValue> {
    upgrade::protocol(elements(&request.headers, UPGRADE))
}

/// The elements of all fields of a name that hold comma-separated lists.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(name).into_iter();
    fields.flat_map(|field| head::elements(field.as_bytes()))
}

/// Makes one field of the cookies that HTTP/2 may bring in several.
pub(super) fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    match head::joined_cookies(&request.headers) {
        Some(joined) => request.insert_header(COOKIE, joined),
        None => Ok(()),
    }
}

/// Removes what an endpoint says to this proxy rather than to the client (RFC 9110 section 7.6.1). A `101` is the
/// client's as it stands; `Transfer-Encoding` is Pingora's to write anew.
pub(super) fn remove_hop_by_hop(response: &mut ResponseHeader) {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let nominated: Vec<HeaderName> = elements(&response.headers, CONNECTION)
        .filter(|option| !option.eq_ignore_ascii_case(b"close") && !option.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect();
    for name in nominated.iter().chain(&[CONNECTION, UPGRADE]) {
        response.remove_header(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        response.remove_header(name);
    }
}

/// Puts an absolute-form target into origin-form, and leaves the authority to the `Host` header.
pub(super) fn normalize_target(request: &mut RequestHeader) -> Result<()> {
    if request.version == Version::HTTP_2 {
        return Ok(());
    }
    let raw = request.raw_path();
    if raw.starts_with(b"/") || raw == b"*" {
        return Ok(());
    }
    let path = raw
        .windows(3)
        .position(|window| window == b"://")
        .and_then(|at| raw[at + 3..].iter().position(|b| matches!(b, b'/' | b'?')).map(|slash| &raw[at + 3 + slash..]))
        .unwrap_or(b"/");
    let path = if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() };
    request.set_raw_path(&path)
}

#[cfg(test)]
mod tests;
