//! Requests to authentication services in the access log (ConfigMap `enable-auth-access-log`).

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::engine::Shared;
use crate::engine::context::{End, RequestContext};
use crate::head::parse_length;
use crate::record::{Request, RequestRecord, Try};

/// When a service began to be asked.
pub(super) struct Begun {
    started: SystemTime,
    clock: Instant,
}

impl Begun {
    pub(super) fn now() -> Self {
        Self { started: SystemTime::now(), clock: Instant::now() }
    }
}

/// What became of asking.
pub(super) struct Subrequest {
    started: SystemTime,
    duration: Duration,
    status: u16,
    /// There is none where the answer was known, or the service could not be reached.
    service: Option<Try>,
}

impl Subrequest {
    /// It said this; `service` is where it is, if this was not known before.
    pub(super) fn answered(begun: Begun, status: u16, fields: &HeaderMap, service: Option<SocketAddr>) -> Self {
        let duration = begun.clock.elapsed();
        let length = fields.get(CONTENT_LENGTH).and_then(|length| parse_length(length.as_bytes()));
        let service = service.map(|address| Try {
            address,
            connect: None,
            header: Some(duration),
            total: duration,
            status: Some(status),
            body_bytes: length.unwrap_or_default(),
        });
        Self { started: begun.started, duration, status, service }
    }

    /// It said nothing, for which nginx has this status.
    pub(super) fn failed(begun: Begun, status: u16) -> Self {
        Self { started: begun.started, duration: begun.clock.elapsed(), status, service: None }
    }

    /// Writes its line. As a subrequest of nginx it is told by what its client asked for, with lengths of nothing.
    pub(super) fn log(&self, shared: &Shared, ctx: &RequestContext, request: Request<'_>) {
        if ctx.policies().is_unlogged {
            return;
        }
        let end =
            End { request, response: None, status: self.status, failed: false, request_length: 0, body_bytes_sent: 0 };
        let record = RequestRecord {
            backend: ctx.named().map(|backend| &**backend),
            started: self.started,
            tries: self.service.as_slice(),
            ..ctx.record(&end, self.duration)
        };
        shared.access_log.log(&record, &ctx.snapshot.settings.log);
    }
}
