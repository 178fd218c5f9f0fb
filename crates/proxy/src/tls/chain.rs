//! What the certificate of a client is worth: the chain from it to a trusted root (RFC 5280 section 6), as OpenSSL judges it
//! for nginx.
//!
//! Certificates of version 1 are taken, which `openssl x509 -req` has made for years and the TLS library's own verifier
//! refuses. What is not understood here, a critical extension or a constraint on names, makes a certificate bad.

use std::collections::HashSet;
use std::sync::OnceLock;

use edgeward_routing::policy::ClientAuthority;
use edgeward_routing::policy::client_certificate::Verdict;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{CertificateRevocationList, FromDer, ParsedExtension, X509Certificate, X509Version};

use super::der::{Signed, public_key};

/// Most certificates of a client that are looked at.
const MOST: usize = 16;

const BAD_ENCODING: Verdict = Verdict::Bad("certificate cannot be read");

/// What an authority trusts and revokes, parsed once for all handshakes.
pub(super) struct Trusted {
    certificates: Vec<Link>,
    lists: Vec<List>,
}

impl Trusted {
    /// What of an authority can be read.
    pub(super) fn by(authority: &ClientAuthority) -> Self {
        let lists = authority.revocations.iter().enumerate();
        Self {
            certificates: authority.certificates.iter().filter_map(|der| Link::of(der)).collect(),
            lists: lists.filter_map(|(place, der)| List::of(place, der)).collect(),
        }
    }

    fn holds(&self, link: &Link) -> bool {
        self.certificates.iter().any(|known| known.der == link.der)
    }
}

