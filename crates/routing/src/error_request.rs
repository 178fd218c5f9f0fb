//! What a backend is told of the request that it answers in place of another one (ingress-nginx nginx.tmpl, `CUSTOM_ERRORS` and
//! `custom-default-backend-`; row 26 of its semantics).

use crate::decide::RequestHead;
use crate::forward::{AddressText, Edit, Forwarded};
use crate::route::{Route, Target};
use crate::snapshot::Snapshot;

/// The status that is answered for, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErrorRequest<'r> {
    /// The status.
    pub status: u16,
    /// Namespace of the Ingress; empty where none is named.
    pub namespace: &'r str,
    /// Name of the Ingress.
    pub ingress: &'r str,
    /// The Service that should have answered.
    pub service: &'r str,
    /// Its port.
    pub port: &'r str,
}

impl<'r> ErrorRequest<'r> {
    /// A status of a request that this route took.
    pub fn of(status: u16, route: Option<&'r Route>, snapshot: &'r Snapshot) -> Self {
        let Some(route) = route else { return Self { status, ..Self::default() } };
        let backend = match route.target {
            Target::Backend(id) => snapshot.backends.by_id(id),
            Target::Default => None,
        };
        Self {
            status,
            namespace: &route.origin.namespace,
            ingress: &route.origin.name,
            service: backend.map_or("", |backend| &backend.key.service),
            port: backend.map_or("", |backend| &backend.key.port),
        }
    }

    /// Tells `edit` what the backend learns when it takes the request as it came.
    pub fn edit_stand_in(&self, head: &impl RequestHead, edit: &mut impl FnMut(Edit<'static, '_>)) {
        edit(Edit::Set("x-code", self.status.to_string().as_bytes()));
        let format = head.header("accept").unwrap_or_default();
        let fields = [
            ("x-format", format),
            ("x-namespace", self.namespace.as_bytes()),
            ("x-ingress-name", self.ingress.as_bytes()),
            ("x-service-name", self.service.as_bytes()),
            ("x-service-port", self.port.as_bytes()),
        ];
        for (name, value) in fields {
            edit(if value.is_empty() { Edit::Remove(name) } else { Edit::Set(name, value) });
        }
    }

    /// Tells `edit` what to change in the client's head when the backend is asked for a page: of those that tell of the
    /// client, it gets the address alone.
    pub fn edit_page(
        &self,
        forwarded: &Forwarded,
        head: &impl RequestHead,
        request_id: &[u8],
        edit: &mut impl FnMut(Edit<'static, '_>),
    ) {
        self.edit_stand_in(head, edit);
        edit(if forwarded.host.is_empty() { Edit::Remove("host") } else { Edit::Set("host", &forwarded.host) });
        edit(Edit::Set("x-original-uri", head.target().as_bytes()));
        edit(if request_id.is_empty() { Edit::Remove("x-request-id") } else { Edit::Set("x-request-id", request_id) });
        edit(Edit::Set("x-forwarded-for", AddressText::new(forwarded.client).as_bytes()));
        // What the client says of itself in the place of what the proxy says elsewhere.
        for name in NOT_ASKED {
            edit(Edit::Remove(name));
        }
    }
}

const NOT_ASKED: [&str; 9] = [
    "x-real-ip",
    "x-scheme",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-original-forwarded-for",
    "x-original-forwarded-host",
    "proxy",
];

#[cfg(test)]
mod tests;
