//! Paths of rules that are regular expressions.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use regex::bytes::Regex;

use crate::pattern::{Parsed, PatternError};

/// The path of a rule that is a regular expression: it takes the paths whose beginning it matches, without regard to case
/// (nginx's `location ~* "^TEXT"`; ingress-nginx template.go buildLocation).
#[derive(Debug)]
pub struct PathRegex {
    text: Box<str>,
    is_below: bool,
    /// What every path begins with that it takes, in lower case.
    literal: Box<[u8]>,
    /// `None` where the literal is all that it asks for.
    regex: Option<Regex>,
}

impl PathRegex {
    /// Compiles the text of a rule. With `is_below` it takes only what is below it: ingress-nginx puts a slash at the end of a
    /// Prefix whose own text an Exact has (location.go).
    ///
    /// # Errors
    ///
    /// The text is no regular expression that can be matched in linear time.
    pub fn new(text: &str, is_below: bool) -> Result<Self, PatternError> {
        let parsed = Parsed::new("^", text, Self::behind(text, is_below))?;
        let (literal, is_all) = parsed.literal();
        let regex = if is_all { None } else { Some(parsed.compile()?) };
        Ok(Self { text: text.into(), is_below, literal: literal.into(), regex })
    }

    /// What stands behind the text of the rule.
    pub(crate) fn behind(text: &str, is_below: bool) -> &'static str {
        if is_below && !text.ends_with('/') { "/" } else { "" }
    }

    /// The text of the rule.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it takes only what is below its text.
    pub fn is_below(&self) -> bool {
        self.is_below
    }

    /// Whether it takes a normalised path.
    pub fn takes(&self, path: &[u8]) -> bool {
        let front = path.get(..self.literal.len());
        front.is_some_and(|front| front.eq_ignore_ascii_case(&self.literal))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(path))
    }

    /// The order in which the patterns of a host are asked: longer texts first, equally long ones from the last to the first
    /// (controller.go getBackendServers).
    pub fn precedence(&self, other: &Self) -> Ordering {
        (other.text.len(), &other.text).cmp(&(self.text.len(), &self.text))
    }

    fn key(&self) -> (&str, bool) {
        (&self.text, self.is_below)
    }
}

impl PartialEq for PathRegex {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PathRegex {}

impl PartialOrd for PathRegex {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PathRegex {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for PathRegex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for PathRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex {}{}", self.text, Self::behind(&self.text, self.is_below))
    }
}
