//! Who asks for what: the client's address, scheme, host and port as the configuration lets us believe them, and the
//! headers that tell the upstream (ingress-nginx nginx.tmpl `proxy_set_header`, row 39 of its semantics).

use std::borrow::Cow;
use std::net::IpAddr;

use crate::decide::{Downstream, RequestHead};
use crate::settings::Settings;

/// What an upstream is told of the client and its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// The client's address.
    pub client: IpAddr,
    /// The scheme: `http` or `https`, or what a trusted `X-Forwarded-Proto` says, literally.
    pub scheme: Cow<'static, [u8]>,
    /// The host as sent, port included, or what a trusted `X-Forwarded-Host` says first. Empty for HTTP/1.0 without one.
    pub host: Box<[u8]>,
    /// The port: the local one, or what a trusted `X-Forwarded-Port` says.
    pub port: Cow<'static, [u8]>,
    /// What a rewrite took off the front of the path, as its route puts it.
    pub prefix: Option<Box<[u8]>>,
}

impl Forwarded {
    /// Works out what to believe. Only clients in [`Settings::trusted`] are believed; ingress-nginx believes everybody's
    /// `X-Forwarded-Proto`, `-Host` and `-Port` once `use-forwarded-headers` is on.
    pub fn of(downstream: &Downstream, head: &impl RequestHead, settings: &Settings) -> Self {
        let trusted = settings.believes(downstream.client);
        let believed = |name| if trusted && settings.use_forwarded_headers { head.header(name) } else { None };
        let scheme: &'static [u8] = if downstream.tls { b"https" } else { b"http" };
        let host = believed("x-forwarded-host").map(first_of_list).filter(|host| !host.is_empty());
        Self {
            client: if trusted { real_client(downstream.client, head, settings) } else { downstream.client },
            scheme: match believed("x-forwarded-proto").filter(|value| !value.is_empty()) {
                Some(scheme) => scheme.to_vec().into(),
                None => scheme.into(),
            },
            host: host.or_else(|| head.authority().map(str::as_bytes)).unwrap_or_default().into(),
            port: match believed("x-forwarded-port").filter(|value| !value.is_empty()) {
                Some(port) => port.to_vec().into(),
                None => port_text(downstream.port),
            },
            prefix: None,
        }
    }

    /// Whether the scheme is anything else than plain `http`: only that is redirected to HTTPS.
    pub fn scheme_is_not_http(&self) -> bool {
        *self.scheme != *b"http"
    }

    /// The scheme for a URL: that of a trusted proxy where it is one.
    pub(crate) fn url_scheme(&self) -> &'static str {
        if self.scheme.eq_ignore_ascii_case(b"https") { "https" } else { "http" }
    }

    /// The port for a URL: that of a trusted proxy where it is one, else the connection's.
    pub(crate) fn url_port(&self, downstream: &Downstream) -> u16 {
        std::str::from_utf8(&self.port).ok().and_then(|port| port.parse().ok()).unwrap_or(downstream.port)
    }

    /// The host without its port; empty when it is not fit for a URL.
    pub fn host_without_port(&self) -> &str {
        let Ok(host) = std::str::from_utf8(&self.host) else { return "" };
        let host = if host.starts_with('[') {
            host.find(']').map_or("", |end| &host[..=end])
        } else {
            host.split(':').next().unwrap_or_default()
        };
        let fit = host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'[' | b']' | b':'));
        if fit { host } else { "" }
    }
}

/// The text of a port. Those that nearly every request comes in on take no memory.
fn port_text(port: u16) -> Cow<'static, [u8]> {
    match port {
        80 => b"80".as_slice().into(),
        443 => b"443".as_slice().into(),
        _ => port.to_string().into_bytes().into(),
    }
}

/// The first element of a comma-separated list, without white space around it.
fn first_of_list(value: &[u8]) -> &[u8] {
    value.split(|b| *b == b',').next().unwrap_or_default().trim_ascii()
}

