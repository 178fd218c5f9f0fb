//! Which certificate answers to a server name.

use std::sync::Arc;

use edgeward_routing::certificate::{Certificate, KeyFormat};
use edgeward_routing::host::{Host, HostPattern};
use edgeward_routing::{Snapshot, SnapshotReader};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Looks certificates up in the current snapshot.
#[derive(Debug)]
pub(super) struct Resolver {
    snapshots: SnapshotReader,
}

impl Resolver {
    pub(super) fn new(snapshots: SnapshotReader) -> Self {
        Self { snapshots }
    }

    fn find(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let snapshot = self.snapshots.load();
        let host = server_name.and_then(Host::normalize);
        if snapshot.settings.tls.rejects_unknown && !has_rules(&snapshot, host.as_ref()) {
            return None;
        }
        let table = &snapshot.certificates;
        let found = table.find(host.as_ref().map(Host::as_str)).and_then(|certificate| parsed(certificate));
        found.or_else(|| parsed(table.default.as_ref()?))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

/// Whether a rule names this host, as itself or by a wildcard: a rule for all hosts names none.
fn has_rules(snapshot: &Snapshot, host: Option<&Host>) -> bool {
    let routes = host.and_then(|host| snapshot.routes.host(host.as_str()));
    routes.is_some_and(|routes| routes.host != HostPattern::Any)
}

/// The certificate in the TLS library's form, made on first use and kept with the certificate. `None` when the library
/// takes no such key; that is said once.
pub(super) fn parsed(certificate: &Certificate) -> Option<Arc<CertifiedKey>> {
    certificate.parsed.get_or_init(|| parse(certificate)).cloned().flatten()
}

fn parse(certificate: &Certificate) -> Option<Arc<CertifiedKey>> {
    let key = certificate.key.der.to_vec();
    let key = match certificate.key.format {
        KeyFormat::Pkcs8 => PrivateKeyDer::Pkcs8(key.into()),
        KeyFormat::Pkcs1 => PrivateKeyDer::Pkcs1(key.into()),
        KeyFormat::Sec1 => PrivateKeyDer::Sec1(key.into()),
    };
    match any_supported_type(&key) {
        Ok(key) => {
            let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
            Some(Arc::new(CertifiedKey::new(chain, key)))
        }
        Err(error) => {
            let origin =
                certificate.origin.as_ref().map_or_else(|| "the default certificate".to_owned(), ToString::to_string);
            tracing::error!(
                subject = %certificate.subject,
                %origin,
                %error,
                "private key cannot be used; the default certificate answers in its place"
            );
            None
        }
    }
}
