//! Leaky buckets, one for each client.

use std::mem;

use super::Rate;
use super::client::{Client, Map, PARTS, Parts};

/// The buckets of the clients of one Ingress, for one rate.
///
/// They hold the newest 40,000 clients at least, which is what nginx's zones of 5 MB hold, and twice as many at most; the
/// oldest go first. Who is forgotten begins anew. A bucket that has run empty is forgotten too, which changes nothing.
#[derive(Debug, Default)]
pub(super) struct Buckets(Parts<Part>);

/// Clients in one generation of one part.
const CLIENTS: usize = 40_000 / PARTS;

/// Two generations: when the young one is full, or all that it does not have would have run empty, it becomes the old one
/// and the old one is forgotten.
#[derive(Debug, Default)]
struct Part {
    young: Map<Bucket>,
    old: Map<Bucket>,
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
    fn find(&mut self, client: Client, now: u64, rate: &Rate) -> Option<Bucket> {
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
    /// Whether a request would be taken.
    pub(super) fn has_room(&self, client: Client, now: u64, rate: &Rate) -> bool {
        let known = self.0.of(client).find(client, now, rate);
        Bucket::after_request(known, now, rate).excess <= rate.burst
    }

    /// Counts a request that has been taken.
    pub(super) fn charge(&self, client: Client, now: u64, rate: &Rate) {
        let mut part = self.0.of(client);
        let bucket = Bucket::after_request(part.find(client, now, rate), now, rate);
        part.young.insert(client, bucket);
    }

    /// Counts a request and takes it; or does neither.
    pub(super) fn take(&self, client: Client, now: u64, rate: &Rate) -> bool {
        let mut part = self.0.of(client);
        let bucket = Bucket::after_request(part.find(client, now, rate), now, rate);
        let is_within = bucket.excess <= rate.burst;
        if is_within {
            part.young.insert(client, bucket);
        }
        is_within
    }

    /// How many clients it knows.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.0.sum(|part| part.young.len() + part.old.len())
    }
}
