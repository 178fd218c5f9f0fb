//! Annotations and requests that mean ill: whatever they say, translation and decision hold to what is promised.
//!
//! [`survives`] is what the property test and the fuzz target both call.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_controller::index::Index;
use edgeward_controller::object::Object;
use edgeward_controller::parse::parse;
use edgeward_controller::translate::{Options, translate};
use edgeward_routing::Snapshot;
use edgeward_routing::decide::{Action, Decision, Downstream, RequestHead, decide};
use edgeward_routing::forward::{Edit, edit_upstream_headers};
use edgeward_routing::render::render;

use crate::manifest::{Ingress, join, secret, service};

/// Where the Ingress with the annotations serves, beside a neighbour that nothing may happen to.
const HOST: &str = "a.test";
const NEIGHBOUR: &str = "neighbour.test";

/// What the decision about one request may take, on the slowest of machines and without optimisation: what is not linear in
/// a target of 8 KiB takes seconds.
const LONGEST: Duration = Duration::from_millis(200);

/// What one translation may take, all regular expressions compiled.
const LONGEST_TRANSLATION: Duration = Duration::from_secs(5);

/// A request head in HTTP/1.1 as the engines let it through: no control byte is in it.
#[derive(Debug, Clone)]
pub struct Head {
    method: &'static str,
    authority: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// One that asks for this target. What no engine lets through is left out of it and of the values.
    pub fn new(target: &str, headers: &[(&str, &[u8])]) -> Self {
        let visible: String = target.chars().filter(char::is_ascii_graphic).collect();
        let target = if visible.starts_with('/') { visible } else { format!("/{visible}") };
        let value = |value: &[u8]| value.iter().copied().filter(|byte| !is_control(*byte)).collect();
        let headers = headers.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect();
        Self { method: "GET", authority: HOST.to_owned(), target, headers }
    }

    /// With another method.
    #[must_use]
    pub fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn authority(&self) -> Option<&str> {
        Some(&self.authority)
    }

    fn requires_authority(&self) -> bool {
        true
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()))
    }

    fn header_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_slice())
    }
}

/// Translates an Ingress with these annotations, and decides about the requests.
///
/// # Panics
///
/// When anything takes too long, a control byte comes into a header field, a target or a `Location`, or the neighbour is
/// not served any more. Panics of the code under test are passed on.
pub fn survives(annotations: &BTreeMap<String, String>, requests: &[Head]) {
    let snapshot = snapshot(annotations);
    render(&snapshot);
    for head in requests {
        let decision =
            (0..3).map(|_| timed(|| decide(&snapshot, &downstream(false), head))).min_by_key(|(_, took)| *took);
        let (decision, took) = decision.expect("three decisions");
        assert!(took < LONGEST, "a decision took {took:?}: {annotations:?} for {head:?}");
        for downstream in [downstream(false), downstream(true)] {
            let decision = decide(&snapshot, &downstream, head);
            check(&snapshot, &decision, &downstream, head, annotations);
        }
        check(&snapshot, &decision, &downstream(false), head, annotations);
    }
    let neighbour = Head { authority: NEIGHBOUR.to_owned(), ..Head::new("/", &[]) };
    let action = decide(&snapshot, &downstream(false), &neighbour).action;
    assert!(matches!(action, Action::Proxy(_)), "the neighbour got {action:?} beside {annotations:?}");
}

/// The same for bytes, as a fuzzer gives them: a target, the value of a header, and annotations as `name=value`, with
/// `\x1e` between them.
///
/// # Panics
///
/// As [`survives`] does.
pub fn survives_bytes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\x1e');
    let (target, header) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let annotations = parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (key(name), value.to_owned()));
    let headers: Vec<(&str, &[u8])> = HEADERS.iter().map(|name| (*name, header.as_bytes())).collect();
    let head = Head::new(target, &headers);
    survives(&annotations.collect(), &[head.clone().method("OPTIONS"), head]);
}

/// Header fields that annotations read, or that are passed on.
pub const HEADERS: &[&str] =
    &["origin", "access-control-request-headers", "cookie", "x-forwarded-for", "x-forwarded-host", "x-next", "x"];

/// The name with ingress-nginx's prefix, unless it has one.
pub fn key(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("nginx.ingress.kubernetes.io/{name}") }
}

