//! `mirror-target`, `mirror-host` and `mirror-request-body`: a copy of every request goes elsewhere.

use crate::decide::RequestHead;
use crate::forward::Forwarded;
use crate::path::{origin_form, query_of};
use crate::template::{Part, Template};

use super::rewrite::visible;

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
        if self.path.parts.is_empty() {
            path.extend_from_slice(origin_form(head.target()).as_bytes());
        }
        // An absolute-form target may have no path.
        if path.first() == Some(&b'?') {
            path.insert(0, b'/');
        }
        let mut path = visible(&path);
        if !self.path.parts.is_empty() && self.path.parts.iter().all(|part| matches!(part, Part::Literal(_))) {
            // nginx appends the query to what has no variable (recorded: c290).
            let query = query_of(head.target());
            if !query.is_empty() {
                let separator = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{separator}{}", visible(query.as_bytes()));
            }
        }
        let scheme = if self.is_tls { "https" } else { "http" };
        path.starts_with('/').then(|| format!("{scheme}://{}{path}", self.authority))
    }

    /// The `Host` for the copy of a request: visible ASCII only, whatever the request puts into it.
    pub fn host_for(&self, forwarded: &Forwarded, head: &impl RequestHead, request_id: &str) -> Vec<u8> {
        let mut host = Vec::new();
        self.host.write(forwarded, head, request_id, &mut host);
        host.retain(u8::is_ascii_graphic);
        host
    }
}

#[cfg(test)]
mod tests;
