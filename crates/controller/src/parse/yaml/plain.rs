//! Plain YAML, from the parser's events into the tree.
//!
//! Whatever is not plain, or may be wrong, is left to `full`, which knows the rules and has the words. So this need not
//! tell a key that is given twice from one that only looks so, nor one limit from another: it never accepts what `full`
//! refuses, and gives the same tree where it accepts (a property test).

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput};

use super::{Entry, MAX_DEPTH, MAX_FILE_BYTES, Node, Position, Unusual, Value};

/// Entries of a mapping up to which each is compared with each.
const FEW_ENTRIES: usize = 16;

/// The documents of a text.
pub(super) struct Documents<'t> {
    parser: Parser<'t, StrInput<'t>>,
    events: usize,
    scalar_bytes: usize,
}

impl<'t> Documents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut options = Options::default();
        // They may be switched on for the whole build.
        options.set_emit_comments(false);
        let parser = Parser::new_from_str_with_options(text, options);
        // Of a text that is too large none is left.
        let events = if text.len() > MAX_FILE_BYTES { MAX_FILE_BYTES } else { 0 };
        Self { parser, events, scalar_bytes: 0 }
    }

    fn event(&mut self) -> Result<(Event<'t>, Span), Unusual> {
        self.events += 1;
        match self.parser.next() {
            Some(Ok(event)) if self.events <= MAX_FILE_BYTES => Ok(event),
            _ => Err(Unusual),
        }
    }

    /// The next one; `None` at the end.
    pub(super) fn document(&mut self) -> Result<Option<Node>, Unusual> {
        // Without recursion, for the stack may be a small one.
        let mut open: Vec<Collection> = Vec::new();
        loop {
            let (event, span) = self.event()?;
            let node = match event {
                Event::StreamStart | Event::DocumentStart(_, None) | Event::DocumentEnd => continue,
                Event::StreamEnd => return Ok(None),
                Event::Scalar(text, style, 0, None) => {
                    let is_key = open.last().is_some_and(Collection::wants_key);
                    if is_key && style == ScalarStyle::Plain && text == "<<" {
                        return Err(Unusual);
                    }
                    self.scalar_bytes += text.len();
                    if self.scalar_bytes > MAX_FILE_BYTES {
                        return Err(Unusual);
                    }
                    let plain = if style == ScalarStyle::Plain { resolve(&text) } else { None };
                    Node { at: position(&span), value: plain.unwrap_or_else(|| Value::Text(text.into_owned())) }
                }
                Event::SequenceStart(_, 0, None) | Event::MappingStart(_, 0, None)
                    if open.len() == MAX_DEPTH || open.last().is_some_and(Collection::wants_key) =>
                {
                    return Err(Unusual);
                }
                Event::SequenceStart(_, 0, None) => {
                    open.push(Collection::Sequence(position(&span), Vec::new()));
                    continue;
                }
                Event::MappingStart(_, 0, None) => {
                    open.push(Collection::Mapping(position(&span), Vec::new(), None));
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop().ok_or(Unusual)?.close()?,
                _ => return Err(Unusual),
            };
            match open.last_mut() {
                Some(collection) => collection.add(node)?,
                None if node.value == Value::Null => {}
                None => return Ok(Some(node)),
            }
        }
    }
}

/// A list or a mapping of which more is to come, where it starts, and the key whose value comes next.
enum Collection {
    Sequence(Position, Vec<Node>),
    Mapping(Position, Vec<Entry>, Option<(String, Position)>),
}

impl Collection {
    fn wants_key(&self) -> bool {
        matches!(self, Self::Mapping(_, _, None))
    }

    fn add(&mut self, node: Node) -> Result<(), Unusual> {
        match self {
            Self::Sequence(_, nodes) => nodes.push(node),
            Self::Mapping(_, entries, key) => match key.take() {
                Some((key, key_at)) => entries.push(Entry { key, key_at, node }),
                None => *key = Some((node.value.into_key().ok_or(Unusual)?, node.at)),
            },
        }
        Ok(())
    }

    fn close(self) -> Result<Node, Unusual> {
        match self {
            Self::Sequence(at, nodes) => Ok(Node { at, value: Value::Sequence(nodes) }),
            Self::Mapping(at, entries, None) if !may_repeat_a_key(&entries) => {
                Ok(Node { at, value: Value::Mapping(entries) })
            }
            Self::Mapping(..) => Err(Unusual),
        }
    }
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line().max(1) as u64, column: span.start.col() as u64 + 1 }
}

