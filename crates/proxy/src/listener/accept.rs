//! The accept loop of one worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::observer::{Event, Rejection};
use super::serve::Incoming;
use super::{Application, Shared, serve};
use crate::connection::Registry;
use crate::seldom::Seldom;

/// How long accepting rests after the system gave no connection. Trying again at once would only burn the core that
/// could free some.
const REST: Duration = Duration::from_millis(50);

/// One worker: its connections and its HTTP engine.
pub(super) struct Worker<A> {
    pub(super) shared: Arc<Shared>,
    pub(super) registry: Arc<Registry>,
    pub(super) app: Arc<A>,
}

impl<A: Application> Worker<A> {
    /// Accepts until `accepting` turns false, then what has queued up, and closes the listener.
    pub(super) async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        tls: bool,
        mut accepting: watch::Receiver<bool>,
    ) {
        let _ending = Ending(Arc::clone(&self.shared));
        let failing = Seldom::default();
        let local = listener.local_addr().ok().filter(|local| !local.ip().is_unspecified());
        let mut closing = pin!(accepting.wait_for(|accepting| !accepting));
        loop {
            let accepted = tokio::select! {
                biased;
                _ = &mut closing => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => self.admit(tcp, peer, local, tls),
                Err(error) => {
                    self.shared.observer.observe(Event::AcceptFailed(&error));
                    if concerns_listener(&error) {
                        if failing.is_due() {
                            tracing::warn!(%error, "cannot accept connections, trying again");
                        }
                        tokio::time::sleep(REST).await;
                    }
                }
            }
        }
        // These clients were told that they are connected; closing the listener would reset them.
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((tcp, peer)) = listener.accept() {
            if tcp.set_nonblocking(true).is_ok()
                && let Ok(tcp) = TcpStream::from_std(tcp)
            {
                self.admit(tcp, peer, local, tls);
            }
        }
    }

    fn admit(&self, tcp: TcpStream, peer: SocketAddr, local: Option<SocketAddr>, tls: bool) {
        let shared = &self.shared;
        shared.observer.observe(Event::Accepted { tls });
        let cap = shared.max_connections;
        let before = shared.live.fetch_add(1, Ordering::Relaxed);
        if cap > 0 && before >= cap {
            shared.live.fetch_sub(1, Ordering::Relaxed);
            shared.observer.observe(Event::Rejected { peer, reason: Rejection::TooManyConnections });
            return;
        }
        let incoming = Incoming {
            fd: tcp.as_raw_fd(),
            tcp,
            peer,
            local,
            tls,
            registration: self.registry.register(tls),
            shared: Arc::clone(shared),
        };
        // Apart, for a task moves what it is given half a dozen times, and this is some kilobytes.
        tokio::spawn(Box::pin(serve::serve(incoming, Arc::clone(&self.app))));
    }
}

/// Tells that an accept loop has ended, however it did.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.accepting.fetch_sub(1, Ordering::Release);
        self.0.ended.notify_one();
    }
}

/// Whether an error of `accept` is the listener's or the system's, rather than that of a connection which broke before
/// it was taken out of the queue.
fn concerns_listener(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting_rests_for_the_systems_errors_only() {
        // EMFILE, ENFILE, ENOBUFS, ENOMEM
        for code in [24, 23, 105, 12] {
            assert!(concerns_listener(&io::Error::from_raw_os_error(code)), "{code}");
        }
        // ECONNABORTED, EINTR
        for code in [103, 4] {
            assert!(!concerns_listener(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
