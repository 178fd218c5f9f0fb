//! Certificates that clients of a host have to show (`auth-tls-*`), and what is held against a request.
//!
//! A handshake goes through whatever the client shows; what it came to is kept with the connection, and each request is
//! judged by it. It counts only for requests of the host that it was made for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::Expression;
use crate::attachment::Attachment;
use crate::decide::Reason;
use crate::forward::Edit;

/// What a host asks of its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether a certificate must be there.
    pub verify: Verify,
    /// Whose certificates are good.
    pub authority: Arc<ClientAuthority>,
    /// What the subject must have in it; without a certificate it is empty.
    pub subject: Option<Expression>,
    /// Where clients are sent that are refused for their certificate: visible ASCII.
    pub error_page: Option<Box<str>>,
    /// Whether endpoints get the certificate itself.
    pub passes_certificate: bool,
}

/// Whether a certificate must be there (`auth-tls-verify-client`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// A good one must.
    #[default]
    On,
    /// None is asked for.
    Off,
    /// One may; if it is there, it must be good.
    Optional,
    /// One may, of an unknown authority too.
    OptionalNoCa,
}

impl Verify {
    /// The word of the annotation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Optional => "optional",
            Self::OptionalNoCa => "optional_no_ca",
        }
    }
}

/// Who issues the certificates of clients.
pub struct ClientAuthority {
    /// SHA-256 over all of it: two with the same judge alike.
    pub fingerprint: [u8; 32],
    /// The trusted certificates in DER; at least one.
    pub certificates: Vec<Box<[u8]>>,
    /// Lists of revoked certificates in DER. Where there is any, every certificate of a chain needs one of its issuer.
    pub revocations: Vec<Box<[u8]>>,
    /// How many certificates may be between that of the client and a trusted root.
    pub depth: u32,
    /// The data plane's own.
    pub parsed: Attachment,
}

impl PartialEq for ClientAuthority {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ClientAuthority {}

impl fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificates, revocations, depth, .. } = self;
        write!(f, "ClientAuthority({} certificates, {} lists, depth {depth})", certificates.len(), revocations.len())
    }
}

/// What a TLS handshake says of the client.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsClient<'c> {
    /// The server name that it asked for, as it was sent.
    pub server_name: Option<&'c str>,
    /// The fingerprint of the authority whose certificates it was asked for.
    pub asked: Option<&'c [u8; 32]>,
    /// What it showed.
    pub certificate: Option<&'c ClientCertificate>,
}

/// The certificate of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject as RFC 2253 writes it.
    pub subject: Box<str>,
    /// Its issuer.
    pub issuer: Box<str>,
    /// It in DER.
    pub der: Box<[u8]>,
    /// It in PEM, percent-encoded, once somebody has asked for it.
    pub escaped: OnceLock<Box<str>>,
    /// What it is worth.
    pub verdict: Verdict,
}

impl ClientCertificate {
    /// One that is bad. Nothing of it is kept, for nobody is told of it.
    pub fn bad(why: &'static str) -> Self {
        let (subject, issuer, der) = Default::default();
        Self { subject, issuer, der, escaped: OnceLock::new(), verdict: Verdict::Bad(why) }
    }

    /// It in PEM, percent-encoded (nginx's `$ssl_client_escaped_cert`).
    fn escaped(&self) -> &str {
        self.escaped.get_or_init(|| escaped(&self.der).into())
    }
}

/// What a certificate is worth. The texts are OpenSSL's, which applications know from `ssl-client-verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is good.
    Good,
    /// Nobody who is trusted vouches for it.
    Unknown(&'static str),
    /// It is bad, whoever vouches for it.
    Bad(&'static str),
}

impl ClientCertificates {
    /// What the client showed for this host, if that was asked of it in the name of the same authority.
    fn shown<'c>(&self, client: Option<TlsClient<'c>>) -> Option<&'c ClientCertificate> {
        let client = client.filter(|client| client.asked == Some(&self.authority.fingerprint))?;
        client.certificate.filter(|_| self.verify != Verify::Off)
    }

    /// Why a request for `host` is refused, if it is. `client` is `None` for one in the clear. `is_served` tells whether a rule
    /// names a host.
    pub(crate) fn refusal(
        &self,
        host: &str,
        client: Option<TlsClient<'_>>,
        is_served: impl FnOnce(&str) -> bool,
    ) -> Option<(u16, Reason)> {
        if self.verify != Verify::Off
            && let Some(client) = client
        {
            // ngx_http_set_virtual_server, and here also a handshake from before this was asked for.
            let is_misdirected = match client.server_name {
                Some(name) if name.eq_ignore_ascii_case(host) => client.asked != Some(&self.authority.fingerprint),
                Some(name) => is_served(name),
                None => false,
            };
            if is_misdirected {
                return Some((421, Reason::Misdirected));
            }
            match (self.verify, self.shown(Some(client)).map(|shown| shown.verdict)) {
                (Verify::On, None) => return Some((400, Reason::NoCertificate)),
                (_, None | Some(Verdict::Good)) | (Verify::OptionalNoCa, Some(Verdict::Unknown(_))) => {}
                (_, Some(_)) => return Some((400, Reason::BadCertificate)),
            }
        }
        let subject = self.shown(client).map_or("", |shown| &*shown.subject);
        let is_other = self.subject.as_ref().is_some_and(|pattern| !pattern.is_in(subject.as_bytes()));
        is_other.then_some((403, Reason::OtherCertificate))
    }

    /// Tells `edit` what an endpoint learns of the certificate. What the client itself says of one is removed.
    pub fn edit_upstream_headers<'p>(&self, client: Option<TlsClient<'_>>, mut edit: impl FnMut(Edit<'p, '_>)) {
        let shown = self.shown(client);
        let failed;
        let verify = match (client, shown.map(|shown| shown.verdict)) {
            (None, _) => "",
            (Some(_), None) => "NONE",
            (Some(_), Some(Verdict::Good)) => "SUCCESS",
            (Some(_), Some(Verdict::Unknown(why) | Verdict::Bad(why))) => {
                failed = format!("FAILED:{why}");
                &failed
            }
        };
        for (name, value) in [
            ("ssl-client-verify", verify),
            ("ssl-client-subject-dn", shown.map_or("", |shown| &shown.subject)),
            ("ssl-client-issuer-dn", shown.map_or("", |shown| &shown.issuer)),
            ("ssl-client-cert", shown.filter(|_| self.passes_certificate).map_or("", ClientCertificate::escaped)),
        ] {
            edit(if value.is_empty() { Edit::Remove(name) } else { Edit::Set(name, value.as_bytes()) });
        }
    }
}

/// A certificate in PEM, percent-encoded.
fn escaped(der: &[u8]) -> String {
    let mut out = String::from("-----BEGIN%20CERTIFICATE-----");
    // 48 bytes are a line of 64 characters.
    for line in der.chunks(48) {
        out.push_str("%0A");
        for group in line.chunks(3) {
            let bytes = [group[0], *group.get(1).unwrap_or(&0), *group.get(2).unwrap_or(&0)];
            let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            for place in 0..4 {
                match bits >> (18 - 6 * place) & 63 {
                    _ if place > group.len() => out.push_str("%3D"),
                    62 => out.push_str("%2B"),
                    63 => out.push_str("%2F"),
                    digit => out.push(char::from(DIGITS[digit as usize])),
                }
            }
        }
    }
    out.push_str("%0A-----END%20CERTIFICATE-----%0A");
    out
}

const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#[cfg(test)]
mod tests;
