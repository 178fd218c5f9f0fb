//! Client certificates: the Secret that an Ingress names, as what its hosts ask of their clients.

use std::sync::Arc;

use aws_lc_rs::digest;
use edgeward_routing::policy::{ClientAuthority, ClientCertificates, Verify};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::class::Owned;
use super::options::Options;
use crate::annotation;
use crate::certificate::{AUTHORITY_KEY, REVOCATION_KEY};
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Index;
use crate::object::NamespacedName;

/// What the hosts of an Ingress ask of their clients; an error says why nobody can be let in (ingress-nginx answers 403 for
/// the whole host then, except for a Secret without `ca.crt`, of which it lets everybody in).
pub(super) type Asked = Option<Result<ClientCertificates, Box<str>>>;

/// Whether an Ingress names a CA, be it in a value that is none.
pub(super) fn is_asked(options: &Options, owned: &Owned<'_>) -> bool {
    let secret = owned.ingress.meta.annotations.get(&key(options));
    secret.is_some_and(|secret| !secret.trim().is_empty()) && owned.settings.client_certificates.verify != Verify::Off
}

/// The annotation with the Secret.
fn key(options: &Options) -> String {
    format!("{}/auth-tls-secret", options.annotations_prefix)
}

/// What an Ingress asks of the clients of its hosts. One that a value drops lets nobody in where it would have asked.
pub(super) fn of_ingress(
    index: &Index,
    options: &Options,
    owned: &Owned<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Asked {
    if owned.is_dropped() {
        return is_asked(options, owned).then(|| Err("the Ingress with auth-tls-secret is dropped".into()));
    }
    let settings = &owned.settings.client_certificates;
    let secret = settings.secret.as_deref()?;
    let authority = authority(index, owned, secret, settings.depth.unwrap_or(1));
    Some(match authority {
        Ok(authority) => Ok(ClientCertificates {
            verify: settings.verify,
            authority: Arc::new(authority),
            subject: settings.subject.clone(),
            error_page: settings.error_page.clone(),
            passes_certificate: settings.passes,
        }),
        Err(why) => {
            let message = format!("{why}: all requests of the hosts of this Ingress answer 403");
            let origin = owned.origin.at(annotation::field(&key(options)));
            let mend = "name a Secret of the same namespace whose `ca.crt` holds the CA's certificate in PEM";
            diagnostics.push(Diagnostic::new(Severity::Error, "HostRefused", origin, message, mend));
            Err("auth-tls-secret cannot be read".into())
        }
    })
}

fn authority(index: &Index, owned: &Owned<'_>, secret: &str, depth: u32) -> Result<ClientAuthority, String> {
    let name = secret.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.contains('/'));
    let (namespace, name) = name.ok_or_else(|| format!("`{secret}` is no `namespace/name`"))?;
    if *namespace != *owned.ingress.meta.name.namespace {
        return Err(format!("Secret `{secret}` is of another namespace"));
    }
    let name = NamespacedName::new(namespace, name);
    let pem = index.secret_value(&name, AUTHORITY_KEY).filter(|pem| !pem.is_empty());
    let pem = pem.ok_or_else(|| format!("there is no Secret `{secret}` with `{AUTHORITY_KEY}`"))?;
    let certificates: Vec<Box<[u8]>> = CertificateDer::pem_slice_iter(pem)
        .map(|der| der.ok().filter(|der| X509Certificate::from_der(der).is_ok()).map(|der| Box::from(&*der)))
        .collect::<Option<_>>()
        .filter(|certificates: &Vec<_>| !certificates.is_empty())
        .ok_or_else(|| format!("`{AUTHORITY_KEY}` of Secret `{secret}` holds no certificates in PEM"))?;
    let lists = index.secret_value(&name, REVOCATION_KEY).filter(|pem| !pem.is_empty());
    let revocations: Vec<Box<[u8]>> = match lists {
        None => Vec::new(),
        Some(pem) => CertificateRevocationListDer::pem_slice_iter(pem)
            .map(|der| {
                der.ok().filter(|der| CertificateRevocationList::from_der(der).is_ok()).map(|der| Box::from(&*der))
            })
            .collect::<Option<_>>()
            .filter(|lists: &Vec<_>| !lists.is_empty())
            .ok_or_else(|| format!("`{REVOCATION_KEY}` of Secret `{secret}` holds no lists in PEM"))?,
    };
    let mut content = digest::Context::new(&digest::SHA256);
    content.update(&depth.to_be_bytes());
    content.update(&certificates.len().to_be_bytes());
    for der in certificates.iter().chain(&revocations) {
        content.update(&der.len().to_be_bytes());
        content.update(der);
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(content.finish().as_ref());
    Ok(ClientAuthority { fingerprint, certificates, revocations, depth, parsed: Default::default() })
}
