//! Traditional crypt(3): zeroes in 25 passes of DES, whose key is the password (FIPS 46-3), and in which the salt swaps bits.

use super::password::CHARACTERS;

/// What a password comes to with a salt, in crypt's base 64.
pub(super) fn hash(password: &[u8], salt: [u8; 2]) -> [u8; 11] {
    let keys = keys(password);
    let salt = swapped(salt);
    // Between two passes the last permutation and the first undo each other, and zeroes are the same in any order.
    let (mut left, mut right) = (0, 0);
    for _ in 0..25 {
        for key in keys {
            (left, right) = (right, left ^ mix(right, key, salt));
        }
        (left, right) = (right, left);
    }
    let block = permute(u64::from(left) << 32 | u64::from(right), 64, &LAST);
    std::array::from_fn(|at| {
        // Two zeroes follow the last bits.
        let bits = if at == 10 { block << 2 } else { block >> (58 - 6 * at) };
        CHARACTERS[(bits & 63) as usize]
    })
}

/// The bits that a salt swaps between the halves of a half block that was spread. Its characters are six bits each, the lowest
/// in front.
fn swapped(salt: [u8; 2]) -> u64 {
    let value = |byte| CHARACTERS.iter().position(|character| *character == byte).unwrap_or_default() as u64;
    let bits = value(salt[0]) | value(salt[1]) << 6;
    bits.reverse_bits() >> 40
}

/// The keys of the sixteen rounds: seven bits of each of the first eight characters.
fn keys(password: &[u8]) -> [u64; 16] {
    let mut bytes = [0; 8];
    for (byte, character) in bytes.iter_mut().zip(password) {
        *byte = character << 1;
    }
    let mut halves = permute(u64::from_be_bytes(bytes), 64, &KEY);
    std::array::from_fn(|round| {
        for _ in 0..TURNS[round] {
            // Each half of 28 bits goes round by one.
            const FIRST: u64 = 1 << 27 | 1 << 55;
            halves = (halves & !FIRST) << 1 | (halves & FIRST) >> 27;
        }
        permute(halves, 56, &ROUND_KEY)
    })
}

/// What a round adds to the other half.
fn mix(half: u32, key: u64, salt: u64) -> u32 {
    // Six bits of each four, with their neighbours.
    let spread = (0..8).fold(0, |spread, at| spread << 6 | u64::from(half.rotate_left(4 * at + 5) & 63));
    let swap = (spread >> 24 ^ spread) & salt;
    let mixed = spread ^ swap ^ swap << 24 ^ key;
    let chosen = BOXES.iter().enumerate().fold(0, |chosen, (at, choices)| {
        let six = (mixed >> (42 - 6 * at) & 63) as usize;
        // The outer two bits are the row, the inner four the column.
        chosen << 4 | u64::from(choices[(six & 32) | (six & 1) << 4 | six >> 1 & 15])
    });
    permute(chosen, 32, &CHOSEN) as u32
}

/// Takes the bits of a value of some length at these places, which are counted from the first one.
fn permute(value: u64, length: u8, places: &[u8]) -> u64 {
    places.iter().fold(0, |out, place| out << 1 | (value >> (length - place) & 1))
}

/// PC-1 of the standard.
const KEY: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55,
    47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];

/// By how many bits the halves of the key go on in each round.
const TURNS: [u8; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/// PC-2.
const ROUND_KEY: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30,
    40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];

/// P.
const CHOSEN: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4,
    25,
];

/// The inverse of IP.
const LAST: [u8; 64] = [
    40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21,
    61, 29, 36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9,
    49, 17, 57, 25,
];

/// S1 to S8, in four rows of sixteen each.
const BOXES: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8, 4,
        1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5, 0,
        14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1, 13,
        6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9, 10,
        6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6, 4,
        2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8, 9,
        14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6, 1,
        4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2, 7,
        11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    /// What crypt(3) of glibc gives.
    #[test]
    fn it_is_what_crypt_gives() {
        for (password, expected) in [
            (&b"password"[..], "abJnggxhB/yWI"),
            (b"secret", "abNANd1rDfiNc"),
            (b"", "./Una9Fi.seRo"),
            (b"12345678", "zzRtj6pNdfpLE"),
            (b"123456789", "zzRtj6pNdfpLE"),
            (b"U*U*U*U*", "CCNf8Sbh3HDfQ"),
            (b"a", "AzhZ3t3DjwnDU"),
            (b"~~~~", "9zyDaX/PGzbc."),
            // The highest bit of a character does not count.
            (b"\xe9\xff", "ab0ydDsb6Qpqs"),
            (b"\x69\x7f", "ab0ydDsb6Qpqs"),
        ] {
            let (salt, digest) = expected.split_at(2);
            let salt = [salt.as_bytes()[0], salt.as_bytes()[1]];
            assert_eq!(hash(password, salt), digest.as_bytes(), "{password:?} {expected}");
        }
    }
}
