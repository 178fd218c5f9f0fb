//! Other names of a host, as nginx has them (`server_name`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex::bytes::Regex;

use super::{HostPattern, ParseHostError};
use crate::pattern::{Parsed, PatternError};

/// A regular expression that host names are matched with, anywhere in them and whatever their case.
#[derive(Debug)]
pub struct HostRegex {
    /// The host whose other name it is. Of two that take a name the one counts whose host comes first: nginx has its servers in
    /// that order.
    of: Box<str>,
    text: Box<str>,
    regex: Regex,
}

impl HostRegex {
    /// Whether it takes a normalised host.
    pub fn takes(&self, host: &str) -> bool {
        self.regex.is_match(host.as_bytes())
    }

    fn key(&self) -> (&str, &str) {
        (&self.of, &self.text)
    }
}

impl PartialEq for HostRegex {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for HostRegex {}

impl PartialOrd for HostRegex {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HostRegex {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for HostRegex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for HostRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{}", self.text)
    }
}

/// Why a text is no other name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAliasError {
    /// It is no host name, nor one with `*` for its first or last labels.
    #[error("{0}")]
    Name(#[from] ParseHostError),
    /// It is no regular expression.
    #[error("{0}")]
    Pattern(#[from] PatternError),
}

/// Parses another name of a host as nginx does (ngx_http_core_server_name): a plain name; `*.x` for what is below `x`, at any
/// depth; `.x` for that and `x` itself; `x.*`; or `~` and a regular expression.
///
/// # Errors
///
/// It is none of these. The original does not take any configuration with such a name.
pub fn parse_alias(text: &str) -> Result<Vec<HostPattern>, ParseAliasError> {
    if let Some(pattern) = text.strip_prefix('~') {
        let regex = Parsed::new("", pattern, "")?.compile()?;
        return Ok(vec![HostPattern::Regex(Arc::new(HostRegex { of: Box::default(), text: pattern.into(), regex }))]);
    }
    if let Some(suffix) = text.strip_prefix("*.") {
        return Ok(vec![HostPattern::Below(name(suffix)?)]);
    }
    if let Some(suffix) = text.strip_prefix('.') {
        let suffix = name(suffix)?;
        return Ok(vec![HostPattern::Exact(suffix.clone()), HostPattern::Below(suffix)]);
    }
    if let Some(beginning) = text.strip_suffix(".*") {
        return Ok(vec![HostPattern::Beginning(name(beginning)?)]);
    }
    Ok(vec![HostPattern::Exact(name(text)?)])
}

impl HostPattern {
    /// This name as another one of the host that an Ingress writes as `of`.
    #[must_use]
    pub fn as_alias_of(&self, of: &str) -> Self {
        match self {
            Self::Regex(regex) => {
                let HostRegex { text, regex, .. } = &**regex;
                Self::Regex(Arc::new(HostRegex { of: of.into(), text: text.clone(), regex: regex.clone() }))
            }
            name => name.clone(),
        }
    }
}

/// A plain name, or an address.
fn name(text: &str) -> Result<Box<str>, ParseHostError> {
    match text.parse() {
        Ok(HostPattern::Exact(name)) => Ok(name),
        Ok(HostPattern::Any) => Err(ParseHostError::BadLabel(String::new())),
        Ok(_) => Err(ParseHostError::BadWildcard),
        Err(ParseHostError::IpAddress) => Ok(text.to_ascii_lowercase().into()),
        Err(error) => Err(error),
    }
}
