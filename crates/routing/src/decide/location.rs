//! The `Location` of redirects. No byte of them can end the header: everything that is not visible ASCII is
//! percent-encoded.

use super::Downstream;
use crate::forward::Forwarded;
use crate::path::origin_form;
use crate::policy::RedirectStyle;

/// `https://` + the host without its port + the raw request target without a slash at its very end
/// (lua_ingress.lua rewrite; recorded: `/x/?y=1` stays, `/` becomes nothing).
pub(super) fn https(forwarded: &Forwarded, host: &str, target: &str, keeps_slash: bool) -> String {
    let named = forwarded.host_without_port();
    let host = if named.is_empty() { host } else { named };
    let target = origin_form(target);
    let target = if keeps_slash { target } else { target.strip_suffix('/').unwrap_or(target) };
    let mut url = String::with_capacity(8 + host.len() + target.len());
    url.push_str("https://");
    url.push_str(host);
    push_visible(&mut url, target);
    url
}

/// A name, a port and the raw request target without a slash at its very end (lua_ingress.lua, `ngx.var.redirect_to` of
/// nginx.tmpl's redirect servers; recorded: c071, c375).
pub(super) fn elsewhere(scheme: &str, name: &str, port: u16, target: &str) -> String {
    let target = origin_form(target);
    let mut url = format!("{scheme}://{name}:{port}");
    push_visible(&mut url, target.strip_suffix('/').unwrap_or(target));
    url
}

/// A location on the host, with the connection's scheme and this authority (nginx `absolute_redirect`).
pub(super) fn absolute(tls: bool, authority: &str, location: &str) -> String {
    let mut url = String::with_capacity(8 + authority.len() + location.len());
    url.push_str(if tls { "https://" } else { "http://" });
    push_visible(&mut url, authority);
    push_visible(&mut url, location);
    url
}

/// A location that is made absolute where it is on the host itself (nginx `absolute_redirect`, `port_in_redirect`).
pub(super) fn relative_to(downstream: &Downstream, host: &str, location: &[u8], style: RedirectStyle) -> String {
    let mut url = String::with_capacity(location.len());
    if location.starts_with(b"/") && !style.is_relative {
        url.push_str(if downstream.tls { "https://" } else { "http://" });
        url.push_str(host);
        if let (true, Some(port)) = (style.has_port, downstream.port_in_url()) {
            url.push_str(&format!(":{port}"));
        }
    }
    push_visible(&mut url, location);
    url
}

/// The path of the rule, which ends in a slash, in place of the request's, with the request's query (nginx auto_redirect).
pub(super) fn slashed(path: &str, target: &str) -> String {
    let mut url = String::with_capacity(path.len() + target.len());
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

/// Appends text so that no byte of it can end the header: everything that is not visible ASCII is percent-encoded.
fn push_visible(url: &mut String, text: impl AsRef<[u8]>) {
    for &byte in text.as_ref() {
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
