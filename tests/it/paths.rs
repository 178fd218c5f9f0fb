//! Paths that are regular expressions, rewrites, and other names of hosts.

use edgeward_tests::backend::Received;
use edgeward_tests::client::{Connection, Request, connect, get, wait_for};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::Ingress;
use edgeward_tests::turn;
use edgeward_tests::websocket::WebSocket;

use crate::site::Site;

const HOST: &str = "paths.test";

/// A site with `web` and `api`, each an Ingress with a path of the host, of which the first has these annotations.
async fn site(annotations: &[(&str, &str)], path: &str) -> Site {
    let mut site = Site::new();
    site.service("web").await;
    site.service("api").await;
    let first = Ingress::new("first").path(HOST, "ImplementationSpecific", path, "web");
    site.ingress(&annotations.iter().fold(first, |ingress, (name, value)| ingress.annotation(name, value)));
    site.ingress(&Ingress::new("second").path(HOST, "Prefix", "/plain", "api"));
    site
}

/// What an endpoint got of a request that is answered with 200.
async fn received(site: &Site, edgeward: &Edgeward, target: &str) -> Received {
    let answer = get(edgeward.http, HOST, target).await;
    assert_eq!(answer.status(), 200, "{target}: {answer:?}");
    site.recording.last().unwrap()
}

#[tokio::test]
async fn one_ingress_that_asks_makes_patterns_of_all_paths_of_its_host() {
    let _turn = turn::shared().await;
    let site = site(&[("use-regex", "true")], "/foo/[a-z]+$").await;
    let edgeward = site.serve().await;
    for (target, backend) in [
        ("/foo/abc", Some("web")),
        ("/FOO/%41bc", Some("web")),
        ("/foo/abc1", None),
        ("/plain", Some("api")),
        ("/PLAINtext", Some("api")),
        ("/x/plain", None),
    ] {
        let answer = get(edgeward.http, HOST, target).await;
        assert_eq!(answer.header("x-backend"), backend, "{target}");
        assert_eq!(answer.status(), if backend.is_some() { 200 } else { 404 }, "{target}");
    }
    // Without it they are plain again.
    site.ingress(&Ingress::new("first").path(HOST, "Prefix", "/foo", "web"));
    wait_for(edgeward.http, &Request::get(HOST, "/PLAINtext"), |answer| answer.status() == 404).await;
}

#[tokio::test]
async fn a_rewritten_target_goes_upstream_and_nothing_else_changes() {
    let _turn = turn::shared().await;
    let annotations = [("rewrite-target", "/$2"), ("x-forwarded-prefix", "/pre")];
    let site = site(&annotations, "/foo(/|$)(.*)").await;
    let edgeward = site.launch().access_log("json").start().await;
    for (target, expected) in [
        ("/foo/a/b?x=1&y=%20", "/a/b?x=1&y=%20"),
        ("/foo", "/"),
        ("/FOO/a%2Fb//c%20d%3F", "/a/b/c%20d%3F"),
        ("/foo/%7Bx%7D", "/%7Bx%7D"),
    ] {
        let got = received(&site, &edgeward, target).await;
        assert_eq!((got.target.as_str(), got.header("x-forwarded-prefix")), (expected, Some("/pre")), "{target}");
    }
    let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == "/foo/a/b?x=1&y=%20").await;
    assert_eq!(entry["status"], 200, "{entry}");
    let got = received(&site, &edgeward, "/plain/x").await;
    assert_eq!((got.target.as_str(), got.header("x-forwarded-prefix")), ("/plain/x", None));
}

#[tokio::test]
async fn a_body_a_stream_of_http_2_and_a_websocket_are_rewritten_too() {
    let _turn = turn::shared().await;
    let site = site(&[("rewrite-target", "/$1")], "/app/(.*)").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    for number in 0..3 {
        let answer = connection.exchange(&Request::post(HOST, &format!("/app/{number}"), "body")).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(site.recording.last().unwrap().target, format!("/{number}"));
    }
    let mut client = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let answer = client.get(&format!("http://{HOST}/app/h2?q")).await;
    assert_eq!((answer.status.as_u16(), answer.json()["path"].as_str()), (200, Some("/h2?q")));
    let mut socket = WebSocket::open(edgeward.http, HOST, "/app/ws").await.unwrap();
    socket.echo("hello").await.unwrap();
    assert_eq!(site.recording.last().unwrap().target, "/ws");
}

