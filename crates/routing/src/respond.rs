//! What every response to a client says beside what the endpoint said, the proxy's own answers included.

use crate::forward::Edit;
use crate::policy::Policies;
use crate::policy::cors::Grant;
use crate::settings::Settings;

/// What the decision about a request lays down for its response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseEdits {
    /// Whether it may say `Strict-Transport-Security`: it goes over TLS, and is no answer that a host gives before its routes
    /// are looked at, where ingress-nginx has none (recorded: c046, c071).
    pub hsts: bool,
    /// What it says to scripts of other origins.
    pub cors: Option<Grant>,
    /// The `Set-Cookie` that keeps the client with the endpoint which answers, if it is to get one.
    pub session: Option<Vec<u8>>,
    /// Whether it gets the header fields of its route: it is no answer that a host gives before its routes are looked at, and
    /// none of a closed route (nginx.tmpl, `isLocationAllowed`).
    pub of_route: bool,
}

impl ResponseEdits {
    /// Tells `edit` what to change in the headers of a response under these policies, each name once. Names live as long as
    /// settings and policies.
    pub fn apply<'p>(&'p self, settings: &'p Settings, policies: &'p Policies, mut edit: impl FnMut(Edit<'p, '_>)) {
        if let Some(cookie) = &self.session {
            edit(Edit::Append("set-cookie", cookie));
        }
        let own = policies.response.as_deref().filter(|_| self.of_route).and_then(|response| response.headers.as_ref());
        let fields = own.unwrap_or(&settings.response_headers);
        if let (true, Some(hsts)) = (self.hsts, &settings.hsts)
            && fields.get(HSTS).is_none()
        {
            edit(Edit::Set(HSTS, hsts.as_bytes()));
        }
        for (name, value) in fields.iter() {
            edit(if value.is_empty() { Edit::Remove(name) } else { Edit::Set(name, value.as_bytes()) });
        }
        if let Some(grant) = &self.cors {
            grant.apply(&mut edit);
        }
    }
}

const HSTS: &str = "strict-transport-security";

/// Whether a field of an endpoint's response is kept from clients: what is meant for the proxy (ngx_http_proxy_hide_headers),
/// `Server` unless [`Settings::passes_server`], and what [`Settings::hidden_headers`] names.
pub fn is_hidden(name: &[u8], settings: &Settings) -> bool {
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let is_of_proxy = match name.len() {
        5 => is("x-pad"),
        6 => is("server") && !settings.passes_server,
        15 => is("x-accel-expires") || is("x-accel-charset"),
        16 => is("x-accel-redirect"),
        17 => is("x-accel-buffering"),
        18 => is("x-accel-limit-rate"),
        _ => false,
    };
    is_of_proxy || settings.hidden_headers.iter().any(|hidden| is(hidden))
}
