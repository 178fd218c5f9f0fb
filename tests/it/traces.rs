//! Traces: what a collector and endpoints learn of requests.

use std::time::{Duration, Instant};

use edgeward_tests::PATIENCE;
use edgeward_tests::address::pod;
use edgeward_tests::backend::{Persona, Start};
use edgeward_tests::client::{Connection, Request, get, send};
use edgeward_tests::collector::Collector;
use edgeward_tests::edgeward::{Edgeward, Signal};
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Ingress, config_map, service};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use crate::site::Site;

const HOST: &str = "traced.test";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Options with which everything is traced and sent at once.
fn options(collector: &Collector, others: &[(&str, &str)]) -> Value {
    let mut options = json!({
        "enable-opentelemetry": "true",
        "otlp-collector-host": collector.addr().ip().to_string(),
        "otlp-collector-port": collector.addr().port().to_string(),
        "otel-schedule-delay-millis": "20",
    });
    for (name, value) in others {
        options[*name] = json!(value);
    }
    options
}

async fn start(site: &Site, options: &Value) -> Edgeward {
    site.manifests.write("options.yaml", config_map("ops", "options", options));
    site.launch().argument("--configmap=ops/options").start().await
}

/// Changes the options, and waits until they count.
async fn change(site: &Site, edgeward: &Edgeward, options: &Value) {
    let generation = edgeward.health("/readyz").await.unwrap().json()["generation"].as_u64().unwrap();
    site.manifests.write("options.yaml", config_map("ops", "options", options));
    edgeward.reaches_generation(generation + 1).await;
}

/// A request in a trace of its client.
fn traced(host: &str, path: &str) -> Request {
    Request::get(host, path).header("traceparent", PARENT).header("tracestate", "a=1,b=2")
}

/// What the endpoint got last: the trace, the span and the flags of `traceparent`, and `tracestate`.
fn received(site: &Site) -> (String, String, String, Option<String>) {
    let received = site.recording.take().pop().expect("a request at the endpoint");
    let parent = received.header("traceparent").expect("a traceparent at the endpoint").to_owned();
    let [version, trace, span, flags] = parent.split('-').collect::<Vec<_>>()[..] else { panic!("{parent}") };
    assert_eq!(version, "00");
    (trace.to_owned(), span.to_owned(), flags.to_owned(), received.header("tracestate").map(str::to_owned))
}

async fn dropped(edgeward: &Edgeward) -> u64 {
    let metrics = edgeward.health("/metrics").await.unwrap().text().to_owned();
    let line = metrics.lines().find_map(|line| line.strip_prefix("edgeward_spans_dropped_total "));
    line.expect("the counter of dropped spans").parse().unwrap()
}

