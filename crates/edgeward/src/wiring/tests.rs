#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::configuration::{MetricFamily, Network, Period};

#[test]
fn the_defaults_are_those_of_the_proxy_and_the_controller() {
    let configuration = Configuration::default();
    assert_eq!(engine_options(&configuration), EngineOptions::default());
    let in_cluster = Configuration { source: Source::Kubernetes, ..Configuration::default() };
    assert_eq!(engine_options(&in_cluster), EngineOptions { allow_loopback: false, ..EngineOptions::default() });
    assert_eq!(drain_options(&configuration, None), DrainOptions::default());
    let metrics = metrics_options(&configuration);
    let expected = MetricsOptions::default();
    assert_eq!((metrics.families, metrics.time_buckets), (expected.families, expected.time_buckets));
    let listener = listener_options(&configuration, u64::MAX);
    let expected = ListenerOptions::default();
    assert_eq!(
        (listener.max_connections, listener.max_connections_per_client, listener.backlog),
        (expected.max_connections, expected.max_connections_per_client, expected.backlog)
    );
    let options = controller_options(&configuration, None);
    assert_eq!(format!("{options:?}"), format!("{:?}", translate::Options::for_directory()));
}

#[test]
fn port_zero_switches_a_listener_off() {
    let configuration = Configuration { http_port: 0, https_port: 8443, ..Configuration::default() };
    let options = listener_options(&configuration, 1024);
    assert!(options.http.is_empty());
    assert!(options.https.iter().all(|address| address.port() == 8443));
}

#[test]
fn an_address_that_was_asked_for_is_never_left_out() {
    let configuration =
        Configuration { bind_address: vec![Ipv6Addr::LOCALHOST.into()], http_port: 8080, ..Configuration::default() };
    let options = listener_options(&configuration, 1024);
    assert_eq!(options.http, [SocketAddr::from((Ipv6Addr::LOCALHOST, 8080))]);
}

#[test]
fn a_cap_on_connections_that_was_asked_for_wins_over_the_limit_on_files() {
    let configuration = Configuration { max_connections: 5, ..Configuration::default() };
    assert_eq!(listener_options(&configuration, 1_000_000).max_connections, 5);
}

#[test]
fn options_reach_their_side() {
    let configuration = Configuration {
        use_proxy_protocol: true,
        proxy_protocol_trusted: vec!["10.0.0.0/8".parse::<Network>().unwrap()],
        upgraded_timeout: Period::seconds(7),
        retry_budget: 3,
        exclude_socket_metrics: vec!["request_size".parse::<MetricFamily>().unwrap()],
        access_log_path: "/tmp/access.log".to_owned(),
        compatibility: Compatibility::Strict,
        ..Configuration::default()
    };
    let proxy_protocol = controller_options(&configuration, None).proxy_protocol;
    assert!(proxy_protocol.enabled && proxy_protocol.trusted.len() == 1);
    let engine = engine_options(&configuration);
    assert_eq!((engine.upgraded_idle.as_secs(), engine.retry_percent), (7, 3));
    let families = metrics_options(&configuration).families;
    assert!(!families.contains(&Family::RequestSize) && families.contains(&Family::BytesSent));
    assert_eq!(access_log_destination(&configuration), AccessLogDestination::File("/tmp/access.log".into()));
    assert!(controller_options(&configuration, None).is_strict());
}
