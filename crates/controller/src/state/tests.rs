#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::change::Change;
use crate::object::{LegacyVersion, Namespace};
use crate::translate::fixture::{
    class, config_map, external, ingress, meta, ready, secret_for, service, slice, terminating,
};

/// Objects with everything that the model can hold.
fn all() -> Vec<Object> {
    let mut old =
        ingress("shop/old").default_backend("web:http").rule("", &["- / web"]).rule("b.test", &["Exact /x web:8080"]);
    old.legacy = Some(LegacyVersion::ExtensionsV1beta1);
    let endpoints = vec![ready("10.0.0.1"), terminating("fd00::1")];
    vec![
        ingress("shop/web").created(7).class("nginx").annotated("ssl-redirect", "false").tls(&["a.test"], "t").object(),
        old.object(),
        class("nginx", "k8s.io/ingress-nginx"),
        Object::Service(service("shop/web", Vec::new())),
        Object::Service(external("shop/out", "out.test")),
        Object::EndpointSlice(slice("shop/web-1", "web", ("http", 8080), endpoints)),
        secret_for("shop/t", &["a.test"]),
        config_map("ops/options", &[("hsts", "false")]),
        Object::Namespace(Namespace { meta: meta("/shop"), labels: [("team".to_owned(), "a".to_owned())].into() }),
    ]
}

struct Disk {
    directory: TempDir,
    options: StateOptions,
}

impl Disk {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let options = StateOptions { directory: directory.path().join("a/b"), key_file: None, scope: "all".to_owned() };
        Self { directory, options }
    }

    fn with_key(byte: u8) -> Self {
        let mut disk = Self::new();
        disk.options.key_file = Some(disk.key_file(&[byte; 32]));
        disk
    }

    fn key_file(&self, key: &[u8]) -> PathBuf {
        let path = self.directory.path().join(format!("key-{:?}", key.first()));
        fs::write(&path, key).unwrap();
        path
    }

    fn file(&self, kind: Kind) -> PathBuf {
        self.options.directory.join(kind.name()).with_extension("state")
    }

    /// All bytes of all files.
    fn bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(&self.options.directory).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// Lets a run send these changes, and end.
    async fn run(&self, changes: impl IntoIterator<Item = Change>) {
        let (sender, receiver) = mpsc::channel(100);
        let (reconciler, mut reconciled) = mpsc::channel(100);
        let state = Arc::new(State::new(&self.options).unwrap());
        let recording = tokio::spawn(record(receiver, reconciler, state));
        for change in changes {
            let expected = format!("{change:?}");
            sender.send(change).await.unwrap();
            assert_eq!(format!("{:?}", reconciled.recv().await.unwrap()), expected, "it passes unchanged");
        }
        drop(sender);
        timeout(Duration::from_secs(20), recording).await.unwrap().unwrap();
    }

    /// What the next run finds.
    fn kept(&self) -> Vec<Object> {
        let state = State::new(&self.options).unwrap();
        let mut objects: Vec<_> = Kind::ALL.into_iter().flat_map(|kind| state.objects(kind, |_| true)).collect();
        objects.sort_by_key(Object::reference);
        objects
    }
}

fn sorted(mut objects: Vec<Object>) -> Vec<Object> {
    objects.sort_by_key(Object::reference);
    objects
}

fn lists(objects: &[Object]) -> Vec<Change> {
    let of = |kind: Kind| objects.iter().filter(|object| object.kind() == kind).cloned().collect();
    Kind::ALL.into_iter().map(|kind| Change::Reset(kind, of(kind))).collect()
}

fn apply(object: Object) -> Change {
    Change::Apply(Box::new(object))
}

#[tokio::test]
async fn with_a_key_everything_is_there_again_and_nothing_in_the_clear() {
    let disk = Disk::with_key(1);
    let all = all();
    disk.run(lists(&all)).await;
    assert_eq!(disk.kept(), sorted(all));
    let bytes = disk.bytes();
    for clear in ["tls.key", "ssl-redirect", "10.0.0.1", "PRIVATE"] {
        assert!(!bytes.windows(clear.len()).any(|window| window == clear.as_bytes()), "{clear}");
    }
}

#[tokio::test]
async fn without_a_key_there_are_no_secrets() {
    let disk = Disk::new();
    let is_secret = |object: &Object| object.kind() == Kind::Secret;
    let all = all();
    disk.run(lists(&all).into_iter().chain([apply(secret_for("shop/u", &["b.test"]))])).await;
    let expected = all.into_iter().filter(|object| !is_secret(object)).collect();
    assert_eq!(disk.kept(), sorted(expected));
    let bytes = disk.bytes();
    assert!(!bytes.windows(7).any(|window| window == b"tls.key"));
    assert!(!State::new(&disk.options).unwrap().keeps_secrets());
}

