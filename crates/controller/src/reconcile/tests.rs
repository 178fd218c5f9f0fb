#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edgeward_routing::{Publisher, Snapshot, SnapshotReader};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::report::take_new;
use super::retired::Retired;
use super::{Holdoff, Locate, Reconciler, Status};
use crate::change::Change;
use crate::diagnostic::{Diagnostic, FileLocation, Severity};
use crate::object::{Kind, Object, ObjectRef};
use crate::translate::fixture::{config_map, external, ingress, name, ready, slice, terminating, web};
use crate::translate::{Options, translate};

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Finds every object in a file of its name, and counts how often it is asked.
#[derive(Default)]
struct ByName(AtomicUsize);

impl Locate for ByName {
    fn complete(&self, diagnostics: &mut [Diagnostic]) {
        self.0.fetch_add(1, Ordering::Relaxed);
        for diagnostic in diagnostics.iter_mut().filter(|diagnostic| diagnostic.location.is_none()) {
            diagnostic.location = diagnostic.origin.as_ref().map(|origin| FileLocation {
                file: format!("{}.yaml", origin.name),
                line: 1,
                column: 2,
            });
        }
    }
}

/// A reconciler that runs, seen from both of its ends.
struct Running {
    changes: mpsc::Sender<Change>,
    options: watch::Sender<Arc<Options>>,
    locator: Arc<ByName>,
    published: watch::Receiver<u64>,
    status: watch::Receiver<Status>,
    reader: SnapshotReader,
    task: JoinHandle<()>,
}

impl Running {
    fn start(holdoff: Holdoff) -> Self {
        Self::start_with(holdoff, Options::for_directory())
    }

    fn start_with(holdoff: Holdoff, options: Options) -> Self {
        let (changes, received) = mpsc::channel(1024);
        let (options, seen) = watch::channel(Arc::new(options));
        let (sender, status) = watch::channel(Status::default());
        let publisher = Publisher::new(Snapshot::empty(Default::default()));
        let reader = publisher.reader();
        let (published, published_seen) = watch::channel(0);
        let locator = Arc::<ByName>::default();
        let reconciler = Reconciler {
            changes: received,
            publisher,
            options: seen,
            locator: Arc::<ByName>::clone(&locator),
            published,
            status: sender,
            holdoff,
        };
        let task = tokio::spawn(reconciler.run());
        Self { changes, options, locator, published: published_seen, status, reader, task }
    }

    /// One that has listed these objects and published them.
    async fn listed(holdoff: Holdoff, objects: Vec<Object>) -> Self {
        let mut running = Self::start(holdoff);
        running.list(&Kind::ALL, &objects).await;
        running.generation(1).await;
        running
    }

    async fn send(&self, change: Change) {
        self.changes.send(change).await.unwrap();
    }

    async fn apply(&self, object: Object) {
        self.send(Change::Apply(Box::new(object))).await;
    }

    async fn list(&self, kinds: &[Kind], objects: &[Object]) {
        for &kind in kinds {
            let of_kind = objects.iter().filter(|object| object.kind() == kind).cloned().collect();
            self.send(Change::Reset(kind, of_kind)).await;
        }
    }

    /// Waits for a status.
    async fn until(&mut self, is_it: impl FnMut(&Status) -> bool) -> Status {
        timeout(PATIENCE, self.status.wait_for(is_it)).await.unwrap().unwrap().clone()
    }

    async fn generation(&mut self, at_least: u64) -> Status {
        self.until(|status| status.generation >= at_least).await
    }

    /// Waits until everything sent has been taken in, and for what may come of it.
    async fn settle(&self) {
        while self.changes.capacity() < self.changes.max_capacity() {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(50)).await;
    }

    fn hosts(&self) -> Vec<String> {
        let snapshot = self.reader.load();
        let mut hosts: Vec<_> = snapshot.routes.hosts().map(|host| host.host.to_string()).collect();
        hosts.sort();
        hosts
    }
}

/// No wait worth the name.
const SHORT: Holdoff = Holdoff { quiet: Duration::from_millis(1), max: Duration::from_millis(10) };

fn on_host(host: &str) -> Object {
    ingress(host).rule(host, &["Prefix / web"]).object()
}

