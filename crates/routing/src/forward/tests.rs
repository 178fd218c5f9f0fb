#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::fixture::{Head, downstream};

/// `use-forwarded-headers`, believed from everybody as ingress-nginx does.
fn believing() -> Settings {
    Settings {
        use_forwarded_headers: true,
        trusted: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        ..Settings::default()
    }
}

/// `enable-real-ip` with only the client's network trusted.
fn real_ip() -> Settings {
    Settings { enable_real_ip: true, trusted: vec!["10.201.100.0/24".parse().unwrap()], ..Settings::default() }
}

/// What the upstream is told, by header; headers that are removed are left out.
fn told<'s>(tls: bool, settings: &'s Settings, head: &Head) -> BTreeMap<&'s str, String> {
    let downstream = downstream(tls);
    let forwarded = Forwarded::of(&downstream, head, settings);
    let mut headers = BTreeMap::new();
    edit_upstream_headers(&forwarded, head, settings, downstream.client, b"0123", |edit| match edit {
        Edit::Set(name, value) => {
            headers.insert(name, String::from_utf8(value.to_vec()).unwrap());
        }
        Edit::Remove(name) => {
            headers.remove(name);
        }
        Edit::Append(name, _) => panic!("{name} is added"),
    });
    headers
}

/// Compares all headers: the five columns are host, client, port, scheme and the original forwarded-for.
fn assert_told(tls: bool, settings: &Settings, head: &Head, [host, client, port, scheme, original]: [&str; 5]) {
    let mut expected = BTreeMap::from([
        ("host", host),
        ("x-request-id", "0123"),
        ("x-real-ip", client),
        ("x-forwarded-for", client),
        ("x-forwarded-host", host),
        ("x-forwarded-port", port),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-scheme", scheme),
        ("x-scheme", scheme),
        ("x-original-forwarded-for", original),
    ]);
    let original_host = head.header("x-forwarded-host").map(|host| String::from_utf8_lossy(host).into_owned());
    expected.extend(original_host.iter().map(|host| ("x-original-forwarded-host", host.as_str())));
    expected.retain(|_, value| !value.is_empty());
    let told = told(tls, settings, head);
    let told: BTreeMap<_, _> = told.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(told, expected, "{head:?}");
}

/// A client that claims everything.
fn liar() -> Head {
    Head::get("c.test", "/")
        .with("x-forwarded-for", "1.2.3.4")
        .with("x-forwarded-proto", "https")
        .with("x-forwarded-host", "evil.test")
        .with("x-forwarded-port", "444")
        .with("x-forwarded-scheme", "https")
        .with("x-scheme", "q")
        .with("x-real-ip", "9.9.9.9")
        .with("proxy", "http://evil.test")
}

#[test]
fn nobody_is_believed_by_default() {
    let settings = Settings::default();
    assert_told(false, &settings, &liar(), ["c.test", "10.201.100.1", "80", "http", "1.2.3.4"]);
    assert_told(true, &settings, &liar(), ["c.test", "10.201.100.1", "443", "https", "1.2.3.4"]);
    let with_port = Head::get("c.test:8080", "/");
    assert_told(false, &settings, &with_port, ["c.test:8080", "10.201.100.1", "80", "http", ""]);
    let shouting = Head::get("C.TEST", "/");
    assert_told(false, &settings, &shouting, ["C.TEST", "10.201.100.1", "80", "http", ""]);
}

#[test]
fn without_trusted_networks_the_switches_believe_nobody() {
    for settings in [believing(), real_ip()] {
        let settings = Settings { trusted: vec!["192.0.2.0/24".parse().unwrap()], ..settings };
        assert_told(false, &settings, &liar(), ["c.test", "10.201.100.1", "80", "http", "1.2.3.4"]);
    }
}

