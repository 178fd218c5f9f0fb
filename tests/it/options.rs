//! The ConfigMap about connections and logs: a change counts without a restart, for connections that are opened after it.

use std::time::{Duration, Instant};

use edgeward_tests::backend::Start;
use edgeward_tests::client::{Connection, Request, connect, get, send, wait_for};
use edgeward_tests::edgeward::{Edgeward, Signal, is_on_pingora};
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, config_map};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use serde_json::{Value, json};

use crate::site::Site;

const HOST: &str = "options.test";

async fn start(options: &Value) -> (Site, Edgeward) {
    let site = Site::with_host(HOST, "web").await;
    site.manifests.write("options.yaml", config_map("ops", "options", options));
    let edgeward = site.launch().argument("--configmap=ops/options").start().await;
    (site, edgeward)
}

/// Changes the options, and waits until they count.
async fn change(site: &Site, edgeward: &Edgeward, options: &Value) {
    let generation = edgeward.health("/readyz").await.unwrap().json()["generation"].as_u64().unwrap();
    site.manifests.write("options.yaml", config_map("ops", "options", options));
    edgeward.reaches_generation(generation + 1).await;
}

fn request() -> Request {
    Request::get(HOST, "/")
}

#[tokio::test]
async fn a_change_counts_for_connections_that_are_opened_after_it() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({})).await;
    let mut before = Connection::open(edgeward.http).await;
    assert_eq!(before.exchange(&request()).await.status(), 200);
    change(&site, &edgeward, &json!({"keep-alive-requests": "2"})).await;
    let mut after = Connection::open(edgeward.http).await;
    let kept = |answer: edgeward_tests::message::Message| answer.header("connection") != Some("close");
    assert!(kept(after.exchange(&request()).await) && !kept(after.exchange(&request()).await));
    for _ in 0..3 {
        assert!(kept(before.exchange(&request()).await), "it has what it began with");
    }
}

#[tokio::test]
async fn no_time_between_requests_is_one_request_a_connection() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({"keep-alive": "0"})).await;
    let answer = Connection::open(edgeward.http).await.exchange(&request()).await;
    assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")));
    change(&site, &edgeward, &json!({"keep-alive": "1"})).await;
    let mut idle = Connection::open(edgeward.http).await;
    assert_ne!(idle.exchange(&request()).await.header("connection"), Some("close"));
    assert!(idle.is_closed_within(Duration::from_secs(4)).await);
}

#[tokio::test]
async fn heads_and_bodies_have_the_time_that_the_options_say() {
    let _turn = turn::shared().await;
    let (_site, edgeward) = start(&json!({"client-header-timeout": "1", "client-body-timeout": "1"})).await;
    for stops in ["GET / HTTP/1.1\r\nX-Slow: ", "POST / HTTP/1.1\r\nHost: options.test\r\nContent-Length: 9\r\n\r\nabc"]
    {
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(stops).await;
        let answer = connection.read_response("GET").await.expect("an answer to what stops");
        assert_eq!(answer.status(), 408, "{stops}");
    }
}

#[tokio::test]
async fn heads_are_as_large_as_the_buffers_that_the_options_say() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({"large-client-header-buffers": "2 16k"})).await;
    let field = |count: usize, bytes: usize| {
        (0..count).fold(request(), |request, index| request.header(&format!("X-{index}"), &"v".repeat(bytes)))
    };
    for (request, status) in [
        (field(1, 16_000), 200),
        (field(1, 16_400), 400),
        (field(2, 15_000), 200),
        (field(3, 12_000), 400),
        (Request::get(HOST, &format!("/{}", "u".repeat(16_000))), 200),
        (Request::get(HOST, &format!("/{}", "u".repeat(16_400))), 414),
    ] {
        let answer = Connection::open(edgeward.http).await.try_exchange(&request).await;
        assert_eq!(answer.map(|answer| answer.status()), Ok(status), "{:.40}", request.target());
    }
    let http2 = async |bytes: usize| {
        let connection = Connection::open_tls(edgeward.https, &Hello::name(HOST).alpn(&["h2"])).await;
        let mut client = H2Client::over(connection.into_stream()).await;
        let request =
            hyper::Request::get(format!("https://{HOST}/")).header("x-l", "v".repeat(bytes)).body(()).unwrap();
        client.send(request, "").await.unwrap().status.as_u16()
    };
    assert_eq!((http2(16_000).await, http2(16_400).await), (200, 400));
    change(&site, &edgeward, &json!({})).await;
    assert_eq!((http2(8_000).await, http2(8_300).await), (200, 400));
}

