//! Part of the requests for another version.

use std::sync::Arc;

use edgeward_routing::canary::{CanaryRule, HeaderRule, HeaderValue, Pattern, Weight};

use super::value::{BASIC_TEXT, BOOL, basic_text, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Canaries",
    doc: "Part of the requests for another version. Only an Ingress with `canary: \"true\"` is a canary.",
    annotations: &[
        Annotation::honoured(
            "canary",
            Scope::Backend,
            |value, settings| {
                settings.canary.is_canary = parse_bool(value).ok_or_else(|| invalid(BOOL))?;
                Ok(())
            },
            "Marks an Ingress as the alternative of another one of its namespace with the same hosts and paths.",
        ),
        Annotation::honoured(
            "canary-by-cookie",
            Scope::Backend,
            |value, settings| {
                settings.canary.cookie = Some(text(value)?);
                Ok(())
            },
            "Cookie that sends a client to the canary (`always`) or keeps it off (`never`).",
        ),
        Annotation::honoured(
            "canary-by-header",
            Scope::Backend,
            |value, settings| {
                settings.canary.header = Some(text(value)?);
                Ok(())
            },
            "Header that sends a request to the canary (`always`) or keeps it off (`never`).",
        ),
        Annotation::honoured(
            "canary-by-header-pattern",
            Scope::Backend,
            header_pattern,
            "Pattern that the value of that header must match, unless a value is asked for.",
        ),
        Annotation::honoured(
            "canary-by-header-value",
            Scope::Backend,
            |value, settings| {
                settings.canary.header_value = Some(text(value)?);
                Ok(())
            },
            "Value that this header must have.",
        ),
        Annotation::honoured(
            "canary-weight",
            Scope::Backend,
            |value, settings| {
                settings.canary.weight = Some(integer(value)?);
                Ok(())
            },
            "Share of the other requests that go to the canary.",
        ),
        Annotation::honoured(
            "canary-weight-total",
            Scope::Backend,
            |value, settings| {
                settings.canary.weight_total = Some(integer(value)?);
                Ok(())
            },
            "What the weight is a share of, at least 100.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CanarySettings {
    /// Whether it is a canary, whose routes are those of its main Ingress. The others mean nothing without it.
    pub is_canary: bool,
    header: Option<Box<str>>,
    header_value: Option<Box<str>>,
    header_pattern: Option<Pattern>,
    cookie: Option<Box<str>>,
    weight: Option<i64>,
    weight_total: Option<i64>,
}

impl CanarySettings {
    /// Which requests the canary takes.
    pub fn rule(&self) -> Arc<CanaryRule> {
        // Nginx knows a header by its name in a variable, where `-` is `_`.
        let header = self.header.as_ref().map(|name| HeaderRule {
            name: name.to_ascii_lowercase().replace('_', "-").into(),
            value: match (&self.header_value, &self.header_pattern) {
                (Some(value), _) => HeaderValue::Equal(value.clone()),
                (None, Some(pattern)) => HeaderValue::Match(pattern.clone()),
                (None, None) => HeaderValue::AlwaysOrNever,
            },
        });
        let whole = self.weight_total.and_then(|total| total.try_into().ok()).unwrap_or_default();
        let weight = Weight::new(self.weight.unwrap_or_default(), whole);
        Arc::new(CanaryRule { header, cookie: self.cookie.clone(), weight })
    }
}

fn text(value: &str) -> Result<Box<str>, Rejection> {
    basic_text(value).ok_or_else(|| invalid(BASIC_TEXT))
}

fn integer(value: &str) -> Result<i64, Rejection> {
    value.parse().map_err(|_| invalid("a whole number"))
}

fn header_pattern(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    // IsValidRegex (parser/validators.go).
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || br"-._~/:^$[](){}*+?|&=\".contains(&b);
    if value.is_empty() || !value.bytes().all(is_allowed) {
        return Err(invalid(r"a regular expression of letters, digits and `-._~/:^$[](){}*+?|&=\`"));
    }
    let pattern = Pattern::new(value);
    let is_valid = pattern.is_valid();
    settings.canary.header_pattern = Some(pattern);
    if is_valid {
        return Ok(());
    }
    Err(Rejection::Noted(
        "is no regular expression that is understood here: requests with the header go to the main Ingress",
        "a regular expression without look-around and back-references",
    ))
}
