//! A tree as YAML text, in the style of `kubectl get -o yaml`.

use super::yaml::{Node, Value};

/// The text of a document, ending in a line break.
pub(super) fn emit(node: &Node) -> String {
    let mut out = String::new();
    block(node, 0, &mut out);
    out
}

/// Writes a node at the start of a line, or after `- `, with `indent` spaces before its further lines.
fn block(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Mapping(entries) if !entries.is_empty() => {
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    pad(indent, out);
                }
                scalar_text(&entry.key, out);
                out.push(':');
                match &entry.node.value {
                    Value::Mapping(inner) if !inner.is_empty() => {
                        out.push('\n');
                        pad(indent + 2, out);
                        block(&entry.node, indent + 2, out);
                    }
                    Value::Sequence(inner) if !inner.is_empty() => {
                        out.push('\n');
                        pad(indent, out);
                        block(&entry.node, indent, out);
                    }
                    _ => {
                        out.push(' ');
                        inline(&entry.node, out);
                    }
                }
            }
        }
        Value::Sequence(nodes) if !nodes.is_empty() => {
            for (index, node) in nodes.iter().enumerate() {
                if index > 0 {
                    pad(indent, out);
                }
                out.push_str("- ");
                block(node, indent + 2, out);
            }
        }
        _ => inline(node, out),
    }
}

/// Writes what fits in one line, and the line's end.
fn inline(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Boolean(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&number.to_string()),
        Value::Text(text) => scalar_text(text, out),
        Value::Sequence(_) => out.push_str("[]"),
        Value::Mapping(_) => out.push_str("{}"),
    }
    out.push('\n');
}

/// A string, in double quotes unless it cannot be taken for anything else.
fn scalar_text(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Line separators and the byte order mark would be lost or end the line.
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Whether a string may stand without quotes: it starts with a letter or `/`, has only characters without meaning, and is
/// no word that YAML 1.1 reads as another type. `.` and digits at the start are left to quotes, for they may be numbers.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'/')
        && text.bytes().all(harmless)
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}
