//! What Edgeward serves, as the manifests of Kubernetes.

use std::fmt::Write;
use std::net::SocketAddr;

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "    {line}");
        out
    })
}

/// The Service `origin`, and the Secret with the certificate of all hosts.
pub(crate) fn service(origin: SocketAddr, certificate: &str, key: &str) -> String {
    named_service("origin", origin) + &secret("certificate", certificate, key)
}

/// A Service, its endpoint, and the Ingress of a host whose requests go there as gRPC.
pub(crate) fn grpc(host: &str, origin: SocketAddr) -> String {
    let ingress = ingress(host, &["/".to_owned()], "certificate")
        .replace("annotations:\n", "annotations:\n    nginx.ingress.kubernetes.io/backend-protocol: GRPC\n")
        .replace("name: origin", "name: grpc");
    [named_service("grpc", origin), "---\n".to_owned(), endpoints("grpc", origin), ingress].concat()
}

/// An Ingress with ten policies, each of which has something to do for every request or response.
pub(crate) fn with_policies(ingress: &str) -> String {
    const POLICIES: [(&str, &str); 11] = [
        ("whitelist-source-range", "127.0.0.0/8,10.0.0.0/8"),
        ("denylist-source-range", "192.0.2.0/24"),
        ("limit-rps", "1000000"),
        ("limit-connections", "100000"),
        ("enable-cors", "true"),
        ("rewrite-target", "/130B"),
        ("upstream-vhost", "origin.test"),
        ("affinity", "cookie"),
        ("proxy-cookie-domain", "origin.test bench.test"),
        // These two are one policy.
        ("proxy-redirect-from", "http://origin.test/"),
        ("proxy-redirect-to", "http://bench.test/"),
    ];
    let annotations = POLICIES.map(|(name, value)| format!("    nginx.ingress.kubernetes.io/{name}: \"{value}\"\n"));
    ingress.replace("annotations:\n", &format!("annotations:\n{}", annotations.concat()))
}

fn named_service(name: &str, origin: SocketAddr) -> String {
    let port = origin.port();
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: bench
spec:
  ports:
  - name: http
    port: 80
    targetPort: {port}
"
    )
}

/// The endpoint of a Service.
pub(crate) fn endpoints(service: &str, origin: SocketAddr) -> String {
    let (ip, port) = (origin.ip(), origin.port());
    format!(
        "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {service}-1
  namespace: bench
  labels:
    kubernetes.io/service-name: {service}
addressType: IPv4
ports:
- name: http
  port: {port}
endpoints:
- addresses: [{ip}]
  conditions:
    ready: true
"
    )
}

/// A certificate with its key.
pub(crate) fn secret(name: &str, certificate: &str, key: &str) -> String {
    let (certificate, key) = (indented(certificate), indented(key));
    format!(
        "---
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: bench
type: kubernetes.io/tls
stringData:
  tls.crt: |
{certificate}  tls.key: |
{key}"
    )
}

/// One host over HTTP and HTTPS, without the redirect between the two.
pub(crate) fn ingress(host: &str, paths: &[String], secret: &str) -> String {
    let name = host.split('.').next().unwrap_or_default();
    let mut text = format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: bench
  annotations:
    nginx.ingress.kubernetes.io/ssl-redirect: \"false\"
spec:
  tls:
  - hosts: [{host}]
    secretName: {secret}
  rules:
  - host: {host}
    http:
      paths:
"
    );
    for path in paths {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "      - path: {path}
        pathType: Prefix
        backend:
          service:
            name: origin
            port:
              number: 80
"
        );
    }
    text
}
