//! Names in certificates, as OpenSSL writes them for nginx's `$ssl_client_s_dn` (RFC 2253).

use std::fmt::Write;

use x509_parser::prelude::X509Name;

/// The most specific part first, `,` between parts and `+` within one. What is not printable ASCII is escaped.
pub(super) fn written(name: &X509Name<'_>) -> String {
    let registry = x509_parser::objects::oid_registry();
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let attributes = part.iter().map(|attribute| {
                let kind = x509_parser::objects::oid2abbrev(attribute.attr_type(), registry);
                let kind = kind.map_or_else(|_| attribute.attr_type().to_id_string(), ToOwned::to_owned);
                let mut text = format!("{kind}=");
                match attribute.as_str() {
                    Ok(value) => escape(value, &mut text),
                    Err(_) => {
                        text.push('#');
                        for byte in attribute.as_slice() {
                            // Writing to a String cannot fail.
                            let _ = write!(text, "{byte:02X}");
                        }
                    }
                }
                text
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

/// RFC 2253 section 2.4, with bytes that are no printable ASCII as `\XX`.
fn escape(value: &str, out: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' ' if at == 0 || at == last => out.push_str("\\ "),
            b'#' if at == 0 => out.push_str("\\#"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_taken_for_more_of_the_name_is_escaped() {
        for (value, expected) in [
            ("alice", "alice"),
            ("a,CN=b", "a\\,CN=b"),
            ("a+b;c<d>\"\\", "a\\+b\\;c\\<d\\>\\\"\\\\"),
            (" a b ", "\\ a b\\ "),
            ("#a#", "\\#a#"),
            ("\u{e9}\r\n", "\\C3\\A9\\0D\\0A"),
        ] {
            let mut out = String::new();
            escape(value, &mut out);
            assert_eq!(out, expected);
        }
    }
}
