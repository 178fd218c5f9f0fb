//! Which requests have a span, and where spans go.

use std::time::Duration;

/// What holds for the spans of all routes; which routes have them is theirs to say ([`crate::policy::Trace`]). The defaults
/// are ingress-nginx's.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// Which of the traces are recorded.
    pub sampler: Sampler,
    /// The name of this service in traces (ConfigMap `otel-service-name`); `None` for what the environment says.
    pub service: Option<Box<str>>,
    /// The URL of the collector (ConfigMap `otlp-collector-host` and `-port`); `None` for what the environment says.
    pub collector: Option<Box<str>>,
    /// Spans that may wait to be sent; more are dropped (ConfigMap `otel-max-queuesize`).
    pub queue: usize,
    /// How long spans wait for others to be sent with (ConfigMap `otel-schedule-delay-millis`).
    pub delay: Duration,
    /// Most spans in a message (ConfigMap `otel-max-export-batch-size`).
    pub batch: usize,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            sampler: Sampler::default(),
            service: None,
            collector: None,
            queue: 2048,
            delay: Duration::from_secs(5),
            batch: 512,
        }
    }
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Which of the traces that begin here (ConfigMap `otel-sampler`).
    pub traces: Sampled,
    /// The share of them, from 0 to 1, where a share is (ConfigMap `otel-sampler-ratio`).
    pub ratio: f64,
    /// Whether a trace that began elsewhere is recorded here where it is recorded there, and only then (ConfigMap
    /// `otel-sampler-parent-based`).
    pub follows_parent: bool,
}

/// The samplers of OpenTelemetry, by the names that ingress-nginx has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// `AlwaysOn`
    All,
    /// `AlwaysOff`
    None,
    /// `TraceIdRatioBased`: a share, by the identity of the trace, so that all services choose the same ones.
    Ratio,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { traces: Sampled::All, ratio: 0.01, follows_parent: true }
    }
}

impl Sampler {
    /// Whether a trace is recorded. `parent` says whether the one who began it records it; `None` for one that begins here.
    pub fn samples(&self, trace_id: u128, parent: Option<bool>) -> bool {
        match (parent.filter(|_| self.follows_parent), self.traces) {
            (Some(is_sampled), _) => is_sampled,
            (None, Sampled::All) => true,
            (None, Sampled::None) => false,
            // By the low 63 bits, as other implementations of OpenTelemetry do it.
            (None, Sampled::Ratio) => {
                let place = (trace_id as u64) >> 1;
                place < (self.ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(traces: Sampled, ratio: f64, follows_parent: bool) -> Sampler {
        Sampler { traces, ratio, follows_parent }
    }

    #[test]
    fn a_trace_that_began_elsewhere_is_followed_where_that_is_asked_for() {
        let table = [
            (Sampled::All, true, None, true),
            (Sampled::All, true, Some(false), false),
            (Sampled::All, false, Some(false), true),
            (Sampled::None, true, None, false),
            (Sampled::None, true, Some(true), true),
            (Sampled::None, false, Some(true), false),
        ];
        for (traces, follows, parent, expected) in table {
            let what = format!("{traces:?} {follows} {parent:?}");
            assert_eq!(sampler(traces, 0.5, follows).samples(7, parent), expected, "{what}");
        }
    }

    #[test]
    fn a_share_is_chosen_by_the_low_bits_of_the_identity() {
        let half = sampler(Sampled::Ratio, 0.5, false);
        assert!(half.samples(u128::MAX << 64, None) && !half.samples(u128::from(u64::MAX), None));
        assert!(half.samples((1 << 63) - 1, None) && !half.samples(1 << 63, None));
        let (none, all) = (sampler(Sampled::Ratio, 0.0, false), sampler(Sampled::Ratio, 1.0, false));
        for id in [1, 1 << 63, u128::from(u64::MAX), u128::MAX] {
            assert!(!none.samples(id, None) && all.samples(id, None), "{id:x}");
        }
    }
}
