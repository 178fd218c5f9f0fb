//! Requests that the stream refuses: their heads are wrong, but what became of them is told like that of all others.

use std::time::{Instant, SystemTime};

use edgeward_routing::decide::Reason;
use http::{HeaderName, HeaderValue, Method, Version};
use pingora::http::RequestHeader;

use super::{Request, RequestRecord, new_request_id};
use crate::connection::Connection;
use crate::stream::Refusal;

/// Fields of a refused head that are looked at. Some of them may be worth a place in the log; no client needs more.
const FIELDS: usize = 100;

/// A request that was refused before the engine saw it.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// What had come of the request, and maybe of what follows it. Empty on HTTP/2.
    pub head: &'a [u8],
    /// When its first byte came.
    pub begun: Instant,
    /// What was wrong with it, and the status answered.
    pub refusal: Refusal,
}

impl Refused<'_> {
    /// Calls `take` with the record of the request.
    pub fn with_record<T>(&self, take: impl FnOnce(&RequestRecord<'_>) -> T) -> T {
        let duration = self.begun.elapsed();
        let now = SystemTime::now();
        take(&RequestRecord {
            route: None,
            backend: None,
            main: None,
            connection: Some(self.connection),
            client: Some(self.connection.client_addr().ip()),
            forwarded: None,
            request: Request::Map(&request(self.head)),
            response: None,
            status: self.refusal.status,
            reason: Some(match self.refusal.status {
                _ if self.refusal.is_of_size() => Reason::HeadersTooLarge,
                405 => Reason::MethodNotAllowed,
                408 => Reason::ClientTimeout,
                414 => Reason::UriTooLong,
                _ => Reason::BadRequest,
            }),
            started: now.checked_sub(duration).unwrap_or(now),
            duration,
            request_length: self.head.len() as u64,
            body_bytes_sent: self.refusal.body().len() as u64,
            tries: &[],
            trace: None,
            request_id: &new_request_id(),
        })
    }
}

/// What can be told of a head that is wrong: its method, or `-`; its target, with what no target may have in
/// percent-encoding; and those of its fields that are right.
fn request(head: &[u8]) -> RequestHeader {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let (method, rest) = match first.iter().position(|byte| *byte == b' ') {
        Some(blank) => (&first[..blank], &first[blank + 1..]),
        None => (&first[..0], first),
    };
    let (target, version) = match rest.iter().rposition(|byte| *byte == b' ') {
        Some(blank) => (&rest[..blank], &rest[blank + 1..]),
        None => (rest, &rest[..0]),
    };
    let method = Method::from_bytes(method).unwrap_or_else(|_| {
        // A token, as every character of a word without a meaning is.
        Method::from_bytes(b"-").unwrap_or_default()
    });
    let is_plain = target.iter().all(u8::is_ascii_graphic);
    let mut request = RequestHeader::build(method.clone(), target, None)
        .ok()
        .filter(|_| is_plain)
        .or_else(|| RequestHeader::build(method.clone(), encode(target).as_bytes(), None).ok())
        .unwrap_or_else(|| RequestHeader::build(method, b"/", None).expect("a slash is a target"));
    request.set_version(if version == b"HTTP/1.0" { Version::HTTP_10 } else { Version::HTTP_11 });
    for line in lines.take_while(|line| !line.is_empty()).take(FIELDS) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value) {
            // A map that is full keeps what it has.
            let _ = request.append_header(name, value);
        }
    }
    request
}

fn encode(target: &[u8]) -> String {
    let mut encoded = String::with_capacity(target.len() + 16);
    if target.first() != Some(&b'/') {
        encoded.push('/');
    }
    for byte in target {
        if byte.is_ascii_alphanumeric() || b"/?&=%-._~:;,@!$'()*+[]".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_told_of_a_head_as_can_be() {
        let table: [(&[u8], &str); 8] = [
            (b"GET /a<b?c=<d> HTTP/1.1\r\n", "GET /a%3Cb?c=%3Cd%3E HTTP/1.1"),
            (b"GET /two words HTTP/1.0\r\n", "GET /two%20words HTTP/1.0"),
            (b"GET /cut", "GET /cut HTTP/1.1"),
            (b"G\x01T / HTTP/1.1\r\n", "- / HTTP/1.1"),
            (b"\x16\x03\x01\x02\x00\x01\x00", "- /%16%03%01%02%00%01%00 HTTP/1.1"),
            (b"CONNECT a.test:443 HTTP/1.1\r\n", "CONNECT a.test:443 HTTP/1.1"),
            (b"GET\r\n", "- GET HTTP/1.1"),
            (b"", "- / HTTP/1.1"),
        ];
        for (head, expected) in table {
            let request = request(head);
            let target = String::from_utf8_lossy(request.raw_path());
            let told = format!("{} {target} {:?}", request.method, request.version);
            assert_eq!(told, expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn fields_that_are_right_are_told() {
        let request =
            request(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nUser-Agent: it \r\nbad name: x\r\nnone\r\n\r\nBody: x");
        let told: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(told, [("host", &b"a"[..]), ("host", b"b"), ("user-agent", b"it")]);
    }
}
