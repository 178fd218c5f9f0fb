//! A worker's connections in HTTP/2 to endpoints: what the [pool](super::pool) is for HTTP/1, but that requests share them.
//!
//! Each has a task of its own, which moves the frames of all of its streams: what is asked by the time it runs leaves in one
//! write. Only this worker's tasks ever take the locks here, one at a time, so that they are never waited for.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeward_routing::decide::Reason;
use edgeward_routing::settings::UpstreamPool;
use foldhash::fast::RandomState;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use h2::client::{Builder, Connection, SendRequest};
use hashbrown::HashMap;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::answer::LINGER;
use super::upstream::connect;

/// What an endpoint may send of a stream before the client has taken any of it, in bytes. A connection takes as much of each
/// of its streams, so that no client stands in the way of others.
const WINDOW: u32 = 128 * 1024;

/// The longest frame that is taken; fewer heads of frames are to be read of long messages.
pub(super) const FRAME: u32 = 64 * 1024;

/// The largest head or trailers of a response that are taken: as in HTTP/1.
const HEAD: u32 = 128 * 1024;

/// What is held of a stream until the kernel takes it, in bytes.
const SEND_BUFFER: usize = 64 * 1024;

/// What frames may weigh that are smaller than what is kept of each: more than that would end the connection for all requests on
/// it. They take their frames in as they come, so that none wait; but those of calls given up, which nobody takes in, weigh for ever.
const SMALL_FRAMES: usize = usize::MAX;

/// How many streams a connection takes before the endpoint has said how many: a number that none would say.
const UNTOLD: usize = 13;

/// How long an endpoint has to say it. Some say nothing before they have read a request.
const TELLING: Duration = Duration::from_millis(100);

/// For how long requests may wait for the endpoint to take anything of their bodies, and none of them get on, before others go
/// elsewhere: what it does not read of one may fill the window that all have together (Go's own server has such a one).
const STUCK: Duration = Duration::from_millis(100);

/// Calls given up after which a connection takes no more of them. With those that it has then there are no more resets than servers
/// take: those on Netty end a connection after 200 in half a minute.
const GIVEN_UP: u32 = 100;

/// How long such a call is known: what comes of its answer is passed over then, and there may be as much of that as a window holds.
const KNOWN: Duration = Duration::from_secs(10);

/// Frames that may come later. They look like errors of the endpoint to the layer below, which ends a connection after too many.
const LATE: usize = 8192;

/// The connections of one worker.
#[derive(Default)]
pub(super) struct Links(Mutex<State>);

#[derive(Default)]
struct State {
    places: HashMap<SocketAddr, Place, RandomState>,
    /// How many may be idle; as last heard.
    most_idle: usize,
}

/// The connections to one endpoint.
#[derive(Default)]
struct Place {
    links: Vec<Arc<Link>>,
    /// Those that are being opened, and how many requests wait for each.
    opening: Vec<(Opening, usize)>,
    /// How many streams the last one took.
    streams: Option<usize>,
}

/// A connection that is being opened, for all who wait for it.
type Opening = Shared<BoxFuture<'static, Result<Arc<Link>, Reason>>>;

/// What a request may do with connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// How connections are kept.
    pub(super) pool: &'a UpstreamPool,
    /// How many requests may be on one at a time, if the endpoint allows it.
    pub(super) streams: usize,
}

impl Terms<'_> {
    /// How many requests a connection may serve.
    fn requests(&self) -> Option<u32> {
        if self.pool.connections == 0 { Some(1) } else { self.pool.requests }
    }
}

impl Links {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for a stream on a connection to an endpoint, if there is any.
    pub(super) fn take(&self, address: SocketAddr, terms: Terms<'_>, now: Instant) -> Option<Slot> {
        let state = &mut *self.state();
        // The first ones are filled first, so that the others come to rest and are closed.
        state.places.get(&address)?.links.iter().find_map(|link| link.slot(terms, now))
    }

