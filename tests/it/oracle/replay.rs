//! Sends the requests of a case and gathers what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use edgeward_tests::backend::Received;
use edgeward_tests::client::{Connection, Request, connect};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::h2_client::H2Client;
use edgeward_tests::manifest::{Manifests, config_map, ingress_class};
use edgeward_tests::message::Message;
use edgeward_tests::tls::Hello;
use hyper::http;
use rustls_pki_types::CertificateDer;
use serde_json::json;

use super::backends::{self, Backends};
use super::case::{Case, CaseRequest, Observed};
use super::compare::{self, Ports};

/// Where the recorded client sat.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 201, 100, 1));

/// In this time a copy arrives, which nobody waits for.
const MIRRORED: Duration = Duration::from_millis(200);

/// Edgeward over some cases.
#[derive(Debug)]
pub(super) struct Process {
    edgeward: Edgeward,
    default_certificate: CertificateDer<'static>,
    _manifests: Manifests,
}

/// What was seen of one request here.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The answer; `None` when there was no HTTP answer.
    pub(super) answer: Option<Message>,
    /// The certificate that was served.
    pub(super) certificate: Option<CertificateDer<'static>>,
    /// What backends got.
    pub(super) received: Vec<Received>,
    /// How long it took.
    pub(super) seconds: f64,
}

/// What differs for one request: aspect and detail.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) case: String,
    pub(super) request: usize,
    pub(super) different: BTreeMap<String, String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} request {}:", self.case, self.request)?;
        if self.different.is_empty() {
            f.write_str(" nothing differs")?;
        }
        for (aspect, detail) in &self.different {
            write!(f, "\n    {aspect}: {detail}")?;
        }
        Ok(())
    }
}

impl Process {
    /// Starts Edgeward over the manifests of `cases`.
    pub(super) async fn start(configmap: &BTreeMap<String, String>, cases: &[&Case]) -> Self {
        let manifests = Manifests::new();
        manifests.write("class.yaml", ingress_class("nginx", "k8s.io/ingress-nginx"));
        manifests.write("backends.yaml", backends::manifests());
        manifests.write("options.yaml", config_map("ingress-nginx", "controller", &json!(configmap)));
        for case in cases {
            manifests.write(&format!("cases/{}.yaml", case.id), case.dated_manifests());
        }
        let edgeward = Launch::new(manifests.path())
            .argument("--configmap=ingress-nginx/controller")
            .argument("--watch-ingress-without-class=false")
            .access_log("off")
            .start()
            .await;
        let connection = Connection::open_tls(edgeward.https, &Hello::nameless()).await;
        let default_certificate = connection.certificate_der().clone();
        Self { edgeward, default_certificate, _manifests: manifests }
    }

    /// Replays all requests of a case.
    pub(super) async fn replay(&self, case: &Case, backends: &Backends) -> Vec<Outcome> {
        let ports = Ports { http: self.edgeward.http.port(), https: self.edgeward.https.port() };
        let mut cookies: Vec<String> = Vec::new();
        let mut outcomes = Vec::new();
        for (index, (request, observed)) in case.requests.iter().zip(&case.observed).enumerate() {
            let compare = |expected, by_backend, seen| {
                compare::one(expected, by_backend, seen, request, ports, &self.default_certificate)
            };
            backends.recording.take();
            let different = match observed {
                Observed::Once(expected) => {
                    let mut seen = self.send(request, &mut cookies, backends).await;
                    if case.annotations.iter().any(|name| name == "mirror-target") {
                        tokio::time::sleep(MIRRORED).await;
                        seen.received.extend(backends.recording.take());
                    }
                    compare(expected, expected.upstream.is_some(), &seen)
                }
                Observed::Repeated { statuses, backends: names, first, last_headers, auth_subrequests } => {
                    let mut all = Vec::new();
                    for _ in 0..request.repeat.unwrap_or(1) {
                        all.push(self.send(request, &mut cookies, backends).await);
                    }
                    let mut different = compare(first, names[0].is_some(), &all[0]);
                    compare::repeated(statuses, names, last_headers, *auth_subrequests, &all, &mut different);
                    different
                }
                Observed::Concurrent { counts } => {
                    let copies = (0..request.concurrent.unwrap_or(1))
                        .map(|_| async { self.send(request, &mut Vec::new(), backends).await });
                    compare::concurrent(counts, &futures_util::future::join_all(copies).await)
                }
            };
            outcomes.push(Outcome { case: case.id.clone(), request: index, different });
        }
        outcomes
    }

