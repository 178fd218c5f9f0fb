#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::contents::{DOUBT, GRACE};
use super::*;
use crate::diagnostic::FileLocation;
use crate::object::{Kind, ObjectRef};
use edgeward_routing::origin::Origin;

/// How long a message may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than it takes until everything that was touched is settled.
const SETTLED: Duration = Duration::from_millis(350);

/// A ConfigMap with one value.
fn object(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: \"{value}\"}}\n---\n")
}

/// `name=value`, as `object` makes them.
fn show(object: &Object) -> String {
    let Object::ConfigMap(map) = object else { panic!("not a ConfigMap") };
    format!("{}={}", map.meta.name.name, map.data["value"])
}

fn show_removed(reference: &ObjectRef) -> String {
    format!("-{}", reference.name.name)
}

/// `CODE file:line:column` of each, or `none`.
fn show_diagnostics(diagnostics: &[Diagnostic], root: &Path) -> String {
    let show = |diagnostic: &Diagnostic| {
        let at = diagnostic.location.as_ref().unwrap();
        let file = Path::new(&at.file).strip_prefix(root).unwrap_or(Path::new(&at.file));
        format!("{} {}:{}:{}", diagnostic.code, file.display(), at.line, at.column)
    };
    if diagnostics.is_empty() { "none".to_owned() } else { diagnostics.iter().map(show).collect::<Vec<_>>().join(", ") }
}

fn write(path: impl AsRef<Path>, text: impl AsRef<str>) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, text.as_ref()).unwrap();
}

/// A source that follows the directory `root` of a directory of its own.
struct Followed {
    parent: TempDir,
    changes: mpsc::Receiver<Change>,
    rescan: Arc<Notify>,
    locator: Locator,
}

impl Followed {
    /// Follows a directory with these files, and waits for the first messages. The next rescan is an hour away: what is
    /// seen is seen by events. One file more is always there, so that the directory is never empty.
    async fn start(files: &[(&str, String)]) -> Self {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("root")).unwrap();
        write(parent.path().join("root/always.yaml"), "# no object\n");
        for (name, text) in files {
            write(parent.path().join("root").join(name), text);
        }
        let mut followed = Self::new(parent, Duration::from_secs(3600));
        followed.resets().await;
        followed
    }

    fn new(parent: TempDir, rescan_every: Duration) -> Self {
        let source = DirectorySource::new(vec![parent.path().join("root")]).rescan_every(rescan_every);
        let locator = source.locator();
        let (sender, changes) = mpsc::channel(64);
        let rescan = Arc::new(Notify::new());
        tokio::spawn(source.run(sender, Arc::clone(&rescan)));
        Self { parent, changes, rescan, locator }
    }

    fn root(&self) -> PathBuf {
        self.parent.path().join("root")
    }

    fn write(&self, name: &str, text: impl AsRef<str>) {
        write(self.root().join(name), text);
    }

    async fn receive(&mut self) -> Change {
        timeout(PATIENCE, self.changes.recv()).await.expect("a message in time").expect("the source runs")
    }

    /// Takes one reset for each kind, and gives all their objects.
    async fn resets(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for expected in Kind::ALL {
            let Change::Reset(kind, objects) = self.receive().await else { panic!("not a reset") };
            assert_eq!(kind, expected);
            all.extend(objects.iter().map(show));
        }
        all
    }

    /// The next messages must be these: `name=value`, `-name`, or the codes and places of all diagnostics.
    #[track_caller]
    fn expect(&mut self, expected: &[&str]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move { assert_eq!(self.next_messages(expected, caller).await, expected, "at {caller}") }
    }

    /// The next messages must be these, which stand here sorted.
    #[track_caller]
    fn expect_in_any_order(&mut self, expected: &[&str]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let mut found = self.next_messages(expected, caller).await;
            found.sort_unstable();
            assert_eq!(found, expected, "at {caller}");
        }
    }

    /// As many messages as are expected.
    async fn next_messages(&mut self, expected: &[&str], caller: &std::panic::Location<'_>) -> Vec<String> {
        let mut found = Vec::new();
        for _ in expected {
            let Ok(Some(change)) = timeout(PATIENCE, self.changes.recv()).await else {
                panic!("only {found:?} of {expected:?} came in time at {caller}");
            };
            found.push(match change {
                Change::Contact(_)
                | Change::Listed(..)
                | Change::Recall(..)
                | Change::RecallRefused(_)
                | Change::Refused(_) => {
                    panic!("a directory can always be asked")
                }
                Change::Apply(object) => show(&object),
                Change::Remove(reference) => show_removed(&reference),
                Change::Diagnostics(diagnostics) => show_diagnostics(&diagnostics, &self.root()),
                Change::Skipped(skipped) => format!("skipped {skipped:?}"),
                Change::Reset(kind, _) => format!("reset {}", kind.name()),
            });
        }
        found
    }

    /// Nothing may come until everything is settled.
    async fn expect_nothing(&mut self) {
        if let Ok(change) = timeout(SETTLED, self.changes.recv()).await {
            panic!("{change:?}");
        }
    }
}

