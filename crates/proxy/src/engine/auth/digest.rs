//! Users who prove that they know their passwords (RFC 7616), with the times and numbers of nginx-http-auth-digest.
//!
//! A nonce is the process's own word for when it was given, so that none is kept before somebody has answered it rightly;
//! what has been used of those is, behind locks that are held for a look-up, so that nothing is taken twice by two workers.

mod failures;
mod nonce;
mod spent;

use std::net::IpAddr;
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use edgeward_routing::decide::{Reason, RequestHead};
use edgeward_routing::policy::DigestAuth;
use edgeward_routing::policy::digest_auth::{Answer, Secret};
use http::HeaderValue;
use http::header::{HeaderName, WWW_AUTHENTICATE};

use super::{Admission, Verdict, When};
use crate::seats;
use failures::Failures;
use nonce::Nonce;
use spent::{Spent, Use};

/// Locks of each of the tables.
const SHARDS: usize = 16;

/// What the workers share.
#[derive(Debug)]
pub(super) struct Digests {
    /// Times count from here, in milliseconds.
    started: Instant,
    spent: Spent,
    failures: Failures,
}

impl Default for Digests {
    fn default() -> Self {
        Self { started: Instant::now(), spent: Spent::default(), failures: Failures::default() }
    }
}

/// What an answer to a challenge comes to.
enum Outcome {
    /// It proves who the client is; what the proxy proves in turn.
    Good(Vec<u8>),
    /// It was right for a nonce whose time is over: the client needs another one, and its user need not be asked.
    Stale,
    /// It is neither.
    Bad,
}

impl Digests {
    /// Asks for the proof. Without a key nobody can give it.
    ///
    /// # Errors
    ///
    /// What the client gets instead, when it has none that fits.
    pub(super) fn ask(
        &self,
        key: Option<&hmac::Key>,
        auth: &DigestAuth,
        client: IpAddr,
        head: &impl RequestHead,
    ) -> Result<Admission, Verdict> {
        let Some(key) = key else { return Err(refusal(503, Reason::AuthBusy, None)) };
        let client = seats::network(client);
        let now = || self.started.elapsed().as_millis() as u64;
        if self.failures.are_too_many(client, now()) {
            // Without a challenge, as there: it would be of no use.
            return Err(refusal(401, Reason::Unauthorized, None));
        }
        let is_stale = match Answer::of(head) {
            None => false,
            Some(answer) => match self.judge(key, auth, &answer, head, now) {
                Outcome::Good(acknowledgement) => {
                    self.failures.forget(client);
                    let said = HeaderValue::try_from(acknowledgement).ok();
                    let name = HeaderName::from_static("authentication-info");
                    let response = said.map(|value| (name, value, When::Always)).into_iter().collect();
                    return Ok(Admission { response, ..Admission::default() });
                }
                Outcome::Stale => true,
                Outcome::Bad => {
                    self.failures.count(client, now());
                    false
                }
            },
        };
        let challenge = auth.challenge(&Nonce::given(now()).sealed(key), is_stale);
        Err(refusal(401, Reason::Unauthorized, HeaderValue::try_from(challenge).ok()))
    }

    fn judge(
        &self,
        key: &hmac::Key,
        auth: &DigestAuth,
        answer: &Answer<'_>,
        head: &impl RequestHead,
        now: impl Fn() -> u64,
    ) -> Outcome {
        let known = auth.find(answer.user());
        // For one whom nobody knows it takes as long.
        let secret = known.unwrap_or(&Secret::OF_NOBODY);
        let expected = answer.expected(secret, head.method());
        let is_right = verify_slices_are_equal(expected.as_bytes(), answer.response()).is_ok();
        if !(is_right && known.is_some() && answer.is_about(head, &auth.realm)) {
            return Outcome::Bad;
        }
        // One of another replica, or of before a restart, is none of this process, and as good as old.
        let Some(nonce) = Nonce::open(key, answer.nonce()) else { return Outcome::Stale };
        match self.spent.spend(&nonce, answer.count(), now) {
            Use::First => Outcome::Good(answer.acknowledgement(secret)),
            Use::TooLate => Outcome::Stale,
            Use::Again => Outcome::Bad,
        }
    }
}

fn refusal(status: u16, reason: Reason, challenge: Option<HeaderValue>) -> Verdict {
    let response = challenge.map(|challenge| (WWW_AUTHENTICATE, challenge, When::Always)).into_iter().collect();
    Verdict::Refuse { status, location: None, reason, admission: Admission { response, ..Admission::default() } }
}
