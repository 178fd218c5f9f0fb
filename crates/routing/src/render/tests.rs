use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::backend::{BackendId, Backends};
use crate::endpoint::Endpoint;
use crate::fixture::{backend, endpoint, route};
use crate::route::Route;
use crate::settings::Settings;
use crate::table::RouteTable;

fn routes() -> Vec<Route> {
    let mut shop = route("shop.test", "Prefix /", 1);
    Arc::make_mut(&mut shop.policies).ssl_redirect = SslRedirect::WithCertificate;
    Arc::make_mut(&mut shop.policies).body_size = BodySize(None);
    let mut api = route("shop.test", "Exact /api", 0);
    Arc::make_mut(&mut api.policies).closed = Some("the allow list does not parse".into());
    Arc::make_mut(&mut api.policies).protocol = BackendProtocol::Grpc;
    Arc::make_mut(&mut api.policies).timeouts.read = Duration::from_secs(5);
    let mut fallback = route("*.shop.test", "Prefix /", 0);
    fallback.target = Target::Default;
    fallback.fallback = true;
    vec![shop, api, fallback]
}

fn backends() -> [Arc<Backend>; 2] {
    let hash = LoadBalance::ConsistentHash("$host$uri".parse().expect("a template"));
    let terminating = Endpoint { readiness: Readiness::Terminating, ..endpoint(9) };
    let mut web = backend("web", 1, hash);
    web.slow_start = Duration::from_secs(30);
    web.health_check = Some(HealthCheck {
        probe: Probe::Http { path: "/ok".to_owned(), host: None, expected: (200, 399) },
        port: Some(8081),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    });
    web.endpoints = [endpoint(1), terminating].into();
    [Arc::new(backend("api", 0, LoadBalance::PeakEwma)), Arc::new(web)]
}

fn snapshot(routes: Vec<Route>) -> Snapshot {
    Snapshot {
        generation: 7,
        routes: Arc::new(RouteTable::new(routes, Default::default(), |host| host.to_string() == "shop.test")),
        backends: Arc::new(Backends::new(backends().into())),
        default_backend: Some(BackendId(1)),
        ..Snapshot::empty(Settings::default())
    }
}

#[test]
fn a_rendering_shows_all_that_routing_depends_on() {
    let expected = "\
host shop.test (certificate configured)
  Exact /api -> default-api-80 [closed: the allow list does not parse] [Grpc] [timeouts connect 5s send 60s read 5s]
    Ingress default/web spec.rules[0]
  Prefix / -> default-web-80 [ssl-redirect] [body unlimited]
    Ingress default/web spec.rules[0]
host *.shop.test
  Prefix / -> default backend (fallback)
    Ingress default/web spec.rules[0]
backend default-api-80: peak EWMA
  no endpoints
backend default-web-80: hash of $host$uri, slow start 30s, health check http /ok 200-399 port 8081 every 5s within 1s, \
2 up 3 down
  10.201.0.1:8080
  10.201.0.9:8080 (terminating)
default backend default-web-80
";
    assert_eq!(render(&snapshot(routes())), expected);
}

#[test]
fn the_order_of_building_the_generation_and_health_do_not_show() {
    let one = snapshot(routes());
    let other = snapshot(routes().into_iter().rev().collect());
    let other = Snapshot { generation: 8, ..other };
    for backend in other.backends.all() {
        backend.endpoints.iter().for_each(|endpoint| {
            endpoint.state.set_probe_failing(true);
        });
    }
    assert_eq!(render(&one), render(&other));
}
