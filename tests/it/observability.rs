//! What an operator sees: the access log, metrics, health and administration pages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::address::pod;
use edgeward_tests::certificate::Authority;
use edgeward_tests::client::{Connection, Keeper, Request, connect, get, send};
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, service, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use tokio::time::sleep;

use crate::site::Site;

const HOST: &str = "seen.test";

/// What a word of a line must be.
type Holds<'a> = &'a dyn Fn(&str) -> bool;

/// The first line of the access log that contains a text.
async fn line(edgeward: &Edgeward, wanted: &str) -> String {
    let started = Instant::now();
    loop {
        if let Some(line) = edgeward.output().lines().find(|line| line.contains(wanted)) {
            return line.to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "no line with {wanted}: {}", edgeward.output());
        sleep(Duration::from_millis(5)).await;
    }
}

/// Splits a line at spaces outside of quotes and brackets.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut until) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (c, until) {
            (' ', None) => words.push(std::mem::take(&mut word)),
            (c, Some(end)) if c == end => {
                until = None;
                word.push(c);
            }
            ('"', None) => {
                until = Some('"');
                word.push(c);
            }
            ('[', None) => {
                until = Some(']');
                word.push(c);
            }
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words
}

#[tokio::test]
async fn the_access_log_is_written_as_ingress_nginx_writes_it() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().access_log("nginx").start().await;
    let request = Request::post(HOST, "/path?q=1", "12345")
        .header("User-Agent", "a \"quoted\" agent")
        .header("Referer", "http://from.test/")
        .header("X-Request-ID", "0123456789abcdef0123456789abcdef")
        .header("Authorization", "Basic YWxpY2U6c2VjcmV0")
        .header("X-Echo-Body", "hello");
    assert_eq!(send(edgeward.http, &request).await.status(), 200);
    let logged = line(&edgeward, "/path").await;
    let words = words(&logged);
    let expected: [(&str, Holds<'_>); 18] = [
        ("$remote_addr", &|word| word == "127.0.0.1"),
        ("-", &|word| word == "-"),
        ("$remote_user", &|word| word == "alice"),
        ("[$time_local]", &|word| word.starts_with('[') && word.contains('/') && word.ends_with(']')),
        ("\"$request\"", &|word| word == "\"POST /path?q=1 HTTP/1.1\""),
        ("$status", &|word| word == "200"),
        ("$body_bytes_sent", &|word| word == "5"),
        ("\"$http_referer\"", &|word| word == "\"http://from.test/\""),
        ("\"$http_user_agent\"", &|word| word == "\"a \\x22quoted\\x22 agent\""),
        ("$request_length", &|word| word.parse::<usize>().is_ok_and(|length| length > request.head().len())),
        ("$request_time", &|word| word.parse::<f64>().is_ok_and(|seconds| seconds < 5.0)),
        ("[$proxy_upstream_name]", &|word| word == "[default-web-80]"),
        ("[$proxy_alternative_upstream_name]", &|word| word == "[]"),
        ("$upstream_addr", &|word| word.starts_with("127.") && word.ends_with(":8080")),
        ("$upstream_response_length", &|word| word == "5"),
        ("$upstream_response_time", &|word| word.parse::<f64>().is_ok()),
        ("$upstream_status", &|word| word == "200"),
        ("$req_id", &|word| word == "0123456789abcdef0123456789abcdef"),
    ];
    let wrong: Vec<_> = expected
        .iter()
        .zip(&words)
        .filter(|((_, holds), word)| !holds(word))
        .map(|((name, _), word)| format!("{name} is {word}"))
        .collect();
    assert!(wrong.is_empty() && words.len() == 18, "{wrong:?} in {logged}");

    // What the proxy answers itself has no upstream.
    get(edgeward.http, "nowhere.test", "/own-answer").await;
    let own = line(&edgeward, "/own-answer").await;
    assert!(own.contains(" 404 ") && own.contains(" [-] [] - - - - "), "{own}");
}

