//! What is changed in the responses of a route: header fields that they get, and addresses in fields of the endpoint.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use super::{Expression, ParseExpressionError};

/// Header fields that responses get, whatever the endpoint says (`custom-headers`, ConfigMap `add-headers`).
///
/// Names are lower case and values without control bytes. None of them can change where a message ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderFields(BTreeMap<Box<str>, Box<str>>);

/// Why a header field cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadField {
    /// The name is no token (RFC 9110 section 5.1).
    #[error("the name is none of a header")]
    Name,
    /// The field says how a message is framed or how a connection is kept, which is the proxy's own to say.
    #[error("a header of this name is written by the proxy alone")]
    Reserved,
    /// The value has bytes that no header may have (RFC 9110 section 5.5).
    #[error("the value has characters that no header may have")]
    Value,
}

/// Fields of framing and connections.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

impl HeaderFields {
    /// The name of a field in lower case, if it is one that may be set.
    ///
    /// # Errors
    ///
    /// It is no name, or one that the proxy writes itself.
    pub fn name(name: &str) -> Result<Box<str>, BadField> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(BadField::Name);
        }
        let name = name.to_ascii_lowercase();
        if RESERVED.contains(&name.as_str()) { Err(BadField::Reserved) } else { Ok(name.into()) }
    }

    /// Whether a field may have this value.
    pub fn is_value(value: &str) -> bool {
        value.bytes().all(|b| b == b'\t' || b >= b' ' && b != 0x7f)
    }

    /// Adds a field; an empty value has it removed.
    ///
    /// # Errors
    ///
    /// It cannot be sent.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BadField> {
        let name = Self::name(name)?;
        if !Self::is_value(value) {
            return Err(BadField::Value);
        }
        self.0.insert(name, value.trim().into());
        Ok(())
    }

    /// These fields, with `others` over them.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(others.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        all
    }

    /// The value of a field; empty where it is removed.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// All fields, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the responses of a route are given beside what holds for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponsePolicies {
    /// Fields that they get, those that all responses get among them.
    pub headers: Option<HeaderFields>,
    /// What is replaced in `Location` and `Refresh` (`proxy-redirect-from`, `-to`).
    pub redirect: Option<Substitution>,
    /// What is replaced in the domains of cookies (`proxy-cookie-domain`).
    pub cookie_domain: Option<Substitution>,
    /// What is replaced in the paths of cookies (`proxy-cookie-path`).
    pub cookie_path: Option<Substitution>,
    /// How fast they are sent (`limit-rate`).
    pub pace: Option<Pace>,
}

/// How fast a response is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes per second.
    pub rate: NonZeroU64,
    /// Bytes that are sent at any speed before (`limit-rate-after`).
    pub after: u64,
}

impl Pace {
    /// How many bytes of a body may have been sent so long after its request began: one second is given in advance
    /// (ngx_http_write_filter).
    pub fn allowed(self, since: Duration) -> u64 {
        let seconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(1000);
        let paced = u128::from(self.rate.get()) * u128::from(seconds) / 1000;
        self.after.saturating_add(u64::try_from(paced).unwrap_or(u64::MAX))
    }

    /// How long after its request began so many bytes may have been sent.
    pub fn time_of(self, bytes: u64) -> Duration {
        let paced = u128::from(bytes.saturating_sub(self.after)) * 1000 / u128::from(self.rate.get());
        Duration::from_millis(u64::try_from(paced.saturating_sub(999)).unwrap_or(u64::MAX))
    }
}

/// A piece of text and what stands in for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substitution {
    from: Sought,
    to: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sought {
    /// Text that begins with this, of which the rest stays.
    Prefix(Box<str>),
    /// A domain, with or without a dot in front, without regard to case.
    Domain(Box<str>),
    /// Text that has this somewhere, and goes as a whole.
    Pattern(Expression),
}

/// Why something cannot be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReplacementError {
    /// The pattern behind `~` cannot be used.
    #[error(transparent)]
    Pattern(#[from] ParseExpressionError),
    /// A variable that is no group of the pattern, or a character that no header may have.
    #[error("only visible ASCII can be put in, and `$1` to `$9` for groups of a pattern")]
    Text,
}

impl Substitution {
    /// Replaces `from` at the beginning of a URL or path; `~` and `~*` in front make it a pattern, as in nginx.
    ///
    /// # Errors
    ///
    /// One of the two cannot be used.
    pub fn prefix(from: &str, to: &str) -> Result<Self, ParseReplacementError> {
        if let Some(pattern) = from.strip_prefix("~*") {
            return Self::pattern(Expression::caseless(pattern)?, to);
        }
        if let Some(pattern) = from.strip_prefix('~') {
            return Self::pattern(Expression::new(pattern)?, to);
        }
        Ok(Self { from: Sought::Prefix(plain(from)?), to: plain(to)? })
    }

