//! Balancing: which endpoint of a backend takes a request.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::backend::{Backend, LoadBalance};
use crate::endpoint::{Endpoint, EndpointState};
use crate::settings::Ejection;

/// Time constant of the peak-EWMA: after this time without a request, a past peak counts for 1/e.
/// (ingress-nginx balancer/ewma.lua: 10 s.)
const EWMA_DECAY: Duration = Duration::from_secs(10);

/// The share of requests that an endpoint gets at the very start of its slow start.
const SLOW_START_FLOOR: f64 = 0.1;

/// Picks an endpoint. Returns its index in [`Backend::endpoints`]; `None` only when there is none.
///
/// Endpoints that are unhealthy or in `tried` are passed over while others are left. When more than
/// [`Ejection::max_percent`] of the endpoints are unhealthy, health is ignored (panic mode): the probes or this proxy are
/// then more likely wrong than the endpoints. When all have been tried, they are tried again.
///
/// `hashed` gives indexes in the order of the hash ring where the policy [hashes](LoadBalance::hashed); without it that
/// policy falls back to round robin.
pub fn pick(
    backend: &Backend,
    ejection: &Ejection,
    tried: &[SocketAddr],
    hashed: Option<&mut dyn Iterator<Item = usize>>,
) -> Option<usize> {
    let endpoints = &*backend.endpoints;
    if endpoints.len() <= 1 {
        return (!endpoints.is_empty()).then_some(0);
    }
    let fresh = |endpoint: &Endpoint| !tried.contains(&endpoint.addr);
    let good = |endpoint: &Endpoint| fresh(endpoint) && endpoint.state.is_healthy();
    let mut hashed = hashed;
    // The policy chooses without regard to health first: its choice is nearly always healthy, and in panic mode it is
    // the one to take. Counting the unhealthy is only worth it once one was chosen.
    let first = match &mut hashed {
        Some(ring) => ring.filter(|index| *index < endpoints.len()).find(|index| fresh(&endpoints[*index])),
        None => Some(choose(backend, &fresh)),
    };
    match first.filter(|index| fresh(&endpoints[*index])) {
        Some(index) if endpoints[index].state.is_healthy() || is_panic(endpoints, ejection) => return Some(index),
        _ => {}
    }
    if let Some(ring) = hashed
        && let Some(index) = ring.filter(|index| *index < endpoints.len()).find(|index| good(&endpoints[*index]))
    {
        return Some(index);
    }
    // From a random start, so that the neighbour of an unhealthy endpoint does not take all of its share.
    let start = fastrand::usize(..endpoints.len());
    let from_start = |accept: &dyn Fn(&Endpoint) -> bool| {
        (0..endpoints.len()).map(|step| (start + step) % endpoints.len()).find(|index| accept(&endpoints[*index]))
    };
    from_start(&good).or_else(|| from_start(&fresh)).or(first).or(Some(start))
}

/// Whether so many endpoints are unhealthy that health says nothing.
fn is_panic(endpoints: &[Endpoint], ejection: &Ejection) -> bool {
    let unhealthy = endpoints.iter().filter(|endpoint| !endpoint.state.is_healthy()).count();
    unhealthy * 100 > endpoints.len() * usize::from(ejection.max_percent)
}

/// The policy's own choice: one that `accept` takes, unless its few draws find none.
fn choose(backend: &Backend, accept: &dyn Fn(&Endpoint) -> bool) -> usize {
    match &backend.load_balance {
        LoadBalance::RoundRobin | LoadBalance::ConsistentHash(_) | LoadBalance::SubsetHash(..) => {
            in_turn(backend, accept)
        }
        LoadBalance::LeastRequest => best_of_two(backend, |_| 0.0, accept),
        LoadBalance::PeakEwma => best_of_two(backend, expected, accept),
    }
}