#[tokio::test]
async fn the_first_messages_are_everything() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("root");
    write(root.join("b.yaml"), object("b", "1"));
    write(root.join("a/deep/a.yml"), object("a", "1"));
    write(root.join("broken.json"), "{");
    for ignored in [".hidden.yaml", ".git/c.yaml", "notes.txt", "b.yaml~", "yaml"] {
        write(root.join(ignored), "{");
    }
    let mut followed = Followed::new(parent, Duration::from_secs(3600));
    assert_eq!(followed.resets().await, ["a=1", "b=1"]);
    followed.expect(&["UnreadableFile broken.json:1:1"]).await;
    followed.expect_nothing().await;
}

#[tokio::test]
async fn an_edit_sends_the_objects_that_are_different() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1") + &object("b", "1"))]).await;
    followed.write("m.yaml", object("a", "1") + &object("b", "2"));
    followed.expect(&["b=2"]).await;
    followed.write("m.yaml", object("c", "1") + "# a comment\n---\n" + &object("b", "2") + &object("a", "1"));
    followed.expect(&["c=1"]).await;
    followed.write("m.yaml", object("c", "1") + &object("a", "1"));
    followed.expect(&["-b"]).await;
    followed.expect_nothing().await;
}

#[tokio::test]
async fn an_edit_is_on_its_way_within_a_few_milliseconds() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "0"))]).await;
    let mut delays = Vec::new();
    for value in 1..=9 {
        let value = value.to_string();
        let written = Instant::now();
        followed.write("m.yaml", object("a", &value));
        followed.expect(&[&format!("a={value}")]).await;
        delays.push(written.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    delays.sort_unstable();
    // It takes 7 ms; a busy machine is allowed for.
    assert!(delays[4] < Duration::from_millis(50), "{delays:?}");
}

#[tokio::test]
async fn a_file_may_be_replaced_in_any_way() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1"))]).await;
    let file = followed.root().join("m.yaml");
    // As sed, vim and rsync save, and from outside the directory.
    for (value, temporary) in [("2", "sedXYZ"), ("3", "4913"), ("4", ".m.yaml.tmp"), ("5", "../new")] {
        followed.write(temporary, object("a", value));
        fs::rename(followed.root().join(temporary), &file).unwrap();
        followed.expect(&[&format!("a={value}")]).await;
    }
    // Over a name that is itself a manifest's. The look that its end causes may come before the one for the file.
    followed.write("new.yaml", object("a", "6"));
    followed.expect(&["DuplicateObject new.yaml:1:1"]).await;
    fs::rename(followed.root().join("new.yaml"), &file).unwrap();
    followed.expect_in_any_order(&["a=6", "none"]).await;
    followed.expect_nothing().await;
}

#[tokio::test]
async fn what_is_deleted_is_gone_after_a_grace() {
    let mut followed =
        Followed::start(&[("a.yaml", object("a", "1")), ("b.yaml", object("b", "1")), ("c.yaml", object("c", "1"))])
            .await;
    let deleted = Instant::now();
    fs::remove_file(followed.root().join("a.yaml")).unwrap();
    followed.expect(&["-a"]).await;
    assert!(deleted.elapsed() >= GRACE);
    followed.write("b.yaml", "# nothing any more\n");
    followed.expect(&["-b"]).await;
    // The last object is no exception.
    fs::remove_file(followed.root().join("c.yaml")).unwrap();
    followed.expect(&["-c"]).await;
    followed.write("c.yaml", object("c", "1"));
    followed.expect(&["c=1"]).await;
}