#[tokio::test]
async fn a_try_at_a_dead_endpoint_stands_in_the_access_log() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let dead = pod();
    site.manifests.write("dead.yaml", service("dead", &[dead]));
    site.ingress(&Ingress::new("dead").host("dead.test", "dead"));
    let edgeward = site.serve().await;
    assert_eq!(get(edgeward.http, "dead.test", "/tried").await.status(), 502);
    let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == "/tried").await;
    let tried = entry["upstream_addr"].as_str().unwrap();
    assert!(tried.split(", ").all(|addr| addr == dead.to_string()), "{entry}");
    let statuses = entry["upstream_status"].as_str().unwrap();
    assert_eq!(statuses.split(", ").count(), tried.split(", ").count(), "{entry}");
    assert!(statuses.split(", ").all(|status| status == "502"), "{entry}");
}

#[tokio::test]
async fn the_access_log_as_json_tells_everything_of_a_request() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let site = Site::with_host(HOST, "web").await;
    site.manifests.write("tls.yaml", tls_secret("tls", &authority.pair(HOST)));
    let edgeward = site.serve().await;
    let mut connection = Connection::open_tls(edgeward.https, &Hello::name(HOST)).await;
    connection.exchange(&Request::get(HOST, "/json?a=\\b").header("User-Agent", "tab\tand \"quotes\"")).await;
    let entry = edgeward.access_log_entry(|entry| entry["scheme"] == "https").await;
    let expected = [
        ("remote_addr", "127.0.0.1"),
        ("request_method", "GET"),
        ("request_uri", "/json?a=\\b"),
        ("host", HOST),
        ("server_protocol", "HTTP/1.1"),
        ("http_user_agent", "tab\tand \"quotes\""),
        ("proxy_upstream_name", "default-web-80"),
        ("upstream_status", "200"),
        ("reason", ""),
        ("client_ip_source", "peer"),
        ("tls_version", "TLSv1.3"),
        ("namespace", "default"),
        ("ingress", "web"),
        ("service", "web"),
    ];
    for (key, value) in expected {
        assert_eq!(entry[key], value, "{key} in {entry}");
    }
    for key in ["status", "body_bytes_sent", "request_length", "request_time"] {
        assert!(entry[key].is_number(), "{key} in {entry}");
    }
    assert_eq!(entry["req_id"].as_str().map(str::len), Some(32), "{entry}");
    let time = entry["time_iso8601"].as_str().unwrap();
    assert!(time.len() == 25 && time.as_bytes()[10] == b'T', "{time}");
}

#[tokio::test]
async fn the_access_log_has_a_format_of_ones_own() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().access_log("$status|$host|$arg_q|${upstream_status}|$edgeward_reason").start().await;
    get(edgeward.http, HOST, "/?q=mine").await;
    get(edgeward.http, "nowhere.test", "/?q=other").await;
    assert_eq!(line(&edgeward, "mine").await, format!("200|{HOST}|mine|200|-"));
    assert_eq!(line(&edgeward, "other").await, "404|nowhere.test|other|-|no_host");
}

#[tokio::test]
async fn a_log_that_nobody_reads_blocks_no_request() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().output_unread().start().await;
    let mut client = Keeper::new(edgeward.http);
    let started = Instant::now();
    let long = "x".repeat(4000);
    // 16 MB of log: more than the pipe and any buffer that is worth having.
    for number in 0..4000 {
        let answer = client.exchange(&Request::get(HOST, &format!("/{number}/{long}"))).await;
        assert_eq!(answer.status(), 200);
    }
    assert!(started.elapsed() < PATIENCE, "4,000 requests took {:?}", started.elapsed());
    let metrics = edgeward.health("/metrics").await.unwrap().text();
    let lost: Vec<_> = metrics.lines().filter(|line| line.contains("access_log") && !line.starts_with('#')).collect();
    eprintln!("nobody reads the log: 4,000 requests in {:?}, {lost:?}", started.elapsed());
    assert!(
        lost.iter()
            .any(|line| line.rsplit(' ').next().is_some_and(|count| count.parse::<f64>().is_ok_and(|n| n > 0.0))),
        "no metric says that lines of the access log were dropped: {lost:?}"
    );
}

