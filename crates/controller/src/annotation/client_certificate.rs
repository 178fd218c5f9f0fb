//! Certificates that clients have to show.

use std::sync::LazyLock;

use edgeward_routing::policy::{Expression, Verify};

use super::value::{BOOL, parse_bool};
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid};

pub(super) static GROUP: Group = Group {
    name: "Client certificates",
    doc: "Certificates that clients have to show.",
    annotations: &[
        Annotation::honoured(
            "auth-tls-error-page",
            Scope::Host,
            error_page,
            "URL that clients without a good certificate are redirected to; without it they are answered 400.",
        ),
        Annotation::honoured(
            "auth-tls-match-cn",
            Scope::Host,
            subject,
            "`CN=` and a regular expression: what the subject of the certificate must have in it. Others are answered 403.",
        ),
        Annotation::honoured(
            "auth-tls-pass-certificate-to-upstream",
            Scope::Host,
            |value, settings| {
                settings.client_certificates.passes = match parse_bool(value) {
                    Some(passes) => passes,
                    None if value.is_empty() => return Err(invalid(BOOL)),
                    None => return Err(Rejection::Drops(BOOL.to_owned())),
                };
                Ok(())
            },
            "Whether the application gets the client's certificate in the header `ssl-client-cert`.",
        ),
        Annotation::honoured(
            "auth-tls-secret",
            Scope::Host,
            secret,
            "Secret (`namespace/name`) with the CA (`ca.crt`, and a list of revoked certificates in `ca.crl`) whose client \
             certificates are asked for.",
        ),
        Annotation::honoured(
            "auth-tls-verify-client",
            Scope::Host,
            |value, settings| {
                settings.client_certificates.verify = match value.trim() {
                    "on" => Verify::On,
                    "off" => Verify::Off,
                    "optional" => Verify::Optional,
                    "optional_no_ca" => Verify::OptionalNoCa,
                    _ => return Err(invalid("`on`, `off`, `optional` or `optional_no_ca`")),
                };
                Ok(())
            },
            "Whether a client certificate must be there (`on`), may be there (`optional`; of an unknown CA too: \
             `optional_no_ca`), or is not asked for (`off`).",
        ),
        Annotation::honoured(
            "auth-tls-verify-depth",
            Scope::Host,
            |value, settings| {
                let depth = value.parse::<i64>().ok().and_then(|depth| u32::try_from(depth).ok());
                // 0 is the default too (authtls/main.go).
                settings.client_certificates.depth = depth.filter(|depth| *depth > 0);
                depth.map(drop).ok_or_else(|| invalid("a whole number of at least 1"))
            },
            "How many certificates may be between that of a client and the CA; 1 without it.",
        ),
    ],
};

/// What an Ingress asks of the clients of its hosts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientCertificateSettings {
    /// `auth-tls-secret`, as written. Without it nothing is asked for.
    pub secret: Option<Box<str>>,
    /// `auth-tls-verify-client`.
    pub verify: Verify,
    /// `auth-tls-verify-depth`; 1 by default.
    pub depth: Option<u32>,
    /// `auth-tls-error-page`: a URL.
    pub error_page: Option<Box<str>>,
    /// `auth-tls-match-cn`.
    pub subject: Option<Expression>,
    /// `auth-tls-pass-certificate-to-upstream`.
    pub passes: bool,
}

fn secret(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let allowed = "`namespace/name` of a Secret";
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/: ".contains(&b);
    if !value.bytes().all(is_allowed) {
        return Err(Rejection::Drops(allowed.to_owned()));
    }
    if value.trim().is_empty() {
        return Err(invalid(allowed));
    }
    settings.client_certificates.secret = Some(value.trim().into());
    Ok(())
}

fn subject(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let allowed = "`CN=` and a regular expression";
    if value.trim().is_empty() {
        return Err(invalid(allowed));
    }
    let pattern = if value.starts_with("CN=") { Expression::new(value.trim()).ok() } else { None };
    settings.client_certificates.subject = Some(pattern.ok_or_else(|| Rejection::Drops(allowed.to_owned()))?);
    Ok(())
}

/// What ingress-nginx takes for a page (authtls/main.go redirectRegex).
static PAGE: LazyLock<Option<Expression>> = LazyLock::new(|| {
    Expression::new(r"^(@[A-Za-z0-9_-]+|((https?://)?[A-Za-z0-9\-.]+(:\d+)?)?(/[A-Za-z0-9\-_.]+)*/?)$").ok()
});

fn error_page(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    let allowed = "a URL, such as `https://example.com/page`";
    let text = value.trim();
    let is_page = PAGE.as_ref().is_some_and(|pattern| pattern.is_in(text.replace(' ', "").as_bytes()));
    if !is_page {
        return Err(Rejection::Drops(allowed.to_owned()));
    }
    // Pages of the host itself would let requests without a certificate through to it, and there are no named locations.
    if text.is_empty() || text.contains(' ') || text.starts_with(['/', '@']) {
        return Err(invalid(allowed));
    }
    settings.client_certificates.error_page = Some(text.into());
    Ok(())
}