#[tokio::test]
async fn http2_is_spoken_as_the_options_say() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({"use-http2": "false"})).await;
    let hello = Hello::name(HOST).alpn(&["h2", "http/1.1"]);
    assert_eq!(Connection::open_tls(edgeward.https, &hello).await.alpn(), Some(&b"http/1.1"[..]));
    change(&site, &edgeward, &json!({"http2-max-concurrent-streams": "1"})).await;
    assert_eq!(Connection::open_tls(edgeward.https, &hello).await.alpn(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn tls_is_spoken_as_the_options_say() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({"ssl-protocols": "TLSv1.3"})).await;
    let shaken = async |hello: Hello| {
        let tcp = connect(edgeward.https, None).await.unwrap();
        hello.connect(tcp).await.ok().map(|tls| {
            let session = tls.get_ref().1;
            let suite = session.negotiated_cipher_suite().unwrap().suite();
            let group = session.negotiated_key_exchange_group().unwrap().name();
            format!("{:?} {suite:?} {group:?}", session.protocol_version().unwrap())
        })
    };
    let newest = async || shaken(Hello::name(HOST)).await;
    let old = async || shaken(Hello::name(HOST).tls12()).await;
    assert!(newest().await.unwrap().starts_with("TLSv1_3") && old().await.is_none());
    change(&site, &edgeward, &json!({"ssl-protocols": "TLSv1.2", "ssl-ecdh-curve": "secp384r1"})).await;
    let agreed = newest().await.unwrap();
    assert!(agreed.starts_with("TLSv1_2") && agreed.ends_with("secp384r1"), "{agreed}");
    for cipher in ["AES128", "AES256"] {
        let name = format!("ECDHE-ECDSA-{cipher}-GCM-SHA{}", if cipher == "AES128" { 256 } else { 384 });
        change(&site, &edgeward, &json!({"ssl-ciphers": name})).await;
        let agreed = old().await.unwrap();
        assert!(agreed.contains(&cipher.replace("AES", "AES_")), "{agreed}");
        assert!(newest().await.unwrap().starts_with("TLSv1_3"), "its suites cannot be chosen");
    }
    change(&site, &edgeward, &json!({"ssl-reject-handshake": "true"})).await;
    assert!(newest().await.is_some() && shaken(Hello::name("other.test")).await.is_none());
    assert!(shaken(Hello::nameless()).await.is_none());
}

