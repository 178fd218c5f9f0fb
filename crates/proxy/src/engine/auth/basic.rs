//! Users and passwords.

use std::net::IpAddr;
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
use crate::seats::{self, Seats};

/// How long a client waits for its turn at most.
const WAIT: Duration = Duration::from_secs(10);

/// How many requests wait for their turn at most.
const WAITING: usize = 1024;

/// How many of these one client may have.
const OF_CLIENT: usize = 16;

/// How many of these may be about the same list of users.
const OF_LIST: usize = WAITING / 4;

/// Who takes a place in the queue.
#[derive(Clone, Copy)]
struct Asking {
    client: IpAddr,
    /// Where its list of users is.
    list: usize,
}

/// Comparing passwords takes up to a second of a processor: away from the workers, on threads that yield to them, and on no
/// more at a time than there are processors.
pub(super) struct Hashing {
    runtime: Handle,
    turns: Arc<Semaphore>,
    queue: Semaphore,
    clients: Seats<IpAddr>,
    lists: Seats<usize>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        let turns = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            runtime: Handle::current(),
            turns: Arc::new(Semaphore::new(turns)),
            queue: Semaphore::new(WAITING),
            clients: Seats::new(OF_CLIENT),
            lists: Seats::new(OF_LIST),
        }
    }

    /// Whether a password fits. `None` when there is no time to find out. Neither one client nor those of one list of users
    /// take all the time there is.
    async fn fits(&self, asking: Asking, password: Password, attempt: Vec<u8>) -> Option<bool> {
        let _of_client = self.clients.seat(asking.client).ok()?;
        let _of_list = self.lists.seat(asking.list).ok()?;
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
        client: IpAddr,
        head: &H,
    ) -> Result<(), Verdict> {
        let fits = match Credentials::of(head) {
            None => Some(false),
            Some(credentials) => self.fits(shared, basic_auth, client, &credentials).await,
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

    async fn fits(
        &self,
        shared: &AuthShared,
        basic_auth: &BasicAuth,
        client: IpAddr,
        credentials: &Credentials,
    ) -> Option<bool> {
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
        let asking = Asking { client: seats::network(client), list: Arc::as_ptr(&basic_auth.users).addr() };
        let fits = shared.hashing.fits(asking, password.clone(), credentials.password().to_vec()).await?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_client_and_no_list_of_users_takes_all_places() {
        let hashing = Hashing::new();
        let all = u32::try_from(hashing.turns.available_permits()).unwrap();
        let _turns = hashing.turns.acquire_many(all).await.unwrap();
        let ask = |client: u32, list| {
            let asking = Asking { client: Ipv4Addr::from_bits(client).into(), list };
            let mut answer = Box::pin(hashing.fits(asking, Password::Never, Vec::new()));
            let is_turned_away = (&mut answer).now_or_never().is_some();
            (!is_turned_away).then_some(answer)
        };
        let mut of_one: Vec<_> = (0..OF_CLIENT).map(|_| ask(1, 1).unwrap()).collect();
        assert!(ask(1, 2).is_none() && ask(2, 2).is_some());
        of_one.pop();
        assert!(ask(1, 2).is_some());
        let of_list: Vec<_> = (of_one.len()..OF_LIST).map(|at| ask(10 + at as u32, 1).unwrap()).collect();
        assert!(ask(2, 1).is_none() && ask(2, 2).is_some());
        drop(of_list);
        assert!(ask(2, 1).is_some());
    }
}
