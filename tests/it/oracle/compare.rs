//! What counts as the same behaviour.
//!
//! Compared are: status, `Location`, `Set-Cookie` (its shape), `WWW-Authenticate`, CORS, HSTS, the certificate served,
//! all header fields that came from a backend; which backend got what method, path, host and header fields; counts and
//! shares of repeated requests. Not compared are: bodies of the proxy's own pages, `Server`, `Connection`, the length
//! of own pages, the order of header fields.
//!
//! A request that broke off before its end is not counted as one that a backend got: the original reads the whole body
//! before it connects, Edgeward streams it and ends the request at the backend when the client's turns out to be bad.

use std::collections::BTreeMap;

use edgeward_tests::backend::Received;
use edgeward_tests::message::Message;
use edgeward_tests::tls::describe;
use rustls_pki_types::CertificateDer;

use super::case::{CaseRequest, One, Try, Upstream};
use super::replay::Seen;

type Different = BTreeMap<String, String>;

/// Subject of the certificate that the original made for itself.
const FAKE_CERTIFICATE: &str = "CN=Kubernetes Ingress Controller Fake Certificate,O=Acme Co";

/// Header fields that no case is about.
const NOT_COMPARED: &[&str] =
    &["connection", "content-length", "content-type", "date", "keep-alive", "server", "transfer-encoding"];

/// Header fields that the proxy's own answers are compared by.
const OF_OWN_ANSWERS: &[&str] = &["location", "set-cookie", "strict-transport-security", "www-authenticate"];

/// What the recording lacks where it names a backend that a request went to, and not what that got.
pub(super) const UNRECORDED: &str = "upstream (not recorded)";

/// Length at which the recording cut values.
const CUT: usize = 400;

/// The ports that stand for 80 and 443 here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) https: u16,
}

impl Ports {
    /// A field of a response as the recorded ports would have it.
    fn recorded(self, (name, value): &(String, String)) -> (String, String) {
        let value = value.replace(&format!(":{}", self.http), ":80").replace(&format!(":{}", self.https), ":443");
        (name.clone(), value)
    }
}

/// Compares what was recorded of one request with what was seen of it. It is known of a request that went to a backend,
/// `by_backend`, even where that is all that was recorded of it.
pub(super) fn one(
    expected: &One,
    by_backend: bool,
    seen: &Seen,
    request: &CaseRequest,
    ports: Ports,
    default_certificate: &CertificateDer<'_>,
) -> Different {
    let mut different = Different::new();
    let status = seen.answer.as_ref().map_or(0, Message::status);
    differ(&mut different, "status", &expected.status, &status);
    let got: Vec<_> =
        seen.answer.iter().flat_map(|answer| &answer.headers).map(|field| ports.recorded(field)).collect();
    response_headers(&mut different, "header", &expected.headers, &got, by_backend);
    certificate(&mut different, expected, seen, default_certificate);
    if let Some(seconds) = expected.seconds
        && request.timing
        && (seconds - seen.seconds).abs() > 1.5
    {
        different.insert("seconds".to_owned(), format!("{seconds} recorded, {:.1} here", seen.seconds));
    }

    let received = seen.received.iter().filter(|received| received.complete);
    let (beside, main): (Vec<_>, Vec<_>) = received.partition(|received| is_subrequest(received));
    tries(&mut different, "subrequests", &expected.subrequests, &beside);
    match (main.split_last(), &expected.upstream) {
        (None, None) => {}
        (Some((last, _)), None) => {
            let aspect = if by_backend { UNRECORDED } else { "upstream" };
            let text = format!("nothing recorded, {} got {} {} here", last.backend, last.method, last.target);
            different.insert(aspect.to_owned(), text);
        }
        (None, Some(upstream)) => {
            different.insert("upstream".to_owned(), format!("{} recorded, nothing here", upstream.backend));
        }
        (Some((last, earlier)), Some(upstream)) => {
            tries(&mut different, "earlier tries", &expected.earlier_tries, earlier);
            self::upstream(&mut different, upstream, last, request, ports);
        }
    }
    different
}

