//! Bad input: each mistake has its diagnostic, nothing panics, and every other route keeps serving.

mod cases;
mod mangled;

use std::path::Path;
use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Connection, Request, get, wait_for};
use edgeward_tests::edgeward::{Edgeward, run};
use edgeward_tests::manifest::{Ingress, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use serde_json::Value;

use crate::site::Site;
use crate::translate;
use cases::{CASES, Case, MARK};
pub(crate) use mangled::mangle;

/// A site on which nothing may have an effect: a host with a certificate, and one that takes every other.
struct Bystander {
    site: Site,
    authority: Authority,
}

const HOST: &str = "bystander.test";

impl Bystander {
    async fn new() -> Self {
        let mut site = Site::new();
        let authority = Authority::new();
        site.service("bystander").await;
        site.manifests.write("bystander-tls.yaml", tls_secret("bystander", &authority.pair(HOST)));
        site.ingress(
            &Ingress::new("bystander")
                .created("2020-01-01T00:00:00Z")
                .annotation("ssl-redirect", "false")
                .tls(&[HOST], Some("bystander"))
                .host(HOST, "bystander"),
        );
        Self { site, authority }
    }

    /// Fails the test unless everything is as it was, over HTTP and HTTPS.
    async fn assert_served(&self, edgeward: &Edgeward, during: &str) {
        let answer = get(edgeward.http, HOST, "/").await;
        assert_eq!((answer.status(), answer.backend()), (200, Some("bystander")), "{during}");
        let hello = Hello::name(HOST).verify(self.authority.certificate());
        let mut connection = Connection::open_tls(edgeward.https, &hello).await;
        assert_eq!(connection.exchange(&Request::get(HOST, "/")).await.status(), 200, "{during}");
    }
}

/// What `edgeward check` says of a directory, and its exit code.
fn check(directory: &Path) -> (Vec<Value>, i32, String) {
    let arguments = ["check".as_ref(), "--format=json".as_ref(), directory.as_os_str()];
    let output = run(arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}\n{stderr}"));
    let diagnostics = document["diagnostics"].as_array().expect("a list of diagnostics").clone();
    (diagnostics, output.status.code().expect("an exit code"), format!("{stdout}{stderr}"))
}

/// What the administration page says.
async fn admin(edgeward: &Edgeward) -> Vec<Value> {
    edgeward.diagnostics().await.json()["diagnostics"].as_array().expect("a list of diagnostics").clone()
}

/// Diagnostics as lines that can be compared and read.
fn lines(diagnostics: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = diagnostics.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

/// The diagnostic of a case among others.
fn find<'d>(case: &Case, diagnostics: &'d [Value]) -> Option<&'d Value> {
    diagnostics.iter().find(|diagnostic| {
        let object = &diagnostic["object"];
        let about = match case.object {
            "" => object.is_null(),
            named => {
                format!("{} {}", object["kind"].as_str().unwrap_or(""), object["name"].as_str().unwrap_or("")) == named
            }
        };
        diagnostic["code"] == case.code && about
    })
}

/// What a diagnostic lacks.
fn lacking(case: &Case, diagnostic: &Value) -> Vec<String> {
    let mut lacking = Vec::new();
    let mut need = |holds: bool, what: &str| {
        if !holds {
            lacking.push(format!("{}: {what}: {diagnostic}", case.what));
        }
    };
    let text = |key: &str| diagnostic[key].as_str().unwrap_or_default();
    need(text("message").len() > 10, "no message");
    need(text("mend").len() > 5, "no mend");
    let at = &diagnostic["location"];
    need(at["file"].as_str().is_some_and(|file| file.ends_with("case.yaml")), "not the file that is wrong");
    need(at["line"].as_u64().is_some_and(|line| line >= 1), "no line");
    need(at["column"].as_u64().is_some_and(|column| column >= 1), "no column");
    if case.line > 0 {
        need(at["line"] == case.line, &format!("not at line {}", case.line));
    }
    if !case.field.is_empty() {
        need(text("field") == case.field, &format!("not about the field {}", case.field));
    }
    lacking
}