/// Samples by name, each with its labels and value.
type Samples = BTreeMap<String, Vec<(String, f64)>>;

async fn metrics(edgeward: &Edgeward) -> Samples {
    let text = edgeward.health("/metrics").await.expect("metrics").text();
    let mut samples = Samples::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let value = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
        samples.entry(name.to_owned()).or_default().push((labels.trim_end_matches('}').to_owned(), value));
    }
    samples
}

#[tokio::test]
async fn metrics_have_the_names_and_labels_that_dashboards_ask_for() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("web").await;
    site.manifests.write("tls.yaml", tls_secret("tls", &authority.pair(HOST)));
    site.ingress(
        &Ingress::new("web")
            .annotation("ssl-redirect", "false")
            .tls(&[HOST], Some("tls"))
            .path(HOST, "Prefix", "/app", "web"),
    );
    site.ingress(&Ingress::new("orphan").host("orphan.test", "nowhere"));
    let edgeward = site.serve().await;
    for path in ["/app", "/app/a", "/app/b?c"] {
        get(edgeward.http, HOST, path).await;
    }
    send(edgeward.http, &Request::post(HOST, "/app", "x").header("X-Echo-Status", "503")).await;
    get(edgeward.http, "made-up-by-a-client.test", "/").await;

    let all = metrics(&edgeward).await;
    let name = |short: &str| format!("nginx_ingress_controller_{short}");
    // What the two dashboards of ingress-nginx ask for, and what else conventions name.
    let wanted = [
        "requests",
        "request_duration_seconds_bucket",
        "request_duration_seconds_count",
        "request_duration_seconds_sum",
        "response_duration_seconds_bucket",
        "response_duration_seconds_sum",
        "request_size_sum",
        "response_size_sum",
        "response_size_count",
        "response_size_bucket",
        "nginx_process_connections",
        "nginx_process_connections_total",
        "nginx_process_requests_total",
        "nginx_process_resident_memory_bytes",
        "nginx_process_virtual_memory_bytes",
        "nginx_process_cpu_seconds_total",
        "nginx_process_num_procs",
        "nginx_process_oldest_start_time_seconds",
        "success",
        "errors",
        "config_last_reload_successful",
        "config_last_reload_successful_timestamp_seconds",
        "config_hash",
        "ssl_expire_time_seconds",
        "orphan_ingress",
        "build_info",
    ];
    let missing: Vec<_> = wanted.iter().filter(|short| !all.contains_key(&name(short))).collect();
    assert!(missing.is_empty(), "{missing:?} of {:?}", all.keys().collect::<Vec<_>>());

    let requests = &all[&name("requests")];
    let count = |labels: &[&str]| -> f64 {
        requests
            .iter()
            .filter(|(text, _)| labels.iter().all(|label| text.contains(label)))
            .map(|(_, value)| value)
            .sum()
    };
    let route = [
        "controller_class=\"",
        "controller_namespace=\"",
        "controller_pod=\"",
        "host=\"seen.test\"",
        "ingress=\"web\"",
        "namespace=\"default\"",
        "path=\"/app\"",
        "service=\"web\"",
        "canary=\"\"",
    ];
    assert!((count(&[&route[..], &["method=\"GET\"", "status=\"200\""]].concat()) - 3.0).abs() < 0.1, "{requests:?}");
    assert!((count(&[&route[..], &["method=\"POST\"", "status=\"503\""]].concat()) - 1.0).abs() < 0.1, "{requests:?}");
    let text = format!("{all:?}");
    assert!(!text.contains("made-up-by-a-client"), "a client can add series with hosts of its own");
    let labels = |short: &str| all[&name(short)].iter().map(|(labels, _)| labels.clone()).collect::<BTreeSet<_>>();
    assert!(labels("ssl_expire_time_seconds").iter().any(|labels| labels.contains("host=\"seen.test\"")));
    assert!(labels("orphan_ingress").iter().any(|labels| labels.contains("no-service") && labels.contains("orphan")));
    assert!(labels("nginx_process_connections").iter().any(|labels| labels.contains("state=\"active\"")));

    // A hash that changes with the configuration, and a route that takes its series with it.
    let hash = all[&name("config_hash")][0].1;
    site.manifests.remove("ingress-web.yaml");
    edgeward_tests::client::wait_for(edgeward.http, &Request::get(HOST, "/app"), |answer| answer.status() == 404).await;
    let started = Instant::now();
    loop {
        let after = metrics(&edgeward).await;
        assert!((after[&name("config_hash")][0].1 - hash).abs() > 0.0, "the hash of the configuration stays the same");
        let stays = after
            .get(&name("requests"))
            .is_some_and(|samples| samples.iter().any(|(labels, _)| labels.contains("ingress=\"web\"")));
        if !stays {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the series of a route outlive it");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn health_pages_tell_liveness_and_readiness_apart() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    assert_eq!(edgeward.health("/healthz").await.unwrap().status(), 200);
    let ready = edgeward.health("/readyz").await.unwrap();
    assert_eq!((ready.status(), &ready.json()["ready"], &ready.json()["draining"]), (200, &true.into(), &false.into()));
    assert_eq!(edgeward.health("/nothing").await.unwrap().status(), 404);
    // Hosts without rules answer it too, as load balancers ask for it on the traffic port.
    assert_eq!(get(edgeward.http, "nowhere.test", "/healthz").await.status(), 200);
}

#[tokio::test]
async fn administration_pages_show_the_state_and_no_key() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let pair = authority.pair(HOST);
    let mut site = Site::new();
    site.service("web").await;
    site.manifests.write("tls.yaml", tls_secret("tls", &pair));
    site.ingress(&Ingress::new("web").tls(&[HOST], Some("tls")).host(HOST, "web"));
    let edgeward = site.serve().await;
    let mut pages = String::new();
    for page in ["/", "/snapshot", "/backends", "/certificates", "/diagnostics", "/configuration"] {
        let answer = edgeward.admin(page).await;
        assert_eq!(answer.status(), 200, "{page}");
        pages += &answer.text();
    }
    assert!(pages.contains(&format!("host {HOST}")), "{pages}");
    let certificates = edgeward.admin("/certificates").await.json();
    assert_eq!(certificates["certificates"][0]["server_name"], HOST);
    let backends = edgeward.admin("/backends").await.json();
    assert_eq!(backends["backends"][0]["endpoints"][0]["healthy"], true);
    let secret = pair.key_pem.lines().nth(1).unwrap();
    assert!(!pages.contains(secret) && !edgeward.log().contains(secret), "a private key is shown");
    let posted = send(edgeward.admin, &Request::post("127.0.0.1", "/snapshot", "x")).await;
    assert_eq!(posted.status(), 405, "the pages are read-only");
    let rebound = send(edgeward.admin, &Request::get("evil.test", "/snapshot")).await;
    assert_eq!(rebound.status(), 403, "a name that an attacker points here");
}

