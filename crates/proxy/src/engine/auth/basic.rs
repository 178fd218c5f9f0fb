//! Users and passwords.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use edgeward_routing::decide::{Reason, RequestHead};
use edgeward_routing::policy::BasicAuth;
use edgeward_routing::policy::basic_auth::{Credentials, Password};
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Admission, Auth, AuthShared, Verdict, When, kept, password};

/// How long a client waits for its turn at most.
const WAIT: Duration = Duration::from_secs(10);

/// How many clients wait for their turn at most.
const WAITING: usize = 1024;

/// Comparing passwords takes up to a second of a processor: away from the workers, on threads that yield to them, and on no
/// more at a time than there are processors.
pub(super) struct Hashing {
    runtime: Handle,
    turns: Arc<Semaphore>,
    queue: Semaphore,
}

impl Hashing {
    pub(super) fn new() -> Self {
        let turns = std::thread::available_parallelism().map_or(1, usize::from);
        Self { runtime: Handle::current(), turns: Arc::new(Semaphore::new(turns)), queue: Semaphore::new(WAITING) }
    }

    /// Whether a password fits. `None` when there is no time to find out.
    async fn fits(&self, password: Password, attempt: Vec<u8>) -> Option<bool> {
        let _place = self.queue.try_acquire().ok()?;
        let turn = timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await.ok()?.ok()?;
        let compared = self.runtime.spawn_blocking(move || {
            let fits = password::fits(&password, &attempt);
            // Whoever has asked may have left: the turn ends with the work.
            drop(turn);
            fits
        });
        compared.await.ok()
    }
}

impl Auth {
    /// Asks for a user and a password.
    ///
    /// # Errors
    ///
    /// What the client gets instead, when it has none that fit.
    pub(super) async fn ask_basic<H: RequestHead + Sync>(
        &self,
        shared: &AuthShared,
        basic_auth: &BasicAuth,
        head: &H,
    ) -> Result<(), Verdict> {
        let fits = match Credentials::of(head) {
            None => Some(false),
            Some(credentials) => self.fits(shared, basic_auth, &credentials).await,
        };
        let (status, reason, challenge) = match fits {
            Some(true) => return Ok(()),
            Some(false) => (401, Reason::Unauthorized, HeaderValue::try_from(basic_auth.challenge()).ok()),
            None => (503, Reason::AuthBusy, None),
        };
        let response = challenge.map(|challenge| (WWW_AUTHENTICATE, challenge, When::Always)).into_iter().collect();
        let admission = Admission { response, ..Admission::default() };
        Err(Verdict::Refuse { status, location: None, reason, admission })
    }

    async fn fits(&self, shared: &AuthShared, basic_auth: &BasicAuth, credentials: &Credentials) -> Option<bool> {
        let found = basic_auth.users.find(credentials.user());
        // For one whom nobody knows it takes as long.
        let Some(password) = found.or_else(|| basic_auth.users.dearest()) else { return Some(false) };
        if password.is_cheap() {
            return Some(password::fits(password, credentials.password()) && found.is_some());
        }
        let key = shared.key.as_ref().map(|secret| key(secret, password, credentials)).filter(|_| found.is_some());
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if key.is_some_and(|key| known().find(&key).is_some()) {
            return Some(true);
        }
        let fits = shared.hashing.fits(password.clone(), credentials.password().to_vec()).await?;
        let fits = fits && found.is_some();
        if let (true, Some(key)) = (fits, key) {
            known().insert(key, ());
        }
        Some(fits)
    }
}

/// What a user with a right password is known by. It changes with the entry in the Secret, so that nothing outlives that.
fn key(key: &hmac::Key, password: &Password, credentials: &Credentials) -> kept::Key {
    kept::key(key, |mut add| {
        add(credentials.user());
        add(credentials.password());
        password::parts(password, &mut add);
    })
}
