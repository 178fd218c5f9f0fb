#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use edgeward_routing::Snapshot;
use edgeward_routing::decide::Downstream;
use edgeward_routing::settings::Settings;

use super::*;

fn response(fields: &str) -> (ResponseHead, Vec<u8>) {
    let bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
    (ResponseHead::parse(&bytes).unwrap().unwrap(), bytes)
}

#[test]
fn the_length_of_a_body_is_read_in_one_way_or_not_at_all() {
    for (fields, length) in [
        ("", Ok(Length::Connection)),
        ("Content-Length: 5\r\n", Ok(Length::Bytes(5))),
        ("Content-Length: 5, 5\r\ncontent-length: 5\r\n", Ok(Length::Bytes(5))),
        ("Transfer-Encoding: Chunked\r\n", Ok(Length::Chunked)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Ok(Length::Chunked)),
        ("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", Ok(Length::Bytes(5))),
        ("Content-Length : 5\r\n", Ok(Length::Bytes(5))),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(Reason::UpstreamInvalid)),
        ("Content-Length: +5\r\n", Err(Reason::UpstreamInvalid)),
        ("Content-Length: \r\n", Err(Reason::UpstreamInvalid)),
        ("Content-Length: 9223372036854775808\r\n", Err(Reason::UpstreamInvalid)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(Reason::UpstreamInvalid)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(Reason::UpstreamInvalid)),
    ] {
        let (head, bytes) = response(fields);
        assert_eq!(Length::of(&head, &bytes, false), length, "{fields}");
        let of_head = if length.is_ok() { Ok(Length::Bytes(0)) } else { length };
        assert_eq!(Length::of(&head, &bytes, true), of_head, "{fields}");
    }
}

#[test]
fn an_endpoint_says_whether_it_takes_more() {
    for (fields, keeps) in [("", true), ("Connection: close\r\n", false), ("Connection: x, Close\r\n", false)] {
        let (head, bytes) = response(fields);
        assert_eq!(keeps_connection(&head, &bytes), keeps, "{fields}");
    }
    let bytes = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n";
    assert!(keeps_connection(&ResponseHead::parse(bytes).unwrap().unwrap(), bytes));
    let bytes = b"HTTP/1.0 200 OK\r\n\r\n";
    assert!(!keeps_connection(&ResponseHead::parse(bytes).unwrap().unwrap(), bytes));
}

fn delivery(chunked: bool, connection: ConnectionField) -> Delivery {
    Delivery { chunked, connection: Some(connection), compressed: Compressed::default() }
}

#[test]
fn what_an_endpoint_says_to_the_proxy_is_not_passed_on() {
    let (head, bytes) = response(
        "Date: yesterday\r\nConnection: keep-alive, X-Named\r\nX-Named: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\
         Transfer-Encoding: chunked\r\nContent-Length: 9\r\nServer: it\r\nStrict-Transport-Security: none\r\n",
    );
    let mut ctx = RequestContext::new(Arc::new(Snapshot::empty(Settings::default())));
    ctx.came_from(Downstream { tls: true, ..ctx.downstream });
    let mut out = Vec::new();
    write(&mut out, &head, &bytes, delivery(true, ConnectionField::Close), &ctx);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("Date: ")).collect();
    assert_eq!(
        lines,
        [
            "HTTP/1.1 200 OK",
            "strict-transport-security: max-age=31536000; includeSubDomains",
            "Transfer-Encoding: chunked",
            "Connection: close",
            "",
        ]
    );
    assert!(!text.contains("yesterday"));
}

#[test]
fn one_length_is_passed_on_whoever_names_it_away() {
    let (head, bytes) =
        response("Connection: content-length\r\nContent-Length: 2, 2\r\ncontent-length: 2\r\nX-A: b\r\n\tc\r\n");
    let ctx = RequestContext::new(Arc::new(Snapshot::empty(Settings::default())));
    let mut out = Vec::new();
    write(&mut out, &head, &bytes, delivery(false, ConnectionField::KeepAlive), &ctx);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("Date: ")).collect();
    assert_eq!(lines, ["HTTP/1.1 200 OK", "Content-Length: 2", "X-A: b  \tc", "Connection: keep-alive", ""]);
}