fn snapshot(annotations: &BTreeMap<String, String>) -> Snapshot {
    let endpoint = [(Ipv4Addr::LOCALHOST, 8080).into()];
    let text = join([
        service("web", &endpoint),
        service("other", &endpoint),
        secret("users", &serde_json::json!({"auth": "u:{PLAIN}p\n"})),
        Ingress::new("neighbour").created("2026-01-01T00:00:00Z").host(NEIGHBOUR, "other").text(),
        Ingress::new("hostile")
            .created("2026-01-02T00:00:00Z")
            .host(HOST, "web")
            .path(HOST, "ImplementationSpecific", "/(a+)+(.*)", "web")
            .text(),
    ]);
    let mut parsed = parse("hostile.yaml", &text).expect("manifests in JSON values are YAML");
    // Not by way of the text: an API server hands out values that no YAML may have.
    for placed in &mut parsed.objects {
        if let Object::Ingress(ingress) = &mut placed.object
            && &*ingress.meta.name.name == "hostile"
        {
            Arc::make_mut(ingress).meta.annotations.clone_from(annotations);
        }
    }
    let index = Index::of(parsed.objects.into_iter().map(|placed| placed.object));
    let options = Options::for_directory();
    let (translation, took) = timed(|| translate(&index, &options, &Snapshot::empty(Default::default())));
    assert!(took < LONGEST_TRANSLATION, "a translation took {took:?}: {annotations:?}");
    translation.snapshot
}

fn downstream(tls: bool) -> Downstream {
    Downstream { client: IpAddr::V4(Ipv4Addr::LOCALHOST), tls, port: if tls { 443 } else { 80 } }
}

fn timed<T>(of: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (of(), start.elapsed())
}

/// A byte that RFC 9110 section 5.5 has no place for in a field.
fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Looks at everything that goes to a client or an endpoint because of annotations.
fn check(
    snapshot: &Snapshot,
    decision: &Decision,
    downstream: &Downstream,
    head: &Head,
    annotations: &BTreeMap<String, String>,
) {
    let field = |what: &str, bytes: &[u8]| {
        let found = bytes.iter().copied().find(|byte| is_control(*byte));
        assert_eq!(found, None, "{what} {:?}: {annotations:?} for {head:?}", String::from_utf8_lossy(bytes));
    };
    let visible = |what: &str, bytes: &[u8]| {
        let is_visible = bytes.iter().all(u8::is_ascii_graphic);
        assert!(is_visible, "{what} {:?}: {annotations:?} for {head:?}", String::from_utf8_lossy(bytes));
    };
    let edited = |edit: Edit<'_, '_>| match edit {
        Edit::Set(name, value) | Edit::Append(name, value) => {
            visible("the name of a field", name.as_bytes());
            field(name, value);
        }
        Edit::Remove(name) => visible("the name of a field", name.as_bytes()),
    };
    if let Action::Redirect { location, .. } = &decision.action {
        visible("Location", location.as_bytes());
    }
    if let Some(target) = &decision.target {
        visible("the target", target.as_bytes());
    }
    let settings = &snapshot.settings;
    let policies = decision.route.as_ref().map_or(&settings.default_policies, |route| &route.policies);
    decision.response.apply(settings, policies, edited);
    let Some(forwarded) = &decision.forwarded else { return };
    let id = "0123456789abcdef0123456789abcdef";
    edit_upstream_headers(forwarded, head, settings, downstream.client, id.as_bytes(), edited);
    if let Some(host) = policies.upstream_request.as_ref().and_then(|request| request.host_for(forwarded, head, id)) {
        field("upstream-vhost", &host);
    }
    if let Some(mirror) = &policies.mirror {
        if let Some(url) = mirror.url(forwarded, head, id) {
            visible("mirror-target", url.as_bytes());
        }
        visible("mirror-host", &mirror.host_for(forwarded, head, id));
    }
    if let Some(auth) = &policies.basic_auth {
        field("WWW-Authenticate", auth.challenge().as_bytes());
    }
    if let Some(auth) = &policies.external_auth {
        let location = auth.sign_in_location(downstream, forwarded, head, id, policies.redirect_style);
        visible("auth-signin", location.unwrap_or_default().as_bytes());
        // The engine refuses what is no field value of the subrequest itself; this one has no variables.
        if let Some(redirect) = &auth.request_redirect {
            let mut written = Vec::new();
            redirect.write(forwarded, head, id, &mut written);
            field("X-Auth-Request-Redirect", &written);
        }
    }
    if let Some(response) = &policies.response {
        for (name, value) in [
            ("location", "http://a.test/x/y?z"),
            ("refresh", "1; url=http://a.test/x"),
            ("set-cookie", "a=b; Path=/x; Domain=a.test"),
        ] {
            field(name, &response.rewritten(name.as_bytes(), value.as_bytes()).unwrap_or_default());
        }
    }
}
