//! The requests that the demonstration prints: each line can be pasted into a shell as it is.

use std::fmt::Write as _;
use std::path::Path;

/// Where the demonstration listens, and what it serves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The directory of its manifests.
    pub(super) manifests: &'a Path,
    /// The port for HTTP.
    pub(super) http: u16,
    /// The port for HTTPS.
    pub(super) https: u16,
}

/// A request with what is to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    /// What is to be seen.
    pub(super) title: &'static str,
    /// The shell command.
    pub(super) command: String,
}

/// All of them, in the order to try them in.
pub(super) fn examples(place: Place<'_>) -> Vec<Example> {
    let http = |host: &str, options: &str, path: &str| curl(host, place.http, "http", options, path);
    let https = |host: &str, options: &str, path: &str| curl(host, place.https, "https", options, path);
    let ca = format!("--cacert {}", quoted(&place.manifests.join("ca.crt")));
    let shop = quoted(&place.manifests.join("shop.yaml"));
    let edit = |from: &str, to: &str, path: &str| {
        let request = http("shop.localhost", "", path);
        format!("sed -i 's|path: {from}|path: {to}|' {shop} && sleep 0.5 && {request}")
    };
    let upgrade = "--http1.1 -i -N -o - --max-time 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
                   -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: ZGVtb25zdHJhdGlvbiEhIQ=='";
    let grpc = "--http2-prior-knowledge -i -o - -H 'Content-Type: application/grpc' -H 'TE: trailers' \
                --data-binary @-";
    let example = |title, command| Example { title, command };
    vec![
        example("a host; ask again for its other endpoint", http("shop.localhost", "", "/")),
        example("another host", http("blog.localhost", "", "/")),
        example("fan-out by path: the service `api`", http("shop.localhost", "", "/api/orders?page=2")),
        example("fan-out by path: the service `cart`", http("shop.localhost", "-d 'item=1'", "/cart/items")),
        example("a wildcard host", http("anything.apps.localhost", "", "/")),
        example(
            "TLS by server name: the certificate of bank.localhost",
            https("bank.localhost", &format!("-v {ca}"), "/"),
        ),
        example(
            "TLS by server name: the certificate of mail.localhost",
            https("mail.localhost", &format!("-v {ca}"), "/"),
        ),
        example("a host with a certificate redirects plain HTTP", http("bank.localhost", "-i", "/")),
        example(
            "a WebSocket: 101 and a greeting (curl knows only the handshake: --max-time ends it, with code 28)",
            format!("{} || [ $? = 28 ]", http("shop.localhost", upgrade, "/socket")),
        ),
        example(
            "gRPC over HTTP/2: the message `hello` comes back, with grpc-status in the trailers",
            format!("printf '\\0\\0\\0\\0\\5hello' | {}", http("grpc.localhost", grpc, "/demo.Echo/Say")),
        ),
        example("HTTP/2 by ALPN over TLS", https("bank.localhost", &format!("--http2 -i {ca}"), "/")),
        example("a host that no rule names: 404 from the default backend", http("nobody.localhost", "-i", "/")),
        example("an edit takes effect at once: /cart becomes /basket", edit("/cart", "/basket", "/basket")),
        example("and back", edit("/basket", "/cart", "/cart")),
    ]
}

/// The examples as text for a terminal.
pub(super) fn render(place: Place<'_>) -> String {
    let mut text = String::new();
    for Example { title, command } in examples(place) {
        // Writing to a String does not fail.
        let _ = write!(text, "# {title}\n{command}\n\n");
    }
    text
}

fn curl(host: &str, port: u16, scheme: &str, options: &str, path: &str) -> String {
    let options = if options.is_empty() { String::new() } else { format!(" {options}") };
    format!("curl -sS{options} --resolve {host}:{port}:127.0.0.1 '{scheme}://{host}:{port}{path}'")
}

/// A path as one word of a shell command.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_'));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
