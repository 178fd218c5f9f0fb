//! YAML text to a tree that knows where everything stands.
//!
//! The tree sits between the YAML reader and the typed objects because a mistake in one object must cost only that
//! object: a typed reader stops at the first wrong type and takes the rest of the file with it. It also makes the place of
//! every field known, which both shape errors and the diagnostics of later stages point at.
//!
//! Scalars resolve as they do for `kubectl` (YAML 1.1 booleans, unquoted numbers are numbers), so that a manifest means
//! here what it means there. JSON is read by the same reader.
//!
//! There are three readers, for most of a cold start goes by here. Nearly every manifest is in the block style, which is read
//! line by line ([`block`]). What else has neither anchors nor tags nor mistakes, JSON for one, goes from a parser's events
//! straight into the tree ([`plain`]), for the way by serde ([`full`]) takes longer than that parser itself. Each leaves
//! alone what it is not sure of, and the next one has the whole text then; the last one is right by definition.

mod block;
mod full;
mod line;
mod plain;

pub(crate) use self::full::full_documents;

/// The largest file that is read. The tree is about ten times the size of its text, so this bounds what one file costs.
pub(crate) const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

/// How deep collections may nest: deeper than the deepest schema of any published CustomResourceDefinition, shallow enough
/// for the stack of any thread.
const MAX_DEPTH: usize = 96;

/// A place in a text. Both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl Position {
    /// The first character.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// A value and where it starts. It has no `Debug`, because it may be a Secret's.
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// A value as YAML 1.1 resolves it.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Any number that is not an `i64`.
    Float(f64),
    Text(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

impl Value {
    /// What it is, for messages: never its content.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }

    /// The text of a key; `None` for a list or a mapping, which no manifest may have there.
    fn into_key(self) -> Option<String> {
        Some(match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
            Self::Null => "null".to_owned(),
            Self::Sequence(_) | Self::Mapping(_) => return None,
        })
    }
}

/// One entry of a mapping. Keys that are not strings become their text, as in the JSON that the API server sees.
#[derive(Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) node: Node,
}

impl Node {
    /// The entry of a mapping; `None` when there is none or this is no mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Whether it is neither a list nor a mapping.
    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(self.value, Value::Sequence(_) | Value::Mapping(_))
    }

    /// The value of a mapping's entry.
    pub(crate) fn child(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The text of a mapping's entry, when it is a string.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.child(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What a text holds is not for this reader: it has an anchor, a tag, a merge key, or a mistake, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unusual;

/// Why a text is not YAML, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {message}", at.line, at.column)]
pub struct SyntaxError {
    /// Where reading stopped.
    pub at: Position,
    /// What is wrong; it never quotes the text.
    pub message: String,
}

/// The documents of a text, one after the other, where all of it is in the block style. Empty ones are left out. After
/// [`Unusual`], which says that it is not, nothing that came before counts.
pub(crate) fn block_documents(text: &str) -> impl Iterator<Item = Result<Node, Unusual>> {
    let mut documents = block::Documents::new(without_mark(text));
    until_refused(move || documents.document())
}

/// As [`block_documents`], where all of the text is plain in whatever style. [`full_documents`] reads what is not.
pub(crate) fn plain_documents(text: &str) -> impl Iterator<Item = Result<Node, Unusual>> {
    let mut documents = plain::Documents::new(without_mark(text));
    until_refused(move || documents.document())
}

/// The documents of a text. Empty ones are left out.
///
/// # Errors
///
/// As [`full_documents`].
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let in_block_style: Result<_, Unusual> = block_documents(text).collect();
    in_block_style.or_else(|Unusual| plain_documents(text).collect()).or_else(|Unusual| full_documents(text))
}

/// What `next` gives, up to the first time that it has none, or refuses.
fn until_refused(
    mut next: impl FnMut() -> Result<Option<Node>, Unusual>,
) -> impl Iterator<Item = Result<Node, Unusual>> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let document = next();
        is_over = !matches!(document, Ok(Some(_)));
        document.transpose()
    })
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
