//! Compressing the body of a response, piece by piece.

use std::io::{self, Write};
use std::sync::Arc;

use brotli::CompressorWriter;
use edgeward_routing::decide::Reason;
use edgeward_routing::settings::Coding;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room for all compressors of the process: 128 MiB. A response lasts as long as its client likes, and most clients may have
/// many of them; those for which there is no room go out as they are.
#[derive(Debug)]
pub(super) struct Compressors(Arc<Semaphore>);

/// KiB that a permit stands for.
const UNIT: u32 = 32;

impl Compressors {
    const UNITS: usize = (128 << 10) / UNIT as usize;

    /// All of the room is free.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(Self::UNITS)))
    }

    /// What compresses one body, if there is room for it.
    pub(super) fn begin(&self, coding: Coding, level: u8) -> Option<Compressor> {
        let room = Arc::clone(&self.0).try_acquire_many_owned(kilobytes(coding, level).div_ceil(UNIT)).ok()?;
        let encoder = match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::new(level.into()))),
            Coding::Brotli => Encoder::Brotli(CompressorWriter::new(Vec::new(), PIECE, level.into(), WINDOW)),
        };
        Some(Compressor { encoder: Box::new(encoder), is_holding: false, room: Some(room) })
    }
}

/// How much memory one takes at most while it waits for its client, in KiB, with what came out: as measured with two megabytes
/// that come 128 KiB at a time, of HTML or of what does not get smaller.
fn kilobytes(coding: Coding, level: u8) -> u32 {
    const BROTLI: [u32; 12] = [544, 1568, 2560, 2560, 3648, 4192, 5184, 11_360, 19_552, 38_240, 8192, 8192];
    match coding {
        Coding::Gzip => 640,
        Coding::Brotli => BROTLI[usize::from(level).min(BROTLI.len() - 1)],
    }
}

/// What compresses one body. It is large, and has its place on the heap as long as its response is under way.
pub(super) struct Compressor {
    encoder: Box<Encoder>,
    /// Its part of the room for all of them, until it has come to its end.
    room: Option<OwnedSemaphorePermit>,
    /// Whether some of what it was given has not come out.
    is_holding: bool,
}

#[expect(clippy::large_enum_variant, reason = "it is on the heap")]
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(CompressorWriter<Vec<u8>>),
    /// Nothing follows what came out last.
    Done(Vec<u8>),
}

/// The window of Brotli, as a power of two: how far back it looks, and so how much memory one response takes.
const WINDOW: u32 = 18;

/// What Brotli gives out at a time while it is at work.
const PIECE: usize = 16 * 1024;

impl Compressor {
    /// Takes in a piece of the body.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), Reason> {
        if data.is_empty() {
            return Ok(());
        }
        self.is_holding = true;
        failed(match &mut *self.encoder {
            Encoder::Gzip(encoder) => encoder.write_all(data),
            Encoder::Brotli(encoder) => encoder.write_all(data),
            Encoder::Done(_) => Ok(()),
        })
    }

    /// Has all come out that it was given, so that the client can read it. Returns false when there is nothing of it.
    pub(super) fn flush(&mut self) -> Result<bool, Reason> {
        if !std::mem::take(&mut self.is_holding) {
            return Ok(false);
        }
        failed(match &mut *self.encoder {
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Brotli(encoder) => encoder.flush(),
            Encoder::Done(_) => Ok(()),
        })?;
        Ok(true)
    }

    /// Has all come out, and the end behind it.
    pub(super) fn finish(&mut self) -> Result<(), Reason> {
        self.is_holding = false;
        let output = match std::mem::replace(&mut *self.encoder, Encoder::Done(Vec::new())) {
            Encoder::Gzip(encoder) => encoder.finish().map_err(|_| Reason::Internal)?,
            Encoder::Brotli(encoder) => encoder.into_inner(),
            Encoder::Done(output) => output,
        };
        *self.encoder = Encoder::Done(output);
        self.room = None;
        Ok(())
    }

    /// What came out and was not [taken](Self::clear).
    pub(super) fn output(&self) -> &[u8] {
        match &*self.encoder {
            Encoder::Gzip(encoder) => encoder.get_ref(),
            Encoder::Brotli(encoder) => encoder.get_ref(),
            Encoder::Done(output) => output,
        }
    }

    /// Forgets what came out.
    pub(super) fn clear(&mut self) {
        self.output_mut().clear();
    }

    /// Gives what came out.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.output_mut())
    }

    fn output_mut(&mut self) -> &mut Vec<u8> {
        match &mut *self.encoder {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Done(output) => output,
        }
    }
}

