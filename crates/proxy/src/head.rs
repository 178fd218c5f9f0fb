//! HTTP/1 heads as they are on the wire: their bytes, and where in them the parts are.
//!
//! Nothing is copied into a map: a head has a dozen fields, and most of them are only passed on.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::BytesMut;
use edgeward_routing::decide;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method, Version};
use memchr::memchr;

/// Most fields of a response that are understood. Clients are held to [`ClientLimits::header_fields`], endpoints to this.
///
/// [`ClientLimits::header_fields`]: edgeward_routing::settings::ClientLimits::header_fields
const MAX_FIELDS: usize = 256;

/// Where a part of a head is. A head has less than 4 GiB.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    start: u32,
    end: u32,
}

impl Part {
    /// The place of `part` in `bytes`, which it is a part of.
    fn of(bytes: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where the name and the value of each field are.
#[derive(Debug, Default)]
struct Fields {
    parts: Vec<(Part, Part)>,
    /// The [marks](mark) of all names. Most fields that are asked for are not there, which this knows without a search.
    marks: u64,
}

impl Fields {
    fn with_capacity(fields: usize) -> Self {
        Self { parts: Vec::with_capacity(fields), marks: 0 }
    }

    fn push(&mut self, bytes: &[u8], name: &[u8], value: &[u8]) {
        self.parts.push((Part::of(bytes, name), Part::of(bytes, value)));
        self.marks |= mark(name);
    }

    fn iter<'a>(&'a self, bytes: &'a [u8]) -> impl DoubleEndedIterator<Item = Field<'a>> {
        Self::fields(&self.parts, bytes)
    }

    fn fields<'a>(parts: &'a [(Part, Part)], bytes: &'a [u8]) -> impl DoubleEndedIterator<Item = Field<'a>> {
        parts.iter().map(|(name, value)| Field { name: &bytes[name.range()], value: &bytes[value.range()] })
    }

    fn values<'a>(&'a self, bytes: &'a [u8], name: &'a [u8]) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        let parts = if self.marks & mark(name) == 0 { &[] } else { &self.parts[..] };
        Self::fields(parts, bytes).filter(move |field| field.is(name)).map(|field| field.value)
    }
}

/// One bit for a name, whatever its case. Other names may have the same.
pub(crate) fn mark(name: &[u8]) -> u64 {
    // Many begin alike, and end alike.
    let [first, late] =
        [0, name.len().wrapping_sub(2)].map(|at| usize::from(name.get(at).map_or(0, |byte| byte | 0x20)));
    1 << ((name.len() + 9 * first + 23 * late) % 64)
}

/// A header field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// Its name as written.
    pub(crate) name: &'a [u8],
    /// Its value, without the blanks around it.
    pub(crate) value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is its name, without regard to case.
    pub(crate) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Where the body of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is none, or it has so many bytes.
    Bytes(u64),
    /// Where the chunked coding says.
    Chunked,
    /// It came in the chunked coding, and has been read: it has so many bytes.
    Collected(u64),
}

/// The head of a request as it is in HTTP/1, as the stream lets it pass.
#[derive(Debug)]
pub struct RequestHead {
    bytes: BytesMut,
    /// `None` for what is no method.
    method: Option<Method>,
    target: Part,
    version: Version,
    fields: Fields,
    body: BodyLength,
}

impl RequestHead {
    /// Takes a head apart that the [stream](crate::stream) has checked, from its first byte to its empty line.
    pub(crate) fn new(bytes: BytesMut) -> Self {
        let mut head = Self {
            bytes: BytesMut::new(),
            method: None,
            target: Part::default(),
            version: Version::HTTP_11,
            fields: Fields::with_capacity(16),
            body: BodyLength::Bytes(0),
        };
        let mut lines = lines(&bytes);
        let mut words = lines.next().unwrap_or_default().splitn(3, |byte| *byte == b' ');
        head.method = words.next().and_then(|method| Method::from_bytes(method).ok());
        head.target = Part::of(&bytes, words.next().unwrap_or(&bytes[..0]));
        if words.next() == Some(b"HTTP/1.0") {
            head.version = Version::HTTP_10;
        }
        for field in fields_of(lines) {
            match field.name.len() {
                14 if field.is(b"content-length") => {
                    let length = std::str::from_utf8(field.value).ok().and_then(|length| length.parse().ok());
                    head.body = BodyLength::Bytes(length.unwrap_or(0));
                }
                17 if field.is(b"transfer-encoding") => head.body = BodyLength::Chunked,
                _ => {}
            }
            head.fields.push(&bytes, field.name, field.value);
        }
        head.bytes = bytes;
        head
    }

    /// Takes the head of a request in HTTP/2 apart that is written as one of HTTP/1.1.
    pub(crate) fn of_http2(bytes: BytesMut) -> Self {
        Self { version: Version::HTTP_2, ..Self::new(bytes) }
    }

    /// The head as it came.
    pub(crate) fn into_bytes(self) -> BytesMut {
        self.bytes
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The request target as sent.
    pub(crate) fn raw_target(&self) -> &[u8] {
        &self.bytes[self.target.range()]
    }

    /// The version of the protocol that it came in.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Whether it came in HTTP/1.1, rather than in 1.0 or in HTTP/2.
    pub(crate) fn is_http11(&self) -> bool {
        self.version == Version::HTTP_11
    }

    /// Where the body ends.
    pub(crate) fn body(&self) -> BodyLength {
        self.body
    }

    /// Has the body end where it does, now that it has been read.
    pub(crate) fn body_collected(&mut self, length: u64) {
        self.body = BodyLength::Collected(length);
    }

    /// Whether the client holds its body back until it is told to continue: the stream refuses every other expectation, one
    /// of HTTP/1.0 is to be ignored (RFC 9110 section 10.1.1), and in HTTP/2 it cannot be told.
    pub(crate) fn expects_continue(&self) -> bool {
        self.is_http11() && self.values(b"expect").next().is_some()
    }

    /// The fields in their order.
    pub(crate) fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.fields.iter(&self.bytes)
    }

