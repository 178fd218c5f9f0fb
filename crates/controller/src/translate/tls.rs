//! Certificates: which one answers to which name.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeward_routing::attachment::Attachment;
use edgeward_routing::certificate::{Certificate, CertificateTable, TicketSecret};
use edgeward_routing::host::HostPattern;
use edgeward_routing::origin::Origin;
use hashbrown::HashMap;

use super::class::Owned;
use super::options::Options;
use super::rule::{HostPlan, Plan};
use crate::certificate::{PREVIOUS_TICKET_KEY, TICKET_KEY};
use crate::diagnostic::{Diagnostic, Severity};
use crate::index::{CertificateState, Index};
use crate::object::{Kind, NamespacedName};

/// Days before its end at which a certificate is reported.
const NOTICE_DAYS: i64 = 14;

/// How many names of a certificate a diagnostic shows.
const SHOWN_NAMES: usize = 3;

const DAY: i64 = 24 * 60 * 60;

/// The certificates of all rule hosts, of the names that only a `tls` section has, and the default. `known` are those of the
/// previous snapshot.
pub(super) fn certificates<'a>(
    index: &'a Index,
    options: &Options,
    owned: &[Owned<'_>],
    plan: &Plan<'_>,
    known: impl IntoIterator<Item = &'a Arc<Certificate>>,
    diagnostics: &mut Vec<Diagnostic>,
) -> CertificateTable {
    // One at a time, as they are looked up below, is most of a start with thousands.
    index.parse_certificates(owned.iter().filter(|owned| decides_about_tls(owned)).flat_map(secrets));
    let known = known.into_iter().map(|certificate| (certificate.fingerprint, certificate)).collect();
    let mut wallet = Wallet { index, known, now: options.clock.now(), diagnostics };
    let default = wallet.default(options);
    let sections =
        |owned: &Owned<'_>| if decides_about_tls(owned) { wallet.sections(owned) } else { Sections::default() };
    let all: Vec<Sections> = owned.iter().map(sections).collect();
    let mut by_host = BTreeMap::new();
    for HostPlan { host, tls, .. } in &plan.hosts {
        let Some(at) = tls.filter(|_| *host != HostPattern::Any) else { continue };
        let chosen = match all[at].choose(host) {
            Choice::Certificate(certificate) => Some(certificate),
            Choice::Default => None,
            Choice::NotListed => {
                wallet.not_listed(&owned[at], host);
                None
            }
        };
        // The default is entered by name too: else the certificate of a wildcard host above would answer.
        if let Some(certificate) = chosen.or(default.as_ref()) {
            by_host.insert(host.clone(), Arc::clone(certificate));
        }
    }
    for HostPlan { host, alias_of, .. } in &plan.hosts {
        let Some(main) = alias_of.map(|main| &plan.hosts[main]) else { continue };
        let Some(at) = main.tls.filter(|_| main.host != HostPattern::Any) else { continue };
        let chosen = match all[at].choose(&main.host) {
            Choice::Certificate(certificate) => Some(certificate),
            Choice::Default | Choice::NotListed => default.as_ref(),
        };
        if let Some(certificate) = chosen.filter(|certificate| certificate.covers(host)) {
            by_host.insert(host.clone(), Arc::clone(certificate));
        }
    }
    // Who decides about a name that no rule has: the first whose section lists it.
    let mut first = HashMap::new();
    for (at, sections) in all.iter().enumerate() {
        for (host, number) in &sections.hosts {
            let Some(certificate) = &sections.certificates[*number] else { continue };
            let served = by_host.get(host);
            if served.is_some_and(|served| served.fingerprint == certificate.fingerprint) || !certificate.covers(host) {
                continue;
            }
            let planned = plan.of_pattern(host);
            if served.is_none() && planned.is_none() {
                by_host.insert(host.clone(), Arc::clone(certificate));
                first.insert(host, at);
                continue;
            }
            // What a rule names has been decided above, with or without a certificate.
            let decides = planned.map_or(first.get(host).copied(), |planned| planned.tls.or(planned.owner));
            let decides = decides.map(|decides| &owned[decides].origin);
            wallet.passed_over(owned[at].origin.at(format!("spec.tls[{number}]")), host, served, decides);
        }
    }
    CertificateTable { by_host, default, ticket_secrets: wallet.ticket_secrets(options) }
}

/// Whether the `spec.tls` of an Ingress counts. That of a canary does not: its main Ingress decides (createServers).
fn decides_about_tls(owned: &Owned<'_>) -> bool {
    !owned.is_dropped() && !owned.is_canary()
}

/// The Secrets that the `spec.tls` of an Ingress names.
fn secrets(owned: &Owned<'_>) -> impl Iterator<Item = NamespacedName> {
    let namespace = &owned.ingress.meta.name.namespace;
    let names = owned.ingress.tls.iter().filter_map(|tls| tls.secret_name.as_deref());
    names.map(|name| NamespacedName { namespace: namespace.clone(), name: name.into() })
}

