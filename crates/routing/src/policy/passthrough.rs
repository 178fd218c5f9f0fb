//! TLS that is passed on as it comes (`ssl-passthrough`).

use std::sync::Arc;
use std::time::Duration;

use super::Networks;
use crate::backend::BackendKey;

/// Where the TLS of a host goes, and what holds for connections of which nothing is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passthrough {
    /// Whose endpoints get it.
    pub backend: BackendKey,
    /// Which addresses may connect.
    pub networks: Option<Arc<Networks>>,
    /// How long opening a connection to an endpoint may take.
    pub connect_timeout: Duration,
    /// The most endpoints that are tried; at least 1.
    pub tries: u16,
}
