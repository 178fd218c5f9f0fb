//! Redirects that are asked for by a route or a host, whatever the request is.

use std::sync::Arc;

use super::{ClientCertificates, HostTls, Passthrough};

/// Where every request of a route is redirected to (`permanent-redirect`, `temporal-redirect`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The status, 300 to 308.
    pub status: u16,
    /// The `Location`: visible ASCII. One that begins with `/` is made absolute unless [`RedirectStyle::is_relative`].
    pub location: Box<str>,
}

/// How the redirects of a route are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RedirectStyle {
    /// Whether a location on the same host is left without scheme and host (`relative-redirects`).
    pub is_relative: bool,
    /// Whether a location that is made absolute names the port, unless it is the scheme's own (`use-port-in-redirects`).
    pub has_port: bool,
    /// Whether the redirect to HTTPS keeps a slash at the end of the target (`preserve-trailing-slash`).
    pub keeps_slash: bool,
}

/// The behaviours of a host as a whole, whichever of its routes takes a request. All its routes share them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPolicies {
    /// The path that `/` is redirected to with 302, before everything else (`app-root`; ingress-nginx nginx.tmpl SERVER).
    pub app_root: Option<Box<str>>,
    /// The name that every request is redirected to: this host is the other one of a pair with and without `www.`
    /// (`from-to-www-redirect`).
    pub other_name: Option<Box<str>>,
    /// The certificates that its clients have to show.
    pub client_certificates: Option<ClientCertificates>,
    /// Where its TLS goes as it comes; `None` where it ends here. Decided for the host: rules that others add change nothing.
    pub passthrough: Option<Arc<Passthrough>>,
    /// How TLS is spoken with its clients, where that is not as with all.
    pub tls: HostTls,
    /// Why all requests of the host are refused with 403: whose certificates are good cannot be read. For the log.
    pub refused: Option<Box<str>>,
}
