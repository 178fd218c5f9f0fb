use std::time::Duration;

use edgeward_routing::policy::BackendProtocol;

use super::{Bad, Effect, Good};

pub(super) const GOOD: &[Good] = &[
    ("backend-protocol", "https", |s| s.protocol == Some(BackendProtocol::Https)),
    ("backend-protocol", " GRPC ", |s| s.protocol == Some(BackendProtocol::Grpc)),
    ("backend-protocol", "auto_http", |s| s.protocol == Some(BackendProtocol::AutoHttp)),
    ("proxy-connect-timeout", "7", |s| s.connect_timeout == Some(Duration::from_secs(7))),
    ("proxy-send-timeout", "3600", |s| s.send_timeout == Some(Duration::from_secs(3600))),
    ("proxy-read-timeout", "+5", |s| s.read_timeout == Some(Duration::from_secs(5))),
];

pub(super) const BAD: &[Bad] = &[
    ("backend-protocol", &["", "SPDY", "HTTP/2"], Effect::Default),
    ("backend-protocol", &["FCGI", "fcgi"], Effect::Closes),
    ("proxy-connect-timeout", &["", "5s", " 5 ", "-1", "0", "1.5", "99999999999999999999"], Effect::Default),
    ("proxy-send-timeout", &["0"], Effect::Default),
    ("proxy-read-timeout", &["-1", "+"], Effect::Default),
];
