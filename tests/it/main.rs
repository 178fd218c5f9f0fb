//! The integration tests: the `edgeward` binary from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod certificates;
mod change;
mod conformance;
mod failures;
mod framing;
mod harness;
mod http1;
mod http2;
mod limits;
mod oracle;
mod proxy_protocol;
mod rollout;
mod shutdown;
mod site;
mod tunnel;
