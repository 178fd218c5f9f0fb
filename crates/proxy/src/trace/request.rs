//! The place of a request in a trace.

use std::fmt;

use edgeward_routing::decide::RequestHead;
use edgeward_routing::forward::Edit;
use edgeward_routing::policy::Trace;
use edgeward_routing::settings::Sampler;
use edgeward_routing::trace_parent::{TRACEPARENT, TraceParent};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The field in which tracing systems keep what is theirs (W3C Trace Context, section 3.3).
const TRACESTATE: &str = "tracestate";

/// The longest that is taken, in bytes: twice what everybody has to take, for it waits with its span.
const LONGEST_STATE: usize = 1024;

/// The span of a request, from its head on.
#[derive(Debug, Clone)]
pub struct RequestTrace {
    /// The span that the client has it in, if that is believed.
    parent: Option<TraceParent>,
    own: TraceParent,
    /// The value of `traceparent` for others.
    text: String,
    state: TraceState,
    /// The value of `tracestate` for others; empty for none.
    state_text: String,
}

impl RequestTrace {
    /// Begins the span of a request, in the trace of the client where that is to go on.
    pub(crate) fn begin(policy: &Trace, sampler: &Sampler, head: &impl RequestHead) -> Self {
        let parent = if policy.trusts_client { TraceParent::of(head) } else { None };
        let trace_id = parent.map_or_else(|| fastrand::u128(1..), |parent| parent.trace_id);
        let is_sampled = sampler.samples(trace_id, parent.map(|parent| parent.is_sampled));
        let own = TraceParent { trace_id, span_id: fastrand::u64(1..), is_sampled };
        // It is nothing without the other field.
        let state = if parent.is_some() { trace_state(head) } else { TraceState::NONE };
        Self { parent, own, text: own.text(), state_text: state.header(), state }
    }

    /// Tells `edit` what others are to learn: that what they do for the request is a part of this span.
    pub(crate) fn edit_request<'p>(&self, edit: &mut impl FnMut(Edit<'p, '_>)) {
        edit(Edit::Set(TRACEPARENT, self.text.as_bytes()));
        match self.state_text.as_bytes() {
            b"" => edit(Edit::Remove(TRACESTATE)),
            state => edit(Edit::Set(TRACESTATE, state)),
        }
    }

    /// Whether the span is recorded.
    pub fn is_sampled(&self) -> bool {
        self.own.is_sampled
    }

    /// The value of `traceparent` that others get.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The identity of the trace.
    pub fn trace_id(&self) -> impl fmt::Display {
        TraceId::from(self.own.trace_id)
    }

    /// The identity of the span.
    pub fn span_id(&self) -> impl fmt::Display {
        SpanId::from(self.own.span_id)
    }

    /// The span that this one is in.
    pub(super) fn parent_id(&self) -> SpanId {
        self.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span_id))
    }

    /// The span, as a collector knows it.
    pub(super) fn context(&self) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.own.is_sampled);
        let (trace, span) = (TraceId::from(self.own.trace_id), SpanId::from(self.own.span_id));
        SpanContext::new(trace, span, flags, false, self.state.clone())
    }
}

/// What the client says that tracing systems keep; nothing where it is malformed or too long.
fn trace_state(head: &impl RequestHead) -> TraceState {
    let values: Vec<_> = head.header_values(TRACESTATE).collect();
    if values.iter().map(|value| value.len() + 1).sum::<usize>() > LONGEST_STATE + 1 {
        return TraceState::NONE;
    }
    // The library takes other bytes, and members without a name, too.
    let is_text =
        |text: &String| text.is_ascii() && text.split(',').all(|one| !one.trim_ascii_start().starts_with('='));
    let text = String::from_utf8(values.join(&b","[..])).ok().filter(is_text);
    text.and_then(|text| text.parse().ok()).unwrap_or(TraceState::NONE)
}
