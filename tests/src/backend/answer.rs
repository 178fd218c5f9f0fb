//! What a backend answers.

use serde_json::json;

use super::{Persona, Received};
use crate::message::Message;

/// Bytes to send, and whether the connection ends behind them.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: bool,
}

/// Status and extra header fields of an answer.
type Head = (u16, Vec<String>);

fn echo_head(message: &Message, status: u16) -> Head {
    let status = message.header("x-echo-status").and_then(|status| status.parse().ok()).unwrap_or(status);
    (status, message.header_values("x-echo-set").into_iter().map(str::to_owned).collect())
}

fn errors_head(message: &Message) -> Head {
    let status = message.header("x-code").and_then(|code| code.parse().ok()).unwrap_or(200);
    (status, vec!["X-Err-Backend: yes".to_owned()])
}

fn auth_head(message: &Message, target: &str) -> Head {
    let path = target.split('?').next().unwrap_or_default();
    let prefixes = [("/ok", 200), ("/none", 204), ("/redir", 302), ("/deny", 401), ("/forbid", 403), ("/err", 500)];
    let mut status = prefixes.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or(200, |(_, status)| *status);
    if path.starts_with("/tok") {
        let by_token = message.header("authorization") == Some("Bearer good");
        let by_cookie = message.header("cookie").is_some_and(|cookie| cookie.contains("sess=good"));
        status = if by_token || by_cookie { 200 } else { 401 };
    }
    let mut extra = vec!["X-Auth-User: alice".to_owned(), "X-Auth-Groups: dev,ops".to_owned()];
    if !path.contains("plain") {
        extra.push("Set-Cookie: authck=1; Path=/".to_owned());
    }
    match status {
        401 => extra.push("WWW-Authenticate: Bearer realm=\"authsvc\"".to_owned()),
        302 => extra.push("Location: http://login.test/".to_owned()),
        _ => {}
    }
    (status, extra)
}

/// The answer to a request, as its steering headers want it; an echo that is not steered has `status`.
pub(super) fn answer(persona: Persona, status: u16, message: &Message, received: &Received) -> Answer {
    let (status, extra) = match persona {
        Persona::Echo | Persona::Mirror => echo_head(message, status),
        Persona::Auth => auth_head(message, &received.target),
        Persona::Errors => errors_head(message),
    };
    let bodyless = matches!(status, 204 | 304);
    let body = if bodyless { Vec::new() } else { body(message, received) };
    let trailers = message.header_values("x-echo-trailer");
    let truncate = message.header("x-echo-truncate");
    let chunked = message.header("x-echo-chunked").is_some()
        || !trailers.is_empty()
        || truncate.is_some_and(|how| how == "chunked");

    let mut head = format!("HTTP/1.1 {status} X\r\nServer: echo\r\nX-Backend: {}\r\n", received.backend);
    for field in &extra {
        head.push_str(field);
        head.push_str("\r\n");
    }
    if !bodyless {
        if !extra.iter().any(|field| field.to_ascii_lowercase().starts_with("content-type:")) {
            head.push_str("Content-Type: application/json\r\n");
        }
        if chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if bodyless || received.method == "HEAD" {
        return Answer { bytes, ends: false };
    }
    let sent = if truncate.is_some() { &body[..body.len() / 2] } else { &body[..] };
    if chunked {
        for chunk in sent.chunks(4096) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        if truncate.is_none() {
            bytes.extend(b"0\r\n");
            for trailer in trailers {
                bytes.extend(trailer.bytes());
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"\r\n");
        }
    } else {
        bytes.extend(sent);
    }
    Answer { bytes, ends: truncate.is_some() }
}

fn body(message: &Message, received: &Received) -> Vec<u8> {
    if let Some(text) = message.header("x-echo-body") {
        return text.as_bytes().to_vec();
    }
    if let Some(size) = message.header("x-echo-size").and_then(|size| size.parse().ok()) {
        return vec![b'b'; size];
    }
    json!({
        "backend": received.backend,
        "method": received.method,
        "path": received.target,
        "host": received.header("host"),
        "version": received.version,
        "headers": received.headers,
        "body_length": received.body_length,
    })
    .to_string()
    .into_bytes()
}
