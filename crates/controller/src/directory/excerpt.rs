//! Lines of manifest files for showing under a diagnostic, cut to what a person can read and with the values of Secrets
//! blotted out.

use std::collections::BTreeSet;
use std::path::Path;

use super::read::bytes;
use crate::diagnostic::FileLocation;
use crate::parse::document;
use crate::parse::yaml::{self, Entry, Node, Position, Value};

/// What stands for every character of a Secret's value. The line keeps its length, so that a caret still fits.
const BLOT: char = '*';

/// A line that has more characters than this is cut.
const WIDTH: usize = 200;

/// How many characters are shown before the place in a line that is cut there.
const BEFORE: usize = 60;

/// What stands where a line is cut.
const CUT: char = '…';

/// The line that a location points at, or the part of it around the location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text.
    pub text: String,
    /// How many characters of the text stand before the location.
    pub before: usize,
}

/// Gives the lines that locations point at. It keeps the last file, so that diagnostics in file order read each file once.
#[derive(Default)]
pub struct Excerpts {
    file: Option<String>,
    lines: Vec<Vec<char>>,
}

impl Excerpts {
    /// The line that a location points at, without its line break; tabs are single spaces and control characters are
    /// replaced. `None` when there is no such line, or when the file may hold a Secret and cannot be understood well enough
    /// to tell its values from the rest.
    pub fn line(&mut self, location: &FileLocation) -> Option<Excerpt> {
        if self.file.as_ref() != Some(&location.file) {
            self.lines = bytes(Path::new(&location.file)).map(|bytes| shown(&bytes)).unwrap_or_default();
            self.file = Some(location.file.clone());
        }
        Some(cut(self.lines.get(index(location.line))?, index(location.column)))
    }
}

/// The part of a line around the place that this many characters stand before.
fn cut(line: &[char], before: usize) -> Excerpt {
    let before = before.min(line.len());
    if line.len() <= WIDTH {
        return Excerpt { text: line.iter().collect(), before };
    }
    let start = before.saturating_sub(BEFORE);
    let end = line.len().min(start + WIDTH);
    let mut text = String::from_iter((start > 0).then_some(CUT));
    text.extend(&line[start..end]);
    text.extend((end < line.len()).then_some(CUT));
    Excerpt { text, before: before - start + usize::from(start > 0) }
}

/// The lines of a file as they may be shown.
fn shown(bytes: &[u8]) -> Vec<Vec<char>> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().map(printable).collect()).collect();
    match yaml::documents(text) {
        Ok(documents) => blot_secrets(&documents, &mut lines),
        Err(_) if text.contains("Secret") => lines.clear(),
        Err(_) => {}
    }
    lines
}

fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

fn blot_secrets(documents: &[Node], lines: &mut [Vec<char>]) {
    let mut hidden = Vec::new();
    let items = document::items(documents);
    for item in items.iter().filter(|item| item.kind == Some("Secret")) {
        hidden.extend(["data", "stringData"].iter().filter_map(|key| item.node.entry(key)));
        // `kubectl apply` leaves a copy of the values in an annotation.
        hidden.extend(item.node.child("metadata").and_then(|metadata| metadata.entry("annotations")));
    }
    if hidden.is_empty() {
        return;
    }
    let starts: BTreeSet<Position> = hidden.iter().map(|entry| entry.key_at).collect();
    let mut others = BTreeSet::new();
    documents.iter().for_each(|document| collect_keys(document, &starts, &mut others));
    // An alias elsewhere may stand for something in a hidden part, which ends that part no sooner.
    let mut inside = BTreeSet::new();
    hidden.iter().for_each(|entry| collect_keys(&entry.node, &BTreeSet::new(), &mut inside));
    others.retain(|position| !inside.contains(position));
    for entry in hidden {
        let end = others.range(after_key(entry, lines)..).next().copied();
        blot(entry, end, lines);
    }
}

/// The positions of all keys and documents outside the hidden parts: where a hidden part ends.
fn collect_keys(node: &Node, hidden: &BTreeSet<Position>, keys: &mut BTreeSet<Position>) {
    keys.insert(node.at);
    match &node.value {
        Value::Mapping(entries) => {
            for entry in entries {
                keys.insert(entry.key_at);
                if !hidden.contains(&entry.key_at) {
                    collect_keys(&entry.node, hidden, keys);
                }
            }
        }
        Value::Sequence(nodes) => nodes.iter().for_each(|node| collect_keys(node, hidden, keys)),
        _ => {}
    }
}

