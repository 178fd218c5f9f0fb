//! The user name in an `Authorization: Basic` header, for `$remote_user`.

/// The user name that a header value claims (RFC 7617); `None` when it claims none. The password is never looked at.
///
/// As in nginx, the name is logged whether or not anybody checked it.
pub(super) fn user(authorization: &[u8]) -> Option<Vec<u8>> {
    let (scheme, credentials) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in credentials.trim_ascii() {
        let Some(value) = digit(*byte) else { break };
        bits = bits << 6 | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            let byte = (bits >> count & 0xff) as u8;
            if byte == b':' {
                return (!user.is_empty()).then_some(user);
            }
            user.push(byte);
        }
    }
    None
}

/// The value of a digit of Base64 (RFC 4648 section 4).
fn digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_basic_credentials_is_taken() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b"Basic YWxpY2U6c2VjcmV0", Some(b"alice")),
            (b"basic  YWxpY2U6", Some(b"alice")),
            (b"Basic YTpiOmM=", Some(b"a")),
            (b"Basic OnNlY3JldA==", None),
            (b"Basic YWxpY2U=", None),
            (b"Basic !!!", None),
            (b"Basic", None),
            (b"Bearer YWxpY2U6c2VjcmV0", None),
            (b"", None),
        ];
        for (value, expected) in table {
            assert_eq!(user(value).as_deref(), *expected, "{}", String::from_utf8_lossy(value));
        }
    }
}