/// The client behind trusted proxies: from the right, the first address that is not trusted, or the leftmost one
/// (nginx realip module with `real_ip_recursive on`). An element that is no address ends the walk.
fn real_client(peer: IpAddr, head: &impl RequestHead, settings: &Settings) -> IpAddr {
    let mut client = peer;
    for value in head.header_values(&settings.forwarded_for).rev() {
        for element in value.rsplit(|b| *b == b',') {
            if !settings.trusts(client) {
                return client;
            }
            let Some(address) = std::str::from_utf8(element).ok().and_then(|text| parse_address(text.trim())) else {
                return client;
            };
            client = address;
        }
    }
    client
}

/// An address, with or without a port behind it.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// A change to the headers of a request on its way to the upstream, or of a response on its way to the client.
///
/// Names are lower case, and live as long as the snapshot that they come from.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit<'p, 'v> {
    /// Replace every header of the name with this one.
    Set(&'p str, &'v [u8]),
    /// Remove every header of the name.
    Remove(&'p str),
    /// Add a header beside others of the name.
    Append(&'p str, &'v [u8]),
}

/// Tells `edit` what to change so that the upstream learns of the client. `peer` is the address that the request came
/// from, and `request_id` the identity to forward.
///
/// Names that [`is_forwardable`] refuses are the caller's to drop, for only it can walk its header map.
pub fn edit_upstream_headers<'p>(
    forwarded: &Forwarded,
    head: &impl RequestHead,
    settings: &'p Settings,
    peer: IpAddr,
    request_id: &[u8],
    mut edit: impl FnMut(Edit<'p, '_>),
) {
    let own = &settings.upstream_headers;
    for (name, template) in own {
        let request_id = std::str::from_utf8(request_id).unwrap_or_default();
        let value = template.as_ref().map(|template| template.field_value(forwarded, head, request_id));
        edit_or_remove(name, value.as_deref(), &mut edit);
    }
    let mut edit = |change: Edit<'p, '_>| {
        let (Edit::Set(name, _) | Edit::Remove(name) | Edit::Append(name, _)) = change;
        if !own.iter().any(|(own, _)| **own == *name) {
            edit(change);
        }
    };
    let client = AddressText::new(forwarded.client);
    let original_for = joined(head, &settings.forwarded_for);
    let original_host = head.header(&settings.forwarded_host);
    edit_or_remove("host", Some(&forwarded.host), &mut edit);
    edit_or_remove("x-request-id", Some(request_id), &mut edit);
    edit(Edit::Set("x-real-ip", client.as_bytes()));
    edit_or_remove("x-original-forwarded-for", original_for.as_deref(), &mut edit);
    edit_or_remove("x-original-forwarded-host", original_host, &mut edit);
    let full = settings.compute_full_forwarded_for && settings.use_forwarded_headers && settings.believes(peer);
    match &original_for {
        Some(list) if full && !list.is_empty() => {
            let full = [list, b", ".as_slice(), AddressText::new(peer).as_bytes()].concat();
            edit(Edit::Set("x-forwarded-for", &full));
        }
        _ => edit(Edit::Set("x-forwarded-for", client.as_bytes())),
    }
    edit_or_remove("x-forwarded-host", Some(&forwarded.host), &mut edit);
    edit(Edit::Set("x-forwarded-port", &forwarded.port));
    edit(Edit::Set("x-forwarded-proto", &forwarded.scheme));
    edit(Edit::Set("x-forwarded-scheme", &forwarded.scheme));
    if settings.adds_original_uri {
        edit(Edit::Set("x-original-uri", head.target().as_bytes()));
    }
    edit(Edit::Set("x-scheme", &forwarded.scheme));
    if let Some(prefix) = &forwarded.prefix {
        edit(Edit::Set("x-forwarded-prefix", prefix));
    }
    // httpoxy: a CGI application would take it for its proxy setting.
    edit(Edit::Remove("proxy"));
}

