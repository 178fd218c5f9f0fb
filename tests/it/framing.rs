//! Messages that must be refused: what two parsers could read in two ways, none of ours passes on.

use std::time::Duration;

use edgeward_tests::backend::{Persona, Start};
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::manifest::{Ingress, config_map};
use edgeward_tests::turn;
use serde_json::json;

use crate::site::Site;

/// What is behind every message: if it is ever answered or forwarded, the message before it was misread.
const BEHIND: &str = "GET /smuggled HTTP/1.1\r\nHost: framing.test\r\n\r\n";

/// What it is, and its bytes. `H` stands for the `Host` line.
const REFUSED: &[(&str, &str)] = &[
    (
        "Content-Length and Transfer-Encoding",
        "POST / HTTP/1.1\r\nH\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "Transfer-Encoding and Content-Length",
        "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    ("two different Content-Length", "POST / HTTP/1.1\r\nH\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    ("a list of different Content-Length", "POST / HTTP/1.1\r\nH\r\nContent-Length: 5, 6\r\n\r\nhello"),
    ("a negative Content-Length", "POST / HTTP/1.1\r\nH\r\nContent-Length: -5\r\n\r\nhello"),
    ("a signed Content-Length", "POST / HTTP/1.1\r\nH\r\nContent-Length: +5\r\n\r\nhello"),
    ("a hexadecimal Content-Length", "POST / HTTP/1.1\r\nH\r\nContent-Length: 0x5\r\n\r\nhello"),
    ("an empty Content-Length", "POST / HTTP/1.1\r\nH\r\nContent-Length: \r\n\r\nhello"),
    ("a Content-Length with a space", "POST / HTTP/1.1\r\nH\r\nContent-Length: 5 5\r\n\r\nhello"),
    ("a Content-Length with letters", "POST / HTTP/1.1\r\nH\r\nContent-Length: 5abc\r\n\r\nhello"),
    ("a Content-Length with a vertical tab", "POST / HTTP/1.1\r\nH\r\nContent-Length: \x0b5\r\n\r\nhello"),
    ("a Content-Length above 2^64", "POST / HTTP/1.1\r\nH\r\nContent-Length: 18446744073709551621\r\n\r\nhello"),
    ("Transfer-Encoding: identity", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: identity\r\n\r\n"),
    ("chunked not last", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("a coding that is not known", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("almost chunked", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("chunked behind a vertical tab", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("chunked in quotes", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    (
        "two Transfer-Encoding fields",
        "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    ("chunked twice", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("an empty Transfer-Encoding", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: \r\nContent-Length: 5\r\n\r\nhello"),
    ("Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a space before the colon", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("a tab before the colon", "POST / HTTP/1.1\r\nH\r\nContent-Length\t: 5\r\n\r\nhello"),
    ("a folded Transfer-Encoding", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("a folded field", "GET / HTTP/1.1\r\nH\r\nX-A: b\r\n c\r\n\r\n"),
    ("a space before the first field", "GET / HTTP/1.1\r\n H\r\n\r\n"),
    ("a bare CR in a value", "GET / HTTP/1.1\r\nH\r\nX-A: b\rX-C: d\r\n\r\n"),
    ("a NUL in a value", "GET / HTTP/1.1\r\nH\r\nX-A: b\0c\r\n\r\n"),
    ("a NUL in a name", "GET / HTTP/1.1\r\nH\r\nX-\0A: b\r\n\r\n"),
    ("a line without a colon", "GET / HTTP/1.1\r\nH\r\nX-A\r\n\r\n"),
    ("an empty name", "GET / HTTP/1.1\r\nH\r\n: b\r\n\r\n"),
    ("a space in a name", "GET / HTTP/1.1\r\nH\r\nX A: b\r\n\r\n"),
    (
        "a chunk size that is no number",
        "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    ),
    ("a negative chunk size", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with 0x", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    (
        "a chunk size above 2^64",
        "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
    ("an empty chunk size", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"),
    (
        "a chunk longer than its size",
        "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    ),
    ("a chunk size ended by LF", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
    ("chunk data ended by LF", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n"),
    (
        "Content-Length between client and proxy",
        "POST / HTTP/1.1\r\nH\r\nContent-Length: 5\r\nConnection: content-length\r\n\r\nhello",
    ),
    ("Host between client and proxy", "GET / HTTP/1.1\r\nH\r\nConnection: keep-alive, Host\r\n\r\n"),
    ("an option of the connection that is no token", "GET / HTTP/1.1\r\nH\r\nConnection: a b\r\n\r\n"),
    (
        "more options of the connection than anybody has",
        "GET / HTTP/1.1\r\nH\r\nConnection: ,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\r\n\r\n",
    ),
    ("a target that is a fragment", "GET #a HTTP/1.1\r\nH\r\n\r\n"),
    ("no Host", "GET / HTTP/1.1\r\n\r\n"),
    ("two Hosts", "GET / HTTP/1.1\r\nH\r\nHost: other.test\r\n\r\n"),
    ("two equal Hosts", "GET / HTTP/1.1\r\nH\r\nH\r\n\r\n"),
    ("an empty Host", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    ("a Host with a path", "GET / HTTP/1.1\r\nHost: framing.test/x\r\n\r\n"),
    ("a Host with user information", "GET / HTTP/1.1\r\nHost: a@framing.test\r\n\r\n"),
    ("a Host with a space", "GET / HTTP/1.1\r\nHost: framing.test x\r\n\r\n"),
    ("a Host with a comma", "GET / HTTP/1.1\r\nHost: framing.test,other.test\r\n\r\n"),
    ("a Host with a bad port", "GET / HTTP/1.1\r\nHost: framing.test:80x\r\n\r\n"),
    ("HTTP/0.9", "GET /\r\n"),
    ("HTTP/2.0 in text", "GET / HTTP/2.0\r\nH\r\n\r\n"),
    ("HTTP/1.2", "GET / HTTP/1.2x\r\nH\r\n\r\n"),
    ("a version in lower case", "GET / http/1.1\r\nH\r\n\r\n"),
    ("a fourth word in the request line", "GET / HTTP/1.1 x\r\nH\r\n\r\n"),
    ("a tab in the request line", "GET\t/ HTTP/1.1\r\nH\r\n\r\n"),
    ("two spaces in the request line", "GET  / HTTP/1.1\r\nH\r\n\r\n"),
    ("a method that is no token", "G@T / HTTP/1.1\r\nH\r\n\r\n"),
    ("a method in lower case", "get / HTTP/1.1\r\nH\r\n\r\n"),
    ("no method", " / HTTP/1.1\r\nH\r\n\r\n"),
    ("a target without a slash", "GET foo HTTP/1.1\r\nH\r\n\r\n"),
    ("a NUL in the target", "GET /\0 HTTP/1.1\r\nH\r\n\r\n"),
    ("an encoded NUL in the target", "GET /%00 HTTP/1.1\r\nH\r\n\r\n"),
    ("a bad escape in the target", "GET /%zz HTTP/1.1\r\nH\r\n\r\n"),
    ("a target above the root", "GET /../x HTTP/1.1\r\nH\r\n\r\n"),
    ("a control character in the target", "GET /\x01 HTTP/1.1\r\nH\r\n\r\n"),
    ("CONNECT", "CONNECT framing.test:80 HTTP/1.1\r\nH\r\n\r\n"),
    ("TRACE", "TRACE / HTTP/1.1\r\nH\r\n\r\n"),
];

/// Legal, if unusual: these must be served.
const SERVED: &[(&str, &str)] = &[
    ("no space behind a colon", "GET / HTTP/1.1\r\nHost:framing.test\r\n\r\n"),
    ("tabs around a value", "GET / HTTP/1.1\r\nH\r\nX-A:\t b \t\r\n\r\n"),
    ("an empty value", "GET / HTTP/1.1\r\nH\r\nX-A:\r\n\r\n"),
    ("a Host in upper case with a port and a dot", "GET / HTTP/1.1\r\nHost: FRAMING.test.:80\r\n\r\n"),
    ("absolute form", "GET http://framing.test/x HTTP/1.1\r\nHost: framing.test\r\n\r\n"),
    ("bytes above 127 in a value", "GET / HTTP/1.1\r\nH\r\nX-A: \u{e9}\r\n\r\n"),
    ("upper case in chunked", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ("a chunk extension", "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n"),
    (
        "chunk sizes with zeros and capitals",
        "POST / HTTP/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n",
    ),
    ("a body of GET", "GET / HTTP/1.1\r\nH\r\nContent-Length: 2\r\n\r\nhi"),
    ("Content-Length: 0", "POST / HTTP/1.1\r\nH\r\nContent-Length: 0\r\n\r\n"),
    ("an empty line before the request", "\r\nGET / HTTP/1.1\r\nH\r\n\r\n"),
    ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nH\r\n\r\n"),
];

fn bytes(text: &str) -> Vec<u8> {
    let text = text.replace("\nH\r", "\nHost: framing.test\r").replace("\n H\r", "\n Host: framing.test\r");
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let _turn = turn::shared().await;
    let site = Site::with_host("framing.test", "web").await;
    let edgeward = site.serve().await;
    let mut wrong = Vec::new();
    let mut opened = Vec::new();
    for (what, text) in REFUSED {
        site.recording.take();
        let mut connection = Connection::open(edgeward.http).await;
        connection.send([bytes(text), BEHIND.as_bytes().to_vec()].concat()).await;
        connection.finish().await;
        let answer = connection.read_response("GET").await;
        let refused = answer.as_ref().map_or(true, |answer| (400..600).contains(&answer.status()));
        if !refused {
            wrong.push(format!("{what}: answered with {}", answer.as_ref().map_or(0, |answer| answer.status())));
        }
        if answer.is_ok() && !connection.is_closed_within(Duration::from_secs(5)).await {
            wrong.push(format!("{what}: the connection goes on"));
        }
        for got in site.recording.take() {
            if got.complete {
                wrong.push(format!("{what}: the backend got {} {}", got.method, got.target));
            } else {
                opened.push(*what);
            }
        }
    }
    eprintln!(
        "framing: {} messages, {} not refused, {} opened a request at the backend that broke off: {opened:?}",
        REFUSED.len(),
        wrong.len(),
        opened.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_legal_is_served() {
    let _turn = turn::shared().await;
    let site = Site::with_host("framing.test", "web").await;
    let edgeward = site.serve().await;
    let mut wrong = Vec::new();
    for (what, text) in SERVED {
        let mut connection = Connection::open(edgeward.http).await;
        connection.send(bytes(text)).await;
        match connection.read_response("GET").await {
            Ok(answer) if answer.status() == 200 => {}
            other => wrong.push(format!("{what}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rules are asked about the path, so that nobody may take what is behind it for a part of it.
#[tokio::test]
async fn a_fragment_reaches_no_endpoint() {
    let _turn = turn::shared().await;
    let site = Site::with_host("framing.test", "web").await;
    let edgeward = site.serve().await;
    for (target, expected) in [
        ("/a#b", "/a"),
        ("/public#/../admin", "/public"),
        ("/a?b#c", "/a?b"),
        ("http://framing.test#/admin", "/"),
        ("http://framing.test/a#b", "/a"),
    ] {
        let answer = send(edgeward.http, &Request::get("framing.test", target)).await;
        assert_eq!((answer.status(), site.recording.last().unwrap().target.as_str()), (200, expected), "{target}");
    }
}

/// Paths and credentials are decoded, and may hold what ends a field.
#[tokio::test]
async fn nothing_that_is_decoded_becomes_a_field_of_its_own() {
    let _turn = turn::shared().await;
    let mut site = Site::new();
    site.service("web").await;
    let service = Start::default().persona(Persona::Auth).recording(&site.recording).start("auth").await;
    let fields = json!({"X-Path": "p$uri", "X-User": "$remote_user", "X-Doc": "$document_uri;$arg_a"});
    for (name, data) in [("options", json!({"proxy-set-headers": "default/fields"})), ("fields", fields)] {
        site.manifests.write(&format!("{name}.yaml"), config_map("default", name, &data));
    }
    site.ingress(
        &Ingress::new("web")
            .annotation("auth-url", &format!("http://{}/ok", service.addr()))
            .annotation("auth-proxy-set-headers", "default/fields")
            .annotation("upstream-vhost", "$host.$uri")
            .host("framing.test", "web"),
    );
    let edgeward = site.launch().argument("--configmap=default/options").start().await;
    // `root\r\nX-Admin` is the user.
    let request = Request::get("framing.test", "/a%0d%0aX-Admin:%201%0d%0a%0d%0aGET%20/smuggled?a=%0d%0ab")
        .header("Authorization", "Basic cm9vdA0KWC1BZG1pbjogMTp4");
    let answer = send(edgeward.http, &request).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let [asked, got] = &site.recording.take()[..] else { panic!("two requests") };
    for received in [asked, got] {
        assert_eq!(received.header("x-path"), Some("p/aX-Admin: 1GET /smuggled"), "{received:?}");
        assert_eq!(received.header("x-doc"), Some("/aX-Admin: 1GET /smuggled;%0d%0ab"));
        assert_eq!((received.header("x-user"), received.header("x-admin")), (Some("rootX-Admin"), None));
    }
    assert_eq!(got.header("host"), Some("framing.test./aX-Admin:1GET/smuggled"));
}
