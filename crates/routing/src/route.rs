//! A route: host pattern, path pattern, where requests go, and the policies on the way.

use std::sync::Arc;

use crate::attachment::Attachment;
use crate::backend::BackendId;
use crate::host::HostPattern;
use crate::origin::Origin;
use crate::path::PathPattern;
use crate::policy::Policies;

/// Where the requests of a route go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A backend of the snapshot.
    Backend(BackendId),
    /// The global default backend, or 404 where there is none. The fallback route of every host goes here unless its
    /// Ingress names a `defaultBackend`; so does a path whose backend is a resource.
    Default,
}

/// One routing rule, compiled. What every request of it reads comes first, side by side: in a large table a route is seldom
/// in the processor's caches.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Route {
    /// The behaviours on the way, one object for routes of which they are equal.
    pub policies: Arc<Policies>,
    /// Where its requests go.
    pub target: Target,
    /// The data plane's own: metric handles.
    pub metrics: Attachment,
    /// Whether this is the host's implicit `/`: it takes what no rule of the host takes.
    pub fallback: bool,
    /// The host side of the rule.
    pub host: HostPattern,
    /// The path side of the rule.
    pub path: PathPattern,
    /// The Ingress path that it came from.
    pub origin: Origin,
    /// The Service that the Ingress names; empty for none. A metric label.
    pub service: Box<str>,
}
