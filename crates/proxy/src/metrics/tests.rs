#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use edgeward_routing::decide::Reason;
use edgeward_routing::path::TrailingSlash;
use edgeward_routing::route::Route;
use edgeward_routing::settings::Settings;
use edgeward_routing::snapshot::Snapshot;
use edgeward_routing::table::{RouteMatch, RouteTable};

use super::*;
use crate::access_log::fixture::{self, Finished, endpoint_try, request, route};
use crate::access_log::{AccessLog, AccessLogFormat};
use crate::listener::{Event, HandshakeFailure, Observer, Rejection};

fn options() -> MetricsOptions {
    MetricsOptions {
        controller_namespace: "ingress-nginx".to_owned(),
        controller_pod: "edge-1".to_owned(),
        time_buckets: vec![0.005, 0.05],
        length_buckets: vec![100.0, 1000.0],
        ..MetricsOptions::default()
    }
}

fn metrics(options: MetricsOptions) -> Metrics {
    Metrics::new(&options).unwrap()
}

fn snapshot(routes: impl IntoIterator<Item = Route>) -> Snapshot {
    let mut snapshot = Snapshot::empty(Settings::default());
    snapshot.routes = Arc::new(RouteTable::new(routes, TrailingSlash::default(), |_| false));
    snapshot
}

/// Records a request for a host and path, as the engine would: with the route of the snapshot.
fn ask(metrics: &Metrics, snapshot: &Snapshot, method: &str, host: &str, path: &str, status: u16) {
    let finished =
        Finished { request: request(method, path), route: None, status, reason: None, ..Finished::default() };
    let route = match snapshot.routes.find(host, path.as_bytes()) {
        RouteMatch::Route(_, route) => Some(&**route),
        _ => None,
    };
    finished.with(|record| metrics.record(&RequestRecord { route, ..*record }));
}

/// The samples of a family, without what every sample of requests has.
fn samples(metrics: &Metrics, family: &str) -> Vec<String> {
    let constant =
        "controller_class=\"k8s.io/ingress-nginx\",controller_namespace=\"ingress-nginx\",controller_pod=\"edge-1\",";
    let text = metrics.render();
    let of_family =
        text.lines().filter(|line| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' '])));
    of_family.map(|line| line.strip_prefix(family).unwrap().replace(constant, "")).collect()
}

fn value(metrics: &Metrics, sample: &str) -> u64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
}

