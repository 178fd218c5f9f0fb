//! Spans of requests as the access log has them.

use edgeward_routing::decide::RequestHead;
use edgeward_routing::forward::Edit;
use edgeward_routing::log_format::{Escape, LogFormat};
use edgeward_routing::policy::Trace;
use edgeward_routing::settings::{Sampled, Sampler};
use opentelemetry::trace::{SpanId, SpanKind, Status};

use super::*;
use crate::access_log::fixture::{Finished, request};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A head with these fields alone.
struct Fields(Vec<(&'static str, &'static str)>);

impl RequestHead for Fields {
    fn method(&self) -> &str {
        "GET"
    }
    fn target(&self) -> &str {
        "/"
    }
    fn authority(&self) -> Option<&str> {
        None
    }
    fn requires_authority(&self) -> bool {
        false
    }
    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }
    fn header_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        self.0.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_bytes())
    }
}

fn begin(trusts_client: bool, fields: &[(&'static str, &'static str)]) -> RequestTrace {
    let policy = Trace { trusts_client, operation: None };
    RequestTrace::begin(&policy, &Sampler::default(), &Fields(fields.to_vec()))
}

/// What an endpoint gets: `traceparent` and `tracestate`.
fn sent(trace: &RequestTrace) -> (String, Option<String>) {
    let (mut parent, mut state) = (String::new(), None);
    trace.edit_request(&mut |edit| match edit {
        Edit::Set("traceparent", value) => parent = String::from_utf8(value.to_vec()).unwrap(),
        Edit::Set("tracestate", value) => state = Some(String::from_utf8(value.to_vec()).unwrap()),
        Edit::Remove("tracestate") => state = None,
        other => panic!("{other:?}"),
    });
    (parent, state)
}

#[test]
fn what_tracing_systems_keep_goes_on_unless_it_is_too_long() {
    for (length, goes_on) in [(1024, true), (1025, false)] {
        let members = (10..26).map(|at| format!("k{at}={},", "v".repeat(59))).collect::<String>();
        let text: &str = format!("{}{}", &members[..1023], "v".repeat(length - 1023)).leak();
        assert_eq!(text.len(), length);
        let (_, state) = sent(&begin(true, &[("traceparent", PARENT), ("tracestate", text)]));
        assert_eq!(state.as_deref(), goes_on.then_some(text));
    }
}

#[test]
fn a_trace_of_a_trusted_client_goes_on() {
    let trace = begin(true, &[("traceparent", PARENT), ("tracestate", "a=1, b=2"), ("tracestate", "c=3")]);
    let (parent, state) = sent(&trace);
    assert!(parent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && parent.ends_with("-01"), "{parent}");
    assert!(!parent.contains("b7ad6b7169203331"), "{parent}");
    assert_eq!(state.as_deref(), Some("a=1,b=2,c=3"));
    assert_eq!(trace.parent_id(), SpanId::from(0xb7ad_6b71_6920_3331));
    assert!(trace.is_sampled());
    let unsampled = PARENT.replace("-01", "-00").leak();
    assert!(!begin(true, &[("traceparent", unsampled)]).is_sampled());
}

#[test]
fn everything_else_begins_a_new_one() {
    let state = ("tracestate", "a=1");
    let table = [
        (false, vec![("traceparent", PARENT), state]),
        (true, vec![state]),
        (true, vec![("traceparent", "00-zz"), state]),
        (true, vec![("traceparent", PARENT), ("traceparent", PARENT), state]),
    ];
    for (trusts, fields) in table {
        let trace = begin(trusts, &fields);
        let (parent, state) = sent(&trace);
        assert!(!parent.contains("0af7651916cd43dd8448eb211c80319c") && state.is_none(), "{fields:?}: {parent}");
        assert_eq!(trace.parent_id(), SpanId::INVALID);
        assert_ne!(sent(&begin(trusts, &fields)).0, parent);
    }
}

