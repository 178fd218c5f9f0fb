//! The whole of YAML, by serde-saphyr: what `plain` leaves, and the words for what is wrong.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Error, Location, Options, Spanned};

use super::{Entry, MAX_DEPTH, MAX_FILE_BYTES, Node, Position, SyntaxError, Value, without_mark};

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        // The reader says 0 where it does not know.
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// The documents of any text. Empty ones are left out.
///
/// # Errors
///
/// The text is not YAML, repeats a key, or is larger or more deeply nested than any manifest.
pub(crate) fn full_documents(text: &str) -> Result<Vec<Node>, SyntaxError> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_FILE_BYTES / (1024 * 1024));
        return Err(SyntaxError { at: Position::START, message });
    }
    serde_saphyr::from_multiple_with_options(without_mark(text), options()).map_err(|error| syntax_error(&error))
}

/// The reader's options. Its default budget is for one configuration file; one manifest file may hold a whole cluster, so
/// the counts that the size of the text bounds already are lifted, and those that a short text can multiply are kept low.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: MAX_FILE_BYTES,
            max_nodes: MAX_FILE_BYTES,
            max_documents: MAX_FILE_BYTES,
            max_depth: MAX_DEPTH,
            max_aliases: 10_000,
            max_merge_keys: 10_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        ignore_binary_tag_for_string: true,
    }
}

/// The reader's messages are for programmers in places and quote scalars in others; the ones that users meet are put in
/// words, and none of them carries text of the file beyond a key.
fn syntax_error(error: &Error) -> SyntaxError {
    let error = innermost(error);
    let at = error.location().map_or(Position::START, Position::from);
    let message = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key:?} is given twice"),
        Error::DuplicateMappingKey { key: None, .. } => "a key is given twice".to_owned(),
        Error::UnknownAnchor { .. } => "the alias names an anchor that is not defined before it".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the document nests too deeply, or its aliases expand to too much".to_owned()
        }
        Error::Eof { .. } => "the text ends too early".to_owned(),
        Error::Message { msg, .. } => msg.clone(),
        other => other.render_with_formatter(&serde_saphyr::UserMessageFormatter),
    };
    SyntaxError { at, message: without_location(message) }
}

/// The error itself, behind the wrappers that add snippets and alias locations.
fn innermost(mut error: &Error) -> &Error {
    while let Error::WithSnippet { error: inner, .. } | Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    error
}

/// The reader ends a rendered message with the place, which a diagnostic carries on its own.
fn without_location(mut message: String) -> String {
    if let Some(start) = message.rfind(" at line ") {
        message.truncate(start);
    }
    message
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: spanned.referenced.into(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = sequence.next_element()? {
            nodes.push(node);
        }
        Ok(Value::Sequence(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Node>()? {
            let node = map.next_value()?;
            let key_at = key.at;
            let Some(key) = key.value.into_key() else {
                return Err(A::Error::custom("a key is a list or a mapping, which no manifest may have"));
            };
            entries.push(Entry { key, key_at, node });
        }
        Ok(Value::Mapping(entries))
    }
}