    /// The values of all fields of a name, in order.
    pub(crate) fn values<'a>(&'a self, name: &'a [u8]) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        self.fields.values(&self.bytes, name)
    }

    /// The target in origin-form, without scheme and authority (RFC 9112 section 3.2.1), in two pieces.
    pub(crate) fn origin_form(&self) -> [&[u8]; 2] {
        let target = self.raw_target();
        match authority_end(target) {
            None if target.starts_with(b"/") || target == b"*" => [target, b""],
            None => [b"/", b""],
            Some(end) if target.get(end) == Some(&b'/') => [&target[end..], b""],
            Some(end) => [b"/", &target[end..]],
        }
    }
}

impl decide::RequestHead for RequestHead {
    fn method(&self) -> &str {
        self.method.as_ref().map_or("", Method::as_str)
    }

    fn target(&self) -> &str {
        std::str::from_utf8(self.raw_target()).unwrap_or_default()
    }

    fn authority(&self) -> Option<&str> {
        let target = self.raw_target();
        let authority = match authority_end(target) {
            // An absolute-form target names its host (RFC 9112 section 3.2.2).
            Some(end) => target[..end].rsplit(|byte| *byte == b'/').next(),
            None => self.values(b"host").next(),
        };
        authority.map(|authority| std::str::from_utf8(authority).unwrap_or_default())
    }

    fn requires_authority(&self) -> bool {
        self.version != Version::HTTP_10
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields().map(|field| (field.name, field.value))
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        self.values(name.as_bytes())
    }

    fn content_length(&self) -> Option<u64> {
        match self.body {
            BodyLength::Bytes(length) | BodyLength::Collected(length) => Some(length),
            BodyLength::Chunked => None,
        }
    }
}

/// Where the authority of an absolute-form target ends; `None` for other forms.
pub(crate) fn authority_end(target: &[u8]) -> Option<usize> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let start = target.windows(3).position(|window| window == b"://")? + 3;
    let length = target[start..].iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    Some(length.map_or(target.len(), |length| start + length))
}

/// The lines of a head, without their ends.
pub(crate) fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// The fields in the lines of a head behind its first one, up to the empty line.
pub(crate) fn fields_of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = Field<'a>> {
    lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let colon = memchr(b':', line)?;
        Some(Field { name: &line[..colon], value: line[colon + 1..].trim_ascii() })
    })
}

/// The value of a `Content-Length`: digits alone, and no more than a signed number holds, which is what some servers read.
pub(crate) fn parse_length(digits: &[u8]) -> Option<u64> {
    let add =
        |sum: i64, byte: &u8| sum.checked_mul(10)?.checked_add(byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?);
    let length = digits.iter().try_fold(0, add).filter(|_| !digits.is_empty())?;
    length.try_into().ok()
}

/// How many bytes fields take in HTTP/1.
pub(crate) fn fields_length(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// The one field that the cookies are in HTTP/1, where HTTP/2 brought them in several (RFC 9113 section 8.2.3).
pub(crate) fn joined_cookies(fields: &HeaderMap) -> Option<Vec<u8>> {
    let cookies = || fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    cookies().nth(1)?;
    Some(cookies().collect::<Vec<_>>().join(&b"; "[..]))
}

/// The head of a response in HTTP/1. Its bytes stay where they were read.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    /// The status.
    pub(crate) status: u16,
    /// Whether it is HTTP/1.1, rather than 1.0.
    pub(crate) is_http11: bool,
    /// How many bytes the head has, the empty line included.
    pub(crate) length: usize,
    reason: Part,
    fields: Fields,
}

impl ResponseHead {
    /// Takes apart the head that `bytes` begin with. `None` while it is not whole.
    ///
    /// # Errors
    ///
    /// It is no head of a response in HTTP/1 (RFC 9112 section 4), or has more than 256 fields.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, httparse::Error> {
        let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        // What servers have been seen to send, and what any proxy understands. Folded values are unfolded when they are
        // written.
        let mut parser = httparse::ParserConfig::default();
        parser.allow_spaces_after_header_name_in_responses(true).allow_obsolete_multiline_headers_in_responses(true);
        let parsed = parser.parse_response_with_uninit_headers(&mut response, bytes, &mut space)?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        if response.code.is_none_or(|status| status < 100) {
            return Err(httparse::Error::Status);
        }
        let mut fields = Fields::with_capacity(response.headers.len());
        for field in response.headers.iter() {
            fields.push(bytes, field.name.as_bytes(), field.value);
        }
        Ok(Some(Self {
            status: response.code.unwrap_or_default(),
            is_http11: response.version == Some(1),
            length,
            reason: response
                .reason
                .filter(|reason| !reason.is_empty())
                .map_or(Part::default(), |reason| Part::of(bytes, reason.as_bytes())),
            fields,
        }))
    }

    /// The reason phrase.
    pub(crate) fn reason<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.reason.range()]
    }

    /// The fields in their order; `bytes` are those that the head was parsed from.
    pub(crate) fn fields<'a>(&'a self, bytes: &'a [u8]) -> impl DoubleEndedIterator<Item = Field<'a>> {
        self.fields.iter(bytes)
    }

    /// The values of all fields of a name, in order.
    pub(crate) fn values<'a>(&'a self, bytes: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.fields.values(bytes, name)
    }
}

/// The elements of a field that holds a comma-separated list (RFC 9110 section 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests;
