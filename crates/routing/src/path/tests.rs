#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

fn normalized(target: &str) -> String {
    String::from_utf8_lossy(NormalizedPath::parse(target).unwrap().as_bytes()).into_owned()
}

#[test]
fn a_path_is_decoded_once_and_loses_dots_and_repeated_slashes() {
    for (target, path) in [
        ("/", "/"),
        ("/foo", "/foo"),
        ("/foo/", "/foo/"),
        ("/foo?a=/../b", "/foo"),
        ("/foo#frag", "/foo"),
        ("/foo#a?b", "/foo"),
        ("//foo///bar", "/foo/bar"),
        ("/./foo", "/foo"),
        ("/foo/.", "/foo/"),
        ("/foo/..", "/"),
        ("/foo/bar/..", "/foo/"),
        ("/my/../my", "/my"),
        ("/foo/../../foo/..", "!"),
        ("/.well-known/x", "/.well-known/x"),
        ("/..foo/.../x", "/..foo/.../x"),
        ("/foo./bar../x", "/foo./bar../x"),
        ("/%6dy", "/my"),
        ("/foo%2Fbar", "/foo/bar"),
        ("/foo/%2e%2E/bar", "/bar"),
        ("/foo%2f%2fbar", "/foo/bar"),
        ("/%252e%252e/x", "/%2e%2e/x"),
        ("/%257Euser", "/%7Euser"),
        ("/a%20b%3Fc%23d", "/a b?c#d"),
        ("/caf%C3%A9", "/caf\u{e9}"),
        ("/caf\u{e9}", "/caf\u{e9}"),
        ("http://other.test/a/../b", "/b"),
        ("HTTPS://other.test/a", "/a"),
        ("http://other.test", "/"),
        ("http://other.test?q=/x", "/"),
        ("*", "/"),
    ] {
        match path {
            "!" => assert_eq!(NormalizedPath::parse(target), Err(BadPath::AboveRoot), "{target}"),
            _ => assert_eq!(normalized(target), path, "{target}"),
        }
    }
}

#[test]
fn what_guard_and_application_could_read_differently_is_refused() {
    for target in [
        "/public/..;/admin",
        "/.;x/admin",
        "/public/%2e.%3b/admin",
        "/public/..\\admin",
        "/public\\../admin",
        "/public/..%5cadmin",
        "/admin/..%2fpublic",
        "/admin%2f../public",
        "/admin/..%2f",
        "/admin//../public",
        "/admin//%2e%2e",
        // Whether `x%2fy` is one segment or two, and an empty one is none or one, decides where this leads.
        "/x%2fy/../admin",
        "/public//x/../../admin",
        // Without its parameters a segment is empty.
        "/public/;/../admin/x",
        "/public/;a=b/%2e%2e/admin",
        "/public/%3b/../admin",
        "/;/../admin",
        // A servlet container has `/admin` here: to it a parameter goes on until a slash that is written as one.
        "/;x%2fy/admin",
        "/;x%5cy/admin",
        "/;x\\y/admin",
        "/%3bx%2Fy/admin",
        "/admin;x%2fb/secret",
        "/x;/;y%2f",
        "/a\\b;x/c",
        "/a%5cb%2fc;x",
    ] {
        assert_eq!(NormalizedPath::parse(target), Err(BadPath::Ambiguous), "{target}");
    }
    for (target, path) in [
        ("/a;b=../c", "/a;b=../c"),
        ("/a;v=1/../b", "/b"),
        ("/;/./a", "/;/a"),
        ("/...;/a", "/...;/a"),
        ("/a\\b/%5c", "/a\\b/\\"),
        ("/a%2fb/c.", "/a/b/c."),
        ("/a/../b/", "/b/"),
        ("/a/./;x", "/a/;x"),
        ("//a/./b", "/a/b"),
        ("/a%2fb;c/d", "/a/b;c/d"),
        ("/a;b/c%2fd/e\\f", "/a;b/c/d/e\\f"),
    ] {
        assert_eq!(normalized(target), path, "{target}");
    }
}

#[test]
fn a_path_has_another_reading_where_it_has_parameters_or_backslashes() {
    for (target, read) in [
        ("/admin;x/y", "/admin/y"),
        ("/admin%3Bx=1;y", "/admin"),
        ("/a;/b;c=/d;", "/a/b/d"),
        ("/;x/admin", "/admin"),
        ("/a;x/b/%5Cc", "/a/b/c"),
        ("/a\\\\b\\", "/a/b/"),
    ] {
        let path = NormalizedPath::parse(target).unwrap();
        assert_eq!(path.without_parameters().as_deref(), Some(read.as_bytes()), "{target}");
    }
    assert_eq!(NormalizedPath::parse("/a/b.c?d;e").unwrap().without_parameters(), None);
}

#[test]
fn a_malformed_target_is_refused() {
    for (target, expected) in [
        ("", BadPath::NoPath),
        ("foo", BadPath::NoPath),
        ("foo?x=http://a/b", BadPath::NoPath),
        ("://a/b", BadPath::NoPath),
        ("other.test:443", BadPath::NoPath),
        ("/%", BadPath::BadEncoding),
        ("/%z", BadPath::BadEncoding),
        ("/%zz", BadPath::BadEncoding),
        ("/%4", BadPath::BadEncoding),
        ("/%+1", BadPath::BadEncoding),
        ("/a%00b", BadPath::Nul),
        ("/a\0b", BadPath::Nul),
        ("/..", BadPath::AboveRoot),
        ("/../x", BadPath::AboveRoot),
        ("/a/../../b", BadPath::AboveRoot),
        ("/%2e%2e%2fx", BadPath::Ambiguous),
        ("/a/%2E./../b", BadPath::AboveRoot),
    ] {
        assert_eq!(NormalizedPath::parse(target), Err(expected), "{target}");
    }
}

