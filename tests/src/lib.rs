//! The harness of the integration tests: it drives the `edgeward` binary as a black box.
//!
//! A test writes manifests into a directory ([`manifest`]), starts backends on loopback addresses of their own
//! ([`backend`], [`h2_backend`], [`collector`]), runs the binary over the directory ([`edgeward`]), and looks at it from outside with
//! clients that see every byte ([`client`], [`tls`], [`h2_client`], [`websocket`], [`load`]).
//!
//! Nothing here retries, and nothing hides a failure: what a client of the product would see is what a test sees.

pub mod address;
pub mod backend;
pub mod certificate;
pub mod client;
pub mod cluster;
pub mod collector;
pub mod cut;
pub mod edgeward;
pub mod h2_backend;
pub mod h2_client;
pub mod hostile;
pub mod load;
pub mod manifest;
pub mod message;
pub mod tls;
pub mod turn;
pub mod websocket;

/// How long a test waits for something that should happen at once, before it calls it missing. Generous, for a loaded
/// machine; a test about time measures it itself.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
