#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> HostPattern {
    text.parse().unwrap()
}

#[test]
fn a_rule_host_is_exact_one_label_wildcard_or_any() {
    for (text, expected) in [
        ("shop.test", HostPattern::Exact("shop.test".into())),
        ("SHOP.Test", HostPattern::Exact("shop.test".into())),
        ("shop.test.", HostPattern::Exact("shop.test".into())),
        ("under_score.test", HostPattern::Exact("under_score.test".into())),
        ("localhost", HostPattern::Exact("localhost".into())),
        ("*.shop.test", HostPattern::Wildcard("shop.test".into())),
        ("*.test", HostPattern::Wildcard("test".into())),
        ("", HostPattern::Any),
    ] {
        assert_eq!(pattern(text), expected, "{text}");
    }
}

#[test]
fn a_wrong_rule_host_says_what_is_wrong() {
    let label = |text: &str| ParseHostError::BadLabel(text.to_owned());
    for (text, expected) in [
        (".", label("")),
        ("a..b", label("")),
        (".shop.test", label("")),
        ("shop test", label("shop test")),
        ("shop.test:80", label("test:80")),
        ("caf\u{e9}.test", label("caf\u{e9}")),
        ("*", ParseHostError::BadWildcard),
        ("*.", ParseHostError::BadWildcard),
        ("a.*.test", ParseHostError::BadWildcard),
        ("*a.test", ParseHostError::BadWildcard),
        ("*.*.test", ParseHostError::BadWildcard),
        ("10.0.0.1", ParseHostError::IpAddress),
        ("::1", ParseHostError::IpAddress),
    ] {
        assert_eq!(text.parse::<HostPattern>(), Err(expected), "{text}");
    }
    assert_eq!("a".repeat(64).parse::<HostPattern>(), Err(label(&"a".repeat(64))));
    assert_eq!(["a.".repeat(126).as_str(), "ab"].concat().parse::<HostPattern>(), Err(ParseHostError::TooLong));
}

#[test]
fn a_wildcard_covers_exactly_one_label() {
    for (rule, host, expected) in [
        ("*.foo.com", "bar.foo.com", true),
        ("*.foo.com", "baz.bar.foo.com", false),
        ("*.foo.com", "foo.com", false),
        ("*.foo.com", ".foo.com", false),
        ("foo.com", "foo.com", true),
        ("foo.com", "bar.foo.com", false),
        ("", "anything.test", true),
        ("", "", true),
    ] {
        assert_eq!(pattern(rule).matches(host), expected, "{rule} {host}");
    }
}

#[test]
fn a_pattern_covers_what_all_its_hosts_match() {
    for (wide, narrow, expected) in [
        ("", "*.foo.com", true),
        ("*.foo.com", "bar.foo.com", true),
        ("*.foo.com", "*.foo.com", true),
        ("*.foo.com", "*.bar.foo.com", false),
        ("*.foo.com", "", false),
        ("bar.foo.com", "*.foo.com", false),
    ] {
        assert_eq!(pattern(wide).covers(&pattern(narrow)), expected, "{wide} over {narrow}");
    }
}

#[test]
fn an_authority_loses_case_port_and_trailing_dot() {
    for (authority, host) in [
        ("c001.test", "c001.test"),
        ("c001.test:80", "c001.test"),
        ("c001.test:8080", "c001.test"),
        ("c001.test:", "c001.test"),
        ("C001.TEST", "c001.test"),
        ("c001.test.", "c001.test"),
        ("c001.test.:80", "c001.test"),
        ("10.201.255.1", "10.201.255.1"),
        ("[2001:DB8::1]:8443", "[2001:db8::1]"),
        ("a_b~c", "a_b~c"),
        // nginx takes it, and no rule can name it.
        (".a.test", ".a.test"),
    ] {
        assert_eq!(Host::normalize(authority).unwrap().as_str(), host, "{authority}");
    }
}

#[test]
fn a_malformed_authority_is_refused() {
    for authority in [
        "",
        ".",
        ":80",
        "a b",
        "a/b",
        "a\\b",
        "a,b",
        "user@host",
        "host:port",
        "host:123456",
        "host:1:2",
        "h\u{e9}",
        "a\0b",
        "[::1",
        "[::1]x",
        "[gg]",
        "[]",
        "::1",
        "%61.test",
        "a..test",
        "a.test..",
        "a.test..:80",
        "..",
    ] {
        assert_eq!(Host::normalize(authority), None, "{authority:?}");
    }
    assert_eq!(Host::normalize(&"a".repeat(MAX_HOST + 1)), None);
}

proptest! {
    #[test]
    fn normalize_never_panics_and_gives_lower_case_without_a_port(authority in any::<String>()) {
        if let Some(host) = Host::normalize(&authority) {
            let host = host.as_str();
            prop_assert!(!host.is_empty() && host.len() <= MAX_HOST);
            prop_assert!(host.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()));
            prop_assert!(host.starts_with('[') || !host.contains(':'));
        }
    }

    #[test]
    fn normalize_is_idempotent(authority in "[A-Za-z0-9._~-]{1,20}(:[0-9]{0,5})?|\\[[0-9a-fA-F:]{2,12}\\](:[0-9]{1,5})?") {
        if let Some(host) = Host::normalize(&authority) {
            let again = Host::normalize(host.as_str());
            prop_assert_eq!(again.as_ref().map(Host::as_str), Some(host.as_str()));
        }
    }

    #[test]
    fn a_rule_host_prints_as_it_parses(text in "(\\*\\.)?[A-Za-z0-9_-]{1,9}(\\.[A-Za-z0-9_-]{1,9}){0,3}\\.?") {
        if let Ok(pattern) = text.parse::<HostPattern>() {
            prop_assert_eq!(pattern.to_string().parse::<HostPattern>(), Ok(pattern));
        }
    }

    #[test]
    fn parsing_a_rule_host_never_panics(text in any::<String>()) {
        let _ = text.parse::<HostPattern>();
    }
}