#[tokio::test]
async fn what_is_refused_before_it_is_a_request_stands_in_the_access_log_and_in_the_metrics() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--header-timeout=1").start().await;
    let table: [(&str, &str, u16, &str); 7] = [
        ("GET /a b<c HTTP/1.1\r\nHost: seen.test\r\nUser-Agent: odd\r\n\r\n", "/a%20b%3Cc", 400, "bad_request"),
        ("GET /two-hosts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "/two-hosts", 400, "bad_request"),
        ("GET /late HTTP/1.1\r\nHost: seen.test\r\n", "/late", 408, "client_timeout"),
        ("GET /version HTTP/3.0\r\nHost: seen.test\r\n\r\n", "/version", 505, "bad_request"),
        ("POST /coding HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "/coding", 501, "bad_request"),
        (&format!("GET /long{} HTTP/1.1\r\nHost: a\r\n\r\n", "g".repeat(9000)), "/long", 414, "uri_too_long"),
        (
            &format!("GET /many HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(200)),
            "/many",
            431,
            "headers_too_large",
        ),
    ];
    for (head, target, status, reason) in table {
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(head).await;
        let answer = connection.read_response("GET").await.expect("an answer");
        assert_eq!(answer.status(), status, "{target}");
        assert_eq!(answer.header("server"), None, "{target}");
        let is_it =
            |entry: &serde_json::Value| entry["request_uri"].as_str().is_some_and(|uri| uri.starts_with(target));
        let entry = edgeward.access_log_entry(is_it).await;
        assert_eq!((&entry["status"], &entry["reason"]), (&status.into(), &reason.into()), "{entry}");
        assert_eq!(entry["remote_addr"], "127.0.0.1", "{entry}");
    }
    let entry = edgeward.access_log_entry(|entry| entry["status"] == 400).await;
    assert_eq!((&entry["http_user_agent"], &entry["host"]), (&"odd".into(), &HOST.into()), "{entry}");
    let requests = &metrics(&edgeward).await["nginx_ingress_controller_nginx_process_requests_total"];
    assert!((requests[0].1 - 7.0).abs() < 0.1, "{requests:?}");
}

#[tokio::test]
async fn a_bad_chunk_is_answered_while_there_is_an_answer_to_give() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open(edgeward.http).await;
    connection.send(format!("POST /chunk HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n")).await;
    sleep(Duration::from_millis(100)).await;
    connection.send("helloXX\r\n0\r\n\r\n").await;
    let answer = connection.read_response("POST").await.expect("an answer");
    assert_eq!((answer.status(), answer.closes()), (400, true));
    let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == "/chunk").await;
    assert_eq!((&entry["status"], &entry["reason"]), (&400.into(), &"bad_request".into()), "{entry}");
}

