//! The leader: the one replica that writes to the cluster. All replicas serve; which of them leads changes nothing for
//! traffic.
//!
//! A Lease (coordination.k8s.io/v1) names the holder. It is renewed well before it runs out; whoever finds it unrenewed
//! for its whole duration, by its own clock, takes it. Two writers at once are excluded by the API server, which accepts
//! an update only of the version that was read.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Who leads, and for how long.
#[derive(Debug, Clone)]
pub struct LeaderOptions {
    /// The namespace of the Lease: that of the pod.
    pub namespace: String,
    /// The name of the Lease (`--election-id`).
    pub name: String,
    /// Who this is: the name of the pod.
    pub identity: String,
    /// How long a Lease is good for that is not renewed (`--election-ttl`); whole seconds count.
    pub ttl: Duration,
}

/// Takes part in the election.
pub struct Leader {
    api: Api<Lease>,
    options: LeaderOptions,
    leads: watch::Sender<bool>,
    /// The version of another holder's Lease that was last seen, and when it was first seen.
    seen: Option<(String, Instant)>,
}

impl Leader {
    /// A candidate, and whether it leads.
    pub fn new(client: Client, options: LeaderOptions) -> (Self, watch::Receiver<bool>) {
        let (leads, seen) = watch::channel(false);
        let api = Api::namespaced(client, &options.namespace);
        (Self { api, options, leads, seen: None }, seen)
    }

    /// Takes part until `end` is true, and gives the Lease back then.
    pub async fn run(mut self, mut end: watch::Receiver<bool>) {
        let pause = self.options.ttl / 3;
        // Without contact it leads until shortly before others may take the Lease.
        let margin = self.options.ttl / 6;
        let mut leads_until = Instant::now();
        let mut last_error = String::new();
        'election: loop {
            let began = Instant::now();
            let attempt = tokio::select! {
                attempt = timeout(pause, self.attempt()) => Some(attempt),
                () = sleep_until(leads_until), if self.leads() => None,
            };
            match attempt {
                Some(Ok(Ok(true))) => {
                    leads_until = began + self.options.ttl - margin;
                    last_error.clear();
                    self.set(true);
                }
                Some(Ok(Ok(false))) => {
                    last_error.clear();
                    self.set(false);
                }
                Some(Ok(Err(error))) => self.failed(&mut last_error, error.to_string()),
                Some(Err(_)) => self.failed(&mut last_error, "no answer in time".to_owned()),
                None => self.set(false),
            }
            let next = sleep(pause);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    _ = end.wait_for(|end| *end) => break 'election,
                    () = &mut next => break,
                    () = sleep_until(leads_until), if self.leads() => self.set(false),
                }
            }
        }
        if self.leads() {
            self.set(false);
            // The next leader then need not wait until it has run out; if this fails, it waits.
            let _ = timeout(Duration::from_secs(2), self.release()).await;
        }
    }

    fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Says why there is no Lease, once.
    fn failed(&self, last: &mut String, error: String) {
        if *last != error {
            tracing::warn!(lease = self.options.name, error, "cannot take part in the election of the leader");
            *last = error;
        }
    }

    fn set(&self, leads: bool) {
        if self.leads.send_if_modified(|known| std::mem::replace(known, leads) != leads) {
            if leads {
                tracing::info!(lease = self.options.name, "leading: this replica writes status and Events");
            } else {
                tracing::info!(lease = self.options.name, "not leading any more");
            }
        }
    }

    /// Takes or renews the Lease if that is possible. Returns whether it is held now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.options.name).await? else {
            let metadata = ObjectMeta { name: Some(self.options.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.held(None)) };
            return lost_race_is_no(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder != self.options.identity && !holder.is_empty() && !self.has_run_out(&lease, &spec) {
            return Ok(false);
        }
        let lease = Lease { spec: Some(self.held(Some(&spec))), ..lease };
        lost_race_is_no(self.api.replace(&self.options.name, &PostParams::default(), &lease).await)
    }

    /// Whether another holder has not renewed for the whole duration. Only this process' clock counts: those of two nodes
    /// may differ.
    fn has_run_out(&mut self, lease: &Lease, spec: &LeaseSpec) -> bool {
        let version = lease.resource_version().unwrap_or_default();
        let now = Instant::now();
        let since = match &self.seen {
            Some((known, since)) if *known == version => *since,
            _ => {
                self.seen = Some((version, now));
                now
            }
        };
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        now.duration_since(since) >= seconds.map_or(self.options.ttl, Duration::from_secs)
    }

    fn held(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let own = before.filter(|spec| spec.holder_identity.as_ref() == Some(&self.options.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.options.identity.clone()),
            lease_duration_seconds: i32::try_from(self.options.ttl.as_secs()).ok(),
            acquire_time: own.and_then(|spec| spec.acquire_time.clone()).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if own.is_some() { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }

    async fn release(&self) -> Result<(), kube::Error> {
        let lease = self.api.get(&self.options.name).await?;
        let mut spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_ref() == Some(&self.options.identity) {
            spec.holder_identity = None;
            let lease = Lease { spec: Some(spec), ..lease };
            self.api.replace(&self.options.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }
}

/// Another candidate was faster: that is an answer, not a failure.
fn lost_race_is_no(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
