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
            "the endpoints are connected to, not the address of their Service; only Ingresses of the namespace that has the host, by \
             its first Ingress, may ask, and its path `/` gets the connections; where that asks who the clients are, its own \
             Ingress must have the annotation",
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

/// Words of OpenSSL's lists that stand for no suite there is (openssl-ciphers(1)). `RSA` is about the key exchange.
#[rustfmt::skip]
const ABSENT_CIPHERS: [&str; 57] = [
    "3DES", "ADH", "AECDH", "AESCCM", "AESCCM8", "ARIA", "ARIA128", "ARIA256", "ARIAGCM", "CAMELLIA", "CAMELLIA128", "CAMELLIA256",
    "COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT", "DES", "DH", "DHE", "DSS", "EDH", "EXP", "EXPORT", "EXPORT40", "EXPORT56", "GOST",
    "IDEA", "LOW", "MD5", "MEDIUM", "NULL", "PSK", "RC2", "RC4", "RSA", "SEED", "SHA", "SHA1", "SHA256", "SHA384", "SRP", "SSLv2",
    "SSLv3", "TLSv1", "TLSv1.0", "aDH", "aDSS", "aECDH", "aNULL", "aPSK", "aSRP", "eNULL", "kDH", "kDHE", "kECDH", "kEDH", "kPSK",
    "kRSA", "kSRP",
];

/// The suites that a word of OpenSSL's lists stands for; where `+` is between several, those that each of them stands for.
fn suites(item: &str) -> Option<Vec<Cipher>> {
    use Cipher::{EcdsaAes128, EcdsaAes256, EcdsaChaCha20, RsaAes128, RsaAes256, RsaChaCha20};
    let mut left = Cipher::ALL.to_vec();
    for word in item.split('+') {
        let suite = Cipher::of_openssl(word);
        let suites: &[Cipher] = match word {
            "ALL" | "DEFAULT" | "HIGH" | "ECDH" | "ECDHE" | "EECDH" | "kECDHE" | "kEECDH" | "TLSv1.2" => &Cipher::ALL,
            "AES" | "AESGCM" => &[EcdsaAes128, EcdsaAes256, RsaAes128, RsaAes256],
            "AES128" => &[EcdsaAes128, RsaAes128],
            "AES256" => &[EcdsaAes256, RsaAes256],
            "CHACHA20" => &[EcdsaChaCha20, RsaChaCha20],
            "ECDSA" | "aECDSA" => &[EcdsaAes128, EcdsaAes256, EcdsaChaCha20],
            "aRSA" => &[RsaAes128, RsaAes256, RsaChaCha20],
            _ if suite.is_some() => suite.as_slice(),
            // Suites that are older than those with AEAD are called so, and those with another key exchange.
            _ if word.ends_with("-SHA") || word.ends_with("-MD5") || word.starts_with("DHE-") => &[],
            _ if ABSENT_CIPHERS.contains(&word) => &[],
            _ => return None,
        };
        left.retain(|cipher| suites.contains(cipher));
    }
    Some(left)
}

/// The values that name ciphers, for those that are corrected.
pub(crate) const CIPHERS: &str =
    "names of OpenSSL's for suites with ECDHE and AES-GCM or ChaCha20, with colons between them";

/// The suites that a list of OpenSSL's comes to, and what in it is none that there is. Suites of TLS 1.3 cannot be chosen,
/// neither here nor in nginx.
pub(crate) fn parse_ciphers(value: &str) -> (Vec<Cipher>, Vec<&str>) {
    let items =
        value.split([':', ',', ' ']).map(str::trim).filter(|item| !item.is_empty() && !item.starts_with("TLS_"));
    let (excluded, asked): (Vec<_>, Vec<_>) = items.partition(|item| item.starts_with(['!', '-']));
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for item in asked {
        match suites(item).filter(|suites| !suites.is_empty()) {
            Some(suites) => known.extend(suites),
            None => unknown.push(item),
        }
    }
    for item in excluded {
        match suites(&item[1..]) {
            Some(suites) => known.retain(|cipher| !suites.contains(cipher)),
            None => unknown.push(item),
        }
    }
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