    /// Room on a connection that is opened, by this request or by another one that wants the same.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn open(
        self: &Arc<Self>,
        address: SocketAddr,
        terms: Terms<'_>,
        time: Duration,
    ) -> Result<Slot, Reason> {
        let room = async {
            loop {
                let link = self.opening(address, terms).await?;
                // Others that waited may have taken all of it.
                if let Some(slot) = link.slot(terms, Instant::now()) {
                    return Ok(slot);
                }
            }
        };
        timeout(time, room).await.unwrap_or(Err(Reason::ConnectTimeout))
    }

    /// Room on a connection that no other request gets.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn open_alone(address: SocketAddr, terms: Terms<'_>, time: Duration) -> Result<Slot, Reason> {
        let link = timeout(time, Link::open(address, 1)).await.unwrap_or(Err(Reason::ConnectTimeout))?;
        link.slot(terms, Instant::now()).ok_or(Reason::ConnectFailed)
    }

    /// A connection that is being opened, and has room for one more request as far as is known.
    fn opening(self: &Arc<Self>, address: SocketAddr, terms: Terms<'_>) -> Opening {
        let state = &mut *self.state();
        state.most_idle = terms.pool.connections;
        let place = state.places.entry(address).or_default();
        let streams = place.streams.map_or(terms.streams, |known| known.min(terms.streams));
        place.opening.retain(|(opening, _)| opening.peek().is_none());
        let room = terms.requests().map_or(streams, |requests| streams.min(requests as usize));
        if let Some((opening, waiting)) = place.opening.iter_mut().find(|(_, waiting)| *waiting < room) {
            *waiting += 1;
            return opening.clone();
        }
        let (links, most) = (Arc::downgrade(self), terms.streams);
        let opening = async move {
            let link = Link::open(address, most).await?;
            if let Some(links) = links.upgrade() {
                links.add(address, &link);
            }
            Ok(link)
        };
        let opening = opening.boxed().shared();
        place.opening.push((opening.clone(), 1));
        opening
    }

    fn add(&self, address: SocketAddr, link: &Arc<Link>) {
        let state = &mut *self.state();
        let place = state.places.entry(address).or_default();
        place.streams = Some(link.sender.current_max_send_streams());
        place.links.push(Arc::clone(link));
    }

    /// Closes what has been idle for too long, and lets go of what takes no requests any more.
    pub(super) fn sweep(&self) {
        let State { places, most_idle } = &mut *self.state();
        let now = Instant::now();
        let mut idle = Vec::new();
        places.retain(|_, place| {
            // What nobody waits for any more nobody drives.
            place.opening.retain(|(opening, _)| opening.peek().is_none() && opening.strong_count() > Some(1));
            place.links.retain(|link| link.is_usable(now));
            idle.extend(place.links.iter().filter_map(|link| link.idle_since()));
            !place.links.is_empty() || !place.opening.is_empty()
        });
        if let Some(too_many) = idle.len().checked_sub(*most_idle + 1) {
            let (_, last, _) = idle.select_nth_unstable(too_many);
            let last = *last;
            for place in places.values_mut() {
                place.links.retain(|link| link.idle_since().is_none_or(|since| since > last));
            }
        }
    }
}

/// A connection to an endpoint. It closes when nobody has it and its last stream has ended.
pub(super) struct Link {
    sender: SendRequest<Bytes>,
    began: Instant,
    usage: Mutex<Usage>,
}

/// What is done on a connection, and was.
struct Usage {
    streams: usize,
    requests: u32,
    given_up: u32,
    /// Requests that wait for the endpoint to take something, and when the first began to or the last got on.
    waiting: usize,
    moved: Instant,
    /// Since when it has no stream, and how long it may have none.
    quiet_since: Instant,
    idle: Duration,
    /// It takes no more requests.
    is_retired: bool,
}

