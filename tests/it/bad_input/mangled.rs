//! Manifests with random damage, the same for the same seed.

use crate::translate::mix;

/// Pieces that parsers stumble over.
const PIECES: &[&str] = &[
    "\0",
    "\t",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!binary ",
    "|",
    ">-",
    "'",
    "\"",
    "---\n",
    "...\n",
    "#",
    "null",
    "~",
    "-1",
    "1e999",
    "99999999999999999999",
    ".nan",
    "\u{feff}",
    "\u{202e}",
    "é",
    "<<: *a",
    "%",
    "\r",
    "\u{85}",
    "{{ .Values.x }}",
    "*",
    "..",
    "/",
    "\\",
];

/// A text with one to six injuries.
pub(crate) fn mangle(text: &str, seed: u64) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let mut draws = 0;
    let mut draw = |below: usize| {
        draws += 1;
        usize::try_from(mix(seed, draws) % below.max(1) as u64).unwrap_or(0)
    };
    for _ in 0..=draw(6) {
        let at = draw(bytes.len());
        match draw(7) {
            0 => bytes.truncate(at),
            1 => {
                let piece = PIECES[draw(PIECES.len())].as_bytes().to_vec();
                bytes.splice(at..at, piece);
            }
            2 => {
                let end = (at + draw(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << draw(8);
                }
            }
            // The value behind a colon becomes something else.
            4 => {
                if let Some(colon) = bytes[at..].windows(2).position(|pair| pair == b": ").map(|found| at + found + 2) {
                    let end = bytes[colon..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |n| colon + n);
                    let piece = PIECES[draw(PIECES.len())].as_bytes().to_vec();
                    bytes.splice(colon..end, piece);
                }
            }
            // A line is doubled, or indented.
            5 => {
                let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |n| n + 1);
                let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |n| at + n + 1);
                let line = bytes[start..end].to_vec();
                bytes.splice(start..start, line);
            }
            _ => {
                let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |n| n + 1);
                bytes.splice(start..start, b"  ".to_vec());
            }
        }
    }
    bytes
}
