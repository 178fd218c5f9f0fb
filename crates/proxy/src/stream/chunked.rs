//! The chunked coding (RFC 9112 section 7.1).
//!
//! Of a request the stream only wants to know where the body ends, and is strict on the way, so that this proxy and a
//! lenient server behind it can never disagree on where the next request begins. An engine of our own decodes as well.

/// Longest chunk head (size and extensions) in bytes.
const MAX_CHUNK_HEAD: usize = 4 * 1024;

/// Longest trailer section in bytes.
const MAX_TRAILERS: usize = 16 * 1024;

/// Follows a chunked body byte by byte.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    /// Whether blanks behind a size are understood, as some endpoints pad it.
    is_lenient: bool,
    /// Bytes of the current chunk head, or of the trailer section.
    length: usize,
}

/// What has been decoded of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// How many of them belong to the body.
    pub(crate) taken: usize,
    /// How many of those are data. They are the first ones now.
    pub(crate) data: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the size; no digit yet.
    SizeStart,
    /// In the size, with its value so far.
    Size(u64),
    /// In blanks between size and extension.
    Blank(u64),
    /// In the extensions.
    Extension(u64),
    /// Before the line feed of the chunk head.
    HeadLf(u64),
    /// In data, with the bytes that are left.
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Trailer,
    TrailerLine,
    TrailerLf,
    /// Before the last line feed.
    EndLf,
    Done,
}

impl Chunked {
    /// A body that others will read as well: everything must be as RFC 9112 has it.
    pub(crate) fn new() -> Self {
        Self { state: State::SizeStart, is_lenient: false, length: 0 }
    }

