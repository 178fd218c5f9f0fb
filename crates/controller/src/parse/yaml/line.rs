//! One line of YAML in the block style: its indentation, its key, and the values that end on it.
//!
//! What has more than one reading, or goes on in the next line, is [`Unusual`].

use super::plain::{may_repeat_a_key, resolve};
use super::{Entry, MAX_DEPTH, Node, Position, Unusual, Value};

/// Keys may not be longer than 1,024 characters.
const MAX_KEY_BYTES: usize = 1000;

/// The longest line in which flow style is read: for each place in it, all characters before are counted.
pub(super) const MAX_FLOW_BYTES: usize = 4096;

/// A line that is neither empty nor a comment.
#[derive(Clone, Copy)]
pub(super) struct Line<'t> {
    pub(super) number: u64,
    pub(super) text: &'t str,
    /// The bytes before what is to be read: spaces, and the dashes of items that were.
    pub(super) indent: usize,
}

impl Line<'_> {
    /// The place of a byte.
    pub(super) fn position(self, at: usize) -> Position {
        Position { line: self.number, column: self.text[..at].chars().count() as u64 + 1 }
    }

    /// Whether it is between two documents, or looks so.
    pub(super) fn is_marker(self) -> bool {
        self.text.starts_with("---") || self.text.starts_with("...")
    }

    /// Whether it is an item of a list.
    pub(super) fn is_item(self) -> bool {
        self.text[self.indent..].strip_prefix('-').is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }

    /// The key that it begins with, and where the colon behind that is.
    pub(super) fn key(self) -> Option<(String, usize)> {
        let bytes = self.text.as_bytes();
        let (key, end) = match bytes.get(self.indent)? {
            b'"' | b'\'' => quoted(self.text, self.indent)?,
            _ => {
                let word = word(&self.text[self.indent..])?;
                (scalar(word).into_key()?, self.indent + word.len())
            }
        };
        let is_key = bytes.get(end) == Some(&b':') && matches!(bytes.get(end + 1), None | Some(b' '));
        (is_key && end - self.indent <= MAX_KEY_BYTES).then_some((key, end))
    }

    pub(super) fn skip_spaces(self, at: usize) -> usize {
        at + spaces(&self.text[at..])
    }

    /// Whether nothing comes from there on but a comment, behind a space.
    pub(super) fn says_nothing_at(self, at: usize) -> bool {
        matches!(self.text.as_bytes().get(at), None | Some(b'#'))
    }

    pub(super) fn ends_at(self, at: usize) -> Result<(), Unusual> {
        let end = self.skip_spaces(at);
        let is_end = end == self.text.len() || (end > at && self.says_nothing_at(end));
        is_end.then_some(()).ok_or(Unusual)
    }

    /// The value that begins there, inside of `depth` collections, and where it ends.
    pub(super) fn value(self, start: usize, depth: usize) -> Result<(Node, usize), Unusual> {
        match self.text.as_bytes()[start] {
            b'[' | b'{' | b'"' | b'\'' => self.flow(start, depth),
            _ => {
                let (value, end) = plain(self.text, start)?;
                Ok((Node { at: self.position(start), value }, end))
            }
        }
    }

    /// A value in flow style.
    fn flow(self, start: usize, depth: usize) -> Result<(Node, usize), Unusual> {
        let (value, end) = match self.text.as_bytes().get(start).ok_or(Unusual)? {
            b'[' => {
                let mut nodes = Vec::new();
                let end = self.flow_items(start, depth, b']', |at| {
                    let (node, end) = self.flow(at, depth + 1)?;
                    nodes.push(node);
                    Ok(end)
                })?;
                (Value::Sequence(nodes), end)
            }
            b'{' => {
                let mut entries = Vec::new();
                let end = self.flow_items(start, depth, b'}', |at| {
                    let (key, colon) = Line { indent: at, ..self }.key().ok_or(Unusual)?;
                    let (node, end) = self.flow(self.skip_spaces(colon + 1), depth + 1)?;
                    entries.push(Entry { key, key_at: self.position(at), node });
                    Ok(end)
                })?;
                if may_repeat_a_key(&entries) {
                    return Err(Unusual);
                }
                (Value::Mapping(entries), end)
            }
            b'"' | b'\'' => quoted(self.text, start).map(|(text, end)| (Value::Text(text), end)).ok_or(Unusual)?,
            _ => {
                let word = words(&self.text[start..]).ok_or(Unusual)?;
                (scalar(word), start + word.len())
            }
        };
        Ok((Node { at: self.position(start), value }, end))
    }

    /// Has the items between brackets read, each from where it begins to where it ends, and says where the brackets do.
    fn flow_items(
        self,
        start: usize,
        depth: usize,
        bracket: u8,
        mut read: impl FnMut(usize) -> Result<usize, Unusual>,
    ) -> Result<usize, Unusual> {
        let is_at = |at: usize, byte: u8| self.text.as_bytes().get(at) == Some(&byte);
        if depth == MAX_DEPTH || self.text.len() > MAX_FLOW_BYTES {
            return Err(Unusual);
        }
        let mut at = self.skip_spaces(start + 1);
        if is_at(at, bracket) {
            return Ok(at + 1);
        }
        loop {
            at = self.skip_spaces(read(at)?);
            if is_at(at, bracket) {
                return Ok(at + 1);
            }
            if !is_at(at, b',') {
                return Err(Unusual);
            }
            at = self.skip_spaces(at + 1);
        }
    }
}

