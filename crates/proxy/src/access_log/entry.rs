//! The two sides of a line: the finished request it tells of, and the bytes it becomes.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use edgeward_routing::backend::Backend;
use edgeward_routing::log_format::Escape;
use http::{HeaderName, Version};

use super::escape;
use crate::connection::AddressSource;
use crate::record::{RequestRecord, Response, Try};

/// A finished request, as variables ask for it.
pub(super) struct Entry<'a> {
    pub(super) record: &'a RequestRecord<'a>,
    /// When the response ended: what nginx's time variables tell.
    pub(super) ended: SystemTime,
}

impl<'a> Entry<'a> {
    pub(super) fn new(record: &'a RequestRecord<'a>) -> Self {
        Self { record, ended: record.started.checked_add(record.duration).unwrap_or(record.started) }
    }

    /// The client's address, as far as the configuration lets us believe it.
    pub(super) fn client(&self) -> Option<IpAddr> {
        self.record.client.or_else(|| Some(self.record.connection?.client_addr().ip()))
    }

    /// Where that address comes from.
    pub(super) fn client_source(&self) -> Option<&'static str> {
        let connection = self.record.connection?;
        if self.record.client.is_some_and(|client| client != connection.client_addr().ip()) {
            return Some("forwarded");
        }
        Some(match connection.address_source() {
            AddressSource::Peer => "peer",
            AddressSource::ProxyV1 => "proxy-v1",
            AddressSource::ProxyV2 => "proxy-v2",
        })
    }

    /// The client that a PROXY protocol header named, if one did.
    pub(super) fn proxy_protocol_client(&self) -> Option<SocketAddr> {
        let connection = self.record.connection?;
        (connection.address_source() != AddressSource::Peer).then(|| connection.client_addr())
    }

    /// The request target as sent.
    pub(super) fn target(&self) -> &'a [u8] {
        self.record.request.target()
    }

    /// What is behind the first `?` of the target.
    pub(super) fn query(&self) -> Option<&'a [u8]> {
        let target = self.target();
        let at = target.iter().position(|b| *b == b'?')?;
        Some(&target[at + 1..])
    }

    /// The authority of the target, else the `Host` header.
    pub(super) fn authority(&self) -> Option<&'a str> {
        self.record.request.authority()
    }

    /// The value of a query argument, raw. Names are compared without regard to case, as nginx's `$arg_` does.
    pub(super) fn argument(&self, name: &str) -> Option<&'a [u8]> {
        self.query()?.split(|b| *b == b'&').find_map(|pair| named_value(pair, name))
    }

    /// The value of a cookie. Names are compared without regard to case, as nginx's `$cookie_` does.
    pub(super) fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        let cookies = self.record.request.values(&http::header::COOKIE);
        cookies.flat_map(|value| value.split(|b| *b == b';')).find_map(|pair| named_value(pair.trim_ascii(), name))
    }
}

impl RequestRecord<'_> {
    /// The canary that took the request.
    pub(crate) fn canary(&self) -> Option<&Backend> {
        self.backend.filter(|_| self.main.is_some())
    }

    /// Bytes of the response, head and body, as nginx's `$bytes_sent`. The head counts as HTTP/1 has it, whatever the
    /// protocol.
    pub(crate) fn bytes_sent(&self) -> u64 {
        let head = self.response.map_or(0, Response::length);
        (head as u64).saturating_add(self.body_bytes_sent)
    }
}

/// The value of `name=value` if that is the name.
fn named_value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, value) = pair.split_at_checked(name.len())?;
    value.strip_prefix(b"=").filter(|_| found.eq_ignore_ascii_case(name.as_bytes()))
}

/// All values of a header as one list, as nginx's `$http_` has them.
pub(super) fn joined<'a>(mut values: impl Iterator<Item = &'a [u8]>, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let first = values.next()?;
    let separator: &[u8] = if name == http::header::COOKIE { b"; " } else { b", " };
    let mut list = Cow::Borrowed(first);
    for value in values {
        let list = list.to_mut();
        list.extend_from_slice(separator);
        list.extend_from_slice(value);
    }
    Some(list)
}

/// The protocol as nginx's `$server_protocol` has it.
pub(super) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// A line under construction.
pub(super) struct Line<'a> {
    out: &'a mut Vec<u8>,
    escape: Escape,
}

impl<'a> Line<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, escape: Escape) -> Self {
        Self { out, escape }
    }

    /// Appends text that needs no escaping because none of it is anybody's input.
    pub(super) fn plain(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends bytes from outside, escaped.
    pub(super) fn text(&mut self, value: impl AsRef<[u8]>) {
        escape::push(self.escape, self.out, value.as_ref());
    }

    /// Appends a number or an address.
    pub(super) fn display(&mut self, value: impl fmt::Display) {
        // Writing into a vector does not fail.
        let _ = write!(self.out, "{value}");
    }

    /// Appends seconds with three decimals, cut off as nginx does.
    pub(super) fn seconds(&mut self, time: Duration) {
        self.display(format_args!("{}.{:03}", time.as_secs(), time.subsec_millis()));
    }

    /// Appends what stands for a value that there is not: `-`, or nothing inside JSON.
    pub(super) fn absent(&mut self) {
        if self.escape != Escape::Json {
            self.out.push(b'-');
        }
    }

    /// Appends one value per try, as nginx's `$upstream_` variables list them; `-` for a try that has none.
    ///
    /// Returns `None`, having written nothing, when there was no try.
    pub(super) fn per_try<T>(
        &mut self,
        tries: &[Try],
        value: impl Fn(&Try) -> Option<T>,
        write: impl Fn(&mut Self, T),
    ) -> Option<()> {
        if tries.is_empty() {
            return None;
        }
        for (at, one) in tries.iter().enumerate() {
            if at > 0 {
                self.plain(", ");
            }
            match value(one) {
                Some(value) => write(self, value),
                None => self.plain("-"),
            }
        }
        Some(())
    }
}
