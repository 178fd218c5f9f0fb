//! Whether a password fits (nginx ngx_crypt.c, and crypt(3) behind it).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use edgeward_routing::policy::basic_auth::{Password, Rounds};
use md5::{Digest, Md5};

use super::des_crypt;

/// A longer password fits nothing: crypt(3) has such a limit too, and work grows with the length.
const LONGEST: usize = 256;

/// So much of a password counts for bcrypt, with the zero behind it.
const BCRYPT: usize = 72;

/// Whether a password fits. In constant time, as far as the length of what is compared goes.
pub(super) fn fits(password: &Password, attempt: &[u8]) -> bool {
    // To crypt(3) it would end at a zero.
    if attempt.len() > LONGEST || attempt.contains(&0) {
        return false;
    }
    match password {
        Password::Never => false,
        Password::Plain(plain) => equal(plain, attempt),
        Password::Sha1 { digest, salt } => {
            let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            context.update(attempt);
            context.update(salt);
            equal(digest, context.finish().as_ref())
        }
        Password::Des { salt, digest } => equal(digest, &des_crypt::hash(attempt, *salt)),
        Password::Md5 { prefix, salt, digest } => equal(digest, &md5_crypt(prefix, salt, attempt)),
        Password::Bcrypt { cost, salt, digest } => {
            let mut attempt = attempt.to_vec();
            attempt.push(0);
            attempt.truncate(BCRYPT);
            equal(digest, &bcrypt::bcrypt(*cost, *salt, &attempt)[..23])
        }
        Password::Sha256(Rounds { rounds, salt, digest }) => sha_crypt::Params::new(*rounds).is_ok_and(|params| {
            let raw = sha_crypt::sha256_crypt(attempt, salt, params);
            equal(digest, &encode(&raw, &SHA256_ORDER, [None, Some(31), Some(30)], 3))
        }),
        Password::Sha512(Rounds { rounds, salt, digest }) => sha_crypt::Params::new(*rounds).is_ok_and(|params| {
            let raw = sha_crypt::sha512_crypt(attempt, salt, params);
            equal(digest, &encode(&raw, &SHA512_ORDER, [None, None, Some(63)], 2))
        }),
    }
}

/// Tells `add` all that makes a password what it is.
pub(super) fn parts(password: &Password, add: &mut impl FnMut(&[u8])) {
    match password {
        Password::Never => add(b"never"),
        Password::Plain(plain) => [b"plain", &**plain].into_iter().for_each(add),
        Password::Sha1 { digest, salt } => [b"sha1", &digest[..], salt].into_iter().for_each(add),
        Password::Des { salt, digest } => [b"des", &salt[..], digest].into_iter().for_each(add),
        Password::Md5 { prefix, salt, digest } => [prefix.as_bytes(), salt, digest].into_iter().for_each(add),
        Password::Bcrypt { cost, salt, digest } => {
            [b"bcrypt", &cost.to_ne_bytes()[..], salt, digest].into_iter().for_each(add);
        }
        Password::Sha256(Rounds { rounds, salt, digest }) => {
            [b"sha256", &rounds.to_ne_bytes()[..], salt, digest].into_iter().for_each(add);
        }
        Password::Sha512(Rounds { rounds, salt, digest }) => {
            [b"sha512", &rounds.to_ne_bytes()[..], salt, digest].into_iter().for_each(add);
        }
    }
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

/// MD5 in a thousand rounds, as Apache and crypt(3) have it.
fn md5_crypt(prefix: &str, salt: &[u8], password: &[u8]) -> Vec<u8> {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(prefix).chain_update(salt);
    for piece in password.chunks(16) {
        outer.update(&inner[..piece.len()]);
    }
    let mut length = password.len();
    while length > 0 {
        outer.update(if length & 1 == 1 { &[0] } else { &password[..1] });
        length >>= 1;
    }
    let mut digest = outer.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &digest });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &digest } else { password });
        digest = next.finalize();
    }
    encode(&digest, &MD5_ORDER, [None, None, Some(11)], 2)
}

