//! What this machine lacks, rather than those it speaks with.

use std::io;

/// Whether it is this machine that has no file, port or memory left for a connection: EMFILE, ENFILE, ENOMEM, ENOBUFS,
/// EADDRNOTAVAIL.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 12 | 105 | 99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_here_is_none_of_the_other_side() {
        // EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL; then ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH.
        for (codes, expected) in [([24, 23, 12, 105, 99], true), ([111, 104, 110, 113, 101], false)] {
            for code in codes {
                assert_eq!(is_ours(&io::Error::from_raw_os_error(code)), expected, "{code}");
            }
        }
    }
}
