//! The response on its way to the client.

use std::ops::Range;
use std::task::{Context, Poll, ready};

use edgeward_routing::decide::Reason;

use super::super::compressor::Compressor;
use super::chunk::{self, LAST_CHUNK};
use super::client::{Behind, Client, Pieces};
use super::ends::Ends;
use super::patience::Waiting;
use super::pool::{Buffers, Pipes};
use super::response::Length;
use super::throttle::{Throttle, shorten};
use super::upload::Upload;
use super::upstream::Upstream;
use crate::pipe::Pipe;
use crate::stream::Chunked;

/// A response on its way to the client.
pub(super) struct Download {
    /// The head as sent.
    head: Vec<u8>,
    is_head_sent: bool,
    /// What goes next, behind the head: the head of a chunk, data, and what follows it. The first `sent` bytes of head and
    /// all are sent.
    chunk: [u8; chunk::SIZE.len()],
    is_chunk: bool,
    buf: Vec<u8>,
    data: Range<usize>,
    suffix: &'static [u8],
    sent: usize,
    body: Body,
    /// What the client gets the body compressed by. What goes next is what came out of it then.
    compressor: Option<Compressor>,
    /// Whether the client gets the body in chunks.
    chunked: bool,
    /// Whether the connection to the client ends behind the response.
    is_last: bool,
    /// Whether the endpoint sent more than the body.
    is_overrun: bool,
    received: u64,
    delivered: u64,
    /// What the rest of the body goes through, and how much of it is in there.
    pipe: Option<(Pipe, usize)>,
    /// What holds it back.
    throttle: Option<Throttle>,
}

/// The body of a response, and how the client gets it.
pub(super) struct Content {
    pub(super) length: Length,
    /// Whether the client gets it in chunks.
    pub(super) chunked: bool,
    /// What it is compressed by.
    pub(super) compressor: Option<Compressor>,
}

/// What is still to come of the body.
enum Body {
    Bytes(u64),
    Chunked(Chunked),
    UntilClosed,
}

impl Body {
    fn is_received(&self) -> bool {
        match self {
            Self::Bytes(left) => *left == 0,
            Self::Chunked(coding) => coding.is_done(),
            Self::UntilClosed => false,
        }
    }
}

impl Download {
    /// A response with this head for the client, and this body. What came of it so far is in `buf`, behind `start`. The
    /// connection is `is_kept`, or ends behind it.
    ///
    /// # Errors
    ///
    /// [`Reason::UpstreamInvalid`] for a coding that makes no sense.
    pub(super) fn new(
        head: Vec<u8>,
        content: Content,
        buf: Vec<u8>,
        start: usize,
        is_kept: bool,
    ) -> Result<Self, Reason> {
        let Content { length, chunked, compressor } = content;
        let mut download = Self {
            head,
            is_head_sent: false,
            chunk: *chunk::SIZE,
            is_chunk: false,
            data: start..buf.len(),
            buf,
            suffix: b"",
            sent: 0,
            body: match length {
                Length::Bytes(length) => Body::Bytes(length),
                Length::Chunked => Body::Chunked(Chunked::lenient()),
                Length::Connection => Body::UntilClosed,
            },
            compressor,
            chunked,
            is_last: !is_kept,
            is_overrun: false,
            received: 0,
            delivered: 0,
            pipe: None,
            throttle: None,
        };
        download.accept()?;
        Ok(download)
    }

    /// This response, sent no faster than this lets it.
    pub(super) fn held_by(self, throttle: Option<Throttle>) -> Self {
        Self { throttle, ..self }
    }

    /// The head as sent.
    pub(super) fn into_head(self) -> Vec<u8> {
        self.head
    }

    /// Whether the client has any of it.
    pub(super) fn has_begun(&self) -> bool {
        self.is_head_sent || self.sent > 0
    }

    /// Whether the endpoint said all that it had to say, and no more.
    pub(super) fn is_clean(&self) -> bool {
        self.body.is_received() && !self.is_overrun
    }

    /// Bytes of the body that came from the endpoint, without its coding.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of the body that were sent, without their coding.
    pub(super) fn delivered(&self) -> u64 {
        let [head, chunk, data, _] = self.pieces().map(<[u8]>::len);
        self.delivered + self.sent.saturating_sub(head + chunk).min(data) as u64
    }

