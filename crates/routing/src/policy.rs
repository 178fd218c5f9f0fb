//! Policies: the typed behaviours of a route, compiled from annotations, ConfigMap keys and defaults.
//!
//! Each policy is one module. None of them holds text that is parsed again at run time.

pub mod basic_auth;
pub mod block;
pub mod body_size;
pub mod client_certificate;
pub mod cors;
pub mod digest_auth;
pub mod error_pages;
pub mod expression;
pub mod external_auth;
pub mod host_tls;
pub mod limits;
pub mod mirror;
pub mod networks;
pub mod passthrough;
pub mod protocol;
pub mod redirect;
pub mod response;
pub mod retry;
pub mod rewrite;
pub mod ssl_redirect;
pub mod timeouts;
pub mod trace;
pub mod upstream_request;
pub mod upstream_tls;

pub use basic_auth::BasicAuth;
pub use block::Block;
pub use body_size::BodySize;
pub use client_certificate::{ClientAuthority, ClientCertificate, ClientCertificates, TlsClient, Verify};
pub use cors::Cors;
pub use digest_auth::DigestAuth;
pub use error_pages::ErrorPages;
pub use expression::{Expression, ParseExpressionError};
pub use external_auth::ExternalAuth;
pub use host_tls::HostTls;
pub use limits::Limits;
pub use mirror::Mirror;
pub use networks::{NetworkSet, Networks, Satisfy};
pub use passthrough::Passthrough;
pub use protocol::BackendProtocol;
pub use redirect::{HostPolicies, Redirect, RedirectStyle};
pub use response::{BadField, HeaderFields, Pace, ResponsePolicies, Substitution};
pub use retry::{Fault, Faults, Retry};
pub use rewrite::{Replacement, Rewrite, RewriteFrom, Rewritten};
pub use ssl_redirect::SslRedirect;
pub use timeouts::Timeouts;
pub use trace::Trace;
pub use upstream_request::{ConnectionOption, UpstreamRequest};
pub use upstream_tls::{Authority, UpstreamTls};

use std::sync::Arc;
use std::time::Duration;

use crate::backend::BackendKey;

/// The policies of one route. What most routes do not have is behind a pointer, so that they pay nothing for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policies {
    /// Why this route answers 503 to everything: a guard that it asks for cannot be enforced. The text is for the log.
    pub closed: Option<Box<str>>,
    /// Redirect of plain HTTP to HTTPS.
    pub ssl_redirect: SslRedirect,
    /// The largest request body.
    pub body_size: BodySize,
    /// How long a tunnel to an endpoint may be silent, where the route says so (`proxy-read-timeout`).
    pub tunnel_idle: Option<Duration>,
    /// Whether the bodies of requests go on as they come, without a length if they have none (`proxy-request-buffering: off`).
    pub streams_request: bool,
    /// What is spoken to the endpoints.
    pub protocol: BackendProtocol,
    /// How long the endpoints may take.
    pub timeouts: Timeouts,
    /// When another endpoint is tried.
    pub retry: Retry,
    /// How requests to the endpoints are written other than usual.
    pub upstream_request: Option<Arc<UpstreamRequest>>,
    /// What is shown to endpoints that speak TLS, and what they have to show.
    pub upstream_tls: Option<Arc<UpstreamTls>>,
    /// Where copies of its requests go.
    pub mirror: Option<Arc<Mirror>>,
    /// Which answers another backend gives.
    pub error_pages: Option<Arc<ErrorPages>>,
    /// The backend that takes its requests while its own has no endpoint (`default-backend`).
    pub stand_in: Option<Arc<BackendKey>>,
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
    /// Who may pass with which password.
    pub basic_auth: Option<Arc<BasicAuth>>,
    /// Who may pass with the proof that it knows which password. A route has one of the two.
    pub digest_auth: Option<Arc<DigestAuth>>,
    /// Who is asked whether a request may pass.
    pub external_auth: Option<Arc<ExternalAuth>>,
    /// Whether clients are given the session cookie of the backend, if it has one: only routes that ask for affinity hand
    /// it out, though all routes to the backend heed it (recorded: c272).
    pub sets_session: bool,
    /// What is changed in its responses, and how fast they are sent.
    pub response: Option<Arc<ResponsePolicies>>,
    /// Whether its requests are kept out of the access log (`enable-access-log`).
    pub is_unlogged: bool,
    /// How its requests are traced, if they are.
    pub trace: Option<Arc<Trace>>,
}

impl Policies {
    /// Whether a client has to say who it is.
    pub fn asks_who(&self) -> bool {
        self.basic_auth.is_some() || self.digest_auth.is_some() || self.external_auth.is_some()
    }

    /// Whether it has guards which let in others than those of `other` do.
    pub(crate) fn is_guarded_unlike(&self, other: &Self) -> bool {
        let guards = |policies: &Self| (policies.closed.is_some(), policies.networks.is_some(), policies.asks_who());
        guards(self) != (false, false, false)
            && (guards(self) != guards(other)
                || self.networks != other.networks
                || self.satisfy != other.satisfy
                || self.basic_auth != other.basic_auth
                || self.digest_auth != other.digest_auth
                || self.external_auth != other.external_auth)
    }
}

#[cfg(test)]
mod tests;
