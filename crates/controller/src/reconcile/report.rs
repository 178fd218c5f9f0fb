//! What is known of the last rebuild, for readiness, metrics, the admin page and the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use edgeward_routing::Snapshot;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::diagnostic::{Diagnostic, Severity};
use crate::directory::Locator;
use crate::index::Index;
use crate::object::{Kind, NamespacedName};

/// Lines that one report writes to the log at most; the admin page has all.
const LOGGED: usize = 100;

/// Time between two statuses at least. Endpoints may change hundreds of times a second, and every status costs as much
/// as there are diagnostics.
const PAUSE: Duration = Duration::from_millis(100);

/// Finds the places in files of what diagnostics are about.
pub trait Locate: Send + Sync {
    /// Adds its place to every diagnostic that has none, where there is a file and it is known. It may read files.
    fn complete(&self, diagnostics: &mut [Diagnostic]);
}

impl Locate for Locator {
    fn complete(&self, diagnostics: &mut [Diagnostic]) {
        // Each file is read once, however many diagnostics are about it.
        Self::complete(self, diagnostics);
    }
}

/// What is known of the last rebuild.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Generation of the current snapshot; 0 before the first.
    pub generation: u64,
    /// When a rebuild last succeeded.
    pub last_success: Option<SystemTime>,
    /// Time from the first change of the last batch to its snapshot, the wait for quiet included.
    pub delay: Duration,
    /// All diagnostics, the source's too, with their places in files.
    pub diagnostics: Arc<[Diagnostic]>,
    /// How much there is.
    pub counts: Counts,
    /// Whether the current snapshot is older than what the source has said, because the last rebuild failed, or may be
    /// older than the objects, because the source is gone or cannot see them.
    pub is_stale: bool,
    /// The Ingresses that are served, those first that win where two want the same.
    pub owned: Arc<[NamespacedName]>,
}

/// How much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Routes in the snapshot, the fallbacks of hosts included.
    pub routes: usize,
    /// Hosts in the snapshot.
    pub hosts: usize,
    /// Backends in the snapshot.
    pub backends: usize,
    /// Endpoints of all backends.
    pub endpoints: usize,
    /// Names with a certificate.
    pub certificates: usize,
    /// Objects in the index, of each kind.
    pub objects: BTreeMap<Kind, usize>,
    /// Objects of kinds that are not watched, which the source passed over, by `apiVersion Kind`.
    pub skipped: BTreeMap<String, usize>,
}

impl Counts {
    pub(super) fn of(snapshot: &Snapshot, index: &Index) -> Self {
        Self {
            routes: snapshot.routes.len(),
            hosts: snapshot.routes.hosts().count(),
            backends: snapshot.backends.all().len(),
            endpoints: snapshot.backends.all().iter().map(|backend| backend.endpoints.len()).sum(),
            certificates: snapshot.certificates.by_host.len(),
            objects: Kind::ALL.into_iter().map(|kind| (kind, index.count(kind))).collect(),
            skipped: index.skipped().clone(),
        }
    }
}

/// A status whose diagnostics have no places yet.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) generation: u64,
    pub(super) last_success: Option<SystemTime>,
    pub(super) delay: Duration,
    pub(super) counts: Counts,
    pub(super) is_stale: bool,
    pub(super) owned: Arc<[NamespacedName]>,
    pub(super) of_source: Arc<[Diagnostic]>,
    pub(super) of_translation: Arc<[Diagnostic]>,
}

/// Turns reports into statuses, the latest only, and logs each new diagnostic once. It is a task of its own so that
/// reading files for places never delays a snapshot. It ends when the sender of reports is gone.
pub(super) async fn run(
    mut reports: watch::Receiver<Option<Report>>,
    locator: Arc<dyn Locate>,
    status: watch::Sender<Status>,
) {
    let mut logged: BTreeSet<Diagnostic> = BTreeSet::new();
    // The two lists that the last status was made of, and what it says of them.
    let mut before: Option<[Arc<[Diagnostic]>; 2]> = None;
    let mut diagnostics: Arc<[Diagnostic]> = Arc::default();
    while reports.changed().await.is_ok() {
        let Some(report) = reports.borrow_and_update().clone() else { continue };
        let Report { generation, last_success, delay, counts, is_stale, owned, of_source, of_translation } = report;
        let lists = [of_source, of_translation];
        let are_same = |before: &[Arc<[Diagnostic]>; 2]| before.iter().zip(&lists).all(|(a, b)| Arc::ptr_eq(a, b));
        if !before.as_ref().is_some_and(are_same) {
            let locator = Arc::clone(&locator);
            let [of_source, of_translation] = lists.clone();
            let located = spawn_blocking(move || {
                let mut diagnostics: Vec<_> = of_source.iter().chain(&*of_translation).cloned().collect();
                locator.complete(&mut diagnostics);
                diagnostics
            });
            // The runtime is shutting down.
            let Ok(located) = located.await else { return };
            log_new(&mut logged, &located);
            diagnostics = located.into();
            before = Some(lists);
        }
        let diagnostics = Arc::clone(&diagnostics);
        status.send_replace(Status { generation, last_success, delay, diagnostics, counts, is_stale, owned });
        sleep(PAUSE).await;
    }
}

fn log_new(logged: &mut BTreeSet<Diagnostic>, diagnostics: &[Diagnostic]) {
    let mut new = take_new(logged, diagnostics).into_iter();
    for diagnostic in new.by_ref().take(LOGGED) {
        match diagnostic.severity {
            Severity::Error => tracing::error!("{diagnostic}"),
            Severity::Warning => tracing::warn!("{diagnostic}"),
            Severity::Info => tracing::debug!("{diagnostic}"),
        }
    }
    let more = new.count();
    if more > 0 {
        tracing::warn!("and {more} more diagnostics: the admin page has all of them");
    }
}

/// The diagnostics that are not known yet; `known` are all of them afterwards. Its place moves with every edit of the
/// file; that does not make a diagnostic new.
pub(super) fn take_new<'d>(known: &mut BTreeSet<Diagnostic>, diagnostics: &'d [Diagnostic]) -> Vec<&'d Diagnostic> {
    let before = std::mem::take(known);
    let mut new = Vec::new();
    for diagnostic in diagnostics {
        let placeless = Diagnostic { location: None, ..diagnostic.clone() };
        if !before.contains(&placeless) {
            new.push(diagnostic);
        }
        known.insert(placeless);
    }
    new
}
