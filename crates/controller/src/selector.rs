//! Label selectors in the text form of `kubectl --selector` (apimachinery pkg/labels/selector.go).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Labels that an object must have. The default selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

/// A text that is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no label selector: write `key=value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key` or `!key`"
)]
pub struct SelectorError(String);

impl Selector {
    /// Whether nothing is required.
    pub fn selects_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|Requirement { key, operator }| {
            let value = labels.get(key);
            match operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                // An object without the label is selected too.
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let parts = split(text).into_iter().filter(|part| !part.is_empty());
        parts
            .map(|part| requirement(part).ok_or_else(|| SelectorError(part.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Cuts at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_inside) = (Vec::new(), 0, false);
    for (at, character) in text.char_indices() {
        match character {
            '(' => is_inside = true,
            ')' => is_inside = false,
            ',' if !is_inside => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn requirement(text: &str) -> Option<Requirement> {
    let one = |value: &str| BTreeSet::from([value.trim().to_owned()]);
    let (key, operator) = if let Some((key, values)) = text.split_once(" notin ") {
        (key, Operator::NotIn(set(values)?))
    } else if let Some((key, values)) = text.split_once(" in ") {
        (key, Operator::In(set(values)?))
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Operator::NotIn(one(value)))
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (key, Operator::In(one(value)))
    } else if let Some(key) = text.strip_prefix('!') {
        (key, Operator::DoesNotExist)
    } else {
        (text, Operator::Exists)
    };
    let values: &[&BTreeSet<String>] = match &operator {
        Operator::In(values) | Operator::NotIn(values) => &[values],
        Operator::Exists | Operator::DoesNotExist => &[],
    };
    let is_label = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    let key = key.trim();
    let is_right = !key.is_empty() && is_label(key) && values.iter().copied().flatten().all(|value| is_label(value));
    is_right.then(|| Requirement { key: key.to_owned(), operator })
}

fn set(text: &str) -> Option<BTreeSet<String>> {
    let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some(inside.split(',').map(|value| value.trim().to_owned()).collect())
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Requirement { key, operator }) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            let list = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(",");
            match operator {
                Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", list(values))?,
                Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", list(values))?,
                Operator::In(values) => write!(f, "{key} in ({})", list(values))?,
                Operator::NotIn(values) => write!(f, "{key} notin ({})", list(values))?,
                Operator::Exists => write!(f, "{key}")?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_selector_selects_as_kubectl_does() {
        let labels = |text: &str| -> BTreeMap<String, String> {
            text.split_whitespace().filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.into(), b.into())).collect()
        };
        let table = [
            ("", "", true),
            ("team=a", "team=a", true),
            ("team==a", "team=a stage=dev", true),
            ("team=a", "team=b", false),
            ("team=a", "", false),
            ("team!=a", "", true),
            ("team!=a", "team=a", false),
            ("team in (a, b),stage", "team=b stage=x", true),
            ("team in (a, b),stage", "team=b", false),
            ("team notin (a,b)", "team=c", true),
            ("team notin (a,b)", "team=a", false),
            ("!team", "stage=x", true),
            ("!team", "team=a", false),
            ("example.com/team=a", "example.com/team=a", true),
        ];
        for (selector, of, expected) in table {
            let selector: Selector = selector.parse().unwrap();
            assert_eq!(selector.matches(&labels(of)), expected, "{selector} on {of}");
            assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_and_named() {
        for text in ["=a", "a in b", "a in (b", "a b", "a=b c", "!"] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