#[tokio::test]
async fn a_host_speaks_tls_with_ciphers_of_its_own() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({})).await;
    let cipher = |bits: u16| format!("ECDHE-ECDSA-AES{bits}-GCM-SHA{}", if bits == 128 { 256 } else { 384 });
    let (small, large) = (cipher(128), cipher(256));
    for (host, ciphers, order) in [
        ("small.test", small.clone(), "false"),
        ("first-small.test", format!("{small}:{large}"), "true"),
        ("first-large.test", format!("{large}:{small}"), "true"),
    ] {
        let ingress = Ingress::new(host).annotation("ssl-ciphers", &ciphers);
        site.ingress(&ingress.annotation("ssl-prefer-server-ciphers", order).host(host, "web"));
    }
    wait_for(edgeward.http, &Request::get("first-large.test", "/"), |answer| answer.status() == 200).await;
    wait_for(edgeward.http, &Request::get("first-small.test", "/"), |answer| answer.status() == 200).await;
    let agreed = async |hello: Hello| {
        let tls = hello.connect(connect(edgeward.https, None).await.unwrap()).await.unwrap();
        format!("{:?}", tls.get_ref().1.negotiated_cipher_suite().unwrap().suite())
    };
    let old = |host: &str| Hello::name(host).tls12();
    for (host, bits) in [("small.test", "AES_128"), ("first-small.test", "AES_128"), ("first-large.test", "AES_256")] {
        let suite = agreed(old(host)).await;
        assert!(suite.contains(bits), "{host}: {suite}");
        let suite = agreed(Hello::name(host)).await;
        assert!(suite.starts_with("TLS13"), "{host}: {suite}");
    }
    // Under other settings too.
    change(&site, &edgeward, &json!({"ssl-session-tickets": "false"})).await;
    let suite = agreed(old("first-small.test")).await;
    assert!(suite.contains("AES_128"), "{suite}");
}

#[tokio::test]
async fn limits_tell_clients_apart_as_the_options_say() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({"limit-conn-zone-variable": "$http_x_key"})).await;
    let limited = Ingress::new("limited").annotation("limit-rpm", "1").annotation("limit-burst-multiplier", "1");
    site.ingress(&limited.host("limited.test", "web"));
    let keyed = |key: &str| Request::get("limited.test", "/").header("X-Key", key);
    wait_for(edgeward.http, &Request::get("limited.test", "/"), |answer| answer.status() == 200).await;
    let refused = async |request: &Request| {
        let mut refused = 0;
        for _ in 0..5 {
            refused += usize::from(send(edgeward.http, request).await.status() == 503);
        }
        refused
    };
    // One, and one more as the burst; who does not say who it is is not counted, as in nginx.
    assert_eq!((refused(&keyed("a")).await, refused(&keyed("b")).await), (3, 3));
    assert_eq!(refused(&Request::get("limited.test", "/")).await, 0);
}

#[tokio::test]
async fn sessions_are_resumed_only_where_the_options_let_them() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({"ssl-session-tickets": "false"})).await;
    for resumes in [false, true] {
        if resumes {
            change(&site, &edgeward, &json!({})).await;
        }
        let hello = Hello::name(HOST).resuming();
        let mut resumed = false;
        for _ in 0..2 {
            let mut connection = Connection::open_tls(edgeward.https, &hello).await;
            assert_eq!(connection.exchange(&request()).await.status(), 200);
            resumed = connection.is_resumed();
        }
        assert_eq!(resumed, resumes);
    }
}

#[tokio::test]
async fn the_proxy_protocol_is_spoken_when_the_options_say_so() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({})).await;
    assert_eq!(get(edgeward.http, HOST, "/").await.status(), 200);
    let options = json!({"use-proxy-protocol": "true", "proxy-real-ip-cidr": "127.0.0.0/8", "proxy-protocol-header-timeout": "500ms"});
    change(&site, &edgeward, &options).await;
    let mut connection = Connection::open(edgeward.http).await;
    connection.send("PROXY TCP4 192.0.2.7 198.51.100.1 4321 80\r\n").await;
    assert_eq!(connection.exchange(&request()).await.status(), 200);
    assert_eq!(site.recording.last().unwrap().header("x-real-ip"), Some("192.0.2.7"));
    assert!(Connection::open(edgeward.http).await.try_exchange(&request()).await.is_err(), "there is no header");
    let mut silent = Connection::open(edgeward.http).await;
    assert!(silent.is_closed_within(Duration::from_secs(3)).await);
    // From networks that nobody named no header is good: whoever it is could be anybody.
    change(&site, &edgeward, &json!({"use-proxy-protocol": "true"})).await;
    let mut connection = Connection::open(edgeward.http).await;
    let _ = connection.write("PROXY TCP4 192.0.2.7 198.51.100.1 4321 80\r\n").await;
    assert!(connection.try_exchange(&request()).await.is_err());
    change(&site, &edgeward, &json!({})).await;
    assert_eq!(send(edgeward.http, &request()).await.status(), 200);
}