/// Round robin: the next endpoint that is accepted; one in slow start is passed over as often as its share says.
fn in_turn(backend: &Backend, accept: &dyn Fn(&Endpoint) -> bool) -> usize {
    let count = backend.endpoints.len();
    let mut warming = None;
    let mut last = 0;
    for _ in 0..count {
        let index = backend.cursor.fetch_add(1, Ordering::Relaxed) % count;
        let endpoint = &backend.endpoints[index];
        last = index;
        if !accept(endpoint) {
            continue;
        }
        let share = share(backend, &endpoint.state);
        if share >= 1.0 || fastrand::f64() < share {
            return index;
        }
        warming = warming.or(Some(index));
    }
    // All that are accepted are warming up, or none is. The round has come back to where it began; the next one must begin
    // later, or one endpoint would get the requests of many rounds.
    backend.cursor.fetch_add(1, Ordering::Relaxed);
    warming.unwrap_or(last)
}

/// The cheaper of two random endpoints, of those two that are accepted if any is. The cost is the expected response time
/// times the requests that would share it; where nothing is expected of one of them, the requests alone: of an endpoint
/// that has never answered nobody knows that it is fast.
fn best_of_two(backend: &Backend, expected: fn(&EndpointState) -> f64, accept: &dyn Fn(&Endpoint) -> bool) -> usize {
    let count = backend.endpoints.len();
    let first = fastrand::usize(..count);
    let second = (first + 1 + fastrand::usize(..count - 1)) % count;
    let states = [first, second].map(|index| &*backend.endpoints[index].state);
    let times = states.map(expected);
    let counts = times.iter().all(|time| *time > 0.0);
    let [of_first, of_second] = [0, 1].map(|at| {
        let requests = f64::from(states[at].in_flight()) + 1.0;
        let time = if counts { times[at] } else { 1.0 };
        time * requests / share(backend, states[at])
    });
    match (accept(&backend.endpoints[first]), accept(&backend.endpoints[second])) {
        (true, false) => first,
        (false, true) => second,
        _ if of_second < of_first => second,
        _ => first,
    }
}

/// The share of a full one that an endpoint gets: less than 1 only during its slow start.
fn share(backend: &Backend, state: &EndpointState) -> f64 {
    if backend.slow_start.is_zero() {
        return 1.0;
    }
    let usable = Duration::from_millis(state.usable_for_ms());
    (usable.as_secs_f64() / backend.slow_start.as_secs_f64()).clamp(SLOW_START_FLOOR, 1.0)
}

/// The response time to expect, in nanoseconds; 0 before the first answer.
fn expected(state: &EndpointState) -> f64 {
    let ewma = state.ewma_ns.load(Ordering::Relaxed) as f64;
    let idle = state.age_ns().saturating_sub(state.ewma_at_ns.load(Ordering::Relaxed)) as f64;
    let decayed = ewma * (-idle / EWMA_DECAY.as_nanos() as f64).exp();
    if ewma == 0.0 { 0.0 } else { decayed + 1.0 }
}

/// Records a response time for [`LoadBalance::PeakEwma`]: a higher one counts at once, a lower one by and by.
pub fn record_latency(state: &EndpointState, took: Duration) {
    let now = state.age_ns();
    let took = took.as_nanos() as f64;
    let before = state.ewma_ns.load(Ordering::Relaxed) as f64;
    let since = now.saturating_sub(state.ewma_at_ns.swap(now, Ordering::Relaxed)) as f64;
    let weight = (-since / EWMA_DECAY.as_nanos() as f64).exp();
    let after = if took > before { took } else { before * weight + took * (1.0 - weight) };
    // 0 is for an endpoint that has not answered yet.
    state.ewma_ns.store((after as u64).max(1), Ordering::Relaxed);
}

/// Records that an endpoint failed a request, and ejects it when it has failed too often in a row and the cap on ejected
/// endpoints leaves room. Returns for how long it is ejected.
pub fn record_failure(backend: &Backend, endpoint: &EndpointState, ejection: &Ejection) -> Option<Duration> {
    let failures = endpoint.record_failure();
    if ejection.consecutive_failures == 0 || failures < ejection.consecutive_failures {
        return None;
    }
    let ejected = backend.endpoints.iter().filter(|other| other.state.is_ejected()).count();
    let room = (ejected + 1) * 100 <= backend.endpoints.len() * usize::from(ejection.max_percent);
    if endpoint.is_ejected() || !room {
        return None;
    }
    let base = u64::try_from(ejection.base.as_millis()).unwrap_or(u64::MAX);
    Some(Duration::from_millis(endpoint.eject(base)))
}

#[cfg(test)]
mod tests;