#[tokio::test]
async fn a_request_is_a_span_between_its_client_and_its_endpoint() {
    let _turn = turn::shared().await;
    let collector = Collector::start().await;
    let site = Site::with_host(HOST, "web").await;
    let edgeward = start(&site, &options(&collector, &[("otel-service-name", "edge")])).await;
    let request = traced(HOST, "/a%20b?token=secret").header("User-Agent", "it").header("Cookie", "secret=1");
    assert_eq!(send(edgeward.http, &request).await.status(), 200);
    let (trace, span, flags, state) = received(&site);
    let collected = collector.take(1).await.remove(0);
    assert_eq!((&*trace, &*flags, state.as_deref()), (TRACE, "01", Some("a=1,b=2")));
    assert_eq!(collected.ids(), (TRACE.to_owned(), span, "b7ad6b7169203331".to_owned()));
    assert_eq!((&*collected.service, &*collected.span.name), ("edge", "GET /"));
    assert_eq!(collected.span.kind, SpanKind::Server as i32);
    assert!(collected.span.end_time_unix_nano >= collected.span.start_time_unix_nano);
    assert_eq!(collected.span.trace_state, "a=1,b=2");
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/"),
        ("url.path", "/a b"),
        ("url.scheme", "http"),
        ("server.address", HOST),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "it"),
        ("k8s.namespace.name", "default"),
        ("k8s.ingress.name", "web"),
        ("k8s.service.name", "web"),
        ("edgeward.upstream.tries", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(collected.attribute(name).as_deref(), Some(value), "{name}");
    }
    assert!(!format!("{collected:?}").contains("secret"), "{collected:?}");

    // Without a trace of the client, or with what is none, one begins here.
    let request = Request::get(HOST, "/");
    for request in [request.clone(), request.header("traceparent", "00-x")] {
        assert_eq!(send(edgeward.http, &request).await.status(), 200);
        let (trace, span, ..) = received(&site);
        assert_eq!(collector.take(1).await[0].ids(), (trace.clone(), span, String::new()));
        assert_ne!(trace, TRACE);
    }

    // And over TLS in HTTP/2.
    let connection = Connection::open_tls(edgeward.https, &Hello::name(HOST).alpn(&["h2"])).await;
    let mut client = H2Client::over(connection.into_stream()).await;
    let request = hyper::Request::get(format!("https://{HOST}/")).header("traceparent", PARENT).body(()).unwrap();
    assert_eq!(client.send(request, "").await.unwrap().status.as_u16(), 200);
    let collected = collector.take(1).await.remove(0);
    assert_eq!((received(&site).1, &*collected.ids().0), (collected.ids().1, TRACE));
    for (name, value) in [("network.protocol.version", "2"), ("url.scheme", "https"), ("server.address", HOST)] {
        assert_eq!(collected.attribute(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn what_the_proxy_answers_itself_has_a_span_and_probes_have_none() {
    let _turn = turn::shared().await;
    let collector = Collector::start().await;
    let site = Site::with_host(HOST, "web").await;
    site.manifests.write("dead.yaml", service("dead", &[pod()]));
    site.ingress(&Ingress::new("dead").host("dead.test", "dead"));
    site.ingress(&Ingress::new("moved").annotation("permanent-redirect", "http://x.test").host("moved.test", "web"));
    let edgeward = start(&site, &options(&collector, &[])).await;
    let is_error = |code: i32| code == 2;
    for (host, path, status, reason, name) in [
        ("moved.test", "/", 301, Some("redirect"), "GET /"),
        ("dead.test", "/", 502, None, "GET /"),
        ("nowhere.test", "/", 404, Some("no_host"), "GET"),
    ] {
        assert_eq!(get(edgeward.http, "nowhere.test", "/healthz").await.status(), 200);
        assert_eq!(get(edgeward.http, host, path).await.status(), status, "{host}");
        let [collected] = &collector.take(1).await[..] else { panic!("one span for {host}") };
        assert_eq!(collected.attribute("http.response.status_code"), Some(status.to_string()), "{host}");
        assert_eq!((&*collected.service, &*collected.span.name), ("nginx", name), "{host}");
        if let Some(reason) = reason {
            assert_eq!(collected.attribute("edgeward.reason").as_deref(), Some(reason), "{host}");
        }
        assert_eq!(collected.span.status.as_ref().is_some_and(|told| is_error(told.code)), status >= 500, "{host}");
    }
}

#[tokio::test]
async fn an_ingress_says_whether_and_how_its_requests_are_traced() {
    let _turn = turn::shared().await;
    let collector = Collector::start().await;
    let site = Site::with_host(HOST, "web").await;
    let on =
        |name: &str| Ingress::new(name).annotation("enable-opentelemetry", "true").host(&format!("{name}.test"), "web");
    site.ingress(&Ingress::new("off").annotation("enable-opentelemetry", "false").host("off.test", "web"));
    site.ingress(&on("named").annotation("opentelemetry-operation-name", "shop-cart"));
    site.ingress(&on("wary").annotation("opentelemetry-trust-incoming-span", "false"));
    let others = [("opentelemetry-operation-name", "HTTP $request_method $service_name $uri")];
    let edgeward = start(&site, &options(&collector, &others)).await;

    assert_eq!(send(edgeward.http, &traced(HOST, "/x?y")).await.status(), 200);
    assert_eq!(collector.take(1).await[0].span.name, "HTTP GET web /x");
    assert_eq!(send(edgeward.http, &traced("named.test", "/x")).await.status(), 200);
    assert_eq!(collector.take(1).await[0].span.name, "shop-cart");

    site.recording.take();
    assert_eq!(send(edgeward.http, &traced("wary.test", "/")).await.status(), 200);
    let (trace, span, _, state) = received(&site);
    assert_ne!(trace, TRACE);
    assert_eq!((state, collector.take(1).await[0].ids()), (None, (trace, span, String::new())));

    // What is not traced goes on as it is, and the next span is that of the next request.
    assert_eq!(send(edgeward.http, &traced("off.test", "/").header("X-Request-ID", "off")).await.status(), 200);
    assert_eq!(received(&site), (TRACE.into(), "b7ad6b7169203331".into(), "01".into(), Some("a=1,b=2".into())));
    assert_eq!(send(edgeward.http, &traced("named.test", "/")).await.status(), 200);
    assert_eq!(collector.take(1).await.len(), 1);

    // And without the option, those that ask for it alone.
    let mut off = options(&collector, &[("opentelemetry-trust-incoming-span", "false")]);
    off["enable-opentelemetry"] = json!("false");
    change(&site, &edgeward, &off).await;
    for host in [HOST, "named.test"] {
        assert_eq!(send(edgeward.http, &traced(host, "/")).await.status(), 200);
    }
    let [collected] = &collector.take(1).await[..] else { panic!("one span") };
    assert_eq!((&*collected.span.name, collected.ids().2), ("shop-cart", String::new()), "a new trace");
}

#[tokio::test]
async fn what_is_not_sampled_is_told_to_endpoints_and_to_no_collector() {
    let _turn = turn::shared().await;
    let collector = Collector::start().await;
    let site = Site::with_host(HOST, "web").await;
    let all = options(&collector, &[]);
    let edgeward = start(&site, &all).await;
    let unsampled = PARENT.replace("-01", "-00");
    let ratio = |ratio| [("otel-sampler", "TraceIdRatioBased"), ("otel-sampler-ratio", ratio)];
    let alone = [("otel-sampler", "AlwaysOff"), ("otel-sampler-parent-based", "false")];
    let table = [
        (options(&collector, &[]), Some(&*unsampled), "00"),
        (options(&collector, &[("otel-sampler-parent-based", "false")]), Some(&*unsampled), "01"),
        (options(&collector, &[("otel-sampler", "AlwaysOff")]), None, "00"),
        (options(&collector, &[("otel-sampler", "AlwaysOff")]), Some(PARENT), "01"),
        (options(&collector, &alone), Some(PARENT), "00"),
        (options(&collector, &ratio("0")), None, "00"),
        (options(&collector, &ratio("1")), None, "01"),
    ];
    for (number, (options, parent, expected)) in table.into_iter().enumerate() {
        // So that there is a change each time.
        let mut options = options;
        options["otel-max-queuesize"] = json!((100 + number).to_string());
        change(&site, &edgeward, &options).await;
        let request = Request::get(HOST, "/");
        let request = parent.map_or(request.clone(), |parent| request.header("traceparent", parent));
        assert_eq!(send(edgeward.http, &request).await.status(), 200);
        let (trace, _, flags, _) = received(&site);
        assert_eq!(flags, expected, "{options} {parent:?}");
        if expected == "01" {
            assert_eq!(collector.take(1).await[0].ids().0, trace, "{options} {parent:?}: nothing was sent before it");
        }
    }
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nothing_but_its_spans() {
    let _turn = turn::shared().await;
    let collector = Collector::start().await;
    let site = Site::with_host(HOST, "web").await;
    let mut away = options(&collector, &[("otel-max-queuesize", "10"), ("otel-max-export-batch-size", "5")]);
    away["otlp-collector-host"] = json!(pod().ip().to_string());
    let edgeward = start(&site, &away).await;
    for _ in 0..100 {
        let started = Instant::now();
        assert_eq!(get(edgeward.http, HOST, "/").await.status(), 200);
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    let started = Instant::now();
    while dropped(&edgeward).await < 85 {
        assert!(started.elapsed() < PATIENCE, "{} spans are dropped", dropped(&edgeward).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Another one counts without a restart.
    change(&site, &edgeward, &options(&collector, &[])).await;
    let started = Instant::now();
    loop {
        assert_eq!(send(edgeward.http, &traced(HOST, "/")).await.status(), 200);
        let found = collector.take(0).await;
        if found.iter().any(|collected| collected.ids().0 == TRACE) {
            break;
        }
        assert!(started.elapsed() < 3 * PATIENCE, "no span came");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while !edgeward.log().contains("takes spans again") {
        assert!(started.elapsed() < 3 * PATIENCE, "{}", edgeward.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(edgeward.log().matches("cannot send spans").count(), 1, "{}", edgeward.log());
}

#[tokio::test]
async fn the_environment_says_what_the_options_do_not() {
    let _turn = turn::shared().await;
    let collector = Collector::start().await;
    let site = Site::with_host(HOST, "web").await;
    let options = json!({"enable-opentelemetry": "true", "otel-schedule-delay-millis": "60000"});
    site.manifests.write("options.yaml", config_map("ops", "options", &options));
    let launch = site.launch().argument("--configmap=ops/options");
    let launch = launch.environment("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", collector.addr()));
    let edgeward = launch.environment("OTEL_SERVICE_NAME", "from-environment").start().await;
    assert_eq!(get(edgeward.http, HOST, "/").await.status(), 200);
    // What waits is sent at the end.
    edgeward.signal(Signal::Terminate);
    assert_eq!(collector.take(1).await[0].service, "from-environment");
}

#[tokio::test]
async fn an_authentication_service_and_the_access_log_know_the_span() {
    let _turn = turn::shared().await;
    let collector = Collector::start().await;
    let site = Site::with_host(HOST, "web").await;
    let auth = Start::default().persona(Persona::Auth).start("auth").await;
    let url = format!("http://{}/ok", auth.addr());
    site.ingress(&Ingress::new("asked").annotation("auth-url", &url).host("asked.test", "web"));
    let format = "trace=$opentelemetry_trace_id $opentelemetry_span_id $opentelemetry_sampled $opentelemetry_context_traceparent";
    let edgeward = start(&site, &options(&collector, &[("log-format-upstream", format)])).await;
    assert_eq!(send(edgeward.http, &traced("asked.test", "/")).await.status(), 200);
    let (_, span, ..) = collector.take(1).await[0].ids();
    let parent = format!("00-{TRACE}-{span}-01");
    let asked = auth.recording().take().pop().expect("a request at the service");
    assert_eq!((asked.header("traceparent"), asked.header("tracestate")), (Some(&*parent), Some("a=1,b=2")));
    let line = format!("trace={TRACE} {span} 1 {parent}");
    let started = Instant::now();
    while !edgeward.output().contains(&line) {
        assert!(started.elapsed() < PATIENCE, "{line} is not in {}", edgeward.output());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
