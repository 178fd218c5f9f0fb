//! A route: host pattern, path pattern, where requests go, and the policies on the way.

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

/// One routing rule, compiled.
#[derive(Debug, Clone)]
pub struct Route {
    /// The host side of the rule.
    pub host: HostPattern,
    /// The path side of the rule.
    pub path: PathPattern,
    /// Where its requests go.
    pub target: Target,
    /// The behaviours on the way.
    pub policies: Policies,
    /// The Ingress path that it came from.
    pub origin: Origin,
    /// The Service that the Ingress names; empty for none. A metric label.
    pub service: Box<str>,
    /// Whether this is the host's implicit `/`: it takes what no rule of the host takes.
    pub fallback: bool,
    /// The data plane's own: metric handles.
    pub metrics: Attachment,
}
