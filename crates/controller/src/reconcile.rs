//! The loop around the translation: changes in, snapshots out.
//!
//! One task owns the index and the publisher. It takes in changes as they come, waits a moment for quiet when it has
//! just published, rebuilds what the changes have an effect on, and swaps the result in. Nothing is published before
//! every kind has been listed, and when a rebuild fails the last good snapshot stays.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use edgeward_routing::{Publisher, Snapshot};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::change::Change;
use crate::diagnostic::Diagnostic;
use crate::index::{Dirty, Index};
use crate::object::NamespacedName;
use crate::resolve;
use crate::translate::{
    Current, Options, Translation, is_about_endpoints, is_same, refresh_endpoints, refresh_ingresses, translate,
};

mod report;
mod retired;

pub use report::{Counts, Locate, Status};

use report::Report;
use retired::Retired;

/// How often certificates are looked at again although nothing changed: they expire by themselves.
const RECHECK: Duration = Duration::from_secs(3600);

/// How often parts of old snapshots are looked at that requests still hold.
const SWEEP: Duration = Duration::from_secs(1);

/// The bounded wait for quiet. The first change after a pause is published at once; it is those right behind a
/// publication that are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdoff {
    /// Time without a change that counts as quiet. It stretches to the time that the last rebuild took, so that
    /// rebuilding never takes more than half of a core.
    pub quiet: Duration,
    /// Longest wait.
    pub max: Duration,
}

impl Default for Holdoff {
    /// 5 ms, at most 100 ms.
    fn default() -> Self {
        Self { quiet: Duration::from_millis(5), max: Duration::from_millis(100) }
    }
}

/// Turns changes into snapshots.
pub struct Reconciler {
    /// What the source sends.
    pub changes: mpsc::Receiver<Change>,
    /// Where snapshots become current.
    pub publisher: Publisher,
    /// The options; new ones take effect with a rebuild of everything.
    pub options: watch::Receiver<Arc<Options>>,
    /// Finds the place in a file of what a diagnostic is about.
    pub locator: Arc<dyn Locate>,
    /// The generation that is current, from the moment on in which it is; 0 before the first.
    pub published: watch::Sender<u64>,
    /// What is known of the last rebuild. It comes later than the snapshot: diagnostics are looked up in their files first.
    pub status: watch::Sender<Status>,
    /// How long to wait for quiet.
    pub holdoff: Holdoff,
}

impl Reconciler {
    /// Runs until the source is gone. What was published stays current.
    pub async fn run(self) {
        let Self { mut changes, publisher, mut options, locator, published, status, holdoff } = self;
        let (names, wanted_names) = watch::channel(BTreeSet::new());
        let (answer, mut answers) = mpsc::channel(64);
        let resolver = tokio::spawn(resolve::run(wanted_names, answer, resolve::REFRESH, resolve::look_up));
        let (reports, pending_report) = watch::channel(None);
        let reporter = tokio::spawn(report::run(pending_report, locator, status));
        let mut recheck = interval(RECHECK);
        let mut sweep = interval(SWEEP);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        recheck.reset();
        let initial = options.borrow_and_update().clone();
        let mut owner = Owner::new(publisher, published, initial, holdoff, reports);
        let mut has_options = true;
        while !owner.is_source_gone {
            tokio::select! {
                change = changes.recv() => owner.take_in(change),
                Some((name, answer)) = answers.recv() => owner.dirty |= owner.index.set_resolved(&name, answer),
                changed = options.changed(), if has_options => {
                    has_options = changed.is_ok();
                    if has_options {
                        owner.set_options(options.borrow_and_update().clone());
                    }
                }
                _ = recheck.tick() => owner.dirty.certificates = true,
                _ = sweep.tick(), if !owner.retired.is_empty() => {
                    owner.retired.sweep();
                    continue;
                }
            }
            owner.take_in_ready(&mut changes);
            owner.hold(&mut changes).await;
            names.send_if_modified(|names| {
                let wanted: BTreeSet<_> = owner.index.external_names().map(Box::from).collect();
                let is_new = *names != wanted;
                *names = wanted;
                is_new
            });
            owner.rebuild().await;
        }
        owner.report();
        drop((owner, names));
        // Both end by themselves now; a panic in one of them has been reported by the runtime.
        let _ = tokio::join!(resolver, reporter);
    }
}

