//! Leaky buckets, one for each client.

use std::hash::RandomState;
use std::mem;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;

use super::Rate;

/// The buckets of the clients of one Ingress, for one rate.
///
/// They hold the newest 40,000 clients at least, which is what nginx's zones of 5 MB hold, and twice as many at most; the
/// oldest go first. Who is forgotten begins anew. A bucket that has run empty is forgotten too, which changes nothing.
///
/// Clients are spread over parts that are locked one at a time, for the time of one look-up: workers meet only in the same
/// part. The place of a client depends on a secret of the process, for clients choose their addresses.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    parts: [Mutex<Part>; PARTS],
    placing: RandomState,
}

const PARTS: usize = 16;

/// Clients in one generation of one part.
const CLIENTS: usize = 40_000 / PARTS;

/// Two generations: when the young one is full, or all that it does not have would have run empty, it becomes the old one
/// and the old one is forgotten.
#[derive(Debug, Default)]
struct Part {
    young: HashMap<u128, Bucket, RandomState>,
    old: HashMap<u128, Bucket, RandomState>,
    /// When the young one began, in milliseconds.
    began: u64,
}

/// What nginx keeps of a client (ngx_http_limit_req_node_t).
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of a request above the rate.
    excess: u64,
    /// When that was, in milliseconds.
    last: u64,
}

impl Bucket {
    /// The bucket with one more request in it (ngx_http_limit_req_lookup). The first request of a client fills nothing.
    fn after_request(this: Option<Self>, now: u64, rate: &Rate) -> Self {
        let Some(Self { excess, last }) = this else { return Self { excess: 0, last: now } };
        // A clock that another worker read later is no reason to run full.
        let passed = now.saturating_sub(last);
        let leaked = rate.thousandths.saturating_mul(passed) / 1000;
        Self { excess: excess.saturating_add(1000).saturating_sub(leaked), last: last.max(now) }
    }
}

impl Part {
    /// The bucket of a client, which is young from now on.
    fn find(&mut self, client: u128, now: u64, rate: &Rate) -> Option<Bucket> {
        let until_empty = (rate.burst.saturating_add(1000)).saturating_mul(1000) / rate.thousandths.max(1);
        if self.young.len() >= CLIENTS || now.saturating_sub(self.began) > until_empty.max(1000) {
            self.old = mem::take(&mut self.young);
            self.began = now;
        }
        if let Some(bucket) = self.young.get(&client) {
            return Some(*bucket);
        }
        let bucket = self.old.remove(&client)?;
        self.young.insert(client, bucket);
        Some(bucket)
    }
}

impl Buckets {
    fn with<T>(&self, client: u128, work: impl FnOnce(&mut Part) -> T) -> T {
        let place = std::hash::BuildHasher::hash_one(&self.placing, client) as usize % PARTS;
        // Nothing that is done under the lock can be left half done.
        work(&mut self.parts[place].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a request would be taken.
    pub(super) fn has_room(&self, client: u128, now: u64, rate: &Rate) -> bool {
        self.with(client, |part| Bucket::after_request(part.find(client, now, rate), now, rate).excess <= rate.burst)
    }

    /// Counts a request that has been taken.
    pub(super) fn charge(&self, client: u128, now: u64, rate: &Rate) {
        self.with(client, |part| {
            let bucket = Bucket::after_request(part.find(client, now, rate), now, rate);
            part.young.insert(client, bucket);
        });
    }

    /// Counts a request and takes it; or does neither.
    pub(super) fn take(&self, client: u128, now: u64, rate: &Rate) -> bool {
        self.with(client, |part| {
            let bucket = Bucket::after_request(part.find(client, now, rate), now, rate);
            let is_within = bucket.excess <= rate.burst;
            if is_within {
                part.young.insert(client, bucket);
            }
            is_within
        })
    }

    /// How many clients it knows.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        let known = |part: &Mutex<Part>| part.lock().map_or(0, |part| part.young.len() + part.old.len());
        self.parts.iter().map(known).sum()
    }
}
