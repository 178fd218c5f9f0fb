//! Reading typed fields out of a tree, with errors that name the field and its place.
//!
//! The reading is as tolerant as the API server's decoder: unknown fields are passed over, and null counts as absent
//! everywhere, also as an element of a list. It is as strict about types: a number where a string belongs is an error.

use std::fmt::Write;

use super::yaml::{Entry, Node, Position, Value};

/// A field of the wrong shape. It never carries the value, which may be a Secret's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShapeError {
    /// The field's path in the object.
    pub(crate) field: String,
    /// Where it stands; where its parent does when it is missing.
    pub(crate) at: Position,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) mend: String,
}

/// A place in an object: a node, or the lack of one, and the way to it.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    node: Option<&'a Node>,
    at: Position,
    step: Step<'a>,
    parent: Option<&'a Self>,
}

/// The last step of the way to a cursor.
#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    /// A key that users choose, such as an annotation's name.
    Key(&'a str),
    Item(usize),
}

impl<'a> Cursor<'a> {
    /// The whole object.
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { node: Some(node), at: node.at, step: Step::Root, parent: None }
    }

    /// Whether there is a value other than null.
    pub(crate) fn is_present(&self) -> bool {
        self.value().is_some()
    }

    /// The way to this place, as `kubectl explain` and the API server write it.
    pub(crate) fn path(&self) -> String {
        let mut path = self.parent.map(Self::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(name) if path.is_empty() => path.push_str(name),
            Step::Field(name) => {
                path.push('.');
                path.push_str(name);
            }
            Step::Key(key) => {
                path.push('[');
                path.push_str(key);
                path.push(']');
            }
            Step::Item(index) => {
                // Writing to a String cannot fail.
                let _ = write!(path, "[{index}]");
            }
        }
        path
    }

    /// An error about this place.
    pub(crate) fn error(&self, message: impl Into<String>, mend: impl Into<String>) -> ShapeError {
        ShapeError { field: self.path(), at: self.at, message: message.into(), mend: mend.into() }
    }

    /// The error of a required field that is absent.
    pub(crate) fn missing(&self) -> ShapeError {
        let path = self.path();
        self.error(format!("{path} is missing"), format!("add {path}"))
    }

    /// A field of this mapping.
    pub(crate) fn field<'b>(&'b self, name: &'b str) -> Result<Cursor<'b>, ShapeError> {
        let entry = self.mapping()?.iter().find(|entry| entry.key == name);
        let (node, at) = match entry {
            // A collection starts on the line after its key; the key is what a user looks for.
            Some(entry) => (Some(&entry.node), if entry.node.is_scalar() { entry.node.at } else { entry.key_at }),
            None => (None, self.at),
        };
        Ok(Cursor { node, at, step: Step::Field(name), parent: Some(self) })
    }

    /// The elements of this list; none when it is absent.
    pub(crate) fn items<'b>(&'b self) -> Result<impl Iterator<Item = Cursor<'b>>, ShapeError> {
        let nodes = match self.value() {
            None => &[][..],
            Some(Value::Sequence(nodes)) => nodes,
            Some(other) => return Err(self.wrong_type("a list", other)),
        };
        Ok(nodes.iter().enumerate().map(|(index, node)| Cursor {
            node: Some(node),
            at: node.at,
            step: Step::Item(index),
            parent: Some(self),
        }))
    }

    /// The entries of this mapping, whose keys users choose; none when it is absent.
    pub(crate) fn entries<'b>(&'b self) -> Result<impl Iterator<Item = (&'b str, Cursor<'b>)>, ShapeError> {
        Ok(self.mapping()?.iter().map(|entry| {
            let key = entry.key.as_str();
            (key, Cursor { node: Some(&entry.node), at: entry.key_at, step: Step::Key(key), parent: Some(self) })
        }))
    }

    /// This string; `None` when it is absent.
    pub(crate) fn text(&self) -> Result<Option<&'a str>, ShapeError> {
        match self.value() {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other @ (Value::Boolean(_) | Value::Integer(_) | Value::Float(_))) => {
                let path = self.path();
                Err(self.error(
                    format!("{path} must be a string, and what stands there is {}", other.describe()),
                    "put the value in quotes",
                ))
            }
            Some(other) => Err(self.wrong_type("a string", other)),
        }
    }

    /// This string as an owned one; empty when it is absent.
    pub(crate) fn text_or_empty(&self) -> Result<String, ShapeError> {
        Ok(self.text()?.unwrap_or_default().to_owned())
    }

    /// This string; `None` when it is absent or empty, which mean the same for most fields.
    pub(crate) fn text_if_any(&self) -> Result<Option<String>, ShapeError> {
        Ok(self.text()?.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// This whole number; `None` when it is absent.
    pub(crate) fn integer<T: TryFrom<i64>>(&self) -> Result<Option<T>, ShapeError> {
        match self.value() {
            None => Ok(None),
            Some(Value::Integer(number)) => T::try_from(*number).map(Some).map_err(|_| {
                let path = self.path();
                self.error(format!("{path} is out of range"), "write a number in the range that the field allows")
            }),
            Some(other @ Value::Text(_)) => {
                let path = self.path();
                Err(self.error(
                    format!("{path} must be a number, and what stands there is {}", other.describe()),
                    "write a whole number without quotes",
                ))
            }
            Some(other) => Err(self.wrong_type("a whole number", other)),
        }
    }

    /// This flag; `None` when it is absent.
    pub(crate) fn boolean(&self) -> Result<Option<bool>, ShapeError> {
        match self.value() {
            None => Ok(None),
            Some(Value::Boolean(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong_type("true or false", other)),
        }
    }

    /// This value, when it is neither absent nor null.
    pub(crate) fn value(&self) -> Option<&'a Value> {
        self.node.map(|node| &node.value).filter(|value| !matches!(value, Value::Null))
    }

    /// The error of a value of another type.
    pub(crate) fn wrong_type(&self, wanted: &str, found: &Value) -> ShapeError {
        let path = self.path();
        let what = if path.is_empty() { "the object" } else { path.as_str() };
        self.error(
            format!("{what} must be {wanted}, and what stands there is {}", found.describe()),
            format!("write {wanted} there; check the indentation of this line and the next"),
        )
    }

    fn mapping(&self) -> Result<&'a [Entry], ShapeError> {
        match self.value() {
            None => Ok(&[]),
            Some(Value::Mapping(entries)) => Ok(entries),
            Some(other) => Err(self.wrong_type("a mapping", other)),
        }
    }
}
