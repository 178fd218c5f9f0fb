//! The little of DER (X.690) that signatures need, which the certificate parser does not give away.

/// The content of the element that `input` begins with, and what is behind it. `None` for a form that DER does not have.
pub(super) fn element(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// What is signed, how, and the signature: of a certificate as of a list of revoked ones (RFC 5280 sections 4.1 and 5.1).
pub(super) struct Signed<'d> {
    /// The signed bytes.
    pub(super) message: &'d [u8],
    /// The content of the algorithm's identifier.
    pub(super) algorithm: &'d [u8],
    /// The signature.
    pub(super) signature: &'d [u8],
}

impl<'d> Signed<'d> {
    pub(super) fn of(der: &'d [u8]) -> Option<Self> {
        let (body, _) = element(der)?;
        let (_, behind) = element(body)?;
        let message = &body[..body.len() - behind.len()];
        let (algorithm, behind) = element(behind)?;
        let (signature, _) = element(behind)?;
        // A bit string says first how many bits are unused, which in signatures none is.
        Some(Self { message, algorithm, signature: signature.strip_prefix(&[0])? })
    }
}

/// The content of the algorithm's identifier of a public key, and the key (RFC 5280 section 4.1.2.7).
pub(super) fn public_key(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = element(info)?;
    let (algorithm, behind) = element(body)?;
    let (key, _) = element(behind)?;
    Some((algorithm, key.strip_prefix(&[0])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_taken_apart() {
        assert_eq!(element(b"\x04\x02abc"), Some((&b"ab"[..], &b"c"[..])));
        assert_eq!(element(b"\x04\x81\x02abc"), Some((&b"ab"[..], &b"c"[..])));
        for broken in [&b""[..], b"\x04", b"\x04\x03ab", b"\x04\x80ab", b"\x04\x85\0\0\0\0\x01a", b"\x04\x84\xff"] {
            assert_eq!(element(broken), None, "{broken:?}");
        }
    }
}