#[tokio::test]
async fn a_rewrite_leads_nowhere_that_was_not_asked_for() {
    let _turn = turn::shared().await;
    let site = site(&[("rewrite-target", "/files/$1")], "/app(.*)").await;
    let edgeward = site.serve().await;
    for target in ["/app../secret", "/app..//secret", "/app%2e%2e/secret", "/app./x", "/app.."] {
        let answer = get(edgeward.http, HOST, target).await;
        assert_eq!(answer.status(), 400, "{target}");
    }
    assert!(site.recording.take().is_empty(), "an endpoint was asked");
    assert_eq!(received(&site, &edgeward, "/app/x%0D%0AX-Evil:1").await.target, "/files//x%0D");
}

#[tokio::test]
async fn an_absolute_target_is_a_redirect_and_a_relative_one_goes_on_as_it_is() {
    let _turn = turn::shared().await;
    let site = site(&[("rewrite-target", "https://other.test/$1")], "/away/(.*)").await;
    site.ingress(&Ingress::new("third").annotation("rewrite-target", "bar").path(HOST, "Prefix", "/relative", "web"));
    let edgeward = site.serve().await;
    let answer = get(edgeward.http, HOST, "/away/a?x=1").await;
    assert_eq!((answer.status(), answer.header("location")), (302, Some("https://other.test/a?x=1")));
    assert_eq!(received(&site, &edgeward, "/relative/x").await.target, "bar");
}

#[tokio::test]
async fn a_path_that_is_no_pattern_is_left_out_alone() {
    let _turn = turn::shared().await;
    let site = site(&[("use-regex", "true")], "/(?!plain).*").await;
    let edgeward = site.serve().await;
    assert_eq!(get(edgeward.http, HOST, "/other").await.status(), 404);
    assert_eq!(get(edgeward.http, HOST, "/plain").await.header("x-backend"), Some("api"));
    assert!(edgeward.diagnostics().await.text().contains("InvalidPattern"));
    // What it guards is not left to others.
    site.ingress(&Ingress::new("first").annotation("use-regex", "true").annotation("auth-url", "auth.test").path(
        HOST,
        "ImplementationSpecific",
        "/(?!public).*",
        "web",
    ));
    wait_for(edgeward.http, &Request::get(HOST, "/plain"), |answer| answer.status() == 503).await;
}

#[tokio::test]
async fn other_names_of_a_host_are_served_like_it() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    for name in ["web", "api"] {
        site.service(name).await;
    }
    let names = "alias.test,api.test,*.wild.test,front.*,~^r[0-9]+\\.test$";
    site.ingress(&Ingress::new("web").annotation("server-alias", names).host(HOST, "web"));
    site.ingress(&Ingress::new("api").host("api.test", "api"));
    let edgeward = site.serve().await;
    for (host, backend) in [
        ("alias.test", Some("web")),
        ("ALIAS.test", Some("web")),
        ("api.test", Some("api")),
        ("a.wild.test", Some("web")),
        ("a.b.wild.test", Some("web")),
        ("wild.test", None),
        ("front.any.test", Some("web")),
        ("r12.test", Some("web")),
        ("rx.test", None),
    ] {
        let answer = get(edgeward.http, host, "/").await;
        assert_eq!(answer.header("x-backend"), backend, "{host}");
    }
    // A name that gets an Ingress of its own is no alias any more, and becomes one again.
    site.ingress(&Ingress::new("late").host("alias.test", "api"));
    let asks = Request::get("alias.test", "/");
    wait_for(edgeward.http, &asks, |answer| answer.header("x-backend") == Some("api")).await;
    site.manifests.remove("ingress-late.yaml");
    wait_for(edgeward.http, &asks, |answer| answer.header("x-backend") == Some("web")).await;
}
