//! What all proxies serve: one certificate, one origin, and for Edgeward the manifests of many hosts.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustls::pki_types::CertificateDer;

/// A directory of its own with what the proxies read, and the origin's address.
#[derive(Debug)]
pub(crate) struct Site {
    directory: tempfile::TempDir,
    /// The certificate that all proxies serve.
    pub(crate) certificate: CertificateDer<'static>,
    /// Where the origin listens.
    pub(crate) origin: SocketAddr,
    /// The host that requests are for.
    pub(crate) host: String,
    next_port: std::cell::Cell<u16>,
}

/// The name of a host; all are covered by the certificate.
fn host(index: u32) -> String {
    format!("h{index:05}.bench.test")
}

impl Site {
    /// Writes certificate, key and manifests of `hosts` hosts.
    pub(crate) fn new(hosts: u32) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("side-by-side-").tempdir()?;
        // Below the range that the kernel takes ports of outgoing connections from.
        let next_port = std::cell::Cell::new(20_000);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let certificate = rcgen::CertificateParams::new(vec!["*.bench.test".to_owned()])?.self_signed(&key)?;
        let site = Self {
            origin: free_address(&next_port)?,
            certificate: certificate.der().clone(),
            host: host(hosts / 2),
            directory,
            next_port,
        };
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        site.write("certificate.pem", &certificate)?;
        site.write("key.pem", &key)?;
        site.write("both.pem", &[certificate.as_str(), key.as_str()].concat())?;
        std::fs::create_dir(site.path("manifests"))?;
        site.write("manifests/origin.yaml", &manifests_of_origin(site.origin, &certificate, &key))?;
        site.write("manifests/ingresses.yaml", &(0..hosts).map(ingress).collect::<String>())?;
        Ok(site)
    }

    /// A file of this site.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of this site.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A loopback address that nothing listens on.
    pub(crate) fn free_address(&self) -> Result<SocketAddr> {
        free_address(&self.next_port)
    }

    /// What a child wrote to its log, for an error message.
    pub(crate) fn log(&self, path: &Path) -> String {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn free_address(next: &std::cell::Cell<u16>) -> Result<SocketAddr> {
    while next.get() < 32_000 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, next.get()));
        next.set(next.get() + 1);
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port between 20000 and 32000 is free")
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "    {line}");
        out
    })
}

/// The Service `origin` with its one endpoint, and the certificate's Secret.
fn manifests_of_origin(origin: SocketAddr, certificate: &str, key: &str) -> String {
    let (ip, port) = (origin.ip(), origin.port());
    let (certificate, key) = (indented(certificate), indented(key));
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: origin
  namespace: bench
spec:
  clusterIP: 10.96.0.10
  ports:
  - name: http
    port: 80
    targetPort: {port}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: origin-1
  namespace: bench
  labels:
    kubernetes.io/service-name: origin
addressType: IPv4
ports:
- name: http
  port: {port}
endpoints:
- addresses: [{ip}]
  conditions:
    ready: true
---
apiVersion: v1
kind: Secret
metadata:
  name: certificate
  namespace: bench
type: kubernetes.io/tls
stringData:
  tls.crt: |
{certificate}  tls.key: |
{key}"
    )
}

/// One host over HTTP and HTTPS, without the redirect between the two.
fn ingress(index: u32) -> String {
    let host = host(index);
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: host-{index}
  namespace: bench
  annotations:
    nginx.ingress.kubernetes.io/ssl-redirect: \"false\"
spec:
  tls:
  - hosts: [{host}]
    secretName: certificate
  rules:
  - host: {host}
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: origin
            port:
              number: 80
"
    )
}