fn site() -> Vec<Object> {
    [on_host("a.test")].into_iter().chain(web("web", "10.0.0.1")).collect()
}

fn endpoints(addresses: &[&str]) -> Object {
    let endpoints = addresses.iter().map(|address| ready(address)).collect();
    Object::EndpointSlice(slice("web-1", "web", ("", 8080), endpoints))
}

#[tokio::test]
async fn nothing_is_published_before_every_kind_is_listed() {
    for last in Kind::ALL {
        let mut running = Running::start(SHORT);
        let others: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| *kind != last).collect();
        running.list(&others, &site()).await;
        running.apply(on_host("b.test")).await;
        running.settle().await;
        assert_eq!(running.reader.load().generation, 0, "without {}", last.name());
        assert_eq!(running.status.borrow().generation, 0);
        running.list(&[last], &site()).await;
        let status = running.generation(1).await;
        assert_eq!(running.reader.load().generation, 1);
        assert!(running.reader.load().backends.all().len() == 1 || last == Kind::Ingress);
        assert!(status.last_success.is_some() && !status.is_stale);
    }
}

#[tokio::test]
async fn a_source_without_any_object_is_published_too() {
    let mut running = Running::start(SHORT);
    running.list(&Kind::ALL, &[]).await;
    assert_eq!(running.generation(1).await.counts.routes, 0);
}

#[tokio::test]
async fn a_change_is_published_and_a_repetition_is_not() {
    let mut running = Running::listed(SHORT, site()).await;
    running.apply(on_host("b.test")).await;
    let status = running.generation(2).await;
    assert_eq!(running.hosts(), ["a.test", "b.test"]);
    assert_eq!(
        (status.counts.hosts, status.counts.routes, status.counts.backends, status.counts.endpoints),
        (2, 2, 1, 1)
    );
    assert_eq!(status.counts.objects[&Kind::Ingress], 2);
    running.apply(on_host("b.test")).await;
    running.list(&[Kind::Service, Kind::EndpointSlice], &site()).await;
    running.apply(config_map("leader", &[("renewed", "now")])).await;
    running.settle().await;
    assert_eq!(running.reader.load().generation, 2);
    running.send(Change::Remove(ObjectRef { kind: Kind::Ingress, name: name("b.test") })).await;
    running.generation(3).await;
    assert_eq!(running.hosts(), ["a.test"]);
}

#[tokio::test]
async fn a_change_of_endpoints_keeps_the_routes() {
    let mut running = Running::listed(SHORT, site()).await;
    let before = running.reader.load();
    running.apply(endpoints(&["10.0.0.1", "10.0.0.2"])).await;
    let status = running.generation(2).await;
    let after = running.reader.load();
    assert!(Arc::ptr_eq(&before.routes, &after.routes));
    assert!(Arc::ptr_eq(&before.backends.all()[0].endpoints[0].state, &after.backends.all()[0].endpoints[0].state));
    assert_eq!(status.counts.endpoints, 2);
}

#[tokio::test]
async fn diagnostics_about_endpoints_follow_them_and_others_stay() {
    let mut objects = site();
    objects.push(ingress("c").rule("c.test", &["Prefix / gone"]).object());
    let mut running = Running::listed(SHORT, objects).await;
    let codes = |status: &Status| status.diagnostics.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>();
    assert_eq!(codes(&running.status.borrow()), ["ServiceNotFound"]);
    running.apply(endpoints(&[])).await;
    assert_eq!(codes(&running.generation(2).await), ["ServiceNotFound", "NoEndpoints"]);
    // Another slice, and the Service has no endpoint still: said once.
    let other = slice("web-2", "web", ("", 8080), Vec::new());
    running.apply(Object::EndpointSlice(other.clone())).await;
    running.settle().await;
    assert_eq!(codes(&running.status.borrow()), ["ServiceNotFound", "NoEndpoints"]);
    let last = slice("web-2", "web", ("", 8080), vec![terminating("10.0.0.9")]);
    running.apply(Object::EndpointSlice(last)).await;
    assert_eq!(codes(&running.generation(3).await), ["ServiceNotFound"]);
}