/// Blots everything from the end of an entry's key to `end`, except the keys in its value.
fn blot(entry: &Entry, end: Option<Position>, lines: &mut [Vec<char>]) {
    let mut kept = Vec::new();
    if let Value::Mapping(entries) = &entry.node.value {
        // A key may be written shorter than it reads, such as 1e3, so its value bounds it too.
        kept.extend(entries.iter().map(|entry| (entry.key_at, after_key(entry, lines).min(entry.node.at))));
    }
    kept.sort_unstable();
    let mut at = after_key(entry, lines);
    let end = end.unwrap_or(Position { line: lines.len() as u64 + 1, column: 1 });
    while at < end {
        let Some(line) = lines.get_mut(index(at.line)) else { return };
        match line.get_mut(index(at.column)) {
            Some(character) => {
                let last = kept[..kept.partition_point(|(from, _)| *from <= at)].last();
                if !character.is_whitespace() && last.is_none_or(|(_, end)| *end <= at) {
                    *character = BLOT;
                }
                at.column += 1;
            }
            None => at = Position { line: at.line + 1, column: 1 },
        }
    }
}

/// Where an entry's key ends, colon included.
fn after_key(entry: &Entry, lines: &[Vec<char>]) -> Position {
    let first = lines.get(index(entry.key_at.line)).and_then(|line| line.get(index(entry.key_at.column)));
    let quotes = if matches!(first, Some('"' | '\'')) { 2 } else { 0 };
    let length = entry.key.chars().count() as u64 + quotes + 1;
    Position { line: entry.key_at.line, column: entry.key_at.column + length }
}

fn index(one_based: u64) -> usize {
    usize::try_from(one_based.saturating_sub(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_shown(text: &str, expected: &str) {
        let lines: Vec<String> = shown(text.as_bytes()).into_iter().map(String::from_iter).collect();
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line: Vec<char> = (0..1000).map(|number| char::from(b'a' + (number % 26) as u8)).collect();
        for before in [0, 10, 500, 990, 1000, 5000] {
            let excerpt = cut(&line, before);
            assert!(excerpt.text.chars().count() <= WIDTH + 2, "{before}");
            assert_eq!(excerpt.text.chars().nth(excerpt.before), line.get(before).copied(), "{before}");
        }
        assert_eq!(cut(&line[..WIDTH], 7), Excerpt { text: line[..WIDTH].iter().collect(), before: 7 });
    }

    #[test]
    fn values_of_secrets_are_blotted_out_and_nothing_else() {
        assert_shown(
            "kind: Secret\napiVersion: v1\ndata:\n  tls.key: c2VjcmV0\n  \"b\": |\n    two\n    lines\ntype: Opaque\n---\nkind: ConfigMap\napiVersion: v1\ndata:\n  a: open",
            "kind: Secret\napiVersion: v1\ndata:\n  tls.key: ********\n  \"b\": *\n    ***\n    *****\ntype: Opaque\n---\nkind: ConfigMap\napiVersion: v1\ndata:\n  a: open",
        );
    }

    #[test]
    fn json_on_one_line_is_blotted_to_the_next_key() {
        assert_shown(
            r#"{"kind":"Secret","stringData":{"a":"secret"},"apiVersion":"v1"}"#,
            r#"{"kind":"Secret","stringData":*"a":**********"apiVersion":"v1"}"#,
        );
    }

    #[test]
    fn the_copy_that_kubectl_keeps_is_blotted_out() {
        assert_shown(
            "kind: Secret\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '{\"a\"}'\n  name: x",
            "kind: Secret\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: *******\n  name: x",
        );
    }

    #[test]
    fn odd_keys_and_aliases_leave_nothing_open() {
        assert_shown("kind: Secret\ndata:\n  1e30: secret", "kind: Secret\ndata:\n  1e30: ******");
        assert_shown(
            "kind: Secret\ndata: &x\n  a: secret\n  b: secret\ntype: Opaque\ncopy: *x",
            "kind: Secret\ndata: **\n  a: ******\n  b: ******\ntype: Opaque\ncopy: *x",
        );
    }

    #[test]
    fn a_file_that_may_hold_a_secret_and_is_no_yaml_is_not_shown() {
        assert_shown("kind: Secret\ndata:\n  a: [secret\n", "");
        assert_shown("kind: Service\n  a: [open", "kind: Service\n  a: [open");
    }
}
