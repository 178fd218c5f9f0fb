use proptest::prelude::*;

use super::super::line::MAX_FLOW_BYTES;
use super::super::{block_documents, full_documents};
use super::*;

/// What this reader and the full one have to agree on: nothing where this one gives up.
fn is_alike(text: &str) -> bool {
    let block: Result<Vec<Node>, Unusual> = block_documents(text).collect();
    block.is_err() || full_documents(text).is_ok_and(|full| block == Ok(full))
}

fn is_read(text: &str) -> bool {
    block_documents(text).all(|document| document.is_ok())
}

/// Lines that manifests are made of, of every form, and some that are wrong.
const LINES: [&str; 100] = [
    "a:",
    "b:",
    "c:",
    "d:",
    "e:",
    "\"f\":",
    "'g':",
    "a: x",
    "b: \"y\"",
    "c: 'z' # c",
    "d: [a, b]",
    "e: {}",
    "f: |",
    "g: |-",
    "h: |+",
    "i: >-",
    "j: ~",
    "k: 12",
    "l: 0x1F",
    "on: yes",
    "1: a",
    "- ",
    "-",
    "- x",
    "- a: b",
    "- a:",
    "- - q",
    "- |",
    "- # c",
    "-   x",
    "-  a: 1",
    "- [a]",
    "- {}",
    "- {a: b}",
    "- \"a\": b",
    "- 'a'",
    "- ~",
    "# c",
    "# \tc",
    " ",
    "",
    "text",
    "---",
    "--- # c",
    "--- x",
    "...",
    "--",
    "%YAML 1.1",
    "\u{e9}: 1",
    "\"\u{e9}\": \u{e9} # \u{fc}",
    "m: \u{1f600} \u{200b}",
    "'\u{e9}': [\u{e9}, \"\u{e9}\", x]",
    "m: \u{e9}",
    "n: a: b",
    "n: a:",
    "o: a #b",
    "p: a#b",
    "q: a:b",
    "\"q\" : 1",
    "r:  x  ",
    "s: -",
    "s: -x",
    "s: --",
    "t: &a 1",
    "t: *a",
    "t: !!str 1",
    "<<: {a: 1}",
    "a b: c",
    "[a]: b",
    "? a",
    ": a",
    "u: ? a",
    "v: @a",
    "v: `a",
    "v: %a",
    "v: $a",
    "w: \"a\\n\\\"b\\\\\"",
    "w: \"a\\x41\"",
    "w: \"a",
    "w\"",
    "w: 'a''b\\'",
    "w: 'a' b",
    "x: [ ]",
    "x: [a,b , \"c,d\" ]",
    "x: [a, ]",
    "x: [a b, c-d]",
    "x: [a #b]",
    "x: [a",
    "x: [a]#",
    "x: [a: b]",
    "y: {a: {b: [c]}, d: 1}",
    "y: {a: b, a: c}",
    "y: {a:b}",
    "y: {\"a\": 'b', c: [] } # c",
    "y: {a}",
    "\tz: 1",
    "z:\t1",
    "z: a\tb",
    "z: a\rb",
    "z: a\u{85}b\u{2028}c",
];

fn texts() -> impl Strategy<Value = String> {
    let indent = proptest::sample::select(vec![0, 0, 0, 1, 2, 2, 2, 3, 4, 4, 6]);
    let line = (indent, proptest::sample::select(&LINES[..])).prop_map(|(indent, line)| " ".repeat(indent) + line);
    (proptest::collection::vec(line, 0..10), any::<bool>())
        .prop_map(|(lines, is_ended)| lines.join("\n") + if is_ended { "\n" } else { "" })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_the_same_to_the_full_reader(text in texts()) {
        prop_assert!(is_alike(&text), "{text:?}");
    }
}

#[test]
fn manifests_as_they_are_written_are_read() {
    for text in [
        "",
        "# nothing\n\n",
        "a: b",
        "---\n---\n# c\na: b\n--- # d\nc: d\n---\n",
        "a:\n  b: 1\n\n  # c\n  c: \"2\" # d\nd:\n- e: f\n  g:\n  - h\n- i\nj:\n  - - k\n    - l\n  -\n    m: n\n",
        "a: |\n  x\n\n    y\n  z\n\nb: |-\n\n  x\n# c\nc: |+\n  x\n\n- d",
        "a: [b, \"c\", {d: e, f: [g h]}] # i\nj: {k: []}\n",
        "a: http://b/c?d#e\nb: --f\nc: \"\\\"\\\\\\n\\t\\/\\r\"\nd: 'it''s'\ne:\n",
        "a.b/c-d: '*'\n\"e f\": \u{e9}\n'g': 1 # \u{fc}\n",
    ] {
        assert!(is_alike(text), "{text:?}");
        assert_eq!(is_read(text), !text.ends_with("- d"), "{text:?}");
    }
}

#[test]
fn what_has_another_reading_or_none_is_left_alone() {
    for text in [
        "a",
        "[a]",
        " a: b",
        "a: b\n c: d",
        "a: b\n  c",
        "a:\n  b",
        "a: b\n- c",
        "- a\nb: c",
        "a:\n    b: c\n  d: e",
        "a: &x b",
        "a: *x",
        "a: !!str 1",
        "<<: {a: 1}",
        "? a",
        "a: >\n  b\n",
        "a: \"b\n  c\"",
        "a: 'b",
        "a: {b: c",
        "a: [b]c",
        "a: b: c",
        "a: |2\n   b\n",
        "a: |\n",
        "a: |\n  b",
        "a: |\n \n  b\n",
        "a: \"\\u0041\"",
        "a: b\ta",
        "\ta: b",
        "a: b\r\nc: d\n",
        "a: 1\na: 2",
        "{a: 1, a: 2}: b",
        "a: {b: 1, b: 2}",
        "-",
        "- # c",
        "--- a",
        "...",
        "%YAML 1.2\n---\na: b",
        "a: \u{7f}",
        "a: \u{85}",
        "a: \u{2028}",
        "a: \u{feff}",
    ] {
        assert!(!is_read(text), "{text:?}");
    }
}

#[test]
fn neither_depth_nor_length_takes_more_than_a_text_is_worth() {
    let deep = |levels: usize| (0..levels).map(|level| " ".repeat(level) + "a:\n").collect::<String>();
    assert!(is_read(&deep(MAX_DEPTH)) && is_alike(&deep(MAX_DEPTH)) && !is_read(&deep(MAX_DEPTH + 1)));
    let flow = |levels: usize| format!("a: {}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(is_read(&flow(MAX_DEPTH - 1)) && is_alike(&flow(MAX_DEPTH - 1)) && !is_read(&flow(MAX_DEPTH)));
    let wide = |items: usize| format!("a: [{}b]", "b,".repeat(items));
    assert!(is_read(&wide(MAX_FLOW_BYTES / 4)) && !is_read(&wide(MAX_FLOW_BYTES)));
    let key = |length: usize| format!("{}: b", "a".repeat(length));
    assert!(is_read(&key(1000)) && is_alike(&key(1000)) && !is_read(&key(1001)));
}
