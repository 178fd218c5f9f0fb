//! Request targets that try what a path can be made to mean.

use crate::nginx::dice::Dice;

const INSERTED: &[&str] = &[
    "//",
    "///",
    "/./",
    "/../",
    "/x/../",
    "/..",
    "/.",
    "/...",
    "/.%2e/",
    "/%2e%2e/",
    "/%2E/",
    "%2f",
    "%2F",
    "%2f..%2f",
    "%5c",
    "\\",
    ";",
    ";a=b",
    "%3b",
    "%20",
    "+",
    "%25",
    "%2525",
    "%00",
    "%zz",
    "%",
    "%4",
    "%0a",
    "%0d%0a",
    "%7f",
    "%c3%a9",
    "%ff",
    "\u{e9}",
    "\u{c3}\u{a9}",
    "%3f",
    "%23",
    "&",
    "=",
    "~",
    "'",
    "\"",
    "<",
    "{",
    "|",
    "^",
    "`",
    ":",
    "@",
    "!",
    "$",
    "*",
    ",",
    "(",
    "[",
    "%24",
    "%5B",
    "a",
    "/",
    ".",
    "..",
];

const QUERIES: &[&str] = &[
    "?",
    "?a=b",
    "?a=b&c=%20d",
    "??",
    "?/../",
    "?a=//b",
    "?%2e%2e",
    "?\u{e9}",
    "?#",
    "#",
    "#frag",
    "?q#frag",
    "#a?b",
    "?a=%zz",
    "?%00",
    "?$1",
    "?a b",
];

/// A target that is made of a path, in a hostile way where chance has it.
pub(super) fn hostile(dice: &mut Dice, path: &str) -> String {
    // No rule is written with an escape; a target has one for what cannot stand for itself in it.
    let mut target: String = path
        .chars()
        .map(|c| match c {
            ' ' | '?' | '#' | '%' => format!("%{:02x}", u32::from(c)),
            c if c.is_ascii() => c.to_string(),
            c => c.to_string().bytes().map(|b| format!("%{b:02X}")).collect(),
        })
        .collect();
    for _ in 0..dice.below(4) {
        mutate(dice, &mut target);
    }
    if dice.chance(25) {
        target.push_str(dice.pick(QUERIES));
    }
    if dice.chance(4) {
        target =
            dice.pick(&["", "*", "a", "x://HOST/", "http://HOST", "http://HOST?a", "//HOST/", "http:/a"]).to_owned();
    } else if dice.chance(4) {
        target = format!("http://HOST{target}");
    }
    target
}

fn mutate(dice: &mut Dice, target: &mut String) {
    // Where a character begins: targets may have others than ASCII. The slash in front mostly stays where it is.
    let first = usize::from(!dice.chance(3));
    let places: Vec<usize> = target.char_indices().map(|(at, _)| at).chain([target.len()]).skip(first).collect();
    if places.is_empty() {
        return;
    }
    let at = dice.pick(&places);
    match dice.below(10) {
        0 => target.push('/'),
        1 => target.push_str("/a"),
        2 => drop(target.pop()),
        3 | 4 => escape(dice, target, at),
        5 => {
            let flipped =
                |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            let (before, behind) = target.split_at(at);
            let mut behind = behind.chars();
            *target = format!(
                "{before}{}{}",
                behind.next().map(flipped).map(String::from).unwrap_or_default(),
                behind.as_str()
            );
        }
        6 => {
            // Up again to where it was.
            target.insert_str(at, dice.pick(&["/zz/..", "/zz/%2e%2e", "/zz/yy/../.."]));
        }
        _ => target.insert_str(at, dice.pick(INSERTED)),
    }
}

/// Escapes the character at `at`, which means the same.
fn escape(dice: &mut Dice, target: &mut String, at: usize) {
    let Some(c) = target[at..].chars().next().filter(|c| u32::from(*c) < 256 && *c != '%') else { return };
    let escaped = if dice.chance(50) { format!("%{:02x}", u32::from(c)) } else { format!("%{:02X}", u32::from(c)) };
    target.replace_range(at..at + c.len_utf8(), &escaped);
}
