//! Escaping: what a client sends can neither end a line nor a field of it.

use edgeward_routing::log_format::Escape;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Appends `value`, escaped.
pub(super) fn push(escape: Escape, out: &mut Vec<u8>, value: &[u8]) {
    match escape {
        Escape::Default => push_hex(out, value, |b| matches!(b, b'"' | b'\\' | 0..0x20 | 0x7f..)),
        Escape::None => push_hex(out, value, |b| b.is_ascii_control()),
        Escape::Json => push_json(out, value),
    }
}

/// Appends `value` with the bytes that `is_special` names as `\xXX`. Runs of plain bytes are copied whole.
fn push_hex(out: &mut Vec<u8>, value: &[u8], is_special: impl Fn(u8) -> bool) {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|b| is_special(*b)) {
        let byte = rest[at];
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', b'x', UPPER[usize::from(byte >> 4)], UPPER[usize::from(byte & 15)]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn push_json(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|b| matches!(b, 0x20..0x7f) && !matches!(b, b'"' | b'\\')) {
        out.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                // Beyond what JSON demands: C1 controls drive terminals, and the separators end lines in some readers.
                '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                    push_code_unit(out, character);
                }
                _ => {
                    let mut bytes = [0; 4];
                    out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
                }
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Appends a character of the basic plane as `\uXXXX`.
fn push_code_unit(out: &mut Vec<u8>, character: char) {
    let code = u32::from(character);
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| LOWER[(code >> shift & 15) as usize]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(escape: Escape, value: &[u8]) -> String {
        let mut out = Vec::new();
        push(escape, &mut out, value);
        String::from_utf8(out).expect("these values are escaped to text")
    }

    #[test]
    fn client_bytes_cannot_end_a_line_or_a_field() {
        let table: &[(&[u8], &str, &str, &str)] = &[
            (b"plain /a?b=c~", "plain /a?b=c~", "plain /a?b=c~", "plain /a?b=c~"),
            (b"", "", "", ""),
            (b"\"", "\\x22", "\\\"", "\""),
            (b"\\", "\\x5C", "\\\\", "\\"),
            (b"a\r\nb", "a\\x0D\\x0Ab", "a\\r\\nb", "a\\x0D\\x0Ab"),
            (b"\t\0\x1b[2J", "\\x09\\x00\\x1B[2J", "\\t\\u0000\\u001b[2J", "\\x09\\x00\\x1B[2J"),
            (b"\x7f", "\\x7F", "\\u007f", "\\x7F"),
            ("é".as_bytes(), "\\xC3\\xA9", "é", "é"),
            ("\u{85}\u{2028}".as_bytes(), "\\xC2\\x85\\xE2\\x80\\xA8", "\\u0085\\u2028", "\u{85}\u{2028}"),
            ("\u{1f600}".as_bytes(), "\\xF0\\x9F\\x98\\x80", "\u{1f600}", "\u{1f600}"),
        ];
        for (value, default, json, none) in table {
            assert_eq!(escaped(Escape::Default, value), *default, "{value:?}");
            assert_eq!(escaped(Escape::Json, value), *json, "{value:?}");
            assert_eq!(escaped(Escape::None, value), *none, "{value:?}");
        }
    }

    #[test]
    fn json_stays_utf8_whatever_is_sent() {
        assert_eq!(escaped(Escape::Json, b"a\xff\xfeb\xc3"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(escaped(Escape::Default, b"a\xff\xfeb"), "a\\xFF\\xFEb");
    }

    #[test]
    fn json_of_any_byte_parses_back() {
        for byte in 0..=255u8 {
            let text = format!("\"{}\"", escaped(Escape::Json, &[b'<', byte, b'>']));
            let back: String = serde_json::from_str(&text).expect("it is a JSON string");
            assert_eq!(back, String::from_utf8_lossy(&[b'<', byte, b'>']));
        }
    }
}
