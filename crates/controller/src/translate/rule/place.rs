//! Where in an Ingress a route comes from, and its path as the rule writes it.

use std::fmt::{self, Write};

use edgeward_routing::path::PathPattern;

/// A [`PathPattern`] that is still the rule's own text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Path<'a> {
    Exact(&'a str),
    Prefix(&'a str),
}

impl<'a> Path<'a> {
    /// The text of the rule.
    pub(in super::super) fn text(self) -> &'a str {
        let (Self::Exact(text) | Self::Prefix(text)) = self;
        text
    }
}

impl From<Path<'_>> for PathPattern {
    fn from(path: Path<'_>) -> Self {
        match path {
            Path::Exact(text) => Self::Exact(text.into()),
            Path::Prefix(text) => Self::Prefix(text.into()),
        }
    }
}

/// The field of an Ingress that a route comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// A path, by the number of its rule and its own number in it.
    Path(usize, usize),
    DefaultBackend,
    /// A rule, by its number.
    Rule(usize),
    /// The rules as a whole.
    Rules,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(rule, path) => write!(f, "spec.rules[{rule}].http.paths[{path}]"),
            Self::Rule(rule) => write!(f, "spec.rules[{rule}]"),
            Self::DefaultBackend => f.write_str("spec.defaultBackend"),
            Self::Rules => f.write_str("spec.rules"),
        }
    }
}

impl Place {
    /// Whether this is the place of a field, found out without writing it down.
    pub(in super::super) fn is_written(self, field: &str) -> bool {
        let mut rest = Unwritten(field);
        write!(rest, "{self}").is_ok() && rest.0.is_empty()
    }
}

/// Takes only what is the beginning of this text.
struct Unwritten<'t>(&'t str);

impl Write for Unwritten<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}
