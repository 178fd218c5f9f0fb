//! Whether the bytes of an HTTP/1 request head mean one thing only.
//!
//! Pingora parses the head, and repairs or tolerates some of what is wrong with it. Behind a repair, two servers may
//! disagree on which host a request is for or where it ends, so this check comes first and refuses instead. It is as
//! strict as RFC 9112 lets a server be, and where the RFC leaves a choice it takes nginx's.

use edgeward_routing::settings::ClientLimits;
use memchr::memchr;
use pingora::http::RequestHeader;
use pingora::protocols::http::authority::validate_request_authority;

use super::chunked::Chunked;
use crate::clock;
use crate::head::{authority_end, lines, parse_length};

/// Why a request is answered by the connection itself, which is closed behind the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// What is wrong, in a few words; a constant, without anything of the request in it.
    pub reason: &'static str,
}

const MANY_FIELDS: Refusal = Refusal::new(431, "too many header fields");
// nginx has 400 for these (RFC 6585 has 431).
const LARGE_FIELD: Refusal = Refusal::new(400, "header field too large");
pub(super) const LARGE_HEAD: Refusal = Refusal::new(400, "request head too large");

impl Refusal {
    pub(super) const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// Whether the header fields were too large or too many.
    pub(crate) fn is_of_size(self) -> bool {
        [MANY_FIELDS, LARGE_FIELD, LARGE_HEAD].contains(&self)
    }

    fn phrase(self) -> &'static str {
        let status = http::StatusCode::from_u16(self.status).ok();
        status.and_then(|status| status.canonical_reason()).unwrap_or("Error")
    }

    /// The body of the answer.
    pub(crate) fn body(self) -> String {
        format!("{} {}: {}\n", self.status, self.phrase(), self.reason)
    }

    /// The answer as it goes on the wire.
    pub(super) fn response(self) -> Vec<u8> {
        let (status, phrase, body) = (self.status, self.phrase(), self.body());
        let date = clock::date();
        format!(
            "HTTP/1.1 {status} {phrase}\r\nDate: {}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            String::from_utf8_lossy(&date),
            body.len(),
        )
        .into_bytes()
    }
}

/// Where the body of a request ends.
#[derive(Debug)]
pub(super) enum Framing {
    /// After so many bytes; 0 without a body.
    Length(u64),
    /// Where the chunked coding says.
    Chunked(Chunked),
    /// Nowhere, for the coding makes no sense.
    Broken(&'static str),
}

impl Framing {
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::Broken(_) => false,
        }
    }

    /// How many bytes are left, where the head said how many there are.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            _ => None,
        }
    }

    /// Follows bytes that nobody has seen, of a body whose [length](Self::left) is known.
    pub(super) fn skip(&mut self, bytes: u64) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(bytes);
        }
    }

    /// Follows `bytes`, and returns how many of them belong to the body.
    ///
    /// # Errors
    ///
    /// What is wrong with the coding.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                Ok(taken)
            }
            Self::Chunked(chunked) => chunked.advance(bytes),
            Self::Broken(reason) => Err(reason),
        }
    }
}

