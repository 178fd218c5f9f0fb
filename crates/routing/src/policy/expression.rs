//! Regular expressions of a configuration: found in time that grows with the text alone, whatever the expression is.

use std::fmt;

use regex::bytes::Regex;

use crate::pattern::{LONGEST_FIELD, limited};

/// A regular expression over bytes. Two are equal when they are written alike.
#[derive(Clone)]
pub struct Expression {
    regex: Regex,
    is_caseless: bool,
}

/// Why text is no pattern that is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no regular expression that is understood here")]
pub struct ParseExpressionError {
    text: Box<str>,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// It is none, has something that cannot be found in linear time (look-around, references to groups), or is too large.
    pub fn new(text: &str) -> Result<Self, ParseExpressionError> {
        Self::compile(text, false)
    }

    /// Compiles an expression that does not regard case.
    ///
    /// # Errors
    ///
    /// As for [`Expression::new`].
    pub fn caseless(text: &str) -> Result<Self, ParseExpressionError> {
        Self::compile(text, true)
    }

    fn compile(text: &str, is_caseless: bool) -> Result<Self, ParseExpressionError> {
        match limited(text, is_caseless) {
            Ok(regex) => Ok(Self { regex, is_caseless }),
            Err(_) => Err(ParseExpressionError { text: text.into() }),
        }
    }

    /// Whether it is somewhere in the text, which has 8 KiB at most.
    pub fn is_in(&self, text: &[u8]) -> bool {
        text.len() <= LONGEST_FIELD && self.regex.is_match(text)
    }

    /// `to`, with `$0` to `$9` standing for groups, if the expression is somewhere in the text, which has 8 KiB at most.
    pub fn replaced(&self, text: &[u8], to: &str) -> Option<Vec<u8>> {
        let text = Some(text).filter(|text| text.len() <= LONGEST_FIELD)?;
        let groups = self.regex.captures(text)?;
        let mut out = Vec::with_capacity(to.len());
        let mut pieces = to.split('$');
        out.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
        for piece in pieces {
            let mut rest = piece.chars();
            if let Some(group) = rest.next().and_then(|digit| digit.to_digit(10)) {
                out.extend_from_slice(groups.get(group as usize).map_or(b"", |group| group.as_bytes()));
            }
            out.extend_from_slice(rest.as_str().as_bytes());
        }
        Some(out)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        (self.regex.as_str(), self.is_caseless) == (other.regex.as_str(), other.is_caseless)
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let case = if self.is_caseless { "*" } else { "" };
        write!(f, "{case}{}", self.regex.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn neither_an_expression_nor_its_text_costs_without_end() {
        assert!(Expression::new("([ac]b){2000}").is_err());
        let expression = Expression::caseless("b$").unwrap();
        for (length, is_in) in [(8 << 10, true), ((8 << 10) + 1, false)] {
            let text = "B".repeat(length);
            assert_eq!(expression.is_in(text.as_bytes()), is_in, "{length} bytes");
            assert_eq!(expression.replaced(text.as_bytes(), "x").is_some(), is_in, "{length} bytes");
        }
    }
}
