//! What is changed in the answers of the application.

use edgeward_routing::policy::{Expression, Substitution};

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};
use crate::object::{Kind, NamespacedName};

pub(super) static GROUP: Group = Group {
    name: "Response headers",
    doc: "What is changed in the answers of the application.",
    annotations: &[
        Annotation::honoured(
            "custom-headers",
            Scope::Route,
            custom_headers,
            "ConfigMap (`namespace/name`) with response headers to add, whose names are in `global-allowed-response-headers`.",
        )
        .naming(Kind::ConfigMap),
        Annotation::moot(
            "http2-push-preload",
            Scope::Route,
            // HTTP/2 push is no more: nginx passes over its own directive too.
            |value, _| match parse_bool(value) {
                Some(_) => Ok(()),
                None if value.is_empty() => Err(invalid(BOOL)),
                None => Err(Rejection::Drops(BOOL.to_owned())),
            },
            "No browser takes HTTP/2 push any more, and nginx sends none.",
        ),
        Annotation::honoured(
            "proxy-cookie-domain",
            Scope::Route,
            |value, settings| {
                settings.response.cookie_domain = Some(cookie_domain(value)?);
                Ok(())
            },
            "Replaces the domain of the application's cookies: `FROM TO`, or `off`.",
        ),
        Annotation::honoured(
            "proxy-cookie-path",
            Scope::Route,
            |value, settings| {
                settings.response.cookie_path = Some(cookie_path(value)?);
                Ok(())
            },
            "Replaces the beginning of the path of the application's cookies: `FROM TO`, or `off`.",
        ),
        Annotation::honoured(
            "proxy-redirect-from",
            Scope::Route,
            |value, settings| {
                settings.response.redirect_from = Some(redirect_from(value)?);
                Ok(())
            },
            "Beginning of `Location` and `Refresh` of the application that is replaced with `proxy-redirect-to`, or `off`.",
        ),
        Annotation::honoured(
            "proxy-redirect-to",
            Scope::Route,
            |value, settings| {
                settings.response.redirect_to = Some(url(value)?);
                Ok(())
            },
            "What it is replaced with, or `off`.",
        ),
    ],
};

/// What an Ingress asks for. `None` is: what the ConfigMap says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResponseSettings {
    /// `custom-headers`.
    pub custom_headers: Option<NamespacedName>,
    /// `proxy-redirect-from`.
    pub redirect_from: Option<Box<str>>,
    /// `proxy-redirect-to`.
    pub redirect_to: Option<Box<str>>,
    /// `proxy-cookie-domain`; `Some(None)` is `off`.
    pub cookie_domain: Option<Option<Substitution>>,
    /// `proxy-cookie-path`.
    pub cookie_path: Option<Option<Substitution>>,
}

fn custom_headers(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let allowed = "`namespace/name` of a ConfigMap";
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/: ".contains(&b);
    if value.trim().is_empty() || !value.bytes().all(is_allowed) {
        return Err(invalid(allowed));
    }
    // What names no ConfigMap names a missing one (customheaders/main.go).
    let name = value.trim().split_once('/').filter(|(_, name)| !name.contains('/'));
    let (namespace, name) = name.ok_or_else(|| Rejection::Closes(allowed.to_owned()))?;
    settings.response.custom_headers = Some(NamespacedName::new(namespace, name));
    Ok(())
}

/// Text as ingress-nginx takes it for a URL (parser/validators.go URLIsValidRegex), with blanks.
fn is_url(value: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:,?&= ".contains(&b);
    !value.trim().is_empty() && value.bytes().all(is_allowed)
}

fn url(value: &str) -> Result<Box<str>, Rejection> {
    let text = value.trim();
    // One with a blank in it would be two parameters, which breaks the configuration of the original.
    if !is_url(value) || text.contains(' ') {
        return Err(invalid("a URL of letters, digits and `-._~/:,?&=`, or `off`"));
    }
    Ok(text.into())
}

fn redirect_from(value: &str) -> Result<Box<str>, Rejection> {
    let text = url(value)?;
    if text.strip_prefix('~').is_some_and(|pattern| Expression::new(pattern).is_err()) {
        return Err(invalid("a regular expression behind `~`"));
    }
    Ok(text)
}

fn cookie_domain(value: &str) -> Result<Option<Substitution>, Rejection> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/: \t".contains(&b);
    if !value.bytes().all(is_allowed) || value.trim() != value {
        return Err(invalid(PAIR));
    }
    pair(value, Substitution::domain).map_err(|allowed| invalid(&allowed))
}

fn cookie_path(value: &str) -> Result<Option<Substitution>, Rejection> {
    if !is_url(value) {
        return Err(invalid(PAIR));
    }
    pair(value, Substitution::prefix).map_err(|allowed| invalid(&allowed))
}

const PAIR: &str = "what is replaced, a blank, and what it is replaced with; or `off`";

/// Reads `FROM TO` or `off`.
pub(crate) fn pair<E>(
    value: &str,
    replacement: fn(&str, &str) -> Result<Substitution, E>,
) -> Result<Option<Substitution>, String> {
    let mut words = value.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("off"), None, None) => Ok(None),
        (Some(from), Some(to), None) => replacement(from, to).map(Some).map_err(|_| PAIR.to_owned()),
        _ => Err(PAIR.to_owned()),
    }
}
