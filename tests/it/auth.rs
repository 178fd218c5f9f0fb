//! Who a client is: users and passwords, and services that are asked.

use std::time::Duration;

use edgeward_tests::address::pod;
use edgeward_tests::backend::{Persona, Start};
use edgeward_tests::client::{Connection, Request, connect, send, wait_for};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, config_map, secret};
use edgeward_tests::turn;
use hyper::http;
use serde_json::json;

use crate::site::Site;

const HOST: &str = "auth.test";

/// `secret` as the recording has it.
const APR1: &str = "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/";

/// `u:secret` and `u:wrong`.
const RIGHT: &str = "Basic dTpzZWNyZXQ=";
const WRONG: &str = "Basic dTp3cm9uZw==";

fn guarded() -> Ingress {
    Ingress::new("web")
        .annotation("auth-type", "basic")
        .annotation("auth-secret", "users")
        .annotation("auth-realm", "Hello World")
        .host(HOST, "web")
}

fn with(authorization: &str) -> Request {
    Request::get(HOST, "/").header("Authorization", authorization)
}

async fn statuses(edgeward: &Edgeward, requests: &[Request]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(send(edgeward.http, request).await.status());
    }
    statuses
}

#[tokio::test]
async fn a_password_lets_in_and_does_not_reach_the_application() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&guarded());
    site.manifests.write("users.yaml", secret("users", &json!({"auth": format!("u:{APR1}\nb:{{PLAIN}}x\n")})));
    let edgeward = site.launch().access_log("json").start().await;
    let refused = send(edgeward.http, &Request::get(HOST, "/")).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.header_values("www-authenticate"), ["Basic realm=\"Hello World\""]);
    assert!(site.recording.take().is_empty());
    for round in 0..3 {
        let answer = send(edgeward.http, &with(RIGHT)).await;
        assert_eq!((answer.status(), answer.header("www-authenticate")), (200, None), "{round}");
        assert_eq!(site.recording.last().unwrap().header("authorization"), None);
    }
    // A connection that is kept is asked again for each request.
    let mut connection = Connection::open(edgeward.http).await;
    for (authorization, status) in [(RIGHT, 200), (WRONG, 401), (RIGHT, 200), ("Basic Yjp4", 200), ("Basic bjp4", 401)]
    {
        assert_eq!(connection.exchange(&with(authorization)).await.status(), status, "{authorization}");
    }
    let body = Request::post(HOST, "/", "x".repeat(1000)).header("Authorization", WRONG);
    assert_eq!(connection.exchange(&body).await.status(), 401);
    let entry = edgeward.access_log_entry(|entry| entry["reason"] == "unauthorized").await;
    assert_eq!(entry["status"], 401);
    assert!(!entry.to_string().contains("dTp"), "{entry}");
    let mut http2 = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    for (authorization, status) in [(WRONG, 401), (RIGHT, 200)] {
        let request = http::Request::get(format!("http://{HOST}/")).header("authorization", authorization);
        let answer = http2.send(request.body(()).unwrap(), "").await.unwrap();
        assert_eq!(answer.status, status, "{authorization}");
    }
}

#[tokio::test]
async fn a_secret_counts_as_soon_as_it_changes() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&guarded());
    let edgeward = site.serve().await;
    assert_eq!(statuses(&edgeward, &[Request::get(HOST, "/"), with(RIGHT)]).await, [503, 503]);
    let users = |text: &str| site.manifests.write("users.yaml", secret("users", &json!({"auth": text})));
    users(&format!("u:{APR1}"));
    wait_for(edgeward.http, &with(RIGHT), |answer| answer.status() == 200).await;
    users("u:{PLAIN}other");
    wait_for(edgeward.http, &with(RIGHT), |answer| answer.status() == 401).await;
    assert_eq!(statuses(&edgeward, &[with("Basic dTpvdGhlcg==")]).await, [200]);
    users("u:_J9..rasmBYk8r9AiWNc");
    wait_for(edgeward.http, &with(RIGHT), |answer| answer.status() == 503).await;
    users(&format!("u:{APR1}"));
    wait_for(edgeward.http, &with(RIGHT), |answer| answer.status() == 200).await;
    site.manifests.remove("users.yaml");
    wait_for(edgeward.http, &with(RIGHT), |answer| answer.status() == 503).await;
}