    /// Gives back what is needed no more.
    pub(super) fn release(&mut self, buffers: &Buffers, pipes: &Pipes) {
        self.data = 0..0;
        buffers.put(std::mem::take(&mut self.buf));
        if let Some((pipe, 0)) = self.pipe.take() {
            pipes.put(pipe);
        }
    }

    /// Goes on, together with the upload, until everything is sent.
    pub(super) fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, '_, C>,
        upload: &mut Upload,
    ) -> Poll<Result<(), Reason>> {
        let waiting = upload.poll(cx, ends)?.unwrap_or(Waiting::Answer);
        loop {
            let behind = match self.body.is_received() && !self.is_in_pipe() {
                true if self.is_last && upload.is_over() => Behind::End,
                true => Behind::Nothing,
                false => Behind::More,
            };
            // Trailers are the end, if there are any.
            let behind_data = if ends.upstream.has_trailers() { Behind::More } else { behind };
            let sending = self.send(cx, ends.client, behind_data);
            if sending.is_pending() {
                ends.upstream.gather(cx);
            }
            match sending {
                Poll::Ready(sent) => sent?,
                Poll::Pending if self.throttle.as_ref().is_some_and(Throttle::is_waiting) => {
                    // Nobody is to blame for this wait.
                    ends.patience.progress();
                    if let Poll::Ready(Err(reason)) = ends.client.poll_sent(cx, Behind::More) {
                        return Poll::Ready(Err(reason));
                    }
                    return ends.left(cx).map(Err);
                }
                Poll::Pending => return Poll::Pending,
            }
            if behind != Behind::More {
                if let Upstream::Http2(call) = ends.upstream
                    && let Some(trailers) = call.take_trailers()
                {
                    ends.client.send_trailers(trailers)?;
                }
                return ends.client.poll_sent(cx, behind);
            }
            if self.open_pipe(ends) {
                match self.pass_on(cx, ends) {
                    Poll::Ready(Ok(())) => continue,
                    Poll::Ready(Err(reason)) => return Poll::Ready(Err(reason)),
                    // It is the client's move.
                    Poll::Pending if self.is_in_pipe() => return Poll::Pending,
                    Poll::Pending => return ends.wait(cx, waiting).map(Err),
                }
            }
            match ends.read(cx, &mut self.buf) {
                Poll::Ready(Ok(0)) if matches!(self.body, Body::UntilClosed) => self.body = Body::Bytes(0),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Reason::UpstreamClosed)),
                Poll::Ready(Ok(read)) => {
                    self.data = 0..read;
                    if ends.upstream.is_ended() {
                        self.body = Body::Bytes(read as u64);
                    }
                }
                Poll::Ready(Err(reason)) => return Poll::Ready(Err(reason)),
                // It pauses: the client is to have what it said so far.
                Poll::Pending if self.flush()? => continue,
                Poll::Pending => {
                    if let Poll::Ready(Err(reason)) = ends.client.poll_sent(cx, Behind::More) {
                        return Poll::Ready(Err(reason));
                    }
                    return ends.wait(cx, waiting).map(Err);
                }
            }
            self.accept()?;
            if self.compressor.is_some() {
                // That took time, and others wait for theirs.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Whether some of the body is still in the pipe.
    fn is_in_pipe(&self) -> bool {
        self.pipe.as_ref().is_some_and(|(_, held)| *held > 0)
    }

    /// Makes sure that there is a pipe, if what is still to come is for one: it goes on as it comes and as fast, in the clear, and
    /// is so much that it is worth it. Returns whether there is.
    fn open_pipe<C: Client>(&mut self, ends: &Ends<'_, '_, C>) -> bool {
        if self.pipe.is_none()
            && matches!(self.body, Body::Bytes(Pipes::WORTH..))
            && self.throttle.is_none()
            && self.compressor.is_none()
            && ends.client.takes_pipe()
        {
            self.pipe = ends.pipes.take().map(|pipe| (pipe, 0));
            ends.buffers.put(std::mem::take(&mut self.buf));
        }
        self.pipe.is_some()
    }

    /// Passes on, through the pipe, what comes of the body.
    fn pass_on<C: Client>(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, '_, C>) -> Poll<Result<(), Reason>> {
        let (Some((pipe, held)), Body::Bytes(left), Some(tcp)) = (&mut self.pipe, &mut self.body, ends.upstream.tcp())
        else {
            return Poll::Ready(Ok(()));
        };
        loop {
            while *held > 0 {
                let sent = ready!(ends.client.poll_send_from(cx, pipe, *held))?;
                *held -= sent;
                self.delivered += sent as u64;
            }
            if *left == 0 {
                return Poll::Ready(Ok(()));
            }
            let limit = usize::try_from(*left).unwrap_or(usize::MAX);
            match ready!(pipe.poll_fill(cx, tcp, limit)) {
                Ok(read) if read > 0 => {
                    ends.patience.progress();
                    *held = read;
                    *left -= read as u64;
                    self.received += read as u64;
                }
                _ => return Poll::Ready(Err(Reason::UpstreamClosed)),
            }
        }
    }

    /// Takes the data as it came, and makes it what goes next.
    fn accept(&mut self) -> Result<(), Reason> {
        let raw = &mut self.buf[self.data.clone()];
        let came = raw.len();
        let (taken, data) = match &mut self.body {
            Body::Bytes(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(came);
                *left -= data as u64;
                (data, data)
            }
            Body::Chunked(coding) => {
                let decoded = coding.decode(raw).map_err(|_| Reason::UpstreamInvalid)?;
                (decoded.taken, decoded.data)
            }
            Body::UntilClosed => (came, came),
        };
        self.is_overrun |= taken < came;
        self.received += data as u64;
        self.data.end = self.data.start + data;
        let Some(compressor) = &mut self.compressor else {
            self.frame(data);
            return Ok(());
        };
        compressor.push(&self.buf[std::mem::take(&mut self.data)])?;
        self.buf.clear();
        if self.body.is_received() {
            compressor.finish()?;
        }
        let data = compressor.output().len();
        self.frame(data);
        Ok(())
    }

    /// Makes what the compressor held back what goes next, if there is anything of it.
    fn flush(&mut self) -> Result<bool, Reason> {
        let Some(compressor) = &mut self.compressor else { return Ok(false) };
        let is_flushed = compressor.flush()?;
        let data = compressor.output().len();
        self.frame(data);
        Ok(is_flushed)
    }

    /// Puts around the data that goes next what its client needs to find its end.
    fn frame(&mut self, data: usize) {
        if self.chunked {
            self.is_chunk = data > 0;
            chunk::write_size(&mut self.chunk, data);
            self.suffix = match (data > 0, self.body.is_received()) {
                (true, false) => b"\r\n",
                (true, true) => b"\r\n0\r\n\r\n",
                (false, true) => LAST_CHUNK,
                (false, false) => b"",
            };
        }
    }

    /// What goes next: head, head of a chunk, data, and what follows it.
    fn pieces(&self) -> Pieces<'_> {
        [
            if self.is_head_sent { b"" } else { &self.head },
            if self.is_chunk { chunk::without_zeros(&self.chunk) } else { b"" },
            match &self.compressor {
                None => &self.buf[self.data.clone()],
                Some(compressor) => compressor.output(),
            },
            self.suffix,
        ]
    }

    /// Sends what goes next, if there is anything.
    fn send<C: Client>(&mut self, cx: &mut Context<'_>, client: &mut C, behind: Behind) -> Poll<Result<(), Reason>> {
        let [head, rest @ ..] = self.pieces().map(<[u8]>::len);
        let [_, data, _] = rest;
        let body: usize = rest.iter().sum();
        while self.sent < head + body {
            let end = match &mut self.throttle {
                None => head + body,
                Some(throttle) => ready!(throttle.poll_end(cx, self.sent, head, head + body)),
            };
            let mut pieces = self.pieces();
            let mut behind = behind;
            if end < head + body {
                shorten(&mut pieces, end);
                behind = Behind::More;
            }
            self.sent += ready!(client.poll_send(cx, &pieces, self.sent, behind))?;
        }
        if let Some(throttle) = &mut self.throttle {
            throttle.passed(body);
        }
        self.delivered += data as u64;
        (self.is_head_sent, self.is_chunk, self.suffix, self.sent) = (true, false, b"", 0);
        self.buf.clear();
        self.data = 0..0;
        if let Some(compressor) = &mut self.compressor {
            compressor.clear();
        }
        Poll::Ready(Ok(()))
    }
}
