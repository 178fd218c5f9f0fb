//! `custom-http-errors` and `default-backend`: statuses that another backend answers for.

use crate::backend::BackendKey;

/// Which answers of a route another backend gives, and which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPages {
    /// The statuses, sorted.
    pub statuses: Box<[u16]>,
    /// Whether endpoints' answers with these statuses are replaced too, and not only the proxy's own.
    pub intercepts: bool,
    /// Who answers; where it is `None`, or has no endpoint, the default backend does.
    pub backend: Option<BackendKey>,
}

impl ErrorPages {
    /// Whether an answer with this status is replaced.
    pub fn has(&self, status: u16) -> bool {
        self.statuses.binary_search(&status).is_ok()
    }
}
