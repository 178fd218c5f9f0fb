//! What HTTP/2 frames tell of a connection (RFC 9113 section 4.1): who is waiting for whom, and since when.
//!
//! The HTTP/2 layer above keeps no time: it waits without end for the rest of a header block or of a body, and takes any
//! number of cancelled streams. Nothing is decoded here but the heads of frames, in both directions.

use std::time::{Duration, Instant};

use edgeward_routing::settings::ClientLimits;

use super::H2_PREFACE;
use crate::clock;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The length of a frame head.
const HEAD: usize = 9;

/// The receive window of a connection before it is widened (RFC 9113 section 6.9.2).
const FIRST_WINDOW: i64 = 65_535;

/// The time over which cancelled streams are counted.
const CANCELS_WITHIN: Duration = Duration::from_secs(10);

/// One HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Http2 {
    /// Bytes of the client's preface that are to come.
    preface_left: usize,
    received: Frames,
    sent: Frames,
    /// A header block has begun and its last frame has not.
    in_headers: bool,
    /// When what the client is in the middle of began: a header block, or any other frame, where every byte is a beginning.
    unfinished: Option<Instant>,
    /// The last stream that the client opened.
    last_stream: u32,
    /// Request bodies that are to go on.
    bodies: Vec<Body>,
    stream_window: i64,
    /// What the client may still send in all, and half of what it may send at most.
    window: i64,
    half_window: i64,
    cancels: Cancels,
    /// When the connection last had a request.
    pub(super) quiet_since: Instant,
    /// How many requests the engine was through with then.
    pub(super) requests_done: u64,
    /// The client was told to open no more streams.
    pub(super) leaving: bool,
}

/// The body of a request.
#[derive(Debug)]
struct Body {
    stream: u32,
    /// When a part of it came, or one of the response went out.
    moved: Instant,
    /// What the client may still send of it.
    window: i64,
}

/// Streams of a client that cancels many.
#[derive(Debug)]
struct Cancels {
    since: Instant,
    opened: u32,
    cancelled: u32,
}

/// What a client did that ends the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyCancels;

impl Http2 {
    /// Before the client's preface.
    pub(super) fn new(limits: &ClientLimits) -> Self {
        let now = clock::now();
        Self {
            preface_left: H2_PREFACE.len(),
            received: Frames::default(),
            sent: Frames::default(),
            in_headers: false,
            unfinished: None,
            last_stream: 0,
            bodies: Vec::new(),
            stream_window: i64::from(limits.h2_stream_window),
            window: FIRST_WINDOW,
            half_window: i64::from(limits.h2_connection_window) / 2,
            cancels: Cancels { since: now, opened: 0, cancelled: 0 },
            quiet_since: now,
            requests_done: 0,
            leaving: false,
        }
    }

    /// Follows what came from the client.
    ///
    /// # Errors
    ///
    /// When it cancels more streams than `limits` allow, and most of those that it opens: a busy client may cancel some.
    pub(super) fn receive(&mut self, bytes: &[u8], limits: &ClientLimits) -> Result<(), TooManyCancels> {
        let now = clock::now();
        let preface = self.preface_left.min(bytes.len());
        self.preface_left -= preface;
        let mut left = &bytes[preface..];
        let mut outcome = Ok(());
        while !left.is_empty() {
            let (step, rest) = self.received.next(left);
            left = rest;
            let Some(Step { frame, begins, ends, payload }) = step else { continue };
            match frame.kind {
                HEADERS if begins => self.open(&frame, now),
                DATA => self.take(&frame, payload, ends, now),
                RST_STREAM if ends => {
                    self.close(frame.stream);
                    if self.cancels.cancel(limits.h2_cancels, now) {
                        outcome = Err(TooManyCancels);
                    }
                }
                _ => {}
            }
            if ends && matches!(frame.kind, HEADERS | CONTINUATION) {
                self.in_headers = frame.flags & END_HEADERS == 0;
            }
        }
        let whole = self.received.is_between() && !self.in_headers;
        let keeps = self.unfinished.filter(|_| self.in_headers || self.received.is_headers());
        self.unfinished = if whole { None } else { Some(keeps.unwrap_or(now)) };
        outcome
    }

