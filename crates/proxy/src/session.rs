//! Which endpoint a session stays with, for [`edgeward_routing::affinity`].

use std::net::SocketAddr;
use std::time::SystemTime;

use edgeward_routing::affinity::{Affinity, AffinityMode, endpoint_name, from_hexadecimal, hexadecimal, random_key};
use edgeward_routing::backend::Backend;

use crate::ring;

/// So many keys are drawn for an endpoint that is fit (ingress-nginx balancer/sticky_balanced.lua): with two endpoints, one
/// in a million requests finds none among them.
const DRAWS: usize = 20;

/// An endpoint for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Its index in [`Backend::endpoints`].
    pub(crate) index: usize,
    /// The key that the client is to have from now on, where its own does not lead there.
    pub(crate) key: Option<String>,
}

/// Picks the endpoint that `key` means; a new one, with a new key, where it means none, or where an endpoint has failed this
/// request and the session may change for that. `None` only when there is no endpoint.
///
/// A session stays with an endpoint whatever its health is, as in ingress-nginx, unless it may change: another endpoint
/// does not know it. New ones go to those that are healthy and have not been `tried`, while there are such.
pub(crate) fn pick(backend: &Backend, affinity: &Affinity, key: Option<&[u8]>, tried: &[SocketAddr]) -> Option<Choice> {
    let endpoints = &*backend.endpoints;
    let is_fit = |index: usize| !tried.contains(&endpoints[index].addr) && endpoints[index].state.is_healthy();
    let may_change = affinity.cookie.changes_on_failure;
    let own = key.and_then(|key| find(backend, affinity, key));
    if let Some(index) = own.filter(|index| !may_change || (tried.is_empty() && is_fit(*index))) {
        return Some(Choice { index, key: None });
    }
    let choice = match affinity.mode {
        AffinityMode::Balanced => drawn(backend, &is_fit)?,
        AffinityMode::Persistent => {
            let fit: Vec<usize> = (0..endpoints.len()).filter(|index| is_fit(*index)).collect();
            let index = match fit.len() {
                0 if endpoints.is_empty() => return None,
                0 => fastrand::usize(..endpoints.len()),
                count => fit[fastrand::usize(..count)],
            };
            let name = hexadecimal(&endpoint_name(&backend.name, endpoints[index].addr));
            Choice { index, key: Some(name) }
        }
    };
    // Nothing better was found.
    if own == Some(choice.index) { Some(Choice { key: None, ..choice }) } else { Some(choice) }
}

/// The endpoint of a new key: one that is fit, unless the draws find none.
fn drawn(backend: &Backend, is_fit: &dyn Fn(usize) -> bool) -> Option<Choice> {
    let now = SystemTime::now();
    let mut last = None;
    for _ in 0..DRAWS {
        let key = random_key(now);
        let index = ring::endpoints_for(backend, key.as_bytes()).next()?;
        last = Some(Choice { index, key: Some(key) });
        if is_fit(index) {
            break;
        }
    }
    last
}

/// The endpoint that a key means.
fn find(backend: &Backend, affinity: &Affinity, key: &[u8]) -> Option<usize> {
    match affinity.mode {
        AffinityMode::Balanced => ring::endpoints_for(backend, key).next(),
        AffinityMode::Persistent => {
            let name = from_hexadecimal(key)?;
            let names = &backend.ring.get_or_init(|| Names::new(backend))?.0;
            let at = names.binary_search_by(|(known, _)| known.cmp(&name)).ok()?;
            Some(names[at].1)
        }
    }
}

/// The names of all endpoints, sorted, with their indexes.
struct Names(Box<[([u8; 16], usize)]>);

impl Names {
    fn new(backend: &Backend) -> Self {
        let addresses = backend.endpoints.iter().map(|endpoint| endpoint.addr).enumerate();
        let mut names: Box<[_]> =
            addresses.map(|(index, address)| (endpoint_name(&backend.name, address), index)).collect();
        names.sort_unstable();
        Self(names)
    }
}

#[cfg(test)]
mod tests;
