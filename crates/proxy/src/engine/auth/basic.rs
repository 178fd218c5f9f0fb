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
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::held::HeldValues;
use super::{Admission, Auth, AuthShared, Verdict, When, kept, password};
use crate::seats::{self, Seats};

/// How long a client waits for its turn at most.
const WAIT: Duration = Duration::from_secs(10);

/// How many requests wait for their turn at most.
const WAITING: usize = 1024;

/// How many of these one client may have. Its other requests wait for one of its own to leave.
const OF_CLIENT: usize = 16;

/// How many of these may be about the same list of users.
const OF_LIST: usize = WAITING / 4;

/// Who takes a place in the queue.
#[derive(Clone, Copy)]
struct Asking {
    client: IpAddr,
    /// Where its list of users is.
    list: usize,
    /// When it has waited long enough.
    deadline: Instant,
}

/// Passwords that are being compared, by what they would be known by, for all who ask the same. Where nobody could tell, the next of
/// them tries.
pub(super) type Comparisons = HeldValues<kept::Key, OnceCell<bool>>;

/// Comparing passwords takes up to a second of a processor: away from the workers, on threads that yield to them, and on no
/// more at a time than there are processors.
pub(super) struct Hashing {
    runtime: Handle,
    turns: Arc<Semaphore>,
    queue: Semaphore,
    clients: HeldValues<IpAddr, Semaphore>,
    lists: Seats<usize>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        let turns = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            runtime: Handle::current(),
            turns: Arc::new(Semaphore::new(turns)),
            queue: Semaphore::new(WAITING),
            clients: HeldValues::default(),
            lists: Seats::new(OF_LIST),
        }
    }

    /// Whether a password fits. `None` when there is no time to find out. Neither one client nor those of one list of users
    /// take all the time there is: while a client waits for its share, it has no place.
    async fn fits(&self, asking: Asking, password: Password, attempt: Vec<u8>) -> Option<bool> {
        let share = self.clients.hold(asking.client, || Semaphore::new(OF_CLIENT));
        let _of_client = timeout_at(asking.deadline, share.acquire()).await.ok()?.ok()?;
        let _of_list = self.lists.seat(asking.list).ok()?;
        let _place = self.queue.try_acquire().ok()?;
        let turn = timeout_at(asking.deadline, Arc::clone(&self.turns).acquire_owned()).await.ok()?.ok()?;
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
        let key = shared.key.as_ref().map(|secret| key(secret, password, credentials));
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_some() && key.is_some_and(|key| known().find(&key).is_some()) {
            return Some(true);
        }
        let list = Arc::as_ptr(&basic_auth.users).addr();
        let asking = Asking { client: seats::network(client), list, deadline: Instant::now() + WAIT };
        let compare = || shared.hashing.fits(asking, password.clone(), credentials.password().to_vec());
        let Some(key) = key else { return Some(compare().await? && found.is_some()) };
        // What is compared with the password of somebody else is nobody's right one: whoever shares the outcome judges by itself.
        let comparison = self.comparisons.hold(key, OnceCell::new);
        let fits = *comparison.get_or_try_init(async || compare().await.ok_or(())).await.ok()? && found.is_some();
        if fits {
            known().insert(key, ());
        }
        Some(fits)
    }
}

