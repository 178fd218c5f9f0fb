//! The orderly end of all listeners.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::connection::Phase;
use crate::listener::{LAST_WORDS, Running};

/// How to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainOptions {
    /// Total time. What connections are left then are cut.
    pub timeout: Duration,
    /// How long a connection without a request is kept open for one more, which on HTTP/1 is then answered with
    /// `Connection: close`. Closing at once would fail the requests that are on their way.
    pub idle_grace: Duration,
    /// The last part of the time, over which WebSockets are closed one after the other, so that their clients do not all
    /// reconnect at once.
    pub tunnel_window: Duration,
}

impl Default for DrainOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            idle_grace: Duration::from_secs(1),
            tunnel_window: Duration::from_secs(5),
        }
    }
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had to be cut at the end of the time.
    pub cut: usize,
    /// How long it took.
    pub elapsed: Duration,
}

/// The end of the time, in which a closed tunnel still hears its client's goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

impl Running {
    /// Takes no new connections, finishes what is under way, and returns as soon as no connection is left or the time is
    /// up. The caller has failed its readiness and waited for the network to turn away beforehand. The worker threads
    /// stay for [`stop`](Self::stop).
    ///
    /// - Connections that wait in the listeners' queues are still taken.
    /// - HTTP/1 responses say `Connection: close` (the engine asks [`is_draining`](crate::connection::Connection::is_draining));
    ///   connections between two requests get `idle_grace`.
    /// - HTTP/2 connections get a GOAWAY, and finish their streams; a client that does not answer it has `idle_grace`.
    /// - WebSockets live on until `tunnel_window` before the end, then get a close frame with status 1001. TLS that is passed on
    ///   ends as they do, without a word.
    pub async fn drain(&self, options: &DrainOptions) -> Drained {
        let begun = Instant::now();
        let end = begun + options.timeout;
        // First the phase, then the rest: a response that is written from here on must be able to see it.
        self.advance(Phase::Draining, options.idle_grace);
        self.accepting.send_replace(false);
        let window = options.tunnel_window.min(options.timeout);
        if !self.is_empty_by(end - window).await {
            self.close_tunnels(end - window, end - GOODBYE.min(window)).await;
            self.is_empty_by(end).await;
        }
        let cut = self.connections().total;
        self.advance(Phase::Cut, Duration::ZERO);
        if cut > 0 {
            // The engine still logs what was under way.
            tokio::time::sleep(LAST_WORDS).await;
        }
        Drained { cut, elapsed: begun.elapsed() }
    }

    /// Closes the tunnels one by one, in random order and over the whole time, and at its end those that are still to
    /// become tunnels.
    async fn close_tunnels(&self, from: Instant, until: Instant) {
        let mut tunnels: Vec<_> = self.registries.iter().flat_map(|registry| registry.tunnels()).collect();
        fastrand::shuffle(&mut tunnels);
        let step = (until - from) / u32::try_from(tunnels.len()).unwrap_or(u32::MAX).max(1);
        for (index, tunnel) in tunnels.iter().enumerate() {
            let at = from + step.mul_f64(index as f64 + fastrand::f64());
            if self.is_empty_by(at).await {
                return;
            }
            tunnel.advance(Phase::Closing, Duration::ZERO);
        }
        if !self.is_empty_by(until).await {
            self.advance(Phase::Closing, Duration::ZERO);
        }
    }

    fn advance(&self, phase: Phase, idle_grace: Duration) {
        self.registries.iter().for_each(|registry| registry.advance(phase, idle_grace));
    }

    /// Waits until no connection is left, at the latest until `end`, and says which it was.
    async fn is_empty_by(&self, end: Instant) -> bool {
        loop {
            if self.shared.accepts_nothing() && self.connections().total == 0 {
                return true;
            }
            tokio::select! {
                () = self.shared.something_ended() => {}
                () = sleep_until(end) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests;
