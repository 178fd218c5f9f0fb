#![allow(clippy::unwrap_used, reason = "a test may panic")]

use base64::Engine;
use proptest::prelude::*;

use super::*;
use crate::fixture::{Head, downstream};
use crate::settings::Settings;

fn text(template: &str, head: &Head) -> String {
    let forwarded = Forwarded::of(&downstream(true), head, &Settings::default());
    let mut out = Vec::new();
    template.parse::<Template>().unwrap().write(&forwarded, head, "id", &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn variables_have_nginx_meaning() {
    let head = Head::get("Shop.TEST.:8443", "/a%20b/../c/d?X=1&y=2&y=3&z")
        .with("x-user", "ann")
        .with("cookie", "a=1; B=2; c = 3;bb=4")
        .with("cookie", "d=5;e")
        .method("POST");
    for (template, expected) in [
        ("$host", "shop.test"),
        ("$http_host", "Shop.TEST.:8443"),
        ("$request_uri", "/a%20b/../c/d?X=1&y=2&y=3&z"),
        ("$uri", "/c/d"),
        ("$document_uri", "/c/d"),
        ("$args", "X=1&y=2&y=3&z"),
        ("$query_string", "X=1&y=2&y=3&z"),
        ("$remote_addr", "10.201.100.1"),
        ("$binary_remote_addr", "10.201.100.1"),
        ("$scheme", "https"),
        ("$request_method", "POST"),
        ("$http_x_user", "ann"),
        ("$http_X_User", "ann"),
        ("$http_missing", ""),
        ("$cookie_a", "1"),
        ("$cookie_b", "2"),
        ("$cookie_BB", "4"),
        ("$cookie_c", "3"),
        ("$cookie_d", "5"),
        ("$cookie_e", ""),
        ("$arg_x", "1"),
        ("$arg_y", "2"),
        ("$arg_z", ""),
        ("$arg_missing", ""),
        ("plain", "plain"),
        ("${host}x-$uri-$scheme.", "shop.testx-/c/d-https."),
        ("$scheme$request_method", "httpsPOST"),
    ] {
        assert_eq!(text(template, &head), expected, "{template}");
    }
}

/// All variables.
const VARIABLES: [&str; 18] = [
    "host",
    "http_host",
    "request_uri",
    "uri",
    "document_uri",
    "args",
    "remote_addr",
    "scheme",
    "request_method",
    "escaped_request_uri",
    "best_http_host",
    "request_id",
    "remote_user",
    "server_port",
    "http_x_any",
    "http_authorization",
    "cookie_a",
    "arg_a",
];

#[test]
fn decoded_line_ends_are_no_part_of_a_field() {
    // The user is `root\r\nX-Admin`.
    let head = Head::get("a.test", "/a%0d%0aX-Admin:%201%7f").with("authorization", "Basic cm9vdA0KWC1BZG1pbjogMTp4");
    let forwarded = Forwarded::of(&downstream(true), &head, &Settings::default());
    for (template, expected) in [
        ("$uri", "/aX-Admin: 1"),
        ("[${document_uri}]", "[/aX-Admin: 1]"),
        ("$remote_user", "rootX-Admin"),
        ("a\nb\tc", "ab\tc"),
    ] {
        let value = template.parse::<Template>().unwrap().field_value(&forwarded, &head, "id");
        assert_eq!(String::from_utf8(value).unwrap(), expected, "{template:?}");
    }
}

#[test]
fn a_request_without_what_is_asked_gives_empty_text() {
    let head = Head { authority: None, http10: true, ..Head::get("", "/%zz") };
    assert_eq!(text("[$host][$uri][$args][$http_host]", &head), "[][][][]");
}

#[test]
fn a_wrong_template_says_what_is_wrong() {
    let unknown = |name: &str| ParseTemplateError::UnknownVariable(name.to_owned());
    for (template, expected) in [
        ("", ParseTemplateError::Empty),
        ("$", ParseTemplateError::NoName(0)),
        ("a$", ParseTemplateError::NoName(1)),
        ("$host$", ParseTemplateError::NoName(5)),
        ("a$-b", ParseTemplateError::NoName(1)),
        ("${}", ParseTemplateError::NoName(0)),
        ("x${host", ParseTemplateError::NoName(1)),
        ("${cookie_a-b}", ParseTemplateError::NoName(0)),
        ("$\u{e9}", ParseTemplateError::NoName(0)),
        ("$hostname", unknown("hostname")),
        ("$http_", unknown("http_")),
        ("$cookie_", unknown("cookie_")),
        ("$arg_", unknown("arg_")),
        ("$1", unknown("1")),
    ] {
        assert_eq!(template.parse::<Template>(), Err(expected), "{template:?}");
    }
}

#[test]
fn braces_are_printed_only_where_they_are_needed() {
    for (template, expected) in [
        ("${host}", "$host"),
        ("${host}/x", "$host/x"),
        ("${host}x", "${host}x"),
        ("${http_x_user}_1", "${http_x_user}_1"),
        ("${scheme}${uri}", "$scheme$uri"),
        ("$document_uri$query_string", "$uri$args"),
    ] {
        assert_eq!(template.parse::<Template>().unwrap().to_string(), expected, "{template}");
    }
}

/// Texts that are mostly templates.
fn templates() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "$host",
        "${host}",
        "$uri",
        "$args",
        "$binary_remote_addr",
        "$http_x_user",
        "${http_X_b}",
        "${cookie_Sid}",
        "$arg_q",
        "a",
        "_",
        "-",
        "/",
        "{",
        "}",
        " ",
        "\u{e9}",
        "$",
        "${",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_template_prints_as_it_parses(text in templates()) {
        if let Ok(template) = text.parse::<Template>() {
            prop_assert_eq!(template.to_string().parse::<Template>(), Ok(template));
        }
    }

    #[test]
    fn no_variable_brings_a_control_character_into_a_field(
        path in prop::collection::vec(1_u8.., 0..16),
        user in prop::collection::vec(any::<u8>(), 0..16),
    ) {
        let target: String = "/x".chars().chain(path.iter().flat_map(|byte| format!("%{byte:02x}").chars().collect::<Vec<_>>())).collect();
        let credentials = base64::engine::general_purpose::STANDARD.encode([&user[..], b":x"].concat());
        let head = Head::get("a.test", &format!("{target}?a={target}"))
            .with("authorization", &format!("Basic {credentials}"))
            .with("x-any", "a\tb")
            .with("cookie", "a=b");
        let forwarded = Forwarded::of(&downstream(false), &head, &Settings::default());
        for name in VARIABLES {
            let template: Template = format!("a${{{name}}}b").parse().unwrap();
            let value = template.field_value(&forwarded, &head, "id");
            prop_assert!(value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control()), "{name}: {value:?}");
        }
    }

    #[test]
    fn parsing_and_writing_never_panic(text in any::<String>(), target in any::<String>(), cookie in any::<String>()) {
        let _ = text.parse::<Template>();
        let head = Head::get(&text, &target).with("cookie", &cookie);
        let forwarded = Forwarded::of(&downstream(false), &head, &Settings::default());
        let template: Template = "$host$http_host$uri$args$cookie_a$arg_b$http_cookie".parse().unwrap();
        template.write(&forwarded, &head, "id", &mut Vec::new());
    }
}