/// What a user with this password is known by if it is right. It changes with the entry in the Secret, so that nothing outlives that.
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

    use bytes::BytesMut;
    use edgeward_routing::policy::basic_auth::Users;
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::task::unconstrained;

    use super::*;
    use crate::head;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// `u:secret` and `u:wrong`.
    const RIGHT: &str = "dTpzZWNyZXQ=";
    const WRONG: &str = "dTp3cm9uZw==";

    #[tokio::test]
    async fn no_client_and_no_list_of_users_takes_all_places() {
        let hashing = Hashing::new();
        let all = u32::try_from(hashing.turns.available_permits()).unwrap();
        let _turns = hashing.turns.acquire_many(all).await.unwrap();
        let taken = || WAITING - hashing.queue.available_permits();
        let ask = |client: u32, list| {
            let client = Ipv4Addr::from_bits(client).into();
            let asking = Asking { client, list, deadline: Instant::now() + WAIT };
            let mut answer = Box::pin(unconstrained(hashing.fits(asking, Password::Never, Vec::new())));
            let is_turned_away = (&mut answer).now_or_never().is_some();
            (!is_turned_away).then_some(answer)
        };
        let mut of_one: Vec<_> = (0..OF_CLIENT).map(|_| ask(1, 1).unwrap()).collect();
        let mut more = ask(1, 2).unwrap();
        assert_eq!(taken(), OF_CLIENT, "it waits without a place");
        let of_other = ask(2, 2).unwrap();
        assert_eq!(taken(), OF_CLIENT + 1);
        drop((of_one.pop(), of_other));
        assert!((&mut more).now_or_never().is_none());
        assert_eq!(taken(), OF_CLIENT, "it has the place that is free");
        drop(more);
        let of_list: Vec<_> = (of_one.len()..OF_LIST).map(|at| ask(10 + at as u32, 1).unwrap()).collect();
        assert!(ask(2, 1).is_none() && ask(2, 2).is_some());
        drop(of_list);
        assert!(ask(2, 1).is_some());
        drop(of_one);
        assert_eq!((taken(), hashing.clients.len()), (0, 0));
    }

    /// A list with one user, whose password is `secret`.
    fn list(user: &str) -> BasicAuth {
        let salt = [7; 16];
        let mut digest = [0; 23];
        digest.copy_from_slice(&bcrypt::bcrypt(4, salt, b"secret\0")[..23]);
        let password = Password::Bcrypt { cost: 4, salt, digest };
        BasicAuth { realm: "".into(), users: Arc::new(Users::new(vec![(user.as_bytes().into(), password)])) }
    }

    fn credentials(value: &str) -> Credentials {
        let text = format!("GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic {value}\r\n\r\n");
        Credentials::of(&head::RequestHead::new(BytesMut::from(text.as_str()))).unwrap()
    }

    #[tokio::test]
    async fn those_who_ask_the_same_wait_for_one_comparison() {
        let (auth, shared, basic_auth) = (Auth::default(), AuthShared::new(true), list("u"));
        let all = u32::try_from(shared.hashing.turns.available_permits()).unwrap();
        let turns = shared.hashing.turns.acquire_many(all).await.unwrap();
        let taken = || WAITING - shared.hashing.queue.available_permits();
        let (right, wrong) = (credentials(RIGHT), credentials(WRONG));
        let ask = |credentials| {
            let mut answer = Box::pin(unconstrained(auth.fits(&shared, &basic_auth, CLIENT, credentials)));
            assert!((&mut answer).now_or_never().is_none());
            answer
        };
        let mut asking: Vec<_> = (0..100).map(|_| ask(&right)).collect();
        let turned_down: Vec<_> = (0..100).map(|_| ask(&wrong)).collect();
        assert_eq!((taken(), auth.comparisons.len()), (2, 2));
        // Whoever was first leaves, and the next one asks.
        drop(asking.remove(0));
        let answers = join_all(asking);
        drop(turns);
        assert!(answers.await.iter().all(|answer| *answer == Some(true)));
        assert!(join_all(turned_down).await.iter().all(|answer| *answer == Some(false)));
        assert_eq!((taken(), auth.comparisons.len(), auth.known.lock().unwrap().len()), (0, 0, 1));
    }

    /// The password that unknown users are compared with is that of a user elsewhere.
    #[tokio::test]
    async fn nobody_passes_by_the_comparison_of_another_list() {
        let (auth, shared) = (Auth::default(), AuthShared::new(true));
        let (with, without) = (list("u"), list("other"));
        let right = credentials(RIGHT);
        let answers = [&without, &with, &without].map(|list| auth.fits(&shared, list, CLIENT, &right));
        assert_eq!(join_all(answers).await, [Some(false), Some(true), Some(false)]);
        assert_eq!(auth.fits(&shared, &without, CLIENT, &right).await, Some(false));
    }
}
