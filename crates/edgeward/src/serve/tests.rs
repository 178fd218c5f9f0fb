#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::reload::{differing, merge};
use super::*;
use crate::configuration::{LogLevel, Period};

#[test]
fn a_reload_takes_what_can_change_and_leaves_the_rest() {
    let before = Configuration::default();
    let wanted = Configuration {
        ingress_class: "edge".to_owned(),
        log_level: LogLevel::Debug,
        drain_timeout: Period::seconds(1),
        http_port: 8080,
        access_log_path: "/var/log/edgeward.log".to_owned(),
        ..before.clone()
    };
    let applied = merge(&before, &wanted);
    assert_eq!(differing(&before, &applied), ["drain-timeout", "ingress-class", "log-level"]);
    assert_eq!(differing(&applied, &wanted), ["access-log-path", "http-port"]);
}

#[test]
fn nothing_new_is_no_difference() {
    let before = Configuration::default();
    assert!(differing(&before, &merge(&before, &before)).is_empty());
}

#[test]
fn a_manifest_directory_must_be_there_at_start() {
    let error = check_roots(&["/nonexistent/manifests".into()]).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/manifests") && error.contains("--manifests"), "{error}");
}
