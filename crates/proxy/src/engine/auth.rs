//! Who a client is, found out before anything is done for it.
//!
//! The decision says that it must be; this is how it is done, once for both engines: first the user and password, then the
//! service that knows it, as in ingress-nginx (recorded: c193). What is found out goes into the [`RequestContext`], from where both engines
//! write it into requests and responses.

mod answers;
mod basic;
mod client;
mod external;
mod kept;
mod password;

use std::sync::{Mutex, OnceLock};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use edgeward_routing::decide::{Action, Reason, RequestHead};
use edgeward_routing::forward::Edit;
use http::{HeaderName, HeaderValue};

use super::context::RequestContext;
use answers::Answers;
use basic::Hashing;
use client::Client;
use external::Asked;
use kept::Kept;

/// What the workers share.
pub(super) struct AuthShared {
    hashing: Hashing,
    answers: Answers,
    /// Keys of what is remembered are made with it, so that they tell nothing of what they are made of.
    key: hmac::Key,
}

impl AuthShared {
    /// In the context of the runtime that compares passwords.
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            // Where the operating system gives none: it keeps passwords out of memory all the same.
            .unwrap_or_else(|_| hmac::Key::new(hmac::HMAC_SHA256, &fastrand::u128(..).to_ne_bytes()));
        Self { hashing: Hashing::new(), answers: Answers::default(), key }
    }
}

impl std::fmt::Debug for AuthShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthShared")
    }
}

/// So many users a worker remembers at least, and twice as many at most: 300 KiB.
const KNOWN: usize = 4096;

/// One per worker, for both of its engines.
#[derive(Debug, Default)]
pub(super) struct Auth {
    /// Users whose passwords were right. Only this worker takes the lock.
    known: Mutex<Kept<(), KNOWN>>,
    /// Made when it is needed first, on the worker's own runtime.
    client: OnceLock<Option<Client>>,
}

/// What came of asking who a client is.
pub(super) enum Verdict {
    /// It may pass.
    Pass(Admission),
    /// It gets this answer.
    Refuse {
        /// The status.
        status: u16,
        /// Where it is sent to.
        location: Option<String>,
        /// Why.
        reason: Reason,
        /// What the answer says.
        admission: Admission,
    },
}

/// What has been found out about a client, as requests and responses say it.
#[derive(Default)]
pub(super) struct Admission {
    /// Fields of the request, their names in lower case: replaced, or removed.
    request: Vec<(Box<str>, Option<HeaderValue>)>,
    /// Fields of the response, beside those that it has.
    response: Vec<(HeaderName, HeaderValue, When)>,
}

/// With which responses a field goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// With all.
    Always,
    /// With those that are no errors (nginx `add_header` without `always`).
    NoError,
}

impl Admission {
    /// Tells `edit` what to change in the request on its way upstream.
    pub(super) fn edit_request<'a>(&'a self, mut edit: impl FnMut(Edit<'a, '_>)) {
        for (name, value) in &self.request {
            match value {
                Some(value) => edit(Edit::Set(name, value.as_bytes())),
                None => edit(Edit::Remove(name)),
            }
        }
    }

    /// Tells `edit` what a response with this status says beside the rest.
    pub(super) fn edit_response<'a>(&'a self, status: u16, mut edit: impl FnMut(Edit<'a, '_>)) {
        let is_no_error = matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308);
        for (name, value, _) in self.response.iter().filter(|(.., when)| is_no_error || *when == When::Always) {
            edit(Edit::Append(name.as_str(), value.as_bytes()));
        }
    }
}

impl Auth {
    /// Finds out who a client is. Nothing of the request has been touched.
    pub(super) async fn ask<H: RequestHead + Sync>(
        &self,
        shared: &AuthShared,
        ctx: &RequestContext,
        head: &H,
    ) -> Verdict {
        let policies = ctx.policies();
        let mut admission = Admission::default();
        if let Some(basic_auth) = &policies.basic_auth
            && let Err(refused) = self.ask_basic(shared, basic_auth, head).await
        {
            return self.signed_in_elsewhere(ctx, head, refused);
        }
        if let (Some(auth), Some(forwarded)) = (&policies.external_auth, &ctx.forwarded) {
            let client = self.client.get_or_init(Client::new).as_ref();
            if let Err(refused) = (Asked { auth, forwarded, ctx, head }).ask(client, shared, &mut admission).await {
                return refused;
            }
        }
        Verdict::Pass(admission)
    }

    /// Sends a client that lacks a password to the sign-in page, if there is one: it is for every 401 of the route
    /// (nginx `error_page`).
    fn signed_in_elsewhere<H: RequestHead>(&self, ctx: &RequestContext, head: &H, refused: Verdict) -> Verdict {
        let location = || {
            let (auth, forwarded) = (ctx.policies().external_auth.as_ref()?, ctx.forwarded.as_ref()?);
            let style = ctx.policies().redirect_style;
            auth.sign_in_location(&ctx.downstream, forwarded, head, ctx.request_id.as_str(), style)
        };
        match refused {
            Verdict::Refuse { status: 401, location: None, reason, admission } => match location() {
                Some(location) => external::sign_in_at(location, admission),
                None => Verdict::Refuse { status: 401, location: None, reason, admission },
            },
            other => other,
        }
    }
}

impl RequestContext {
    /// Takes what was found out, and gives what to do, where it would be `action` for one who may pass.
    pub(super) fn admit(&mut self, verdict: Verdict, action: Action) -> Action {
        match verdict {
            Verdict::Pass(admission) => {
                self.admission = Some(Box::new(admission));
                action
            }
            Verdict::Refuse { status, location, reason, admission } => {
                self.admission = Some(Box::new(admission));
                match location {
                    Some(location) => {
                        // ingress-nginx has none there (recorded: c176).
                        self.response.hsts = false;
                        Action::Redirect { status, location, reason }
                    }
                    None => Action::Respond { status, reason },
                }
            }
        }
    }
}