    /// Replaces the domain `from`; `~` in front makes it a pattern without regard to case, as in nginx.
    ///
    /// # Errors
    ///
    /// One of the two cannot be used.
    pub fn domain(from: &str, to: &str) -> Result<Self, ParseReplacementError> {
        if let Some(pattern) = from.strip_prefix('~') {
            return Self::pattern(Expression::caseless(pattern)?, to);
        }
        let without_dot = |text: &str| plain(text.strip_prefix('.').unwrap_or(text));
        Ok(Self { from: Sought::Domain(without_dot(from)?), to: without_dot(to)? })
    }

    fn pattern(pattern: Expression, to: &str) -> Result<Self, ParseReplacementError> {
        let groups = to.split('$').skip(1);
        let is_group = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        if !is_visible(to) || !groups.clone().all(is_group) {
            return Err(ParseReplacementError::Text);
        }
        Ok(Self { from: Sought::Pattern(pattern), to: to.into() })
    }

    /// The text with its replacement; `None` where there is nothing to replace.
    pub fn apply(&self, text: &[u8]) -> Option<Vec<u8>> {
        match &self.from {
            Sought::Prefix(from) => Some([self.to.as_bytes(), text.strip_prefix(from.as_bytes())?].concat()),
            Sought::Domain(from) => {
                let (dot, domain) = text.split_at(usize::from(text.first() == Some(&b'.')));
                domain.eq_ignore_ascii_case(from.as_bytes()).then(|| [dot, self.to.as_bytes()].concat())
            }
            Sought::Pattern(pattern) => pattern.replaced(text, &self.to),
        }
    }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

fn plain(text: &str) -> Result<Box<str>, ParseReplacementError> {
    if is_visible(text) && !text.contains('$') { Ok(text.into()) } else { Err(ParseReplacementError::Text) }
}

impl std::fmt::Display for Substitution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.from {
            Sought::Prefix(from) | Sought::Domain(from) => f.write_str(from)?,
            Sought::Pattern(pattern) => write!(f, "~{pattern}")?,
        }
        write!(f, " by {}", self.to)
    }
}

impl ResponsePolicies {
    /// Whether fields of the endpoint may be rewritten.
    pub fn rewrites(&self) -> bool {
        self.redirect.is_some() || self.cookie_domain.is_some() || self.cookie_path.is_some()
    }

    /// The new value of a field of the endpoint; `None` where it stays.
    pub fn rewritten(&self, name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"refresh") => {
                // ngx_http_proxy_rewrite_redirect is given what is behind `url=`.
                let url = value.windows(4).position(|word| word.eq_ignore_ascii_case(b"url="))? + 4;
                let rest = self.redirect.as_ref()?.apply(&value[url..])?;
                Some([&value[..url], &rest].concat())
            }
            8 if name.eq_ignore_ascii_case(b"location") => self.redirect.as_ref()?.apply(value),
            10 if name.eq_ignore_ascii_case(b"set-cookie") => self.rewritten_cookie(value),
            _ => None,
        }
    }

    /// A cookie with its domain and path replaced (ngx_http_proxy_rewrite_cookie): attributes are written anew then, with
    /// `; ` between them.
    fn rewritten_cookie(&self, value: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(value.len() + 16);
        let mut is_rewritten = false;
        for (at, attribute) in value.split(|b| *b == b';').enumerate() {
            if at > 0 {
                out.extend_from_slice(b"; ");
            }
            let attribute = attribute.trim_ascii();
            let Some(equals) = attribute.iter().position(|b| *b == b'=').filter(|_| at > 0) else {
                out.extend_from_slice(attribute);
                continue;
            };
            let (key, value) = (attribute[..equals].trim_ascii(), attribute[equals + 1..].trim_ascii());
            let replacement = match key {
                key if key.eq_ignore_ascii_case(b"domain") => &self.cookie_domain,
                key if key.eq_ignore_ascii_case(b"path") => &self.cookie_path,
                _ => &None,
            };
            let new = replacement.as_ref().and_then(|replacement| replacement.apply(value));
            is_rewritten |= new.is_some();
            // nginx leaves out the blanks around what it has taken apart.
            out.extend_from_slice(&[key, b"=", new.as_deref().unwrap_or(value)].concat());
        }
        is_rewritten.then_some(out)
    }
}

#[cfg(test)]
mod tests;