fn edit_or_remove<'p>(name: &'p str, value: Option<&[u8]>, edit: &mut impl FnMut(Edit<'p, '_>)) {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => edit(Edit::Set(name, value)),
        None => edit(Edit::Remove(name)),
    }
}

/// All values of a header as one list, as nginx's `$http_x_forwarded_for` has them.
pub(crate) fn joined<'a>(head: &'a impl RequestHead, name: &'a str) -> Option<Cow<'a, [u8]>> {
    let mut values = head.header_values(name);
    let first = values.next()?;
    let rest: Vec<&[u8]> = values.collect();
    if rest.is_empty() {
        return Some(first.into());
    }
    let mut all = first.to_vec();
    for value in rest {
        all.extend_from_slice(b", ");
        all.extend_from_slice(value);
    }
    Some(all.into())
}

/// Whether a request header of this name (lower case) may go upstream whatever [`FieldNames`] say: letters, digits and `-` only.
/// Others are dropped in silence, as nginx does with `ignore_invalid_headers on` and `underscores_in_headers off`:
/// `X_Forwarded_For` must not pass for `X-Forwarded-For` in an upstream that folds the two.
///
/// Headers in which a proxy speaks for its clients pass only from one that is `believed`
/// ([`Settings::believes`]); ingress-nginx passes those on that it does not set itself.
pub fn is_forwardable(name: &[u8], believed: bool) -> bool {
    name.iter().all(is_plain) && (believed || !speaks_for_client(name))
}

fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'-'
}

/// Which names of header fields upstreams get beside those of letters, digits and `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldNames {
    /// None.
    #[default]
    Plain,
    /// With `_` in them (ConfigMap `enable-underscores-in-headers`).
    Underscores,
    /// All there are (ConfigMap `ignore-invalid-headers: "false"`).
    Any,
}

impl FieldNames {
    /// Whether an upstream gets a field for which none of its own may be mistaken: whose name is no plain one, and one that
    /// these let pass. It is the caller's to see to it that its [`folded`] name is none that the proxy has a word in.
    pub fn let_pass(self, name: &[u8]) -> bool {
        let is_allowed = |byte: &u8| match self {
            Self::Plain => false,
            Self::Underscores => *byte == b'_',
            Self::Any => true,
        };
        !name.iter().all(is_plain)
            && name.iter().all(|byte| is_plain(byte) || is_allowed(byte))
            && !speaks_for_client(&folded(name))
    }
}

/// The plain name, in lower case, that an application may take this one for: CGI and its heirs write all but letters and digits
/// as `_` (RFC 3875 section 4.1.18).
pub fn folded(name: &[u8]) -> Vec<u8> {
    name.iter().map(|byte| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }).collect()
}

/// Whether a header says who the client is, how it came and what certificate it showed.
fn speaks_for_client(name: &[u8]) -> bool {
    matches!(name, b"forwarded" | b"x-client-ip" | b"true-client-ip")
        || name.starts_with(b"x-forwarded-")
        || name.starts_with(b"ssl-client-")
}

/// The text of an address, on the stack.
pub(crate) struct AddressText {
    bytes: [u8; 45],
    length: usize,
}

impl AddressText {
    pub(crate) fn new(address: IpAddr) -> Self {
        let mut text = Self { bytes: [0; 45], length: 0 };
        if let IpAddr::V4(address) = address {
            // By hand, at a tenth of what formatting takes: every request has it.
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    text.push(b'.');
                }
                if octet >= 100 {
                    text.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    text.push(b'0' + octet / 10 % 10);
                }
                text.push(b'0' + octet % 10);
            }
            return text;
        }
        let mut rest = text.bytes.as_mut_slice();
        // 45 bytes hold the longest text of an IPv6 address, so that this cannot fail.
        let written = std::io::Write::write_fmt(&mut rest, format_args!("{address}")).map_or(0, |()| 45 - rest.len());
        text.length = written;
        text
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests;
