//! Who a client is, found out before anything is done for it.
//!
//! The decision says that it must be; this is how it is done, once for both engines: first the user and password, then the
//! service that knows it, as in ingress-nginx (recorded: c193). What is found out goes into the [`RequestContext`], from where both engines
//! write it into requests and responses.

mod answers;
mod as_sent;
mod basic;
mod client;
mod des_crypt;
mod digest;
mod external;
mod held;
mod kept;
mod password;
mod subrequest;

use std::sync::{Mutex, OnceLock};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use edgeward_routing::decide::{Action, Reason, RequestHead};
use edgeward_routing::forward::Edit;
use edgeward_routing::policy::{ExternalAuth, Satisfy};
use http::{HeaderName, HeaderValue};

use super::Shared;
use super::context::RequestContext;
use crate::record::Request;
use answers::Answers;
use as_sent::AsSent;
use basic::{Comparisons, Hashing};
use client::Client;
use digest::Digests;
use external::Asked;
use kept::Kept;
use subrequest::Subrequest;

/// What the workers share.
pub(super) struct AuthShared {
    hashing: Hashing,
    digests: Digests,
    answers: Answers,
    /// Keys of what is remembered are made with it, so that they tell nothing of what they are made of. Where the operating
    /// system gives none, nothing is remembered.
    key: Option<hmac::Key>,
    allow_loopback: bool,
}

impl AuthShared {
    /// In the context of the runtime that compares passwords. Services may be on this machine with `allow_loopback`.
    pub(super) fn new(allow_loopback: bool) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        Self { hashing: Hashing::new(), digests: Digests::default(), answers: Answers::default(), key, allow_loopback }
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
    known: Mutex<Kept<kept::Key, (), KNOWN>>,
    /// Those whose passwords are being compared.
    comparisons: Comparisons,
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

impl Verdict {
    /// Whether the client is not known or not let in, rather than that nobody could tell (nginx `satisfy any` asks on).
    fn is_plain_no(&self) -> bool {
        matches!(self, Self::Refuse { status: 401 | 403, .. })
    }

    /// Of two that both say no, what the client gets: it may still say who it is to either.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Refuse { status: 401, location, reason, mut admission },
                Self::Refuse { admission: mut more, .. },
            ) => {
                admission.response.append(&mut more.response);
                admission.asked = more.asked;
                Self::Refuse { status: 401, location, reason, admission }
            }
            (_, other) => other,
        }
    }
}

/// What has been found out about a client, as requests and responses say it.
#[derive(Default)]
pub(super) struct Admission {
    /// Fields of the request, their names in lower case, in place of those that it has.
    request: Vec<(Box<str>, HeaderValue)>,
    /// Fields of the response, beside those that it has.
    response: Vec<(HeaderName, HeaderValue, When)>,
    /// What the access log is to say of the service that was asked.
    asked: Option<Box<Subrequest>>,
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
            edit(Edit::Set(name, value.as_bytes()));
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
        let is_one_enough = policies.satisfy == Satisfy::Any;
        let client = || ctx.forwarded.as_ref().map_or(ctx.downstream.client, |forwarded| forwarded.client);
        let by_password = match (&policies.basic_auth, &policies.digest_auth) {
            (Some(auth), _) => Some(self.ask_basic(shared, auth, client(), head).await.map(|()| Admission::default())),
            (None, Some(auth)) => Some(shared.digests.ask(shared.key.as_ref(), auth, client(), head)),
            (None, None) => None,
        };
        match (by_password, &policies.external_auth) {
            (Some(Ok(admission)), _) if is_one_enough => Verdict::Pass(admission),
            (Some(Err(refused)), Some(auth)) if is_one_enough && refused.is_plain_no() => {
                match self.ask_service(shared, auth, ctx, head, Admission::default()).await {
                    no if no.is_plain_no() => self.signed_in_elsewhere(ctx, head, refused.and(no)),
                    other => other,
                }
            }
            (Some(Err(refused)), _) => self.signed_in_elsewhere(ctx, head, refused),
            (known, Some(auth)) => {
                let admission = known.and_then(Result::ok).unwrap_or_default();
                self.ask_service(shared, auth, ctx, head, admission).await
            }
            (known, None) => Verdict::Pass(known.and_then(Result::ok).unwrap_or_default()),
        }
    }

    /// Asks the service of a route about a client of which this much has been found out.
    async fn ask_service<H: RequestHead + Sync>(
        &self,
        shared: &AuthShared,
        auth: &ExternalAuth,
        ctx: &RequestContext,
        head: &H,
        mut admission: Admission,
    ) -> Verdict {
        let Some(forwarded) = &ctx.forwarded else {
            return Verdict::Refuse { status: 500, location: None, reason: Reason::AuthFailed, admission };
        };
        let client = self.client.get_or_init(|| Client::new(shared.allow_loopback)).as_ref();
        match (Asked { auth, forwarded, ctx, head }).ask(client, shared, &mut admission).await {
            Ok(()) => Verdict::Pass(admission),
            Err(refused) => refused,
        }
    }

    /// Sends a client that lacks a password to the sign-in page, if there is one: it is for every 401 of the route
    /// (nginx `error_page`).
    fn signed_in_elsewhere<H: RequestHead>(&self, ctx: &RequestContext, head: &H, refused: Verdict) -> Verdict {
        match refused {
            Verdict::Refuse { status: 401, location: None, reason, admission } => match ctx.sign_in_location(head) {
                Some(location) => external::sign_in_at(location, admission),
                None => Verdict::Refuse { status: 401, location: None, reason, admission },
            },
            other => other,
        }
    }
}

