//! The directory source from outside: what changes in the files changes what is served.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::backend::Backend;
use edgeward_tests::client::{Request, get, wait_for};
use edgeward_tests::edgeward::{Edgeward, Launch, Signal};
use edgeward_tests::manifest::{Ingress, Manifests, join, service};
use edgeward_tests::turn;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

const HOST: &str = "files.test";

/// Longer than the source waits before it believes that something is gone.
const SETTLED: Duration = Duration::from_millis(400);

/// Two backends, and texts that lead the host to one or the other.
struct Two {
    first: Backend,
    second: Backend,
}

impl Two {
    async fn start() -> Self {
        Self { first: Backend::start("first").await, second: Backend::start("second").await }
    }

    /// Everything that the host needs, leading to the first or the second.
    fn site(&self, name: &str) -> String {
        let backend = if name == "first" { &self.first } else { &self.second };
        join([service(name, &[backend.addr()]), Ingress::new("site").host(HOST, name).text()])
    }
}

async fn served_by(edgeward: &Edgeward, name: &str) -> Duration {
    wait_for(edgeward.http, &Request::get(HOST, "/"), |answer| answer.backend() == Some(name)).await
}

/// Fails the test when the host is not served by this backend now, and for a while.
async fn stays_with(edgeward: &Edgeward, name: &str) {
    let started = Instant::now();
    while started.elapsed() < SETTLED {
        let answer = get(edgeward.http, HOST, "/").await;
        assert_eq!((answer.status(), answer.backend()), (200, Some(name)), "after {:?}", started.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
}

async fn diagnostics(edgeward: &Edgeward) -> Vec<Value> {
    edgeward.diagnostics().await.json()["diagnostics"].as_array().unwrap().clone()
}

/// Waits for a diagnostic with this code, or for there to be none at all.
async fn told(edgeward: &Edgeward, code: Option<&str>) -> Value {
    let started = Instant::now();
    loop {
        let now = diagnostics(edgeward).await;
        match code {
            None if now.is_empty() => return Value::Null,
            None => {}
            Some(code) => {
                if let Some(found) = now.iter().find(|diagnostic| diagnostic["code"] == code) {
                    return found.clone();
                }
            }
        }
        assert!(started.elapsed() < PATIENCE, "waiting for {code:?}: {now:#?}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn files_are_read_in_every_form_and_at_every_depth() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    manifests.write("a/b/c/services.yml", join([service("first", &[two.first.addr()])]));
    // JSON, as `kubectl get -o json` writes it, with a List of things that are known and not.
    let ingress: Value = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "json"},
        "spec": {"rules": [{"host": "json.test", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "first", "port": {"number": 80}}}},
        ]}}]},
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        ingress, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "skipped"}},
    ]});
    manifests.write("deep/list.json", list.to_string());
    manifests.write(
        "several.yaml",
        format!("# a comment\n---\n---\n{}", Ingress::new("yaml").host("yaml.test", "first").text()),
    );
    manifests.write(".hidden.yaml", Ingress::new("hidden").host("hidden.test", "first").text());
    manifests.write("notes.txt", "this is no manifest: [");
    manifests.write("backup.yaml~", "nor this: [");
    let edgeward = Edgeward::start(manifests.path()).await;
    for host in ["json.test", "yaml.test"] {
        assert_eq!(get(edgeward.http, host, "/").await.backend(), Some("first"), "{host}");
    }
    assert_eq!(get(edgeward.http, "hidden.test", "/").await.status(), 404);
    assert_eq!(diagnostics(&edgeward).await, Vec::<Value>::new());
    let started = Instant::now();
    while edgeward.diagnostics().await.json()["skipped"] != json!({"apps/v1 Deployment": 1}) {
        assert!(started.elapsed() < PATIENCE, "what is left alone is not told");
        sleep(Duration::from_millis(5)).await;
    }
    let metrics = edgeward.health("/metrics").await.unwrap().text();
    assert!(metrics.contains("edgeward_config_skipped_objects{kind=\"apps/v1 Deployment\"} 1"), "{metrics}");

    // A directory that comes later is followed too, and so is what is in it.
    manifests.write("later/deeper/new.yaml", Ingress::new("later").host("later.test", "first").text());
    wait_for(edgeward.http, &Request::get("later.test", "/"), |answer| answer.status() == 200).await;
    std::fs::remove_dir_all(manifests.file("later")).unwrap();
    wait_for(edgeward.http, &Request::get("later.test", "/"), |answer| answer.status() == 404).await;
}

#[tokio::test]
async fn edits_are_seen_however_they_are_written() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    manifests.write("site.yaml", two.site("first"));
    let edgeward = Launch::new(manifests.path()).argument("--rescan-interval=1h").start().await;
    served_by(&edgeward, "first").await;
    let file = manifests.file("site.yaml");
    // By rename, in place, by removal and new creation, by a rename over it from elsewhere.
    manifests.write("site.yaml", two.site("second"));
    served_by(&edgeward, "second").await;
    std::fs::write(&file, two.site("first")).unwrap();
    served_by(&edgeward, "first").await;
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, two.site("second")).unwrap();
    served_by(&edgeward, "second").await;
    let elsewhere = TempDir::new_in(manifests.path().parent().unwrap()).unwrap();
    std::fs::write(elsewhere.path().join("new"), two.site("first")).unwrap();
    std::fs::rename(elsewhere.path().join("new"), &file).unwrap();
    served_by(&edgeward, "first").await;
}