/// The length of the head that `bytes` begin with: up to and including its first empty line, as httparse sees it, which
/// takes a lone line feed for a line end (RFC 9112 section 2.2 allows that). The first `scanned` bytes are known to hold
/// no end.
pub(super) fn find_end(bytes: &[u8], scanned: usize) -> Option<usize> {
    // An end that was cut in two begins at most two bytes before.
    let mut at = scanned.saturating_sub(2);
    while let Some(found) = memchr(b'\n', &bytes[at..]) {
        at += found + 1;
        match &bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// What a head that may pass is like.
#[derive(Debug)]
pub(super) struct Checked {
    /// Where the body ends.
    pub(super) framing: Framing,
    /// What is wrong but harmless is to be [`mended`] before it is passed on.
    pub(super) faults: Faults,
}

/// What nginx serves all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Some fields have names that are none. They are left out, as nginx does (its `ignore_invalid_headers`).
    pub(super) fields: bool,
    /// The target has characters that a request cannot have. Those that no URI has go on in percent-encoding, which means the
    /// same (RFC 3986 section 2.1), for the engine has no place for them as they are. A fragment goes no further: it is no
    /// part of a request (RFC 9112 section 3.2), and whoever took it for a part of the path would see another one than rules do.
    pub(super) target: bool,
}

/// Checks a whole head, from its first byte to its empty line.
///
/// # Errors
///
/// The answer to give instead of passing it on.
pub(super) fn check(head: &[u8], limits: &ClientLimits) -> Result<Checked, Refusal> {
    let mut lines = lines(head);
    let (target, http11, odd_target) = check_request_line(lines.next().unwrap_or_default(), limits)?;
    let mut fields = Fields::default();
    let mut count = 0;
    for line in lines.take_while(|line| !line.is_empty()) {
        count += 1;
        if count > limits.header_fields {
            return Err(MANY_FIELDS);
        }
        if line.len() > limits.line_bytes {
            return Err(LARGE_FIELD);
        }
        fields.read(line)?;
    }
    if head.len() > limits.header_bytes {
        return Err(LARGE_HEAD);
    }
    check_authority(target, fields.host)?;
    fields.finish(http11, odd_target)
}

/// A checked head without its faults.
pub(super) fn mended(head: &[u8], faults: Faults) -> Vec<u8> {
    let mut kept = Vec::with_capacity(head.len());
    for (index, line) in lines(head).enumerate() {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if line.is_empty() {
            break;
        }
        if index == 0 && faults.target {
            let mut words = line.splitn(3, |byte| *byte == b' ');
            kept.extend_from_slice(words.next().unwrap_or_default());
            kept.push(b' ');
            kept.extend_from_slice(&encoded(without_fragment(words.next().unwrap_or_default())));
            kept.push(b' ');
            kept.extend_from_slice(words.next().unwrap_or_default());
            kept.extend_from_slice(b"\r\n");
        } else if index == 0 || name.iter().all(|byte| is_token(*byte)) {
            kept.extend_from_slice(line);
            kept.extend_from_slice(b"\r\n");
        }
    }
    kept.extend_from_slice(b"\r\n");
    kept
}

/// The target of a checked head as the client wrote it, without scheme and authority.
pub(super) fn target(head: &[u8]) -> &[u8] {
    let line = lines(head).next().unwrap_or_default();
    let target = without_fragment(line.split(|byte| *byte == b' ').nth(1).unwrap_or_default());
    &target[authority_end(target).unwrap_or_default()..]
}

/// A target without what clients keep to themselves.
fn without_fragment(target: &[u8]) -> &[u8] {
    let end = memchr(b'#', target);
    &target[..end.unwrap_or(target.len())]
}

/// A target without the characters that no URI may have.
fn encoded(target: &[u8]) -> Vec<u8> {
    let is_text = std::str::from_utf8(target).is_ok();
    let mut encoded = Vec::with_capacity(target.len() + 8);
    for byte in target {
        if matches!(byte, b'"' | b'<' | b'>' | b'`') || !is_text && !byte.is_ascii() {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            encoded.push(*byte);
        }
    }
    encoded
}

/// Checks `METHOD target HTTP/1.x`, and returns the target, whether it is HTTP/1.1, and whether the target must be mended.
fn check_request_line<'a>(line: &'a [u8], limits: &ClientLimits) -> Result<(&'a [u8], bool, bool), Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(target), Some(version), None) => (method, target, version),
        _ => return Err(Refusal::new(400, "malformed request line")),
    };
    // Lower case is legal in a token, but no method has it, and nginx takes none either.
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte) && !byte.is_ascii_lowercase()) {
        return Err(Refusal::new(400, "malformed method"));
    }
    // Bytes above ASCII are illegal, but browsers and curl send them, and every proxy passes them.
    if !target.iter().all(|byte| *byte > b' ' && *byte != 0x7f) {
        return Err(Refusal::new(400, "malformed request target"));
    }
    if target.len() > limits.uri_bytes {
        return Err(Refusal::new(414, "request target too long"));
    }
    let whole = target;
    let target = without_fragment(whole);
    if target.is_empty() {
        return Err(Refusal::new(400, "malformed request target"));
    }
    let odd = !target.iter().all(|byte| is_plain(*byte)) && !is_parsed(target);
    // What the engine cannot parse would be answered below it, in Pingora's name.
    if odd && !is_parsed(&encoded(target)) {
        return Err(Refusal::new(400, "malformed request target"));
    }
    let odd = odd || target.len() < whole.len();
    let http11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(Refusal::new(505, "HTTP version not supported"));
        }
        _ => return Err(Refusal::new(400, "malformed HTTP version")),
    };
    if method == b"CONNECT" {
        return Err(Refusal::new(405, "CONNECT is not served"));
    }
    Ok((target, http11, odd))
}

