//! What is written down of requests.

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

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
            boolean,
            "Accepted without effect: nothing is traced here. Applications get the trace context of their clients as it is.",
        ),
        Annotation::honoured(
            "opentelemetry-operation-name",
            Scope::Route,
            |value, _| {
                let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_- ".contains(&b);
                let allowed = "letters, digits, `_` and `-`";
                match value.bytes().all(is_allowed) {
                    true if value.trim().is_empty() => Err(invalid(allowed)),
                    true => Ok(()),
                    false => Err(Rejection::Drops(allowed.to_owned())),
                }
            },
            "Accepted without effect: there are no spans.",
        ),
        Annotation::honoured(
            "opentelemetry-trust-incoming-span",
            Scope::Route,
            boolean,
            "Accepted without effect: there are no spans.",
        ),
    ],
};

fn boolean(value: &str, _: &mut IngressSettings) -> Result<(), Rejection> {
    parse_bool(value).map(drop).ok_or_else(|| invalid(BOOL))
}