#[test]
fn forwarded_headers_of_trusted_clients_are_believed_literally() {
    let settings = believing();
    let head = || Head::get("c135.test", "/");
    let peer = "10.201.100.1";
    assert_told(false, &settings, &liar(), ["evil.test", "1.2.3.4", "444", "https", "1.2.3.4"]);
    assert_told(false, &settings, &head(), ["c135.test", peer, "80", "http", ""]);
    let plain = head().with("x-forwarded-proto", "http");
    assert_told(true, &settings, &plain, ["c135.test", peer, "443", "http", ""]);
    let list = head().with("x-forwarded-host", "c135.test, b.test").with("x-forwarded-for", "garbage");
    assert_told(false, &settings, &list, ["c135.test", peer, "80", "http", "garbage"]);
    let proto = head().with("x-forwarded-proto", "HTTPS, http");
    assert_told(false, &settings, &proto, ["c135.test", peer, "80", "HTTPS, http", ""]);
    let empty = head().with("x-forwarded-proto", "").with("x-forwarded-host", "").with("x-forwarded-port", "");
    assert_told(false, &settings, &empty, ["c135.test", peer, "80", "http", ""]);
}

#[test]
fn real_ip_believes_the_address_and_nothing_else() {
    let settings = real_ip();
    assert_told(false, &settings, &liar(), ["c.test", "1.2.3.4", "80", "http", "1.2.3.4"]);
    assert_told(true, &settings, &liar(), ["c.test", "1.2.3.4", "443", "https", "1.2.3.4"]);
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
    let peer = "10.201.100.1";
    for (values, everybody_trusted, neighbours_trusted) in [
        (vec!["1.2.3.4, 10.0.0.1"], "1.2.3.4", "10.0.0.1"),
        (vec!["1.2.3.4", "5.6.7.8"], "1.2.3.4", "5.6.7.8"),
        (vec!["2001:db8::1"], "2001:db8::1", "2001:db8::1"),
        (vec!["[2001:db8::1]:4711"], "2001:db8::1", "2001:db8::1"),
        (vec!["[2001:db8::1]"], "2001:db8::1", "2001:db8::1"),
        (vec!["1.2.3.4:4711"], "1.2.3.4", "1.2.3.4"),
        (vec![" 1.2.3.4 ,10.201.100.7 "], "1.2.3.4", "1.2.3.4"),
        (vec!["6.6.6.6, 1.2.3.4, 10.201.100.7"], "6.6.6.6", "1.2.3.4"),
        (vec!["10.201.100.9"], "10.201.100.9", "10.201.100.9"),
        (vec!["garbage"], peer, peer),
        (vec!["1.2.3.4, garbage"], peer, peer),
        (vec!["garbage, 1.2.3.4"], "1.2.3.4", "1.2.3.4"),
        (vec![""], peer, peer),
        (vec![], peer, peer),
    ] {
        let head = values.iter().fold(Head::get("c.test", "/"), |head, value| head.with("x-forwarded-for", value));
        for (settings, expected) in [(believing(), everybody_trusted), (real_ip(), neighbours_trusted)] {
            let client = Forwarded::of(&downstream(false), &head, &settings).client;
            assert_eq!(client.to_string(), expected, "{values:?}");
        }
    }
}

#[test]
fn the_header_of_the_client_address_can_have_another_name() {
    let settings = Settings { forwarded_for: "cf-connecting-ip".into(), ..real_ip() };
    let head = Head::get("c.test", "/").with("cf-connecting-ip", "1.2.3.4").with("x-forwarded-for", "5.6.7.8");
    assert_told(false, &settings, &head, ["c.test", "1.2.3.4", "80", "http", "1.2.3.4"]);
}

#[test]
fn several_forwarded_for_headers_become_one_original() {
    let head = Head::get("c.test", "/").with("x-forwarded-for", "1.2.3.4").with("x-forwarded-for", "5.6.7.8");
    assert_told(false, &believing(), &head, ["c.test", "1.2.3.4", "80", "http", "1.2.3.4, 5.6.7.8"]);
}

#[test]
fn the_full_forwarded_for_is_the_clients_list_and_its_address() {
    let settings = Settings { compute_full_forwarded_for: true, ..believing() };
    for (sent, expected) in [
        (Some("1.2.3.4, 5.6.7.8"), "1.2.3.4, 5.6.7.8, 10.201.100.1"),
        (Some(""), "10.201.100.1"),
        (None, "10.201.100.1"),
    ] {
        let head = Head::get("c.test", "/");
        let head = sent.iter().fold(head, |head, value| head.with("x-forwarded-for", value));
        assert_eq!(told(false, &settings, &head)["x-forwarded-for"], expected);
    }
}

