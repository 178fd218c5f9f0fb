//! Sealing of what is kept on disk.

use std::fs;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::rand;

use super::{KeyError, StateOptions};

const SALT: usize = 32;

/// How a file shows that it is whole, and its own.
pub(super) enum Seal {
    /// By a digest, which anybody can make.
    Digest,
    /// Encrypted, with a key of its own from a random salt.
    Key(Prk),
}

impl Seal {
    /// Derives the key from a file.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |reason: String| KeyError { path: path.to_owned(), reason };
        let secret = fs::read(path).map_err(|error| failed(error.to_string()))?;
        if secret.len() < StateOptions::MIN_KEY_BYTES {
            return Err(failed(format!("it has fewer than {} bytes", StateOptions::MIN_KEY_BYTES)));
        }
        Ok(Self::Key(Salt::new(HKDF_SHA256, b"edgeward state").extract(&secret)))
    }

    /// Whether nobody can read what is sealed.
    pub(super) fn hides(&self) -> bool {
        matches!(self, Self::Key(_))
    }

    /// Seals `body` together with `header`, which stays in the clear and is not part of the result.
    pub(super) fn seal(&self, header: &[u8], mut body: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Digest => Some([digest_of(header, &body).as_ref(), &body].concat()),
            Self::Key(secret) => {
                let mut salt = [0; SALT];
                rand::fill(&mut salt).ok()?;
                let nonce = key(secret, &salt)?.seal_in_place_append_tag(Aad::from(header), &mut body).ok()?;
                Some([salt.as_slice(), nonce.as_ref(), &body].concat())
            }
        }
    }

    /// What was sealed with `header`.
    pub(super) fn open(&self, header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Digest => {
                let (digest, body) = sealed.split_at_checked(SHA256_OUTPUT_LEN)?;
                verify_slices_are_equal(digest, digest_of(header, body).as_ref()).ok()?;
                Some(body.to_vec())
            }
            Self::Key(secret) => {
                let (salt, sealed) = sealed.split_at_checked(SALT)?;
                let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
                let mut body = sealed.to_vec();
                let nonce = Nonce::assume_unique_for_key(*nonce);
                let length = key(secret, salt)?.open_in_place(nonce, Aad::from(header), &mut body).ok()?.len();
                body.truncate(length);
                Some(body)
            }
        }
    }
}

fn key(secret: &Prk, salt: &[u8]) -> Option<RandomizedNonceKey> {
    let mut key = [0; 32];
    secret.expand(&[b"objects", salt], HKDF_SHA256).ok()?.fill(&mut key).ok()?;
    RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
}

fn digest_of(header: &[u8], body: &[u8]) -> digest::Digest {
    let mut context = digest::Context::new(&SHA256);
    context.update(header);
    context.update(body);
    context.finish()
}
