//! What scripts of other origins may do.

use edgeward_routing::policy::Cors;
use edgeward_routing::policy::cors::{OriginPattern, Origins};

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "CORS",
    doc: "What scripts of other origins may do.",
    annotations: &[
        Annotation::honoured(
            "cors-allow-credentials",
            Scope::Route,
            |value, settings| {
                settings.cors.allow_credentials = Some(parse_bool(value).ok_or_else(|| invalid(BOOL))?);
                Ok(())
            },
            "Whether browsers may send credentials across origins (default `true`).",
        ),
        Annotation::honoured(
            "cors-allow-headers",
            Scope::Route,
            |value, settings| {
                settings.cors.headers = Some(allow_headers(value)?);
                Ok(())
            },
            "Request headers that browsers may send across origins.",
        ),
        Annotation::honoured(
            "cors-allow-methods",
            Scope::Route,
            |value, settings| {
                let methods = list(value, |b| b.is_ascii_alphabetic());
                settings.cors.methods = Some(methods.ok_or_else(|| invalid("methods, with commas between them"))?);
                Ok(())
            },
            "Methods that browsers may use across origins.",
        ),
        Annotation::honoured(
            "cors-allow-origin",
            Scope::Route,
            allow_origin,
            "Origins that browsers may ask from, with commas between them: `https://a.test`, `https://*.a.test:8443`, \
             `null`, or `*` for all (the default).",
        ),
        Annotation::honoured(
            "cors-expose-headers",
            Scope::Route,
            |value, settings| {
                let names = list(value, |b| b.is_ascii_alphanumeric() || b"-_*".contains(&b));
                settings.cors.expose =
                    Some(names.ok_or_else(|| invalid("names of headers, with commas between them"))?);
                Ok(())
            },
            "Response headers that scripts of other origins may read.",
        ),
        Annotation::honoured(
            "cors-max-age",
            Scope::Route,
            |value, settings| {
                settings.cors.max_age = Some(value.parse().map_err(|_| invalid("a whole number of seconds"))?);
                Ok(())
            },
            "Seconds for which browsers may keep the answer to a preflight (default 1728000).",
        ),
        Annotation::honoured(
            "enable-cors",
            Scope::Route,
            |value, settings| {
                settings.cors.is_on = parse_bool(value).ok_or_else(|| invalid(BOOL))?;
                Ok(())
            },
            "Answers preflights with 204 and adds CORS headers to all answers.",
        ),
    ],
};

/// What an Ingress asks for. The defaults are those of cors/main.go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CorsSettings {
    /// `enable-cors`.
    pub is_on: bool,
    /// `cors-allow-origin`.
    pub origins: Option<Origins>,
    /// `cors-allow-credentials`.
    pub allow_credentials: Option<bool>,
    /// `cors-allow-methods`.
    pub methods: Option<Box<str>>,
    /// `cors-allow-headers`.
    pub headers: Option<Box<str>>,
    /// `cors-expose-headers`.
    pub expose: Option<Box<str>>,
    /// `cors-max-age`, in seconds.
    pub max_age: Option<i64>,
}

const METHODS: &str = "GET, PUT, POST, DELETE, PATCH, OPTIONS";
const HEADERS: &str =
    "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization";
const MAX_AGE: i64 = 1_728_000;

impl CorsSettings {
    /// The policy, where it is on.
    pub fn cors(&self) -> Option<Cors> {
        let text = |value: &Option<Box<str>>, default: &str| value.clone().unwrap_or_else(|| default.into());
        self.is_on.then(|| Cors {
            origins: self.origins.clone().unwrap_or(Origins::Any),
            allow_credentials: self.allow_credentials.unwrap_or(true),
            methods: text(&self.methods, METHODS),
            headers: text(&self.headers, HEADERS),
            expose: self.expose.clone(),
            max_age: self.max_age.unwrap_or(MAX_AGE).to_string().into(),
        })
    }
}

/// Origins with commas between them; one `*` is everybody. What is no origin is left out, so that an error grants nothing:
/// ingress-nginx takes some such lists for `*`, and leaves out what is wrong in others (recorded: c229).
fn allow_origin(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    const ALLOWED: &str = "origins such as `https://a.test` or `https://*.a.test`, with commas between them, or `*`";
    if value.trim().is_empty() {
        return Err(invalid(ALLOWED));
    }
    let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
    if items().any(|item| item == "*") {
        settings.cors.origins = Some(Origins::Any);
        return Ok(());
    }
    let origins: Box<[OriginPattern]> = items().filter_map(OriginPattern::parse).collect();
    let is_whole = origins.len() == items().count();
    settings.cors.origins = Some(Origins::Listed(origins));
    if is_whole { Ok(()) } else { Err(Rejection::LeftOut(ALLOWED.to_owned())) }
}

/// Any text of these characters (validators.go HeadersVariable).
fn allow_headers(value: &str) -> Result<Box<str>, Rejection> {
    let value = value.trim();
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_, ".contains(&b);
    if value.is_empty() || !value.bytes().all(is_allowed) {
        return Err(invalid("names of headers, with commas between them"));
    }
    Ok(value.into())
}

/// Words of these characters, with a comma, a blank or a comma and a blank between them (cors/main.go corsMethodsRegex,
/// corsExposeHeadersRegex).
fn list(value: &str, is_allowed: fn(u8) -> bool) -> Option<Box<str>> {
    let value = value.trim();
    let mut before = b' ';
    for (at, byte) in value.bytes().enumerate() {
        let fits = match byte {
            b',' => at > 0 && is_allowed(before),
            b' ' => at > 0 && (is_allowed(before) || before == b','),
            _ => is_allowed(byte),
        };
        if !fits {
            return None;
        }
        before = byte;
    }
    (!value.is_empty()).then(|| value.into())
}