#[tokio::test]
async fn a_file_that_is_being_written_is_read_when_it_is_closed() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1") + &object("b", "1"))]).await;
    // As `helm template . > m.yaml` does it: the file is empty, and then half of it is there.
    for (name, value) in [("m.yaml", "2"), ("new.yaml", "3"), ("m.yaml", "4")] {
        let mut file = fs::File::create(followed.root().join(name)).unwrap();
        followed.expect_nothing().await;
        file.write_all(object("a", value).as_bytes()).unwrap();
        followed.expect_nothing().await;
        followed.rescan.notify_one();
        followed.expect_nothing().await;
        file.write_all(object("b", value).as_bytes()).unwrap();
        drop(file);
        if name == "m.yaml" {
            followed.expect(&[&format!("a={value}"), &format!("b={value}")]).await;
        } else {
            followed.expect(&["DuplicateObject new.yaml:1:1, DuplicateObject new.yaml:6:1"]).await;
            fs::remove_file(followed.root().join(name)).unwrap();
            followed.expect(&["none"]).await;
        }
    }
    // Taken away first.
    fs::remove_file(followed.root().join("m.yaml")).unwrap();
    let mut file = fs::File::create(followed.root().join("m.yaml")).unwrap();
    followed.expect_nothing().await;
    file.write_all(object("a", "5").as_bytes()).unwrap();
    drop(file);
    followed.expect(&["a=5", "-b"]).await;
    followed.expect_nothing().await;
}

#[tokio::test]
async fn a_file_that_is_suddenly_empty_keeps_its_content() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1"))]).await;
    followed.write("m.yaml", "");
    followed.expect(&["EmptyFile m.yaml:1:1"]).await;
    followed.expect_nothing().await;
    followed.write("m.yaml", object("a", "2"));
    followed.expect(&["a=2", "none"]).await;
}

#[tokio::test]
async fn a_root_that_is_suddenly_empty_keeps_everything() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("root");
    write(root.join("m.yaml"), object("a", "1") + &object("b", "1"));
    write(root.join("deep/c.yaml"), object("c", "1"));
    let mut followed = Followed::new(parent, Duration::from_secs(3600));
    followed.resets().await;
    fs::remove_dir_all(root.join("deep")).unwrap();
    sleep(GRACE / 3).await;
    fs::remove_file(root.join("m.yaml")).unwrap();
    followed.expect(&["UnreadableDirectory :1:1"]).await;
    followed.rescan.notify_one();
    followed.expect_nothing().await;
    followed.write("new.yaml", object("a", "2"));
    followed.expect(&["a=2", "none", "-b", "-c"]).await;
}

/// Contents of one directory, which are looked at when the test says so.
struct Looked {
    directory: TempDir,
    contents: Contents,
    start: Instant,
}

