//! What is changed in responses on their way to a client, and how fast they go.

use std::time::{Duration, Instant};

use edgeward_tests::backend::Backend;
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::manifest::{Ingress, Manifests, config_map, service};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::site::Site;

const HOST: &str = "a.test";

fn set(header: &str) -> Request {
    Request::get(HOST, "/").header("X-Echo-Set", header)
}

#[tokio::test]
async fn a_route_adds_headers_and_a_change_of_their_config_map_counts() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.manifests.write(
        "options.yaml",
        config_map(
            "ops",
            "options",
            &json!({
                "global-allowed-response-headers": "X-Route,Cache-Control,Content-Length",
                "allow-cross-namespace-resources": "true",
                "add-headers": "ops/all",
                "proxy-set-headers": "ops/upstream",
                "hide-headers": "X-Secret",
            }),
        ),
    );
    site.manifests.write("all.yaml", config_map("ops", "all", &json!({"X-All": "everywhere", "X-Route": "no"})));
    let upstream = json!({"X-From": "edge $host", "X-Real-IP": "", "Content-Length": "7"});
    site.manifests.write("upstream.yaml", config_map("ops", "upstream", &upstream));
    site.manifests
        .write("route.yaml", config_map("ops", "route", &json!({"X-Route": "1", "Cache-Control": "no-store"})));
    site.ingress(&Ingress::new("web").host(HOST, "web").annotation("custom-headers", "ops/route"));
    let edgeward = site.launch().argument("--configmap=ops/options").start().await;

    let answer = send(edgeward.http, &set("Cache-Control: max-age=1")).await;
    assert_eq!(answer.status(), 200);
    for (name, values) in
        [("x-route", &["1"][..]), ("cache-control", &["no-store"]), ("x-all", &["everywhere"]), ("server", &[])]
    {
        assert_eq!(answer.header_values(name), values, "{name}: {answer:?}");
    }
    assert_eq!(send(edgeward.http, &set("x-secret: s")).await.header("x-secret"), None);
    let received = site.recording.take().remove(0);
    assert_eq!(received.header("x-from"), Some("edge a.test"));
    assert_eq!((received.header("x-real-ip"), received.header("content-length")), (None, None));

    // What no route takes gets those of all.
    let lost = send(edgeward.http, &Request::get("lost.test", "/")).await;
    assert_eq!((lost.status(), lost.header("x-all"), lost.header("x-route")), (404, Some("everywhere"), Some("no")));

    site.manifests.write("route.yaml", config_map("ops", "route", &json!({"X-Route": "2"})));
    eventually(&edgeward, |answer| answer.header("x-route") == Some("2")).await;
    site.manifests.write("all.yaml", config_map("ops", "all", &json!({"X-All": "again"})));
    eventually(&edgeward, |answer| answer.header("x-all") == Some("again")).await;
    // What is not allowed, or would change where a message ends, closes the route, and so does a ConfigMap that is gone.
    site.manifests.write("route.yaml", config_map("ops", "route", &json!({"Content-Length": "1"})));
    eventually(&edgeward, |answer| answer.status() == 503 && answer.header("x-route").is_none()).await;
    site.manifests.write("route.yaml", config_map("ops", "route", &json!({"X-Route": "3"})));
    eventually(&edgeward, |answer| answer.status() == 200).await;
    site.manifests.remove("route.yaml");
    eventually(&edgeward, |answer| answer.status() == 503).await;
}

async fn eventually(
    edgeward: &edgeward_tests::edgeward::Edgeward,
    is_there: impl Fn(&edgeward_tests::message::Message) -> bool,
) {
    let begun = Instant::now();
    loop {
        let answer = send(edgeward.http, &Request::get(HOST, "/")).await;
        if is_there(&answer) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn addresses_of_the_application_are_rewritten() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(
        &Ingress::new("web")
            .host(HOST, "web")
            .annotation("proxy-redirect-from", "http://up.test/")
            .annotation("proxy-redirect-to", "https://a.test/x/")
            .annotation("proxy-cookie-domain", "up.test a.test")
            .annotation("proxy-cookie-path", "/ /x/"),
    );
    site.ingress(&Ingress::new("plain").host("plain.test", "web"));
    let edgeward = site.serve().await;
    for (sent, name, expected) in [
        ("Location: http://up.test/b?c", "location", "https://a.test/x/b?c"),
        ("Location: http://other.test/b", "location", "http://other.test/b"),
        ("Refresh: 3; url=http://up.test/", "refresh", "3; url=https://a.test/x/"),
        ("Set-Cookie: a=1; domain=.up.test; Path=/b", "set-cookie", "a=1; domain=.a.test; Path=/x/b"),
        ("Set-Cookie: a=1; HttpOnly", "set-cookie", "a=1; HttpOnly"),
    ] {
        let answer = send(edgeward.http, &set(sent).header("X-Echo-Status", "302")).await;
        assert_eq!(answer.header_values(name), [expected], "{sent}");
        let untouched = Request::get("plain.test", "/").header("X-Echo-Set", sent);
        let answer = send(edgeward.http, &untouched).await;
        assert_eq!(answer.header_values(name), [sent.split_once(": ").unwrap().1]);
    }
}

#[tokio::test]
async fn a_response_goes_no_faster_than_its_route_allows() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let paced = Ingress::new("web").host(HOST, "web").annotation("limit-rate", "20");
    site.ingress(&paced.annotation("limit-rate-after", "10").annotation("ssl-redirect", "false"));
    site.ingress(&Ingress::new("fast").host("fast.test", "web"));
    let edgeward = site.serve().await;
    let sized = |host| Request::get(host, "/").header("X-Echo-Size", "81920");
    // 10 KiB at once, 20 with the first second, and then 20 in each: 80 in two and a half.
    for chunked in [false, true] {
        let request = if chunked { sized(HOST).header("X-Echo-Chunked", "1") } else { sized(HOST) };
        let mut connections = vec![Connection::open(edgeward.http).await];
        connections.push(Connection::open_tls(edgeward.https, &Hello::name(HOST)).await);
        for mut connection in connections {
            let begun = Instant::now();
            let answer = connection.exchange(&request).await;
            let took = begun.elapsed();
            assert_eq!(answer.body.len(), 81_920);
            assert!((2000..4500).contains(&took.as_millis()), "{took:?} {chunked}");
        }
    }
    let begun = Instant::now();
    assert_eq!(send(edgeward.http, &sized("fast.test")).await.body.len(), 81_920);
    assert!(begun.elapsed() < Duration::from_secs(2));
    // One that leaves meanwhile is noticed, by Pingora's engine with its second write of 64 KiB.
    let mut connection = Connection::open(edgeward.http).await;
    connection.send(Request::get(HOST, "/").header("X-Echo-Size", "300000").bytes()).await;
    connection.response_head().await.unwrap();
    drop(connection);
    let left = |entry: &Value| entry["host"] == HOST && entry["reason"] == "client_closed";
    let entry = edgeward.access_log_entry(left).await;
    assert!(entry["body_bytes_sent"].as_u64() < Some(300_000), "{entry}");
}

