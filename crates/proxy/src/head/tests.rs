#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_routing::decide::RequestHead as _;

use super::*;

fn request(text: &str) -> RequestHead {
    RequestHead::new(BytesMut::from(text.as_bytes()))
}

#[test]
fn a_request_is_taken_apart() {
    let head = request("POST /a?b HTTP/1.1\r\nHost: x.test:80\r\nX-A:  one \t\r\nx-a:two\r\nEmpty:\r\n\r\n");
    assert_eq!((head.method(), head.target(), head.is_http11()), ("POST", "/a?b", true));
    assert_eq!(head.authority(), Some("x.test:80"));
    assert_eq!(head.header_values("x-a").collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(head.header("empty"), Some(&b""[..]));
    assert_eq!(head.header("b"), None);
    let names: Vec<_> = head.fields().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
    assert_eq!(names, ["Host", "X-A", "x-a", "Empty"]);
    assert_eq!(head.length(), head.into_bytes().len());
}

#[test]
fn lines_may_end_without_a_carriage_return() {
    let head = request("GET / HTTP/1.0\nHost: x\n\n");
    assert_eq!((head.is_http11(), head.requires_authority(), head.authority()), (false, false, Some("x")));
}

#[test]
fn the_body_is_known_from_the_head() {
    for (fields, body) in [
        ("", BodyLength::Bytes(0)),
        ("Content-Length: 12\r\n", BodyLength::Bytes(12)),
        ("transfer-encoding: Chunked\r\n", BodyLength::Chunked),
    ] {
        assert_eq!(request(&format!("PUT / HTTP/1.1\r\n{fields}\r\n")).body(), body, "{fields}");
    }
}

#[test]
fn a_target_names_a_host_and_a_path() {
    for (target, authority, origin_form) in [
        ("/a/b?c", Some("host"), "/a/b?c"),
        ("/a?u=http://x/", Some("host"), "/a?u=http://x/"),
        ("*", Some("host"), "*"),
        ("http://other/a?b", Some("other"), "/a?b"),
        ("http://other:81", Some("other:81"), "/"),
        ("https://other?a=/b", Some("other"), "/?a=/b"),
    ] {
        let head = request(&format!("GET {target} HTTP/1.1\r\nHost: host\r\n\r\n"));
        assert_eq!(head.authority(), authority, "{target}");
        assert_eq!(head.origin_form().concat(), origin_form.as_bytes(), "{target}");
    }
}

#[test]
fn a_response_is_taken_apart_once_it_is_whole() {
    let text = b"HTTP/1.0 404 Not Here\r\nX-A: 1\r\nX-a: 2\r\n\r\nbody";
    for length in 0..text.len() - 4 {
        assert!(ResponseHead::parse(&text[..length]).unwrap().is_none(), "{length}");
    }
    let head = ResponseHead::parse(text).unwrap().unwrap();
    assert_eq!((head.status, head.is_http11, head.length), (404, false, text.len() - 4));
    assert_eq!(head.reason(text), b"Not Here");
    assert_eq!(head.values(text, b"x-a").collect::<Vec<_>>(), [b"1", b"2"]);
    let bare = b"HTTP/1.1 200\r\n\r\n";
    assert_eq!(ResponseHead::parse(bare).unwrap().unwrap().reason(bare), b"");
}

#[test]
fn what_is_no_response_is_an_error() {
    for text in [
        "nonsense",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n",
    ] {
        assert!(ResponseHead::parse(text.as_bytes()).is_err(), "{text}");
    }
    let many = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(ResponseHead::parse(many(MAX_FIELDS).as_bytes()).unwrap().is_some());
    assert!(ResponseHead::parse(many(MAX_FIELDS + 1).as_bytes()).is_err());
}

#[test]
fn a_list_has_elements() {
    let list: Vec<_> = elements(b" a ,, b,\t").collect();
    assert_eq!(list, [b"a", b"b"]);
}
