//! Heads of requests and responses, whichever engine has read or written them.

use edgeward_routing::decide::RequestHead as _;
use http::{HeaderName, HeaderValue, Version};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::head::{RequestHead, fields_length, fields_of, lines};

/// The head of a request as received.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// As Pingora has it.
    Map(&'a RequestHeader),
    /// As it is on the wire.
    Wire(&'a RequestHead),
}

/// The head of a response as sent.
#[derive(Debug, Clone, Copy)]
pub enum Response<'a> {
    /// As Pingora has it.
    Map(&'a ResponseHeader),
    /// As it is on the wire, from the status line to the empty line.
    Wire(&'a [u8]),
}

impl<'a> Request<'a> {
    /// The method.
    pub fn method(self) -> &'a str {
        match self {
            Self::Map(map) => map.method.as_str(),
            Self::Wire(head) => head.method(),
        }
    }

    /// The target as sent.
    pub fn target(self) -> &'a [u8] {
        match self {
            Self::Map(map) => map.raw_path(),
            Self::Wire(head) => head.raw_target(),
        }
    }

    /// The version of the protocol.
    pub fn version(self) -> Version {
        match self {
            Self::Map(map) => map.version,
            Self::Wire(head) => head.version(),
        }
    }

    /// The authority of the target, else the `Host` field.
    pub fn authority(self) -> Option<&'a str> {
        match self {
            Self::Map(map) => match map.uri.authority() {
                Some(authority) => Some(authority.as_str()),
                None => map.headers.get(http::header::HOST)?.to_str().ok(),
            },
            Self::Wire(head) => head.authority(),
        }
    }

    /// The values of all fields of a name, in order.
    pub fn values(self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let (map, wire) = match self {
            Self::Map(map) => (Some(map), None),
            Self::Wire(head) => (None, Some(head)),
        };
        let map = map.into_iter().flat_map(move |map| map.headers.get_all(name)).map(HeaderValue::as_bytes);
        map.chain(wire.into_iter().flat_map(move |head| head.values(name.as_str().as_bytes())))
    }
}

impl<'a> Response<'a> {
    /// The values of all fields of a name, in order.
    pub fn values(self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let (map, wire) = match self {
            Self::Map(map) => (Some(map), None),
            Self::Wire(head) => (None, Some(head)),
        };
        let map = map.into_iter().flat_map(move |map| map.headers.get_all(name)).map(HeaderValue::as_bytes);
        let wire = wire.into_iter().flat_map(|head| fields_of(lines(head).skip(1)));
        map.chain(wire.filter(move |field| field.is(name.as_str().as_bytes())).map(|field| field.value))
    }

    /// How many bytes it has in HTTP/1, whatever the protocol.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Map(map) => {
                // Version, status and what separates them: `HTTP/1.1 200 OK` and the empty line at the end.
                let line = 13 + map.get_reason_phrase().map_or(0, str::len) + 4;
                line + fields_length(&map.headers)
            }
            Self::Wire(head) => head.len(),
        }
    }
}
