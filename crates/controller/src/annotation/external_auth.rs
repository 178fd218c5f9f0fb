//! A service that is asked whether a request may pass.

use std::time::Duration;

use edgeward_routing::policy::external_auth::{AnswerField, AuthCache, AuthScheme, AuthUrl};
use edgeward_routing::policy::{ExternalAuth, HeaderFields};
use edgeward_routing::template::{Part, Template};

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};
use crate::object::Kind;

pub(super) static GROUP: Group = Group {
    name: "External authentication",
    doc: "A service that is asked whether a request may pass.",
    annotations: &[
        Annotation::honoured(
            "auth-always-set-cookie",
            Scope::Route,
            |value, settings| {
                settings.external_auth.always_set_cookie = parse_bool(value).ok_or_else(|| invalid(BOOL))?;
                Ok(())
            },
            "Whether cookies of the authentication service also reach the client with answers that are errors.",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-cache-duration",
            Scope::Route,
            |value, settings| {
                settings.external_auth.cache_times = parse_times(value).ok_or_else(|| closes(TIMES))?;
                Ok(())
            },
            "How long answers of the authentication service are kept, by status (default `200 202 401 5m`).",
        )
        .needing(URL),
        Annotation::honoured("auth-cache-key", Scope::Route, cache_key, "What answers of that service are kept by.")
            .needing(URL),
        Annotation::honoured(
            "auth-keepalive",
            Scope::Route,
            connection_count,
            "Accepted: connections to the authentication service are kept in any case.",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-keepalive-requests",
            Scope::Route,
            connection_count,
            "Accepted: connections to the authentication service are kept in any case.",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-keepalive-share-vars",
            Scope::Route,
            |value, _| parse_bool(value).map(|_| ()).ok_or_else(|| invalid(BOOL)),
            "Accepted: the authentication service is always told of the request that it is asked for.",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-keepalive-timeout",
            Scope::Route,
            connection_count,
            "Accepted: connections to the authentication service are kept in any case.",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-method",
            Scope::Route,
            method,
            "Method of the request to that service (default `GET`).",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-proxy-set-headers",
            Scope::Route,
            proxy_set_headers,
            "ConfigMap with headers for the authentication service, as `namespace/name`.",
        )
        .needing(URL)
        .naming(Kind::ConfigMap),
        Annotation::honoured(
            "auth-request-redirect",
            Scope::Route,
            |value, settings| {
                let value = value.trim();
                let template = Some(value).filter(|value| value.bytes().all(is_url_character));
                settings.external_auth.request_redirect =
                    template.ok_or_else(|| invalid("a URL without variables"))?.parse().ok();
                Ok(())
            },
            "`X-Auth-Request-Redirect` for the authentication service (default: the target of the request).",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-response-headers",
            Scope::Route,
            |value, settings| {
                settings.external_auth.response_headers =
                    parse_header_names(value).map_err(|_| closes(HEADER_NAMES))?;
                Ok(())
            },
            "Headers of the authentication service's answer that go to the application, with commas between them.",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-signin",
            Scope::Route,
            sign_in,
            "Where clients are sent that the service refuses with 401.",
        )
        .needing(URL),
        Annotation::honoured(
            "auth-signin-redirect-param",
            Scope::Route,
            |value, settings| {
                settings.external_auth.sign_in_param = parse_param(value).ok_or_else(|| invalid(PARAM))?;
                Ok(())
            },
            "Query parameter of that page which holds the way back (default `rd`).",
        )
        .needing(URL),
        Annotation::honoured("auth-url", Scope::Route, url, "Asks this service whether a request may pass."),
        Annotation::honoured(
            "enable-global-auth",
            Scope::Route,
            |value, settings| {
                settings.no_global_auth = !parse_bool(value).ok_or_else(|| invalid(BOOL))?;
                Ok(())
            },
            "Whether the service of `global-auth-url` is asked here (default `true`).",
        ),
    ],
};

const URL: &str = "auth-url";

/// What is allowed, for mends.
pub(crate) const URL_ALLOWED: &str =
    "an `http` or `https` URL of letters, digits and `-._~/:,?&=`, with variables that Edgeward knows";
