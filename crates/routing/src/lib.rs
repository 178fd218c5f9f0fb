//! What a routing rule means: hosts, paths, backends, policies, and the decision about one request.
//!
//! This crate is pure and synchronous. It knows neither Kubernetes nor Pingora, does no I/O and starts no task, so that
//! every rule in it can be tested as a table and every data-plane engine takes the same decision from the same input.
//!
//! The controller compiles objects into a [`Snapshot`]; the proxy loads it once per request and asks [`decide()`].

pub mod address;
pub mod affinity;
pub mod attachment;
pub mod backend;
pub mod balance;
pub mod canary;
pub mod certificate;
pub mod decide;
pub mod endpoint;
pub mod error_request;
pub mod forward;
pub mod host;
pub mod log_format;
pub mod origin;
pub mod path;
pub mod pattern;
pub mod policy;
pub mod publish;
pub mod render;
pub mod respond;
pub mod route;
pub mod settings;
pub mod snapshot;
pub mod table;
pub mod template;
pub mod trace_parent;

pub use decide::decide;
pub use publish::{Publisher, SnapshotReader};
pub use snapshot::Snapshot;

#[cfg(test)]
mod fixture;