/// The state of the loop.
struct Owner {
    index: Index,
    options: Arc<Options>,
    publisher: Publisher,
    published: watch::Sender<u64>,
    /// What is current.
    current: Snapshot,
    /// What the translation of `current` said.
    diagnostics: Arc<[Diagnostic]>,
    /// The Ingresses of `current`.
    owned: Arc<[NamespacedName]>,
    dirty: Dirty,
    /// When the oldest change was taken in that is not published yet.
    since: Option<Instant>,
    holdoff: Holdoff,
    /// When the last rebuild ended, and how long it took.
    last: Option<(Instant, Duration)>,
    retired: Retired,
    reports: watch::Sender<Option<Report>>,
    last_success: Option<SystemTime>,
    last_delay: Duration,
    has_failed: bool,
    is_source_gone: bool,
}

impl Owner {
    fn new(
        publisher: Publisher,
        published: watch::Sender<u64>,
        options: Arc<Options>,
        holdoff: Holdoff,
        reports: watch::Sender<Option<Report>>,
    ) -> Self {
        let mut index = Index::new();
        index.hold_config_map(options.configmap.clone());
        Self {
            index,
            options,
            current: Snapshot::clone(&publisher.reader().load()),
            publisher,
            published,
            diagnostics: Arc::default(),
            owned: Arc::default(),
            dirty: Dirty::default(),
            since: None,
            holdoff,
            last: None,
            retired: Retired::default(),
            reports,
            last_success: None,
            last_delay: Duration::ZERO,
            has_failed: false,
            is_source_gone: false,
        }
    }

    fn take_in(&mut self, change: Option<Change>) {
        match change {
            Some(change) => {
                self.since.get_or_insert_with(Instant::now);
                self.dirty |= self.index.apply(change);
            }
            None => self.is_source_gone = true,
        }
    }

    fn take_in_ready(&mut self, changes: &mut mpsc::Receiver<Change>) {
        // Only what is there now: a source that never pauses must not keep the rest waiting.
        for _ in 0..changes.len() {
            if let Ok(change) = changes.try_recv() {
                self.take_in(Some(change));
            }
        }
    }

    fn set_options(&mut self, options: Arc<Options>) {
        self.index.hold_config_map(options.configmap.clone());
        self.options = options;
        self.dirty.everything = true;
    }

    /// Waits for quiet if something has just been published.
    async fn hold(&mut self, changes: &mut mpsc::Receiver<Change>) {
        let Some((at, took)) = self.last else { return };
        let now = Instant::now();
        let free = at + self.holdoff.quiet.max(took).min(self.holdoff.max);
        if self.dirty == Dirty::default() || now >= free {
            return;
        }
        let latest = now + self.holdoff.max;
        let mut until = free.max(now + self.holdoff.quiet).min(latest);
        while !self.is_source_gone {
            match timeout_at(until, changes.recv()).await {
                Ok(change) => {
                    self.take_in(change);
                    until = until.max(Instant::now() + self.holdoff.quiet).min(latest);
                }
                Err(_) => return,
            }
        }
    }

    /// Rebuilds what is dirty, publishes it if anything is different, and reports.
    async fn rebuild(&mut self) {
        if !self.index.is_listed() {
            // What keeps it from being listed is worth knowing.
            if std::mem::take(&mut self.dirty.diagnostics) {
                self.report();
            }
            return;
        }
        if self.dirty == Dirty::default() && self.current.generation != 0 {
            return;
        }
        let dirty = std::mem::take(&mut self.dirty);
        let since = self.since.take().unwrap_or_else(Instant::now);
        let started = Instant::now();
        let is_first = self.current.generation == 0;
        let is_everything =
            is_first || self.has_failed || dirty.needs_translation(&self.index, self.options.configmap.as_ref());
        let mut what = "endpoints";
        if is_everything || !dirty.around.is_empty() {
            let part = if is_everything { None } else { self.translate_part(&dirty) };
            what = if part.is_some() { "part" } else { "everything" };
            let translation = match part {
                Some(translation) => Some(translation),
                None => self.translate().await,
            };
            match translation {
                Some(translation) => {
                    if *self.owned != *translation.owned {
                        self.owned = translation.owned.into();
                    }
                    self.publish(translation.snapshot, translation.diagnostics.into(), is_first);
                }
                None => self.has_failed = true,
            }
        } else if !dirty.endpoints.is_empty() {
            let refreshed = catch_unwind(AssertUnwindSafe(|| {
                refresh_endpoints(&self.index, &self.options, &self.current, &dirty.endpoints)
            }));
            match refreshed {
                Ok(Translation { snapshot, diagnostics: fresh, .. }) => {
                    let diagnostics = self.with_fresh(&dirty.endpoints, fresh);
                    self.publish(snapshot, diagnostics, false);
                }
                Err(_) => self.has_failed = true,
            }
        } else if !dirty.diagnostics {
            return;
        }
        if self.has_failed {
            tracing::error!("a rebuild failed because of a fault in Edgeward itself; the last snapshot stays current");
        }
        let took = started.elapsed();
        tracing::debug!(what, microseconds = took.as_micros(), generation = self.current.generation, "rebuilt");
        self.last = Some((Instant::now(), took));
        self.last_delay = since.elapsed();
        self.report();
    }

