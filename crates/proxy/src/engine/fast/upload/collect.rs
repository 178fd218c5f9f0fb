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

/// How much is read at a time at most.
const PIECE: usize = 16 << 10;

/// Bytes that a permit stands for.
const UNIT: usize = 1024;

/// The room for all bodies that are collected in the process: 32 MiB. Each takes twice its length, for it is copied behind the
/// head that it goes with.
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
        let body = self.replay.get_or_insert_default();
        while !client.is_body_read() {
            let held = self.room.as_ref().map_or(0, |room| room.num_permits());
            let units = 2 * (body.len() + 1).div_ceil(UNIT);
            if body.len() > LONGEST {
                return Poll::Ready(Ok(None));
            }
            if let Ok(more @ 1..) = u32::try_from(units.saturating_sub(held)) {
                let Ok(permit) = Arc::clone(&room.0).try_acquire_many_owned(more) else { return Poll::Ready(Ok(None)) };
                match &mut self.room {
                    Some(room) => room.merge(permit),
                    none => *none = Some(permit),
                }
            }
            let before = body.len();
            body.reserve(PIECE);
            match client::poll_read_body(client, cx, &mut (&mut *body).limit(PIECE)) {
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

    /// Makes room once an endpoint has answered for good, however long that answer takes: what was collected is not sent again.
    pub(in crate::engine::fast) fn settle(&mut self) {
        if self.room.take().is_some() {
            self.replay = None;
        }
    }
}