#[tokio::test]
async fn the_first_change_after_a_pause_is_published_at_once() {
    let long = Holdoff { quiet: Duration::from_millis(400), max: Duration::from_secs(10) };
    let mut running = Running::listed(long, site()).await;
    sleep(long.quiet).await;
    running.apply(on_host("b.test")).await;
    let status = running.generation(2).await;
    assert!(status.delay < long.quiet, "{:?}", status.delay);
}

#[tokio::test]
async fn changes_right_behind_a_publication_are_gathered() {
    let holdoff = Holdoff { quiet: Duration::from_millis(300), max: Duration::from_secs(10) };
    let mut running = Running::listed(holdoff, site()).await;
    for host in ["b.test", "c.test", "d.test"] {
        running.apply(on_host(host)).await;
        sleep(Duration::from_millis(5)).await;
    }
    let status = running.generation(2).await;
    assert_eq!(running.hosts(), ["a.test", "b.test", "c.test", "d.test"], "all three in one generation");
    assert_eq!(running.reader.load().generation, 2);
    assert!(status.delay >= Duration::from_millis(100), "{:?}", status.delay);
}

#[tokio::test]
async fn the_wait_for_quiet_has_an_end() {
    let holdoff = Holdoff { quiet: Duration::from_millis(200), max: Duration::from_millis(300) };
    let mut running = Running::listed(holdoff, site()).await;
    let started = Instant::now();
    let mut sent = 0;
    // Never quiet, and published all the same.
    while running.reader.load().generation < 3 {
        sent += 1;
        running.apply(on_host(&format!("h{sent}.test"))).await;
        sleep(Duration::from_millis(10)).await;
        assert!(started.elapsed() < PATIENCE);
    }
    let status = running.generation(3).await;
    assert!(sent > 10, "{sent} changes in {} generations", status.generation);
}

#[tokio::test]
async fn options_are_replaced_while_it_runs() {
    let mut running = Running::listed(SHORT, site()).await;
    running.options.send_replace(Arc::new(Options { watch_ingress_without_class: false, ..Options::for_directory() }));
    let status = running.generation(2).await;
    assert!(running.hosts().is_empty());
    assert_eq!(status.diagnostics[0].code, "NoClass");
    running.options.send_replace(Arc::new(Options::for_directory()));
    running.generation(3).await;
    assert_eq!(running.hosts(), ["a.test"]);
}

#[tokio::test]
async fn only_the_config_map_of_the_options_is_read_again() {
    let options = Options { configmap: Some(name("options")), ..Options::for_directory() };
    let mut running = Running::start_with(SHORT, options);
    running.list(&Kind::ALL, &site()).await;
    running.generation(1).await;
    running.apply(config_map("options", &[("hsts", "false")])).await;
    running.generation(2).await;
    assert!(running.reader.load().settings.hsts.is_none());
    running.apply(config_map("other", &[("hsts", "true")])).await;
    running.settle().await;
    assert_eq!(running.reader.load().generation, 2);
}

#[tokio::test]
async fn the_options_of_a_config_map_outlive_it() {
    let options = Options { configmap: Some(name("options")), ..Options::for_directory() };
    let mut running = Running::start_with(SHORT, options);
    let mut objects = site();
    objects.push(config_map("options", &[("hsts", "false")]));
    running.list(&Kind::ALL, &objects).await;
    running.generation(1).await;
    running.send(Change::Remove(ObjectRef { kind: Kind::ConfigMap, name: name("options") })).await;
    let status = running.until(|status| !status.diagnostics.is_empty()).await;
    assert_eq!(status.diagnostics[0].code, "ConfigMapNotFound");
    assert!(running.reader.load().settings.hsts.is_none());
    running.apply(config_map("options", &[])).await;
    let status = running.until(|status| status.diagnostics.is_empty()).await;
    assert!(running.reader.load().settings.hsts.is_some(), "{status:?}");
}