/// Whether a key may be given twice.
pub(super) fn may_repeat_a_key(entries: &[Entry]) -> bool {
    if entries.len() <= FEW_ENTRIES {
        return entries.iter().enumerate().any(|(at, one)| entries[..at].iter().any(|other| other.key == one.key));
    }
    let mut keys: Vec<_> = entries.iter().map(|entry| &entry.key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// What a plain scalar is when it is no text: null, a YAML 1.1 boolean, or a number.
pub(super) fn resolve(text: &str) -> Option<Value> {
    // Text is what nearly all are, and most of it shows that with its first byte.
    match text.bytes().next() {
        None => Some(Value::Null),
        Some(b'~' | b'n' | b'N') if matches!(text, "~" | "null" | "Null" | "NULL") => Some(Value::Null),
        Some(b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'n' | b'N' | b'o' | b'O') => {
            boolean(trimmed(text)).map(Value::Boolean)
        }
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => {
            whole_number(trimmed(text)).or_else(|| float(trimmed(text)).map(Value::Float))
        }
        Some(_) => None,
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

fn boolean(text: &str) -> Option<bool> {
    let is_any = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_any(["true", "yes", "y", "on"]) { Some(true) } else { is_any(["false", "no", "n", "off"]).then_some(false) }
}

fn whole_number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix('-') {
        let number = i128::try_from(magnitude(digits)?).ok()?;
        return i64::try_from(-number).ok().map(Value::Integer);
    }
    let number = u64::try_from(magnitude(text.strip_prefix('+').unwrap_or(text))?).ok()?;
    Some(i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer))
}

/// Digits, which may have single underscores between them, after `0x`, `0o`, `0b` or nothing. With a leading zero and no
/// letter they are no whole number.
fn magnitude(text: &str) -> Option<u128> {
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'o' | b'O', ..] => (8, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        [b'0', _, ..] => return None,
        _ => (10, text),
    };
    if digits.starts_with(['+', '-', '_']) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    if digits.contains('_') {
        return u128::from_str_radix(&digits.replace('_', ""), radix).ok();
    }
    u128::from_str_radix(digits, radix).ok()
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => return Some(f64::NEG_INFINITY),
        ".inf" | ".Inf" | ".INF" => return Some(f64::INFINITY),
        _ => {}
    }
    // What Rust calls `inf` and `nan` is text in YAML; a number that is too large is one all the same.
    let is_digit = unsigned.starts_with(|first: char| first.is_ascii_digit());
    text.parse().ok().filter(|number: &f64| number.is_finite() || (is_digit && number.is_infinite()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{full_documents, plain_documents};
    use super::*;

    /// What this reader and the full one have to agree on: nothing where this one gives up.
    fn is_alike(text: &str) -> bool {
        let plain: Result<Vec<Node>, Unusual> = plain_documents(text).collect();
        plain.is_err() || full_documents(text).is_ok_and(|full| plain == Ok(full))
    }

    fn is_plain(text: &str) -> bool {
        plain_documents(text).all(|document| document.is_ok())
    }

    const SCALARS: [&str; 60] = [
        "~",
        "null",
        "Null",
        "nULL",
        "true",
        "True",
        "yes",
        "Y",
        "on",
        "oN",
        "false",
        "no",
        "n",
        "OFF",
        "nope",
        "0",
        "-0",
        "+0",
        "00",
        "007",
        "-007",
        "1",
        "-1",
        "+1",
        "1_000",
        "1__0",
        "_1",
        "1_",
        "0x1F",
        "0X_1",
        "-0x1f",
        "0o17",
        "0b101",
        "0b2",
        "0x",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "1.5",
        "-.5",
        "+.5",
        "1.",
        ".",
        "1e3",
        "1e999",
        "-1e999",
        "inf",
        "+inf",
        "-.inf",
        ".INF",
        "10.0.0.1",
        "1:2",
        "-",
        "--1",
        "+-1",
        "-+1",
        "a b",
        "\u{e9}",
    ];

    #[test]
    fn scalars_are_what_they_are_to_the_full_reader() {
        for scalar in SCALARS {
            for text in
                [scalar.to_owned(), format!("a: {scalar}"), format!("[{scalar}, \"{scalar}\"]"), format!("{scalar}: x")]
            {
                assert!(is_alike(&text), "{text:?}");
            }
            assert!(is_plain(&format!("- '{scalar}'")), "{scalar:?}");
        }
        assert!(
            plain_documents(".nan").flatten().any(|node| matches!(node.value, Value::Float(number) if number.is_nan()))
        );
    }

    #[test]
    fn what_is_not_plain_or_not_right_is_left_alone() {
        for text in [
            "a: &x 1",
            "a: *x",
            "a: !!str 1",
            "<<: {a: 1}",
            "{a: 1, a: 2}",
            "1: a\n\"1\": b",
            "[a]: 1",
            "a: [",
            "%YAML 1.1\n---\na",
        ] {
            assert!(!is_plain(text), "{text:?}");
        }
        let many: String = (0..40).map(|number| format!("k{number}: x\n")).collect();
        assert!(is_plain(&many) && !is_plain(&(many + "k7: y\n")));
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(is_plain(&deep(MAX_DEPTH)) && !is_plain(&deep(MAX_DEPTH + 1)));
        assert!(full_documents(&deep(MAX_DEPTH)).is_ok() && full_documents(&deep(MAX_DEPTH + 1)).is_err());
    }

    /// Pieces that make documents of every form, many of them wrong.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => proptest::sample::select(&SCALARS[..]).prop_map(str::to_owned),
            4 => "[a-d]{1,2}",
            8 => proptest::sample::select(vec![
                ": ", ":\n", ":\n  ", ":\n- ", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", "- ", ", ", "[", "]", "{", "}", " ",
                "? ", "\n---\n", "\n...\n", "# c\n", " # c\n", "\"", "'", "|\n  ", ">-\n  ", "\t", "&a ", "*a", "!!str ", "<<: ",
                "\\n", "\r\n", "\u{85}", "key: ", "\nkey: ", "\nother: ", "\n  key: ",
            ]).prop_map(str::to_owned),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn plain_text_is_the_same_to_the_full_reader(text in texts()) {
            prop_assert!(is_alike(&text), "{text:?}");
        }
    }
}
