//! What a client says of its connection (RFC 9110 section 7.6.1).

use edgeward_routing::decide::RequestHead;
use smallvec::SmallVec;

use crate::head::elements;

/// Fields that no client may have dropped by naming them in `Connection`: something behind relies on them, and without its
/// framing a body would be read as the next request.
const PROTECTED: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Most options of a connection that are looked at, empty ones included; more is an attack.
const MAX_OPTIONS: usize = 32;

/// Names of fields in a `Connection`, which are few.
pub(super) type Named<'h> = SmallVec<[&'h [u8]; 4]>;

/// See the [module](self).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    /// Whether it names fields, which are then between the client and this proxy.
    names_fields: bool,
}

impl ConnectionOptions {
    /// Reads them. `None` when they are malformed.
    pub(super) fn of(head: &impl RequestHead) -> Option<Self> {
        let mut options = Self::default();
        let mut left = MAX_OPTIONS;
        for value in head.header_values("connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                left = left.checked_sub(1)?;
                if option.eq_ignore_ascii_case(b"close") {
                    options.close = true;
                } else if option.eq_ignore_ascii_case(b"keep-alive") {
                    options.keep_alive = true;
                } else if !option.is_empty() {
                    let is_protected = PROTECTED.iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes()));
                    http::HeaderName::from_bytes(option).ok().filter(|_| !is_protected)?;
                    options.names_fields = true;
                }
            }
        }
        Some(options)
    }

    /// The fields of the head that they were [read](Self::of) from which they name.
    pub(super) fn named<'h>(self, head: &'h impl RequestHead) -> Named<'h> {
        match self.names_fields {
            true => head.header_values("connection").flat_map(elements).collect(),
            false => Named::new(),
        }
    }

    /// Whether the client wants to send further requests on the connection (RFC 9112 section 9.3).
    pub(super) fn keeps(self, is_http11: bool) -> bool {
        !self.close && (is_http11 || self.keep_alive)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use bytes::BytesMut;

    use super::*;
    use crate::head;

    fn head(fields: &str) -> head::RequestHead {
        let head = format!("GET /a HTTP/1.1\r\nHost: web.test\r\n{fields}\r\n");
        head::RequestHead::new(BytesMut::from(head.as_str()))
    }

    #[test]
    fn options_of_the_connection_say_whether_it_is_kept() {
        for (fields, http11, http10) in [
            ("", true, false),
            ("Connection: keep-alive\r\n", true, true),
            ("Connection: Close\r\n", false, false),
            ("Connection: X-A, close, keep-alive\r\n", false, false),
            ("Connection: ,,\r\nConnection: keep-alive\r\n", true, true),
        ] {
            let options = ConnectionOptions::of(&head(fields)).unwrap();
            assert_eq!((options.keeps(true), options.keeps(false)), (http11, http10), "{fields}");
        }
    }

    #[test]
    fn nobody_has_fields_dropped_that_others_rely_on() {
        for options in
            ["host", "Content-Length", "transfer-encoding", "X-Forwarded-For", "x-forwarded-proto", "a b", "\"x\""]
        {
            assert_eq!(ConnectionOptions::of(&head(&format!("Connection: {options}\r\n"))), None, "{options}");
        }
    }

    /// Each field of the head is compared with all of them.
    #[test]
    fn options_that_would_cost_more_than_they_say_are_malformed() {
        let most = "a,".repeat(MAX_OPTIONS - 1) + "b";
        for (options, is_good) in [
            (most.clone(), true),
            (most + ",c", false),
            (",".repeat(MAX_OPTIONS - 1), true),
            (",".repeat(30_000), false),
            (" \r\nConnection: ".repeat(MAX_OPTIONS), false),
        ] {
            let head = head(&format!("Connection: {options}\r\n"));
            let read = ConnectionOptions::of(&head);
            assert_eq!(read.is_some(), is_good, "{} bytes", options.len());
            assert!(read.is_none_or(|options| options.named(&head).len() <= MAX_OPTIONS));
        }
    }
}
