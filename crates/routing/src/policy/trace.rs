//! Traces: the requests of a route have spans of OpenTelemetry.

use crate::log_format::LogFormat;

/// How the requests of a route are traced (ingress-nginx `enable-opentelemetry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Whether the trace that a client is in goes on here, rather than a new one begin
    /// (`opentelemetry-trust-incoming-span`).
    pub trusts_client: bool,
    /// The name of the spans (`opentelemetry-operation-name`); `None` for the method and the path of the route.
    pub operation: Option<LogFormat>,
}