impl Looked {
    fn start(files: &[(&str, String)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            write(directory.path().join(name), text);
        }
        let mut looked = Self { directory, contents: Contents::new(Locator::default()), start: Instant::now() };
        looked.after(Duration::ZERO);
        looked
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What is different when everything is looked at this long after the start.
    fn after(&mut self, delay: Duration) -> Vec<String> {
        let listing = scan(&[self.directory.path().to_owned()]);
        let changes = self.contents.look(&listing, &Scope::Everything, self.start + delay);
        let show_change = |change| match Change::from(change) {
            Change::Apply(object) => show(&object),
            Change::Remove(reference) => show_removed(&reference),
            other => panic!("{other:?}"),
        };
        changes.into_iter().map(show_change).collect()
    }

    fn diagnostics(&mut self) -> String {
        show_diagnostics(&self.contents.new_diagnostics(Vec::new()).unwrap_or_default(), self.directory.path())
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_end_of_a_writing_is_not_waited_for_for_ever() {
    let mut looked = Looked::start(&[("m.yaml", object("a", "1"))]);
    write(looked.path("m.yaml"), object("a", "22"));
    let written = Stamp::of(&fs::metadata(looked.path("m.yaml")).unwrap()).identity();
    looked.contents.note_unfinished([(written, looked.start + DOUBT)].into());
    assert_eq!(looked.after(GRACE), NOTHING);
    assert_eq!(looked.contents.next_look(), Some(looked.start + DOUBT));
    assert_eq!(looked.after(DOUBT), ["a=22"]);
}

#[test]
fn a_file_may_be_away_for_a_moment() {
    let mut looked = Looked::start(&[("m.yaml", object("a", "1")), ("always.yaml", "# no object\n".to_owned())]);
    // Removed, and written some time later.
    fs::remove_file(looked.path("m.yaml")).unwrap();
    assert_eq!(looked.after(GRACE), NOTHING);
    assert_eq!(looked.after(GRACE * 3 / 2), NOTHING);
    write(looked.path("m.yaml"), object("a", "2"));
    assert_eq!(looked.after(GRACE * 7 / 4), ["a=2"]);
    // Truncated, and written some time later.
    write(looked.path("m.yaml"), "");
    assert_eq!(looked.after(GRACE * 2), NOTHING);
    assert_eq!(looked.diagnostics(), "EmptyFile m.yaml:1:1");
    write(looked.path("m.yaml"), object("a", "3"));
    assert_eq!(looked.after(GRACE * 3), ["a=3"]);
    // Moved aside for a backup.
    fs::rename(looked.path("m.yaml"), looked.path("m.yaml.bak")).unwrap();
    assert_eq!(looked.after(GRACE * 4), NOTHING);
    write(looked.path("m.yaml"), object("a", "4"));
    assert_eq!(looked.after(GRACE * 9 / 2), ["a=4"]);
    assert_eq!(looked.after(GRACE * 6), NOTHING);
    assert_eq!(looked.diagnostics(), "none");
}

#[test]
fn a_file_that_stays_empty_is_believed() {
    let mut looked = Looked::start(&[("m.yaml", object("a", "1")), ("b.yaml", object("b", "1"))]);
    write(looked.path("m.yaml"), "");
    assert_eq!(looked.after(GRACE), NOTHING);
    assert_eq!(looked.diagnostics(), "EmptyFile m.yaml:1:1");
    assert_eq!(looked.after(DOUBT), NOTHING);
    assert_eq!(looked.after(GRACE + DOUBT), NOTHING, "what is gone must be gone twice");
    assert_eq!(looked.diagnostics(), "none");
    assert_eq!(looked.after(GRACE * 2 + DOUBT), ["-a"]);
}

#[test]
fn a_root_that_stays_empty_is_believed() {
    let mut looked = Looked::start(&[("m.yaml", object("a", "1"))]);
    fs::remove_file(looked.path("m.yaml")).unwrap();
    assert_eq!(looked.after(GRACE), NOTHING);
    assert_eq!(looked.diagnostics(), "UnreadableDirectory :1:1");
    assert!(looked.contents.next_look().is_some_and(|at| at <= looked.start + GRACE + DOUBT));
    assert!(looked.contents.due(looked.start + GRACE + DOUBT).is_none(), "everything is due");
    assert_eq!(looked.after(GRACE + DOUBT), NOTHING, "what is gone must be gone twice");
    assert_eq!(looked.diagnostics(), "none");
    assert_eq!(looked.after(GRACE * 2 + DOUBT), ["-a"]);
    assert_eq!(looked.contents.next_look(), None);
}

#[test]
fn what_goes_away_file_by_file_goes_together() {
    let files = [("a.yaml", object("a", "1")), ("b.yaml", object("b", "1")), ("c.yaml", object("c", "1"))];
    let mut looked = Looked::start(&files);
    fs::remove_file(looked.path("a.yaml")).unwrap();
    assert_eq!(looked.after(GRACE), NOTHING);
    fs::remove_file(looked.path("b.yaml")).unwrap();
    assert_eq!(looked.after(GRACE * 3 / 2), NOTHING);
    assert_eq!(looked.after(GRACE * 2), NOTHING);
    assert_eq!(looked.after(GRACE * 5 / 2), ["-a", "-b"]);
}

#[test]
fn what_is_no_object_keeps_what_went_away_as_it_came_and_nothing_later() {
    let all = object("a", "1") + &object("b", "1");
    let mut looked = Looked::start(&[("m.yaml", all.clone()), ("n.yaml", all.replace("name: ", "name: n"))]);
    // Something else altogether keeps nothing.
    write(looked.path("n.yaml"), object("na", "1") + "replicas: 1\n");
    let nameless = "metadata: {name: b}\ndata: {}\n---\n";
    write(looked.path("m.yaml"), nameless.to_owned() + &object("a", "1"));
    assert_eq!(looked.after(GRACE), NOTHING);
    assert_eq!(looked.diagnostics(), "NotAnObject m.yaml:1:1, StaleObject m.yaml:1:1, NotAnObject n.yaml:6:1");
    assert_eq!(looked.after(GRACE * 2), ["-nb"]);
    // It has been there before: what goes away now is another object.
    write(looked.path("m.yaml"), nameless);
    assert_eq!(looked.after(GRACE * 3), NOTHING);
    assert_eq!(looked.after(GRACE * 4), ["-a"]);
    // With it goes what it kept.
    write(looked.path("m.yaml"), object("c", "1"));
    assert_eq!(looked.after(GRACE * 5), ["c=1"]);
    assert_eq!(looked.after(GRACE * 6), ["-b"]);
}

#[tokio::test]
async fn what_is_skipped_is_told_when_it_changes() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\n";
    let mut followed = Followed::start(&[("m.yaml", object("a", "1"))]).await;
    followed.write("m.yaml", object("a", "2") + deployment);
    followed.expect(&["a=2", r#"skipped {"apps/v1 Deployment": 1}"#]).await;
    followed.write("m.yaml", object("a", "3") + deployment);
    followed.expect(&["a=3"]).await;
    fs::remove_file(followed.root().join("m.yaml")).unwrap();
    followed.expect(&["skipped {}", "-a"]).await;
}

#[tokio::test]
async fn an_object_may_move_to_another_file() {
    let mut followed = Followed::start(&[("a.yaml", object("a", "1") + &object("b", "1"))]).await;
    followed.write("a.yaml", object("b", "1"));
    followed.write("z/new.yaml", object("a", "1"));
    followed.expect_nothing().await;
    fs::rename(followed.root().join("z/new.yaml"), followed.root().join("other.yaml")).unwrap();
    followed.expect_nothing().await;
    assert_eq!(followed.locator.locate(&Origin::object("ConfigMap", "default", "a")).unwrap().line, 1);
    followed.write("other.yaml", object("a", "2"));
    followed.expect(&["a=2"]).await;
}

#[tokio::test]
async fn new_directories_are_followed() {
    let mut followed = Followed::start(&[]).await;
    followed.write("one/two/a.yaml", object("a", "1"));
    followed.expect(&["a=1"]).await;
    followed.write("one/two/a.yaml", object("a", "2"));
    followed.expect(&["a=2"]).await;
    followed.write("one/two/b.yaml", object("b", "1"));
    followed.expect(&["b=1"]).await;
    // Taken away and made anew at once: a file system may give it the inode that it had.
    for value in ["3", "4"] {
        fs::remove_dir_all(followed.root().join("one/two")).unwrap();
        followed.write("one/two/a.yaml", object("a", value));
        followed.write("one/two/b.yaml", object("b", "1"));
        followed.expect(&[&format!("a={value}")]).await;
        followed.write("one/two/b.yaml", object("b", value));
        followed.expect(&[&format!("b={value}")]).await;
        followed.write("one/two/b.yaml", object("b", "1"));
        followed.expect(&["b=1"]).await;
    }
    // Filled elsewhere and moved in, and then away.
    write(followed.parent.path().join("elsewhere/c.yaml"), object("c", "1"));
    fs::rename(followed.parent.path().join("elsewhere"), followed.root().join("three")).unwrap();
    followed.expect(&["c=1"]).await;
    followed.write("three/c.yaml", object("c", "2"));
    followed.expect(&["c=2"]).await;
    fs::rename(followed.root().join("three"), followed.parent.path().join("elsewhere")).unwrap();
    followed.expect(&["-c"]).await;
    fs::remove_dir_all(followed.root().join("one")).unwrap();
    followed.expect(&["-a", "-b"]).await;
    followed.expect_nothing().await;
}

/// Makes a version of a mounted ConfigMap current as the kubelet does: `m.yaml -> ..data/m.yaml`, `..data -> ..VERSION`.
fn mount(root: &Path, version: &str, text: &str) {
    write(root.join(format!("..{version}")).join("m.yaml"), text);
    symlink(format!("..{version}"), root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    let _ = symlink("..data/m.yaml", root.join("m.yaml"));
}

#[tokio::test]
async fn a_mounted_config_map_is_read_once_and_followed() {
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("root")).unwrap();
    mount(&parent.path().join("root"), "1", &object("a", "1"));
    let mut followed = Followed::new(parent, Duration::from_secs(3600));
    assert_eq!(followed.resets().await, ["a=1"]);
    for version in 2..6 {
        mount(&followed.root(), &version.to_string(), &object("a", &version.to_string()));
        fs::remove_dir_all(followed.root().join(format!("..{}", version - 1))).unwrap();
        followed.expect(&[&format!("a={version}")]).await;
    }
    followed.expect_nothing().await;
}

#[tokio::test]
async fn a_file_with_several_names_is_read_by_its_own() {
    let mut followed = Followed::start(&[("real.yaml", object("a", "1"))]).await;
    let root = followed.root();
    symlink("real.yaml", root.join("link.yaml")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    fs::hard_link(root.join("real.yaml"), root.join("zzz.yaml")).unwrap();
    followed.expect_nothing().await;
    followed.write("real.yaml", object("a", "2"));
    followed.expect(&["a=2"]).await;
    // A link to a file outside is followed to where it leads.
    let outside = followed.parent.path().join("outside/b");
    write(&outside, object("b", "1"));
    symlink(&outside, root.join("b.yaml")).unwrap();
    followed.expect(&["b=1"]).await;
    write(&outside, object("b", "2"));
    followed.expect(&["b=2"]).await;
    // Where it leads nowhere, that is no removal.
    fs::remove_file(&outside).unwrap();
    followed.expect(&["UnreadableFile b.yaml:1:1"]).await;
    write(&outside, object("b", "3"));
    followed.expect(&["b=3", "none"]).await;
}

#[tokio::test]
async fn a_broken_file_keeps_its_last_good_content_until_it_is_mended() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1") + &object("b", "1"))]).await;
    followed.write("m.yaml", object("a", "2") + "data: [\n");
    followed.expect(&["UnreadableFile m.yaml:6:7"]).await;
    followed.expect_nothing().await;
    followed.write("m.yaml", "\0\u{1}");
    followed.expect(&["UnreadableFile m.yaml:1:1"]).await;
    fs::write(followed.root().join("m.yaml"), b"caf\xe9").unwrap();
    followed.expect(&["UnreadableFile m.yaml:1:4"]).await;
    fs::File::create(followed.root().join("m.yaml")).unwrap().set_len(1 << 30).unwrap();
    followed.expect(&["UnreadableFile m.yaml:1:1"]).await;
    followed.expect_nothing().await;
    followed.write("m.yaml", object("a", "2"));
    followed.expect(&["a=2", "none", "-b"]).await;
    // A broken file that is deleted is deleted.
    followed.write("m.yaml", "{");
    followed.expect(&["UnreadableFile m.yaml:1:1"]).await;
    fs::remove_file(followed.root().join("m.yaml")).unwrap();
    followed.expect(&["none", "-a"]).await;
    followed.expect_nothing().await;
}

#[tokio::test]
async fn an_object_of_the_wrong_shape_keeps_its_last_good_version() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1") + &object("b", "1") + &object("c", "1"))]).await;
    let broken = object("a", "2").replace("{value", "[value").replace("\"}", "\"]");
    followed.write("m.yaml", broken.clone() + &object("b", "2"));
    let Change::Apply(b) = followed.receive().await else { panic!("b is not told first") };
    assert_eq!(show(&b), "b=2");
    let Change::Diagnostics(diagnostics) = followed.receive().await else { panic!("no diagnostics") };
    let [diagnostic] = &diagnostics[..] else { panic!("{diagnostics:?}") };
    assert_eq!((diagnostic.code, diagnostic.origin.as_ref().unwrap().field.as_str()), ("InvalidField", "data"));
    assert!(diagnostic.message.ends_with("; the last good version of the object stays in force"), "{diagnostic}");
    followed.expect(&["-c"]).await;
    followed.write("m.yaml", object("b", "2"));
    followed.expect(&["none", "-a"]).await;
    // One that never was right is not there.
    followed.write("m.yaml", broken + &object("b", "3"));
    followed.expect(&["b=3", "InvalidField m.yaml:4:1"]).await;
    followed.write("m.yaml", object("a", "2") + &object("b", "3"));
    followed.expect(&["a=2", "none"]).await;
}

#[tokio::test]
async fn the_first_definition_in_path_order_wins() {
    let mut followed = Followed::start(&[("b.yaml", object("x", "b"))]).await;
    followed.write("c.yaml", object("w", "c") + &object("x", "c"));
    followed.expect(&["w=c", "DuplicateObject c.yaml:6:1"]).await;
    followed.write("a.yaml", object("x", "a"));
    followed.expect(&["x=a", "DuplicateObject b.yaml:1:1, DuplicateObject c.yaml:6:1"]).await;
    let diagnostics = load(&[followed.root()]).unwrap().diagnostics;
    assert_eq!(
        diagnostics[0].message.replace(&format!("{}/", followed.root().display()), ""),
        "the definition at b.yaml:1:1 has no effect, because a.yaml:1:1 defines the same object and comes first"
    );
    // A definition that has no effect changes nothing, and is there when it is needed.
    followed.write("b.yaml", object("x", "b2"));
    followed.expect_nothing().await;
    fs::remove_file(followed.root().join("a.yaml")).unwrap();
    followed.expect(&["x=b2", "DuplicateObject c.yaml:6:1"]).await;
    followed.write("b.yaml", object("x", "b2") + &object("x", "b3"));
    followed.expect(&["DuplicateObject b.yaml:6:1, DuplicateObject c.yaml:6:1"]).await;
    followed.write("c.yaml", object("w", "c"));
    followed.expect(&["DuplicateObject b.yaml:6:1"]).await;
}

#[tokio::test]
async fn a_root_that_vanishes_keeps_everything() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1"))]).await;
    let away = followed.parent.path().join("away");
    fs::rename(followed.root(), &away).unwrap();
    followed.expect(&["UnreadableDirectory :1:1"]).await;
    followed.rescan.notify_one();
    followed.expect_nothing().await;
    write(away.join("m.yaml"), object("a", "2"));
    fs::rename(away, followed.root()).unwrap();
    followed.expect(&["a=2", "none"]).await;
    followed.write("m.yaml", object("a", "3"));
    followed.expect(&["a=3"]).await;
    // A link in its place that leads nowhere says nothing about the manifests either.
    fs::remove_dir_all(followed.root()).unwrap();
    symlink("nowhere", followed.root()).unwrap();
    followed.expect(&["UnreadableDirectory :1:1"]).await;
    followed.expect_nothing().await;
}

#[tokio::test]
async fn nothing_but_diagnostics_is_sent_before_every_root_is_there() {
    let parent = tempfile::tempdir().unwrap();
    let mut followed = Followed::new(parent, Duration::from_secs(3600));
    followed.expect(&["UnreadableDirectory :1:1"]).await;
    followed.expect_nothing().await;
    write(followed.parent.path().join("later/m.yaml"), object("a", "1"));
    fs::rename(followed.parent.path().join("later"), followed.root()).unwrap();
    assert_eq!(followed.resets().await, ["a=1"]);
    followed.expect(&["none"]).await;
}

/// Writes through another name outside the root, which nobody watches.
fn write_unseen(followed: &Followed, text: &str) {
    let link = followed.parent.path().join("unseen/m.yaml");
    if !link.exists() {
        fs::create_dir(link.parent().unwrap()).unwrap();
        fs::hard_link(followed.root().join("m.yaml"), &link).unwrap();
    }
    fs::write(link, text).unwrap();
}

#[tokio::test]
async fn a_rescan_on_request_finds_what_no_event_tells() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1"))]).await;
    followed.expect_nothing().await;
    write_unseen(&followed, &object("a", "2"));
    followed.expect_nothing().await;
    followed.rescan.notify_one();
    followed.expect(&["a=2"]).await;
}

#[tokio::test]
async fn a_rescan_comes_in_its_time_though_there_are_events() {
    let parent = tempfile::tempdir().unwrap();
    write(parent.path().join("root/m.yaml"), object("a", "1"));
    let mut followed = Followed::new(parent, SETTLED);
    followed.resets().await;
    sleep(SETTLED).await;
    write_unseen(&followed, &object("a", "2"));
    let started = Instant::now();
    let mut edits = 0;
    loop {
        // Each of these has itself looked at twice.
        edits += 1;
        followed.write("b.yaml", object("b", &edits.to_string()));
        sleep(GRACE + Duration::from_millis(10)).await;
        let Change::Apply(change) = followed.receive().await else { panic!("not an object") };
        if show(&change) == "a=2" {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "no rescan in {edits} edits");
    }
}

#[tokio::test]
async fn a_single_file_may_be_followed_and_what_happens_beside_it_does_not_matter() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("root");
    fs::write(&root, object("a", "1")).unwrap();
    let mut followed = Followed::new(parent, Duration::from_secs(3600));
    assert_eq!(followed.resets().await, ["a=1"]);
    write(followed.parent.path().join("other.yaml"), object("b", "1"));
    followed.expect_nothing().await;
    write(followed.parent.path().join("new"), object("a", "2"));
    fs::rename(followed.parent.path().join("new"), &root).unwrap();
    followed.expect(&["a=2"]).await;
    fs::write(&root, object("a", "3")).unwrap();
    followed.expect(&["a=3"]).await;
}