#[test]
fn a_plain_path_is_borrowed() {
    assert!(matches!(NormalizedPath::parse("/a/b.c/d?e").unwrap().0, Cow::Borrowed(b"/a/b.c/d")));
    assert!(matches!(NormalizedPath::parse("/a//b").unwrap().0, Cow::Owned(_)));
}

#[test]
fn a_rule_path_is_absolute_and_has_no_control_characters() {
    assert_eq!(PathPattern::check("/caf%C3%A9 (.*)$"), Ok(()));
    assert_eq!(PathPattern::check(""), Err(ParsePathError::NotAbsolute));
    assert_eq!(PathPattern::check("foo"), Err(ParsePathError::NotAbsolute));
    assert_eq!(PathPattern::check("/a\nb"), Err(ParsePathError::Control(2)));
    assert_eq!(PathPattern::check("/\u{7f}"), Err(ParsePathError::Control(1)));
}

#[test]
fn a_rule_takes_what_is_written_like_it_only_in_its_normalised_form() {
    for (text, form) in [
        ("/", "/"),
        ("/a/b/", "/a/b/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a?b#c", "/a?b#c"),
        ("/caf%C3%A9", "/caf\u{e9}"),
        ("/a%2Fb", "/a/b"),
        ("/a//b", "/a/b"),
        ("/a/./b/..", "/a/"),
        ("/latin%E9", "/latin%E9"),
        ("/a%0Ab", "/a%0Ab"),
    ] {
        assert_eq!(PathPattern::normalized(text).unwrap(), form, "{text}");
    }
    assert_eq!(PathPattern::normalized("/../a"), Err(BadPath::AboveRoot));
    assert_eq!(PathPattern::normalized("/100%"), Err(BadPath::BadEncoding));
}

/// A path as a careful client would send it: every byte that is not plain is escaped.
fn encode(path: &[u8]) -> String {
    path.iter()
        .map(|b| match b {
            b'/' | b'.' | b'-' | b'_' | b'~' => char::from(*b).to_string(),
            b if b.is_ascii_alphanumeric() => char::from(*b).to_string(),
            b => format!("%{b:02x}"),
        })
        .collect()
}

/// Targets made of the pieces that normalising is about.
fn targets() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "//", ".", "..", "%2e", "%2E", "%2f", "%2F", "%25", "%00", "%", "%c3%a9", "\u{e9}", "a", "b%20", "?", "#",
        "\\", "%5c", ";", "%3b",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn a_normalised_path_stays_below_the_root_and_normalises_to_itself(target in targets()) {
        if let Ok(path) = NormalizedPath::parse(&target) {
            let path = path.as_bytes();
            prop_assert!(path.starts_with(b"/"));
            prop_assert!(!path.contains(&0));
            prop_assert!(path.split(|b| *b == b'/').all(|segment| segment != b"." && segment != b".."));
            prop_assert!(!path.windows(2).any(|pair| pair == b"//"));
            let encoded = encode(path);
            let again = NormalizedPath::parse(&encoded);
            prop_assert_eq!(again.as_ref().map(NormalizedPath::as_bytes), Ok(path));
        }
    }

    #[test]
    fn parameters_are_the_same_whether_they_are_taken_off_before_or_after_decoding(target in targets()) {
        let read = |path: &NormalizedPath<'_>| path.without_parameters().unwrap_or_else(|| path.as_bytes().to_vec());
        if let Ok(path) = NormalizedPath::parse(&target) {
            let raw = path_of(&target).unwrap();
            let off: Vec<_> = raw.split('/').map(|segment| segment.split(';').next().unwrap()).collect();
            let off = off.join("/");
            // In between are those that decode all but slashes.
            let between = raw.replace("%3b", ";");
            let between: Vec<_> = between.split('/').map(|segment| segment.split(';').next().unwrap()).collect();
            for other in [off, between.join("/")] {
                let again = NormalizedPath::parse(&other);
                prop_assert_eq!(again.as_ref().map(read), Ok(read(&path)), "{}", other);
            }
        }
    }

    #[test]
    fn the_fast_way_and_the_slow_way_agree(target in targets()) {
        // An escape that decodes to a plain character at the very end forces the slow way.
        let (path, _) = target.split_at(target.find(['?', '#']).unwrap_or(target.len()));
        let fast = NormalizedPath::parse(path).map(|path| path.as_bytes().to_vec());
        let slow = NormalizedPath::parse(&format!("{path}%61")).map(|path| path.as_bytes().to_vec());
        if is_plain(path.as_bytes()) {
            let mut fast = fast.unwrap();
            fast.push(b'a');
            prop_assert_eq!(Ok(fast), slow);
        }
    }

    #[test]
    fn parsing_never_panics(target in any::<String>()) {
        let _ = NormalizedPath::parse(&target);
        let _ = PathPattern::check(&target);
    }
}
