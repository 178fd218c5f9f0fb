//! The two engines beside each other: the same requests and the same answers, compared on what the endpoint and what the
//! client see.

mod calls;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgeward_tests::address::pod;
use edgeward_tests::client::connect;
use edgeward_tests::edgeward::Edgeward;
use edgeward_tests::manifest::{Ingress, service};
use edgeward_tests::message::{Broken, Message, Reader, body_framing};
use edgeward_tests::{PATIENCE, turn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::site::Site;

const HOST: &str = "engines.test";

/// What is sent behind every request: its answer shows whether the connection was kept, and that nothing was misread.
const BEHIND: &str = "GET /behind HTTP/1.1\r\nHost: engines.test\r\nConnection: close\r\n\r\n";

/// Requests: `@` stands for the path and the protocol, `H` for the `Host` line.
const REQUESTS: &[&str] = &[
    "GET @/1.1\r\nH\r\n\r\n",
    "GET @/1.1\r\nH\r\nUser-Agent: test\r\nAccept: */*\r\nX-Case: UPPER lower\r\n\r\n",
    "get-UP @/1.1\r\nH\r\n\r\n",
    "HEAD @/1.1\r\nH\r\n\r\n",
    "OPTIONS @/1.1\r\nH\r\nTE: trailers\r\nTrailer: X-A\r\n\r\n",
    "DELETE @/1.1\r\nH\r\nContent-Length: 0\r\n\r\n",
    "GET @/1.0\r\nH\r\n\r\n",
    "GET @/1.0\r\nH\r\nConnection: keep-alive\r\n\r\n",
    "GET @/1.1\r\nH\r\nConnection: close\r\n\r\n",
    "GET @/1.1\r\nH\r\nConnection: X-Named, keep-alive\r\nX-Named: 1\r\nX-Other: 2\r\n\r\n",
    "GET @/1.1\r\nH\r\nConnection: X-Forwarded-For\r\n\r\n",
    "GET @/1.1\r\nH\r\nConnection: host\r\n\r\n",
    "GET @/1.1\r\nH\r\nConnection: ,, keep-alive ,\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\r\n",
    "GET @/1.1\r\nH\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Host: evil\r\n\r\n",
    "GET @/1.1\r\nH\r\nForwarded: for=1.2.3.4\r\nssl-client-verify: SUCCESS\r\nX_Under: score\r\nProxy: x\r\n\r\n",
    "GET @/1.1\r\nH\r\nX-Request-ID: mine\r\nAccept:\r\nEmpty-One:   \r\n\r\n",
    "GET @/1.1\r\nH\r\nCookie: a=b\r\nCookie: c=d\r\nAuthorization: Basic eDp5\r\nProxy-Authorization: z\r\n\r\n",
    "GET @/1.1\r\nH\r\nX-Latin: caf\u{e9}\r\nX-Long: LONG\r\n\r\n",
    "GET http://engines.test@/1.1\r\nH\r\n\r\n",
    "GET http://other.test@/1.1\r\nH\r\n\r\n",
    "POST @/1.1\r\nH\r\nContent-Length: 5\r\n\r\nhello",
    "POST @/1.1\r\nH\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "PUT @/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "POST @/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET @/1.1\r\nH\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\nget",
    "POST @/1.1\r\nH\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n",
    "TRACE @/1.1\r\nH\r\n\r\n",
];

/// Answers of the endpoint. A `!` in front closes the connection behind it.
const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: it\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-a: 1\r\nX-A: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close, X-Named\r\nX-Named: 1\r\nKeep-Alive: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3  \r\nabc\r\n0 \r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A : 1\r\nX-B: 2\r\n  3\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 042 What\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n",
    "HTTP/1.1 404 Gone Fishing\r\nContent-Length: 3\r\n\r\nnil",
    "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 301 Moved\r\nLocation: /x?y=z\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
    "!HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
    "!HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
    "!HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "!HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nuntil the end",
    "!HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
    "!HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "!HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "!nonsense",
    "!",
];

/// What the engines may say differently: a part of the answer, what the client sees on the own engine, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("HTTP/1.1 100 Continue", "200 OK", "the proxy has told the client by itself to continue"),
    ("xyz", "502 Bad Gateway", "a coding that makes no sense is seen before the head is passed on"),
    ("HTTP/1.0 200", "HTTP/1.1 200 OK", "the version is that of the proxy (RFC 9110 section 2.5)"),
    ("X-B: 2", "2    3", "a folded field is unfolded with a blank for every byte of the fold"),
    ("Connection: content-length", "200 OK", "framing cannot be named away"),
    ("Content-Length: 2, 2", "200 OK", "of a list of equal lengths one is passed on"),
    ("042", "502 Bad Gateway", "behind an answer of the proxy's own the connection is closed without a reset"),
    ("until the end", "until the end", "a body without a length goes in chunks to a client that knows them"),
];