/// The `spec.tls` of one Ingress, looked up.
#[derive(Default)]
struct Sections {
    /// The certificate of each entry.
    certificates: Vec<Option<Arc<Certificate>>>,
    /// Every host that is listed with the number of its entry, sorted.
    hosts: Vec<(HostPattern, usize)>,
}

enum Choice<'s> {
    Certificate(&'s Arc<Certificate>),
    /// The section of the host names no Secret, or one whose certificate cannot be used for it.
    Default,
    /// No section lists the host, and no certificate of the Ingress covers it.
    NotListed,
}

impl Sections {
    /// The certificate of a rule host (controller.go extractTLSSecretName): of the first section that lists the host, if
    /// it is for the host; when none lists it, the first one of the Ingress that is.
    fn choose(&self, host: &HostPattern) -> Choice<'_> {
        let fits = |certificate: &&Arc<Certificate>| certificate.covers(host);
        let at = self.hosts.partition_point(|(listed, _)| listed < host);
        if let Some((_, number)) = self.hosts.get(at).filter(|(listed, _)| listed == host) {
            return self.certificates[*number].as_ref().filter(fits).map_or(Choice::Default, Choice::Certificate);
        }
        self.certificates.iter().flatten().find(fits).map_or(Choice::NotListed, Choice::Certificate)
    }
}

/// Looks Secrets up, and reports what is wrong with them.
struct Wallet<'a, 'd> {
    index: &'a Index,
    /// The certificates of the previous snapshot: what was read again from equal bytes stays the same object, with the
    /// parsed key that the data plane hung on it.
    known: BTreeMap<[u8; 32], &'a Arc<Certificate>>,
    now: i64,
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl Wallet<'_, '_> {
    fn say(
        &mut self,
        severity: Severity,
        code: &'static str,
        origin: Origin,
        message: String,
        mend: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic::new(severity, code, origin, message, mend));
    }

    fn default(&mut self, options: &Options) -> Option<Arc<Certificate>> {
        options
            .default_ssl_certificate
            .as_ref()
            .and_then(|name| {
                let origin = Origin::object(Kind::Secret.name(), &name.namespace, &name.name);
                self.look_up(name, &origin)
            })
            .or_else(|| options.generated_certificate.clone())
    }

    /// What tickets are sealed with: the present secret, then the one before it.
    fn ticket_secrets(&mut self, options: &Options) -> Vec<TicketSecret> {
        let Some(name) = &options.ticket_secret else { return Vec::new() };
        let read =
            |key: &str| self.index.secret_value(name, key).filter(|bytes| bytes.len() >= TicketSecret::MIN_BYTES);
        let secret = |bytes: &[u8]| TicketSecret { bytes: bytes.into(), parsed: Attachment::default() };
        if let Some(present) = read(TICKET_KEY) {
            return [present].into_iter().chain(read(PREVIOUS_TICKET_KEY)).map(secret).collect();
        }
        let message = format!(
            "there is no Secret `{name}` whose `{TICKET_KEY}` has {} bytes or more: every instance seals session tickets \
             with a secret of its own, and clients that come to another one make a full handshake",
            TicketSecret::MIN_BYTES
        );
        let mend = format!(
            "create it: head -c 64 /dev/urandom | kubectl create secret generic --from-file={TICKET_KEY}=/dev/stdin"
        );
        let mend = format!("{mend} -n {} {}", name.namespace, name.name);
        let origin = Origin::object(Kind::Secret.name(), &name.namespace, &name.name);
        self.say(Severity::Error, "TicketSecretInvalid", origin, message, mend);
        Vec::new()
    }

    fn sections(&mut self, owned: &Owned<'_>) -> Sections {
        let namespace = &owned.ingress.meta.name.namespace;
        let names_hosts = owned.ingress.rules.iter().any(|rule| !rule.host.is_empty());
        let mut certificates = Vec::with_capacity(owned.ingress.tls.len());
        let mut hosts = Vec::new();
        for (number, tls) in owned.ingress.tls.iter().enumerate() {
            let certificate = tls.secret_name.as_ref().and_then(|name| {
                let name = NamespacedName { namespace: namespace.clone(), name: name.as_str().into() };
                self.look_up(&name, &owned.origin.at(format!("spec.tls[{number}].secretName")))
            });
            if tls.hosts.is_empty() && tls.secret_name.is_some() && !names_hosts {
                let message = "neither this entry nor a rule names a host: its certificate answers to no name";
                let mend = "list the hosts, or use `--default-ssl-certificate` for a certificate that answers to all";
                let origin = owned.origin.at(format!("spec.tls[{number}]"));
                self.say(Severity::Warning, "TlsWithoutHost", origin, message.to_owned(), mend);
            }
            for (at, text) in tls.hosts.iter().enumerate() {
                let origin = || owned.origin.at(format!("spec.tls[{number}].hosts[{at}]"));
                match text.parse::<HostPattern>() {
                    Ok(HostPattern::Any) => {}
                    Ok(host) => {
                        if let Some(certificate) = certificate.as_ref().filter(|found| !found.covers(&host)) {
                            let names = shown(&certificate.names);
                            let message = format!(
                                "the certificate is not for `{host}`, which gets the default certificate: it is for {names}"
                            );
                            let mend = "have it issued for this name, or name the Secret that is";
                            self.say(Severity::Error, "CertificateNameMismatch", origin(), message, mend);
                        }
                        hosts.push((host, number));
                    }
                    Err(error) => {
                        let message = format!("host `{text}` {error}: no certificate is served for it");
                        self.say(Severity::Error, "InvalidHost", origin(), message, "write a DNS name");
                    }
                }
            }
            certificates.push(certificate);
        }
        hosts.sort();
        Sections { certificates, hosts }
    }

