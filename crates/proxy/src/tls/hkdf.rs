//! The key schedule of TLS 1.3 with HMAC keys that are set up once.
//!
//! A handshake derives some thirty values, several from each key, and most of them with SHA-384, for which there are no
//! instructions. The library's own HKDF sets the key up anew for each value, which is half of its work.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use rustls::crypto::CryptoProvider;
use rustls::crypto::hmac::{Hmac, Key, Tag};
use rustls::crypto::tls13::{Hkdf, HkdfUsingHmac};
use rustls::{CipherSuite, CipherSuiteCommon, SupportedCipherSuite, Tls13CipherSuite};

/// Gives the TLS 1.3 suites of `provider` the HKDF of this module.
pub(super) fn install(provider: &mut CryptoProvider) {
    for suite in &mut provider.cipher_suites {
        if let Some(own) = SUITES.iter().find(|own| own.common.suite == suite.suite()) {
            *suite = SupportedCipherSuite::Tls13(own);
        }
    }
}

static SUITES: LazyLock<Vec<Tls13CipherSuite>> = LazyLock::new(|| {
    let own = |suite: &SupportedCipherSuite| {
        let theirs = suite.tls13()?;
        Some(Tls13CipherSuite {
            common: CipherSuiteCommon { ..theirs.common },
            hkdf_provider: hkdf(theirs.common.suite)?,
            aead_alg: theirs.aead_alg,
            quic: theirs.quic,
        })
    };
    rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter().filter_map(own).collect()
});

/// `None` for a suite that this module does not know, which then keeps its own.
fn hkdf(suite: CipherSuite) -> Option<&'static dyn Hkdf> {
    match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => Some(&HKDF_SHA384),
        CipherSuite::TLS13_AES_128_GCM_SHA256 | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Some(&HKDF_SHA256),
        _ => None,
    }
}

static HKDF_SHA256: HkdfUsingHmac<'static> = HkdfUsingHmac(&Hash(hmac::HMAC_SHA256));
static HKDF_SHA384: HkdfUsingHmac<'static> = HkdfUsingHmac(&Hash(hmac::HMAC_SHA384));

struct Hash(hmac::Algorithm);

impl Hmac for Hash {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        Box::new(Ready(hmac::Key::new(self.0, key)))
    }

    fn hash_output_len(&self) -> usize {
        self.0.digest_algorithm().output_len()
    }
}

/// A key that has been set up.
struct Ready(hmac::Key);

impl Key for Ready {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(first);
        middle.iter().for_each(|piece| context.update(piece));
        context.update(last);
        Tag::new(context.sign().as_ref())
    }

    fn tag_len(&self) -> usize {
        self.0.algorithm().digest_algorithm().output_len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    /// RFC 5869, appendix A.1.
    #[test]
    fn it_derives_what_the_rfc_says() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let expander = HKDF_SHA256.extract_from_secret(Some(&salt), &[0x0b; 22]);
        let mut derived = [0; 42];
        expander.expand_slice(&[&info[..4], &info[4..]], &mut derived).unwrap();
        let hex: String = derived.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    }

    #[test]
    fn it_derives_what_the_library_derives() {
        let mut provider = default_provider();
        install(&mut provider);
        for (own, theirs) in provider.cipher_suites.iter().zip(default_provider().cipher_suites) {
            assert_eq!(own.suite(), theirs.suite());
            let (Some(own), Some(theirs)) = (own.tls13(), theirs.tls13()) else { continue };
            let derive = |hkdf: &dyn Hkdf| {
                let expander = hkdf.extract_from_secret(None, b"secret");
                let block = expander.expand_block(&[b"some", b"info"]);
                let signed = hkdf.hmac_sign(&block, b"message");
                let next = hkdf.expander_for_okm(&block).expand_block(&[b"more"]);
                let zero = hkdf.extract_from_zero_ikm(Some(next.as_ref())).expand_block(&[]);
                [block.as_ref(), signed.as_ref(), next.as_ref(), zero.as_ref()].concat()
            };
            assert_eq!(derive(own.hkdf_provider), derive(theirs.hkdf_provider), "{:?}", theirs.common.suite);
        }
    }
}
