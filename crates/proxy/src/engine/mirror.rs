//! Copies of requests, as both engines make them.

use edgeward_routing::decide::RequestHead;

use super::Shared;
use super::context::RequestContext;
use super::upstream_head::is_hop_by_hop;
use crate::head::elements;

impl RequestContext {
    /// Begins the copy of the request, if one is made: with the client's own `fields`, none of the proxy's (recorded: c289).
    /// Without a body to wait for it is sent.
    pub(super) fn mirror<'f>(
        &mut self,
        shared: &Shared,
        head: &impl RequestHead,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        has_body: bool,
    ) {
        let Some(policy) = &self.policies().mirror else { return };
        let (Some(mirrors), Some(forwarded)) = (&shared.mirrors, &self.forwarded) else { return };
        let Some(url) = policy.url(forwarded, head, self.request_id.as_str()) else { return };
        let passing = self.passing(head);
        let auth = self.policies().external_auth.as_ref();
        let nominated: Vec<&[u8]> = head.header_values("connection").flat_map(elements).collect();
        let fields = fields.filter(|(name, _)| {
            let lower = name.to_ascii_lowercase();
            let is_between = is_hop_by_hop(&lower) || nominated.iter().any(|one| one.eq_ignore_ascii_case(name));
            let is_of_service = auth.is_some_and(|auth| auth.response_headers.iter().any(|field| field.has_name(name)));
            !is_between && !is_of_service && passing.lets(&lower)
        });
        let waits = has_body && policy.has_body;
        let host = policy.host_for(forwarded, head, self.request_id.as_str());
        match mirrors.begin((head.method(), &url, &host), fields) {
            // Apart: it is large, and few requests have one.
            Some(copy) if waits => self.mirrored = Some(Box::new(copy)),
            Some(copy) => copy.send(),
            None => tracing::debug!("a request is not mirrored: there is no room, or it is none that can be sent"),
        }
    }

    /// Adds a piece of the body to the copy, and sends it at the end.
    pub(super) fn mirror_body(&mut self, data: Option<&[u8]>, is_end: bool) {
        let Some(mut copy) = self.mirrored.take() else { return };
        if data.is_some_and(|data| !copy.push(data)) {
            return;
        }
        if is_end {
            copy.send();
        } else {
            self.mirrored = Some(copy);
        }
    }
}