#[tokio::test]
async fn every_mistake_has_its_diagnostic_and_harms_nothing_else() {
    let _turn = turn::shared().await;
    let bystander = Bystander::new().await;
    let edgeward = bystander.site.serve().await;
    let directory = bystander.site.manifests.path();
    assert_eq!(check(directory), (Vec::new(), 0, check(directory).2), "the site itself is without fault");
    let mut wrong = Vec::new();
    for case in CASES {
        bystander.site.manifests.write("case.yaml", case.text);
        let (found, code, printed) = check(directory);
        match find(case, &found) {
            Some(diagnostic) => {
                wrong.extend(lacking(case, diagnostic));
                let fails = found.iter().any(|diagnostic| diagnostic["severity"] == "error");
                if code != i32::from(fails) {
                    wrong.push(format!("{}: exit code {code}", case.what));
                }
            }
            None => {
                wrong.push(format!("{}: check has no {} about {:?}: {found:#?}", case.what, case.code, case.object))
            }
        }
        if printed.contains(MARK) {
            wrong.push(format!("{}: check prints what stands in a Secret", case.what));
        }
        // The running process says the very same.
        let started = Instant::now();
        let mut here = admin(&edgeward).await;
        while lines(&here) != lines(&found) && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
            here = admin(&edgeward).await;
        }
        if lines(&here) != lines(&found) {
            wrong.push(format!("{}: check says\n{found:#?}\nbut the admin page\n{here:#?}", case.what));
        }
        bystander.assert_served(&edgeward, case.what).await;
        bystander.site.manifests.remove("case.yaml");
        let started = Instant::now();
        while !admin(&edgeward).await.is_empty() {
            assert!(started.elapsed() < PATIENCE, "{}: its diagnostic outlives it", case.what);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let log = edgeward.log();
    if log.contains("panicked") || log.contains(MARK) {
        wrong.push(format!("the log tells of a panic or of what stands in a Secret:\n{log}"));
    }
    eprintln!("bad input: {} mistakes, {} of them without what they need", CASES.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn of_two_ingresses_that_fight_for_a_path_the_older_serves_and_the_younger_is_told() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("old").await;
    site.service("young").await;
    site.ingress(&Ingress::new("a-young").created("2026-02-01T00:00:00Z").host("fight.test", "young"));
    site.ingress(
        &Ingress::new("b-old").created("2026-01-01T00:00:00Z").host("fight.test", "old").host("peaceful.test", "old"),
    );
    let (found, code, _) = check(site.manifests.path());
    assert_eq!(code, 0, "a conflict is a warning");
    let [conflict] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((&conflict["code"], &conflict["object"]["name"]), (&"RouteConflict".into(), &"a-young".into()));
    assert!(conflict["message"].as_str().unwrap().contains("b-old"), "{conflict}");
    let edgeward = site.serve().await;
    for _ in 0..10 {
        assert_eq!(get(edgeward.http, "fight.test", "/").await.backend(), Some("old"));
    }
    assert_eq!(get(edgeward.http, "peaceful.test", "/").await.backend(), Some("old"));
    // The other way round takes effect without a restart.
    site.ingress(&Ingress::new("a-young").created("2025-02-01T00:00:00Z").host("fight.test", "young"));
    let request = Request::get("fight.test", "/");
    wait_for(edgeward.http, &request, |answer| answer.backend() == Some("young")).await;
}

#[tokio::test]
async fn a_broken_directory_at_the_start_serves_what_is_whole() {
    let _turn = turn::shared().await;
    let bystander = Bystander::new().await;
    for (number, case) in CASES.iter().enumerate() {
        bystander.site.manifests.write(&format!("case-{number:02}.yaml"), case.text);
    }
    bystander.site.manifests.write("binary.yaml", "\0\u{1}\u{2}");
    std::fs::write(bystander.site.manifests.file("latin-1.yaml"), b"a: \xff\xfe").unwrap();
    std::os::unix::fs::symlink("nowhere.yaml", bystander.site.manifests.file("dangling.yaml")).unwrap();
    std::fs::create_dir(bystander.site.manifests.file("directory.yaml")).unwrap();
    let mut edgeward = bystander.site.serve().await;
    bystander.assert_served(&edgeward, "all mistakes at once").await;
    assert!(edgeward.is_running());
    assert!(!edgeward.log().contains("panicked"), "{}", edgeward.log());
}

#[tokio::test]
async fn mangled_manifests_neither_end_the_process_nor_harm_other_routes() {
    let _turn = turn::shared().await;
    let bystander = Bystander::new().await;
    let mut edgeward = bystander.site.serve().await;
    let texts: Vec<String> = translate::names(".yaml").iter().map(|name| translate::text(name)).collect();
    for round in 0..12 {
        for number in 0..20 {
            let seed = round * 1000 + number;
            let text = mangle(&texts[usize::try_from(seed).unwrap() % texts.len()], seed);
            std::fs::write(bystander.site.manifests.file(&format!("mangled-{number}.yaml")), text).unwrap();
        }
        let (_, code, printed) = check(bystander.site.manifests.path());
        assert!(code == 0 || code == 1, "round {round}: check ended with {code}: {printed}");
        assert!(!printed.contains("panicked"), "round {round}: {printed}");
        bystander.assert_served(&edgeward, &format!("round {round} of mangled manifests")).await;
    }
    assert!(edgeward.is_running());
    assert!(!edgeward.log().contains("panicked"), "{}", edgeward.log());
}
