//! `auth-url`: a service that is asked whether a request may pass.

use std::net::IpAddr;
use std::time::Duration;

use crate::decide::{Downstream, RequestHead, sign_in_location};
use crate::forward::{Edit, Forwarded};
use crate::policy::RedirectStyle;
use crate::template::{Part, Template};

/// Asks a service whether a request may pass (ingress-nginx authreq/main.go, nginx.tmpl `auth_request`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAuth {
    /// Where.
    pub url: AuthUrl,
    /// With which method, where not with `GET`. With one, the service gets `X-Original-URI` and `X-Scheme` too.
    pub method: Option<Box<str>>,
    /// Where clients are sent that it does not know, the way back included.
    pub sign_in: Option<Template>,
    /// Fields of its answer that the upstream gets. What clients send under these names, it does not get.
    pub response_headers: Box<[AnswerField]>,
    /// `X-Auth-Request-Redirect`; the target of the request without it.
    pub request_redirect: Option<Template>,
    /// Whether its cookies reach the client whatever the answer; without it, where that is no error.
    pub always_set_cookie: bool,
    /// How long its answers are kept, and by what.
    pub cache: Option<AuthCache>,
    /// Fields that it gets, their names in lower case.
    pub set_headers: Box<[(Box<str>, Template)]>,
}

/// The name of a field of an answer, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerField {
    /// As it is asked for, and as the upstream gets it.
    pub name: Box<str>,
    /// With `-` for each `_`: an application may take the two for one name.
    pub with_dashes: Box<str>,
}

impl From<&str> for AnswerField {
    fn from(name: &str) -> Self {
        Self { name: name.into(), with_dashes: name.replace('_', "-").into() }
    }
}

impl AnswerField {
    /// Whether it has this name, where `_` counts as `-` and case as nothing (nginx's variables).
    pub fn has_name(&self, name: &[u8]) -> bool {
        let dashed = name.iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
        dashed.eq(self.with_dashes.bytes())
    }
}

/// The address of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthUrl {
    /// What is spoken there.
    pub scheme: AuthScheme,
    /// The host without its port.
    pub host: Template,
    /// The port, where it is not the scheme's own.
    pub port: Option<u16>,
    /// Path and query; begins with `/` or `?`, and is empty for `/`.
    pub path: Template,
}

impl AuthUrl {
    /// The address, where the URL says one rather than a name.
    pub fn address(&self) -> Option<IpAddr> {
        match &*self.host.parts {
            [Part::Literal(host)] => host.trim_matches(['[', ']']).parse().ok(),
            _ => None,
        }
    }
}

/// What is spoken to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS. The certificate is not verified, as in ingress-nginx.
    Https,
    /// Nothing that is known: nobody is let in (recorded: c186).
    Unknown,
}

/// How long answers are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthCache {
    /// What they are kept by, beside route and service.
    pub key: Template,
    /// Statuses, and how long; the first that is the answer's own, or none in particular, counts.
    pub times: Box<[(Option<u16>, Duration)]>,
}

impl AuthCache {
    /// How long an answer with this status is kept; `None` for one that is not.
    pub fn time(&self, status: u16) -> Option<Duration> {
        let found = self.times.iter().find(|(of, _)| of.is_none_or(|of| of == status));
        found.map(|(_, time)| *time).filter(|time| !time.is_zero())
    }
}

impl ExternalAuth {
    /// Tells `edit` to remove what only the service may say, for it is not asked about every request: one guard may be enough.
    pub fn disown_client<'p>(&'p self, mut edit: impl FnMut(Edit<'p, '_>)) {
        for field in &self.response_headers {
            edit(Edit::Remove(&field.with_dashes));
            edit(Edit::Remove(&field.name));
        }
    }

    /// The `Location` of the page where clients are sent that the service does not know: visible ASCII only.
    pub fn sign_in_location(
        &self,
        downstream: &Downstream,
        forwarded: &Forwarded,
        head: &impl RequestHead,
        request_id: &str,
        style: RedirectStyle,
    ) -> Option<String> {
        let mut location = Vec::new();
        self.sign_in.as_ref()?.write(forwarded, head, request_id, &mut location);
        Some(sign_in_location(&location, downstream, head, style))
    }
}
