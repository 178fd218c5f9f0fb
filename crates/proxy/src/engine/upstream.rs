//! What Pingora is told of an endpoint, and how the request is made fit for it.

use std::net::SocketAddr;

use edgeward_routing::policy::Timeouts;
use http::Version;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::prelude::HttpPeer;
use pingora::upstreams::peer::H1UpgradePolicy;

use super::EngineOptions;

/// The connection target for an endpoint.
pub(super) fn peer(
    address: SocketAddr,
    tls: bool,
    http2: bool,
    timeouts: &Timeouts,
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
    peer.options.idle_timeout = Some(options.upstream_idle);
    peer.options.max_h2_streams = options.upstream_h2_streams;
    if http2 {
        peer.options.set_http_version(2, 2);
    }
    peer
}

/// How an upgrade is forwarded. Only WebSockets are normalised; `h2c` never goes on, for it would open a connection past
/// every rule of this proxy.
pub(super) fn upgrade_policy(request: &RequestHeader) -> H1UpgradePolicy {
    let upgrade = request.headers.get(http::header::UPGRADE).map_or(&b""[..], |value| value.as_bytes());
    let names_h2c = upgrade.split(|b| *b == b',').any(|token| {
        let token = token.trim_ascii();
        token.eq_ignore_ascii_case(b"h2c") || token.eq_ignore_ascii_case(b"h2")
    });
    if names_h2c {
        H1UpgradePolicy::Deny
    } else if is_websocket(request) {
        H1UpgradePolicy::WebSocketOnly
    } else {
        H1UpgradePolicy::Preserve
    }
}

/// Whether the request asks for a WebSocket (RFC 6455 section 4.1).
pub(super) fn is_websocket(request: &RequestHeader) -> bool {
    request.headers.get(http::header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
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
