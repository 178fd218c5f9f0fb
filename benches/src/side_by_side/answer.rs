//! Whether an answer is the origin's: a fast wrong answer is worth nothing.

use anyhow::{Context, Result, ensure};

/// The longest head of a response.
const HEAD: usize = 16 << 10;

/// Looks at what has been read of an answer to a request for a body of `body` bytes. Returns the length of the whole answer,
/// head included, or `None` while it is not whole.
///
/// # Errors
///
/// It is another answer than the origin's, as far as it can be told by now: another status, no `X-Backend: origin`, another
/// length, or other bytes.
pub(crate) fn check(input: &[u8], body: usize) -> Result<Option<usize>> {
    let Some(end) = input.windows(4).take(HEAD).position(|window| window == b"\r\n\r\n") else {
        ensure!(input.len() < HEAD, "the response has no end of its head");
        return Ok(None);
    };
    let (head, received) = (&input[..end], &input[end + 4..]);
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    ensure!(line.starts_with(b"HTTP/1.1 200 "), "the answer is `{}`", line.escape_ascii());
    ensure!(field(head, b"x-backend:") == Some(b"origin"), "the answer is not the origin's");
    let length = field(head, b"content-length:").context("the answer does not tell its length")?;
    ensure!(
        str::from_utf8(length).ok().and_then(|length| length.parse().ok()) == Some(body),
        "the answer has {} bytes, not {body}",
        length.escape_ascii()
    );
    ensure!(received.len() <= body, "there is more behind the answer");
    if received.len() < body {
        return Ok(None);
    }
    ensure!(received.iter().all(|byte| *byte == b'a'), "the body is not the origin's");
    Ok(Some(input.len()))
}

/// The value of a field of a request or response head; its name is lower case with its colon.
pub(crate) fn field<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let (start, value) = line.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nX-Backend: origin\r\nContent-Length: 3\r\n\r\naaa";

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        for length in 0..ANSWER.len() {
            assert_eq!(check(&ANSWER[..length], 3).ok(), Some(None), "{length}");
        }
        assert_eq!(check(ANSWER, 3).ok(), Some(Some(ANSWER.len())));
    }

    #[test]
    fn every_other_answer_is_wrong() {
        let text = str::from_utf8(ANSWER).expect("ASCII");
        for (from, to, why) in [
            ("200 OK", "502 Bad Gateway", "the answer is `HTTP/1.1 502 Bad Gateway`"),
            ("origin", "other", "not the origin's"),
            ("X-Backend: origin\r\n", "", "not the origin's"),
            ("Length: 3", "Length: 4", "has 4 bytes, not 3"),
            ("Content-Length: 3\r\n", "", "does not tell its length"),
            ("aaa", "aab", "the body is not the origin's"),
            ("aaa", "aaaa", "there is more"),
        ] {
            let error = check(text.replace(from, to).as_bytes(), 3).expect_err(to).to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(check(&[b'a'; HEAD], 3).is_err());
    }
}