pub(crate) const TIMES: &str = "statuses and a time behind them, such as `200 202 10m, 401 1m`";
pub(crate) const HEADER_NAMES: &str =
    "names of headers with commas between them, none that the proxy alone writes, such as `Host` and `Content-Length`";
pub(crate) const PARAM: &str = "the name of a query parameter";

/// What is asked for, by an Ingress or for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalAuthSettings {
    /// `auth-url`; nobody is asked without it.
    pub url: Option<AuthUrl>,
    /// `auth-method`.
    pub method: Option<Box<str>>,
    /// `auth-signin`, its text and what it means.
    pub sign_in: Option<(Box<str>, Template)>,
    /// `auth-signin-redirect-param`.
    pub sign_in_param: Option<Box<str>>,
    /// `auth-response-headers`, in lower case.
    pub response_headers: Vec<Box<str>>,
    /// `auth-request-redirect`.
    pub request_redirect: Option<Template>,
    /// `auth-always-set-cookie`.
    pub always_set_cookie: bool,
    /// `auth-cache-key`.
    pub cache_key: Option<Template>,
    /// `auth-cache-duration`; none are the default.
    pub cache_times: Vec<(Option<u16>, Duration)>,
    /// `auth-proxy-set-headers`.
    pub set_headers: Option<Box<str>>,
}

impl ExternalAuthSettings {
    /// What it comes to, with these headers for the service.
    pub(crate) fn policy(&self, set_headers: Vec<(Box<str>, Template)>) -> Option<ExternalAuth> {
        let default_times = || [200, 202, 401].map(|status| (Some(status), Duration::from_secs(300))).into();
        let cache = self.cache_key.clone().map(|key| AuthCache {
            key,
            times: if self.cache_times.is_empty() { default_times() } else { self.cache_times.clone().into() },
        });
        Some(ExternalAuth {
            url: self.url.clone()?,
            method: self.method.clone(),
            sign_in: self.sign_in.as_ref().map(|(text, page)| self.with_way_back(text, page)),
            response_headers: self.response_headers.iter().map(|name| AnswerField::from(&**name)).collect(),
            request_redirect: self.request_redirect.clone(),
            always_set_cookie: self.always_set_cookie,
            cache,
            set_headers: set_headers.into(),
        })
    }

    /// The sign-in page with the way back behind it, unless it has one (template.go buildAuthSignURL).
    fn with_way_back(&self, text: &str, page: &Template) -> Template {
        let param = self.sign_in_param.as_deref().unwrap_or("rd");
        let query = text.split_once('?').map_or("", |(_, query)| query);
        let mut pairs = query.split('&').filter(|pair| !pair.is_empty()).peekable();
        let has_pairs = pairs.peek().is_some();
        if pairs.filter_map(|pair| pair.split_once('=')).any(|(name, value)| name == param && !value.is_empty()) {
            return page.clone();
        }
        let before = format!("{}{param}=", if has_pairs { '&' } else { '?' });
        let back: Template = "$pass_access_scheme://$http_host$escaped_request_uri".parse().unwrap_or_default();
        let literal = Part::Literal(before.into());
        Template { parts: page.parts.iter().cloned().chain([literal]).chain(back.parts).collect() }
    }
}

fn closes(allowed: &str) -> Rejection {
    Rejection::Closes(allowed.to_owned())
}

/// URLIsValidRegex (parser/validators.go).
fn is_url_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:,?&=".contains(&byte)
}

fn url(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(());
    }
    settings.is_guarded = true;
    // URLWithNginxVariableRegex (parser/validators.go).
    if !value.bytes().all(|byte| is_url_character(byte) || matches!(byte, b' ' | b'$')) {
        return Err(Rejection::Drops(URL_ALLOWED.to_owned()));
    }
    settings.external_auth.url = Some(parse_url(value).ok_or_else(|| closes(URL_ALLOWED))?);
    Ok(())
}

/// Reads the address of a service. Variables may be in the host and behind it.
pub(crate) fn parse_url(text: &str) -> Option<AuthUrl> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || text.bytes().any(|byte| !(0x21..0x7f).contains(&byte) || matches!(byte, b'#' | b'@')) {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port).filter(|port| !port.is_empty())),
        _ => (authority, None),
    };
    if host.is_empty() || host.contains("..") {
        return None;
    }
    Some(AuthUrl {
        scheme: match scheme.to_ascii_lowercase().as_str() {
            "http" => AuthScheme::Http,
            "https" => AuthScheme::Https,
            _ => AuthScheme::Unknown,
        },
        host: host.parse().ok()?,
        port: port.map(str::parse).transpose().ok()?,
        path: if path.is_empty() { Template::default() } else { path.parse().ok()? },
    })
}

