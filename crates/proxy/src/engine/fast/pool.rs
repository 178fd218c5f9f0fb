//! What a worker keeps for its next request: connections to endpoints, buffers, and the like.
//!
//! Only this worker's tasks ever take the locks here, one at a time, so that they are never waited for.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use edgeward_routing::settings::UpstreamPool;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tokio::net::TcpStream;

use super::links::Links;
use crate::clock;
use crate::pipe::Pipe;
use crate::stream::Deadline;

/// How often connections that nobody needs any more are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Idle connections to endpoints.
#[derive(Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    /// By endpoint, the one that was used last at the end.
    connections: HashMap<SocketAddr, Vec<Waiting>, RandomState>,
    count: usize,
}

/// A connection to an endpoint.
pub(super) struct Kept {
    pub(super) tcp: TcpStream,
    pub(super) past: Past,
}

/// What was done on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    began: Instant,
    requests: u32,
}

impl Kept {
    /// One that has served nothing yet.
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, past: Past { began: clock::now(), requests: 0 } }
    }
}

struct Waiting {
    kept: Kept,
    since: Instant,
    until: Instant,
}

impl Waiting {
    /// Whether nothing has come on it, its end included. That is known without a system call.
    fn is_quiet(&self) -> bool {
        matches!(self.kept.tcp.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to an endpoint that was used before, the one that was used last, if there is one.
    pub(super) fn take(&self, address: SocketAddr, now: Instant) -> Option<Kept> {
        let idle = &mut *self.idle();
        let kept = idle.connections.get_mut(&address)?;
        while let Some(last) = kept.pop() {
            idle.count -= 1;
            if last.is_quiet() && now < last.until {
                return Some(last.kept);
            }
        }
        None
    }

    /// Keeps a connection that has served one more request for the next one, as `settings` have it. When there are too many,
    /// those that have been idle for longest go.
    pub(super) fn put(&self, address: SocketAddr, mut kept: Kept, settings: &UpstreamPool) {
        let since = clock::now();
        kept.past.requests = kept.past.requests.saturating_add(1);
        let is_used_up = settings.requests.is_some_and(|most| kept.past.requests >= most)
            || settings.age.is_some_and(|age| since.duration_since(kept.past.began) >= age);
        if settings.connections == 0 || is_used_up {
            return;
        }
        let idle = &mut *self.idle();
        while idle.count >= settings.connections
            && let Some((kept, _)) = idle
                .connections
                .values_mut()
                .filter_map(|kept| kept.first().map(|first| first.since).map(|since| (kept, since)))
                .min_by_key(|(_, since)| *since)
        {
            kept.remove(0);
            idle.count -= 1;
        }
        idle.connections.entry(address).or_default().push(Waiting { kept, since, until: since + settings.idle });
        idle.count += 1;
    }

    /// Closes what has been idle for too long or was closed by the endpoint.
    fn sweep(&self) {
        let idle = &mut *self.idle();
        let now = Instant::now();
        let mut count = 0;
        idle.connections.retain(|_, kept| {
            kept.retain(|one| now < one.until && one.is_quiet());
            count += kept.len();
            !kept.is_empty()
        });
        idle.count = count;
    }
}

/// Sweeps what is kept for as long as it is there.
pub(super) async fn sweep(pool: Weak<Pool>, links: Weak<Links>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let (Some(pool), Some(links)) = (pool.upgrade(), links.upgrade()) else { return };
        pool.sweep();
        links.sweep();
    }
}

/// Things that a worker has at hand for whoever needs one next.
struct Spare<T>(Mutex<Vec<T>>);

impl<T> Spare<T> {
    fn free(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them, if there is one.
    fn take(&self) -> Option<T> {
        self.free().pop()
    }

    /// Keeps one more, up to `most`.
    fn put(&self, one: T, most: usize) {
        let mut free = self.free();
        if free.len() < most {
            free.push(one);
        }
    }
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Buffers for bodies, and for the heads of responses.
#[derive(Default)]
pub(super) struct Buffers(Spare<Vec<u8>>);

impl Buffers {
    /// Bytes that a buffer has room for: what one read takes at most, and the longest head of a response.
    pub(super) const SIZE: usize = 128 * 1024;

    /// How many are kept. More are in use only while more transfers are stuck half-way.
    const MOST: usize = 16;

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.take().unwrap_or_else(|| Vec::with_capacity(Self::SIZE))
    }

    /// Gives a buffer back. One without room is none.
    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        // Nothing makes them larger on purpose.
        if (Self::SIZE..=2 * Self::SIZE).contains(&buffer.capacity()) {
            buffer.clear();
            self.0.put(buffer, Self::MOST);
        }
    }
}

/// Pipes for large bodies.
#[derive(Default)]
pub(super) struct Pipes(Spare<Pipe>);

impl Pipes {
    /// How many are kept.
    const MOST: usize = 16;

    /// A body of which less is to come is not worth the detour.
    pub(super) const WORTH: u64 = 64 * 1024;

    /// An empty pipe; `None` when the system has none left, and bodies have to go the other way.
    pub(super) fn take(&self) -> Option<Pipe> {
        self.0.take().or_else(|| Pipe::new().ok())
    }

    /// Gives a pipe back that is empty.
    pub(super) fn put(&self, pipe: Pipe) {
        self.0.put(pipe, Self::MOST);
    }
}

/// Deadlines. Their timers run on: one that is to fire later than that need not be made and set anew.
#[derive(Default)]
pub(super) struct Deadlines(Spare<Deadline>);

impl Deadlines {
    /// How many are kept. Until its timer fires, each of them holds on to what is left of the task that had it.
    const MOST: usize = 64;

    /// A deadline that is not set.
    pub(super) fn take(&self) -> Deadline {
        self.0.take().unwrap_or_default()
    }

    /// Gives a deadline back.
    pub(super) fn put(&self, mut deadline: Deadline) {
        deadline.clear();
        self.0.put(deadline, Self::MOST);
    }
}

#[cfg(test)]
mod tests;