/// Compares what was recorded of a repeated request, beyond its first answer.
pub(super) fn repeated(
    statuses: &[u16],
    backends: &[Option<String>],
    last_headers: &[(String, String)],
    auth_subrequests: usize,
    seen: &[Seen],
    different: &mut Different,
) {
    let here: Vec<String> =
        seen.iter().map(|seen| seen.answer.as_ref().map_or(0, Message::status).to_string()).collect();
    let recorded: Vec<String> = statuses.iter().map(ToString::to_string).collect();
    shares(different, "statuses", &recorded, &here);

    let recorded: Vec<String> = backends.iter().map(|name| name.clone().unwrap_or_default()).collect();
    let here: Vec<String> = seen
        .iter()
        .map(|seen| {
            seen.received.iter().rfind(|received| !is_subrequest(received)).map_or("", |last| &last.backend).to_owned()
        })
        .collect();
    let groups = |names: &[String]| names.iter().map(|name| group(name).to_owned()).collect::<Vec<_>>();
    let groups_recorded = groups(&recorded);
    shares(different, "backends", &groups_recorded, &groups(&here));
    spread(different, &recorded, &here);

    if let Some(answer) = seen.last().and_then(|seen| seen.answer.as_ref()) {
        let by_backend = backends.last().is_some_and(Option::is_some);
        response_headers(different, "last header", last_headers, &answer.headers, by_backend);
    }
    // Where chance decides between backends, which one had the first and the last request says nothing.
    if groups_recorded.iter().any(|name| *name != groups_recorded[0]) {
        for aspect in ["header x-backend", "upstream backend", "last header x-backend"] {
            different.remove(aspect);
        }
    }
    let auth = seen.iter().flat_map(|seen| &seen.received).filter(|received| received.backend == "auth").count();
    differ(different, "auth subrequests", &auth_subrequests, &auth);
}

/// Compares how often which status came.
pub(super) fn concurrent(counts: &BTreeMap<String, usize>, seen: &[Seen]) -> Different {
    let mut different = Different::new();
    let recorded: Vec<String> =
        counts.iter().flat_map(|(status, count)| std::iter::repeat_n(status.clone(), *count)).collect();
    let here: Vec<String> =
        seen.iter().map(|seen| seen.answer.as_ref().map_or(0, Message::status).to_string()).collect();
    shares(&mut different, "statuses", &recorded, &here);
    different
}

fn differ<T: PartialEq + std::fmt::Debug>(different: &mut Different, aspect: &str, recorded: &T, here: &T) {
    if recorded != here {
        different.insert(aspect.to_owned(), format!("{recorded:?} recorded, {here:?} here"));
    }
}

fn is_subrequest(received: &Received) -> bool {
    matches!(received.backend.as_str(), "auth" | "mirror") || received.target.starts_with("/_mirror")
}

/// The name without the number of the endpoint: which one of several is chance.
fn group(backend: &str) -> &str {
    match backend.rsplit_once('-') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => backend,
    }
}

/// The challenge without its nonce.
fn challenge_shape(challenge: &str) -> String {
    let Some((before, nonce)) = challenge.split_once("nonce=\"") else { return challenge.to_owned() };
    format!("{before}nonce=\"<any>{}", nonce.find('"').map_or("", |end| &nonce[end..]))
}

type Fields = BTreeMap<String, Vec<String>>;

/// Fields by name, names in lower case.
fn fields<'f>(headers: impl IntoIterator<Item = &'f (String, String)>) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in headers {
        fields.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
    }
    fields
}

fn response_headers(
    different: &mut Different,
    aspect: &str,
    recorded: &[(String, String)],
    here: &[(String, String)],
    by_backend: bool,
) {
    let compared = |name: &str| {
        let own = OF_OWN_ANSWERS.contains(&name) || name.starts_with("access-control-");
        own || (by_backend && !NOT_COMPARED.contains(&name))
    };
    let select = |headers: &[(String, String)]| {
        let mut fields = fields(headers);
        fields.retain(|name, _| compared(name));
        for (name, values) in &mut fields {
            for value in values {
                match name.as_str() {
                    "set-cookie" => *value = cookie_shape(value),
                    "x-backend" => *value = group(value).to_owned(),
                    "www-authenticate" => *value = challenge_shape(value),
                    _ => {}
                }
            }
        }
        fields
    };
    compare_fields(different, aspect, &select(recorded), &select(here));
}

/// A cookie without what is chance in it: an affinity key, and the date at which it expires.
fn cookie_shape(cookie: &str) -> String {
    let mut parts = cookie.split(';').map(str::trim);
    let pair = parts.next().unwrap_or_default();
    let pair = match pair.split_once('=') {
        Some((name, value)) if value.contains('|') => format!("{name}=<affinity>"),
        _ => pair.to_owned(),
    };
    let attributes = parts.map(|part| if part.starts_with("Expires=") { "Expires=" } else { part });
    std::iter::once(pair.as_str()).chain(attributes).collect::<Vec<_>>().join("; ")
}

fn compare_fields(different: &mut Different, aspect: &str, recorded: &Fields, here: &Fields) {
    let none = Vec::new();
    let names: std::collections::BTreeSet<&String> = recorded.keys().chain(here.keys()).collect();
    for name in names {
        let (recorded, here) = (recorded.get(name).unwrap_or(&none), here.get(name).unwrap_or(&none));
        let same =
            recorded.len() == here.len() && recorded.iter().zip(here).all(|(recorded, here)| is_value(recorded, here));
        if !same {
            different.insert(format!("{aspect} {name}"), format!("{recorded:?} recorded, {here:?} here"));
        }
    }
}