#[tokio::test]
async fn what_the_source_says_is_reported_with_the_rest_and_publishes_nothing() {
    let mut running = Running::listed(SHORT, vec![on_host("a.test")]).await;
    let broken = Diagnostic {
        severity: Severity::Error,
        code: "Unreadable",
        origin: None,
        location: Some(FileLocation { file: "x.yaml".to_owned(), line: 3, column: 4 }),
        message: "it is no YAML".to_owned(),
        mend: String::new(),
    };
    running.send(Change::Diagnostics(vec![broken.clone()])).await;
    let status = running.until(|status| status.diagnostics.len() == 2).await;
    assert_eq!(status.diagnostics[0], broken);
    assert_eq!((status.diagnostics[1].code, status.generation), ("ServiceNotFound", 1));
    let place = status.diagnostics[1].location.clone().unwrap();
    assert_eq!((place.file.as_str(), place.line, place.column), ("a.test.yaml", 1, 2));
    running.send(Change::Diagnostics(Vec::new())).await;
    running.until(|status| status.diagnostics.len() == 1).await;
}

#[tokio::test]
async fn diagnostics_that_stay_are_not_looked_up_again() {
    let mut objects = site();
    objects.push(ingress("c").rule("c.test", &["Prefix / gone"]).object());
    let mut running = Running::listed(SHORT, objects).await;
    assert_eq!((*running.published.borrow(), running.locator.0.load(Ordering::Relaxed)), (1, 1));
    running.apply(endpoints(&["10.0.0.2"])).await;
    let status = running.generation(2).await;
    assert_eq!(status.diagnostics[0].location.as_ref().unwrap().file, "c.yaml");
    assert_eq!((*running.published.borrow(), running.locator.0.load(Ordering::Relaxed)), (2, 1));
    running.apply(on_host("b.test")).await;
    running.generation(3).await;
    assert_eq!(running.locator.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn external_names_are_resolved_and_their_answers_published() {
    let objects = vec![on_host("a.test"), Object::Service(external("web", "localhost"))];
    let mut running = Running::listed(SHORT, objects).await;
    running.until(|status| status.counts.endpoints > 0).await;
    let snapshot = running.reader.load();
    assert!(snapshot.backends.all()[0].endpoints.iter().all(|endpoint| endpoint.addr.ip().is_loopback()));
}

#[tokio::test]
async fn without_its_source_it_ends_and_the_last_snapshot_stays() {
    let mut running = Running::listed(SHORT, site()).await;
    let mut status = running.status.clone();
    running.apply(on_host("b.test")).await;
    running.generation(2).await;
    let Running { changes, task, reader, .. } = running;
    drop(changes);
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert!(status.borrow_and_update().is_stale);
    assert_eq!((reader.load().generation, reader.load().routes.len()), (2, 2));
}

#[test]
fn a_diagnostic_is_new_once_wherever_it_stands() {
    let said = |message: &str, line| Diagnostic {
        severity: Severity::Warning,
        code: "X",
        origin: None,
        location: Some(FileLocation { file: "x.yaml".to_owned(), line, column: 1 }),
        message: message.to_owned(),
        mend: String::new(),
    };
    let mut known = BTreeSet::new();
    let mut new = |diagnostics: &[Diagnostic]| take_new(&mut known, diagnostics).len();
    assert_eq!(new(&[said("a", 1), said("b", 2)]), 2);
    assert_eq!(new(&[said("a", 5), said("b", 6), said("c", 7)]), 1, "only the third");
    assert_eq!(new(&[said("b", 6)]), 0);
    assert_eq!(new(&[said("a", 1), said("b", 6)]), 1, "it was gone and is back");
}

#[tokio::test]
async fn parts_of_old_snapshots_are_kept_until_no_request_holds_them() {
    let index = crate::index::Index::of(site());
    let current = translate(&index, &Options::for_directory(), &Snapshot::empty(Default::default())).snapshot;
    let old = Snapshot { routes: Arc::default(), backends: Arc::default(), ..current.clone() };
    let freed = [Arc::downgrade(&old.backends)];
    let held_by_a_request = Arc::clone(&old.routes);
    let still_there = Arc::downgrade(&old.routes);
    let mut retired = Retired::default();
    retired.take(old, &current);
    retired.sweep();
    let gone = async {
        while freed.iter().any(|part| part.strong_count() > 0) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    assert!(!retired.is_empty() && still_there.strong_count() == 2);
    drop(held_by_a_request);
    retired.sweep();
    assert!(retired.is_empty());
    assert_eq!(Arc::strong_count(&current.certificates), 1, "what is shared with the current one is not retired");
}