/// How many spaces a text begins with.
pub(super) fn spaces(text: &str) -> usize {
    text.bytes().take_while(|byte| *byte == b' ').count()
}

/// Whether a scalar that begins with this is nothing else.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/')
}

/// The word that a text begins with, of characters that mean nothing anywhere.
fn word(text: &str) -> Option<&str> {
    let end = text.bytes().position(|byte| !is_letter(byte) && !matches!(byte, b'.' | b'-')).unwrap_or(text.len());
    text.bytes().next().is_some_and(is_letter).then_some(&text[..end])
}

/// The words that a text begins with up to a character that may mean something in flow style.
fn words(text: &str) -> Option<&str> {
    let end = text.find([',', '[', ']', '{', '}', ':', '#', '"', '\'', '\t']).unwrap_or(text.len());
    text.bytes().next().is_some_and(is_letter).then_some(text[..end].trim_end_matches(' '))
}

fn scalar(text: &str) -> Value {
    resolve(text).unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// A scalar without quotes that ends on its line, and where.
fn plain(text: &str, start: usize) -> Result<(Value, usize), Unusual> {
    let bytes = text.as_bytes();
    let is_begun_by = |byte: u8| match byte {
        b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@'
        | b'`' => false,
        b'-' => !matches!(bytes.get(start + 1), None | Some(b' ')),
        _ => true,
    };
    if !is_begun_by(bytes[start]) {
        return Err(Unusual);
    }
    let mut end = text.len();
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'\t' => return Err(Unusual),
            b':' if matches!(bytes.get(at + 1), None | Some(b' ')) => return Err(Unusual),
            b'#' if bytes[at - 1] == b' ' => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let end = start + text[start..end].trim_end_matches(' ').len();
    Ok((scalar(&text[start..end]), end))
}

/// What stands between the quotes that begin there, and where they end.
fn quoted(text: &str, start: usize) -> Option<(String, usize)> {
    let quote = char::from(text.as_bytes()[start]);
    let mut out = String::new();
    let mut at = start + 1;
    loop {
        let rest = &text[at..];
        let length = rest.find([quote, '\\', '\t'])?;
        out.push_str(&rest[..length]);
        at += length + 1;
        let next = text.as_bytes().get(at);
        out.push(match text.as_bytes()[at - 1] {
            b'\'' if next == Some(&b'\'') => '\'',
            b'"' | b'\'' => return Some((out, at)),
            b'\\' if quote == '\'' => {
                out.push('\\');
                continue;
            }
            b'\\' => match next? {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'/' => '/',
                b'"' => '"',
                b'\\' => '\\',
                _ => return None,
            },
            _ => return None,
        });
        at += 1;
    }
}
