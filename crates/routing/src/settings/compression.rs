//! Which responses are compressed, and how.
//!
//! The rules are those of nginx's gzip filter and of ngx_brotli (ngx_http_gzip_header_filter, ngx_http_brotli_header_filter)
//! under what ingress-nginx configures, with one more: what its server says must stay as it is (`no-transform`) does (RFC 9110
//! section 7.7).

use crate::decide::RequestHead;
use crate::policy::Expression;

/// Which responses are compressed. Where a client takes both codings it gets Brotli.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// What is compressed with gzip (ConfigMap `use-gzip`).
    pub gzip: Option<Terms>,
    /// What is compressed with Brotli (ConfigMap `enable-brotli`).
    pub brotli: Option<Terms>,
    /// Clients that get nothing in gzip, by their `User-Agent` (ConfigMap `gzip-disable`).
    pub no_gzip: Option<Expression>,
}

/// What is compressed with one coding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How hard it tries: up to 9 with gzip, and 11 with Brotli.
    pub level: u8,
    /// The length below which it is not worth it, where a response says how long it is.
    pub min_length: u64,
    /// What is worth it.
    pub types: MediaTypes,
}

/// Media types. HTML is always one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaTypes {
    /// All.
    Any,
    /// These, in lower case.
    These(Box<[Box<str>]>),
}

impl MediaTypes {
    /// Reads types with blanks between them; `*` stands for all.
    pub fn parse(text: &str) -> Option<Self> {
        let names: Box<[Box<str>]> =
            text.split_ascii_whitespace().map(|name| name.to_ascii_lowercase().into()).collect();
        let is_token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let is_type = |name: &str| name.split_once('/').is_some_and(|(main, sub)| is_token(main) && is_token(sub));
        if names.is_empty() || !names.iter().all(|name| &**name == "*" || is_type(name)) {
            return None;
        }
        Some(if names.iter().any(|name| &**name == "*") { Self::Any } else { Self::These(names) })
    }

    /// Whether the type in a `Content-Type`, if there is one, is one of them.
    fn contain(&self, content_type: Option<&[u8]>) -> bool {
        let Self::These(names) = self else { return true };
        let Some(name) = content_type.and_then(|value| value.split(|byte| *byte == b';').next()) else { return false };
        let name = name.trim_ascii();
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        is("text/html") || names.iter().any(|other| is(other))
    }
}

/// A coding of content (RFC 9110 section 8.4.1, RFC 7932).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`
    Gzip,
    /// `br`
    Brotli,
}

impl Coding {
    /// Its name in header fields.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }
}

/// What compression comes to for one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compressed {
    /// What it is compressed with, and at which level.
    pub with: Option<(Coding, u8)>,
    /// Whether it has to say that other clients may get it in another coding.
    pub adds_vary: bool,
}

impl Compression {
    /// What becomes of a response with this status, whose header fields `values` gives by name.
    ///
    /// What is compressed has no `Content-Length` and no `Accept-Ranges`, and its `ETag` is a [weak](weak_etag) one.
    pub fn of<'v, V: Iterator<Item = &'v [u8]>>(
        &self,
        request: &impl RequestHead,
        status: u16,
        values: impl Fn(&'static str) -> V,
    ) -> Compressed {
        let content_type = values("content-type").next();
        let is_call = content_type.is_some_and(|value| value.starts_with(b"application/grpc"));
        let length = || std::str::from_utf8(values("content-length").next()?).ok()?.trim().parse().ok();
        let length: Option<u64> = length();
        if !matches!(status, 200 | 403 | 404)
            || request.method() == "HEAD"
            || is_call
            || length == Some(0)
            || values("content-encoding").any(|coding| !coding.is_empty())
            || names(values("cache-control"), "no-transform")
        {
            return Compressed::default();
        }
        let is_worth_it = |terms: &&Terms| {
            length.is_none_or(|length| length >= terms.min_length) && terms.types.contain(content_type)
        };
        let gzip = self.gzip.as_ref().filter(is_worth_it);
        let brotli = self.brotli.as_ref().filter(is_worth_it);
        if gzip.is_none() && brotli.is_none() {
            return Compressed::default();
        }
        let takes = |coding: Coding| {
            // In HTTP/1.0 there are no chunks, and without a length the end of the connection is the end of the response.
            request.requires_authority() && accepts(request, coding)
        };
        let is_left_out = || {
            let agent = || request.header("user-agent");
            self.no_gzip.as_ref().is_some_and(|pattern| agent().is_some_and(|agent| pattern.is_in(agent)))
        };
        let with = match (brotli, gzip) {
            (Some(terms), _) if takes(Coding::Brotli) => Some((Coding::Brotli, terms.level)),
            (_, Some(terms)) if takes(Coding::Gzip) && !is_left_out() => Some((Coding::Gzip, terms.level)),
            _ => None,
        };
        let adds_vary = !names(values("vary"), "accept-encoding") && !names(values("vary"), "*");
        Compressed { with, adds_vary }
    }
}

/// Whether lists with commas name a word.
fn names<'v>(values: impl Iterator<Item = &'v [u8]>, word: &str) -> bool {
    let mut elements = values.flat_map(|value| value.split(|byte| *byte == b','));
    elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether a client takes a coding: it names it, and with no weight of nothing (ngx_http_gzip_accept_encoding). `*` names none.
fn accepts(request: &impl RequestHead, coding: Coding) -> bool {
    let mut elements = request.header_values("accept-encoding").flat_map(|value| value.split(|byte| *byte == b','));
    elements.any(|element| {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding.name().as_bytes()))
            && parts.next().is_none_or(is_weight_of_something)
    })
}

/// Whether a weight (RFC 9110 section 12.4.2) is one, and above zero.
fn is_weight_of_something(weight: &[u8]) -> bool {
    match weight {
        [b'q' | b'Q', b'=', b'1'] => true,
        [b'q' | b'Q', b'=', b'1', b'.', decimals @ ..] => {
            decimals.len() <= 3 && decimals.iter().all(|digit| *digit == b'0')
        }
        [b'q' | b'Q', b'=', b'0', b'.', decimals @ ..] => {
            decimals.len() <= 3
                && decimals.iter().all(u8::is_ascii_digit)
                && decimals.iter().any(|digit| *digit != b'0')
        }
        _ => false,
    }
}

/// The `ETag` of what was compressed, where the response had this one: it says no more that the bytes are the same
/// (ngx_http_weak_etag). `None` for what is no tag.
pub fn weak_etag(etag: &[u8]) -> Option<Vec<u8>> {
    match etag {
        [b'W', b'/', ..] => Some(etag.to_vec()),
        [b'"', ..] => Some([b"W/", etag].concat()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
