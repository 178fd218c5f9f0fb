//! How TLS is spoken with clients.

use edgeward_routing::settings::Cipher;

use super::value::BOOL;
use super::{Annotation, Group, IngressSettings, Rejection, Scope, invalid, parse_bool};

pub(super) static GROUP: Group = Group {
    name: "TLS to clients",
    doc: "How TLS is spoken with clients.",
    annotations: &[
        Annotation::honoured("ssl-ciphers", Scope::Host, ciphers, "Cipher suites of TLS 1.2 of the hosts, as OpenSSL names them.")
            .differing("there are none but those with ECDHE and AES-GCM or ChaCha20; others are left out."),
        Annotation::honoured(
            "ssl-passthrough",
            Scope::Host,
            |value, settings| {
                settings.passes_tls = parse_bool(value).ok_or_else(|| invalid(BOOL))?;
                Ok(())
            },
            "Passes TLS of the hosts on, by the name that the client sends, to the endpoints of the path `/`; it needs \
             `--enable-ssl-passthrough`. No other annotation has an effect on it but those about networks.",
        )
        .differing(
            "the endpoints are connected to, not the address of their Service; the Ingress with the path `/` must be in the same \
             namespace, and where that asks who the clients are, it must have the annotation itself",
        )
        .but_for(&["false"]),
        Annotation::honoured(
            "ssl-prefer-server-ciphers",
            Scope::Host,
            |value, settings| {
                settings.tls.prefers_own_order = Some(parse_bool(value).ok_or_else(|| invalid(BOOL))?);
                Ok(())
            },
            "Whether the order of the suites in `ssl-ciphers` counts, rather than that of the client.",
        )
        .differing("without it the client's order counts."),
    ],
};

/// Words of OpenSSL's lists that stand for every suite there is.
const ALL_CIPHERS: [&str; 3] = ["ALL", "DEFAULT", "HIGH"];

/// The values that name ciphers, for those that are corrected.
pub(crate) const CIPHERS: &str =
    "names of OpenSSL's for suites with ECDHE and AES-GCM or ChaCha20, with colons between them";

/// The suites that a list of OpenSSL's comes to, and what in it is none that there is. Suites of TLS 1.3 cannot be chosen,
/// neither here nor in nginx. What is excluded is not there anyway, or it is one of those that are.
pub(crate) fn parse_ciphers(value: &str) -> (Vec<Cipher>, Vec<&str>) {
    let items =
        value.split([':', ',', ' ']).map(str::trim).filter(|item| !item.is_empty() && !item.starts_with("TLS_"));
    let (excluded, asked): (Vec<_>, Vec<_>) = items.partition(|item| item.starts_with(['!', '-']));
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for item in asked {
        match Cipher::of_openssl(item) {
            Some(cipher) => known.push(cipher),
            None if ALL_CIPHERS.contains(&item) => known.extend(Cipher::ALL),
            None => unknown.push(item),
        }
    }
    let excluded: Vec<_> = excluded.iter().filter_map(|item| Cipher::of_openssl(&item[1..])).collect();
    known.retain(|cipher| !excluded.contains(cipher));
    (known, unknown)
}

/// An empty value asks for nothing (ssl-ciphers of sslcipher/main.go).
fn ciphers(value: &str, settings: &mut IngressSettings) -> Result<(), Rejection> {
    if value.trim().is_empty() {
        return Ok(());
    }
    let (known, unknown) = parse_ciphers(value);
    if known.is_empty() {
        return Err(invalid(CIPHERS));
    }
    settings.tls.ciphers = Some(known.into());
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Rejection::LeftOut(CIPHERS.to_owned())),
    }
}