/// A site with an authentication service, which answers by path, and an Ingress that asks it.
async fn asked(path: &str, annotations: &[(&str, &str)]) -> (Site, edgeward_tests::backend::Backend) {
    let mut site = Site::new();
    site.service("web").await;
    let service = Start::default().persona(Persona::Auth).recording(&site.recording).start("auth").await;
    let mut ingress = Ingress::new("web").annotation("auth-url", &format!("http://{}{path}", service.addr()));
    for (name, value) in annotations {
        ingress = ingress.annotation(name, value);
    }
    site.ingress(&ingress.host(HOST, "web"));
    (site, service)
}

#[tokio::test]
async fn a_service_lets_in_and_its_headers_replace_those_of_the_client() {
    let _turn = turn::shared().await;
    let (site, service) = asked("/tok?h=$host", &[("auth-response-headers", "X-Auth-User,X_Auth_Groups")]).await;
    let edgeward = site.serve().await;
    let forged = Request::post(HOST, "/a?b=c", "hello")
        .header("X-Auth-User", "root")
        .header("X-Auth-Groups", "root")
        .header("X-Original-URL", "http://elsewhere/")
        .header("X-Original-URI", "/elsewhere")
        .header("Cookie", "sess=good");
    let answer = send(edgeward.http, &forged).await;
    assert_eq!((answer.status(), answer.header("set-cookie")), (200, Some("authck=1; Path=/")));
    let [asked, got] = &site.recording.take()[..] else { panic!("two requests") };
    assert_eq!(
        (asked.backend.as_str(), asked.method.as_str(), asked.target.as_str()),
        ("auth", "GET", "/tok?h=auth.test")
    );
    assert_eq!(asked.body_length, 0);
    for (name, value) in [
        ("host", "127.0.0.1"),
        ("x-original-url", "http://auth.test/a?b=c"),
        ("x-original-method", "POST"),
        ("x-auth-request-redirect", "/a?b=c"),
        ("cookie", "sess=good"),
    ] {
        let expected = if name == "host" { service.addr().ip().to_string() } else { value.to_owned() };
        assert_eq!(asked.header(name), Some(expected.as_str()), "{name}");
    }
    assert_eq!((asked.header("content-length"), asked.header("x-original-uri")), (None, None));
    assert_eq!(got.header("x-auth-user"), Some("alice"));
    assert_eq!((got.header("x_auth_groups"), got.header("x-auth-groups")), (Some("dev,ops"), None));
    let refused = send(edgeward.http, &Request::get(HOST, "/")).await;
    assert_eq!((refused.status(), refused.header("set-cookie")), (401, None));
    assert_eq!(refused.header_values("www-authenticate"), ["Bearer realm=\"authsvc\""]);
    service.kill();
    assert_eq!(statuses(&edgeward, &[forged]).await, [500]);
}

#[tokio::test]
async fn whatever_is_no_yes_is_a_no() {
    let _turn = turn::shared().await;
    for (path, status) in [("/deny", 401), ("/forbid", 403), ("/err", 500), ("/redir", 500), ("/none", 200)] {
        let (site, _service) = asked(path, &[("auth-always-set-cookie", "true")]).await;
        let edgeward = site.serve().await;
        let answer = send(edgeward.http, &Request::get(HOST, "/")).await;
        assert_eq!((answer.status(), answer.header("set-cookie")), (status, Some("authck=1; Path=/")), "{path}");
    }
    let site = Site::with_host("open.test", "web").await;
    for (name, url) in [("gone", format!("http://{}/", pod())), ("nowhere", "http://no-such-name.invalid/".to_owned())]
    {
        let host = format!("{name}.test");
        site.ingress(&Ingress::new(name).annotation("auth-url", &url).host(&host, "web"));
    }
    let silent = tokio::net::TcpListener::bind(pod()).await.unwrap();
    site.ingress(
        &Ingress::new("silent")
            .annotation("auth-url", &format!("http://{}/", silent.local_addr().unwrap()))
            .annotation("proxy-read-timeout", "1")
            .annotation("proxy-connect-timeout", "1")
            .host("silent.test", "web"),
    );
    let edgeward = site.serve().await;
    for host in ["gone.test", "nowhere.test", "silent.test"] {
        let answer = tokio::time::timeout(Duration::from_secs(10), send(edgeward.http, &Request::get(host, "/"))).await;
        assert_eq!(answer.unwrap().status(), 500, "{host}");
    }
    assert!(site.recording.take().is_empty());
}

