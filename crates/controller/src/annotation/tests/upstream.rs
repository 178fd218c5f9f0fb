use std::time::Duration;

use edgeward_routing::policy::{BackendProtocol, ConnectionOption, Faults};

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("backend-protocol", "https", |s| s.upstream.protocol == Some(BackendProtocol::Https)),
    ("backend-protocol", " GRPC ", |s| s.upstream.protocol == Some(BackendProtocol::Grpc)),
    ("backend-protocol", "auto_http", |s| s.upstream.protocol == Some(BackendProtocol::AutoHttp)),
    ("proxy-connect-timeout", "7", |s| s.upstream.connect_timeout == Some(Duration::from_secs(7))),
    ("proxy-send-timeout", "3600", |s| s.upstream.send_timeout == Some(Duration::from_secs(3600))),
    ("proxy-read-timeout", "+5", |s| s.upstream.read_timeout == Some(Duration::from_secs(5))),
    ("proxy-next-upstream", "http_503  non_idempotent", |s| {
        s.upstream.retry_on == Faults::parse("non_idempotent http_503") && s.upstream.retry_on.is_some()
    }),
    ("proxy-next-upstream", "error off", |s| s.upstream.retry_on == Faults::parse("off")),
    ("proxy-next-upstream-tries", "0", |s| s.upstream.tries == Some(100)),
    ("proxy-next-upstream-tries", "2", |s| s.upstream.tries == Some(2)),
    ("proxy-next-upstream-timeout", "7", |s| s.upstream.retry_seconds == Some(7)),
    ("proxy-http-version", "1.0", |s| s.upstream.is_http10 == Some(true)),
    ("connection-proxy-header", "keep-alive", |s| s.upstream.connection == Some(ConnectionOption::KeepAlive)),
    ("upstream-vhost", " inner.$host:8080 ", |s| {
        s.upstream.host.as_ref().is_some_and(|host| host.to_string() == "inner.$host:8080")
    }),
];

pub(super) const BAD: &[Bad] = &[
    ("backend-protocol", &["", "SPDY", "HTTP/2"], Effect::Default),
    ("backend-protocol", &["FCGI", "fcgi"], Effect::Closes),
    ("proxy-connect-timeout", &["", "5s", " 5 ", "-1", "0", "1.5", "99999999999999999999"], Effect::Default),
    ("proxy-send-timeout", &["0"], Effect::Default),
    ("proxy-read-timeout", &["-1", "+"], Effect::Default),
    ("proxy-next-upstream", &["", "sometimes", "errortimeout", "http_200", "error;"], Effect::Default),
    ("proxy-next-upstream-tries", &["", "-1", "many", "99999999999999999999"], Effect::Default),
    ("proxy-next-upstream-timeout", &["", "-1", "1s"], Effect::Default),
    ("proxy-http-version", &["", "2", "1.1;"], Effect::Default),
    ("connection-proxy-header", &[""], Effect::Default),
    ("connection-proxy-header", &["a;b", "upgrade", "close\r\nX: y", "Close"], Effect::Drops),
    ("upstream-vhost", &[" "], Effect::Default),
    ("upstream-vhost", &["a b", "a;b", "a\r\nX: y", "$nothing", "\u{e9}.test", "$"], Effect::Drops),
];
