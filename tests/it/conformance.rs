//! The scenarios of kubernetes-sigs/ingress-controller-conformance, through the real proxy.
//!
//! They are 25, one of them an outline with 6 rows. Status of the Ingress object, which they wait for, stands for being
//! served here: there is no cluster.

use std::collections::BTreeSet;

use edgeward_tests::backend::{Backend, Start};
use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Connection, Request, get, send};
use edgeward_tests::manifest::{Ingress, Manifests, config_map, join, service, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use crate::site::Site;

/// A request and the service that must answer; `None` is 404.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

const PATH_RULES: &[Row] = &[
    ("exact path matches /foo", "exact-path-rules", "/foo", Some("foo-exact")),
    ("exact path does not match a trailing slash", "exact-path-rules", "/foo/", None),
    ("exact path is case sensitive", "exact-path-rules", "/FOO", None),
    ("exact path does not match another", "exact-path-rules", "/bar", None),
    ("prefix /foo matches /foo", "prefix-path-rules", "/foo", Some("foo-prefix")),
    ("prefix /foo matches /foo/", "prefix-path-rules", "/foo/", Some("foo-prefix")),
    ("prefix is case sensitive", "prefix-path-rules", "/FOO", None),
    ("multiple prefixes: /aaa/bbb goes to the longest", "prefix-path-rules", "/aaa/bbb", Some("aaa-slash-bbb-prefix")),
    (
        "multiple prefixes: /aaa/bbb/ccc goes to the longest",
        "prefix-path-rules",
        "/aaa/bbb/ccc",
        Some("aaa-slash-bbb-prefix"),
    ),
    ("multiple prefixes: /aaa/ccc goes to /aaa", "prefix-path-rules", "/aaa/ccc", Some("aaa-prefix")),
    ("prefix matches whole elements only", "prefix-path-rules", "/aaaccc", None),
    ("prefix ignores a trailing slash of the request", "prefix-path-rules", "/aaa/", Some("aaa-prefix")),
    ("exact wins over prefix", "mixed-path-rules", "/foo", Some("foo-exact")),
    ("prefix /aaa/bbb/ matches /aaa/bbb", "trailing-slash-path-rules", "/aaa/bbb", Some("aaa-slash-bbb-slash-prefix")),
    (
        "prefix /aaa/bbb/ matches /aaa/bbb/",
        "trailing-slash-path-rules",
        "/aaa/bbb/",
        Some("aaa-slash-bbb-slash-prefix"),
    ),
    ("exact /foo/ does not match /foo", "trailing-slash-path-rules", "/foo", None),
];

const HOST_RULES: &[Row] = &[
    ("host foo.bar.com matches itself, without a redirect", "foo.bar.com", "/", Some("foo-bar-com")),
    ("host foo.bar.com does not match subdomain.bar.com", "subdomain.bar.com", "/", None),
    ("host *.foo.com matches bar.foo.com", "bar.foo.com", "/", Some("wildcard-foo-com")),
    ("host *.foo.com does not match baz.bar.foo.com", "baz.bar.foo.com", "/", None),
    ("host *.foo.com does not match foo.com", "foo.com", "/", None),
];

async fn assert_rows(edgeward: &edgeward_tests::edgeward::Edgeward, rows: &[Row]) {
    let mut failed = Vec::new();
    for (scenario, host, path, service) in rows {
        let answer = get(edgeward.http, host, path).await;
        let as_wanted = match service {
            Some(service) => answer.status() == 200 && answer.backend() == Some(service),
            None => answer.status() == 404 && answer.backend().is_none(),
        };
        if !as_wanted {
            failed.push(format!("{scenario}: {host}{path} gives {} from {:?}", answer.status(), answer.backend()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn strict(manifests: &Manifests) -> edgeward_tests::edgeward::Launch {
    edgeward_tests::edgeward::Launch::new(manifests.path())
        .argument("--compatibility=strict")
        .argument("--ingress-class=conformance")
}

fn conformance(name: &str) -> Ingress {
    Ingress::new(name).annotation("kubernetes.io/ingress.class", "conformance")
}

#[tokio::test]
async fn path_rules() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    for name in [
        "foo-exact",
        "foo-prefix",
        "aaa-slash-bbb-prefix",
        "aaa-prefix",
        "aaa-slash-bbb-slash-prefix",
        "foo-slash-exact",
    ] {
        site.service(name).await;
    }
    site.ingress(
        &conformance("path-rules")
            .path("exact-path-rules", "Exact", "/foo", "foo-exact")
            .path("prefix-path-rules", "Prefix", "/foo", "foo-prefix")
            .path("prefix-path-rules", "Prefix", "/aaa/bbb", "aaa-slash-bbb-prefix")
            .path("prefix-path-rules", "Prefix", "/aaa", "aaa-prefix")
            .path("mixed-path-rules", "Prefix", "/foo", "foo-prefix")
            .path("mixed-path-rules", "Exact", "/foo", "foo-exact")
            .path("trailing-slash-path-rules", "Prefix", "/aaa/bbb/", "aaa-slash-bbb-slash-prefix")
            .path("trailing-slash-path-rules", "Exact", "/foo/", "foo-slash-exact"),
    );
    let edgeward = strict(&site.manifests).start().await;
    assert_rows(&edgeward, PATH_RULES).await;
}

#[tokio::test]
async fn host_rules() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("foo-bar-com").await;
    site.service("wildcard-foo-com").await;
    site.manifests.write("secret.yaml", tls_secret("conformance-tls", &authority.pair("foo.bar.com")));
    site.ingress(
        &conformance("host-rules")
            .tls(&["foo.bar.com"], Some("conformance-tls"))
            .host("*.foo.com", "wildcard-foo-com")
            .host("foo.bar.com", "foo-bar-com"),
    );
    let edgeward = strict(&site.manifests).start().await;
    assert_rows(&edgeward, HOST_RULES).await;

    // "The secure connection must verify the foo.bar.com hostname."
    let hello = Hello::name("foo.bar.com").verify(authority.certificate());
    let mut connection = Connection::open_tls(edgeward.https, &hello).await;
    let answer = connection.exchange(&Request::get("foo.bar.com", "/")).await;
    assert_eq!((answer.status(), answer.backend()), (200, Some("foo-bar-com")));
    let got = site.recording.last().expect("the request arrived");
    assert_eq!(got.header("host"), Some("foo.bar.com"));
}

#[tokio::test]
async fn default_backend() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("echo-service").await;
    site.ingress(&conformance("default-backend").default_backend("echo-service", 80));
    // Without it, `Server` is kept from clients, as under ingress-nginx.
    let options = serde_json::json!({"allow-backend-server-header": "true"});
    site.manifests.write("options.yaml", config_map("default", "options", &options));
    let edgeward = strict(&site.manifests).argument("--configmap=default/options").start().await;
    for (method, host, path) in [
        ("GET", "my-host", "/"),
        ("GET", "my-host", "/sub-path"),
        ("POST", "some-host", "/"),
        // An empty host in the outline: the client writes the address it connects to.
        ("PUT", "127.0.0.1", "/"),
        ("DELETE", "some-host", "/"),
        ("PATCH", "my-host", "/"),
    ] {
        let request = Request::new(method, host, path)
            .header("User-Agent", "conformance")
            .header("X-Echo-Set", "Date: Tue, 15 Nov 1994 08:12:31 GMT");
        let answer = send(edgeward.http, &request).await;
        assert_eq!((answer.status(), answer.backend()), (200, Some("echo-service")), "{method} {host}{path}");
        assert!(answer.start.starts_with("HTTP/1.1 "), "{}", answer.start);
        for name in ["Content-Length", "Content-Type", "Date", "Server"] {
            assert!(answer.header(name).is_some(), "{name} is missing for {method} {host}{path}");
        }
        let got = site.recording.last().expect("the request arrived");
        assert_eq!((got.method.as_str(), got.target.as_str(), got.version.as_str()), (method, path, "HTTP/1.1"));
        assert_eq!((got.header("host"), got.header("user-agent")), (Some(host), Some("conformance")));
    }
}

#[tokio::test]
async fn an_ingress_of_an_unknown_class_is_not_served() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("echo-service").await;
    site.ingress(
        &Ingress::new("foreign")
            .annotation("kubernetes.io/ingress.class", "some-invalid-class-name")
            .host("foreign.test", "echo-service"),
    );
    let edgeward = strict(&site.manifests).start().await;
    assert_eq!(get(edgeward.http, "foreign.test", "/").await.status(), 404);
}

#[tokio::test]
async fn load_balancing_reaches_all_of_ten_endpoints_in_100_requests() {
    let _turn = turn::shared().await;
    let mut backends: Vec<Backend> = Vec::new();
    for index in 0..10 {
        backends.push(Start::default().quiet().start(&format!("echo-{index}")).await);
    }
    let addresses: Vec<_> = backends.iter().map(Backend::addr).collect();
    let manifests = Manifests::new();
    manifests.write(
        "all.yaml",
        join([
            service("echo-service", &addresses),
            conformance("balance").path("load-balancing", "Prefix", "/", "echo-service").text(),
        ]),
    );
    let edgeward = strict(&manifests).start().await;
    let mut answered = BTreeSet::new();
    for _ in 0..100 {
        let answer = get(edgeward.http, "load-balancing", "/").await;
        assert_eq!(answer.status(), 200);
        answered.extend(answer.backend().map(str::to_owned));
    }
    assert_eq!(answered.len(), 10, "{answered:?}");
}
