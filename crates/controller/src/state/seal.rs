//! Sealing of what is kept on disk.

use std::fs;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use super::{StateError, StateOptions};

/// Seals entries under their names, so that none can be put in the place of another.
pub(super) struct Seal(RandomizedNonceKey);

impl Seal {
    /// Derives the key from a file.
    pub(super) fn read(path: &Path) -> Result<Self, StateError> {
        let failed = |reason: String| StateError::Key { path: path.to_owned(), reason };
        let secret = fs::read(path).map_err(|error| failed(error.to_string()))?;
        if secret.len() < StateOptions::MIN_KEY_BYTES {
            return Err(failed(format!("it has fewer than {} bytes", StateOptions::MIN_KEY_BYTES)));
        }
        Self::derive(&secret).ok_or_else(|| failed("no key can be derived from it".to_owned()))
    }

    fn derive(secret: &[u8]) -> Option<Self> {
        let mut key = [0; 32];
        let secret = Salt::new(HKDF_SHA256, b"edgeward state").extract(secret);
        secret.expand(&[b"objects"], HKDF_SHA256).ok()?.fill(&mut key).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &key).ok().map(Self)
    }

    pub(super) fn seal(&self, name: &str, mut value: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = self.0.seal_in_place_append_tag(Aad::from(name), &mut value).ok()?;
        Some([nonce.as_ref().as_slice(), &value].concat())
    }

    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut value = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(name), &mut value).ok()?.len();
        value.truncate(length);
        Some(value)
    }
}