#[tokio::test]
async fn both_engines_say_the_same_to_endpoints_and_clients() {
    let _turn = turn::shared().await;
    let script: Script = Arc::default();
    let backend = endpoint(Arc::clone(&script)).await;
    let site = Site::new();
    site.manifests.write("service.yaml", service("web", &[backend]));
    // Pingora's engine collects no bodies.
    site.ingress(&Ingress::new("web").annotation("proxy-request-buffering", "off").host(HOST, "web"));
    let own = site.launch().argument("--fast-path=true").start().await;
    let pingora = site.launch().argument("--fast-path=false").start().await;

    let mut differences = String::new();
    let mut compared = 0;
    for (at, request) in REQUESTS.iter().enumerate() {
        for (index, answer) in ANSWERS.iter().enumerate() {
            let path = format!("/{at}/{index}?q=%20&r=a/../b");
            script.lock().unwrap().answer = answer;
            let mut seen = Vec::new();
            for (engine, edgeward) in [("own", &own), ("pingora", &pingora)] {
                let (client, upstream) = exchange(edgeward, &script, request, &path).await;
                seen.push((engine, client, upstream));
            }
            compared += 1;
            let [(_, a, b), (_, c, d)] = &seen[..] else { unreachable!("there are two engines") };
            // Whether the one behind is served may follow from the difference.
            let first = |received: &str| received.split(" | ").next().map(str::to_owned);
            let is_same = first(b) == first(d);
            let is_known = |(of, own, _why): &(&str, &str, &str)| answer.contains(of) && a.contains(own) && is_same;
            if (a, b) != (c, d) && !DIFFERENCES.iter().any(is_known) {
                let _ = writeln!(differences, "\n=== {request:?}\n--- {answer:?}\nown:\n{a}\n{b}\nPingora:\n{c}\n{d}");
            }
        }
    }
    eprintln!("{compared} exchanges compared on both engines");
    assert!(differences.is_empty(), "{differences}");
}

/// What the endpoint answers, and what it got.
#[derive(Default)]
struct Exchange {
    answer: &'static str,
    received: Vec<String>,
}

type Script = Arc<Mutex<Exchange>>;

async fn endpoint(script: Script) -> std::net::SocketAddr {
    let address = pod();
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(tcp, Arc::clone(&script)));
        }
    });
    address
}

async fn serve(mut tcp: TcpStream, script: Script) -> Option<()> {
    let mut reader = Reader::default();
    loop {
        let mut request = reader.head(&mut tcp).await.ok()?;
        let framing = body_framing(&request).ok()?;
        let read = reader.body(&mut tcp, framing, &mut request).await;
        let is_behind = request.start.contains("/behind ");
        let text = format!("{} {read:?}", normalized(&request));
        let answer = {
            let mut script = script.lock().unwrap();
            script.received.push(text);
            if is_behind { "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbehind" } else { script.answer }
        };
        read.ok()?;
        let closes = answer.starts_with('!');
        tcp.write_all(answer.trim_start_matches('!').as_bytes()).await.ok()?;
        if closes {
            return None;
        }
    }
}

/// Sends a request and the one behind it. Returns what the client and what the endpoint saw.
async fn exchange(edgeward: &Edgeward, script: &Script, request: &str, path: &str) -> (String, String) {
    script.lock().unwrap().received.clear();
    let request = request
        .replace('@', &format!("{path} HTTP"))
        .replace("\r\nH\r\n", &format!("\r\nHost: {HOST}\r\n"))
        .replace("LONG", &"long".repeat(500));
    let method = request.split(' ').next().unwrap().to_owned();
    let mut tcp = connect(edgeward.http, None).await.unwrap();
    // Latin-1, as the text is meant.
    let bytes: Vec<u8> = request.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    tcp.write_all(&bytes).await.unwrap();
    // It may have been closed for the first.
    let _ = tcp.write_all(BEHIND.as_bytes()).await;
    let mut answers = Vec::new();
    let read = timeout(PATIENCE, tcp.read_to_end(&mut answers)).await.expect("the proxy ends the connection");
    let mut text = String::new();
    let mut rest = &answers[..];
    let (mut reader, mut interim) = (Reader::default(), 0);
    for method in [method.as_str(), "GET"] {
        match reader.response(&mut rest, method, &mut interim).await {
            Ok(message) => text.push_str(&normalized(&message)),
            Err(Broken::Closed) => {}
            Err(broken) => text.push_str(&format!("{broken:?} in {}", undated(&answers).escape_ascii())),
        }
        text.push_str(" | ");
    }
    let _ = write!(text, "interim {interim}, {}", if read.is_ok() { "closed" } else { "reset" });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let received = script.lock().unwrap().received.join(" | ");
    (text, received.replace(&edgeward.http.port().to_string(), "PORT"))
}

/// What was read, without the lines that say when.
fn undated(answers: &[u8]) -> Vec<u8> {
    let lines = answers.split_inclusive(|&byte| byte == b'\n');
    lines.filter(|line| !line.starts_with(b"Date: ")).flatten().copied().collect()
}

/// A message with its fields sorted by name, which says the same (RFC 9110 section 5.3), and without what never is the same.
fn normalized(message: &Message) -> String {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &message.headers {
        let value = match name.to_ascii_lowercase().as_str() {
            "x-request-id" if value.len() == 32 => "ID",
            "date" if value.ends_with("GMT") && !value.contains("1970") => "NOW",
            _ => value,
        };
        fields.entry(name.clone()).or_default().push(value.to_owned());
    }
    format!("{} {fields:?} {:?} {:?}", message.start, String::from_utf8_lossy(&message.body), message.trailers)
}
