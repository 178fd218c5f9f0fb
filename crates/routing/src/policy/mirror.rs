//! `mirror-target`, `mirror-host` and `mirror-request-body`: a copy of every request goes elsewhere.

use crate::decide::RequestHead;
use crate::forward::Forwarded;
use crate::template::{Part, Template};

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// Host and port: no request has a say in them.
    pub authority: Box<str>,
    /// Path and query; empty for those of the request.
    pub path: Template,
    /// The `Host` of copies.
    pub host: Template,
    /// Whether copies have the body.
    pub has_body: bool,
}

impl Mirror {
    /// The URL for the copy of a request. `None` where the request makes it one that cannot be.
    pub fn url(&self, forwarded: &Forwarded, head: &impl RequestHead, request_id: &str) -> Option<String> {
        let mut path = Vec::new();
        self.path.write(forwarded, head, request_id, &mut path);
        let mut path = String::from_utf8(path).ok()?;
        if self.path.parts.is_empty() {
            head.target().clone_into(&mut path);
        } else if self.path.parts.iter().all(|part| matches!(part, Part::Literal(_)))
            && let Some((_, query)) = head.target().split_once('?')
        {
            // nginx appends the query to what has no variable (recorded: c290).
            path = format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' });
        }
        let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
        let scheme = if self.is_tls { "https" } else { "http" };
        is_path.then(|| format!("{scheme}://{}{path}", self.authority))
    }

    /// The `Host` for the copy of a request: visible ASCII only, whatever the request puts into it.
    pub fn host_for(&self, forwarded: &Forwarded, head: &impl RequestHead, request_id: &str) -> Vec<u8> {
        let mut host = Vec::new();
        self.host.write(forwarded, head, request_id, &mut host);
        host.retain(u8::is_ascii_graphic);
        host
    }
}
