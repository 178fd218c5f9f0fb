//! `backend-protocol`: what is spoken to the endpoints.

/// The protocol towards the endpoints. Certificates of TLS endpoints are not verified unless a later policy asks for it,
/// as ingress-nginx does (template.go buildProxyPass).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum BackendProtocol {
    /// HTTP/1.1 in the clear.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/1.1, over TLS exactly when the client came over TLS.
    AutoHttp,
    /// HTTP/2 in the clear with prior knowledge.
    Grpc,
    /// HTTP/2 over TLS.
    Grpcs,
}

impl BackendProtocol {
    /// Parses the annotation's value, case-insensitive. `FCGI` is known to ingress-nginx and not to us.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "HTTP" => Self::Http,
            "HTTPS" => Self::Https,
            "AUTO_HTTP" => Self::AutoHttp,
            "GRPC" => Self::Grpc,
            "GRPCS" => Self::Grpcs,
            _ => return None,
        })
    }

    /// Whether the endpoints speak TLS to a request that came over TLS or not.
    pub fn is_tls(self, downstream_tls: bool) -> bool {
        match self {
            Self::Https | Self::Grpcs => true,
            Self::AutoHttp => downstream_tls,
            Self::Http | Self::Grpc => false,
        }
    }

    /// Whether the endpoints speak HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }
}
