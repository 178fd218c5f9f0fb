//! From Kubernetes objects to a routing snapshot.
//!
//! ```text
//! source --Change--> Index --holdoff--> translate --> Snapshot + diagnostics --> publish
//! ```
//!
//! A source (a directory of manifests today) parses objects at its edge into the compact model of [`object`] and sends
//! [`change::Change`] messages. Everything behind them is the same for every source and is tested without one.

pub mod annotation;
pub mod audit;
pub mod certificate;
pub mod change;
pub mod configmap;
pub mod diagnostic;
pub mod directory;
mod htdigest;
mod htpasswd;
pub mod index;
pub mod kubernetes;
pub mod locate;
pub mod object;
pub mod parse;
pub mod reconcile;
pub mod resolve;
pub mod selector;
mod spread;
pub mod state;
pub mod translate;