/// Waits for a line of the access log, whatever its form.
async fn line_with(edgeward: &Edgeward, text: &str) -> String {
    let started = Instant::now();
    loop {
        if let Some(line) = edgeward.output().lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(started.elapsed() < Duration::from_secs(5), "no line with `{text}`: {}", edgeward.output());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn lines_of_the_access_log_look_as_the_options_say() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({"log-format-upstream": "first $status $request_uri $http_x_tag"})).await;
    let tagged = |target: &str| Request::get(HOST, target).header("X-Tag", "a\"b");
    assert_eq!(send(edgeward.http, &tagged("/one")).await.status(), 200);
    assert_eq!(line_with(&edgeward, "/one").await, r"first 200 /one a\x22b");
    let format = r#"{"second": "$request_uri", "tag": "$http_x_tag", "from": "$proxy_add_x_forwarded_for"}"#;
    change(&site, &edgeward, &json!({"log-format-upstream": format, "log-format-escape-json": "true"})).await;
    assert_eq!(send(edgeward.http, &tagged("/two").header("X-Forwarded-For", "192.0.2.1")).await.status(), 200);
    let line: Value = serde_json::from_str(&line_with(&edgeward, "/two").await).unwrap();
    assert_eq!(line, json!({"second": "/two", "tag": "a\"b", "from": "192.0.2.1, 127.0.0.1"}));
    // What is refused before it is a request has a line like all others.
    let mut connection = Connection::open(edgeward.http).await;
    connection.send("GET /two-hosts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    assert_eq!(connection.response("GET").await.status(), 400);
    assert!(line_with(&edgeward, "/two-hosts").await.contains("second"));
}

#[tokio::test]
async fn requests_are_left_out_of_the_access_log_as_the_options_say() {
    let _turn = turn::shared().await;
    let options = json!({"skip-access-log-urls": "/health,~^/ping", "enable-access-log-for-default-backend": "false"});
    let (_site, edgeward) = start(&options).await;
    for target in ["/health", "/PING", "/ping/1", "/health?x"] {
        assert_eq!(get(edgeward.http, HOST, target).await.status(), 200);
    }
    assert_eq!(get(edgeward.http, "other.test", "/nowhere").await.status(), 404);
    assert_eq!(get(edgeward.http, HOST, "/last").await.status(), 200);
    edgeward.access_log_entry(|entry| entry["request_uri"] == "/last").await;
    edgeward.access_log_entry(|entry| entry["request_uri"] == "/health?x").await;
    let mut logged: Vec<_> = edgeward.access_log().iter().map(|entry| entry["request_uri"].to_string()).collect();
    logged.sort();
    assert_eq!(logged, ["\"/PING\"", "\"/health?x\"", "\"/last\""]);
}

#[tokio::test]
async fn endpoints_learn_of_requests_what_the_options_say() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({})).await;
    let asked = Request::get(HOST, "/a?b").header("X-Host", "elsewhere.test");
    assert_eq!(send(edgeward.http, &asked).await.status(), 200);
    let got = site.recording.last().unwrap();
    assert!(got.header("x-request-id").is_some_and(|id| id.len() == 32));
    assert_eq!((got.header("x-original-uri"), got.header("x-original-forwarded-host")), (None, None));
    let options = json!({
        "generate-request-id": "false",
        "proxy-add-original-uri-header": "true",
        "forwarded-host-header": "X-Host",
    });
    change(&site, &edgeward, &options).await;
    assert_eq!(send(edgeward.http, &asked).await.status(), 200);
    let got = site.recording.last().unwrap();
    assert_eq!(got.header("x-request-id"), None);
    assert_eq!(got.header("x-original-uri"), Some("/a?b"));
    assert_eq!(got.header("x-original-forwarded-host"), Some("elsewhere.test"));
    assert_eq!(send(edgeward.http, &asked.header("X-Request-ID", "mine")).await.status(), 200);
    assert_eq!(site.recording.last().unwrap().header("x-request-id"), Some("mine"));
}

