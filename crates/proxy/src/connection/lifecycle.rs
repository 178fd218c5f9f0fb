//! The live half of a connection: its state, and the drain's hold on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use pingora::server::ShutdownWatch;
use tokio::sync::watch;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// Reading a PROXY protocol header or shaking hands.
    Handshake = 0,
    /// Between two requests, or before the first.
    Waiting = 1,
    /// Part of a request head has come.
    Reading = 2,
    /// A request is being served.
    Active = 3,
    /// Upgraded: a WebSocket or another tunnel.
    Tunnel = 4,
}

impl ConnectionState {
    const ALL: [Self; 5] = [Self::Handshake, Self::Waiting, Self::Reading, Self::Active, Self::Tunnel];

    fn from_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::Handshake)
    }
}

/// How many connections are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// All of them.
    pub total: usize,
    /// Those that were accepted on an HTTPS listener.
    pub tls: usize,
    /// In [`ConnectionState::Handshake`].
    pub handshake: usize,
    /// In [`ConnectionState::Waiting`].
    pub waiting: usize,
    /// In [`ConnectionState::Reading`].
    pub reading: usize,
    /// In [`ConnectionState::Active`].
    pub active: usize,
    /// In [`ConnectionState::Tunnel`].
    pub tunnel: usize,
}

/// How far a drain has come, for one connection. Only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// No drain.
    Serving = 0,
    /// Finish what is under way; between two requests, wait for the grace and close.
    Draining = 1,
    /// Tunnels say goodbye.
    Closing = 2,
    /// Reads and writes fail.
    Cut = 3,
}

impl Phase {
    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Serving,
            1 => Self::Draining,
            2 => Self::Closing,
            _ => Self::Cut,
        }
    }
}

/// The live half of one connection. Its task writes most of it; a drain writes the phase from another thread.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    state: AtomicU8,
    phase: AtomicU8,
    idle_grace_ms: AtomicU32,
    taken: AtomicU64,
    done: AtomicU64,
    upgraded: AtomicBool,
    websocket: AtomicBool,
    cut_short: AtomicBool,
    /// When its worker began.
    began: Instant,
    /// Milliseconds after that; 0 for none.
    deadline: AtomicU64,
    /// Whether the client is to be told to send no more requests here.
    is_leaving: AtomicBool,
    /// Tells the one who asked to be told; made when somebody asks.
    leaving: OnceLock<watch::Sender<bool>>,
    waker: AtomicWaker,
    gauges: Arc<Gauges>,
}

/// Counts of one worker's connections. One per worker, so that no request writes to memory that another core uses.
#[derive(Debug, Default)]
struct Gauges {
    states: [AtomicUsize; ConnectionState::ALL.len()],
    tls: AtomicUsize,
}

impl Lifecycle {
    fn new(began: Instant, gauges: Arc<Gauges>) -> Self {
        gauges.states[ConnectionState::Handshake as usize].fetch_add(1, Ordering::Relaxed);
        Self {
            state: AtomicU8::new(ConnectionState::Handshake as u8),
            phase: AtomicU8::new(Phase::Serving as u8),
            idle_grace_ms: AtomicU32::new(0),
            taken: AtomicU64::new(0),
            done: AtomicU64::new(0),
            upgraded: AtomicBool::new(false),
            websocket: AtomicBool::new(false),
            cut_short: AtomicBool::new(false),
            began,
            deadline: AtomicU64::new(0),
            is_leaving: AtomicBool::new(false),
            leaving: OnceLock::new(),
            waker: AtomicWaker::new(),
            gauges,
        }
    }

    /// What the connection is doing.
    pub(crate) fn state(&self) -> ConnectionState {
        ConnectionState::from_code(self.state.load(Ordering::Relaxed))
    }