#[tokio::test]
async fn only_this_user_can_read_it() {
    let disk = Disk::new();
    disk.run(lists(&[])).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&disk.options.directory), mode(&disk.file(Kind::Ingress))), (0o700, 0o600));
}

#[tokio::test]
async fn changes_and_lists_replace_what_was_kept() {
    let disk = Disk::with_key(1);
    let [a, b, c] = ["shop/a", "shop/b", "shop/c"].map(|name| ingress(name).object());
    let changed = ingress("shop/a").class("nginx").object();
    let nginx = class("nginx", "x");
    let all = lists(&[a.clone(), b.clone(), nginx.clone()]);
    disk.run(all.into_iter().chain([apply(changed.clone()), apply(c.clone()), Change::Remove(b.reference())])).await;
    assert_eq!(disk.kept(), sorted(vec![changed, c.clone(), nginx.clone()]));
    // A list is all that there is of its kind, and of no other. It comes object by object, too; half of it counts for nothing.
    disk.run([apply(a.clone()), apply(c.clone())]).await;
    assert_eq!(disk.kept().len(), 3);
    disk.run([apply(a.clone()), apply(c.clone()), Change::Listed(Kind::Ingress, vec![a.name().clone()])]).await;
    assert_eq!(disk.kept(), sorted(vec![a.clone(), nginx.clone()]));
    disk.run([Change::Reset(Kind::Ingress, vec![b.clone()]), apply(c.clone())]).await;
    assert_eq!(disk.kept(), sorted(vec![b, c, nginx.clone()]));
    disk.run([Change::Reset(Kind::Ingress, Vec::new()), Change::Recall(Kind::Ingress, vec![a])]).await;
    assert_eq!(disk.kept(), [nginx]);
}

#[tokio::test]
async fn a_kind_without_objects_is_known_and_one_that_was_never_listed_is_not() {
    for (disk, of_secrets) in [(Disk::with_key(1), "none"), (Disk::new(), "[]")] {
        disk.run([Change::Reset(Kind::Ingress, Vec::new()), Change::Refused(Kind::IngressClass)]).await;
        let state = State::new(&disk.options).unwrap();
        let recalled = |kind| match state.recall(kind) {
            Some(Change::Recall(_, objects)) => format!("{objects:?}"),
            Some(other) => format!("{other:?}"),
            None => "none".to_owned(),
        };
        assert_eq!(recalled(Kind::Ingress), "[]");
        assert_eq!(recalled(Kind::IngressClass), "RecallRefused(IngressClass)");
        assert_eq!(recalled(Kind::Service), "none");
        // Without a key there never are any: a restart goes on without them.
        assert_eq!(recalled(Kind::Secret), of_secrets);
    }
}

#[tokio::test]
async fn a_kind_that_may_not_be_read_any_more_stays_as_it_was_known() {
    let disk = Disk::new();
    let nginx = class("nginx", "x");
    disk.run(lists(std::slice::from_ref(&nginx))).await;
    disk.run([Change::Refused(Kind::IngressClass)]).await;
    assert_eq!(disk.kept(), [nginx]);
    // Until it may be read again.
    disk.run([Change::Refused(Kind::IngressClass), Change::Listed(Kind::IngressClass, Vec::new())]).await;
    assert_eq!(disk.kept(), []);
}

