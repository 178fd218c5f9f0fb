//! Bodies without a length, read before an endpoint is chosen, so that it gets their length: there are applications that can
//! read no others (WSGI). nginx does it with all bodies.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut;
use edgeward_routing::decide::Reason;
use tokio::sync::Semaphore;

use super::{Upload, client};
use crate::engine::fast::client::Client;
use crate::engine::fast::patience::{Patience, Waiting};

/// The longest body that is collected, in bytes: what nginx takes of one unless it is told otherwise.
const LONGEST: usize = 1 << 20;

/// How much is read at a time at most, and at first.
const PIECE: usize = 16 << 10;
const FIRST_PIECE: usize = 1024;

/// Bytes that a permit stands for.
const UNIT: usize = 1024;

/// The room for all bodies that are collected in the process: 32 MiB. Each takes what is kept ready to read it into, which is no more
/// than twice as much as has come, and its length, for it is copied behind the head that it goes with.
#[derive(Debug)]
pub(in crate::engine) struct Room(Arc<Semaphore>);

impl Room {
    const UNITS: usize = 32 << 10;

    /// All of it is free.
    pub(in crate::engine) fn new() -> Self {
        Self(Arc::new(Semaphore::new(Self::UNITS)))
    }
}

impl Upload {
    /// Reads the body, from which nothing is sent yet, as far as there is room for it. Ready with its length if that was all of
    /// it; the endpoint is to be told then. Else it gets what has been read, and the rest, in chunks.
    ///
    /// # Errors
    ///
    /// What is wrong with the client or its body.
    pub(in crate::engine::fast) fn poll_collect<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        patience: &mut Patience<'_>,
        room: &Room,
    ) -> Poll<Result<Option<u64>, Reason>> {
        while !client.is_body_read() {
            let Some(piece) = self.make_room(room) else { return Poll::Ready(Ok(None)) };
            let body = self.replay.get_or_insert_default();
            let before = body.len();
            match client::poll_read_body(client, cx, &mut (&mut *body).limit(piece)) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    client.check_cut()?;
                    return patience.poll(cx, Waiting::Client).map(Err);
                }
            };
            patience.progress();
            self.body_bytes = body.len() as u64;
            if !self.limit.allows(self.body_bytes) {
                return Poll::Ready(Err(Reason::BodyTooLarge));
            }
            if self.mirrored.as_mut().is_some_and(|copy| !copy.push(&body[before..])) {
                self.mirrored = None;
            }
        }
        if let Some(copy) = self.mirrored.take() {
            copy.send();
        }
        Poll::Ready(Ok(Some(self.body_bytes)))
    }

    /// Makes room for the next piece, and tells how long that may be; `None` where there is none for it.
    fn make_room(&mut self, room: &Room) -> Option<usize> {
        let body = self.replay.get_or_insert_default();
        if body.len() > LONGEST {
            return None;
        }
        let piece = body.len().clamp(FIRST_PIECE, PIECE);
        body.reserve(piece);
        let held = self.room.as_ref().map_or(0, |room| room.num_permits());
        let units = (body.capacity() + body.len() + piece).div_ceil(UNIT);
        if let Ok(more @ 1..) = u32::try_from(units.saturating_sub(held)) {
            let permit = Arc::clone(&room.0).try_acquire_many_owned(more).ok()?;
            match &mut self.room {
                Some(room) => room.merge(permit),
                none => *none = Some(permit),
            }
        }
        Some(piece)
    }

    /// Makes room once an endpoint has answered for good, however long that answer takes: what was collected is not sent again.
    pub(in crate::engine::fast) fn settle(&mut self) {
        if self.room.take().is_some() {
            self.replay = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use edgeward_routing::policy::BodySize;

    use super::*;
    use crate::head::BodyLength;

    /// A body of which so much has come, in pieces as large as they may be.
    fn collected(length: usize, room: &Room) -> Option<Upload> {
        let mut upload = Upload::new(BodyLength::Chunked, BodySize(None), false);
        loop {
            let piece = upload.make_room(room)?;
            let body = upload.replay.as_mut().unwrap();
            let held = upload.room.as_ref().unwrap().num_permits() * UNIT;
            assert!(body.capacity() + body.len() + piece <= held, "{} of {} in {held}", body.len(), body.capacity());
            if body.len() == length {
                return Some(upload);
            }
            body.resize(length.min(body.len() + piece), 0);
        }
    }

    #[test]
    fn a_body_has_room_for_all_that_is_kept_for_it() {
        let room = Room::new();
        let idle: Vec<_> = (0..8000).map(|_| collected(0, &room).unwrap()).collect();
        drop(idle);
        let whole: Vec<_> = (0..8).map(|_| collected(LONGEST - 1, &room).unwrap()).collect();
        assert!((0..16).any(|_| collected(LONGEST - 1, &room).map(std::mem::forget).is_none()), "it is bounded");
        drop(whole);
        assert!(collected(LONGEST + 1, &room).is_none(), "it is too long");
    }

    #[test]
    fn what_was_answered_for_makes_room() {
        let room = Room::new();
        let mut upload = collected(5000, &room).unwrap();
        upload.settle();
        assert_eq!((room.0.available_permits(), upload.replay), (Room::UNITS, None));
    }
}