    /// Translates what is around the changes, if that is little. `None` asks for everything; so does a panic, a fault of ours.
    fn translate_part(&self, dirty: &Dirty) -> Option<Translation> {
        let Dirty { around, endpoints, .. } = dirty;
        let current = Current { snapshot: &self.current, diagnostics: &self.diagnostics, owned: &self.owned };
        catch_unwind(AssertUnwindSafe(|| refresh_ingresses(&self.index, &self.options, current, around, endpoints)))
            .inspect_err(|_| tracing::error!("a fault in Edgeward itself: translating everything"))
            .ok()
            .flatten()
    }

    /// Translates everything on a thread of its own: with thousands of Ingresses it takes longer than an async task may.
    /// `None` is a panic: a fault of ours that must not take the traffic down.
    async fn translate(&mut self) -> Option<Translation> {
        let index = std::mem::take(&mut self.index);
        let options = Arc::clone(&self.options);
        let previous = self.current.clone();
        let done = spawn_blocking(move || {
            let result = catch_unwind(AssertUnwindSafe(|| translate(&index, &options, &previous)));
            (index, result)
        });
        match done.await {
            Ok((index, result)) => {
                self.index = index;
                result.ok()
            }
            Err(_) => {
                // The runtime is shutting down: there is nothing left to rebuild for.
                self.is_source_gone = true;
                None
            }
        }
    }

    fn publish(&mut self, snapshot: Snapshot, diagnostics: Arc<[Diagnostic]>, is_first: bool) {
        self.has_failed = false;
        self.last_success = Some(SystemTime::now());
        self.diagnostics = diagnostics;
        if is_first || !is_same(&self.current, &snapshot) {
            let old = std::mem::replace(&mut self.current, snapshot.clone());
            self.publisher.publish(snapshot);
            self.published.send_replace(self.current.generation);
            self.retired.take(old, &self.current);
        }
    }

    /// The diagnostics of `current` with those about the endpoints of `services` replaced.
    fn with_fresh(&self, services: &BTreeSet<NamespacedName>, fresh: Vec<Diagnostic>) -> Arc<[Diagnostic]> {
        let is_replaced = |diagnostic: &Diagnostic| is_about_endpoints(diagnostic, services);
        if fresh.is_empty() && !self.diagnostics.iter().any(is_replaced) {
            return Arc::clone(&self.diagnostics);
        }
        let mut diagnostics: Vec<_> =
            self.diagnostics.iter().filter(|diagnostic| !is_replaced(diagnostic)).cloned().collect();
        diagnostics.extend(fresh);
        diagnostics.sort();
        diagnostics.into()
    }

    fn report(&self) {
        self.reports.send_replace(Some(Report {
            generation: self.current.generation,
            last_success: self.last_success,
            delay: self.last_delay,
            counts: Counts::of(&self.current, &self.index),
            is_stale: self.has_failed || self.is_source_gone || self.index.is_out_of_contact(),
            owned: Arc::clone(&self.owned),
            of_source: Arc::clone(self.index.source_diagnostics()),
            of_translation: Arc::clone(&self.diagnostics),
        }));
    }
}

#[cfg(test)]
mod tests;