#[test]
fn a_state_that_is_none_is_dropped_and_the_trace_goes_on() {
    for state in ["a", "A=1", "a=1,=2", "a=\u{e9}"] {
        let (parent, sent) = sent(&begin(true, &[("traceparent", PARENT), ("tracestate", state)]));
        assert!(parent.contains("0af7651916cd43dd8448eb211c80319c") && sent.is_none(), "{state}: {sent:?}");
    }
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    span.attributes.iter().find(|one| one.key.as_str() == name).map(|one| one.value.to_string())
}

#[test]
fn a_span_says_what_became_of_the_request_and_no_secret() {
    let mut finished = Finished { status: 502, ..Finished::default() };
    finished.request = request("GET", "/path/../a%20b?token=secret");
    for (name, value) in [("User-Agent", "it"), ("Cookie", "secret"), ("Authorization", "Basic secret")] {
        finished.request.insert_header(name, value).unwrap();
    }
    let trace = begin(true, &[("traceparent", PARENT)]);
    let span = finished.with(|record| span(&trace, None, record));
    assert_eq!((&*span.name, span.span_kind.clone()), ("GET /path", SpanKind::Server));
    assert_eq!(span.status, Status::error(""));
    assert!(span.parent_span_is_remote && span.end_time > span.start_time);
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "502"),
        ("http.route", "/path"),
        ("error.type", "502"),
        ("url.path", "/a b"),
        ("url.scheme", "http"),
        ("server.address", "shop.example.com"),
        ("network.protocol.version", "1.1"),
        ("client.address", "203.0.113.7"),
        ("user_agent.original", "it"),
        ("edgeward.upstream.address", "10.0.0.1:8080"),
        ("edgeward.upstream.tries", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(&span, name).as_deref(), Some(value), "{name}");
    }
    assert!(!format!("{span:?}").contains("secret"), "{span:?}");
}

#[test]
fn a_client_cannot_make_names_or_long_texts() {
    let mut finished = Finished { request: request("BREW", &format!("/{}", "x".repeat(5000))), ..Finished::default() };
    finished.route = None;
    let trace = begin(true, &[]);
    let span = finished.with(|record| span(&trace, None, record));
    assert_eq!((&*span.name, attribute(&span, "http.request.method").as_deref()), ("HTTP", Some("_OTHER")));
    assert_eq!(attribute(&span, "http.request.method_original").as_deref(), Some("BREW"));
    assert_eq!(attribute(&span, "url.path").unwrap().len(), 1024);
    let operation = LogFormat::parse_constant("HTTP $request_method $service_name $uri", Escape::None).unwrap();
    let named = Finished::default().with(|record| super::span(&trace, Some(&operation), record));
    assert!(named.name.starts_with("HTTP GET ") && named.name.ends_with(" /path"), "{}", named.name);
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let (spans, mut queue) = Spans::queue();
    let settings = TraceSettings { queue: 3, batch: 2, ..TraceSettings::default() };
    let trace = begin(true, &[]);
    let put = || Finished::default().with(|record| spans.send(span(&trace, None, record), &settings));
    (0..5).for_each(|_| put());
    assert_eq!(spans.dropped().get(), 2);
    assert_eq!((queue.take(2).len(), queue.take(2).len(), queue.take(2).len()), (2, 1, 0));
    put();
    assert_eq!((queue.take(2).len(), spans.dropped().get()), (1, 2));
    queue.lose(1);
    assert_eq!(spans.dropped().get(), 3);
}

#[test]
fn a_trace_that_nobody_records_is_told_of_all_the_same() {
    let sampler = Sampler { traces: Sampled::None, ..Sampler::default() };
    let trace = RequestTrace::begin(&Trace { trusts_client: true, operation: None }, &sampler, &Fields(Vec::new()));
    assert!(!trace.is_sampled() && sent(&trace).0.ends_with("-00"));
}
