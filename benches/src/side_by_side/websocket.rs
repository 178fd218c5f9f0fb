//! As much of WebSocket as echoing small messages takes: a handshake with a fixed key, and frames with a short payload.

use anyhow::{Result, ensure};

use crate::answer::field;

/// What is asked for.
pub(crate) const PATH: &str = "/echo";

/// The key of every handshake, and what proves that the server has understood it: the example of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The first byte of a binary message in one frame.
const BINARY: u8 = 0x82;

/// The flag of a payload that is masked, beside its length.
const MASKED: u8 = 0x80;

/// The longest payload whose length is in the second byte.
const LONGEST: u8 = 125;

/// The message that is echoed.
pub(crate) const MESSAGE: [u8; 64] = [b'a'; 64];

/// The request that begins a handshake.
pub(crate) fn request(host: &str) -> Vec<u8> {
    format!(
        "GET {PATH} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes()
}

/// Whether a request head begins a handshake that [`response`] ends.
pub(crate) fn is_handshake(head: &[u8]) -> bool {
    field(head, b"upgrade:").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && field(head, b"sec-websocket-key:") == Some(KEY.as_bytes())
}

/// The response to a handshake.
pub(crate) fn response() -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nX-Backend: origin\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
    .into_bytes()
}

/// Looks at what has been read of the response to a handshake: whether it is whole. Nothing follows it by itself.
///
/// # Errors
///
/// It is another response.
pub(crate) fn is_accepted(input: &[u8]) -> Result<bool> {
    let Some(head) = input.strip_suffix(b"\r\n\r\n") else { return Ok(false) };
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    ensure!(line.starts_with(b"HTTP/1.1 101 "), "the answer to the handshake is `{}`", line.escape_ascii());
    ensure!(field(head, b"x-backend:") == Some(b"origin"), "the answer to the handshake is not the origin's");
    ensure!(field(head, b"sec-websocket-accept:") == Some(ACCEPT.as_bytes()), "the handshake was not understood");
    Ok(true)
}

/// The message as a client sends it, masked.
pub(crate) fn sent() -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let masked = MESSAGE.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [BINARY, MASKED | MESSAGE.len() as u8].into_iter().chain(MASK).chain(masked).collect()
}

/// The message as the server sends it back.
pub(crate) fn echoed() -> Vec<u8> {
    [BINARY, MESSAGE.len() as u8].into_iter().chain(MESSAGE).collect()
}

/// Takes the messages of a client from `input`, and adds the answers to `output`.
///
/// # Errors
///
/// It is no message as [`sent`] makes them.
pub(crate) fn echo(input: &mut Vec<u8>, output: &mut Vec<u8>) -> Result<()> {
    let mut done = 0;
    while let [first, second, mask @ ..] = &input[done..] {
        let length = second & !MASKED;
        ensure!(*first == BINARY && second & MASKED != 0 && length <= LONGEST, "it is no message of a client");
        let Some((mask, rest)) = mask.split_at_checked(4) else { break };
        let Some(payload) = rest.get(..usize::from(length)) else { break };
        output.extend([BINARY, length]);
        output.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        done += 6 + payload.len();
    }
    input.drain(..done);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_echoed_as_they_become_whole() {
        let sent = [sent(), sent()].concat();
        let (mut input, mut output) = (Vec::new(), Vec::new());
        for byte in sent {
            input.push(byte);
            echo(&mut input, &mut output).expect("it is a message");
        }
        assert!(input.is_empty());
        assert_eq!(output, [echoed(), echoed()].concat());
        assert!(echo(&mut echoed(), &mut output).is_err(), "a client masks");
    }

    #[test]
    fn the_handshake_is_answered_and_accepted() {
        let request = request("a.test");
        assert!(is_handshake(&request));
        let response = response();
        assert_eq!(is_accepted(&response[..response.len() - 1]).ok(), Some(false));
        assert_eq!(is_accepted(&response).ok(), Some(true));
        assert!(is_accepted(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
