//! What the operator refuses for all hosts (ConfigMap `block-cidrs`, `block-user-agents`, `block-referers`).

use regex::bytes::{Regex, RegexBuilder};

use super::networks::NetworkSet;
use crate::decide::RequestHead;

/// What is refused for all hosts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    /// Clients in these networks.
    pub networks: NetworkSet,
    /// Requests with such a `User-Agent`.
    pub user_agents: Box<[Pattern]>,
    /// Requests with such a `Referer`.
    pub referers: Box<[Pattern]>,
}

impl Block {
    /// Whether nothing is refused.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.user_agents.is_empty() && self.referers.is_empty()
    }

    /// Whether a request is refused for what its head says.
    pub(crate) fn refuses(&self, head: &impl RequestHead) -> bool {
        is_any(&self.user_agents, head, "user-agent") || is_any(&self.referers, head, "referer")
    }
}

/// Whether one of the values of a header is one of these; one that is not there is empty, as in nginx.
fn is_any(patterns: &[Pattern], head: &impl RequestHead, name: &str) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let mut values = head.header_values(name).peekable();
    if values.peek().is_none() {
        return patterns.iter().any(|pattern| pattern.matches(b""));
    }
    values.any(|value| patterns.iter().any(|pattern| pattern.matches(value)))
}

/// A value of a header, as nginx's `map` has it: the whole of it without regard to case, or a regular expression behind `~`,
/// or one without regard to case behind `~*`.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Box<str>,
    /// The expression, which takes time in proportion to the value, whatever it is.
    regex: Option<Regex>,
}

impl Pattern {
    /// Reads a pattern. `None` for an expression that does not compile, or looks around or back, which takes unbounded time.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(expression) = text.strip_prefix('~') else {
            // nginx takes what follows a backslash as it is.
            return Some(Self { text: text.strip_prefix('\\').unwrap_or(text).into(), regex: None });
        };
        let (expression, is_any_case) = expression.strip_prefix('*').map_or((expression, false), |rest| (rest, true));
        let regex = RegexBuilder::new(expression).unicode(false).case_insensitive(is_any_case).build().ok()?;
        Some(Self { text: text.into(), regex: Some(regex) })
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match &self.regex {
            Some(regex) => regex.is_match(value),
            None => value.eq_ignore_ascii_case(self.text.as_bytes()),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.regex.is_some()) == (&other.text, other.regex.is_some())
    }
}

#[cfg(test)]
mod tests;