    /// The certificate of a Secret. One that was good and is broken now goes on being served (recorded: sequence "late
    /// secret"); so does one that has expired, as in ingress-nginx: clients then see why.
    fn look_up(&mut self, name: &NamespacedName, origin: &Origin) -> Option<Arc<Certificate>> {
        let certificate = match self.index.certificate(name) {
            CertificateState::Missing => {
                let message = format!("there is no Secret `{name}`: the default certificate is served");
                let mend = "create it with `tls.crt` and `tls.key`, or correct the name; it must be in the namespace of \
                            the Ingress";
                self.say(Severity::Error, "SecretNotFound", origin.clone(), message, mend);
                return None;
            }
            CertificateState::Broken { error, last_good } => {
                let served = match last_good {
                    Some(_) => "the certificate it held before is still served",
                    None => "the default certificate is served",
                };
                let message = format!("Secret `{name}` holds no usable certificate: {error}; {served}");
                self.say(Severity::Error, "CertificateInvalid", origin.clone(), message, error.mend());
                last_good?
            }
            CertificateState::Good(certificate) => certificate,
        };
        self.report_validity(name, certificate, origin);
        let same = self.known.get(&certificate.fingerprint).filter(|known| known.origin == certificate.origin);
        Some(Arc::clone(same.copied().unwrap_or(certificate)))
    }

    fn report_validity(&mut self, name: &NamespacedName, certificate: &Certificate, origin: &Origin) {
        let renew = "renew it";
        if certificate.not_after < self.now {
            let message = format!("the certificate of Secret `{name}` expired on {}", day(certificate.not_after));
            self.say(Severity::Error, "CertificateExpired", origin.clone(), message, renew);
        } else if certificate.not_before > self.now {
            let message =
                format!("the certificate of Secret `{name}` is not valid before {}", day(certificate.not_before));
            let mend = "use one that is valid now, or set the clock";
            self.say(Severity::Warning, "CertificateNotYetValid", origin.clone(), message, mend);
        } else if certificate.not_after - self.now < NOTICE_DAYS * DAY {
            let message = format!("the certificate of Secret `{name}` expires on {}", day(certificate.not_after));
            self.say(Severity::Warning, "CertificateExpiring", origin.clone(), message, renew);
        }
    }

    /// Reports a section with a certificate for a host that `served` answers to, because another section or Ingress
    /// decides about the host.
    fn passed_over(
        &mut self,
        origin: Origin,
        host: &HostPattern,
        served: Option<&Arc<Certificate>>,
        decides: Option<&Origin>,
    ) {
        let served = match served.and_then(|served| served.origin.as_ref()) {
            Some(secret) => format!("the certificate of {secret}"),
            None => "the default certificate".to_owned(),
        };
        let why = match decides {
            Some(decides) if (&decides.namespace, &decides.name) != (&origin.namespace, &origin.name) => {
                format!("{decides} decides about this host")
            }
            Some(_) | None => "an earlier entry of this Ingress lists it too".to_owned(),
        };
        let message = format!("the certificate is not served for `{host}`, which gets {served}: {why}");
        let mend = "name this Secret there, or take the host off this list";
        self.say(Severity::Warning, "CertificateConflict", origin, message, mend);
    }

    fn not_listed(&mut self, owned: &Owned<'_>, host: &HostPattern) {
        let message = format!(
            "no entry lists `{host}` and no certificate of this Ingress is for it: it gets the default certificate, and \
             counts as a host with TLS all the same"
        );
        let mend = "list it with the Secret that holds its certificate";
        self.say(Severity::Warning, "HostWithoutCertificate", owned.origin.at("spec.tls"), message, mend);
    }
}

/// The first names of a certificate, and how many more there are.
fn shown(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(SHOWN_NAMES));
    let first = first.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (first.is_empty(), more.len()) {
        (true, _) => "no name".to_owned(),
        (false, 0) => first,
        (false, more) => format!("{first} and {more} more"),
    }
}

/// The day of a time, for people.
fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| format!("second {seconds}"), |at| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
}