/// Whether a value is the recorded one; `<32hex>` stands for any request id, and long values were cut.
fn is_value(recorded: &str, here: &str) -> bool {
    if recorded.len() == CUT {
        return here.starts_with(recorded);
    }
    if recorded == "<32hex>" {
        return here.len() == 32 && here.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    recorded == here
}

fn certificate(different: &mut Different, expected: &One, seen: &Seen, default_certificate: &CertificateDer<'_>) {
    let Some(expected) = &expected.cert else { return };
    let Some(certificate) = &seen.certificate else {
        different.insert("certificate".to_owned(), format!("{} recorded, none here", expected.subject));
        return;
    };
    let is_default = certificate == default_certificate;
    let (subject, names) = describe(certificate);
    let same = if expected.subject == FAKE_CERTIFICATE {
        is_default
    } else {
        !is_default && (&expected.subject, &expected.san) == (&subject, &names)
    };
    if !same {
        let text = format!("{} {:?} recorded, {subject} {names:?} here", expected.subject, expected.san);
        different.insert("certificate".to_owned(), text);
    }
}

fn tries(different: &mut Different, aspect: &str, recorded: &[Try], here: &[&Received]) {
    let recorded: Vec<_> =
        recorded.iter().map(|one| (group(&one.backend), one.method.as_str(), without_chance(&one.path))).collect();
    let here: Vec<_> =
        here.iter().map(|one| (group(&one.backend), one.method.as_str(), without_chance(&one.target))).collect();
    differ(different, aspect, &recorded, &here);
}

/// The original's mirror path has an identifier of its own in it.
fn without_chance(path: &str) -> &str {
    if path.starts_with("/_mirror") { "/_mirror" } else { path }
}

fn upstream(different: &mut Different, recorded: &Upstream, here: &Received, request: &CaseRequest, ports: Ports) {
    differ(different, "upstream backend", &group(&recorded.backend), &group(&here.backend));
    differ(different, "upstream method", &recorded.method, &here.method);
    differ(different, "upstream path", &recorded.path, &here.target);
    differ(different, "upstream host", &recorded.host.as_deref(), &here.header("host"));
    differ(different, "upstream version", &recorded.version, &here.version);
    differ(different, "upstream body", &recorded.body_len, &here.body_length);
    let mut expected = fields(&recorded.headers);
    // The proxy listens on other ports here. A port that the client named itself is passed on as it is.
    let named_by_client =
        request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-port")).map(|(_, value)| value);
    if let Some(values) = expected.get_mut("x-forwarded-port") {
        for value in values.iter_mut().filter(|value| Some(&**value) != named_by_client) {
            match value.as_str() {
                "80" => *value = ports.http.to_string(),
                "443" => *value = ports.https.to_string(),
                _ => {}
            }
        }
    }
    let mut here = fields(&here.headers);
    here.retain(|name, _| !name.starts_with("x-echo-"));
    for cookie in [&mut expected, &mut here].into_iter().filter_map(|fields| fields.get_mut("cookie")).flatten() {
        *cookie = cookie_shape(cookie);
    }
    compare_fields(different, "upstream header", &expected, &here);
}

/// Compares how often each value came. Where chance decides, counts may be off by four standard deviations.
fn shares(different: &mut Different, aspect: &str, recorded: &[String], here: &[String]) {
    let count = |values: &[String]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for value in values {
            *counts.entry(value.clone()).or_default() += 1;
        }
        counts
    };
    let (recorded, here) = (count(recorded), count(here));
    let values: std::collections::BTreeSet<&String> = recorded.keys().chain(here.keys()).collect();
    for value in values {
        let counts = (recorded.get(value).copied().unwrap_or(0), here.get(value).copied().unwrap_or(0));
        if !is_near(counts, recorded.values().sum()) {
            different.insert(aspect.to_owned(), format!("{recorded:?} recorded, {here:?} here"));
            return;
        }
    }
}

/// Compares how evenly endpoints of the same backend are used, whichever they are.
fn spread(different: &mut Different, recorded: &[String], here: &[String]) {
    let sorted = |names: &[String]| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in names.iter().filter(|name| group(name) != name.as_str()) {
            *counts.entry(name).or_default() += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    };
    let (mut wanted, mut got) = (sorted(recorded), sorted(here));
    let length = wanted.len().max(got.len());
    wanted.resize(length, 0);
    got.resize(length, 0);
    let total = wanted.iter().sum();
    if !wanted.iter().zip(&got).all(|(a, b)| is_near((*a, *b), total)) {
        different.insert("spread".to_owned(), format!("{wanted:?} recorded, {got:?} here"));
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn is_near((recorded, here): (usize, usize), total: usize) -> bool {
    if recorded == 0 || recorded == total {
        return recorded == here;
    }
    let share = recorded as f64 / total as f64;
    let deviation = (total as f64 * share * (1.0 - share)).sqrt();
    (recorded as f64 - here as f64).abs() <= 4.0 * deviation + 1.0
}