/// Whether the engine can take a target as it is.
fn is_parsed(target: &[u8]) -> bool {
    std::str::from_utf8(target).is_ok() && RequestHeader::build_no_case("GET", target, Some(0)).is_ok()
}

/// Checks that a target which names a host names the same one as the field. What the engine refuses would be answered below
/// it, in Pingora's name.
fn check_authority(target: &[u8], host: Option<&[u8]>) -> Result<(), Refusal> {
    if target.first() == Some(&b'/') {
        return Ok(());
    }
    let refusal = Refusal::new(400, "malformed request target");
    let mut request = RequestHeader::build_no_case("GET", &encoded(target), Some(1)).map_err(|_| refusal)?;
    if let Some(host) = host {
        request.insert_header(http::header::HOST, host).map_err(|_| refusal)?;
    }
    validate_request_authority(&request).map_err(|_| refusal)
}

/// What the fields of a head say about its framing and host.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    ignored: bool,
}

impl<'a> Fields<'a> {
    fn read(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Refusal::new(400, "folded header field"));
        }
        let Some(colon) = memchr(b':', line) else {
            return Err(Refusal::new(400, "header line without colon"));
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        // All bytes are looked at, several at a time, which is faster than to stop at the first one that is wrong.
        let is_any = |bytes: &[u8], is: fn(u8) -> bool| bytes.iter().fold(false, |any, byte| any | is(*byte));
        // A blank before the colon is what servers disagree on most.
        if name.is_empty() || is_any(name, |byte| byte <= b' ' || byte == 0x7f) {
            return Err(Refusal::new(400, "malformed header name"));
        }
        self.ignored |= is_any(name, |byte| !is_token(byte));
        // This also refuses a carriage return that no line feed follows.
        if is_any(value, |byte| byte != b'\t' && byte < b' ' || byte == 0x7f) {
            return Err(Refusal::new(400, "control character in header value"));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(trim(value)),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                let known = trim(value).eq_ignore_ascii_case(b"100-continue");
                if known { Ok(()) } else { Err(Refusal::new(417, "unknown expectation")) }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(trim(value)),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(trim(value)),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if self.host.is_some() {
            return Err(Refusal::new(400, "two Host fields"));
        }
        self.host = Some(value);
        let well_formed = value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']'));
        if value.is_empty() || !well_formed {
            return Err(Refusal::new(400, "malformed Host"));
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        // Two equal ones may be taken for one (RFC 9110 section 8.6), but nothing sends them by right; nginx refuses them.
        if self.length.is_some() {
            return Err(Refusal::new(400, "two Content-Length fields"));
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::new(400, "malformed Content-Length"));
        }
        self.length = Some(parse_length(value).ok_or(Refusal::new(400, "Content-Length too large"))?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked {
            return Err(Refusal::new(400, "two Transfer-Encoding fields"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::new(501, "Transfer-Encoding other than chunked"));
        }
        self.chunked = true;
        Ok(())
    }

    fn finish(self, http11: bool, odd_target: bool) -> Result<Checked, Refusal> {
        if http11 && self.host.is_none() {
            return Err(Refusal::new(400, "no Host"));
        }
        let framing = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(Refusal::new(400, "both Content-Length and Transfer-Encoding")),
            (true, None) if !http11 => return Err(Refusal::new(400, "Transfer-Encoding in HTTP/1.0")),
            (true, None) => Framing::Chunked(Chunked::new()),
            (false, length) => Framing::Length(length.unwrap_or(0)),
        };
        Ok(Checked { framing, faults: Faults { fields: self.ignored, target: odd_target } })
    }
}

/// Whether a byte may be part of a method or field name (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others = b"!#$%&'*+-.^_`|~".as_slice();
    while let [byte, rest @ ..] = others {
        table[*byte as usize] = true;
        others = rest;
    }
    table
};

/// Whether a byte may be part of every request target.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~' | b'%' | b'?' | b'&' | b'=' | b'+')
}

/// `value` without the blanks around it. Blank means space and tab only: other white space is for no parser to eat.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests;
