#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edgeward_routing::decide::Reason;
use http::Version;

use edgeward_routing::log_format::Escape;

use super::fixture::{self, Finished, endpoint_try, request};
use super::*;
use crate::connection::AddressSource;

fn line(format: &str, finished: &Finished) -> String {
    let template = format.parse::<AccessLogFormat>().unwrap().compiled().unwrap();
    let mut out = Vec::new();
    finished.with(|record| format::write(&template, record, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn the_default_line_is_that_of_ingress_nginx() {
    let mut finished = Finished::default();
    assert_eq!(
        line("nginx", &finished),
        "203.0.113.7 - - [24/Nov/2026:04:16:57 +0000] \"GET /path?x=1 HTTP/1.1\" 200 512 \"-\" \"curl/8.5.0\" 95 0.012 \
         [shop-cart-http] [] 10.0.0.1:8080 512 0.012 200 8c0f3d2b1a4e5f60718293a4b5c6d7e8"
    );
    finished.request.insert_header("Authorization", "Basic YWxpY2U6c2VjcmV0").unwrap();
    finished.request.insert_header("Referer", "https://example.com/?q=\"x\"").unwrap();
    finished.tries = vec![
        endpoint_try("10.0.0.1:80", Some(502), 5, 0),
        endpoint_try("10.0.0.2:80", None, 60_000, 0),
        endpoint_try("[fd00::3]:80", Some(200), 1_234, 7),
    ];
    assert_eq!(
        line("nginx", &finished),
        "203.0.113.7 - alice [24/Nov/2026:04:16:57 +0000] \"GET /path?x=1 HTTP/1.1\" 200 512 \
         \"https://example.com/?q=\\x22x\\x22\" \"curl/8.5.0\" 95 0.012 [shop-cart-http] [] \
         10.0.0.1:80, 10.0.0.2:80, [fd00::3]:80 0, 0, 7 0.005, 60.000, 1.234 502, -, 200 \
         8c0f3d2b1a4e5f60718293a4b5c6d7e8"
    );
}

/// What the proxy answers by itself, as ingress-nginx logs it.
#[test]
fn a_request_that_reaches_no_endpoint_has_dashes() {
    let mut finished = Finished { backend: None, route: None, tries: Vec::new(), status: 404, ..Finished::default() };
    finished.reason = Some(Reason::NoHost);
    let ending = |finished: &Finished| line("nginx", finished).split_once("95 0.012 ").unwrap().1.to_owned();
    assert_eq!(ending(&finished), "[-] [] - - - - 8c0f3d2b1a4e5f60718293a4b5c6d7e8");
    // Too malformed for its host to be looked at.
    finished.forwarded = false;
    assert_eq!(ending(&finished), "[] [] - - - - 8c0f3d2b1a4e5f60718293a4b5c6d7e8");
}

#[test]
fn the_json_line_has_nginx_names_and_the_reason() {
    let mut finished = Finished::default();
    assert_eq!(
        line("json", &finished),
        concat!(
            r#"{"time_iso8601":"2026-11-24T04:16:57+00:00","remote_addr":"203.0.113.7","remote_user":"","#,
            r#""request":"GET /path?x=1 HTTP/1.1","request_method":"GET","request_uri":"/path?x=1","#,
            r#""host":"shop.example.com","server_protocol":"HTTP/1.1","scheme":"http","status":200,"#,
            r#""body_bytes_sent":512,"request_length":95,"request_time":0.012,"http_referer":"","#,
            r#""http_user_agent":"curl/8.5.0","proxy_upstream_name":"shop-cart-http","upstream_addr":"10.0.0.1:8080","#,
            r#""upstream_status":"200","upstream_response_time":"0.012","upstream_response_length":"512","#,
            r#""req_id":"8c0f3d2b1a4e5f60718293a4b5c6d7e8","reason":"","client_ip_source":"peer","tls_version":"","#,
            r#""namespace":"shop","ingress":"web","service":"cart"}"#,
        )
    );
    finished.client = "198.51.100.9";
    finished.reason = Some(Reason::UpstreamTimeout);
    finished.connection.as_mut().unwrap().tls = Some(fixture::tls());
    finished
        .request
        .insert_header("User-Agent", pingora::http::header_value_from_slice(b"a\"\\\xff\t\xc3\xa9"))
        .unwrap();
    let value: serde_json::Value = serde_json::from_str(&line("json", &finished)).unwrap();
    assert_eq!(value["http_user_agent"], "a\"\\\u{fffd}\t\u{e9}");
    assert_eq!(value["reason"], "upstream_timeout");
    assert_eq!(value["client_ip_source"], "forwarded");
    assert_eq!(value["tls_version"], "TLSv1.3");
    assert_eq!(value["scheme"], "https");
}

#[test]
fn every_variable_has_a_value() {
    let request = request("POST", "/a%2fb//c?Name=v%201&b=&n=2");
    let mut finished = Finished { request, reason: Some(Reason::Internal), ..Finished::default() };
    finished.request.set_version(Version::HTTP_2);
    for (name, value) in [
        ("Host", "SHOP.example.com:8443"),
        ("Cookie", "first=1; SID=abc=d"),
        ("X-Forwarded-For", "10.1.1.1"),
        ("Content-Length", "3"),
        ("Content-Type", "text/plain"),
    ] {
        finished.request.insert_header(name, value).unwrap();
    }
    finished.request.append_header("X-Forwarded-For", "10.2.2.2").unwrap();
    let connection = finished.connection.as_mut().unwrap();
    connection.tls = Some(fixture::tls());
    connection.source = AddressSource::ProxyV2;
    let table = [
        ("$args", "Name=v%201&b=&n=2"),
        ("$arg_name", "v%201"),
        ("$arg_b", ""),
        ("$arg_n", "2"),
        ("$arg_nothing", "-"),
        ("$body_bytes_sent", "512"),
        // `HTTP/1.1 200 OK`, `content-type: text/html`, the empty line, and the body.
        ("$bytes_sent", "556"),
        ("$connection_requests", "1"),
        ("$content_length", "3"),
        ("$content_type", "text/plain"),
        ("$cookie_sid", "abc=d"),
        ("$cookie_first", "1"),
        ("$cookie_x", "-"),
        ("$document_uri", "/a/b/c"),
        ("$edgeward_client_ip_source", "proxy-v2"),
        ("$edgeward_reason", "internal"),
        ("$host", "shop.example.com"),
        ("$http_host", "SHOP.example.com:8443"),
        ("$http_x_forwarded_for", "10.1.1.1, 10.2.2.2"),
        ("$http_nothing", "-"),
        ("$https", "on"),
        ("$ingress_name", "web"),
        ("$is_args", "?"),
        ("$location_path", "/path"),
        ("$msec", "1795493817.500"),
        ("$namespace", "shop"),
        ("$proxy_alternative_upstream_name", ""),
        ("$proxy_host", "upstream_balancer"),
        ("$proxy_protocol_addr", "203.0.113.7"),
        ("$proxy_protocol_port", "50123"),
        ("$proxy_upstream_name", "shop-cart-http"),
        ("$query_string", "Name=v%201&b=&n=2"),
        ("$remote_addr", "203.0.113.7"),
        ("$remote_port", "50123"),
        ("$remote_user", "-"),
        ("$req_id", "8c0f3d2b1a4e5f60718293a4b5c6d7e8"),
        ("$request", "POST /a%2fb//c?Name=v%201&b=&n=2 HTTP/2.0"),
        ("$request_id", "8c0f3d2b1a4e5f60718293a4b5c6d7e8"),
        ("$request_length", "95"),
        ("$request_method", "POST"),
        ("$request_time", "0.012"),
        ("$request_uri", "/a%2fb//c?Name=v%201&b=&n=2"),
        ("$scheme", "https"),
        ("$sent_http_content_type", "text/html"),
        ("$sent_http_location", "-"),
        ("$server_addr", "192.0.2.1"),
        ("$server_name", "shop.example.com"),
        ("$server_port", "80"),
        ("$server_protocol", "HTTP/2.0"),
        ("$service_name", "cart"),
        ("$service_port", "http"),
        ("$ssl_cipher", "TLS_AES_256_GCM_SHA384"),
        ("$ssl_protocol", "TLSv1.3"),
        ("$ssl_server_name", "shop.example.com"),
        ("$ssl_session_reused", "."),
        ("$status", "200"),
        ("$the_real_ip", "203.0.113.7"),
        ("$time_iso8601", "2026-11-24T04:16:57+00:00"),
        ("$time_local", "24/Nov/2026:04:16:57 +0000"),
        ("$upstream_addr", "10.0.0.1:8080"),
        ("$upstream_connect_time", "0.001"),
        ("$upstream_header_time", "0.011"),
        ("$upstream_response_length", "512"),
        ("$upstream_response_time", "0.012"),
        ("$upstream_status", "200"),
        ("$uri", "/a/b/c"),
        ("<${status}0>", "<2000>"),
        ("$request_method$status", "POST200"),
        ("caf\u{e9} $status", "caf\u{e9} 200"),
    ];
    for (format, expected) in table {
        assert_eq!(line(format, &finished), expected, "{format}");
    }
}

#[test]
fn a_client_byte_cannot_forge_a_line() {
    let mut finished = Finished::default();
    // Pingora takes no other control byte in a header value than the tab, and none in a target unless it is encoded.
    let evil = pingora::http::header_value_from_slice(b"x\"\t203.0.113.9 - - \xff");
    finished.request.insert_header("User-Agent", evil).unwrap();
    finished.request.set_raw_path(b"/a\"\xffb").unwrap();
    assert!(
        line("nginx", &finished)
            .contains("\"GET /a\\x22\\xFFb HTTP/1.1\" 200 512 \"-\" \"x\\x22\\x09203.0.113.9 - - \\xFF\" 95")
    );
    let encoded = Finished { request: request("GET", "/%0d%0a%22%ff"), ..Finished::default() };
    assert_eq!(line("$uri", &encoded), "/\\x0D\\x0A\\x22\\xFF");
    for format in ["nginx", "json", "$http_user_agent|$request_uri|$uri", r#"{"a":"$http_user_agent","u":"$uri"}"#] {
        let line = line(format, &finished);
        assert!(!line.bytes().any(|b| b.is_ascii_control()), "{line:?}");
    }
}

#[test]
fn a_format_that_looks_like_json_is_escaped_for_json() {
    let mut finished = Finished::default();
    finished.request.insert_header("User-Agent", "a\"b").unwrap();
    assert_eq!(line(r#" {"ua":"$http_user_agent","u":"$remote_user"}"#, &finished), r#" {"ua":"a\"b","u":""}"#);
    assert_eq!(line("ua=$http_user_agent", &finished), r"ua=a\x22b");
    let raw = LogFormat::parse("$http_user_agent $remote_user", Escape::None).unwrap();
    assert_eq!(line_of(&raw, &finished), "a\"b -");
}

fn line_of(format: &LogFormat, finished: &Finished) -> String {
    let mut out = Vec::new();
    finished.with(|record| format::write(format, record, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_wrong_format_names_its_mistake() {
    let table = [
        ("$status $nothing", "the access log format names the unknown variable `$nothing` at byte 8"),
        ("$http_", "the access log format names the unknown variable `$http_` at byte 0"),
        ("a $", "the access log format has a `$` at byte 2 that begins no variable: write `$name` or `${name}`"),
        ("$$", "the access log format has a `$` at byte 0 that begins no variable: write `$name` or `${name}`"),
        ("${status", "the access log format has a `$` at byte 0 that begins no variable: write `$name` or `${name}`"),
        ("${a b}", "the access log format has a `$` at byte 0 that begins no variable: write `$name` or `${name}`"),
        (
            "ngnix",
            "the access log format `ngnix` is none of `nginx`, `json` and `off`, and names no variable such as `$status`",
        ),
        ("", "the access log format `` is none of `nginx`, `json` and `off`, and names no variable such as `$status`"),
    ];
    for (text, expected) in table {
        assert_eq!(text.parse::<AccessLogFormat>().unwrap_err().to_string(), expected, "{text}");
    }
    for text in ["nginx", "json", "off", "$status ${host}"] {
        assert_eq!(text.parse::<AccessLogFormat>().unwrap().to_string(), text);
    }
}

/// A destination that takes what is written only when told to.
struct Gate {
    reached: Sender<()>,
    opened: Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

/// The other side of a [`Gate`].
struct Keeper {
    reached: Receiver<()>,
    open: Sender<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Gate {
    fn new() -> (Self, Keeper) {
        let (open, opened) = channel();
        let (reached, when_reached) = channel();
        let written = Arc::default();
        let keeper = Keeper { reached: when_reached, open, written: Arc::clone(&written) };
        (Self { reached, opened, written }, keeper)
    }
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.reached.send(());
        // Once the sender is gone the gate stays open.
        let _ = self.opened.recv();
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn status_log(output: Output, max_lines: usize, max_bytes: usize) -> AccessLog {
    let dropped = dropped_counter();
    let queue = Queue::start("access-log", output, dropped.clone(), max_lines, max_bytes).unwrap();
    let template = LogFormat::parse("$status", Escape::Default).unwrap();
    AccessLog { dropped, open: Some(Arc::new(Open { format: template, queue })) }
}

#[test]
fn a_blocked_writer_drops_lines_and_blocks_nobody() {
    for (max_lines, max_bytes) in [(8, QUEUED_BYTES), (QUEUED_LINES, 32)] {
        let (gate, Keeper { reached, open, written }) = Gate::new();
        let log = status_log(Output::stream(gate), max_lines, max_bytes);
        Finished::default().with(|record| log.log(record, &LogSettings::default()));
        reached.recv().unwrap();
        let began = Instant::now();
        Finished::default().with(|record| (0..100).for_each(|_| log.log(record, &LogSettings::default())));
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(!log.flush(Duration::from_millis(20)), "the writer is blocked");
        let dropped = log.dropped().get();
        // There is room for eight, with or without the one that is being written.
        assert!((92..=93).contains(&dropped), "{dropped} dropped");
        drop(open);
        assert!(log.flush(Duration::from_secs(5)));
        assert_eq!(written.lock().unwrap().len() as u64, 4 * (101 - dropped));
        Finished::default().with(|record| log.log(record, &LogSettings::default()));
        assert!(log.flush(Duration::from_secs(5)));
        assert_eq!(log.dropped().get(), dropped, "there is room again");
    }
}

/// Takes a few bytes, fails for a while, and then takes everything.
struct FullDisk {
    room: usize,
    failures: usize,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 && self.failures > 0 {
            self.failures -= 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = if self.failures > 0 { bytes.len().min(self.room) } else { bytes.len() };
        self.room = self.room.saturating_sub(count);
        self.written.lock().unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_costs_lines_but_never_joins_two() {
    let written = Arc::default();
    let log = status_log(
        Output::stream(FullDisk { room: 6, failures: 2, written: Arc::clone(&written) }),
        QUEUED_LINES,
        QUEUED_BYTES,
    );
    for _ in 0..4 {
        Finished::default().with(|record| log.log(record, &LogSettings::default()));
        assert!(log.flush(Duration::from_secs(5)));
    }
    // The second line is cut, the third is lost, and the fourth begins a line of its own.
    assert_eq!(String::from_utf8_lossy(&written.lock().unwrap()), "200\n20\n200\n");
    assert_eq!(log.dropped().get(), 2);
}

#[test]
fn reopen_follows_a_rotated_file() {
    let directory = std::env::temp_dir().join(format!("edgeward-access-log-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (path, rotated) = (directory.join("access.log"), directory.join("access.log.1"));
    let log = AccessLog::open(&"$status".parse().unwrap(), &AccessLogDestination::File(path.clone())).unwrap();
    let write = || {
        Finished::default().with(|record| log.log(record, &LogSettings::default()));
        assert!(log.flush(Duration::from_secs(5)));
    };
    write();
    std::fs::rename(&path, &rotated).unwrap();
    write();
    log.reopen();
    write();
    assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "200\n200\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "200\n");
    // A path that cannot be opened keeps the file in use.
    std::fs::rename(&path, &rotated).unwrap();
    std::fs::create_dir(&path).unwrap();
    log.reopen();
    write();
    assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "200\n200\n");
    assert_eq!(log.dropped().get(), 0);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let path = PathBuf::from("/nonexistent/access.log");
    let error = AccessLog::open(&AccessLogFormat::Nginx, &AccessLogDestination::File(path)).unwrap_err();
    assert!(error.to_string().starts_with("cannot open the access log /nonexistent/access.log: No such file"));
}

#[test]
fn a_log_that_is_off_does_nothing() {
    let log = AccessLog::open(&AccessLogFormat::Off, &AccessLogDestination::Stdout).unwrap();
    assert!(!log.is_on());
    Finished::default().with(|record| log.log(record, &LogSettings::default()));
    log.reopen();
    assert!(log.flush(Duration::ZERO));
}
