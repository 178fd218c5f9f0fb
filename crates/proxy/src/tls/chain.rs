//! What the certificate of a client is worth: the chain from it to a trusted root (RFC 5280 section 6), as OpenSSL judges it
//! for nginx.
//!
//! Certificates of version 1 are taken, which `openssl x509 -req` has made for years and the TLS library's own verifier
//! refuses. What is not understood here, a critical extension or a constraint on names, makes a certificate bad.

use edgeward_routing::policy::ClientAuthority;
use edgeward_routing::policy::client_certificate::Verdict;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{
    CertificateRevocationList, FromDer, ParsedExtension, X509Certificate, X509Extension, X509Version,
};

use super::der::{Signed, public_key};

/// Most certificates of a client that are looked at.
const MOST: usize = 16;

const BAD_ENCODING: Verdict = Verdict::Bad("certificate cannot be read");

/// Judges the chain that a client has shown, its own certificate first. `now` is in seconds since the epoch.
pub(super) fn verdict(
    authority: &ClientAuthority,
    chain: &[CertificateDer<'_>],
    now: i64,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Verdict {
    let Some((leaf, others)) = chain.split_first() else { return BAD_ENCODING };
    let Some(leaf) = Link::of(leaf) else { return BAD_ENCODING };
    let trusted: Vec<Link<'_>> = authority.certificates.iter().filter_map(|der| Link::of(der)).collect();
    let shown: Vec<Link<'_>> = others.iter().take(MOST).filter_map(|der| Link::of(der)).collect();
    let mut path = vec![&leaf];
    let depth = usize::try_from(authority.depth).unwrap_or(usize::MAX).saturating_add(2);
    let trust = loop {
        let last = path[path.len() - 1];
        let is_leaf = path.len() == 1;
        if last.is_issued_by(last) && last.is_signed_by(last, algorithms) {
            break match (trusted.iter().any(|root| root.der == last.der), is_leaf) {
                (true, _) => Verdict::Good,
                (false, true) => Verdict::Unknown("self-signed certificate"),
                (false, false) => Verdict::Unknown("self-signed certificate in certificate chain"),
            };
        }
        if path.len() >= depth || path.len() > MOST {
            return Verdict::Bad("certificate chain too long");
        }
        let named = || trusted.iter().chain(&shown).filter(|other| last.is_issued_by(other) && other.der != last.der);
        match named().find(|other| last.is_signed_by(other, algorithms)) {
            Some(issuer) => path.push(issuer),
            None if named().next().is_some() => return Verdict::Bad("certificate signature failure"),
            None if trusted.iter().any(|known| known.der == last.der) => {
                return Verdict::Bad("unable to get issuer certificate");
            }
            None if is_leaf => break Verdict::Unknown("unable to verify the first certificate"),
            None => break Verdict::Unknown("unable to get local issuer certificate"),
        }
    };
    for (place, link) in path.iter().enumerate() {
        if let Err(why) = link.check(place, now) {
            return Verdict::Bad(why);
        }
    }
    // A chain that nobody vouches for has no lists either.
    if trust == Verdict::Good && !authority.revocations.is_empty() {
        let lists: Vec<List<'_>> = authority.revocations.iter().filter_map(|der| List::of(der)).collect();
        for (place, link) in path.iter().enumerate() {
            let issuer = path.get(place + 1).unwrap_or(link);
            if let Err(why) = link.check_revocation(issuer, &lists, now, algorithms) {
                return Verdict::Bad(why);
            }
        }
    }
    trust
}

/// One certificate.
struct Link<'d> {
    der: &'d [u8],
    certificate: X509Certificate<'d>,
    signed: Signed<'d>,
}

impl<'d> Link<'d> {
    fn of(der: &'d [u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self { der, certificate, signed: Signed::of(der)? }).filter(|_| rest.is_empty())
    }

    /// Whether this names that as its issuer.
    fn is_issued_by(&self, issuer: &Link<'_>) -> bool {
        self.certificate.issuer().as_raw() == issuer.certificate.subject().as_raw()
    }

    fn is_signed_by(&self, issuer: &Link<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        // The algorithm is said twice, once where it is signed.
        self.certificate.tbs_certificate.signature == self.certificate.signature_algorithm
            && is_signed(&self.signed, issuer.certificate.public_key().raw, algorithms)
    }

    /// What is wrong with a certificate at this place of a chain, whoever issued it.
    fn check(&self, place: usize, now: i64) -> Result<(), &'static str> {
        let certificate = &self.certificate;
        if certificate.validity().not_before.timestamp() > now {
            return Err("certificate is not yet valid");
        }
        if certificate.validity().not_after.timestamp() < now {
            return Err("certificate has expired");
        }
        let is_authority = place > 0;
        let mut may_issue = false;
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => {
                    may_issue = constraints.ca;
                    // Certificates between this one and that of the client.
                    let below = place.saturating_sub(1);
                    if is_authority
                        && constraints.path_len_constraint.is_some_and(|most| u64::from(most) < below as u64)
                    {
                        return Err("path length constraint exceeded");
                    }
                }
                ParsedExtension::KeyUsage(usage) if is_authority => {
                    usage.key_cert_sign().then_some(()).ok_or("invalid CA certificate")?;
                }
                ParsedExtension::KeyUsage(usage) => {
                    let is_fit = usage.digital_signature() || usage.key_agreement();
                    is_fit.then_some(()).ok_or("unsuitable certificate purpose")?;
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    (usage.client_auth || usage.any).then_some(()).ok_or("unsuitable certificate purpose")?;
                }
                ParsedExtension::NameConstraints(_) if is_authority => return Err("unsupported name constraint type"),
                ParsedExtension::SubjectAlternativeName(_) => {}
                _ if extension.critical => return Err("unhandled critical extension"),
                _ => {}
            }
        }
        // One of version 1 cannot say that it is an authority; a root is one by being trusted.
        let is_old_root = certificate.version() == X509Version::V1 && self.is_issued_by(self);
        if is_authority && !may_issue && !is_old_root { Err("invalid CA certificate") } else { Ok(()) }
    }

    fn check_revocation(
        &self,
        issuer: &Link<'_>,
        lists: &[List<'_>],
        now: i64,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), &'static str> {
        let key = issuer.certificate.public_key().raw;
        let named = lists.iter().filter(|list| list.parsed.issuer().as_raw() == issuer.certificate.subject().as_raw());
        let list = named.filter(|list| is_signed(&list.signed, key, algorithms)).max_by_key(|list| list.issued());
        let list = list.ok_or("unable to get certificate CRL")?;
        if list.parsed.extensions().iter().any(is_critical) {
            return Err("unhandled critical CRL extension");
        }
        if list.issued() > now {
            return Err("CRL is not yet valid");
        }
        if list.parsed.next_update().is_some_and(|next| next.timestamp() < now) {
            return Err("CRL has expired");
        }
        let serial = self.certificate.raw_serial();
        let is_revoked = list.parsed.iter_revoked_certificates().any(|revoked| revoked.raw_serial() == serial);
        if is_revoked { Err("certificate revoked") } else { Ok(()) }
    }
}

fn is_critical(extension: &X509Extension<'_>) -> bool {
    extension.critical
}

/// A list of revoked certificates.
struct List<'d> {
    parsed: CertificateRevocationList<'d>,
    signed: Signed<'d>,
}

impl<'d> List<'d> {
    fn of(der: &'d [u8]) -> Option<Self> {
        let (_, parsed) = CertificateRevocationList::from_der(der).ok()?;
        Some(Self { parsed, signed: Signed::of(der)? })
    }

    fn issued(&self) -> i64 {
        self.parsed.last_update().timestamp()
    }
}

/// Whether a signature is that of the key in `info`.
fn is_signed(signed: &Signed<'_>, info: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
    let Some((algorithm, key)) = public_key(info) else { return false };
    algorithms.all.iter().any(|known| {
        known.signature_alg_id().as_ref() == signed.algorithm
            && known.public_key_alg_id().as_ref() == algorithm
            && known.verify_signature(key, signed.message, signed.signature).is_ok()
    })
}

#[cfg(test)]
mod tests;