/// As the kubelet lays out a mounted ConfigMap: `site.yaml -> ..data/site.yaml`, `..data -> ..VERSION`.
fn mount(directory: &Path, version: &str, text: &str) {
    let data = directory.join(format!("..{version}"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("site.yaml"), text).unwrap();
    symlink(format!("..{version}"), directory.join("..data_tmp")).unwrap();
    std::fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    if !directory.join("site.yaml").is_symlink() {
        symlink("..data/site.yaml", directory.join("site.yaml")).unwrap();
    }
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_through_its_symlink_swaps() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    mount(manifests.path(), "v1", &two.site("first"));
    let edgeward = Launch::new(manifests.path()).argument("--rescan-interval=1h").start().await;
    served_by(&edgeward, "first").await;
    assert_eq!(diagnostics(&edgeward).await, Vec::<Value>::new(), "an object is read through two paths");
    for (version, name) in [("v2", "second"), ("v3", "first"), ("v4", "second")] {
        mount(manifests.path(), version, &two.site(name));
        // The kubelet removes the old version right behind the swap.
        let old = format!("..v{}", version[1..].parse::<u32>().unwrap() - 1);
        std::fs::remove_dir_all(manifests.file(&old)).unwrap();
        let after = served_by(&edgeward, name).await;
        assert!(after < Duration::from_secs(2), "the swap to {version} is seen after {after:?}");
    }
}

#[tokio::test]
async fn a_file_that_breaks_keeps_its_last_good_content_and_is_told_with_line_and_column() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    manifests.write("site.yaml", two.site("first"));
    let edgeward = Edgeward::start(manifests.path()).await;
    served_by(&edgeward, "first").await;

    // In the middle of a save: valid up to the point where it breaks off inside a bracket.
    manifests.write("site.yaml", "apiVersion: v1\nkind: [Service\n");
    let diagnostic = told(&edgeward, Some("UnreadableFile")).await;
    let at = &diagnostic["location"];
    assert_eq!(at["file"], manifests.file("site.yaml").display().to_string());
    assert!(at["line"].as_u64() >= Some(1) && at["column"].as_u64() >= Some(1), "{diagnostic}");
    stays_with(&edgeward, "first").await;
    assert!(edgeward.log().contains("UnreadableFile"), "the log does not tell: {}", edgeward.log());

    // An object of the wrong shape keeps its own last good version, while its neighbour in the file changes.
    let broken = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: site}\nspec: {rules: none}\n";
    let other = Ingress::new("other").host("other.test", "first").text();
    manifests.write("site.yaml", join([service("first", &[two.first.addr()]), broken.to_owned(), other]));
    told(&edgeward, Some("InvalidField")).await;
    wait_for(edgeward.http, &Request::get("other.test", "/"), |answer| answer.status() == 200).await;
    stays_with(&edgeward, "first").await;

    manifests.write("site.yaml", two.site("second"));
    served_by(&edgeward, "second").await;
    told(&edgeward, None).await;
    // A file that is suddenly empty is likely to be filled again.
    std::fs::write(manifests.file("site.yaml"), "").unwrap();
    told(&edgeward, Some("EmptyFile")).await;
    stays_with(&edgeward, "second").await;
    std::fs::write(manifests.file("site.yaml"), two.site("first")).unwrap();
    served_by(&edgeward, "first").await;
    // One that says to hold nothing is believed.
    std::fs::write(manifests.file("site.yaml"), "# nothing any more\n").unwrap();
    wait_for(edgeward.http, &Request::get(HOST, "/"), |answer| answer.status() == 404).await;
}

#[tokio::test]
async fn a_directory_that_goes_away_keeps_everything_and_is_followed_when_it_is_back() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let parent = Manifests::new();
    parent.write("live/site.yaml", two.site("first"));
    let edgeward = Launch::new(&parent.file("live")).argument("--rescan-interval=200ms").start().await;
    served_by(&edgeward, "first").await;
    std::fs::rename(parent.file("live"), parent.file("away")).unwrap();
    told(&edgeward, Some("UnreadableDirectory")).await;
    stays_with(&edgeward, "first").await;
    parent.write("away/site.yaml", two.site("second"));
    std::fs::rename(parent.file("away"), parent.file("live")).unwrap();
    served_by(&edgeward, "second").await;
    told(&edgeward, None).await;
    parent.write("live/site.yaml", two.site("first"));
    served_by(&edgeward, "first").await;
}

/// A file of the directory that can be written through another directory: nobody who watches the first hears of it.
fn unwatched(manifests: &Manifests) -> (TempDir, std::path::PathBuf) {
    let elsewhere = TempDir::new_in(manifests.path().parent().unwrap()).unwrap();
    let link = elsewhere.path().join("site.yaml");
    std::fs::hard_link(manifests.file("site.yaml"), &link).unwrap();
    (elsewhere, link)
}

