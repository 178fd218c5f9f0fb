//! `ssl-redirect` and `force-ssl-redirect`: plain HTTP is sent to HTTPS.

/// When a plain HTTP request is redirected to HTTPS (ingress-nginx lua_ingress.lua rewrite).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslRedirect {
    /// Never.
    #[default]
    Off,
    /// When the host has a certificate of its own configured: a property of the host, not of this route's Ingress.
    WithCertificate,
    /// Always: something in front terminates TLS.
    Always,
}
