#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_routing::Snapshot;
use edgeward_routing::decide::decide;
use edgeward_routing::settings::Settings;
use std::sync::Arc;

use bytes::BytesMut;

use super::*;

fn head(fields: &str) -> RequestHead {
    RequestHead::new(BytesMut::from(format!("GET /a HTTP/1.1\r\nHost: web.test\r\n{fields}\r\n").as_str()))
}

/// What goes upstream of these fields, without what is told of every client.
fn passed(fields: &str) -> Vec<String> {
    let head = head(fields);
    let mut ctx = RequestContext::new(Arc::new(Snapshot::empty(Settings::default())));
    ctx.forwarded = decide(&ctx.snapshot, &ctx.downstream, &head).forwarded;
    ctx.request_id.set(Some(&head), true);
    let mut out = Vec::new();
    write(&mut out, &head, ConnectionOptions::of(&head).unwrap(), &ctx);
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(text.starts_with("GET /a HTTP/1.1\r\nhost: web.test\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    let told = ["host", "x-request-id", "x-real-ip", "x-forwarded-", "x-scheme"];
    let lines = text.lines().skip(1).filter(|line| !line.is_empty() && !told.iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}

#[test]
fn fields_are_passed_on_as_written() {
    assert_eq!(passed("User-Agent: x\r\nX-A:1\r\nx-a: 2\r\n"), ["User-Agent: x", "X-A: 1", "x-a: 2"]);
    let long = format!("{}: 1", "X".repeat(100));
    assert_eq!(passed(&format!("{long}\r\n")), [long]);
    let named = "Y".repeat(100);
    assert!(passed(&format!("Connection: {named}\r\n{named}: 1\r\nX-Forwarded-{named}: 1\r\n")).is_empty());
}

#[test]
fn what_is_between_client_and_proxy_is_not_passed_on() {
    let fields = "Connection: close, X-Named\r\nx-named: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: a\r\n\
                  Proxy-Authorization: b\r\nTrailer: c\r\nExpect: 100-continue\r\nX-Other: d\r\n";
    assert_eq!(passed(fields), ["X-Other: d"]);
}

#[test]
fn what_speaks_for_a_client_is_not_passed_on() {
    let fields = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Prefix: /x\r\nForwarded: for=x\r\nX_Under: y\r\nProxy: z\r\n";
    assert_eq!(passed(fields), ["x-original-forwarded-for: 1.2.3.4"]);
}

#[test]
fn a_body_keeps_its_framing() {
    assert_eq!(passed("Content-Length: 5\r\n"), ["Content-Length: 5"]);
    assert_eq!(passed("transfer-encoding: chunked\r\n"), ["Transfer-Encoding: chunked"]);
}