    /// Follows what goes to the client.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            let (step, rest) = self.sent.next(left);
            left = rest;
            let Some(Step { frame, begins, ends, .. }) = step else { continue };
            match frame.kind {
                WINDOW_UPDATE if ends => {
                    let more = i64::from(frame.number);
                    match self.body(frame.stream) {
                        _ if frame.stream == 0 => self.window += more,
                        Some(body) => body.window += more,
                        None => {}
                    }
                }
                // A client that listens for long may be silent for as long.
                HEADERS | DATA if begins => {
                    if let Some(body) = self.body(frame.stream) {
                        body.moved = clock::now();
                    }
                }
                RST_STREAM if ends => self.close(frame.stream),
                _ => {}
            }
        }
    }

    /// Whether the client has begun to speak HTTP/2.
    pub(super) fn has_begun(&self) -> bool {
        self.preface_left == 0
    }

    /// When what the client is in the middle of must be done or go on.
    pub(super) fn frame_deadline(&self, limits: &ClientLimits) -> Option<Instant> {
        if self.preface_left > 0 {
            return Some(self.quiet_since + limits.header_timeout);
        }
        let is_head = self.in_headers || self.received.is_headers();
        let time = if is_head { limits.header_timeout } else { limits.body_timeout };
        self.unfinished.map(|since| since + time)
    }

    /// When the first of the bodies that wait for the client must go on, and its stream.
    ///
    /// A client without window waits for an endpoint, not the other way round. The HTTP/2 layer gives back what was used of
    /// a window by the half, so that what is left of it may be less than all.
    pub(super) fn body_deadline(&self, limits: &ClientLimits) -> Option<(Instant, u32)> {
        if self.unfinished.is_some() || self.window < self.half_window {
            return None;
        }
        let waiting = self.bodies.iter().filter(|body| body.window >= self.stream_window / 2);
        waiting.map(|body| (body.moved + limits.body_timeout, body.stream)).min()
    }

    /// Gives a stream up. Returns a frame that makes the HTTP/2 layer reset it, on both sides, as if the client had sent it
    /// (a stream that depends on itself, RFC 7540 section 5.3.1): there is no other way to one stream of the layer.
    pub(super) fn give_up(&mut self, stream: u32) -> [u8; HEAD + 5] {
        self.close(stream);
        let mut frame = [0, 0, 5, PRIORITY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        frame[5..9].copy_from_slice(&stream.to_be_bytes());
        frame[9..13].copy_from_slice(&stream.to_be_bytes());
        frame
    }

    /// A header block begins: a request, or the trailers of one.
    fn open(&mut self, frame: &Frame, now: Instant) {
        self.unfinished = Some(now);
        self.quiet_since = now;
        if frame.stream > self.last_stream {
            self.last_stream = frame.stream;
            self.cancels.open(now);
            if frame.flags & END_STREAM == 0 {
                self.bodies.push(Body { stream: frame.stream, moved: now, window: self.stream_window });
            }
        } else if frame.flags & END_STREAM != 0 {
            self.close(frame.stream);
        }
    }

    /// A part of a body comes.
    fn take(&mut self, frame: &Frame, payload: usize, ends: bool, now: Instant) {
        self.window -= payload as i64;
        if let Some(body) = self.body(frame.stream) {
            body.window -= payload as i64;
            body.moved = now;
        }
        if ends && frame.flags & END_STREAM != 0 {
            self.close(frame.stream);
        }
    }

    fn body(&mut self, stream: u32) -> Option<&mut Body> {
        self.bodies.iter_mut().find(|body| body.stream == stream)
    }

    fn close(&mut self, stream: u32) {
        self.bodies.retain(|body| body.stream != stream);
    }
}

impl Cancels {
    fn open(&mut self, now: Instant) {
        if now > self.since + CANCELS_WITHIN {
            *self = Self { since: now, opened: 0, cancelled: 0 };
        }
        self.opened += 1;
    }

    /// Counts one, and says whether it is one too many.
    fn cancel(&mut self, limit: u32, now: Instant) -> bool {
        if now > self.since + CANCELS_WITHIN {
            // The streams of this window were opened in the last one; they count as opened in this one.
            *self = Self { since: now, opened: 0, cancelled: 0 };
        }
        self.cancelled += 1;
        limit > 0 && self.cancelled > limit && self.cancelled > self.opened / 2
    }
}

/// Finds the frames in one direction of a connection.
#[derive(Debug, Default)]
struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    known: usize,
    /// Bytes of the payload that are to come.
    left: usize,
    /// The first bytes of the payload.
    number: u32,
    numbers: usize,
}

/// The head of a frame.
#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    /// The first four bytes of the payload, as far as they have come.
    number: u32,
}

/// A piece of a frame.
#[derive(Debug)]
struct Step {
    frame: Frame,
    /// The head was completed with it.
    begins: bool,
    /// The frame was.
    ends: bool,
    /// Bytes of the payload in it.
    payload: usize,
}

impl Frames {
    /// Whether the next byte is the first of a frame.
    fn is_between(&self) -> bool {
        self.known == 0
    }

    /// Whether this is the middle of a frame of a header block, or may be.
    fn is_headers(&self) -> bool {
        self.known > 0 && (self.known < HEAD || matches!(self.head[3], HEADERS | CONTINUATION))
    }