#[tokio::test]
async fn connections_to_endpoints_are_kept_as_the_options_say() {
    let _turn = turn::shared().await;
    let site = Site::with_host(HOST, "web").await;
    site.manifests.write("options.yaml", config_map("ops", "options", &json!({})));
    let edgeward = site.launch().workers(1).argument("--configmap=ops/options").start().await;
    let connections = async |pause: u64| {
        site.recording.take();
        for _ in 0..4 {
            assert_eq!(get(edgeward.http, HOST, "/").await.status(), 200);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let mut seen: Vec<_> = site.recording.take().iter().map(|received| received.connection).collect();
        seen.dedup();
        seen.len()
    };
    assert_eq!(connections(0).await, 1);
    // Pingora keeps as many as it was told at the start, and counts none of their requests.
    if is_on_pingora() {
        return;
    }
    change(&site, &edgeward, &json!({"upstream-keepalive-connections": "0"})).await;
    // The one that is idle has been kept before.
    connections(0).await;
    assert_eq!(connections(0).await, 4);
    change(&site, &edgeward, &json!({"upstream-keepalive-requests": "2", "upstream-keepalive-time": "1h"})).await;
    assert_eq!(connections(0).await, 2);
    change(&site, &edgeward, &json!({"upstream-keepalive-time": "1ms"})).await;
    // Each is too old behind its second request, if not behind its first.
    assert!(connections(5).await >= 2);
    change(&site, &edgeward, &json!({"upstream-keepalive-timeout": "1"})).await;
    get(edgeward.http, HOST, "/").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let before = site.recording.last().unwrap().connection;
    get(edgeward.http, HOST, "/").await;
    assert_ne!(site.recording.last().unwrap().connection, before);
}

#[tokio::test]
async fn redirects_are_written_as_the_options_say() {
    let _turn = turn::shared().await;
    let (site, edgeward) = start(&json!({"force-ssl-redirect": "true"})).await;
    let location = async |target| get(edgeward.http, HOST, target).await.header("location").unwrap().to_owned();
    assert_eq!(location("/a/").await, format!("https://{HOST}/a"));
    change(&site, &edgeward, &json!({"force-ssl-redirect": "true", "preserve-trailing-slash": "true"})).await;
    assert_eq!(location("/a/").await, format!("https://{HOST}/a/"));
    site.ingress(&Ingress::new("web").path(HOST, "Prefix", "/dir/", "web"));
    change(&site, &edgeward, &json!({})).await;
    wait_for(edgeward.http, &Request::get(HOST, "/dir"), |answer| answer.status() == 301).await;
    assert_eq!(location("/dir").await, format!("http://{HOST}/dir/"));
    change(&site, &edgeward, &json!({"relative-redirects": "true"})).await;
    assert_eq!(location("/dir").await, "/dir/");
}

#[tokio::test]
async fn a_drain_takes_as_long_as_the_options_say() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service_as("web", Start::default().delay(Duration::from_secs(20))).await;
    site.ingress(&Ingress::new("web").host(HOST, "web"));
    site.manifests.write("options.yaml", config_map("ops", "options", &json!({"worker-shutdown-timeout": "1s"})));
    let mut edgeward = site.launch().argument("--configmap=ops/options").start().await;
    let mut connection = Connection::open(edgeward.http).await;
    connection.send(request().bytes()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    edgeward.signal(Signal::Terminate);
    assert!(edgeward.wait_exit(Duration::from_secs(10)).await.success());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
