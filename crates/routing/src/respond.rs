//! What every response to a client says beside what the endpoint said, the proxy's own answers included.

use crate::forward::Edit;
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
}

impl ResponseEdits {
    /// Tells `edit` what to change in the headers of the response.
    pub fn apply<'p>(&'p self, settings: &'p Settings, mut edit: impl FnMut(Edit<'p, '_>)) {
        if let (true, Some(hsts)) = (self.hsts, &settings.hsts) {
            edit(Edit::Set("strict-transport-security", hsts.to_string().as_bytes()));
        }
        if let Some(grant) = &self.cors {
            grant.apply(&mut edit);
        }
    }
}