#[tokio::test]
async fn what_was_kept_for_another_scope_or_with_another_key_is_not_used_and_then_gone() {
    for change in [
        (|disk: &mut Disk| disk.options.scope = "one namespace".to_owned()) as fn(&mut Disk),
        |disk| disk.options.key_file = Some(disk.key_file(&[2; 32])),
        |disk| disk.options.key_file = None,
    ] {
        let mut disk = Disk::with_key(1);
        disk.run(lists(&all())).await;
        let former: Vec<_> = Kind::ALL.map(|kind| fs::read(disk.file(kind)).unwrap()).into();
        change(&mut disk);
        assert_eq!(disk.kept(), []);
        disk.run(lists(&[ingress("a").object()])).await;
        assert_eq!(disk.kept(), [ingress("a").object()]);
        for (kind, former) in Kind::ALL.into_iter().zip(former) {
            assert!(fs::read(disk.file(kind)).ok() != Some(former), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_file_in_the_place_of_another_is_not_believed() {
    for disk in [Disk::new(), Disk::with_key(1)] {
        disk.run(lists(&all())).await;
        fs::copy(disk.file(Kind::Ingress), disk.file(Kind::Service)).unwrap();
        assert!(State::new(&disk.options).unwrap().recall(Kind::Service).is_none());
    }
}

/// Each byte of a file in turn is another one, or the last one: none of it is believed then, and the rest is.
#[tokio::test]
async fn a_file_is_believed_as_a_whole_or_not_at_all() {
    for disk in [Disk::new(), Disk::with_key(1)] {
        disk.run(lists(&all())).await;
        let state = State::new(&disk.options).unwrap();
        let file = disk.file(Kind::Ingress);
        let whole = fs::read(&file).unwrap();
        for place in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[place] ^= 0x11;
            for damaged in [&flipped, &whole[..place]] {
                assert!(state.parse(Kind::Ingress, damaged).is_err(), "byte {place}");
            }
        }
        fs::write(&file, b"rubbish").unwrap();
        let kinds: BTreeSet<_> = disk.kept().iter().map(Object::kind).collect();
        assert!(!kinds.contains(&Kind::Ingress) && kinds.contains(&Kind::Service), "{kinds:?}");
        disk.run(lists(&all())).await;
        assert_eq!(fs::read(&file).unwrap().len(), whole.len(), "it is written anew");
    }
}

/// If this fails, the serialized form has changed: raise [`FORM`], so that no version reads what another one wrote.
#[test]
fn the_form_is_what_its_number_says() {
    let lines: Vec<u8> = all().iter().filter(|object| object.kind() != Kind::Secret).flat_map(line).collect();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &lines);
    assert_eq!((FORM, format!("{:02x?}", &digest.as_ref()[..4]).as_str()), ("edgeward objects 3", "[8f, bb, 2e, 1e]"));
}

/// Half a list is no list, even if the process ends.
#[tokio::test]
async fn a_list_that_was_cut_off_is_not_written() {
    let disk = Disk::new();
    disk.run([apply(ingress("a").object()), apply(class("nginx", "x")), Change::Refused(Kind::IngressClass)]).await;
    let state = State::new(&disk.options).unwrap();
    assert!(state.recall(Kind::Ingress).is_none());
    // But that it may not be read is known.
    assert!(matches!(state.recall(Kind::IngressClass), Some(Change::RecallRefused(Kind::IngressClass))));
}

/// A disk that fails, as a file in the place of the directory.
#[tokio::test(start_paused = true)]
async fn after_a_failure_it_is_written_again() {
    let disk = Disk::new();
    let parent = disk.options.directory.parent().unwrap();
    fs::write(parent, b"in the way").unwrap();
    let (sender, receiver) = mpsc::channel(100);
    let (reconciler, _reconciled) = mpsc::channel(100);
    let state = Arc::new(State::new(&disk.options).unwrap());
    let recording = tokio::spawn(record(receiver, reconciler, state));
    let nginx = class("nginx", "x");
    sender.send(Change::Reset(Kind::Ingress, vec![ingress("a").object()])).await.unwrap();
    sender.send(Change::Reset(Kind::IngressClass, vec![nginx.clone()])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(disk.kept(), []);
    fs::remove_file(parent).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(disk.kept(), [ingress("a").object(), nginx.clone()]);
    // And where somebody removes it, with what does not change too.
    fs::remove_dir_all(&disk.options.directory).unwrap();
    sender.send(apply(ingress("b").object())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(disk.kept(), [ingress("a").object(), ingress("b").object(), nginx]);
    drop(sender);
    recording.await.unwrap();
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    let mut disk = Disk::new();
    disk.options.key_file = Some(disk.key_file(&[1; 31]));
    let error = |disk: &Disk| State::new(&disk.options).err().unwrap().to_string();
    assert!(error(&disk).ends_with("it has fewer than 32 bytes"), "{}", error(&disk));
    disk.options.key_file = Some("/nowhere/key".into());
    assert!(error(&disk).starts_with("cannot use the key file /nowhere/key: "), "{}", error(&disk));
}

#[tokio::test]
async fn one_process_writes_and_others_read() {
    let disk = Disk::new();
    let first = State::new(&disk.options).unwrap();
    first.write(Kind::Ingress, Content::Lines(line(&ingress("a").object()))).unwrap();
    let second = State::new(&disk.options).unwrap();
    assert_eq!(second.objects(Kind::Ingress, |_| true), [ingress("a").object()]);
    let refused = second.write(Kind::Ingress, Content::Lines(Vec::new())).unwrap_err();
    assert_eq!(refused.to_string(), "another process writes to this directory");
    drop(first);
    second.write(Kind::Ingress, Content::Lines(Vec::new())).unwrap();
}
