//! Certificates towards endpoints.

use edgeward_routing::policy::UpstreamTls;
use edgeward_routing::template::Template;

use super::value::is_server_name;
use super::{Annotation, Group, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "TLS to endpoints",
    doc: "Certificates towards endpoints. None of it counts without `proxy-ssl-secret`, and what the first Ingress of a host asks \
          for with a CA holds for its other routes too, unless the ConfigMap says `proxy-ssl-location-only`.",
    annotations: &[
        Annotation::honoured(
            "proxy-ssl-ciphers",
            Scope::Route,
            |value, settings| {
                settings.upstream_tls.suites = suites(value)?;
                Ok(())
            },
            "Cipher suites of TLS 1.2 towards the endpoints, of those that are spoken.",
        ),
        Annotation::honoured(
            "proxy-ssl-name",
            Scope::Route,
            |value, settings| {
                settings.upstream_tls.name = Some(name(value)?);
                Ok(())
            },
            "Name that the endpoints' certificates must have, with nginx variables.",
        ),
        Annotation::honoured(
            "proxy-ssl-protocols",
            Scope::Route,
            |value, settings| {
                settings.upstream_tls.versions = Some(versions(value)?);
                Ok(())
            },
            "TLS versions towards the endpoints, `TLSv1.2` and `TLSv1.3`; the first alone without it.",
        ),
        Annotation::honoured(
            "proxy-ssl-secret",
            Scope::Route,
            |value, settings| {
                settings.upstream_tls.secret = Some(secret(value)?);
                Ok(())
            },
            "Secret, as `namespace/name` of the namespace of the Ingress, with the client certificate towards the endpoints \
             (`tls.crt`, `tls.key`) and the CA of theirs (`ca.crt`).",
        ),
        Annotation::honoured(
            "proxy-ssl-server-name",
            Scope::Route,
            |value, settings| {
                settings.upstream_tls.sends_name = is_on(value).ok_or_else(|| invalid(ON))?;
                Ok(())
            },
            "Whether that name is sent in the handshake, `on` or `off`.",
        ),
        Annotation::honoured(
            "proxy-ssl-verify",
            Scope::Route,
            |value, settings| {
                settings.upstream_tls.verifies = match is_on(value) {
                    Some(verifies) => verifies,
                    None if value.trim().is_empty() => return Err(invalid(ON)),
                    // The original takes it for off.
                    None => return Err(Rejection::Closes(ON.to_owned())),
                };
                Ok(())
            },
            "Whether the endpoints' certificates are verified, `on` or `off`.",
        ),
        Annotation::honoured(
            "proxy-ssl-verify-depth",
            Scope::Route,
            |value, settings| {
                let depth: u32 = value.parse().map_err(|_| invalid("a whole number of certificates"))?;
                settings.upstream_tls.depth = u8::try_from(depth.max(1)).unwrap_or(u8::MAX);
                Ok(())
            },
            "The most certificates between the endpoints' and that of the CA; 1 without it.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamTlsSettings {
    /// `proxy-ssl-secret`: namespace and name.
    pub secret: Option<(Box<str>, Box<str>)>,
    /// `proxy-ssl-name`.
    pub name: Option<Template>,
    /// `proxy-ssl-server-name`.
    pub sends_name: bool,
    /// `proxy-ssl-verify`.
    pub verifies: bool,
    /// `proxy-ssl-verify-depth`.
    pub depth: u8,
    /// `proxy-ssl-protocols`: whether TLS 1.2 and TLS 1.3 are among them.
    pub versions: Option<(bool, bool)>,
    /// `proxy-ssl-ciphers`; empty for all.
    pub suites: Box<[&'static str]>,
}

impl Default for UpstreamTlsSettings {
    fn default() -> Self {
        Self {
            secret: None,
            name: None,
            sends_name: false,
            verifies: false,
            depth: 1,
            versions: None,
            suites: Box::default(),
        }
    }
}

const ON: &str = "`on` or `off`";

fn is_on(value: &str) -> Option<bool> {
    match value.trim() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// The suites that a list for OpenSSL names. Words for many (`DEFAULT`, `HIGH`) are all that are spoken, which are good ones.
fn suites(value: &str) -> Result<Box<[&'static str]>, Rejection> {
    let value = value.replace(' ', "");
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"+:_-!".contains(&b);
    let allowed =
        || invalid(&format!("names of cipher suites with colons between them, of {}", UpstreamTls::SUITES.join(", ")));
    if value.is_empty() || !value.bytes().all(is_allowed) {
        return Err(allowed());
    }
    let mut named = value.split(':').filter(|word| !word.is_empty() && !word.starts_with(['!', '-', '+']));
    if named.clone().any(|word| !word.contains('-')) {
        return Ok(Box::default());
    }
    let suites: Box<[&str]> =
        UpstreamTls::SUITES.into_iter().filter(|suite| named.clone().any(|word| word == *suite)).collect();
    if suites.is_empty() && named.next().is_some() { Err(allowed()) } else { Ok(suites) }
}

fn name(value: &str) -> Result<Template, Rejection> {
    let value = value.trim();
    let allowed = "a DNS name or an address, with nginx variables";
    value.parse().ok().filter(|_| is_server_name(value)).ok_or_else(|| invalid(allowed))
}

fn versions(value: &str) -> Result<(bool, bool), Rejection> {
    let mut versions = (false, false);
    for word in value.split_ascii_whitespace() {
        match word {
            "TLSv1.2" => versions.0 = true,
            "TLSv1.3" => versions.1 = true,
            _ => return Err(invalid("`TLSv1.2`, `TLSv1.3` or both, with a blank between them")),
        }
    }
    if versions == (false, false) { Err(invalid("`TLSv1.2`, `TLSv1.3` or both")) } else { Ok(versions) }
}

/// `namespace/name`. Everything else closes the routes, as in the original, but for what its first check refuses.
fn secret(value: &str) -> Result<(Box<str>, Box<str>), Rejection> {
    let value = value.trim();
    let allowed = "`namespace/name` of a Secret in the namespace of the Ingress";
    if value.is_empty() {
        return Err(invalid(allowed));
    }
    if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/: ".contains(&b)) {
        return Err(Rejection::Drops(allowed.to_owned()));
    }
    match value.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.into(), name.into()))
        }
        _ => Err(Rejection::Closes(allowed.to_owned())),
    }
}