fn sign_in(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    // URLWithNginxVariableRegex; a blank would end the URL.
    if !value.bytes().all(|byte| is_url_character(byte) || byte == b'$') {
        return Err(invalid(URL_ALLOWED));
    }
    if !value.is_empty() {
        let template = value.parse().map_err(|_| closes(URL_ALLOWED))?;
        settings.external_auth.sign_in = Some((value.into(), template));
    }
    Ok(())
}

/// The name of a query parameter; `None` in it for the default.
pub(crate) fn parse_param(value: &str) -> Option<Option<Box<str>>> {
    let value = value.trim();
    value.bytes().all(is_url_character).then(|| (!value.is_empty()).then(|| value.into()))
}

fn method(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    if !value.is_empty() {
        settings.external_auth.method = Some(parse_method(value).ok_or_else(|| closes(METHODS))?);
    }
    Ok(())
}

pub(crate) const METHODS: &str = "`GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`";

/// A method as ingress-nginx takes one. It takes `CONNECT` and `TRACE` too, with which no service can be asked.
pub(crate) fn parse_method(value: &str) -> Option<Box<str>> {
    matches!(value, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS").then(|| value.into())
}

/// Whether a request may get a header field of this name by a rule: none that says how a message is framed, how a connection is
/// kept, or which host is meant.
pub(crate) fn is_settable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && HeaderFields::name(name).is_ok()
        && !name.eq_ignore_ascii_case("host")
}

/// Names of header fields that may be set, in lower case.
///
/// # Errors
///
/// Those that are names, where not all are.
pub(crate) fn parse_header_names(value: &str) -> Result<Vec<Box<str>>, Vec<Box<str>>> {
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    let names = items.clone().filter(|name| is_settable(name));
    let names: Vec<Box<str>> = names.map(|name| name.to_ascii_lowercase().into()).collect();
    if names.len() == items.count() { Ok(names) } else { Err(names) }
}

fn cache_key(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    // NGINXVariable (parser/validators.go).
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_${}".contains(&byte)) {
        return Err(invalid("letters, digits, `-_` and variables"));
    }
    if !value.is_empty() {
        settings.external_auth.cache_key = Some(value.parse().map_err(|_| closes("variables that Edgeward knows"))?);
    }
    Ok(())
}

/// Statuses and how long answers with them are kept (authreq/main.go ParseStringToCacheDurations; nginx proxy_cache_valid).
pub(crate) fn parse_times(value: &str) -> Option<Vec<(Option<u16>, Duration)>> {
    let mut times = Vec::new();
    for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let mut words: Vec<&str> = item.split_ascii_whitespace().collect();
        let time = parse_nginx_time(words.pop()?)?;
        if words.is_empty() {
            times.extend([200, 301, 302].map(|status| (Some(status), time)));
        }
        for word in words {
            let status = word.parse().ok().filter(|status| word.len() == 3 && (100..=599).contains(status));
            if status.is_none() && word != "any" {
                return None;
            }
            times.push((status, time));
        }
    }
    Some(times)
}

fn parse_nginx_time(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = digits.parse().ok()?;
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        "w" => 7 * 24 * 3600 * 1000,
        "M" => 30 * 24 * 3600 * 1000,
        "y" => 365 * 24 * 3600 * 1000,
        _ => return None,
    };
    // Ten years: no arithmetic on it overflows.
    number.checked_mul(milliseconds).filter(|time| *time <= 3650 * 24 * 3600 * 1000).map(Duration::from_millis)
}

fn connection_count(value: &str, _: &mut IngressSettings) -> Result<(), Rejection> {
    value.parse::<i64>().map(|_| ()).map_err(|_| invalid("a whole number"))
}

fn proxy_set_headers(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let value = value.trim();
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte)) {
        return Err(invalid("the name of a ConfigMap, as `namespace/name`"));
    }
    settings.external_auth.set_headers = (!value.is_empty()).then(|| value.into());
    Ok(())
}
