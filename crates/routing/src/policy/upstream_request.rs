//! `upstream-vhost`, `proxy-http-version` and `connection-proxy-header`: how requests to endpoints are written.

use crate::decide::RequestHead;
use crate::forward::Forwarded;
use crate::template::Template;

/// What a request to an endpoint says other than usual.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamRequest {
    /// Its `Host`, in place of the client's.
    pub host: Option<Template>,
    /// Whether it is in HTTP/1.0, unless its body is of unknown length: that version has no way to say where one ends.
    pub is_http10: bool,
    /// What it says of its connection.
    pub connection: Option<ConnectionOption>,
}

/// A value of `Connection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionOption {
    /// It ends with the response.
    Close,
    /// It stays, which HTTP/1.1 need not be told.
    KeepAlive,
}

impl ConnectionOption {
    /// The value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::KeepAlive => "keep-alive",
        }
    }
}

impl UpstreamRequest {
    /// The `Host` for a request, if it has one of its own: visible ASCII only, whatever the request puts into it.
    pub fn host_for(&self, forwarded: &Forwarded, head: &impl RequestHead, request_id: &str) -> Option<Vec<u8>> {
        let mut host = Vec::new();
        self.host.as_ref()?.write(forwarded, head, request_id, &mut host);
        host.retain(u8::is_ascii_graphic);
        Some(host)
    }
}