    /// Notes what the connection is doing.
    pub(crate) fn enter(&self, state: ConnectionState) {
        // Mostly it does that already, and to look is cheaper than to write.
        if self.state.load(Ordering::Relaxed) == state as u8 {
            return;
        }
        let old = self.state.swap(state as u8, Ordering::Relaxed);
        self.gauges.states[usize::from(old)].fetch_sub(1, Ordering::Relaxed);
        self.gauges.states[state as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn request_started(&self) {
        if self.taken.fetch_add(1, Ordering::Relaxed) == self.requests_done() && !self.is_tunnel() {
            self.enter(ConnectionState::Active);
        }
    }

    pub(super) fn request_done(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done == self.requests_taken() && !self.is_tunnel() {
            self.enter(ConnectionState::Waiting);
            if self.phase() >= Phase::Draining {
                // From here on the connection waits for its end.
                self.waker.wake();
            }
        }
    }

    /// How many requests the engine took up.
    pub(crate) fn requests_taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many requests the engine is through with.
    pub(crate) fn requests_done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Notes that what follows, in both directions, is no HTTP.
    pub(crate) fn upgraded(&self, websocket: bool) {
        self.websocket.store(websocket, Ordering::Relaxed);
        self.upgraded.store(true, Ordering::Relaxed);
        self.enter(ConnectionState::Tunnel);
    }

    /// Whether the connection was upgraded, or is passed on as it comes.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// Whether the tunnel is a WebSocket.
    pub(crate) fn is_websocket(&self) -> bool {
        self.websocket.load(Ordering::Relaxed)
    }

    pub(super) fn cut_short(&self) {
        self.cut_short.store(true, Ordering::Relaxed);
    }

    /// Whether the engine gave up on a response that it had begun.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.cut_short.load(Ordering::Relaxed)
    }

    pub(super) fn set_deadline(&self, deadline: Option<Instant>) {
        let millis = deadline.map_or(0, |deadline| deadline.saturating_duration_since(self.began).as_millis().max(1));
        self.deadline.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Until when the engine waits for an endpoint.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.deadline.load(Ordering::Relaxed) {
            0 => None,
            millis => self.began.checked_add(Duration::from_millis(millis)),
        }
    }

    /// How far the drain has come.
    pub(crate) fn phase(&self) -> Phase {
        Phase::from_code(self.phase.load(Ordering::Acquire))
    }

    /// How long the connection waits for another request once it drains.
    pub(crate) fn idle_grace(&self) -> Duration {
        Duration::from_millis(u64::from(self.idle_grace_ms.load(Ordering::Relaxed)))
    }

    /// Takes the connection on to `phase`, and wakes its task so that it notices. Never takes it back.
    pub(crate) fn advance(&self, phase: Phase, idle_grace: Duration) {
        let millis = u32::try_from(idle_grace.as_millis()).unwrap_or(u32::MAX);
        self.idle_grace_ms.store(millis, Ordering::Release);
        // Waking uses the waker up, and the task leaves a new one only for a new phase.
        if self.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8 {
            self.leave();
            self.waker.wake();
        }
    }

    /// Has the engine tell the client to send no more requests here: by a GOAWAY on HTTP/2, with the next response on
    /// HTTP/1.
    pub(crate) fn leave(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
        if let Some(leaving) = self.leaving.get() {
            leaving.send_replace(true);
        }
    }

    /// Whether the client is to [leave](Self::leave).
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::SeqCst)
    }

    /// Turns true when the client is to [leave](Self::leave).
    pub(super) fn leaving(&self) -> ShutdownWatch {
        let leaving = self.leaving.get_or_init(|| watch::channel(false).0);
        // Whoever set it before the channel was there to be told has set it before this.
        if self.is_leaving.load(Ordering::SeqCst) {
            leaving.send_replace(true);
        }
        leaving.subscribe()
    }

    /// The task to wake when the phase changes next, or when the last request ends during a drain, once.
    pub(crate) fn watch(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

/// All connections of one worker.
#[derive(Debug)]
pub(crate) struct Registry {
    began: Instant,
    gauges: Arc<Gauges>,
    live: Mutex<Live>,
}

#[derive(Debug)]
struct Live {
    next: u64,
    connections: BTreeMap<u64, Arc<Lifecycle>>,
    phase: Phase,
    idle_grace: Duration,
}

impl Default for Live {
    fn default() -> Self {
        Self { next: 0, connections: BTreeMap::new(), phase: Phase::Serving, idle_grace: Duration::ZERO }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self { began: Instant::now(), gauges: Arc::default(), live: Mutex::default() }
    }
}

impl Registry {
    fn live(&self) -> MutexGuard<'_, Live> {
        // No code can panic while it holds this lock, and the map would be whole if it did.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. It leaves when the registration is dropped.
    pub(crate) fn register(self: &Arc<Self>, tls: bool) -> Registration {
        let lifecycle = Arc::new(Lifecycle::new(self.began, Arc::clone(&self.gauges)));
        if tls {
            self.gauges.tls.fetch_add(1, Ordering::Relaxed);
        }
        let mut live = self.live();
        // Under the lock, so that a drain that begins now reaches this connection in one of the two ways.
        lifecycle.advance(live.phase, live.idle_grace);
        let id = live.next;
        live.next += 1;
        live.connections.insert(id, Arc::clone(&lifecycle));
        drop(live);
        Registration { registry: Arc::clone(self), id, tls, lifecycle }
    }

    /// Takes all connections, and those still to come, on to `phase`.
    pub(crate) fn advance(&self, phase: Phase, idle_grace: Duration) {
        let mut live = self.live();
        live.phase = live.phase.max(phase);
        live.idle_grace = idle_grace;
        for lifecycle in live.connections.values() {
            lifecycle.advance(phase, idle_grace);
        }
    }

    /// The connections that are tunnels now.
    pub(crate) fn tunnels(&self) -> Vec<Arc<Lifecycle>> {
        self.live().connections.values().filter(|lifecycle| lifecycle.is_tunnel()).cloned().collect()
    }

    /// Adds this worker's connections to `sum`.
    pub(crate) fn count(&self, sum: &mut Connections) {
        let read = |state: ConnectionState| self.gauges.states[state as usize].load(Ordering::Relaxed);
        sum.handshake += read(ConnectionState::Handshake);
        sum.waiting += read(ConnectionState::Waiting);
        sum.reading += read(ConnectionState::Reading);
        sum.active += read(ConnectionState::Active);
        sum.tunnel += read(ConnectionState::Tunnel);
        sum.total += ConnectionState::ALL.into_iter().map(read).sum::<usize>();
        sum.tls += self.gauges.tls.load(Ordering::Relaxed);
    }
}

/// A connection's place in a [`Registry`].
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    id: u64,
    tls: bool,
    lifecycle: Arc<Lifecycle>,
}

impl Registration {
    /// The live half of the connection.
    pub(crate) fn lifecycle(&self) -> &Arc<Lifecycle> {
        &self.lifecycle
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.live().connections.remove(&self.id);
        let gauges = &self.registry.gauges;
        gauges.states[self.lifecycle.state() as usize].fetch_sub(1, Ordering::Relaxed);
        if self.tls {
            gauges.tls.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