impl Link {
    /// Opens a connection, and learns how many streams the endpoint takes, if it says so. So nothing is asked of one that
    /// speaks another protocol or takes none, and no stream is opened that would be refused.
    async fn open(address: SocketAddr, streams: usize) -> Result<Arc<Self>, Reason> {
        let tcp = connect(address).await?;
        let streams = u32::try_from(streams).unwrap_or(u32::MAX);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(UNTOLD)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW.saturating_mul(streams).min(i32::MAX as u32))
            .max_frame_size(FRAME)
            .max_header_list_size(HEAD)
            .max_send_buffer_size(SEND_BUFFER)
            .data_frame_budget(SMALL_FRAMES)
            .max_concurrent_reset_streams(GIVEN_UP as usize + streams as usize)
            .reset_stream_duration(KNOWN)
            .max_local_error_reset_streams(Some(LATE));
        let (sender, mut connection) = builder.handshake(tcp).await.map_err(|_| Reason::ConnectFailed)?;
        let told = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(_) => Poll::Ready(Err(Reason::ConnectFailed)),
            // None is for a short while only (RFC 9113 section 6.5.2).
            Poll::Pending if !matches!(connection.max_concurrent_send_streams(), UNTOLD | 0) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        });
        timeout(TELLING, told).await.unwrap_or(Ok(()))?;
        // Whoever waits for it would open one more, and one more.
        if connection.max_concurrent_send_streams() == 0 {
            return Err(Reason::ConnectFailed);
        }
        let began = Instant::now();
        let usage = Usage {
            streams: 0,
            requests: 0,
            given_up: 0,
            waiting: 0,
            moved: began,
            quiet_since: began,
            idle: Duration::MAX,
            is_retired: false,
        };
        let link = Arc::new(Self { sender, began, usage: Mutex::new(usage) });
        tokio::spawn(drive(connection, Arc::downgrade(&link)));
        Ok(link)
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more requests.
    fn retire(&self) {
        self.usage().is_retired = true;
    }

    /// Room for one more stream, if there is any.
    fn slot(self: &Arc<Self>, terms: Terms<'_>, now: Instant) -> Option<Slot> {
        let usage = &mut *self.usage();
        let most = terms.streams.min(self.sender.current_max_send_streams());
        if usage.streams >= most || !usage.is_usable(now) || usage.is_stuck(now) {
            return None;
        }
        let is_first = usage.requests == 0;
        usage.streams += 1;
        usage.requests = usage.requests.saturating_add(1);
        usage.idle = terms.pool.idle;
        usage.is_retired |= terms.requests().is_some_and(|most| usage.requests >= most)
            || terms.pool.age.is_some_and(|age| now.saturating_duration_since(self.began) >= age);
        Some(Slot { link: Arc::clone(self), is_first })
    }

    fn is_usable(&self, now: Instant) -> bool {
        self.usage().is_usable(now)
    }

    fn idle_since(&self) -> Option<Instant> {
        let usage = self.usage();
        (usage.streams == 0).then_some(usage.quiet_since)
    }
}

impl Usage {
    /// Whether it takes requests, apart from how many it has.
    fn is_usable(&self, now: Instant) -> bool {
        !self.is_retired && (self.streams > 0 || now.saturating_duration_since(self.quiet_since) < self.idle)
    }

    /// Whether it may be that the endpoint takes nothing any more.
    fn is_stuck(&self, now: Instant) -> bool {
        self.waiting > 0 && now.saturating_duration_since(self.moved) >= STUCK
    }
}

/// Moves the frames of a connection to its end.
async fn drive(connection: Connection<TcpStream, Bytes>, link: Weak<Link>) {
    let mut connection = pin!(connection);
    // An endpoint that reads nothing is not waited for once nobody has the connection.
    while timeout(LINGER, &mut connection).await.is_err() {
        if link.strong_count() == 0 {
            return;
        }
    }
    if let Some(link) = link.upgrade() {
        link.retire();
    }
}

/// Room for one stream on a connection.
pub(super) struct Slot {
    link: Arc<Link>,
    /// Whether it is the first one of the connection.
    pub(super) is_first: bool,
}

impl Slot {
    /// What opens the stream.
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.link.sender.clone()
    }

    /// Has the connection take no more requests.
    pub(super) fn retire(&self) {
        self.link.retire();
    }

    /// Notes that the request waits for the endpoint to take something of it, or no longer does.
    pub(super) fn set_waiting(&self, is_waiting: bool) {
        let usage = &mut *self.link.usage();
        if usage.waiting == 0 || !is_waiting {
            usage.moved = Instant::now();
        }
        match is_waiting {
            true => usage.waiting += 1,
            false => usage.waiting -= 1,
        }
    }

    /// Notes that the stream did not come to its end.
    pub(super) fn give_up(&self) {
        let usage = &mut *self.link.usage();
        usage.given_up += 1;
        usage.is_retired |= usage.given_up >= GIVEN_UP;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let usage = &mut *self.link.usage();
        usage.streams -= 1;
        if usage.streams == 0 {
            usage.quiet_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests;
