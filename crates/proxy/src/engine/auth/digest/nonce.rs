//! What a client answers to: when it was given, under a seal.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use edgeward_routing::affinity::{from_hexadecimal, hexadecimal};

use crate::engine::auth::kept;

/// When it was given in milliseconds, and a number that tells it from others of the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Nonce([u8; 16]);

impl Nonce {
    /// A new one.
    pub(super) fn given(now: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&now.to_be_bytes());
        bytes[8..].copy_from_slice(&fastrand::u64(..).to_be_bytes());
        Self(bytes)
    }

    /// When it was given.
    pub(super) fn time(&self) -> u64 {
        self.0[..8].iter().fold(0, |time, byte| time << 8 | u64::from(*byte))
    }

    /// Its number, which is as good as random.
    pub(super) fn number(&self) -> u8 {
        self.0[15]
    }

    /// As clients get it.
    pub(super) fn sealed(&self, key: &hmac::Key) -> String {
        hexadecimal(&self.0) + &hexadecimal(&self.seal(key))
    }

    /// One that this process has given.
    pub(super) fn open(key: &hmac::Key, text: &[u8]) -> Option<Self> {
        let (nonce, seal) = text.split_at_checked(32)?;
        let (nonce, seal) = (Self(from_hexadecimal(nonce)?), from_hexadecimal(seal)?);
        verify_slices_are_equal(&nonce.seal(key), &seal).is_ok().then_some(nonce)
    }

    fn seal(&self, key: &hmac::Key) -> [u8; 16] {
        let whole = kept::key(key, |add| [b"nonce", self.0.as_slice()].into_iter().for_each(add));
        let mut seal = [0; 16];
        seal.copy_from_slice(&whole[..16]);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_process_has_given_opens() {
        let [key, other] = [b"1", b"2"].map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes));
        let nonce = Nonce::given(123_456);
        let text = nonce.sealed(&key);
        assert_eq!((Nonce::open(&key, text.as_bytes()), nonce.time()), (Some(nonce), 123_456));
        assert_ne!(nonce, Nonce::given(123_456));
        assert_eq!(Nonce::open(&other, text.as_bytes()), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(Nonce::open(&key, &changed), None, "{at}");
            assert_eq!(Nonce::open(&key, &text.as_bytes()[..at]), None, "{at}");
        }
    }
}
