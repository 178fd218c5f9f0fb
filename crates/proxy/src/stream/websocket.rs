//! Where WebSocket frames from server to client end (RFC 6455 section 5.2), so that a close frame can go between two.

/// A close frame with status 1001, "going away", as a server sends it: not masked.
pub(super) const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// The longest frame header: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// Follows what a server sends on a connection that is being upgraded to a WebSocket.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    state: State,
    /// A close frame went by; nothing may follow it.
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the head of the 101, with how many bytes of its end (`\r\n\r\n`) went by last.
    Response(u8),
    /// In a frame header.
    Header { bytes: [u8; MAX_HEADER], length: usize },
    /// In a payload, with the bytes that are left.
    Payload(u64),
}

const START: State = State::Header { bytes: [0; MAX_HEADER], length: 0 };

impl Frames {
    /// Starts before the head of the 101.
    pub(super) fn new() -> Self {
        Self { state: State::Response(0), closed: false }
    }

    /// Whether a frame may be sent now: the last one is whole, and it was no close frame.
    pub(super) fn is_between(&self) -> bool {
        !self.closed && matches!(self.state, State::Header { length: 0, .. })
    }

    /// How many of `bytes` may still be sent for a frame to be allowed behind them; `None` when no such place comes.
    pub(super) fn distance(&self, bytes: &[u8]) -> Option<usize> {
        let mut ahead = self.clone();
        let mut at = 0;
        while !ahead.is_between() {
            // A payload is skipped in one step; everything else is a few bytes per frame.
            let step = match ahead.state {
                State::Payload(left) => usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at),
                _ => 1,
            };
            ahead.advance(bytes.get(at..at + step).filter(|step| !step.is_empty())?);
            at += step;
        }
        Some(at)
    }

    /// Follows `bytes` to their end.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while let [byte, rest @ ..] = bytes {
            if let State::Payload(left) = self.state {
                let step = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = &bytes[step..];
                let left = left - step as u64;
                self.state = if left == 0 { START } else { State::Payload(left) };
                continue;
            }
            self.step(*byte);
            bytes = rest;
        }
    }

    fn step(&mut self, byte: u8) {
        match &mut self.state {
            State::Response(seen) => {
                *seen = match (*seen, byte) {
                    (0 | 2, b'\r') | (1 | 3, b'\n') => *seen + 1,
                    (_, b'\r') => 1,
                    _ => 0,
                };
                if *seen == 4 {
                    self.state = START;
                }
            }
            State::Header { bytes, length } => {
                bytes[*length] = byte;
                *length += 1;
                if let Some(payload) = payload_length(&bytes[..*length]) {
                    self.closed |= bytes[0] & 0x0f == 0x08;
                    self.state = if payload == 0 { START } else { State::Payload(payload) };
                }
            }
            // `advance` handles it.
            State::Payload(_) => {}
        }
    }
}

/// The payload length that a frame header tells; `None` while it is not whole.
fn payload_length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let masked = if second & 0x80 != 0 { 4 } else { 0 };
    let (length, size) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(header.get(2..10)?.try_into().ok()?), 10),
        short => (u64::from(short), 2),
    };
    (header.len() == size + masked).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Frames {
        let mut frames = Frames::new();
        frames.advance(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
        frames.advance(bytes);
        frames
    }

    #[test]
    fn a_frame_may_follow_the_head_and_whole_frames_only() {
        let mut short = vec![0x81, 5];
        short.extend(b"hello");
        let mut medium = vec![0x82, 126, 1, 0];
        medium.resize(4 + 256, 0);
        let mut long = vec![0x02, 127, 0, 0, 0, 0, 0, 1, 0, 0];
        long.resize(10 + 65_536, 0);
        let empty = vec![0x89, 0];
        let mut masked = vec![0x81, 0x82, 1, 2, 3, 4];
        masked.extend(b"hi");
        for frame in [short, medium, long, empty, masked] {
            for cut in [0, 1, frame.len() / 2, frame.len() - 1] {
                assert_eq!(frames(&frame[..cut]).is_between(), cut == 0, "cut at {cut}");
            }
            assert!(frames(&frame).is_between());
            let twice = [&frame[..], &frame[..]].concat();
            assert!(frames(&twice).is_between());
            let mut bytewise = frames(b"");
            twice.iter().for_each(|byte| bytewise.advance(&[*byte]));
            assert!(bytewise.is_between());
        }
    }

    #[test]
    fn no_frame_goes_into_the_response_head() {
        let mut frames = Frames::new();
        frames.advance(b"HTTP/1.1 101 Switching Protocols\r\n");
        assert!(!frames.is_between());
        frames.advance(b"A: b\r\n\r");
        assert!(!frames.is_between());
        frames.advance(b"\n");
        assert!(frames.is_between());
    }

    #[test]
    fn the_next_gap_between_frames_is_found() {
        let stream = [0x81, 2, b'h', b'i', 0x82, 3, 1, 2, 3, 0x89];
        assert_eq!(frames(b"").distance(&stream), Some(0));
        assert_eq!(frames(&stream[..1]).distance(&stream[1..]), Some(3));
        assert_eq!(frames(&stream[..3]).distance(&stream[3..]), Some(1));
        assert_eq!(frames(&stream[..5]).distance(&stream[5..]), Some(4));
        assert_eq!(frames(&stream[..5]).distance(&stream[5..8]), None);
        assert_eq!(frames(&stream).distance(&[]), None);
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        assert!(!frames(&GOING_AWAY).is_between());
        assert_eq!(frames(&GOING_AWAY).distance(&[0x81, 0, 0x81, 0]), None);
    }
}
