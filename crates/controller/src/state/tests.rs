#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use redb::ReadableTable;
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

    fn file(&self) -> PathBuf {
        self.options.directory.join("objects.redb")
    }

    /// Lets a run send these changes, and end.
    async fn run(&self, changes: impl IntoIterator<Item = Change>) {
        let (sender, receiver) = mpsc::channel(100);
        let (reconciler, mut reconciled) = mpsc::channel(100);
        let state = Arc::new(State::open(&self.options).unwrap());
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
        let state = State::open(&self.options).unwrap();
        let mut objects: Vec<_> = Kind::ALL.into_iter().flat_map(|kind| state.objects(kind)).collect();
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
    let bytes = fs::read(disk.file()).unwrap();
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
    let bytes = fs::read(disk.file()).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"tls.key"));
    assert!(!State::open(&disk.options).unwrap().keeps_secrets());
}

#[tokio::test]
async fn only_this_user_can_read_it() {
    let disk = Disk::new();
    disk.run([]).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&disk.options.directory), mode(&disk.file())), (0o700, 0o600));
}

#[tokio::test]
async fn changes_and_lists_replace_what_was_kept() {
    let disk = Disk::with_key(1);
    let [a, b, c] = ["shop/a", "shop/b", "shop/c"].map(|name| ingress(name).object());
    let changed = ingress("shop/a").class("nginx").object();
    let nginx = class("nginx", "x");
    disk.run(lists(&[a.clone(), b.clone(), nginx.clone()])).await;
    disk.run([apply(changed.clone()), apply(c.clone()), Change::Remove(b.reference())]).await;
    assert_eq!(disk.kept(), sorted(vec![changed, c.clone(), nginx.clone()]));
    // A list is all that there is of its kind, and of no other.
    disk.run([apply(a.clone()), Change::Reset(Kind::Ingress, vec![b.clone()]), apply(c.clone())]).await;
    assert_eq!(disk.kept(), sorted(vec![b, c, nginx.clone()]));
    disk.run([Change::Reset(Kind::Ingress, Vec::new()), Change::Recall(Kind::Ingress, vec![a])]).await;
    assert_eq!(disk.kept(), [nginx]);
}

#[tokio::test]
async fn it_is_known_of_which_namespace_there_is_anything() {
    let disk = Disk::new();
    disk.run(lists(&[ingress("shop/a").object(), class("nginx", "x")])).await;
    let state = State::open(&disk.options).unwrap();
    for (kind, namespace, holds) in [
        (Kind::Ingress, "", true),
        (Kind::Ingress, "shop", true),
        (Kind::Ingress, "sho", false),
        (Kind::IngressClass, "", true),
        (Kind::Service, "", false),
    ] {
        assert_eq!(state.holds(kind, namespace), holds, "{kind:?} {namespace}");
    }
}

#[tokio::test]
async fn what_was_kept_for_another_scope_or_with_another_key_is_forgotten() {
    for change in [
        (|disk: &mut Disk| disk.options.scope = "one namespace".to_owned()) as fn(&mut Disk),
        |disk| disk.options.key_file = Some(disk.key_file(&[2; 32])),
        |disk| disk.options.key_file = None,
    ] {
        let mut disk = Disk::with_key(1);
        disk.run(lists(&all())).await;
        change(&mut disk);
        assert_eq!(disk.kept(), []);
        disk.run([apply(ingress("a").object())]).await;
        assert_eq!(disk.kept(), [ingress("a").object()]);
    }
}

#[tokio::test]
async fn an_entry_under_another_name_is_not_believed() {
    let disk = Disk::with_key(1);
    disk.run(lists(&[secret_for("shop/t", &["a.test"]), secret_for("bank/t", &["b.test"])])).await;
    {
        let state = State::open(&disk.options).unwrap();
        let transaction = state.database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(OBJECTS).unwrap();
            let other = table.get("Secret/shop/t").unwrap().unwrap().value().to_vec();
            table.insert("Secret/bank/t", other.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    }
    let kept: Vec<_> = disk.kept().iter().map(|object| object.name().to_string()).collect();
    assert_eq!(kept, ["shop/t"]);
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_costs_only_its_content() {
    let whole = {
        let disk = Disk::new();
        disk.run(lists(&all())).await;
        fs::read(disk.file()).unwrap()
    };
    let mut flipped = whole.clone();
    flipped.iter_mut().skip(64).step_by(97).for_each(|byte| *byte ^= 0x55);
    let lengths = [1, 9, 64, 300, 4096, whole.len() / 2, whole.len() - 1];
    let cut = lengths.into_iter().map(|length| whole[..length].to_vec());
    for (number, bytes) in cut.chain([b"rubbish".repeat(2000), flipped]).enumerate() {
        let disk = Disk::new();
        fs::create_dir_all(&disk.options.directory).unwrap();
        fs::write(disk.file(), &bytes).unwrap();
        disk.run([apply(ingress("a").object())]).await;
        assert!(disk.kept().contains(&ingress("a").object()), "file {number}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    let mut disk = Disk::new();
    disk.options.key_file = Some(disk.key_file(&[1; 31]));
    let error = |disk: &Disk| State::open(&disk.options).err().unwrap().to_string();
    assert!(error(&disk).ends_with("it has fewer than 32 bytes"), "{}", error(&disk));
    disk.options.key_file = Some("/nowhere/key".into());
    assert!(error(&disk).starts_with("cannot use the key file /nowhere/key: "), "{}", error(&disk));
}

#[test]
fn two_processes_do_not_share_it() {
    let disk = Disk::new();
    let _first = State::open(&disk.options).unwrap();
    assert!(matches!(State::open(&disk.options), Err(StateError::Database { .. })));
}

#[test]
fn what_could_not_be_written_gives_way_to_what_came_since() {
    let entry = |key: &str, value: u8| (key.to_owned(), vec![value]);
    let mut older = Pending::default();
    older.replace(Kind::Ingress, [entry("Ingress/n/a", 1), entry("Ingress/n/b", 1)]);
    older.entries.insert("Service/n/a".to_owned(), Some(vec![1]));
    let mut newer = Pending::default();
    newer.replace(Kind::Service, [entry("Service/n/b", 2)]);
    newer.entries.insert("Ingress/n/a".to_owned(), None);
    newer.put_back(older);
    assert_eq!(newer.replaced, [Kind::Ingress, Kind::Service].into());
    let expected = [("Ingress/n/a", None), ("Ingress/n/b", Some(vec![1])), ("Service/n/b", Some(vec![2]))];
    assert_eq!(newer.entries, expected.map(|(key, value)| (key.to_owned(), value)).into());
}
