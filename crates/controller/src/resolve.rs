//! External names: resolving the hosts of Services of type ExternalName, and keeping the answers fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Time between two look-ups of one name. The system resolver does not tell how long an answer holds, and 30 s is what
/// most cluster DNS servers cache for.
pub const REFRESH: Duration = Duration::from_secs(30);

/// Time after which a look-up has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Look-ups under way at a time; each holds a thread of the blocking pool.
const CONCURRENCY: usize = 16;

/// What is known of one external name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The addresses of the last answer that had any, sorted.
    pub addresses: Vec<IpAddr>,
    /// Why the last look-up failed; `None` when it succeeded.
    pub failure: Option<String>,
}

impl Resolution {
    /// Takes in an answer and says whether anything changed. A failure keeps the addresses: a name server that is away
    /// does not make a working backend go away.
    pub(crate) fn record(&mut self, answer: Result<Vec<IpAddr>, String>) -> bool {
        let mut next = match answer {
            Ok(addresses) if !addresses.is_empty() => Self { addresses, failure: None },
            Ok(_) => Self { failure: Some("the name has no address".to_owned()), ..self.clone() },
            Err(failure) => Self { failure: Some(failure), ..self.clone() },
        };
        next.addresses.sort_unstable();
        next.addresses.dedup();
        let changed = *self != next;
        *self = next;
        changed
    }
}

/// A name as it is kept and compared: lower case, without the trailing dot.
pub(crate) fn canonical_name(name: &str) -> Box<str> {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into()
}

/// One answer: the name, and its addresses or why there are none.
pub type Answer = (Box<str>, Result<Vec<IpAddr>, String>);

/// Asks the system's resolver.
pub async fn look_up(name: Box<str>) -> io::Result<Vec<IpAddr>> {
    // The port has no meaning here; the call wants one.
    Ok(tokio::net::lookup_host((&*name, 0)).await?.map(|address| address.ip()).collect())
}

/// Resolves the names in `names` and sends the answers, new names at once and all of them every `refresh`. It ends when
/// either end is gone.
pub async fn run<F>(
    mut names: watch::Receiver<BTreeSet<Box<str>>>,
    answers: mpsc::Sender<Answer>,
    refresh: Duration,
    look_up: impl Fn(Box<str>) -> F,
) where
    F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
{
    let mut due: BTreeMap<Box<str>, Instant> = BTreeMap::new();
    let mut under_way: JoinSet<Answer> = JoinSet::new();
    let mut asked: BTreeSet<Box<str>> = BTreeSet::new();
    loop {
        let now = Instant::now();
        {
            let wanted = names.borrow_and_update();
            due.retain(|name, _| wanted.contains(name));
            for name in wanted.iter() {
                due.entry(name.clone()).or_insert(now);
            }
        }
        let next: Vec<_> = due
            .iter()
            .filter(|(name, at)| **at <= now && !asked.contains(*name))
            .map(|(name, _)| name.clone())
            .take(CONCURRENCY.saturating_sub(under_way.len()))
            .collect();
        for name in next {
            due.insert(name.clone(), now + refresh);
            asked.insert(name.clone());
            let answer = look_up(name.clone());
            under_way.spawn(async move {
                let answer = match timeout(PATIENCE, answer).await {
                    Ok(Ok(addresses)) => Ok(addresses),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
                };
                (name, answer)
            });
        }
        // With every place taken, the next start waits for an answer, not for the clock.
        let is_full = under_way.len() >= CONCURRENCY;
        let wake = due.iter().filter(|(name, _)| !asked.contains(*name)).map(|(_, at)| *at).min();
        tokio::select! {
            changed = names.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(done) = under_way.join_next() => {
                // A look-up that panicked is not answered; its name comes up again with the next refresh.
                if let Ok((name, answer)) = done {
                    asked.remove(&name);
                    if answers.send((name, answer)).await.is_err() {
                        return;
                    }
                } else {
                    asked.clear();
                }
            }
            () = sleep_until(wake.unwrap_or(now)), if wake.is_some() && !is_full => {}
        }
    }
}

#[cfg(test)]
mod tests;