#[tokio::test]
async fn routes_stay_while_their_file_is_written_slowly_and_when_the_directory_is_emptied_for_a_moment() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    manifests.write("site.yaml", two.site("first"));
    let edgeward = Launch::new(manifests.path()).argument("--rescan-interval=1h").start().await;
    served_by(&edgeward, "first").await;
    // As `helm template . > site.yaml` does it. The Ingress comes before the Service, without which it would answer 503.
    let mut file = std::fs::File::create(manifests.file("site.yaml")).unwrap();
    stays_with(&edgeward, "first").await;
    file.write_all(Ingress::new("site").host(HOST, "second").text().as_bytes()).unwrap();
    stays_with(&edgeward, "first").await;
    file.write_all(format!("---\n{}", service("second", &[two.second.addr()])).as_bytes()).unwrap();
    drop(file);
    served_by(&edgeward, "second").await;

    std::fs::remove_file(manifests.file("site.yaml")).unwrap();
    told(&edgeward, Some("UnreadableDirectory")).await;
    stays_with(&edgeward, "second").await;
    manifests.write("other.yaml", two.site("first"));
    served_by(&edgeward, "first").await;
    told(&edgeward, None).await;
}

#[tokio::test]
async fn sighup_reads_what_no_event_tells_of() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    manifests.write("site.yaml", two.site("first"));
    let (_elsewhere, link) = unwatched(&manifests);
    let mut edgeward = Launch::new(manifests.path()).argument("--rescan-interval=1h").start().await;
    served_by(&edgeward, "first").await;
    // A file that was just written is looked at twice.
    sleep(SETTLED).await;
    std::fs::write(&link, two.site("second")).unwrap();
    stays_with(&edgeward, "first").await;
    edgeward.signal(Signal::Hangup);
    served_by(&edgeward, "second").await;
    assert!(edgeward.is_running());
}

#[tokio::test]
async fn the_rescan_finds_what_no_event_tells_of() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    manifests.write("site.yaml", two.site("first"));
    let (_elsewhere, link) = unwatched(&manifests);
    let edgeward = Launch::new(manifests.path()).argument("--rescan-interval=500ms").start().await;
    served_by(&edgeward, "first").await;
    // A file that was just written is looked at twice.
    sleep(SETTLED).await;
    std::fs::write(&link, two.site("second")).unwrap();
    served_by(&edgeward, "second").await;
}

#[tokio::test]
async fn sighup_reads_the_configuration_file_and_a_wrong_one_changes_nothing() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    manifests.write("site.yaml", join([two.site("first"), service("second", &[two.second.addr()])]));
    let directory = Manifests::new();
    directory.write("edgeward.yaml", "log-level: info\n");
    let mut edgeward = Launch::new(manifests.path())
        .argument(format!("--config={}", directory.file("edgeward.yaml").display()))
        .start()
        .await;
    assert_eq!(get(edgeward.http, "nowhere.test", "/").await.status(), 404);
    directory.write("edgeward.yaml", "default-backend-service: default/second\n");
    edgeward.signal(Signal::Hangup);
    wait_for(edgeward.http, &Request::get("nowhere.test", "/"), |answer| answer.backend() == Some("second")).await;

    directory.write("edgeward.yaml", "no-such-option: [\n");
    edgeward.signal(Signal::Hangup);
    let started = Instant::now();
    while !edgeward.log().contains("the configuration stays as it is") {
        assert!(started.elapsed() < PATIENCE, "a wrong configuration is not told: {}", edgeward.log());
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(get(edgeward.http, "nowhere.test", "/").await.backend(), Some("second"));
    assert!(edgeward.is_running());
}

#[tokio::test]
async fn sighup_opens_the_access_log_anew() {
    let _turn = turn::shared().await;
    let two = Two::start().await;
    let manifests = Manifests::new();
    manifests.write("site.yaml", two.site("first"));
    let logs = Manifests::new();
    let edgeward = Launch::new(manifests.path())
        .argument(format!("--access-log-path={}", logs.file("access.log").display()))
        .start()
        .await;
    let logged = async |name: &str, path: &str| {
        let started = Instant::now();
        while !std::fs::read_to_string(logs.file(name)).is_ok_and(|text| text.contains(path)) {
            assert!(started.elapsed() < PATIENCE, "{path} is not in {name}");
            sleep(Duration::from_millis(10)).await;
        }
    };
    get(edgeward.http, HOST, "/before-rotation").await;
    logged("access.log", "/before-rotation").await;
    // As logrotate does it.
    std::fs::rename(logs.file("access.log"), logs.file("access.log.1")).unwrap();
    edgeward.signal(Signal::Hangup);
    let started = Instant::now();
    while !logs.file("access.log").exists() {
        assert!(started.elapsed() < PATIENCE, "the access log is not opened anew");
        sleep(Duration::from_millis(10)).await;
    }
    get(edgeward.http, HOST, "/after-rotation").await;
    logged("access.log", "/after-rotation").await;
}
