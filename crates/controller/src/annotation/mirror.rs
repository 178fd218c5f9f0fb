//! Copies of requests.

use edgeward_routing::host::Host;
use edgeward_routing::policy::Mirror;
use edgeward_routing::template::{Part, Template};

use super::value::is_server_name;
use super::{Annotation, Group, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Mirroring",
    doc: "Copies of requests. Answers to them are not waited for; a copy that would take too much memory is not made.",
    annotations: &[
        Annotation::honoured(
            "mirror-host",
            Scope::Route,
            |value, settings| {
                settings.mirror.host = Some(host(value)?);
                Ok(())
            },
            "`Host` header of mirrored requests; the host of the target without it.",
        ),
        Annotation::honoured(
            "mirror-request-body",
            Scope::Route,
            |value, settings| {
                settings.mirror.lacks_body = match value.trim() {
                    "on" => false,
                    "off" => true,
                    _ => return Err(invalid("`on` or `off`")),
                };
                Ok(())
            },
            "Whether mirrored requests have the body, `on` or `off`. One of more than 1 MiB is not mirrored.",
        ),
        Annotation::honoured(
            "mirror-target",
            Scope::Route,
            |value, settings| {
                settings.mirror.target = Some(target(value)?);
                Ok(())
            },
            "URL that a copy of every request is sent to, with nginx variables behind host and port.",
        ),
    ],
};

/// What an Ingress asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MirrorSettings {
    /// `mirror-target`.
    pub target: Option<Target>,
    /// `mirror-host`.
    pub host: Option<Template>,
    /// `mirror-request-body`.
    pub lacks_body: bool,
}

/// A URL that copies go to.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    is_tls: bool,
    authority: Box<str>,
    path: Template,
}

impl MirrorSettings {
    /// Where copies go, if they go anywhere.
    pub fn mirror(&self) -> Option<Mirror> {
        let Target { is_tls, authority, path } = self.target.clone()?;
        let name = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &authority,
        };
        let named = || Template { parts: vec![Part::Literal(name.into())] };
        let host = self.host.clone().unwrap_or_else(named);
        Some(Mirror { is_tls, path, host, has_body: !self.lacks_body, authority })
    }
}

fn host(value: &str) -> Result<Template, Rejection> {
    let value = value.trim();
    let allowed = "a name of letters, digits and `-._~:`, with nginx variables";
    value.parse().ok().filter(|_| is_server_name(value)).ok_or_else(|| invalid(allowed))
}

/// The original mirrors to itself where this is no URL (recorded: c338).
fn target(value: &str) -> Result<Target, Rejection> {
    parse_target(value.trim()).ok_or_else(|| {
        invalid("an `http://` or `https://` URL of letters, digits and `-._~/:?&=`, with nginx variables behind host and port")
    })
}

fn parse_target(value: &str) -> Option<Target> {
    let (is_tls, rest) = match value.split_once("://")? {
        ("http", rest) => (false, rest),
        ("https", rest) => (true, rest),
        _ => return None,
    };
    let end = rest.find(['/', '$', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if !is_server_name(value) || authority.is_empty() || !authority.bytes().all(is_host) {
        return None;
    }
    Host::normalize(authority).filter(|host| !host.as_str().is_empty())?;
    let path = if path.is_empty() { Template::default() } else { path.parse().ok()? };
    Some(Target { is_tls, authority: authority.into(), path })
}