#[tokio::test]
async fn the_locator_follows_edits() {
    let mut followed = Followed::start(&[("m.yaml", object("a", "1"))]).await;
    let file = followed.root().join("m.yaml").display().to_string();
    let place = |line, column| Some(FileLocation { file: file.clone(), line, column });
    let value = Origin::object("ConfigMap", "default", "a").at("data.value");
    assert_eq!(followed.locator.locate(&value), place(4, 15));
    followed.write("m.yaml", object("z", "1") + &object("a", "2"));
    followed.expect(&["a=2", "z=1"]).await;
    assert_eq!(followed.locator.locate(&value), place(9, 15));
    fs::remove_file(followed.root().join("m.yaml")).unwrap();
    followed.expect(&["-a", "-z"]).await;
    assert_eq!(followed.locator.locate(&value), None);
}

#[tokio::test]
async fn the_source_ends_when_nobody_receives() {
    let parent = tempfile::tempdir().unwrap();
    let source = DirectorySource::new(vec![parent.path().to_owned()]);
    let (sender, changes) = mpsc::channel(64);
    let running = tokio::spawn(source.run(sender, Arc::new(Notify::new())));
    drop(changes);
    timeout(PATIENCE, running).await.unwrap().unwrap();
}

#[test]
fn an_empty_root_counts_only_on_the_file_system_that_the_files_were_on() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path().join("m.yaml"), object("a", "1"));
    let roots = [directory.path().to_owned()];
    let mut contents = Contents::new(Locator::default());
    let start = Instant::now();
    assert_eq!(contents.look(&scan(&roots), &Scope::Everything, start).len(), 1);
    fs::remove_file(directory.path().join("m.yaml")).unwrap();

    let mut unmounted = scan(&roots);
    unmounted.devices.values_mut().for_each(|(_, device)| *device += 1);
    for age in [GRACE, GRACE * 2] {
        assert_eq!(contents.look(&unmounted, &Scope::Everything, start + age).len(), 0);
        let diagnostics = contents.new_diagnostics(Vec::new());
        assert_eq!(diagnostics.is_some(), age == GRACE);
    }
    assert!(contents.is_root_unreadable(&roots));

    for age in [GRACE * 3, GRACE * 3 + DOUBT] {
        assert_eq!(contents.look(&scan(&roots), &Scope::Everything, start + age).len(), 0);
    }
    let gone = contents.look(&scan(&roots), &Scope::Everything, start + GRACE * 4 + DOUBT);
    let gone: Vec<_> = gone.into_iter().map(Change::from).collect();
    assert!(matches!(&gone[..], [Change::Remove(reference)] if &*reference.name.name == "a"), "{gone:?}");
}