#[tokio::test]
async fn a_route_is_kept_out_of_the_access_log() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    site.ingress(&Ingress::new("web").host(HOST, "web").annotation("enable-access-log", "false"));
    site.ingress(&Ingress::new("logged").host("logged.test", "web"));
    let edgeward = site.serve().await;
    assert_eq!(send(edgeward.http, &Request::get(HOST, "/")).await.status(), 200);
    assert_eq!(send(edgeward.http, &Request::get("logged.test", "/")).await.status(), 200);
    edgeward.access_log_entry(|entry| entry["host"] == "logged.test").await;
    assert!(edgeward.access_log().iter().all(|entry| entry["host"] != HOST), "{:?}", edgeward.access_log());
}

#[tokio::test]
async fn a_server_that_is_passed_on_is_the_endpoints() {
    let _turn = turn::shared().await;
    let manifests = Manifests::new();
    let backend = Backend::start("web").await;
    manifests.write("service.yaml", service("web", &[backend.addr()]));
    manifests.write("ingress.yaml", Ingress::new("web").host(HOST, "web").text());
    manifests.write("options.yaml", config_map("ops", "options", &json!({"allow-backend-server-header": "true"})));
    let launch = edgeward_tests::edgeward::Launch::new(manifests.path()).argument("--configmap=ops/options");
    let edgeward = launch.start().await;
    let answer = send(edgeward.http, &set("X-Accel-Redirect: /x")).await;
    assert_eq!((answer.header("server"), answer.header("x-accel-redirect")), (Some("echo"), None));
}

#[tokio::test]
async fn what_clients_do_not_get_they_do_not_get_before_the_response_either() {
    let _turn = turn::shared().await;
    let site = Site::new();
    let listener = tokio::net::TcpListener::bind(edgeward_tests::address::pod()).await.unwrap();
    site.manifests.write("early.yaml", service("early", &[listener.local_addr().unwrap()]));
    let fields =
        "Server: it\r\nX-Accel-Redirect: /x\r\nX-Secret: s\r\nX-All: early\r\nConnection: X-Named\r\nX-Named: 1\r\n";
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let early = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n{fields}\r\n");
            let late = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Late: 1\r\n{fields}\r\nok");
            let _ = stream.write_all((early + &late).as_bytes()).await;
        }
    });
    let options = json!({"add-headers": "ops/all", "hide-headers": "X-Secret"});
    site.manifests.write("options.yaml", config_map("ops", "options", &options));
    site.manifests.write("all.yaml", config_map("ops", "all", &json!({"X-All": "everywhere"})));
    site.ingress(&Ingress::new("early").host(HOST, "early"));
    let edgeward = site.launch().argument("--configmap=ops/options").start().await;
    let mut client = edgeward_tests::client::connect(edgeward.http, None).await.unwrap();
    client.write_all(&Request::get(HOST, "/").header("Connection", "close").bytes()).await.unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    let (early, late) = text.split_once("\r\n\r\n").unwrap();
    assert!(early.starts_with("HTTP/1.1 103") && early.to_lowercase().contains("link: </a>"), "{text}");
    assert!(late.starts_with("HTTP/1.1 200") && late.to_lowercase().contains("x-late: 1"), "{text}");
    let text = text.to_lowercase();
    for hidden in ["server:", "x-accel-redirect", "x-secret", "x-named", "x-all: early"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    assert_eq!(text.matches("x-all: everywhere").count(), 1, "{text}");
}
