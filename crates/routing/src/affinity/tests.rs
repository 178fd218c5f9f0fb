use std::time::Duration;

use super::*;
use crate::fixture::Head;

fn affinity(cookie: SessionCookie) -> Affinity {
    Affinity { mode: AffinityMode::Balanced, cookie: Arc::new(cookie), identity: identity("default-s3-80") }
}

/// 2026-11-18 11:27:35.
const NOW: Duration = Duration::from_secs(1_795_001_255);

fn text(cookie: SessionCookie, path: &str, tls: bool, user_agent: Option<&str>) -> String {
    let now = SystemTime::UNIX_EPOCH + NOW;
    let bytes = affinity(cookie).set_cookie("k", path, tls, user_agent.map(str::as_bytes), now);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is behind key and identity.
fn attributes(cookie: SessionCookie) -> String {
    let text = text(cookie, "/foo", false, None);
    text.split_once("; ").map_or_else(String::new, |(_, rest)| rest.to_owned())
}

#[test]
fn a_backend_and_its_endpoints_have_the_names_that_were_recorded() {
    // c261, c262.
    assert_eq!(&*identity("default-s3-80"), "db0d000e91a8cbb236afd09f8f0e6d35");
    for (last, name) in [
        (3, "b999d50eb70f186d44195f978cf30055"),
        (4, "14a51054c433c4d308e3dba330720c5e"),
        (5, "9cb8cd9b29381b8aa5c7ba00031ee792"),
    ] {
        let bytes = endpoint_name("default-s3-80", SocketAddr::from(([10, 201, 0, last], 8080)));
        assert_eq!(hexadecimal(&bytes), name);
        assert_eq!(from_hexadecimal(name.as_bytes()), Some(bytes));
    }
    for bad in ["", "b999", "b999d50eb70f186d44195f978cf3005G", "B999D50EB70F186D44195F978CF30055"] {
        assert_eq!(from_hexadecimal(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn the_cookie_has_the_shape_that_was_recorded() {
    let none = SessionCookie::default;
    let identity = "db0d000e91a8cbb236afd09f8f0e6d35";
    assert_eq!(text(none(), "/foo", false, None), format!("INGRESSCOOKIE=k|{identity}; Path=/foo; HttpOnly"));
    assert_eq!(text(none(), "/", true, None), format!("INGRESSCOOKIE=k|{identity}; Path=/; Secure; HttpOnly"));
    let strict = SessionCookie { is_secure: true, same_site: Some(SameSite::Strict), ..none() };
    assert_eq!(attributes(strict), "Path=/foo; Secure; HttpOnly; SameSite=Strict");
    let all = SessionCookie {
        expires: Some(60),
        max_age: Some(-7),
        domain: Some("a.test".into()),
        path: Some("/two".into()),
        same_site: Some(SameSite::Lax),
        ..none()
    };
    let expected =
        "Expires=Wed, 18 Nov 2026 11:28:35 GMT; Max-Age=-7; Domain=a.test; Path=/two; HttpOnly; SameSite=Lax";
    assert_eq!(attributes(all), expected);
}

#[test]
fn a_date_stays_one_however_far_it_is() {
    for (seconds, year) in [(i64::MAX, " 2126 "), (i64::MIN, " 1970 "), (0, " 2026 "), (-86_400, "17 Nov 2026")] {
        let text = attributes(SessionCookie { expires: Some(seconds), ..SessionCookie::default() });
        assert!(text.contains(year), "{seconds}: {text}");
    }
}

#[test]
fn a_path_that_would_say_more_than_a_path_is_left_out() {
    for (path, expected) in [
        ("/foo(/|$)(.*)", "; Path=/foo(/|$)(.*); HttpOnly"),
        ("/a; Secure", "; HttpOnly"),
        ("/a\r\nx: y", "; HttpOnly"),
        ("/a\u{85}b", "; HttpOnly"),
    ] {
        let text = text(SessionCookie::default(), path, false, None);
        assert!(text.ends_with(&format!("d35{expected}")), "{text}");
    }
}

#[test]
fn old_browsers_are_spared_same_site_none() {
    let none = || SessionCookie { same_site: Some(SameSite::None), ..SessionCookie::default() };
    let sparing = || SessionCookie { spares_old_clients: true, ..none() };
    let chrome = |version: &str| format!("Mozilla/5.0 (X11; Linux x86_64) Chrome/{version} Safari/537.36");
    for (user_agent, misreads) in [
        (chrome("51.0"), true),
        (chrome("66.0"), true),
        (chrome("49.0"), true),
        (chrome("80.0"), false),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 12_4 like Mac OS X)".to_owned(), true),
        ("Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X)".to_owned(), true),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) Version/12.1 Safari/605".to_owned(), true),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) Chrome/90.0 Safari/605".to_owned(), false),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/13 Safari/605".to_owned(), false),
        (String::new(), false),
    ] {
        let said = text(sparing(), "/", true, Some(&user_agent)).contains("SameSite=None");
        assert_eq!(said, !misreads, "{user_agent}");
        assert!(text(none(), "/", true, Some(&user_agent)).contains("SameSite=None"));
    }
    assert!(text(sparing(), "/", true, None).contains("SameSite=None"));
    let lax = SessionCookie { same_site: Some(SameSite::Lax), ..sparing() };
    assert!(text(lax, "/", true, Some(&chrome("51.0"))).contains("SameSite=Lax"));
}

#[test]
fn a_cookie_is_read_by_its_exact_name_and_the_last_counts() {
    let affinity = affinity(SessionCookie::default());
    let own = &affinity.identity;
    let key = |cookie: &str| {
        let head = Head::get("a.test", "/").with("cookie", cookie);
        (affinity.key(&head).map(|key| String::from_utf8_lossy(key).into_owned()), affinity.is_own(&head))
    };
    let some = |key: &str, is_own| (Some(key.to_owned()), is_own);
    assert_eq!(key(&format!("INGRESSCOOKIE=1.2.3|{own}")), some("1.2.3", true));
    assert_eq!(key(&format!("a=b; INGRESSCOOKIE=1|{own} ; c=d")), some("1", true));
    assert_eq!(key("INGRESSCOOKIE=bogus"), some("bogus", false));
    assert_eq!(key("INGRESSCOOKIE=1.2.3.4|deadbeef"), some("1.2.3.4", false));
    assert_eq!(key("INGRESSCOOKIE=1; INGRESSCOOKIE=2"), some("2", false));
    for none in ["INGRESSCOOKIE=", "INGRESSCOOKIE=|", "ingresscookie=1", "INGRESSCOOKIE", "", ";;=", "XINGRESSCOOKIE=1"]
    {
        assert_eq!(key(none), (None, false), "{none}");
    }
    assert_eq!(affinity.key(&Head::get("a.test", "/")), None);
    let two = Head::get("a.test", "/").with("cookie", "INGRESSCOOKIE=1").with("cookie", "INGRESSCOOKIE=2|x");
    assert_eq!(affinity.key(&two), Some(&b"2"[..]));
}

#[test]
fn random_keys_are_all_different() {
    let now = SystemTime::UNIX_EPOCH + NOW;
    let keys: std::collections::BTreeSet<String> = (0..1000).map(|_| random_key(now)).collect();
    assert!(keys.len() == 1000 && keys.iter().all(|key| key.starts_with("1795001255.000.")));
}
