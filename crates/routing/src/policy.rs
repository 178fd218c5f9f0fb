//! Policies: the typed behaviours of a route, compiled from annotations, ConfigMap keys and defaults.
//!
//! Each policy is one module. None of them holds text that is parsed again at run time.

pub mod block;
pub mod body_size;
pub mod cors;
pub mod limits;
pub mod networks;
pub mod protocol;
pub mod redirect;
pub mod rewrite;
pub mod ssl_redirect;
pub mod timeouts;

pub use block::Block;
pub use body_size::BodySize;
pub use cors::Cors;
pub use limits::Limits;
pub use networks::{NetworkSet, Networks, Satisfy};
pub use protocol::BackendProtocol;
pub use redirect::{HostPolicies, Redirect, RedirectStyle};
pub use rewrite::{Replacement, Rewrite, RewriteFrom, Rewritten};
pub use ssl_redirect::SslRedirect;
pub use timeouts::Timeouts;

use std::sync::Arc;

/// The policies of one route. What most routes do not have is behind a pointer, so that they pay nothing for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policies {
    /// Why this route answers 503 to everything: a guard that it asks for cannot be enforced. The text is for the log.
    pub closed: Option<Box<str>>,
    /// Redirect of plain HTTP to HTTPS.
    pub ssl_redirect: SslRedirect,
    /// The largest request body.
    pub body_size: BodySize,
    /// What is spoken to the endpoints.
    pub protocol: BackendProtocol,
    /// How long the endpoints may take.
    pub timeouts: Timeouts,
    /// What holds for its host.
    pub host: Option<Arc<HostPolicies>>,
    /// Where all requests are redirected to.
    pub redirect: Option<Arc<Redirect>>,
    /// What the endpoints get instead of the path.
    pub rewrite: Option<Arc<Rewrite>>,
    /// How redirects are written.
    pub redirect_style: RedirectStyle,
    /// What scripts of other origins may do.
    pub cors: Option<Arc<Cors>>,
    /// How much one client may ask.
    pub limits: Option<Arc<Limits>>,
    /// Which addresses may ask.
    pub networks: Option<Arc<Networks>>,
    /// Whether one guard that lets a request pass is enough.
    pub satisfy: Satisfy,
}

#[cfg(test)]
mod tests;
