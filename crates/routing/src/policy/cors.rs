//! Cross-origin resource sharing: which origins scripts may ask from, and what is said to them (ingress-nginx nginx.tmpl
//! CORS, template.go buildCorsOriginRegex).

use std::fmt;
use std::sync::Arc;

use crate::decide::RequestHead;
use crate::forward::Edit;

/// What is said to the origins that may ask. Every text is fit for a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Who may ask.
    pub origins: Origins,
    /// Whether browsers may send credentials.
    pub allow_credentials: bool,
    /// Methods that they may use.
    pub methods: Box<str>,
    /// Request headers that they may send.
    pub headers: Box<str>,
    /// Response headers that scripts may read.
    pub expose: Option<Box<str>>,
    /// Seconds for which a browser may keep what is said.
    pub max_age: Box<str>,
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Everybody, with or without an origin; the answer is the literal `*`.
    Any,
    /// Whose origin matches one of these.
    Listed(Box<[OriginPattern]>),
}

/// An origin, or those of all single labels below one. Case does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    /// Up to the `*`, or all of it.
    head: Box<str>,
    /// Behind the `*`.
    tail: Option<Box<str>>,
}

impl OriginPattern {
    /// Reads `scheme://name:port`, the same with `*.` before the name, or `null`; `None` for everything else
    /// (cors/main.go corsOriginRegex).
    pub fn parse(text: &str) -> Option<Self> {
        let plain = || Self { head: text.into(), tail: None };
        if text == "null" {
            return Some(plain());
        }
        let (scheme, authority) = text.split_once("://")?;
        let (name, port) = authority.split_once(':').map_or((authority, None), |(name, port)| (name, Some(port)));
        let label = name.strip_prefix("*.").unwrap_or(name);
        let is_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase());
        let is_name = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        let is_port = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
        if !(is_scheme && is_name && is_port) {
            return None;
        }
        Some(match text.split_once('*') {
            Some((head, tail)) => Self { head: head.into(), tail: Some(tail.into()) },
            None => plain(),
        })
    }

    /// Whether an origin ends like this: the original's expression is not tied to the beginning, so that `xhttp://a.test` is
    /// in `http://a.test` (recorded: c226). No browser has such an origin; only `null` means itself alone here.
    fn matches(&self, origin: &str) -> bool {
        let Some(tail) = &self.tail else {
            return strip_suffix(origin, &self.head).is_some_and(|rest| rest.is_empty() || &*self.head != "null");
        };
        let Some(rest) = strip_suffix(origin, tail) else { return false };
        let before = rest.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '-');
        before.len() < rest.len() && strip_suffix(before, &self.head).is_some()
    }
}

/// The text before a suffix, without regard to case.
fn strip_suffix<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let (rest, end) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(rest)
}

impl fmt::Display for OriginPattern {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tail {
            Some(tail) => write!(f, "{}*{tail}", self.head),
            None => f.write_str(&self.head),
        }
    }
}

/// A policy that a request falls under: its origin may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    cors: Arc<Cors>,
    /// The origin as it was sent, visible ASCII; `None` for everybody.
    origin: Option<Box<str>>,
}

impl Grant {
    /// The grant for a request, if its origin may ask. One that names several origins has none.
    pub fn of(cors: &Arc<Cors>, head: &impl RequestHead) -> Option<Self> {
        let origin = match &cors.origins {
            Origins::Any => None,
            Origins::Listed(patterns) => {
                let mut sent = head.header_values("origin");
                let origin = std::str::from_utf8(sent.next()?).ok()?;
                let is_visible = origin.bytes().all(|b| b.is_ascii_graphic());
                if sent.next().is_some() || !is_visible || !patterns.iter().any(|pattern| pattern.matches(origin)) {
                    return None;
                }
                Some(origin.into())
            }
        };
        Some(Self { cors: Arc::clone(cors), origin })
    }

    /// Tells `edit` what the response says.
    pub(crate) fn apply<'p>(&'p self, edit: &mut impl FnMut(Edit<'p, '_>)) {
        let Cors { allow_credentials, methods, headers, expose, max_age, .. } = &*self.cors;
        edit(Edit::Set("access-control-allow-origin", self.origin.as_deref().unwrap_or("*").as_bytes()));
        if *allow_credentials {
            edit(Edit::Set("access-control-allow-credentials", b"true"));
        }
        edit(Edit::Set("access-control-allow-methods", methods.as_bytes()));
        edit(Edit::Set("access-control-allow-headers", headers.as_bytes()));
        if let Some(expose) = expose {
            edit(Edit::Set("access-control-expose-headers", expose.as_bytes()));
        }
        edit(Edit::Set("access-control-max-age", max_age.as_bytes()));
    }
}

#[cfg(test)]
mod tests;
