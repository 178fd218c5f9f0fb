//! What is written down of requests.

use edgeward_routing::log_format::{Escape, LogFormat};

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, Rejection, Scope, invalid};

/// What an Ingress asks for of traces. The rest counts only where it asks for traces itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceSettings {
    /// `enable-opentelemetry`.
    pub is_on: Option<bool>,
    /// `opentelemetry-trust-incoming-span`.
    pub trusts_client: Option<bool>,
    /// `opentelemetry-operation-name`.
    pub operation: Option<LogFormat>,
}

pub(super) static GROUP: Group = Group {
    name: "Logs and traces",
    doc: "What is written down of requests.",
    annotations: &[
        Annotation::honoured(
            "enable-access-log",
            Scope::Route,
            |value, settings| {
                settings.is_logged = Some(parse_bool(value).ok_or_else(|| invalid(BOOL))?);
                Ok(())
            },
            "Whether requests are in the access log.",
        ),
        Annotation::honoured(
            "enable-opentelemetry",
            Scope::Route,
            |value, settings| {
                settings.trace.is_on = Some(parse_bool(value).ok_or_else(|| invalid(BOOL))?);
                Ok(())
            },
            "Whether requests have spans, which a collector of OpenTelemetry gets. Where they have none, applications get the \
             trace context of their clients as it is.",
        ),
        Annotation::honoured(
            "opentelemetry-operation-name",
            Scope::Route,
            |value, settings| {
                let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_- ".contains(&b);
                let allowed = "letters, digits, `_` and `-`";
                if settings.trace.is_on != Some(true) {
                    return Ok(());
                }
                match value.bytes().all(is_allowed) {
                    true if value.trim().is_empty() => Err(invalid(allowed)),
                    true => {
                        let name = LogFormat::parse_constant(value.trim(), Escape::None);
                        settings.trace.operation = Some(name.map_err(|_| invalid(allowed))?);
                        Ok(())
                    }
                    false => Err(Rejection::Drops(allowed.to_owned())),
                }
            },
            "The name of the spans.",
        )
        .needing("enable-opentelemetry"),
        Annotation::honoured(
            "opentelemetry-trust-incoming-span",
            Scope::Route,
            |value, settings| {
                settings.trace.trusts_client = Some(parse_bool(value).ok_or_else(|| invalid(BOOL))?);
                Ok(())
            },
            "Whether the traces of clients go on here. Without it each request begins one of its own, and applications get \
             nothing of what their clients say of theirs.",
        )
        .needing("enable-opentelemetry"),
    ],
};
