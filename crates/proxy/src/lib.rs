//! From a routing snapshot to traffic.
//!
//! ```text
//! listener -> PROXY protocol? -> TLS by SNI -> stream -> engine -> decide -> balance -> upstream
//! ```
//!
//! This crate and the binary that starts it are the only ones that know Pingora. It gets its routes as a
//! [`edgeward_routing::Snapshot`] and does not know where they come from.

pub mod access_log;
mod clock;
pub mod connection;
pub mod drain;
pub mod engine;
#[cfg(test)]
mod fixture;
mod head;
pub mod health;
pub mod limits;
pub mod lines;
pub mod listener;
pub mod metrics;
mod pipe;
pub mod proxy_protocol;
pub mod record;
pub mod ring;
mod seats;
mod seldom;
mod session;
mod shortage;
mod socket;
mod stream;
mod subrequest;
pub mod tls;
pub mod trace;
