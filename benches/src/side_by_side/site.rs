//! What the proxies of one run serve: certificates, an origin, and a table of hosts and paths.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;

use crate::manifests;
use crate::row::{Protocol, Request};

/// Ingresses in a file.
const IN_A_FILE: usize = 1000;

/// The hosts and paths that are routed, all to the same origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Hosts.
    pub(crate) hosts: u32,
    /// Paths of each: `/` if it is one, else `/p00000` and so on.
    pub(crate) paths: u32,
    /// Whether each host has a certificate of its own; else they share one.
    pub(crate) own_certificates: bool,
    /// Whether requests pass ten policies on their way.
    pub(crate) has_policies: bool,
    /// Whether the peers have all of it too; else they have one host that takes everything.
    pub(crate) is_for_peers: bool,
}

impl Table {
    /// Hosts that share a certificate and have one path each; of Edgeward only.
    pub(crate) const fn with_hosts(hosts: u32) -> Self {
        Self { hosts, paths: 1, own_certificates: false, has_policies: false, is_for_peers: false }
    }

    /// The names of the hosts.
    pub(crate) fn hosts(self) -> impl Iterator<Item = String> {
        (0..self.hosts).map(host)
    }

    /// The paths of each host.
    pub(crate) fn paths(self) -> Vec<String> {
        if self.paths == 1 {
            vec!["/".to_owned()]
        } else {
            (0..self.paths).map(|path| format!("/p{path:05}")).collect()
        }
    }
}

/// Where the origins listen that all proxies forward to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origins {
    /// The one for HTTP/1.1.
    pub(crate) http: SocketAddr,
    /// The one for calls.
    pub(crate) grpc: SocketAddr,
}

/// The host that calls are for. Peers tell calls by their path.
const GRPC_HOST: &str = "grpc.bench.test";

/// The name of a host; all are covered by the shared certificate.
pub(crate) fn host(index: u32) -> String {
    format!("h{index:05}.bench.test")
}

/// A directory of its own with what the proxies read.
#[derive(Debug)]
pub(crate) struct Site {
    directory: tempfile::TempDir,
    /// What is routed.
    pub(crate) table: Table,
    /// The certificate that all hosts share.
    pub(crate) certificate: CertificateDer<'static>,
    /// The certificate of the last host.
    pub(crate) last_certificate: CertificateDer<'static>,
    /// Where the origins listen.
    pub(crate) origins: Origins,
    /// The host that requests are for.
    pub(crate) host: String,
}

/// Whom a load is for, and what is asked there.
#[derive(Debug)]
pub(crate) struct Target<'s> {
    /// Where the load generator's files go.
    pub(crate) site: &'s Site,
    /// Where to connect to.
    pub(crate) address: SocketAddr,
    /// The host asked for.
    pub(crate) host: String,
    /// The certificate that it is to have.
    pub(crate) certificate: CertificateDer<'static>,
    /// What is asked.
    pub(crate) request: Request,
    /// A file with other hosts and paths, one of each in a line, that are asked for instead, in this order. Only wrk takes it.
    pub(crate) spread: Option<PathBuf>,
}

/// The next port to try: below the range that the kernel takes ports of outgoing connections from.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);

impl Site {
    /// Writes certificates, keys and manifests for a table with these origins.
    pub(crate) fn new(table: Table, origins: Origins) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("side-by-side-").tempdir()?;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let certificate = CertificateParams::new(vec!["*.bench.test".to_owned()])?.self_signed(&key)?;
        let mut site = Self {
            directory,
            table,
            certificate: certificate.der().clone(),
            last_certificate: certificate.der().clone(),
            origins,
            host: host(table.hosts / 2),
        };
        for directory in ["manifests", "certificates", "servers"] {
            std::fs::create_dir(site.path(directory))?;
        }
        let (certificate, key_pem) = (certificate.pem(), key.serialize_pem());
        site.write("certificate.pem", &certificate)?;
        site.write("key.pem", &key_pem)?;
        site.write("both.pem", &[certificate.as_str(), key_pem.as_str()].concat())?;
        site.write("manifests/service.yaml", &manifests::service(origins.http, &certificate, &key_pem))?;
        site.write("manifests/grpc.yaml", &manifests::grpc(GRPC_HOST, origins.grpc))?;
        site.write("manifests/endpoints.yaml", &manifests::endpoints("origin", origins.http))?;
        site.write_table(&key, &key_pem)?;
        Ok(site)
    }

    fn write_table(&mut self, key: &KeyPair, key_pem: &str) -> Result<()> {
        let (hosts, paths): (Vec<String>, _) = (self.table.hosts().collect(), self.table.paths());
        for (index, hosts) in hosts.chunks(IN_A_FILE).enumerate() {
            let mut text = String::new();
            for host in hosts {
                let mut secret = "certificate";
                if self.table.own_certificates {
                    secret = host.split('.').next().unwrap_or_default();
                    // The key is the same for all, which nobody who serves them can make use of.
                    let certificate = CertificateParams::new(vec![host.clone()])?.self_signed(key)?;
                    text += &manifests::secret(secret, &certificate.pem(), key_pem);
                    self.write(&format!("certificates/{host}.pem"), &[certificate.pem().as_str(), key_pem].concat())?;
                    self.last_certificate = certificate.der().clone();
                }
                let ingress = manifests::ingress(host, &paths, secret);
                text += &if self.table.has_policies { manifests::with_policies(&ingress) } else { ingress };
            }
            self.write(&format!("manifests/ingresses-{index}.yaml"), &text)?;
        }
        Ok(())
    }

    /// A file of this site.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of this site.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        self.write_bytes(name, text.as_bytes())
    }

    /// Writes a file of this site.
    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Where its files are.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// What a load on one of the proxies of this site is for.
    pub(crate) fn target(&self, address: SocketAddr, request: Request) -> Target<'_> {
        let host = match request.protocol {
            Protocol::Http | Protocol::WebSocket => self.host.clone(),
            Protocol::Grpc => GRPC_HOST.to_owned(),
        };
        let certificate = self.certificate.clone();
        Target { site: self, address, host, certificate, request, spread: None }
    }

    /// What a child wrote to its log, for an error message.
    pub(crate) fn log(&self, path: &Path) -> String {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A loopback address that nothing listens on, and that is given away once.
pub(crate) fn free_address() -> Result<SocketAddr> {
    loop {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        ensure!(port < 32_000, "no port between 20000 and 32000 is free");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}

/// Lines of a file, each made of one host or path.
pub(crate) fn lines(items: impl IntoIterator<Item = String>, line: impl Fn(&mut String, &str)) -> String {
    items.into_iter().fold(String::new(), |mut text, item| {
        line(&mut text, &item);
        let _ = writeln!(text);
        text
    })
}