    /// Follows `bytes` to the end of a frame, but at most to their own. Returns what is left of them.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> (Option<Step>, &'a [u8]) {
        let (mut rest, begins) = (bytes, self.known < HEAD);
        if begins {
            let (head, behind) = bytes.split_at(bytes.len().min(HEAD - self.known));
            self.head[self.known..self.known + head.len()].copy_from_slice(head);
            self.known += head.len();
            if self.known < HEAD {
                return (None, behind);
            }
            let [a, b, c, ..] = self.head;
            (self.left, self.number, self.numbers) = (u32::from_be_bytes([0, a, b, c]) as usize, 0, 0);
            rest = behind;
        }
        let (payload, behind) = rest.split_at(rest.len().min(self.left));
        for byte in payload.iter().take(4 - self.numbers) {
            self.number = self.number << 8 | u32::from(*byte);
            self.numbers += 1;
        }
        self.left -= payload.len();
        let ends = self.left == 0;
        if ends {
            self.known = 0;
        }
        let [_, _, _, kind, flags, stream @ ..] = self.head;
        // The first bit of both is reserved.
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        let frame = Frame { kind, flags, stream, number: self.number & (u32::MAX >> 1) };
        (Some(Step { frame, begins, ends, payload: payload.len() }), behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
        [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// A connection behind its preface, with limits of one second for a head and two for a pause in a body.
    fn connection() -> (Http2, ClientLimits) {
        let limits =
            ClientLimits { header_timeout: SECOND, body_timeout: 2 * SECOND, h2_cancels: 3, ..ClientLimits::default() };
        let mut http2 = Http2::new(&limits);
        assert_eq!(http2.receive(H2_PREFACE, &limits), Ok(()));
        http2.send(&frame(WINDOW_UPDATE, 0, 0, &(limits.h2_connection_window - 65_535).to_be_bytes()));
        (http2, limits)
    }

    #[test]
    fn a_header_block_has_its_deadline_from_its_first_byte_however_it_is_cut() {
        let block = [frame(HEADERS, END_STREAM, 1, b"abc"), frame(CONTINUATION, END_HEADERS, 1, b"de")].concat();
        for cut in 1..block.len() {
            let (mut http2, limits) = connection();
            let begun = Instant::now();
            http2.receive(&block[..cut], &limits).unwrap_or_else(|_| panic!("cut at {cut}"));
            let first = http2.frame_deadline(&limits).unwrap_or_else(|| panic!("no deadline at {cut}"));
            assert!(first >= begun + SECOND && first <= Instant::now() + SECOND, "cut at {cut}");
            if cut + 1 < block.len() {
                let _ = http2.receive(&block[cut..cut + 1], &limits);
                let later = http2.frame_deadline(&limits).unwrap_or_else(|| panic!("no deadline behind {cut}"));
                // The kind of the frame is known with its fourth byte only.
                assert!(cut < HEAD || later == first, "a byte at {cut} moves the deadline");
                let _ = http2.receive(&block[cut + 1..], &limits);
            } else {
                let _ = http2.receive(&block[cut..], &limits);
            }
            assert_eq!(http2.frame_deadline(&limits), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_body_waits_for_its_client_to_its_end_and_not_without_window() {
        let (mut http2, limits) = connection();
        let stream = |http2: &Http2| http2.body_deadline(&limits).map(|(_, stream)| stream);
        let _ = http2.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 1, b""), &limits);
        assert_eq!(stream(&http2), None);
        let _ = http2.receive(&frame(HEADERS, END_HEADERS, 3, b""), &limits);
        let _ = http2.receive(&frame(HEADERS, END_HEADERS, 5, b""), &limits);
        assert_eq!(stream(&http2), Some(3));
        let _ = http2.receive(&frame(DATA, 0, 3, b"more"), &limits);
        assert_eq!(stream(&http2), Some(5), "the one that has been silent for longer");
        // More than half of the window is used, and the endpoint takes nothing of it.
        for _ in 0..9 {
            let _ = http2.receive(&frame(DATA, 0, 5, &[0; 16 * 1024]), &limits);
        }
        assert_eq!(stream(&http2), Some(3));
        http2.send(&frame(WINDOW_UPDATE, 0, 5, &(9 * 16 * 1024_u32).to_be_bytes()));
        let _ = http2.receive(&frame(DATA, END_STREAM, 3, b"end"), &limits);
        assert_eq!(stream(&http2), Some(5));
        http2.send(&frame(HEADERS, END_HEADERS, 5, b""));
        assert_eq!(stream(&http2), Some(5));
        assert_eq!(http2.give_up(5), [0, 0, 5, 2, 0, 0, 0, 0, 5, 0, 0, 0, 5, 0]);
        assert_eq!(stream(&http2), None);
    }

    #[test]
    fn a_client_may_cancel_some_streams_but_not_most_of_many() {
        let (mut http2, limits) = connection();
        let open = |stream: u32| frame(HEADERS, END_HEADERS | END_STREAM, stream, b"");
        let cancel = |stream: u32| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        let mut outcome = Ok(());
        let mut cancelled = 0;
        for stream in (1..).step_by(2).take(4) {
            assert_eq!(outcome, Ok(()));
            outcome = http2.receive(&[open(stream), cancel(stream)].concat(), &limits);
            cancelled += 1;
        }
        assert_eq!((outcome, cancelled), (Err(TooManyCancels), 4));

        let (mut http2, limits) = connection();
        for stream in (1..).step_by(2).take(100) {
            assert_eq!(http2.receive(&open(stream), &limits), Ok(()));
            if stream % 5 == 0 {
                assert_eq!(http2.receive(&cancel(stream), &limits), Ok(()), "stream {stream}");
            }
        }
    }
}