#[tokio::test]
async fn a_client_without_a_password_is_sent_to_sign_in_too() {
    let _turn = turn::shared().await;
    let (site, service) = asked("/deny", &[]).await;
    site.ingress(
        &guarded()
            .annotation("auth-url", &format!("http://{}/deny", service.addr()))
            .annotation("auth-signin", "/start?x=$arg_x")
            .annotation("auth-signin-redirect-param", "back"),
    );
    site.manifests.write("users.yaml", secret("users", &json!({"auth": format!("u:{APR1}")})));
    let edgeward = site.serve().await;
    for (request, asked) in [(Request::get(HOST, "/p?x=1&y=a b"), 0), (with(RIGHT), 1)] {
        let answer = send(edgeward.http, &request).await;
        if asked == 0 && answer.status() == 400 {
            continue;
        }
        assert_eq!(answer.status(), 302);
        assert!(answer.header("location").unwrap().starts_with("http://auth.test/start?x="), "{answer:?}");
        assert_eq!(site.recording.take().len(), asked);
    }
    let answer = send(edgeward.http, &Request::get(HOST, "/p?x=1&y=%20")).await;
    let location = "http://auth.test/start?x=1&back=http://auth.test%2Fp%3Fx%3D1%26y%3D%2520";
    assert_eq!(answer.header("location"), Some(location));
}

#[tokio::test]
async fn the_way_back_from_a_sign_in_page_is_escaped_once() {
    let _turn = turn::shared().await;
    let (site, _service) = asked("/deny", &[("auth-signin", "https://login.test/")]).await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    // Characters stand for bytes.
    for (target, back) in [
        ("/\u{ff}%20?\"<", "%2F%FF%2520%3F%22%3C"),
        ("/%FF%20?%22%3C", "%2F%25FF%2520%3F%2522%253C"),
        ("/\u{c3}\u{a9}", "%2F%C3%A9"),
        ("/\u{ff}#fragment", "%2F%FF"),
        (&*format!("http://{HOST}/\u{ff}\""), "%2F%FF%22"),
    ] {
        let answer = connection.exchange(&Request::get(HOST, target)).await;
        let location = format!("https://login.test/?rd=http://{HOST}{back}");
        assert_eq!((answer.status(), answer.header("location")), (302, Some(&*location)), "{target}");
    }
    let asked = site.recording.take();
    assert!(asked.iter().all(|asked| asked.headers.iter().all(|(_, value)| !value.contains('\u{ff}'))), "{asked:?}");
}

#[tokio::test]
async fn answers_are_kept_by_their_key_unless_they_set_a_cookie() {
    let _turn = turn::shared().await;
    for (path, asked_for) in [("/tok-plain", 2), ("/tok", 5)] {
        let annotations = [("auth-cache-key", "$http_authorization"), ("auth-response-headers", "X-Auth-User")];
        let (site, _service) = asked(path, &annotations).await;
        let edgeward = site.serve().await;
        let requests: Vec<_> =
            ["Bearer good", "Bearer good", "Bearer bad", "Bearer good", "Bearer bad"].map(with).into_iter().collect();
        assert_eq!(statuses(&edgeward, &requests).await, [200, 200, 401, 200, 401]);
        let (asked, got): (Vec<_>, Vec<_>) = site.recording.take().into_iter().partition(|got| got.backend == "auth");
        assert_eq!(asked.len(), asked_for, "{path}");
        assert!(got.iter().all(|got| got.header("x-auth-user") == Some("alice")));
    }
}

#[tokio::test]
async fn one_service_is_asked_for_all_unless_an_ingress_says_no() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let service = Start::default().persona(Persona::Auth).recording(&site.recording).start("auth").await;
    let url = format!("http://{}", service.addr());
    let options = |url: &str| {
        let data = json!({"global-auth-url": url, "global-auth-response-headers": "X-Auth-User"});
        site.manifests.write("options.yaml", config_map("edgeward", "options", &data));
    };
    options(&format!("{url}/tok"));
    site.ingress(&Ingress::new("web").path(HOST, "Prefix", "/", "web").path(
        HOST,
        "Prefix",
        "/.well-known/acme-challenge",
        "web",
    ));
    site.ingress(&Ingress::new("open").annotation("enable-global-auth", "false").host("open.test", "web"));
    site.ingress(&Ingress::new("own").annotation("auth-url", &format!("{url}/forbid")).host("own.test", "web"));
    let edgeward = site.launch().argument("--configmap=edgeward/options").start().await;
    let of = |host: &str, path: &str| Request::get(host, path).header("X-Auth-User", "root");
    let requests = [
        of(HOST, "/"),
        of("open.test", "/"),
        of("own.test", "/"),
        of(HOST, "/.well-known/acme-challenge/x"),
        of("none.test", "/"),
    ];
    assert_eq!(statuses(&edgeward, &requests).await, [401, 200, 403, 200, 404]);
    site.recording.take();
    assert_eq!(statuses(&edgeward, &[with("Bearer good").header("X-Auth-User", "root")]).await, [200]);
    assert_eq!(site.recording.last().unwrap().header("x-auth-user"), Some("alice"));
    options("nowhere");
    wait_for(edgeward.http, &of("open.test", "/"), |answer| answer.status() == 503).await;
}

