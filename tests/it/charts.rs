//! Ingresses of well-known applications, with the annotations that their documentation asks for under ingress-nginx.
//!
//! `tests/charts/NAME.yaml` is what a user would apply. Its first line says what it is, and each line `# ask SCHEME URL ->
//! ANSWER` what a request gets: the Service and the target that it gets, a status, or a redirect. `NAME.snap` beside it is
//! what `edgeward audit` says; `INSTA_UPDATE=always` writes it anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use edgeward_controller::object::{Object, Service};
use edgeward_controller::parse::parse;
use edgeward_tests::backend::{Backend, Recording, Start};
use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Connection, Request};
use edgeward_tests::edgeward::{Edgeward, Launch, run};
use edgeward_tests::manifest::{Manifests, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts")
}

/// Name and text of each, by name.
fn charts() -> Vec<(String, String)> {
    let mut charts: Vec<(String, String)> = std::fs::read_dir(folder())
        .expect("the folder of charts")
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(".yaml")?.to_owned();
            Some((name, std::fs::read_to_string(&path).unwrap()))
        })
        .collect();
    charts.sort();
    assert!(charts.len() >= 12, "{} charts", charts.len());
    charts
}

/// A chart that is installed: its manifests, its certificate, and its pods.
struct Installed {
    manifests: Manifests,
    recording: Recording,
    _pods: Vec<Backend>,
}

impl Installed {
    async fn new(name: &str, text: &str) -> Self {
        let (manifests, recording, authority) = (Manifests::new(), Recording::default(), Authority::new());
        manifests.write("chart.yaml", text);
        let parsed = parse("chart.yaml", text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut pods = Vec::new();
        for placed in parsed.objects {
            match placed.object {
                Object::Service(service) => {
                    let speaks_tls = service.ports[0].name == "https";
                    let start = Start::default().recording(&recording);
                    let start = if speaks_tls { start.tls(authority.pair("pod")) } else { start };
                    let pod = start.start(&service.meta.name.name).await;
                    manifests.write(&format!("slice-{}.yaml", pod.name()), slice(&service, &pod));
                    pods.push(pod);
                }
                Object::Ingress(ingress) => {
                    let entry = &ingress.tls[0];
                    let secret = entry.secret_name.as_deref().expect("a Secret for the host");
                    manifests.write("secret.yaml", tls_secret(secret, &authority.pair(&entry.hosts[0])));
                }
                other => panic!("{name}: {other:?} is no part of these charts"),
            }
        }
        Self { manifests, recording, _pods: pods }
    }
}

fn slice(service: &Service, pod: &Backend) -> String {
    let (name, port) = (pod.name(), &service.ports[0].name);
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, labels: \
         {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: {port}, port: {}}}]\nendpoints: \
         [{{addresses: [{}]}}]\n",
        pod.addr().port(),
        pod.addr().ip()
    )
}

/// What `edgeward audit` says of a chart: how it ends, how many findings there are of each kind, and each of them.
fn audited(manifests: &Manifests) -> String {
    let directory = manifests.path().display().to_string();
    let output = run(["audit", "--config=/dev/null", "--format=json", &directory]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    let mut out = format!("exit code {}\n", output.status.code().expect("it ended by itself"));
    for (verdict, count) in report["counts"].as_object().expect("counts") {
        if count != 0 {
            let _ = writeln!(out, "{count} {verdict}");
        }
    }
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|finding| {
            format!("{} {}: {}", text(finding, "verdict"), text(finding, "subject"), text(finding, "message"))
        })
        .collect();
    lines.sort();
    out + &lines.join("\n")
}

/// What a request gets, in the words of the charts.
async fn answered(edgeward: &Edgeward, recording: &Recording, scheme: &str, url: &str) -> String {
    let (host, path) = url.split_at(url.find('/').expect("a path"));
    let request = Request::get(host, path);
    recording.take();
    let answer = match scheme {
        "https" => Connection::open_tls(edgeward.https, &Hello::name(host)).await.exchange(&request).await,
        "http" => Connection::open(edgeward.http).await.exchange(&request).await,
        other => panic!("{other} is no scheme"),
    };
    match (answer.status(), answer.backend(), answer.header("location")) {
        (200, Some(backend), _) => format!("{backend} {}", recording.take().pop().expect("the request arrived").target),
        (status, _, Some(location)) => {
            format!("{status} {}", location.replace(&edgeward.http.port().to_string(), "{http}"))
        }
        (status, _, None) => status.to_string(),
    }
}

#[tokio::test]
async fn charts_of_well_known_applications_are_audited_and_served() {
    let _turn = turn::shared().await;
    let mut wrong = Vec::new();
    let mut asked = 0;
    for (name, text) in charts() {
        let installed = Installed::new(&name, &text).await;
        let about = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a line about the chart");
        insta::with_settings!({
            snapshot_path => folder(),
            prepend_module_to_snapshot => false,
            description => about,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name.as_str(), audited(&installed.manifests));
        });
        let edgeward = Launch::new(installed.manifests.path()).start().await;
        let asks: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ask ")).collect();
        assert!(!asks.is_empty(), "{name} is asked for nothing");
        for ask in asks {
            let (request, expected) = ask.split_once(" -> ").expect("a request and its answer");
            let (scheme, url) = request.split_once(' ').expect("a scheme and a URL");
            let got = answered(&edgeward, &installed.recording, scheme, url).await;
            asked += 1;
            if got != expected {
                wrong.push(format!("{name}: {ask}: {got}"));
            }
        }
    }
    eprintln!("charts: {} of {asked} requests answered as they say", asked - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