impl RequestContext {
    /// Where the client can say who it is, if its route names a page for that.
    fn sign_in_location(&self, head: &impl RequestHead) -> Option<String> {
        let policies = self.policies();
        let (auth, forwarded) = (policies.external_auth.as_ref()?, self.forwarded.as_ref()?);
        let target = self.connection.as_ref().and_then(|connection| connection.sent_target());
        let head = AsSent { head, target };
        auth.sign_in_location(&self.downstream, forwarded, &head, self.request_id.as_str(), policies.redirect_style)
    }

    /// Takes what was found out, and gives what to do, where it would be `action` for one who may pass.
    pub(super) fn admit(&mut self, shared: &Shared, request: Request<'_>, verdict: Verdict, action: Action) -> Action {
        let (Verdict::Pass(admission) | Verdict::Refuse { admission, .. }) = &verdict;
        if let Some(asked) = &admission.asked {
            asked.log(shared, self, request);
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::Arc;

    use bytes::BytesMut;
    use edgeward_routing::Snapshot;
    use edgeward_routing::policy::external_auth::{AuthScheme, AuthUrl};
    use edgeward_routing::policy::{BasicAuth, Policies, basic_auth};
    use edgeward_routing::settings::Settings;

    use super::*;
    use crate::head;

    /// A request of `u` with the password `secret`, for a route with these policies.
    fn request(policies: Policies) -> (RequestContext, head::RequestHead) {
        let settings = Settings { default_policies: policies, ..Settings::default() };
        let text = "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic dTpzZWNyZXQ=\r\n\r\n";
        let head = head::RequestHead::new(BytesMut::from(text));
        (RequestContext::new(Arc::new(Snapshot::empty(settings))), head)
    }

    #[tokio::test]
    async fn nobody_passes_a_service_that_cannot_be_told_who_asks() {
        let url = AuthUrl {
            scheme: AuthScheme::Http,
            host: "127.0.0.1".parse().unwrap(),
            port: Some(1),
            path: "/".parse().unwrap(),
        };
        let auth = ExternalAuth {
            url,
            method: None,
            sign_in: None,
            response_headers: Box::default(),
            request_redirect: None,
            always_set_cookie: false,
            cache: None,
            set_headers: Box::default(),
        };
        let policies = Policies { external_auth: Some(Arc::new(auth)), ..Policies::default() };
        let (ctx, head) = request(policies);
        assert!(ctx.forwarded.is_none());
        let verdict = Auth::default().ask(&AuthShared::new(true), &ctx, &head).await;
        assert!(matches!(verdict, Verdict::Refuse { status: 500, reason: Reason::AuthFailed, .. }));
    }

    #[tokio::test]
    async fn without_a_secret_key_passwords_are_compared_and_not_remembered() {
        let password = basic_auth::Password::Md5 {
            prefix: "$apr1$",
            salt: b"abcdefgh".as_slice().into(),
            digest: *b"h9FWgUz3n9YxylKLlR5SQ/",
        };
        let users = Arc::new(basic_auth::Users::new(vec![(b"u".as_slice().into(), password)]));
        let basic_auth = Arc::new(BasicAuth { realm: "".into(), users });
        let policies = Policies { basic_auth: Some(basic_auth), ..Policies::default() };
        let (ctx, head) = request(policies);
        for (key, known) in [(None, 0), (AuthShared::new(true).key, 1)] {
            let (auth, shared) = (Auth::default(), AuthShared { key, ..AuthShared::new(true) });
            for _ in 0..2 {
                assert!(matches!(auth.ask(&shared, &ctx, &head).await, Verdict::Pass(_)));
            }
            assert_eq!(auth.known.lock().unwrap().len(), known);
        }
    }
}