/// crypt's base 64.
pub(super) const CHARACTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The orders in which crypt(3) takes the bytes of digests.
const MD5_ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
const SHA256_ORDER: [[usize; 3]; 10] = [
    [0, 10, 20],
    [21, 1, 11],
    [12, 22, 2],
    [3, 13, 23],
    [24, 4, 14],
    [15, 25, 5],
    [6, 16, 26],
    [27, 7, 17],
    [18, 28, 8],
    [9, 19, 29],
];
const SHA512_ORDER: [[usize; 3]; 21] = [
    [0, 21, 42],
    [22, 43, 1],
    [44, 2, 23],
    [3, 24, 45],
    [25, 46, 4],
    [47, 5, 26],
    [6, 27, 48],
    [28, 49, 7],
    [50, 8, 29],
    [9, 30, 51],
    [31, 52, 10],
    [53, 11, 32],
    [12, 33, 54],
    [34, 55, 13],
    [56, 14, 35],
    [15, 36, 57],
    [37, 58, 16],
    [59, 17, 38],
    [18, 39, 60],
    [40, 61, 19],
    [62, 20, 41],
];

/// A digest in crypt's base 64: four characters for three bytes, and `rest` of them for the last, which may be fewer.
fn encode(digest: &[u8], order: &[[usize; 3]], last: [Option<usize>; 3], rest: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(order.len() * 4 + rest);
    let mut put = |bytes: [u8; 3], count: usize| {
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        out.extend((0..count).map(|at| CHARACTERS[(bits >> (6 * at) & 63) as usize]));
    };
    for places in order {
        put(places.map(|place| digest[place]), 4);
    }
    put(last.map(|place| place.map_or(0, |place| digest[place])), rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rounds: u32, salt: &str, digest: &str) -> Rounds {
        Rounds { rounds, salt: salt.as_bytes().into(), digest: digest.as_bytes().into() }
    }

    fn md5(prefix: &'static str, salt: &str, digest: &[u8; 22]) -> Password {
        Password::Md5 { prefix, salt: salt.as_bytes().into(), digest: *digest }
    }

    /// The first of each kind is from the recording, which has the password `secret`.
    #[test]
    fn the_right_password_fits_and_no_other() {
        let sha256 = "gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.";
        let sha512 = "ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.";
        let sha1 = [
            0xe5, 0xe9, 0xfa, 0x1b, 0xa3, 0x1e, 0xcd, 0x1a, 0xe8, 0x4f, 0x75, 0xca, 0xaa, 0x47, 0x4f, 0x3a, 0x66, 0x3f,
            0x05, 0xf4,
        ];
        for (password, right) in [
            (Password::Des { salt: *b"ab", digest: *b"NANd1rDfiNc" }, "secret"),
            (md5("$apr1$", "abcdefgh", b"h9FWgUz3n9YxylKLlR5SQ/"), "secret"),
            (md5("$1$", "abc", b"iCQ2D3nhptRYi27fDYv2s1"), "secret"),
            (Password::Sha256(rounds(5000, "abcdefgh", sha256)), "secret"),
            (Password::Sha512(rounds(5000, "abcdefgh", sha512)), "secret"),
            (Password::Sha1 { digest: sha1, salt: Box::default() }, "secret"),
            (Password::Plain(b"secret"[..].into()), "secret"),
            // The test vectors of the description of SHA-crypt.
            (
                Password::Sha256(rounds(10_000, "saltstringsaltst", "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA")),
                "Hello world!",
            ),
            (
                Password::Sha512(rounds(
                    10_000,
                    "saltstringsaltst",
                    "OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
                )),
                "Hello world!",
            ),
        ] {
            assert!(fits(&password, right.as_bytes()));
            for wrong in ["", "wrong", "secre", "secret ", "secret\0", "Secret"] {
                assert!(!fits(&password, wrong.as_bytes()), "{wrong:?}");
            }
        }
        assert!(!fits(&Password::Never, b"") && !fits(&Password::Plain([b'x'; 300].into()), &[b'x'; 300]));
    }

    #[test]
    fn bcrypt_takes_72_bytes_and_the_zero_behind() {
        // $2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s. is the empty password.
        let salt = [0x14, 0x4b, 0x3d, 0x69, 0x1a, 0x7b, 0x4e, 0xcf, 0x39, 0xcf, 0x73, 0x5c, 0x7f, 0xa7, 0xa7, 0x9c];
        let of = |password: &[u8]| {
            let mut digest = [0; 23];
            digest.copy_from_slice(&bcrypt::bcrypt(4, salt, password)[..23]);
            Password::Bcrypt { cost: 4, salt, digest }
        };
        assert!(fits(&of(b"\0"), b"") && fits(&of(b"secret\0"), b"secret") && !fits(&of(b"secret"), b"secret"));
        assert!(fits(&of(&[b'x'; 72]), &[b'x'; 72]) && fits(&of(&[b'x'; 72]), &[b'x'; 80]));
    }
}