#[tokio::test]
async fn a_service_that_is_asked_has_lines_in_the_access_log_where_that_is_asked_for() {
    let _turn = turn::shared().await;
    let annotations = [("auth-cache-key", "$http_authorization"), ("auth-response-headers", "X-Auth-User")];
    let (site, service) = asked("/tok-plain", &annotations).await;
    let options = json!({"enable-auth-access-log": "true", "skip-access-log-urls": "/skipped"});
    site.manifests.write("options.yaml", config_map("edgeward", "options", &options));
    let edgeward = site.launch().argument("--configmap=edgeward/options").access_log("json").start().await;
    for (path, token, status) in [
        ("/asked?a=b", "Bearer good", 200),
        ("/skipped", "Bearer good", 200),
        ("/known", "Bearer good", 200),
        ("/refused", "Bearer bad", 401),
        ("/unanswered", "Bearer other", 500),
    ] {
        if status == 500 {
            service.kill();
        }
        let request = Request::get(HOST, path).header("Authorization", token);
        assert_eq!(send(edgeward.http, &request).await.status(), status, "{path}");
        if path != "/skipped" {
            // Its own line comes behind the other one.
            edgeward.access_log_entry(|entry| entry["request_uri"] == path && entry["request_length"] != 0).await;
        }
    }
    let log = edgeward.access_log();
    let lines: Vec<_> =
        log.iter().map(|line| (&line["request_uri"], &line["status"], &line["upstream_status"])).collect();
    let expected = json!([
        ["/asked?a=b", 200, "200"],
        ["/asked?a=b", 200, "200"],
        ["/known", 200, ""],
        ["/known", 200, "200"],
        ["/refused", 401, "401"],
        ["/refused", 401, ""],
        ["/unanswered", 502, ""],
        ["/unanswered", 500, ""],
    ]);
    assert_eq!(json!(lines), expected, "{log:#?}");
    let [subrequest, request, ..] = &log[..] else { panic!("{log:?}") };
    assert_eq!(subrequest["upstream_addr"], service.addr().to_string());
    for field in ["request", "req_id", "remote_addr", "host", "proxy_upstream_name", "ingress"] {
        assert_eq!(subrequest[field], request[field], "{field}");
    }
    assert_eq!((&subrequest["request_length"], &subrequest["body_bytes_sent"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn headers_for_a_service_follow_their_config_map() {
    let _turn = turn::shared().await;
    let (site, _service) = asked("/ok", &[("auth-proxy-set-headers", "default/headers")]).await;
    let edgeward = site.serve().await;
    let request = Request::get(HOST, "/");
    assert_eq!(statuses(&edgeward, std::slice::from_ref(&request)).await, [503]);
    site.manifests.write("headers.yaml", config_map("default", "headers", &json!({"X-Key": "k-$request_method"})));
    wait_for(edgeward.http, &request, |answer| answer.status() == 200).await;
    let asked = site.recording.take().into_iter().find(|got| got.backend == "auth").unwrap();
    assert_eq!(asked.header("x-key"), Some("k-GET"));
    site.manifests.write("headers.yaml", config_map("default", "headers", &json!({"X-Key": "$nosuchvar"})));
    wait_for(edgeward.http, &request, |answer| answer.status() == 503).await;
}

/// Where one guard is enough, the service is not asked about every request; what it alone may say is said by nobody then.
#[tokio::test]
async fn a_client_says_nothing_in_the_name_of_a_service() {
    let _turn = turn::shared().await;
    let (mut site, _service) = asked(
        "/tok",
        &[
            ("satisfy", "any"),
            ("whitelist-source-range", "127.0.0.0/8"),
            ("auth-response-headers", "X-Auth-User,X_Auth_Groups,X-Real-IP"),
            ("custom-http-errors", "404"),
            ("default-backend", "errs"),
        ],
    )
    .await;
    site.service_as("errs", Start::default().persona(Persona::Errors)).await;
    site.manifests.write("users.yaml", secret("users", &json!({"auth": format!("u:{APR1}")})));
    let edgeward = site.serve().await;
    let forged = Request::get(HOST, "/")
        .header("X-Auth-User", "root")
        .header("x-auth-groups", "root")
        .header("X_Auth_Groups", "root")
        .header("X-Real-IP", "1.2.3.4");
    assert_eq!(statuses(&edgeward, &[forged.clone(), forged.header("X-Echo-Status", "404")]).await, [200, 404]);
    let received = site.recording.take();
    assert_eq!(received.iter().map(|got| &*got.backend).collect::<Vec<_>>(), ["web", "web", "errs"]);
    for got in &received {
        for name in ["x-auth-user", "x-auth-groups", "x_auth_groups"] {
            assert_eq!(got.header(name), None, "{name} at {}", got.backend);
        }
    }
    assert_eq!(received[0].header("x-real-ip"), Some("127.0.0.1"), "what the proxy says itself is not the client's");
}

#[tokio::test]
async fn what_a_service_says_is_said_once() {
    let _turn = turn::shared().await;
    let (site, _service) = asked("/ok", &[("auth-response-headers", "X-Auth-User")]).await;
    let options = json!({"proxy-set-headers": "ops/upstream"});
    site.manifests.write("options.yaml", config_map("ops", "options", &options));
    site.manifests.write("upstream.yaml", config_map("ops", "upstream", &json!({"X-Auth-User": "$http_x_auth_user"})));
    let edgeward = site.launch().argument("--configmap=ops/options").start().await;
    let forged = Request::get(HOST, "/").header("X-Auth-User", "root");
    assert_eq!(statuses(&edgeward, &[forged]).await, [200]);
    let got = site.recording.last().unwrap();
    let said = got.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-auth-user"));
    assert_eq!(said.map(|(_, value)| &**value).collect::<Vec<_>>(), ["alice"]);
}

/// nginx `satisfy any`: each of the guards lets in by itself.
#[tokio::test]
async fn a_password_or_a_service_is_enough_where_one_guard_is() {
    let _turn = turn::shared().await;
    let (site, service) = asked("/tok", &[]).await;
    let both = |name: &str, path: &str| {
        let url = format!("http://{}{path}", service.addr());
        let basic = Ingress::new(name).annotation("auth-type", "basic").annotation("auth-secret", "users");
        basic.annotation("auth-url", &url).annotation("auth-response-headers", "X-Auth-User")
    };
    for (name, path) in [("any", "/tok"), ("forbid", "/forbid"), ("broken", "/err")] {
        site.ingress(&both(name, path).annotation("satisfy", "any").host(&format!("{name}.test"), "web"));
    }
    site.ingress(&both("all", "/tok").host("all.test", "web"));
    site.manifests.write("users.yaml", secret("users", &json!({"auth": format!("u:{APR1}")})));
    let edgeward = site.serve().await;
    let of = |host: &str, password: Option<&str>, cookie: Option<&str>| {
        let request = Request::get(host, "/").header("X-Auth-User", "root");
        let request = password.into_iter().fold(request, |request, value| request.header("Authorization", value));
        cookie.into_iter().fold(request, |request, value| request.header("Cookie", value))
    };
    let (known, good) = (Some(RIGHT), Some("sess=good"));
    for (request, status, user) in [
        (of("any.test", known, None), 200, None),
        (of("any.test", known, good), 200, None),
        (of("any.test", None, good), 200, Some("alice")),
        (of("any.test", Some(WRONG), good), 200, Some("alice")),
        (of("any.test", Some(WRONG), None), 401, None),
        (of("any.test", None, None), 401, None),
        (of("forbid.test", known, None), 200, None),
        (of("forbid.test", None, None), 401, None),
        (of("broken.test", known, None), 200, None),
        (of("broken.test", None, None), 500, None),
        (of("all.test", known, None), 401, None),
        (of("all.test", None, good), 401, None),
        (of("all.test", known, good), 200, Some("alice")),
    ] {
        site.recording.take();
        let answer = send(edgeward.http, &request).await;
        assert_eq!(answer.status(), status, "{request:?}");
        if let Some(got) = site.recording.take().into_iter().find(|got| got.backend == "web") {
            assert_eq!((status, got.header("x-auth-user"), got.header("authorization")), (200, user, None));
        }
    }
    let refused = send(edgeward.http, &of("any.test", None, None)).await;
    let challenges = refused.header_values("www-authenticate");
    assert!(challenges.iter().any(|challenge| challenge.starts_with("Basic")), "{challenges:?}");
    assert!(challenges.iter().any(|challenge| challenge.starts_with("Bearer")), "{challenges:?}");
}
