//! Who answers when the application does not.

use edgeward_routing::backend::BackendKey;
use edgeward_routing::policy::ErrorPages;

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Errors",
    doc: "Who answers when the application does not.",
    annotations: &[
        Annotation::honoured(
            "custom-http-errors",
            Scope::Route,
            |value, settings| {
                settings.errors.statuses = Some(statuses(value)?);
                Ok(())
            },
            "Statuses, 400 to 599, that the default backend answers for: the application's, and the proxy's own.",
        ),
        Annotation::honoured(
            "default-backend",
            Scope::Route,
            |value, settings| {
                settings.errors.default_backend = Some(service(value)?);
                Ok(())
            },
            "Service that answers when the backend has no endpoint, and for custom errors; its first port.",
        ),
        Annotation::honoured(
            "disable-proxy-intercept-errors",
            Scope::Route,
            |value, settings| {
                settings.errors.keeps_answers = parse_bool(value).ok_or_else(|| invalid(BOOL))?;
                Ok(())
            },
            "Whether the application's own answers are passed on although `custom-http-errors` lists their statuses.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorSettings {
    /// `custom-http-errors`, sorted, each once.
    pub statuses: Option<Box<[u16]>>,
    /// `default-backend`.
    pub default_backend: Option<Box<str>>,
    /// `disable-proxy-intercept-errors`.
    pub keeps_answers: bool,
}

impl ErrorSettings {
    /// Which answers another backend gives. Statuses of the Ingress stand in place of those for all, and its default backend
    /// answers for them alone (nginx.tmpl: `error_page` of the location and of the server).
    pub fn pages(&self, for_all: &[u16], intercepts_for_all: bool, backend: Option<&BackendKey>) -> Option<ErrorPages> {
        let for_all_is_on = intercepts_for_all && !for_all.is_empty();
        match &self.statuses {
            Some(statuses) => Some(ErrorPages {
                statuses: statuses.clone(),
                intercepts: !self.keeps_answers || for_all_is_on,
                backend: backend.cloned(),
            }),
            None if for_all.is_empty() => None,
            None => Some(ErrorPages { statuses: for_all.into(), intercepts: for_all_is_on, backend: None }),
        }
    }
}

/// A list with commas. The original passes on what is no status, and its whole configuration stops.
fn statuses(value: &str) -> Result<Box<[u16]>, Rejection> {
    let allowed = "statuses from 400 to 599, with commas between them";
    let mut statuses = Vec::new();
    for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        // Blanks within pass the original's first check, and then are no number: the value is ignored.
        if item.contains(' ') && item.bytes().all(|b| b == b' ' || b.is_ascii_digit()) {
            return Err(invalid(allowed));
        }
        let is_number = item.len() == 3 && item.bytes().all(|b| b.is_ascii_digit());
        let status = item.parse().ok().filter(|status| is_number && (400..600).contains(status));
        statuses.push(status.ok_or_else(|| Rejection::Drops(allowed.to_owned()))?);
    }
    if statuses.is_empty() {
        return Err(invalid(allowed));
    }
    statuses.sort_unstable();
    statuses.dedup();
    Ok(statuses.into())
}

/// The name of a Service (RFC 1035 label, as ingress-nginx checks it).
fn service(value: &str) -> Result<Box<str>, Rejection> {
    let allowed = "the name of a Service in the namespace of the Ingress";
    let value = value.trim();
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if value.is_empty() {
        return Err(invalid(allowed));
    }
    let is_label = value.starts_with(|c: char| c.is_ascii_lowercase()) && !value.ends_with('-') && value.len() <= 63;
    if !is_label || !value.bytes().all(is_allowed) {
        return Err(Rejection::Drops(allowed.to_owned()));
    }
    Ok(value.into())
}