#[test]
fn requests_are_rendered_as_ingress_nginx_does() {
    let metrics = metrics(options());
    let mut finished = Finished::default();
    finished.with(|record| metrics.record(record));
    finished.duration = Duration::from_millis(5);
    finished.tries = vec![endpoint_try("10.0.0.1:80", Some(502), 100, 0), endpoint_try("10.0.0.2:80", Some(200), 4, 0)];
    finished.with(|record| metrics.record(record));
    let text = metrics.render();
    let requests: Vec<&str> = text.lines().filter(|line| line.contains("nginx_ingress_controller_")).collect();
    let labels = "canary=\"\",controller_class=\"k8s.io/ingress-nginx\",controller_namespace=\"ingress-nginx\",\
                  controller_pod=\"edge-1\",host=\"shop.example.com\",ingress=\"web\",method=\"GET\",namespace=\"shop\",\
                  path=\"/path\",service=\"cart\",status=\"200\"";
    let expected = "\
# HELP nginx_ingress_controller_request_duration_seconds Seconds from the request head to the end of the response
# TYPE nginx_ingress_controller_request_duration_seconds histogram
nginx_ingress_controller_request_duration_seconds_bucket{L,le=\"0.005\"} 1
nginx_ingress_controller_request_duration_seconds_bucket{L,le=\"0.05\"} 2
nginx_ingress_controller_request_duration_seconds_bucket{L,le=\"+Inf\"} 2
nginx_ingress_controller_request_duration_seconds_sum{L} 0.017345
nginx_ingress_controller_request_duration_seconds_count{L} 2
# HELP nginx_ingress_controller_request_size Bytes of the request, head and body
# TYPE nginx_ingress_controller_request_size histogram
nginx_ingress_controller_request_size_bucket{L,le=\"100\"} 2
nginx_ingress_controller_request_size_bucket{L,le=\"1000\"} 2
nginx_ingress_controller_request_size_bucket{L,le=\"+Inf\"} 2
nginx_ingress_controller_request_size_sum{L} 190
nginx_ingress_controller_request_size_count{L} 2
# HELP nginx_ingress_controller_requests Requests of clients
# TYPE nginx_ingress_controller_requests counter
nginx_ingress_controller_requests{L} 2
# HELP nginx_ingress_controller_response_duration_seconds Seconds that the endpoint took to respond in full
# TYPE nginx_ingress_controller_response_duration_seconds histogram
nginx_ingress_controller_response_duration_seconds_bucket{L,le=\"0.005\"} 1
nginx_ingress_controller_response_duration_seconds_bucket{L,le=\"0.05\"} 2
nginx_ingress_controller_response_duration_seconds_bucket{L,le=\"+Inf\"} 2
nginx_ingress_controller_response_duration_seconds_sum{L} 0.016
nginx_ingress_controller_response_duration_seconds_count{L} 2
# HELP nginx_ingress_controller_response_size Bytes of the response, head and body
# TYPE nginx_ingress_controller_response_size histogram
nginx_ingress_controller_response_size_bucket{L,le=\"100\"} 0
nginx_ingress_controller_response_size_bucket{L,le=\"1000\"} 2
nginx_ingress_controller_response_size_bucket{L,le=\"+Inf\"} 2
nginx_ingress_controller_response_size_sum{L} 1112
nginx_ingress_controller_response_size_count{L} 2";
    assert_eq!(requests.join("\n"), expected.replace("{L", &format!("{{{labels}")));
}

#[test]
fn methods_and_statuses_are_told_apart_and_odd_methods_are_not() {
    let metrics = metrics(options());
    let snapshot = snapshot([route("a.example", "/x"), route("*.b.example", "/"), route("", "/any")]);
    for (method, host, path, status) in [
        ("GET", "a.example", "/x/1", 200),
        ("GET", "a.example", "/x/2", 404),
        ("GET", "a.example", "/x/3", 200),
        ("POST", "a.example", "/x", 200),
        ("PROPFIND", "a.example", "/x", 207),
        ("BREW", "a.example", "/x", 418),
        ("STEEP", "a.example", "/x", 418),
        ("GET", "w.b.example", "/y", 200),
        ("GET", "elsewhere.example", "/any", 200),
        ("GET", "elsewhere.example", "/none", 404),
    ] {
        ask(&metrics, &snapshot, method, host, path, status);
    }
    let sample = |host, ingress, method, namespace, path, service, status, value| {
        format!(
            "{{canary=\"\",host=\"{host}\",ingress=\"{ingress}\",method=\"{method}\",namespace=\"{namespace}\",\
             path=\"{path}\",service=\"{service}\",status=\"{status}\"}} {value}"
        )
    };
    assert_eq!(
        samples(&metrics, "nginx_ingress_controller_requests"),
        [
            sample("", "", "GET", "", "", "", 404, 1),
            sample("", "web", "GET", "shop", "/any", "cart", 200, 1),
            sample("*.b.example", "web", "GET", "shop", "/", "cart", 200, 1),
            sample("a.example", "web", "GET", "shop", "/x", "cart", 200, 2),
            sample("a.example", "web", "GET", "shop", "/x", "cart", 404, 1),
            sample("a.example", "web", "OTHER", "shop", "/x", "cart", 418, 2),
            sample("a.example", "web", "POST", "shop", "/x", "cart", 200, 1),
            sample("a.example", "web", "PROPFIND", "shop", "/x", "cart", 207, 1),
        ]
    );
    assert_eq!(metrics.requests_total(), 10);
}

#[test]
fn hosts_and_statuses_are_folded_on_request() {
    let metrics = metrics(MetricsOptions { per_host: false, status_classes: true, ..options() });
    let snapshot = snapshot([route("a.example", "/x"), route("b.example", "/x")]);
    for (host, status) in [("a.example", 200), ("b.example", 204), ("b.example", 503)] {
        ask(&metrics, &snapshot, "GET", host, "/x", status);
    }
    assert_eq!(
        samples(&metrics, "nginx_ingress_controller_requests"),
        [
            r#"{canary="",ingress="web",method="GET",namespace="shop",path="/x",service="cart",status="2xx"} 2"#,
            r#"{canary="",ingress="web",method="GET",namespace="shop",path="/x",service="cart",status="5xx"} 1"#,
        ]
    );
}

#[test]
fn counters_survive_a_rebuilt_table_and_leave_with_their_route() {
    let metrics = metrics(options());
    let routes = || [route("a.example", "/x"), route("b.example", "/x")];
    let first = snapshot(routes());
    ask(&metrics, &first, "GET", "a.example", "/x", 200);
    ask(&metrics, &first, "GET", "b.example", "/x", 200);
    let second = snapshot(routes());
    metrics.retain(&second);
    drop(first);
    metrics.retain(&second);
    ask(&metrics, &second, "GET", "a.example", "/x", 200);
    let counts = || -> Vec<String> {
        let samples = samples(&metrics, "nginx_ingress_controller_requests");
        samples.iter().map(|sample| sample.split_once("host=").unwrap().1.to_owned()).collect()
    };
    let sample = |host: &str, value| {
        format!(
            r#""{host}",ingress="web",method="GET",namespace="shop",path="/x",service="cart",status="200"}} {value}"#
        )
    };
    assert_eq!(counts(), [sample("a.example", 2), sample("b.example", 1)]);

    let third = snapshot([route("b.example", "/x")]);
    metrics.retain(&third);
    assert_eq!(counts().len(), 2, "a request may still be under way in the second snapshot");
    drop(second);
    metrics.retain(&third);
    assert_eq!(counts(), [sample("b.example", 1)]);
    assert_eq!(metrics.requests_total(), 3, "the total never falls");

    let fourth = snapshot(routes());
    ask(&metrics, &fourth, "GET", "a.example", "/x", 200);
    // A scrape that still has the older snapshot must not take a newer route's series away.
    metrics.retain(&third);
    assert_eq!(counts(), [sample("a.example", 1), sample("b.example", 1)]);
}

#[test]
fn the_cap_leaves_room_for_counters_and_counts_what_it_drops() {
    // A histogram set is 4 times 2 bounds, `+Inf`, sum and count; three quarters of the cap take one such set.
    let metrics = metrics(MetricsOptions { max_series: 30, ..options() });
    let mut current = snapshot((0..40).map(|at| route(&format!("h{at}.example"), "/")));
    for at in 0..40 {
        ask(&metrics, &current, "GET", &format!("h{at}.example"), "/", 200);
    }
    assert_eq!(samples(&metrics, "nginx_ingress_controller_request_size_count").len(), 1);
    assert_eq!(samples(&metrics, "nginx_ingress_controller_requests").len(), 10);
    assert_eq!(value(&metrics, "edgeward_metric_series_dropped_total"), 39);
    assert_eq!(metrics.requests_total(), 40);

    current = snapshot([route("h39.example", "/")]);
    metrics.retain(&current);
    ask(&metrics, &current, "GET", "h39.example", "/", 200);
    assert_eq!(samples(&metrics, "nginx_ingress_controller_request_size_count").len(), 1, "there is room again");
    assert_eq!(value(&metrics, "edgeward_metric_series_dropped_total"), 39);
    assert_eq!(metrics.requests_total(), 41);
}

#[test]
fn histograms_hold_only_what_happened() {
    let metrics = metrics(MetricsOptions { families: Family::ALL.to_vec(), ..options() });
    let mut finished = Finished { tries: vec![endpoint_try("10.0.0.1:80", None, 100, 0)], ..Finished::default() };
    finished.with(|record| metrics.record(record));
    finished.tries.clear();
    finished.with(|record| metrics.record(record));
    let counts = |family: Family| samples(&metrics, &format!("{}_count", family.name())).len();
    assert_eq!(Family::ALL.map(counts), [0, 1, 1, 0, 0, 1, 1, 1]);
    assert!(samples(&metrics, "nginx_ingress_controller_response_duration_seconds_count")[0].ends_with(" 1"));
    let few = self::metrics(MetricsOptions { families: vec![Family::RequestSize], ..options() });
    Finished::default().with(|record| few.record(record));
    let families = few.render();
    assert!(families.contains("nginx_ingress_controller_request_size_sum"));
    assert!(!families.contains("nginx_ingress_controller_requests"));
    assert!(!families.contains("nginx_ingress_controller_request_duration"));
}

#[test]
fn without_request_metrics_only_totals_are_kept() {
    let metrics = metrics(MetricsOptions { enabled: false, ..options() });
    let finished = Finished { reason: Some(Reason::NoHost), ..Finished::default() };
    finished.with(|record| metrics.record(record));
    assert!(samples(&metrics, "nginx_ingress_controller_requests").is_empty());
    assert_eq!(metrics.requests_total(), 1);
    assert_eq!(value(&metrics, "edgeward_local_responses_total{reason=\"no_host\"}"), 1);
}

#[test]
fn the_data_plane_is_counted() {
    let metrics = metrics(options());
    for reason in [Reason::NoRoute, Reason::NoRoute, Reason::Internal] {
        let finished = Finished { reason: Some(reason), ..Finished::default() };
        finished.with(|record| metrics.record(record));
    }
    metrics.upstream_retry();
    metrics.upstream_ejection();
    for reused in [false, true, true] {
        metrics.upstream_connection(reused);
    }
    let peer = "203.0.113.7:1".parse().unwrap();
    metrics.observe(Event::Accepted { tls: false });
    metrics.observe(Event::Accepted { tls: true });
    metrics.observe(Event::AcceptFailed(&std::io::ErrorKind::OutOfMemory.into()));
    metrics.observe(Event::Rejected { peer, reason: Rejection::TooManyConnections });
    metrics.observe(Event::Handshake { duration: Duration::from_millis(2), resumed: false });
    metrics.observe(Event::Handshake { duration: Duration::from_millis(1), resumed: true });
    metrics.observe(Event::HandshakeFailed { peer, failure: HandshakeFailure::Timeout });
    for (sample, expected) in [
        ("edgeward_local_responses_total{reason=\"no_route\"}", 2),
        ("edgeward_local_responses_total{reason=\"internal\"}", 1),
        ("edgeward_upstream_retries_total", 1),
        ("edgeward_upstream_ejections_total", 1),
        ("edgeward_upstream_connections_total{reused=\"false\"}", 1),
        ("edgeward_upstream_connections_total{reused=\"true\"}", 2),
        ("edgeward_connections_accepted_total{listener=\"http\"}", 1),
        ("edgeward_connections_accepted_total{listener=\"https\"}", 1),
        ("edgeward_accept_errors_total", 1),
        ("edgeward_connections_rejected_total{reason=\"too_many_connections\"}", 1),
        ("edgeward_tls_handshakes_total{result=\"full\"}", 1),
        ("edgeward_tls_handshakes_total{result=\"resumed\"}", 1),
        ("edgeward_tls_handshakes_total{result=\"timeout\"}", 1),
        ("edgeward_tls_handshakes_total{result=\"failed\"}", 0),
        ("edgeward_tls_handshake_duration_seconds_count", 2),
    ] {
        assert_eq!(value(&metrics, sample), expected, "{sample}");
    }
    assert_eq!(metrics.connections_accepted(), 2);
}

#[test]
fn an_access_log_adds_its_dropped_lines() {
    let metrics = metrics(options());
    let log = AccessLog::off();
    metrics.add_access_log(&log).unwrap();
    log.dropped().inc_by(3);
    assert_eq!(value(&metrics, "edgeward_access_log_dropped_total"), 3);
    assert!(metrics.add_access_log(&log).is_err());
    assert_eq!(AccessLogFormat::default(), AccessLogFormat::Nginx);
}

#[test]
fn buckets_must_be_positive_and_ascending() {
    for bounds in [vec![], vec![1.0, 1.0], vec![2.0, 1.0], vec![0.0, 1.0], vec![f64::NAN], vec![1.0, f64::INFINITY]] {
        let error = Metrics::new(&MetricsOptions { time_buckets: bounds, ..options() }).unwrap_err();
        assert!(error.to_string().contains("must be positive, finite and ascending"), "{error}");
    }
}

#[test]
fn families_parse_with_and_without_prefix() {
    for family in Family::ALL {
        assert_eq!(family.name().parse(), Ok(family));
        assert_eq!(family.name().strip_prefix("nginx_ingress_controller_").unwrap().parse(), Ok(family));
    }
    let error = "latency".parse::<Family>().unwrap_err();
    assert!(
        error.to_string().starts_with("`latency` is no request metric; there are requests, request_duration_seconds")
    );
}

#[test]
fn workers_count_together_without_losing_a_request() {
    let metrics = metrics(options());
    let snapshot = snapshot([route("a.example", "/")]);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (metrics, snapshot) = (&metrics, &snapshot);
            scope.spawn(move || {
                for at in 0..500 {
                    ask(metrics, snapshot, "GET", "a.example", "/", 200 + (at + worker) % 10);
                }
            });
        }
        for _ in 0..20 {
            metrics.retain(&snapshot);
            metrics.render();
        }
    });
    assert_eq!(metrics.requests_total(), 2_000);
    let counts = samples(&metrics, "nginx_ingress_controller_request_duration_seconds_count");
    let sum: u64 = counts.iter().map(|sample| sample.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!((counts.len(), sum), (10, 2_000));
}

#[test]
fn what_a_canary_took_is_counted_under_its_name() {
    let metrics = metrics(MetricsOptions { per_host: false, ..options() });
    let snapshot = snapshot([route("shop.example.com", "/path")]);
    let RouteMatch::Route(_, taker) = snapshot.routes.find("shop.example.com", b"/path") else { panic!("no route") };
    let ask = |canary: Option<&str>| {
        let mut finished = Finished::default();
        if let (Some(name), Some(backend)) = (canary, &mut finished.backend) {
            backend.name = name.into();
            finished.main = Some(fixture::backend());
        }
        finished.with(|record| metrics.record(&RequestRecord { route: Some(taker), ..*record }));
    };
    for canary in [None, Some("next"), Some("next"), Some("third"), Some("next"), None, None] {
        ask(canary);
    }
    let counts = |name: &str| {
        let all = samples(&metrics, "nginx_ingress_controller_requests");
        let label = format!("canary=\"{name}\"");
        all.iter()
            .filter(|line| line.contains(&label))
            .map(|line| line.rsplit(' ').next().unwrap().to_owned())
            .collect()
    };
    let of = |name: &str| -> Vec<String> { counts(name) };
    assert_eq!((of(""), of("next"), of("third")), (vec!["3".into()], vec!["3".into()], vec!["1".into()]));
    assert_eq!(metrics.requests_total(), 7);
    // They stay for as long as the route does.
    metrics.retain(&snapshot);
    assert_eq!(of("next"), ["3"]);
    drop(snapshot);
    metrics.retain(&Snapshot::empty(Settings::default()));
    metrics.retain(&Snapshot::empty(Settings::default()));
    assert_eq!(of("next"), [""; 0]);
    assert_eq!(metrics.requests_total(), 7);
}
