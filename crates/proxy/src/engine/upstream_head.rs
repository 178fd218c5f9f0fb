//! The head of a request on its way to an endpoint, as both engines write it.

use edgeward_routing::decide::RequestHead;
use edgeward_routing::forward::{Edit, FieldNames, Forwarded, edit_upstream_headers, folded, is_forwardable};
use edgeward_routing::policy::{ConnectionOption, UpstreamRequest, UpstreamTls};

use super::context::RequestContext;
use super::page::Answerer;

/// Whether a field of this name, in lower case, is between a client and this proxy (RFC 9110 section 7.6.1), or one that the
/// proxy writes itself.
pub(super) fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"keep-alive"
            | b"proxy-connection"
            | b"proxy-authenticate"
            | b"proxy-authorization"
            | b"te"
            | b"trailer"
            | b"transfer-encoding"
            | b"upgrade"
            | b"http2-settings"
            | b"expect"
    )
}

/// Which fields of a client go on.
pub(super) struct Passing {
    believed: bool,
    /// Names that are no plain ones, in lower case.
    odd: Vec<Vec<u8>>,
}

impl Passing {
    /// Whether a field of this name, in lower case, goes on, connection and framing aside.
    pub(super) fn lets(&self, name: &[u8]) -> bool {
        is_forwardable(name, self.believed) || self.odd.iter().any(|odd| odd == name)
    }
}

impl RequestContext {
    /// Which fields of the client go on. Names that an application may take for one that the proxy has a word in are none of
    /// them, whatever the settings let pass.
    pub(super) fn passing(&self, head: &impl RequestHead) -> Passing {
        let settings = &self.snapshot.settings;
        let mut passing = Passing { believed: settings.believes(self.downstream.client), odd: Vec::new() };
        if settings.field_names != FieldNames::Plain {
            let names = head.headers().map(|(name, _)| name).filter(|name| settings.field_names.let_pass(name));
            passing.odd = names.map(<[u8]>::to_ascii_lowercase).collect();
        }
        if !passing.odd.is_empty() {
            passing.odd.retain(|name| {
                let folded = folded(name);
                !is_hop_by_hop(&folded) && folded != b"content-length"
            });
            self.edit_upstream(head, |edit| {
                let (Edit::Set(own, _) | Edit::Remove(own) | Edit::Append(own, _)) = edit;
                passing.odd.retain(|name| folded(name) != folded(own.as_bytes()));
            });
        }
        passing
    }

    fn upstream_request(&self) -> Option<&UpstreamRequest> {
        self.policies().upstream_request.as_deref()
    }

    /// Whether the request goes to the endpoint in HTTP/1.0. Where a body ends that `is_chunked` it could not say.
    pub(super) fn is_http10(&self, is_chunked: bool) -> bool {
        // Pages are asked for as nginx does it unless told otherwise (recorded: c108).
        !is_chunked && (self.page().is_some() || self.upstream_request().is_some_and(|request| request.is_http10))
    }

    /// What the request says of its connection to the endpoint, other than usual.
    pub(super) fn connection_option(&self) -> Option<ConnectionOption> {
        match self.page() {
            Some(_) => Some(ConnectionOption::Close),
            None => self.upstream_request()?.connection,
        }
    }

    /// Whether the connection to the endpoint ends with the response, whatever the endpoint says.
    pub(super) fn is_last_on_connection(&self, is_chunked: bool) -> bool {
        self.is_http10(is_chunked) || self.connection_option() == Some(ConnectionOption::Close)
    }

    /// Whether the request may ask for another protocol: what it says of its connection is not laid down otherwise.
    pub(super) fn may_upgrade(&self) -> bool {
        !self.protocol().is_http2() && !self.is_http10(false) && self.connection_option().is_none()
    }

    /// The name that the endpoint's certificate must have. `None` where the request makes it one that cannot be.
    pub(super) fn upstream_name(&self, tls: &UpstreamTls, head: &impl RequestHead) -> Option<String> {
        let mut name = Vec::new();
        tls.name.write(self.forwarded.as_ref()?, head, self.request_id.as_str(), &mut name);
        String::from_utf8(name).ok()
    }

    /// Tells `edit` what to change in the head that the client sent, connection and framing aside. The last edit of a name
    /// is the one that counts.
    pub(super) fn edit_upstream<'a>(&'a self, head: &impl RequestHead, mut edit: impl FnMut(Edit<'a, '_>)) {
        if let Some(auth) = &self.policies().external_auth {
            auth.disown_client(&mut edit);
        }
        if let Some(trace) = &self.trace {
            trace.edit_request(&mut edit);
        }
        if let Some(forwarded) = &self.forwarded {
            let request_id = self.request_id.as_str().as_bytes();
            if let Answerer::Page(_) = self.answerer {
                self.error_request().edit_page(forwarded, head, request_id, &mut |change| edit(change));
            } else {
                self.edit_for_application(forwarded, head, &mut edit);
            }
        }
        if let Some(admission) = &self.admission {
            admission.edit_request(edit);
        }
    }

    /// Tells `edit` what the backend of a route learns, or the one that stands in for it.
    fn edit_for_application<'a>(
        &'a self,
        forwarded: &Forwarded,
        head: &impl RequestHead,
        edit: &mut impl FnMut(Edit<'a, '_>),
    ) {
        if self.answerer == Answerer::StandIn {
            self.error_request().edit_stand_in(head, &mut |change| edit(change));
        }
        let request_id = self.request_id.as_str();
        let host = self.upstream_request().and_then(|request| request.host_for(forwarded, head, request_id));
        let (settings, peer) = (&self.snapshot.settings, self.downstream.client);
        edit_upstream_headers(forwarded, head, settings, peer, request_id.as_bytes(), |change| match (&host, change) {
            (Some(host), Edit::Set(name @ "host", _) | Edit::Remove(name @ "host")) => edit(match host.is_empty() {
                true => Edit::Remove(name),
                false => Edit::Set(name, host),
            }),
            (_, change) => edit(change),
        });
        if self.answerer == Answerer::StandIn && !request_id.is_empty() {
            // The template of ingress-nginx says it once for every backend, and once more for this one (recorded: c105).
            edit(Edit::Append("x-request-id", request_id.as_bytes()));
        }
        self.edit_certificate(&mut *edit);
        let policies = self.policies();
        if policies.basic_auth.is_some() || policies.digest_auth.is_some() {
            // The password is none of the upstream's business, even where the network was enough (nginx.tmpl).
            edit(Edit::Remove("authorization"));
        }
    }

    /// Tells `edit` what others learn of the certificate that the client showed, where its host asks for one.
    pub(super) fn edit_certificate<'a>(&'a self, edit: impl FnMut(Edit<'a, '_>)) {
        let asked = self.policies().host.as_ref().and_then(|host| host.client_certificates.as_ref());
        if let Some(asked) = asked {
            let client = self.connection.as_ref().and_then(|connection| connection.tls_client());
            asked.edit_upstream_headers(client, edit);
        }
    }
}
