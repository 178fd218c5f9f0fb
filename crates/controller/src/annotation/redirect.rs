//! Redirects that the proxy answers with by itself.

use edgeward_routing::policy::{Redirect, RedirectStyle};

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Redirects",
    doc: "Redirects that the proxy answers with by itself.",
    annotations: &[
        Annotation::honoured(
            "app-root",
            Scope::Host,
            app_root,
            "Path that `/` of the hosts is redirected to with 302.",
        ),
        Annotation::honoured(
            "force-ssl-redirect",
            Scope::Route,
            force_ssl_redirect,
            "Redirects plain HTTP to HTTPS even where no certificate is configured.",
        ),
        Annotation::honoured(
            "from-to-www-redirect",
            Scope::Host,
            |value, settings| {
                settings.redirects.from_to_www = boolean(value)?;
                Ok(())
            },
            "Redirects the name with `www.` to the one without, or the other way round, where nobody has that name.",
        ),
        Annotation::honoured(
            "permanent-redirect",
            Scope::Route,
            |value, settings| {
                settings.redirects.permanent = Some(location(value)?);
                Ok(())
            },
            "Where every request is redirected to for good.",
        ),
        Annotation::honoured(
            "permanent-redirect-code",
            Scope::Route,
            |value, settings| {
                settings.redirects.permanent_status = status(value, 308)?;
                Ok(())
            },
            "Status of that redirect, 300 to 308; 301 without it, and for every other number.",
        ),
        Annotation::honoured(
            "preserve-trailing-slash",
            Scope::Route,
            |value, settings| {
                settings.redirects.keeps_slash = Some(boolean(value)?);
                Ok(())
            },
            "Whether the redirect to HTTPS keeps a slash at the end, of which it drops one otherwise.",
        ),
        Annotation::honoured(
            "relative-redirects",
            Scope::Route,
            |value, settings| {
                settings.redirects.is_relative = Some(boolean(value)?);
                Ok(())
            },
            "Whether redirects within a host leave out scheme and host.",
        ),
        Annotation::honoured(
            "ssl-redirect",
            Scope::Route,
            ssl_redirect,
            "Redirects plain HTTP to HTTPS where the host has a certificate configured.",
        ),
        Annotation::honoured(
            "temporal-redirect",
            Scope::Route,
            temporal_redirect,
            "Where every request is redirected to for now; wins over `permanent-redirect`.",
        ),
        Annotation::honoured(
            "temporal-redirect-code",
            Scope::Route,
            |value, settings| {
                settings.redirects.temporal_status = status(value, 307)?;
                Ok(())
            },
            "Status of that redirect, 300 to 307; 302 without it, and for every other number.",
        ),
        Annotation::honoured(
            "use-port-in-redirects",
            Scope::Route,
            |value, settings| {
                settings.redirects.has_port = Some(boolean(value)?);
                Ok(())
            },
            "Whether redirects within a host name the port.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RedirectSettings {
    /// `ssl-redirect`.
    pub ssl: Option<bool>,
    /// `force-ssl-redirect`.
    pub force_ssl: Option<bool>,
    /// `app-root`.
    pub app_root: Option<Box<str>>,
    /// `from-to-www-redirect`.
    pub from_to_www: bool,
    permanent: Option<Box<str>>,
    permanent_status: Option<u16>,
    temporal: Option<Box<str>>,
    temporal_status: Option<u16>,
    /// `relative-redirects`.
    pub is_relative: Option<bool>,
    /// `use-port-in-redirects`.
    pub has_port: Option<bool>,
    /// `preserve-trailing-slash`.
    pub keeps_slash: Option<bool>,
}

impl RedirectSettings {
    /// How redirects are written, where the ConfigMap says `all`.
    pub fn style(&self, all: RedirectStyle) -> RedirectStyle {
        RedirectStyle {
            is_relative: self.is_relative.unwrap_or(all.is_relative),
            has_port: self.has_port.unwrap_or(all.has_port),
            keeps_slash: self.keeps_slash.unwrap_or(all.keeps_slash),
        }
    }

    /// The redirect of the routes (redirect.go Parse: the temporal one first).
    pub fn redirect(&self) -> Option<Redirect> {
        let temporal = self.temporal.clone().map(|location| (self.temporal_status.unwrap_or(302), location));
        let permanent = || Some((self.permanent_status.unwrap_or(301), self.permanent.clone()?));
        temporal.or_else(permanent).map(|(status, location)| Redirect { status, location })
    }
}

fn boolean(value: &str) -> Result<bool, Rejection> {
    parse_bool(value).ok_or_else(|| invalid(BOOL))
}

fn ssl_redirect(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.redirects.ssl = Some(boolean(value)?);
    Ok(())
}

fn force_ssl_redirect(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    settings.redirects.force_ssl = Some(boolean(value)?);
    Ok(())
}

fn app_root(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    // RegexPathWithCapture, and what Go takes for a path (rewrite/main.go).
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:".contains(&b);
    if !value.starts_with('/') || !value.bytes().all(is_allowed) {
        return Err(invalid("a path of letters, digits and `-._~/:` that starts with `/`"));
    }
    settings.redirects.app_root = Some(value.into());
    Ok(())
}

fn temporal_redirect(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let location = location(value)?;
    // redirect.go isValidURL.
    if !is_http(&location) {
        return Err(invalid("a URL that starts with `http://` or `https://`"));
    }
    settings.redirects.temporal = Some(location);
    Ok(())
}

/// A URL as ingress-nginx takes one (parser/validators.go URLIsValidRegex; there is no variable in it): another value drops
/// the Ingress (recorded: c065, c374).
fn location(value: &str) -> Result<Box<str>, Rejection> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:,?&=".contains(&b);
    let has_other_scheme = value.contains(':') && !is_http(value) && !value.starts_with('/');
    if value.is_empty() || !value.bytes().all(is_allowed) || has_other_scheme {
        let allowed = "an `http` or `https` URL of letters, digits and `-._~/:,?&=`, without variables";
        return Err(Rejection::Drops(allowed.to_owned()));
    }
    Ok(value.into())
}

fn is_http(location: &str) -> bool {
    let scheme = location.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
}

/// A status; `None` for a number that is not from 300 to `last`.
fn status(value: &str, last: u16) -> Result<Option<u16>, Rejection> {
    let number = value.parse::<i64>().map_err(|_| Rejection::Drops(format!("a status from 300 to {last}")))?;
    Ok(u16::try_from(number).ok().filter(|status| (300..=last).contains(status)))
}
