//! YAML in the block style, line by line, straight into the tree.
//!
//! It is how people, charts and `kubectl` write manifests: a key or an item on each line, values that end on it or are
//! literal text below it, flow style within a line at most. The parser behind [`plain`](super::plain) makes a token and an
//! event of every word, which takes ten times as long. What is not of this style, or may be wrong, is left to that parser:
//! this never accepts what it refuses, and gives the same tree where it accepts (a property test).

use super::line::{Line, spaces};
use super::plain::may_repeat_a_key;
use super::{Entry, MAX_DEPTH, MAX_FILE_BYTES, Node, Unusual, Value};

/// The documents of a text.
pub(super) struct Documents<'t> {
    /// What comes after `line`.
    rest: &'t str,
    /// The number of the last line that was taken.
    number: u64,
    /// The first line that says something and has not been read; `None` at the end.
    line: Option<Line<'t>>,
    /// How many collections are open.
    depth: usize,
    /// Whether a look at the text was enough to leave it alone.
    is_refused: bool,
}

impl<'t> Documents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let is_refused = text.len() > MAX_FILE_BYTES || !is_ordinary(text);
        let mut documents = Self { rest: text, number: 0, line: None, depth: 0, is_refused };
        documents.advance();
        documents
    }

    /// Goes to the next line that says something.
    fn advance(&mut self) {
        loop {
            if self.rest.is_empty() {
                self.line = None;
                return;
            }
            let (text, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            self.rest = rest;
            self.number += 1;
            let indent = spaces(text);
            if !matches!(text.as_bytes().get(indent), None | Some(b'#')) {
                self.line = Some(Line { number: self.number, text, indent });
                return;
            }
        }
    }

    /// The next one; `None` at the end.
    pub(super) fn document(&mut self) -> Result<Option<Node>, Unusual> {
        if self.is_refused {
            return Err(Unusual);
        }
        while let Some(line) = self.line {
            if !line.is_marker() {
                let node = self.collection()?;
                // It began at the margin, and so nothing that is a part of it comes after it.
                let is_whole = line.indent == 0 && self.line.is_none_or(Line::is_marker);
                return if is_whole { Ok(Some(node)) } else { Err(Unusual) };
            }
            if !line.text.starts_with('-') {
                return Err(Unusual);
            }
            line.ends_at("---".len())?;
            self.advance();
        }
        Ok(None)
    }

    /// The list or mapping that begins with the present line.
    fn collection(&mut self) -> Result<Node, Unusual> {
        let first = self.line.ok_or(Unusual)?;
        if self.depth == MAX_DEPTH {
            return Err(Unusual);
        }
        self.depth += 1;
        let value = if first.is_item() { self.sequence(first.indent) } else { self.mapping(first.indent) }?;
        self.depth -= 1;
        Ok(Node { at: first.position(first.indent), value })
    }

    fn sequence(&mut self, indent: usize) -> Result<Value, Unusual> {
        let mut nodes = Vec::new();
        while let Some(line) = self.line.filter(|line| line.indent == indent && line.is_item()) {
            let start = line.skip_spaces(indent + 1);
            if line.says_nothing_at(start) {
                self.advance();
                let is_below = self.line.is_some_and(|next| next.indent > indent);
                nodes.push(if is_below { self.collection() } else { Err(Unusual) }?);
                continue;
            }
            // To what an item begins with, its dash is a part of the indentation.
            let inner = Line { indent: start, ..line };
            nodes.push(if inner.is_item() || inner.key().is_some() {
                self.line = Some(inner);
                self.collection()
            } else {
                self.inline(line, start)
            }?);
        }
        Ok(Value::Sequence(nodes))
    }

    fn mapping(&mut self, indent: usize) -> Result<Value, Unusual> {
        let mut entries = Vec::new();
        while let Some(line) = self.line.filter(|line| line.indent == indent && !line.is_marker()) {
            let (key, colon) = line.key().ok_or(Unusual)?;
            let start = line.skip_spaces(colon + 1);
            let node = if line.says_nothing_at(start) {
                self.advance();
                match self.line {
                    Some(next) if next.indent > indent => self.collection()?,
                    // Such a list begins behind its first dash to the parser.
                    Some(next) if next.indent == indent && next.is_item() => {
                        let start = next.skip_spaces(indent + 1);
                        let start = if next.says_nothing_at(start) { next.text.len() } else { start };
                        Node { at: next.position(start), ..self.collection()? }
                    }
                    _ => Node { at: line.position(colon), value: Value::Null },
                }
            } else {
                self.inline(line, start)?
            };
            entries.push(Entry { key, key_at: line.position(indent), node });
        }
        if may_repeat_a_key(&entries) { Err(Unusual) } else { Ok(Value::Mapping(entries)) }
    }

    /// The value that begins on the line of its key or dash, which are as far in as the line says.
    fn inline(&mut self, line: Line<'t>, start: usize) -> Result<Node, Unusual> {
        if line.text.as_bytes()[start] == b'|' {
            return self.literal(line, start + 1);
        }
        let (node, end) = line.value(start, self.depth)?;
        line.ends_at(end)?;
        self.advance();
        Ok(node)
    }

    /// A text whose lines stand below `line`, further in than it; `start` is behind its `|`.
    fn literal(&mut self, line: Line<'t>, start: usize) -> Result<Node, Unusual> {
        let chomping = line.text.as_bytes().get(start).copied().filter(|byte| matches!(byte, b'-' | b'+'));
        line.ends_at(start + usize::from(chomping.is_some()))?;
        let mut text = String::new();
        let mut first: Option<Line<'t>> = None;
        // The line breaks of which it is not known yet what follows them.
        let mut breaks = 0;
        // Whether the end of a text is the end of its line need not be known here.
        while let Some((next, rest)) = self.rest.split_once('\n') {
            let indent = spaces(next);
            let width = first.map_or(indent, |first| first.indent);
            if indent == next.len() && indent <= width {
                // Before the first line, such a one may have more spaces than that line.
                if first.is_none() && indent > 0 {
                    return Err(Unusual);
                }
                breaks += 1;
            } else if indent >= width && indent > line.indent {
                first.get_or_insert(Line { number: self.number + 1, text: next, indent });
                text.extend(std::iter::repeat_n('\n', breaks));
                text.push_str(&next[width..]);
                breaks = 1;
            } else {
                break;
            }
            self.rest = rest;
            self.number += 1;
        }
        let is_open = !self.rest.is_empty() && !self.rest.contains('\n');
        let first = first.filter(|_| !is_open).ok_or(Unusual)?;
        let kept = match chomping {
            Some(b'-') => 0,
            Some(_) => breaks,
            None => 1,
        };
        text.extend(std::iter::repeat_n('\n', kept));
        self.advance();
        Ok(Node { at: first.position(first.indent), value: Value::Text(text) })
    }
}

/// Whether a text has no character that means something, or is forbidden, anywhere in YAML.
fn is_ordinary(text: &str) -> bool {
    if text.is_ascii() {
        // All are looked at, for that goes many at a time.
        return text.bytes().fold(true, |is_ordinary, byte| {
            is_ordinary & (matches!(byte, b' '..=b'~') | (byte == b'\n') | (byte == b'\t'))
        });
    }
    text.chars().all(|character| match character {
        '\n' | '\t' | ' '..='~' => true,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => character >= '\u{a0}',
    })
}

#[cfg(test)]
mod tests;