    /// A body that nobody but this proxy reads in this coding.
    pub(crate) fn lenient() -> Self {
        Self { is_lenient: true, ..Self::new() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Follows `bytes`, and returns how many of them belong to the body.
    ///
    /// # Errors
    ///
    /// What is wrong with the coding.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            at += match self.pass_data(bytes.len() - at) {
                0 => {
                    self.state = self.step(bytes[at])?;
                    1
                }
                data => data,
            };
        }
        Ok(at)
    }

    /// Follows `bytes`, and moves the data in them to their beginning. Extensions and trailers are left out.
    ///
    /// # Errors
    ///
    /// What is wrong with the coding.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, &'static str> {
        let (mut taken, mut data) = (0, 0);
        while taken < bytes.len() && self.state != State::Done {
            let step = self.pass_data(bytes.len() - taken);
            if step == 0 {
                self.state = self.step(bytes[taken])?;
                taken += 1;
                continue;
            }
            bytes.copy_within(taken..taken + step, data);
            taken += step;
            data += step;
        }
        Ok(Decoded { taken, data })
    }

    /// Goes over the data of a chunk, `limit` bytes at most. Returns how many there were.
    fn pass_data(&mut self, limit: usize) -> usize {
        let State::Data(left) = self.state else { return 0 };
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(limit);
        let left = left - step as u64;
        self.state = if left == 0 { State::DataCr } else { State::Data(left) };
        step
    }

    fn step(&mut self, byte: u8) -> Result<State, &'static str> {
        use State::*;
        self.length += 1;
        let limit = match self.state {
            Trailer | TrailerLine | TrailerLf | EndLf => MAX_TRAILERS,
            _ => MAX_CHUNK_HEAD,
        };
        if self.length > limit {
            return Err("chunk head or trailers too long");
        }
        Ok(match (self.state, byte) {
            (SizeStart, _) => Size(hex(byte).ok_or("chunk size is no number")?),
            (Size(size), b'\r') => HeadLf(size),
            (Size(size), b';') => Extension(size),
            (Size(size), b' ' | b'\t') => Blank(size),
            (Size(size), _) => {
                let digit = hex(byte).ok_or("chunk size is no number")?;
                // Above this a server behind that counts in signed 64-bit numbers would see another size.
                if size > (i64::MAX as u64) >> 4 {
                    return Err("chunk size too large");
                }
                Size(size << 4 | digit)
            }
            (Blank(size), b' ' | b'\t') => Blank(size),
            (Blank(size), b';') => Extension(size),
            (Blank(size), b'\r') if self.is_lenient => HeadLf(size),
            (Blank(_), _) => return Err("blank behind chunk size"),
            (Extension(size), b'\r') => HeadLf(size),
            (Extension(size), b'\t' | b' '..=b'~' | 0x80..) => Extension(size),
            (Extension(_), _) => return Err("control character in chunk extension"),
            (HeadLf(0), b'\n') => {
                self.length = 0;
                Trailer
            }
            (HeadLf(size), b'\n') => Data(size),
            (HeadLf(_), _) => return Err("carriage return without line feed in chunk head"),
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => {
                self.length = 0;
                SizeStart
            }
            (DataCr | DataLf, _) => return Err("chunk data longer than its size"),
            (Trailer, b'\r') => EndLf,
            (Trailer, b' ' | b'\t') => return Err("folded trailer"),
            (Trailer | TrailerLine, b'\t' | b' '..=b'~' | 0x80..) => TrailerLine,
            (TrailerLine, b'\r') => TrailerLf,
            (Trailer | TrailerLine, _) => return Err("control character in trailers"),
            (TrailerLf, b'\n') => Trailer,
            (EndLf, b'\n') => Done,
            (TrailerLf | EndLf, _) => return Err("carriage return without line feed in trailers"),
            // Whoever calls handles both before.
            (Data(_) | Done, _) => return Err("chunked body has ended"),
        })
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of `step` and returns how many belong to the body.
    fn scan(bytes: &[u8], step: usize) -> Result<usize, &'static str> {
        let mut chunked = Chunked::new();
        let mut taken = 0;
        for piece in bytes.chunks(step) {
            let n = chunked.advance(piece)?;
            taken += n;
            if n < piece.len() {
                break;
            }
        }
        if chunked.is_done() { Ok(taken) } else { Err("not done") }
    }

    #[test]
    fn the_end_is_found_however_the_bytes_are_cut() {
        let bodies: &[&[u8]] = &[
            b"0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            b"005\r\nhello\r\nA;name=value;flag\r\n0123456789\r\n0\r\n\r\n",
            b"5 ;name=\"a;b\"\r\nhello\r\n0;last\r\nTrailer: value\r\nOther:\r\n\r\n",
            b"1\r\n\0\r\n0\r\n\r\n",
        ];
        for body in bodies {
            for step in 1..=body.len() + 4 {
                let mut bytes = body.to_vec();
                bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
                assert_eq!(scan(&bytes, step), Ok(body.len()), "{} by {step}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn data_is_decoded_however_the_bytes_are_cut() {
        let body = b"5 ;x\r\nhello\r\n1\r\n,\r\n00a\r\n wide\r\nman\r\n0\r\nTrailer: value\r\n\r\n";
        for step in 1..=body.len() + 4 {
            let mut bytes = body.to_vec();
            bytes.extend_from_slice(b"HTTP/1.1 ");
            let (mut chunked, mut data, mut taken) = (Chunked::new(), Vec::new(), 0);
            for piece in bytes.chunks_mut(step) {
                let decoded = chunked.decode(piece).unwrap_or_else(|error| panic!("{error}"));
                data.extend_from_slice(&piece[..decoded.data]);
                taken += decoded.taken;
            }
            assert!(chunked.is_done());
            assert_eq!(
                (data.escape_ascii().to_string().as_str(), taken),
                ("hello, wide\\r\\nman", body.len()),
                "by {step}"
            );
        }
    }

    #[test]
    fn an_endpoint_may_pad_its_sizes() {
        let body = b"2  \r\nhi\r\n0 \r\n\r\n";
        assert!(Chunked::new().decode(&mut body.to_vec()).is_err());
        assert_eq!(Chunked::lenient().decode(&mut body.to_vec()), Ok(Decoded { taken: body.len(), data: 2 }));
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        let bodies: &[&[u8]] = &[
            b"\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello!\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"5_0\r\nhello\r\n0\r\n\r\n",
            b"g\r\nhello\r\n0\r\n\r\n",
            b"5;a\nb\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5;a\0\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"0\r\n Folded: yes\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\n\n",
        ];
        for body in bodies {
            let result = scan(body, body.len());
            assert!(result.is_err() && result != Err("not done"), "{}: {result:?}", body.escape_ascii());
        }
    }

    #[test]
    fn endless_extensions_and_trailers_end() {
        let mut extension = b"5;".to_vec();
        extension.resize(MAX_CHUNK_HEAD + 10, b'a');
        assert!(Chunked::new().advance(&extension).is_err());
        let mut trailers = b"0\r\n".to_vec();
        trailers.extend(b"a: b\r\n".iter().cycle().take(MAX_TRAILERS + 10));
        assert!(Chunked::new().advance(&trailers).is_err());
    }
}