#[test]
fn a_load_gives_everything_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\n";
    write(path("one/b.yaml"), deployment.to_owned() + &object("b", "1"));
    write(path("one/a.yaml"), object("a", "1") + deployment);
    write(path("single"), object("a", "2"));
    let loaded = load(&[path("single"), path("one")]).unwrap();
    assert_eq!(loaded.objects.iter().map(show).collect::<Vec<_>>(), ["a=2", "b=1"]);
    assert_eq!(loaded.files, [path("single"), path("one/a.yaml"), path("one/b.yaml")]);
    assert_eq!(loaded.skipped, BTreeMap::from([("apps/v1 Deployment".to_owned(), 2)]));
    assert_eq!(show_diagnostics(&loaded.diagnostics, directory.path()), "DuplicateObject one/a.yaml:1:1");
    let error = load(&[path("one"), path("none")]).unwrap_err();
    assert_eq!(error.to_string(), format!("{} cannot be read: it does not exist", path("none").display()));
}

#[test]
fn many_diagnostics_are_completed_from_one_reading_of_each_file() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path().join("m.yaml"), object("a", "1") + &object("b", "1"));
    let loaded = load(&[directory.path().to_owned()]).unwrap();
    let about = |name: &str, field: &str| {
        let origin = Origin::object("ConfigMap", "default", name).at(field);
        Diagnostic::new(crate::diagnostic::Severity::Error, "Code", origin, "", "")
    };
    let mut diagnostics = [about("a", "data"), about("none", ""), about("b", "data.value"), about("b", "gone[3]")];
    loaded.locator.complete(&mut diagnostics);
    let lines: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.location.as_ref().map(|at| at.line)).collect();
    assert_eq!(lines, [Some(4), None, Some(9), Some(6)]);
}