    async fn send(&self, request: &CaseRequest, cookies: &mut Vec<String>, backends: &Backends) -> Seen {
        let started = Instant::now();
        let mut seen = Seen::default();
        let keeps_cookies = request.cookies.as_deref() == Some("keep");
        let jar = if keeps_cookies { cookies.join("; ") } else { String::new() };
        if request.scheme == "https" {
            let stream = connect(self.edgeward.https, Some(request.source.unwrap_or(CLIENT))).await.unwrap();
            if let Ok(mut connection) = Connection::handshake(stream, &hello(request)).await {
                seen.certificate = Some(connection.certificate_der().clone());
                seen.answer = if request.version.as_deref() == Some("2.0") {
                    send_h2(connection, request).await
                } else {
                    connection.try_exchange(&wire(request, &jar)).await.ok()
                };
            }
        } else {
            let stream = connect(self.edgeward.http, Some(request.source.unwrap_or(CLIENT))).await.unwrap();
            seen.answer = Connection::over(stream).try_exchange(&wire(request, &jar)).await.ok();
        }
        seen.seconds = started.elapsed().as_secs_f64();
        seen.received = backends.recording.take();
        // Those of every earlier answer are sent back.
        if let Some(answer) = &seen.answer {
            keep_cookies(cookies, answer);
        }
        seen
    }
}

/// The TLS side of a request. The client's TLS library sends no server name that is no DNS name; such a request goes
/// without one, which asks for the default certificate just as well.
fn hello(request: &CaseRequest) -> Hello {
    let host = request.host.as_deref().unwrap_or_default();
    let name = request.sni.as_deref().unwrap_or(host.split(':').next().unwrap_or_default());
    let is_dns_name = !name.is_empty() && rustls_pki_types::DnsName::try_from(name).is_ok();
    let mut hello = if is_dns_name { Hello::name(name) } else { Hello::nameless() };
    if request.version.as_deref() == Some("2.0") {
        hello = hello.alpn(&["h2"]);
    }
    match &request.client_cert {
        Some(name) => hello.client_certificate(backends::pair(name)),
        None => hello,
    }
}

fn wire(request: &CaseRequest, jar: &str) -> Request {
    let mut wire = Request::hostless(&request.method, &request.path);
    if let Some(host) = &request.host {
        wire = wire.header("Host", host);
    }
    for (name, value) in &request.headers {
        wire = wire.header(name, value);
    }
    if !jar.is_empty() {
        wire = wire.header("Cookie", jar);
    }
    if let Some(version) = &request.version {
        wire = wire.version(version);
    }
    wire = wire.body(body(request));
    if request.chunked { wire.chunked() } else { wire }
}

fn body(request: &CaseRequest) -> Vec<u8> {
    match (&request.body, request.body_size) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(size)) => vec![b'a'; size],
        (None, None) => Vec::new(),
    }
}

async fn send_h2(connection: Connection, request: &CaseRequest) -> Option<Message> {
    let mut client = H2Client::over(connection.into_stream()).await;
    let host = request.host.as_deref().unwrap_or_default();
    let mut builder =
        http::Request::builder().method(request.method.as_str()).uri(format!("https://{host}{}", request.path));
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let answer = client.send(builder.body(()).unwrap(), body(request)).await.ok()?;
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let start = format!("HTTP/2 {} ", answer.status.as_u16());
    Some(Message { start, headers, body: answer.body, ..Message::default() })
}

/// Adds the cookies of an answer; a new value replaces the old one of the same name.
fn keep_cookies(cookies: &mut Vec<String>, answer: &Message) {
    for set in answer.header_values("set-cookie") {
        let pair = set.split(';').next().unwrap_or_default().trim().to_owned();
        let name = pair.split('=').next().unwrap_or_default().to_owned();
        cookies.retain(|cookie| cookie.split('=').next() != Some(name.as_str()));
        cookies.push(pair);
    }
}