/// Judges the chain that a client has shown, its own certificate first. `trusted` is what is trusted [by](Trusted::by) the
/// authority, and `now` in seconds since the epoch.
pub(super) fn verdict(
    authority: &ClientAuthority,
    trusted: &Trusted,
    chain: &[CertificateDer<'_>],
    now: i64,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Verdict {
    let Some((leaf, others)) = chain.split_first() else { return BAD_ENCODING };
    let Some(leaf) = Link::of(leaf) else { return BAD_ENCODING };
    let shown: Vec<Link> = others.iter().take(MOST).filter_map(|der| Link::of(der)).collect();
    let mut path = vec![&leaf];
    let depth = usize::try_from(authority.depth).unwrap_or(usize::MAX).saturating_add(2);
    let trust = loop {
        let last = path[path.len() - 1];
        let is_leaf = path.len() == 1;
        if last.is_issued_by(last) {
            // A root is one by being trusted. Who signed it, and how, tells nothing.
            if trusted.holds(last) {
                break Verdict::Good;
            }
            if last.is_signed_by(last, algorithms) {
                break Verdict::Unknown(match is_leaf {
                    true => "self-signed certificate",
                    false => "self-signed certificate in certificate chain",
                });
            }
        }
        if path.len() >= depth || path.len() > MOST {
            return Verdict::Bad("certificate chain too long");
        }
        let known = || trusted.certificates.iter().chain(&shown);
        let named = || known().filter(|other| last.is_issued_by(other) && other.der != last.der);
        let mut issuers = named().filter(|other| last.is_signed_by(other, algorithms));
        let first = issuers.next();
        // One that was renewed has the name and the key of the one before it.
        let issuer = match first {
            Some(old) if !old.is_of(now) => issuers.find(|other| other.is_of(now)).or(first),
            first => first,
        };
        match issuer {
            Some(issuer) => path.push(issuer),
            None if named().next().is_some() => return Verdict::Bad("certificate signature failure"),
            None if trusted.holds(last) => return Verdict::Bad("unable to get issuer certificate"),
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
        for (place, link) in path.iter().enumerate() {
            let issuer = path.get(place + 1).unwrap_or(link);
            let of_issuer = trusted.lists.iter().filter(|list| list.issuer == issuer.subject);
            let signed = of_issuer.filter(|list| list.is_signed_by(issuer, authority, algorithms));
            if let Err(why) = link.check_revocation(signed.max_by_key(|list| list.issued), now) {
                return Verdict::Bad(why);
            }
        }
    }
    trust
}

/// One certificate.
struct Link {
    der: Box<[u8]>,
    subject: Box<[u8]>,
    issuer: Box<[u8]>,
    serial: Box<[u8]>,
    /// The key, with what it is for.
    key: Box<[u8]>,
    /// When it is good, in seconds since the epoch.
    not_before: i64,
    not_after: i64,
    /// Whether it says the same of its algorithm where that is signed and where it is not.
    is_consistent: bool,
    /// What is wrong with it as that of a client.
    as_client: Result<(), &'static str>,
    /// What is wrong with it as that of an authority; else how many others it lets be between it and the client's, where it
    /// says so.
    as_authority: Result<Option<u32>, &'static str>,
}

impl Link {
    fn of(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        Signed::of(der).filter(|_| rest.is_empty())?;
        Some(Self {
            der: der.into(),
            subject: certificate.subject().as_raw().into(),
            issuer: certificate.issuer().as_raw().into(),
            serial: certificate.raw_serial().into(),
            key: certificate.public_key().raw.into(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            is_consistent: certificate.tbs_certificate.signature == certificate.signature_algorithm,
            as_client: as_client(&certificate),
            as_authority: as_authority(&certificate),
        })
    }

    /// Whether this names that as its issuer.
    fn is_issued_by(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject
    }

    fn is_signed_by(&self, issuer: &Self, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        self.is_consistent && Signed::of(&self.der).is_some_and(|signed| is_signed(&signed, &issuer.key, algorithms))
    }

    /// Whether it is good at this time.
    fn is_of(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// What is wrong with a certificate at this place of a chain, whoever issued it.
    fn check(&self, place: usize, now: i64) -> Result<(), &'static str> {
        if self.not_before > now {
            return Err("certificate is not yet valid");
        }
        if self.not_after < now {
            return Err("certificate has expired");
        }
        let Some(below) = place.checked_sub(1) else { return self.as_client };
        match self.as_authority? {
            Some(most) if u64::from(most) < below as u64 => Err("path length constraint exceeded"),
            _ => Ok(()),
        }
    }

    /// What is wrong with a certificate by the newest list of its issuer.
    fn check_revocation(&self, list: Option<&List>, now: i64) -> Result<(), &'static str> {
        let list = list.ok_or("unable to get certificate CRL")?;
        if list.is_critical {
            return Err("unhandled critical CRL extension");
        }
        if list.issued > now {
            return Err("CRL is not yet valid");
        }
        if list.next.is_some_and(|next| next < now) {
            return Err("CRL has expired");
        }
        if list.revoked.contains(&self.serial) { Err("certificate revoked") } else { Ok(()) }
    }
}

/// What is wrong with a certificate as that of a client.
fn as_client(certificate: &X509Certificate<'_>) -> Result<(), &'static str> {
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(_) | ParsedExtension::SubjectAlternativeName(_) => {}
            ParsedExtension::KeyUsage(usage) => {
                let is_fit = usage.digital_signature() || usage.key_agreement();
                is_fit.then_some(()).ok_or("unsuitable certificate purpose")?;
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                (usage.client_auth || usage.any).then_some(()).ok_or("unsuitable certificate purpose")?;
            }
            _ if extension.critical => return Err("unhandled critical extension"),
            _ => {}
        }
    }
    Ok(())
}

/// What is wrong with a certificate as that of an authority; else its constraint on the length of paths.
fn as_authority(certificate: &X509Certificate<'_>) -> Result<Option<u32>, &'static str> {
    let mut may_issue = false;
    let mut length = None;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                may_issue = constraints.ca;
                length = constraints.path_len_constraint;
            }
            ParsedExtension::KeyUsage(usage) => {
                usage.key_cert_sign().then_some(()).ok_or("invalid CA certificate")?;
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                (usage.client_auth || usage.any).then_some(()).ok_or("unsuitable certificate purpose")?;
            }
            ParsedExtension::NameConstraints(_) => return Err("unsupported name constraint type"),
            ParsedExtension::SubjectAlternativeName(_) => {}
            _ if extension.critical => return Err("unhandled critical extension"),
            _ => {}
        }
    }
    // One of version 1 cannot say that it is an authority; a root is one by being trusted.
    let is_old_root =
        certificate.version() == X509Version::V1 && certificate.issuer().as_raw() == certificate.subject().as_raw();
    if may_issue || is_old_root { Ok(length) } else { Err("invalid CA certificate") }
}

/// A list of revoked certificates.
struct List {
    /// Which one of the authority it is.
    place: usize,
    issuer: Box<[u8]>,
    issued: i64,
    next: Option<i64>,
    /// Whether it has a critical extension, of which none is understood.
    is_critical: bool,
    /// The serial numbers.
    revoked: HashSet<Box<[u8]>>,
    /// The key that it is known to be signed with.
    signer: OnceLock<Box<[u8]>>,
}

impl List {
    fn of(place: usize, der: &[u8]) -> Option<Self> {
        let (_, parsed) = CertificateRevocationList::from_der(der).ok()?;
        Some(Self {
            place,
            issuer: parsed.issuer().as_raw().into(),
            issued: parsed.last_update().timestamp(),
            next: parsed.next_update().map(|next| next.timestamp()),
            is_critical: parsed.extensions().iter().any(|extension| extension.critical),
            revoked: parsed.iter_revoked_certificates().map(|revoked| revoked.raw_serial().into()).collect(),
            signer: OnceLock::new(),
        })
    }

    fn is_signed_by(&self, issuer: &Link, authority: &ClientAuthority, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        if self.signer.get() == Some(&issuer.key) {
            return true;
        }
        let signed = authority.revocations.get(self.place).and_then(|der| Signed::of(der));
        let is_signed = signed.is_some_and(|signed| is_signed(&signed, &issuer.key, algorithms));
        if is_signed {
            self.signer.get_or_init(|| issuer.key.clone());
        }
        is_signed
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