/// Memory takes what is written to it: only what is wrong with the encoder itself can fail.
fn failed(written: io::Result<()>) -> Result<(), Reason> {
    written.map_err(|_| Reason::Internal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::io::Read;

    use super::*;

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // What ends in the middle is read as far as it goes.
        let _ = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
            Coding::Brotli => brotli::Decompressor::new(bytes, PIECE).read_to_end(&mut out),
        };
        out
    }

    const LEVELS: [(Coding, u8); 4] = [(Coding::Gzip, 1), (Coding::Gzip, 9), (Coding::Brotli, 0), (Coding::Brotli, 11)];

    #[test]
    fn what_comes_out_is_what_went_in() {
        for (coding, level) in LEVELS {
            let mut compressor = Compressors::new().begin(coding, level).unwrap();
            let (mut body, mut out) = (Vec::new(), Vec::new());
            for piece in 0..64_u8 {
                let piece = [piece; 5000];
                compressor.push(&piece).unwrap();
                body.extend_from_slice(&piece);
                out.append(&mut compressor.take());
            }
            compressor.finish().unwrap();
            out.append(&mut compressor.take());
            assert!(out.len() < body.len() / 20 && decoded(coding, &out) == body, "{coding:?} {level}");
            assert!(!compressor.flush().unwrap() && compressor.output().is_empty());
        }
    }

    #[test]
    fn there_are_as_many_as_there_is_room_for() {
        for (coding, level) in LEVELS {
            let all = Compressors::new();
            let mut some: Vec<_> = std::iter::from_fn(|| all.begin(coding, level)).collect();
            assert!(some.len() >= 16 && some.len() * kilobytes(coding, level) as usize <= 128 << 10);
            assert!(all.begin(coding, level).is_none());
            some[0].finish().unwrap();
            assert!(all.begin(coding, level).is_some(), "what has ended takes no room");
            drop(some);
            assert_eq!(all.0.available_permits(), Compressors::UNITS);
        }
    }

    #[test]
    fn a_client_can_read_what_was_flushed() {
        for (coding, level) in LEVELS {
            let mut compressor = Compressors::new().begin(coding, level).unwrap();
            let mut out = Vec::new();
            for event in ["data: 1\n\n", "data: 2\n\n"] {
                compressor.push(event.as_bytes()).unwrap();
                assert!(compressor.flush().unwrap() && !compressor.flush().unwrap());
                out.extend_from_slice(compressor.output());
                compressor.clear();
                assert!(decoded(coding, &out).ends_with(event.as_bytes()), "{coding:?} {level}");
            }
        }
    }

    #[test]
    fn what_does_not_get_smaller_is_not_held_back_for_long() {
        for (coding, level) in LEVELS {
            let mut compressor = Compressors::new().begin(coding, level).unwrap();
            let mut random = fastrand::Rng::with_seed(7);
            let (mut given, mut came, mut most) = (0, 0, 0);
            for _ in 0..32 {
                let piece: Vec<u8> = (0..128 << 10).map(|_| random.u8(..)).collect();
                compressor.push(&piece).unwrap();
                given += piece.len();
                most = most.max(compressor.output().len());
                came += compressor.output().len();
                compressor.clear();
                assert!(given - came.min(given) <= 768 << 10, "{coding:?} {level}: {given} {came}");
            }
            // The head of a chunk has five digits.
            assert!(most < 1 << 20, "{coding:?} {level}: {most}");
        }
    }
}
