//! Hosts of requests, and host patterns of rules.

mod alias;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

pub use self::alias::{HostRegex, ParseAliasError, parse_alias};

/// The longest host name that DNS allows (RFC 1035 section 3.1), without the trailing dot.
pub const MAX_HOST: usize = 253;

/// The rule side of a host: what an Ingress rule, a TLS section or a server name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Exactly this host, lower case.
    Exact(Box<str>),
    /// Exactly one label in front of this suffix: `*.example.com` is `Wildcard("example.com")`.
    Wildcard(Box<str>),
    /// Every host.
    Any,
    /// One label or more in front of this suffix. Only another name of a host is one ([`parse_alias`]).
    Below(Box<str>),
    /// One label or more behind this beginning: `example.*` is `Beginning("example")`. Only another name of a host is one.
    Beginning(Box<str>),
    /// What a regular expression takes. Only another name of a host is one.
    Regex(Arc<HostRegex>),
}

/// Why a host pattern does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHostError {
    /// Longer than DNS allows.
    #[error("is longer than {MAX_HOST} characters")]
    TooLong,
    /// A label is empty, too long, or holds a character that no host name has.
    #[error("has a label that is not 1 to 63 letters, digits, `-` or `_`: `{0}`")]
    BadLabel(String),
    /// `*` somewhere else than as the whole first label.
    #[error("may have `*` only as its whole first label, as in `*.example.com`")]
    BadWildcard,
    /// An IP address: an Ingress host must be a DNS name (networking.k8s.io/v1 IngressRule.host).
    #[error("is an IP address; an Ingress host is a DNS name")]
    IpAddress,
}

impl std::str::FromStr for HostPattern {
    type Err = ParseHostError;

    /// Parses the `host` of an Ingress rule: empty is [`HostPattern::Any`]; upper case is folded; a trailing dot is dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > MAX_HOST {
            return Err(ParseHostError::TooLong);
        }
        if text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok() {
            return Err(ParseHostError::IpAddress);
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(ParseHostError::BadWildcard);
        }
        for label in name.split('.') {
            let well_formed = (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !well_formed {
                return Err(ParseHostError::BadLabel(label.to_owned()));
            }
        }
        let name = name.to_ascii_lowercase().into();
        Ok(if wildcard { Self::Wildcard(name) } else { Self::Exact(name) })
    }
}

impl HostPattern {
    /// Whether a normalised host falls under this pattern. A wildcard covers exactly one label
    /// (networking.k8s.io/v1 IngressRule.host).
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Wildcard(suffix) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == &**suffix)
            }
            Self::Any => true,
            Self::Below(suffix) => {
                let front = host.strip_suffix(&**suffix).and_then(|front| front.strip_suffix('.'));
                front.is_some_and(|front| !front.is_empty())
            }
            Self::Beginning(beginning) => {
                let rest = host.strip_prefix(&**beginning).and_then(|rest| rest.strip_prefix('.'));
                rest.is_some_and(|rest| !rest.is_empty())
            }
            Self::Regex(regex) => regex.takes(host),
        }
    }

    /// Whether it is a name that only an alias can have: more than a look into a table.
    pub fn is_listed(&self) -> bool {
        matches!(self, Self::Below(_) | Self::Beginning(_) | Self::Regex(_))
    }

    /// The wildcard that an exact host falls under.
    pub fn wildcard_above(&self) -> Option<Self> {
        let Self::Exact(host) = self else { return None };
        host.split_once('.').map(|(_, suffix)| Self::Wildcard(suffix.into()))
    }

    /// Whether every host of `other` falls under this pattern.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Wildcard(a), Self::Wildcard(b)) => a == b,
            (Self::Below(a), Self::Wildcard(b)) => a == b || self.matches(b),
            _ => false,
        }
    }
}

impl fmt::Display for HostPattern {
    /// As an Ingress writes it; `*` for any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
            Self::Below(suffix) => write!(f, "**.{suffix}"),
            Self::Beginning(beginning) => write!(f, "{beginning}.*"),
            Self::Regex(regex) => regex.fmt(f),
        }
    }
}

/// The host of a request: lower case, without port and trailing dot. Borrows when the authority already is that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'a>(std::borrow::Cow<'a, str>);

impl<'a> Host<'a> {
    /// Normalises an authority (`Host` header, `:authority`) or a server name.
    ///
    /// Returns `None` for what no request may carry as its host: an empty one, user information, a bad port, an empty label, or
    /// bytes outside the unreserved set (RFC 9110 section 7.2 asks for 400). nginx takes an empty label in front.
    pub fn normalize(authority: &'a str) -> Option<Self> {
        let (host, port) = if authority.starts_with('[') {
            let end = authority.find(']')?;
            authority[1..end].parse::<Ipv6Addr>().ok()?;
            (&authority[..=end], &authority[end + 1..])
        } else {
            match authority.find(':') {
                Some(colon) => authority.split_at(colon),
                None => (authority, ""),
            }
        };
        if !port.is_empty() {
            let digits = port.strip_prefix(':')?;
            if digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
        }
        // One pass over what every request has.
        let (mut has_empty_label, mut has_upper_case, mut is_well_formed, mut previous) = (false, false, true, 0);
        for byte in host.bytes() {
            has_empty_label |= byte == b'.' && previous == b'.';
            has_upper_case |= byte.is_ascii_uppercase();
            is_well_formed &= byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
            previous = byte;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_address = authority.starts_with('[');
        if host.is_empty() || host.len() > MAX_HOST || has_empty_label || !(is_well_formed || is_address) {
            return None;
        }
        Some(Self(if has_upper_case { host.to_ascii_lowercase().into() } else { host.into() }))
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