#[tokio::test]
async fn connect_over_http_2_is_answered_by_the_proxy_itself() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.serve().await;
    let mut client = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let request = hyper::Request::builder().method("CONNECT").uri(format!("{HOST}:443")).body(()).unwrap();
    let answer = client.send(request, Vec::new()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers.get("server")), (405, None));
    let entry = edgeward.access_log_entry(|entry| entry["request_method"] == "CONNECT").await;
    assert_eq!(entry["reason"], "method_not_allowed", "{entry}");
}

#[tokio::test]
async fn an_http_2_body_that_stops_is_the_clients_failure_and_in_the_log() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = site.launch().argument("--body-timeout=1").start().await;
    let mut client = H2Client::over(connect(edgeward.http, None).await.unwrap()).await;
    let stopped = client.send_without_end(format!("http://{HOST}/stopped").as_str()).await;
    assert!(stopped.is_err_and(|error| error.is_reset()));
    let entry = edgeward.access_log_entry(|entry| entry["request_uri"] == "/stopped").await;
    assert_eq!(entry["reason"], "client_timeout", "{entry}");
    assert_eq!(client.get(&format!("http://{HOST}/after")).await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_process_log_that_nobody_reads_blocks_no_request() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    // Pingora has much to say.
    let launch = site.launch().argument("--fast-path=false").environment("RUST_LOG", "trace");
    let edgeward = launch.log_unread().start().await;
    let mut client = Keeper::new(edgeward.http);
    let started = Instant::now();
    for number in 0..2000 {
        assert_eq!(client.exchange(&Request::get(HOST, &format!("/{number}"))).await.status(), 200);
    }
    assert!(started.elapsed() < PATIENCE, "2,000 requests took {:?}", started.elapsed());
    let lost = metrics(&edgeward).await["edgeward_log_dropped_total"][0].1;
    assert!(lost > 0.0, "no line was lost: the test says nothing");
}
