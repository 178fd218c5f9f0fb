//! Canaries: the requests for a backend that go to its alternative instead (ingress-nginx balancer.lua,
//! route_to_alternative_balancer; row 29 of its semantics).

use std::sync::Arc;

use regex::bytes::Regex;

use crate::backend::{Backend, BackendId, Backends};
use crate::decide::RequestHead;
use crate::forward::joined;
use crate::pattern;
use crate::template::cookie;

/// The alternative of a backend.
///
/// It belongs to the backend, as in ingress-nginx: whichever host and path leads there, part of the requests go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Where they go, while it has endpoints.
    pub backend: BackendId,
    /// Which ones.
    pub rule: Arc<CanaryRule>,
}

/// Which requests a canary takes. The default takes none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CanaryRule {
    /// A header that decides, where the request has it.
    pub header: Option<HeaderRule>,
    /// The name of a cookie that decides when it is `always` or `never`; compared without case.
    pub cookie: Option<Box<str>>,
    /// The share of all other requests.
    pub weight: Weight,
}

/// A header that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// Its name, lower case.
    pub name: Box<str>,
    /// What its value says.
    pub value: HeaderValue,
}

/// What the value of a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// `always` is for the canary and `never` against it; another value says nothing.
    AlwaysOrNever,
    /// This value is for the canary; another one says nothing.
    Equal(Box<str>),
    /// A value in which the pattern is found is for the canary; another one, or one of more than 8 KiB, says nothing.
    Match(Pattern),
}

/// A regular expression over bytes.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Box<str>,
    compiled: Option<Regex>,
}

impl Pattern {
    /// Compiles a pattern. One that is none, or is too large, is kept as such: ingress-nginx sends every request with the
    /// header to the main backend then (recorded: c238).
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), compiled: pattern::limited(text, false).ok() }
    }

    /// Whether it is a pattern.
    pub fn is_valid(&self) -> bool {
        self.compiled.is_some()
    }

    /// The text that it was made of.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// A share of the requests: `part` of `whole`, by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    part: u64,
    whole: u64,
}

impl Default for Weight {
    fn default() -> Self {
        Self::new(0, Self::LEAST_WHOLE)
    }
}

impl Weight {
    /// A smaller whole counts as this one.
    const LEAST_WHOLE: u64 = 100;

    /// `part` of `whole`: nothing where the part is negative, everything where it is larger than the whole, which is at
    /// least 100 (recorded: c241, c245, c246).
    pub fn new(part: i64, whole: u64) -> Self {
        let whole = whole.max(Self::LEAST_WHOLE);
        Self { part: u64::try_from(part).unwrap_or_default().min(whole), whole }
    }

    /// The part, and the whole.
    pub fn parts(self) -> (u64, u64) {
        (self.part, self.whole)
    }

    fn draw(self) -> bool {
        match self.part {
            0 => false,
            part if part == self.whole => true,
            part => fastrand::u64(..self.whole) < part,
        }
    }
}

impl HeaderRule {
    /// What the header says about a request; `None` for nothing.
    fn decide(&self, head: &impl RequestHead) -> Option<bool> {
        let value = joined(head, &self.name)?;
        match &self.value {
            HeaderValue::AlwaysOrNever => always_or_never(&value),
            HeaderValue::Equal(wanted) => (*value == *wanted.as_bytes()).then_some(true),
            HeaderValue::Match(wanted) => match &wanted.compiled {
                Some(compiled) => (value.len() <= pattern::LONGEST_FIELD && compiled.is_match(&value)).then_some(true),
                None => Some(false),
            },
        }
    }
}

fn always_or_never(value: &[u8]) -> Option<bool> {
    match value {
        b"always" => Some(true),
        b"never" => Some(false),
        _ => None,
    }
}

impl CanaryRule {
    /// Whether the canary takes a request: what the header says, else the cookie, else chance.
    pub fn takes(&self, head: &impl RequestHead) -> bool {
        let by_header = || self.header.as_ref()?.decide(head);
        let by_cookie = || always_or_never(cookie(head, self.cookie.as_deref()?)?);
        by_header().or_else(by_cookie).unwrap_or_else(|| self.weight.draw())
    }
}

/// The backend that takes a request for `main`, which has endpoints: itself or its canary. A client that has been with one
/// of them stays there, as far as its [affinity](crate::affinity) tells.
pub fn backend_for<'s>(backends: &'s Backends, main: &'s Arc<Backend>, head: &impl RequestHead) -> &'s Arc<Backend> {
    let Some(canary) = &main.canary else { return main };
    let has_been_at = |backend: &Backend| backend.affinity.as_ref().is_some_and(|affinity| affinity.is_own(head));
    if has_been_at(main) {
        return main;
    }
    match backends.by_id(canary.backend).filter(|backend| !backend.endpoints.is_empty()) {
        Some(other) if has_been_at(other) || canary.rule.takes(head) => other,
        _ => main,
    }
}

#[cfg(test)]
mod tests;
