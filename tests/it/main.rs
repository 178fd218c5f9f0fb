//! The integration tests: the `edgeward` binary from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod bad_input;
mod balancing;
mod certificates;
mod change;
mod cli;
mod cluster;
mod conformance;
mod demo;
mod directory;
mod engines;
mod failures;
mod framing;
mod guards;
mod harness;
mod health;
mod http1;
mod http2;
mod limits;
mod listeners;
mod observability;
mod oracle;
mod paths;
mod proxy_protocol;
mod rollout;
mod scale;
mod services;
mod shutdown;
mod site;
mod translate;
mod tunnel;
