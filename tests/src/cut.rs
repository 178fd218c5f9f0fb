//! A TCP forwarder that can be cut: the network between Edgeward and what it talks to.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::address::free_port;

/// A forwarder on loopback.
#[derive(Debug)]
pub struct Cut {
    /// Where it listens.
    pub addr: SocketAddr,
    state: watch::Sender<State>,
}

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// New ones are closed at once, and so are those that are open.
    Closed,
    /// Nothing is forwarded any more, and nobody is told.
    Silent,
}

impl Cut {
    /// Forwards to this address.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn start(to: SocketAddr) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let listener = TcpListener::bind(addr).await.expect("a free port");
        let state = watch::Sender::new(State::Open);
        let seen = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, to, seen.subscribe()));
            }
        });
        Self { addr, state }
    }

    /// Closes all connections, and new ones at once.
    pub fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Forwards nothing any more, without a word.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Forwards again. Connections from before stay as they are.
    pub fn mend(&self) {
        self.state.send_replace(State::Open);
    }
}

async fn forward(mut client: TcpStream, to: SocketAddr, mut state: watch::Receiver<State>) {
    let is_open = *state.borrow_and_update() == State::Open;
    if is_open {
        let Ok(mut server) = TcpStream::connect(to).await else { return };
        tokio::select! {
            // Either side may break off.
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = state.wait_for(|state| *state != State::Open) => {}
        }
        if *state.borrow() == State::Silent {
            // Held open: the other side learns of nothing.
            let _ = state.wait_for(|state| *state == State::Closed).await;
        }
    } else if *state.borrow() == State::Silent {
        let _ = state.wait_for(|state| *state != State::Silent).await;
    }
}
