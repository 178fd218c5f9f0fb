#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

#[test]
fn a_body_size_is_digits_with_an_optional_unit_and_zero_is_without_a_limit() {
    for (text, expected) in [
        ("1k", Some(Some(1024))),
        ("1K", Some(Some(1024))),
        ("8m", Some(Some(8 << 20))),
        ("2G", Some(Some(2 << 30))),
        ("1500", Some(Some(1500))),
        ("0", Some(None)),
        ("0m", Some(None)),
        ("18446744073709551615", Some(Some(u64::MAX))),
        ("1x", None),
        ("", None),
        ("m", None),
        ("-1", None),
        ("+1", None),
        ("1 m", None),
        (" 1m", None),
        ("1.5m", None),
        ("1mm", None),
        ("1\u{e9}", None),
        ("18446744073709551616", None),
        ("18446744073709551615k", None),
    ] {
        assert_eq!(BodySize::parse(text).map(|size| size.0), expected, "{text:?}");
    }
}

#[test]
fn a_body_of_exactly_the_limit_is_allowed() {
    let limit = BodySize(Some(1024));
    assert!(limit.allows(0) && limit.allows(1024) && !limit.allows(1025));
    assert!(BodySize(None).allows(u64::MAX));
    assert_eq!(BodySize::default(), BodySize::parse("1m").unwrap());
}

#[test]
fn a_backend_protocol_is_known_by_name_without_case() {
    use BackendProtocol::{AutoHttp, Grpc, Grpcs, Http, Https};
    for (text, protocol, over_http, over_https, http2) in [
        ("HTTP", Http, false, false, false),
        ("https", Https, true, true, false),
        ("Auto_Http", AutoHttp, false, true, false),
        ("GRPC", Grpc, false, false, true),
        ("grpcs", Grpcs, true, true, true),
    ] {
        assert_eq!(BackendProtocol::parse(text), Some(protocol), "{text}");
        assert_eq!(protocol.is_tls(false), over_http, "{text}");
        assert_eq!(protocol.is_tls(true), over_https, "{text}");
        assert_eq!(protocol.is_http2(), http2, "{text}");
    }
    for text in ["FCGI", "", "HTTP ", "http2"] {
        assert_eq!(BackendProtocol::parse(text), None, "{text:?}");
    }
}

#[test]
fn the_defaults_are_those_of_ingress_nginx() {
    let policies = Policies::default();
    assert_eq!(policies.closed, None);
    assert_eq!(policies.ssl_redirect, SslRedirect::Off);
    assert_eq!(policies.body_size, BodySize(Some(1_048_576)));
    assert_eq!(policies.protocol, BackendProtocol::Http);
    let seconds = |timeouts: Timeouts| [timeouts.connect, timeouts.send, timeouts.read].map(|limit| limit.as_secs());
    assert_eq!(seconds(policies.timeouts), [5, 60, 60]);
}

#[test]
fn faults_are_words_and_off_is_none_of_them() {
    for (text, expected) in [
        ("error timeout", Some("error timeout")),
        (" http_404\thttp_500 error ", Some("error http_500 http_404")),
        ("timeout non_idempotent invalid_header", Some("timeout invalid_header non_idempotent")),
        ("error off http_503", Some("off")),
        ("http_501", None),
        ("http_", None),
        ("Error", None),
        ("", None),
    ] {
        assert_eq!(Faults::parse(text).map(|faults| faults.to_string()).as_deref(), expected, "{text:?}");
    }
    let faults = Faults::parse("error http_503").unwrap();
    assert!(faults.contains(Fault::Error) && faults.contains(Fault::Status(503)));
    assert!(!faults.contains(Fault::Timeout) && !faults.contains(Fault::Status(500)) && !faults.has_non_idempotent());
}

#[test]
fn tries_and_time_bound_a_retry() {
    let retry = Retry { tries: 2, seconds: 3, ..Retry::default() };
    let milliseconds = std::time::Duration::from_millis;
    assert!(retry.has_try_left(1, milliseconds(2999)));
    assert!(!retry.has_try_left(2, milliseconds(0)) && !retry.has_try_left(1, milliseconds(3000)));
    assert!(
        Retry::default().has_try_left(2, milliseconds(100_000)) && !Retry::default().has_try_left(3, milliseconds(0))
    );
    assert_eq!([0, 1, 100, 101, u32::MAX].map(Retry::tries_of), [100, 1, 100, 100, 100]);
}

proptest! {
    #[test]
    fn parsing_a_policy_never_panics(text in any::<String>()) {
        let _ = BodySize::parse(&text);
        let _ = BackendProtocol::parse(&text);
        let _ = Faults::parse(&text);
    }
}