#[test]
fn the_full_forwarded_for_is_for_clients_whose_headers_are_believed() {
    for settings in [
        Settings::default(),
        Settings { use_forwarded_headers: true, ..Settings::default() },
        Settings { use_forwarded_headers: false, ..believing() },
        Settings { trusted: vec!["192.0.2.0/24".parse().unwrap()], ..believing() },
    ] {
        let settings = Settings { compute_full_forwarded_for: true, ..settings };
        assert_eq!(told(false, &settings, &liar())["x-forwarded-for"], "10.201.100.1", "{settings:?}");
    }
}

#[test]
fn a_request_without_a_host_forwards_none() {
    let head = Head { authority: None, http10: true, ..Head::get("", "/") };
    assert_told(false, &Settings::default(), &head, ["", "10.201.100.1", "80", "http", ""]);
}

#[test]
fn a_host_is_fit_for_a_url_without_its_port_or_not_at_all() {
    for (host, expected) in [
        ("fh.test:99", "fh.test"),
        ("fh.test", "fh.test"),
        ("[::1]:8443", "[::1]"),
        ("[::1", ""),
        ("a b", ""),
        ("a/b", ""),
        ("user@a", ""),
        ("", ""),
    ] {
        let head = Head::get("c.test", "/").with("x-forwarded-host", host);
        let mut forwarded = Forwarded::of(&downstream(false), &head, &believing());
        forwarded.host = host.as_bytes().into();
        assert_eq!(forwarded.host_without_port(), expected, "{host}");
    }
}

#[test]
fn names_that_an_upstream_could_fold_into_others_are_not_forwarded() {
    for believed in [false, true] {
        for name in ["x-custom", "accept", "x1", "via"] {
            assert!(is_forwardable(name.as_bytes(), believed), "{name}");
        }
        for name in ["under_score", "x.dot", "bad@name", "bad name", "x\u{e9}", "ssl_client_verify"] {
            assert!(!is_forwardable(name.as_bytes(), believed), "{name}");
        }
    }
}

#[test]
fn other_names_pass_where_the_settings_let_them_and_never_those_of_proxies() {
    use FieldNames::{Any, Plain, Underscores};
    for (name, least) in
        [("x_a", Some(Underscores)), ("X_A", Some(Underscores)), ("x.a_b", Some(Any)), ("x@a", Some(Any))]
    {
        for names in [Plain, Underscores, Any] {
            let is_let = names == Any || least == Some(Underscores) && names == Underscores;
            assert_eq!(names.let_pass(name.as_bytes()), is_let, "{name} {names:?}");
        }
    }
    for name in
        ["x-a", "x-forwarded-for", "x_forwarded-for", "X.Forwarded_Proto", "ssl_client_verify", "True_Client_IP"]
    {
        assert!(!Any.let_pass(name.as_bytes()), "{name}");
    }
    assert_eq!(folded(b"X_Real.IP"), b"x-real-ip");
}

#[test]
fn only_who_is_believed_speaks_for_its_clients() {
    for name in [
        "forwarded",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-client-ip",
        "true-client-ip",
        "ssl-client-verify",
        "ssl-client-subject-dn",
    ] {
        assert!(!is_forwardable(name.as_bytes(), false), "{name}");
        assert!(is_forwardable(name.as_bytes(), true), "{name}");
    }
}

proptest! {
    #[test]
    fn an_address_prints_as_it_does_elsewhere(v4 in any::<[u8; 4]>(), v6 in any::<[u16; 8]>()) {
        for address in [IpAddr::from(v4), IpAddr::from(v6)] {
            let text = address.to_string();
            let written = AddressText::new(address);
            prop_assert_eq!(written.as_bytes(), text.as_bytes());
            prop_assert_eq!(parse_address(&text), Some(address));
        }
    }

    #[test]
    fn no_claim_of_a_client_panics(value in any::<Vec<u8>>(), authority in any::<String>()) {
        let mut head = Head::get(&authority, "/");
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"] {
            head.headers.push((name.to_owned(), value.clone()));
        }
        for settings in [believing(), real_ip(), Settings { compute_full_forwarded_for: true, ..believing() }] {
            let forwarded = Forwarded::of(&downstream(false), &head, &settings);
            let _ = forwarded.host_without_port();
            edit_upstream_headers(&forwarded, &head, &settings, forwarded.client, b"0", |_| {});
        }
    }
}
