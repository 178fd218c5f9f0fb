//! Names with ingress-nginx's prefix that its current version does not know, but many manifests have.

use super::Annotation;

/// The sentence of each says what to use instead.
pub(super) static TABLE: [Annotation; 15] = [
    Annotation::former("add-base-url", "remove it: ingress-nginx dropped it in 0.22"),
    Annotation::former("client-header-buffer-size", "remove it: header limits hold for the whole listener"),
    Annotation::former("enable-influxdb", "remove it: use the metrics endpoint"),
    Annotation::former("enable-websockets", "remove it: WebSockets always work"),
    Annotation::former("global-rate-limit", "use `limit-rps` or `limit-rpm`"),
    Annotation::former("global-rate-limit-window", "use `limit-rps` or `limit-rpm`"),
    Annotation::former("grpc-backend", "use `backend-protocol: GRPC`"),
    Annotation::former("large-client-header-buffers", "remove it: header limits hold for the whole listener"),
    Annotation::former("lua-resty-waf", "remove it, and put a web application firewall in front if one is needed"),
    Annotation::former("secure-backends", "use `backend-protocol: HTTPS`"),
    Annotation::former("secure-verify-ca-secret", "use `proxy-ssl-secret` with `proxy-ssl-verify: \"on\"`"),
    Annotation::former("session-cookie-hash", "remove it: the cookie's value needs no hash"),
    Annotation::former("upstream-fail-timeout", "remove it: failing endpoints are ejected by themselves"),
    Annotation::former("upstream-max-fails", "remove it: failing endpoints are ejected by themselves"),
    Annotation::former("websocket-services", "remove it: WebSockets always work"),
];
