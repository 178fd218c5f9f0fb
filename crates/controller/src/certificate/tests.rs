#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_routing::certificate::KeyFormat;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
};

use super::{CertificateError, generate_default, parse};
use crate::translate::fixture::secret;

const SEC1: (&str, &str) = (include_str!("fixtures/sec1.crt"), include_str!("fixtures/sec1.key"));
const PKCS1: (&str, &str) = (include_str!("fixtures/pkcs1.crt"), include_str!("fixtures/pkcs1.key"));

#[test]
fn rsa_ecdsa_and_ed25519_keys_are_taken() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let chain = CertificateParams::new(["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let certificate = parse(&secret("t", &chain.pem(), &key.serialize_pem())).unwrap();
        assert_eq!(certificate.names, ["a.test"], "{algorithm:?}");
        assert_eq!(certificate.key.format, KeyFormat::Pkcs8);
    }
}

#[test]
fn sec1_and_pkcs1_keys_are_taken() {
    let sec1 = parse(&secret("t", SEC1.0, SEC1.1)).unwrap();
    assert_eq!(sec1.key.format, KeyFormat::Sec1);
    assert_eq!(sec1.subject, "CN=sec1.test,O=Example");
    assert_eq!(sec1.names, ["sec1.test", "*.sec1.test"]);
    assert!(sec1.not_before < sec1.not_after);
    let pkcs1 = parse(&secret("t", PKCS1.0, PKCS1.1)).unwrap();
    assert_eq!(pkcs1.key.format, KeyFormat::Pkcs1);
    assert_ne!(sec1.fingerprint, pkcs1.fingerprint);
    assert_eq!(sec1.fingerprint, parse(&secret("other", SEC1.0, SEC1.1)).unwrap().fingerprint);
}

#[test]
fn a_certificate_without_alternative_names_is_for_its_common_name() {
    assert_eq!(parse(&secret("t", PKCS1.0, PKCS1.1)).unwrap().names, ["pkcs1.test"]);
}

#[test]
fn a_chain_is_kept_in_order() {
    let chain = format!("{}{}", SEC1.0, PKCS1.0);
    let certificate = parse(&secret("t", &chain, SEC1.1)).unwrap();
    assert_eq!(certificate.chain.len(), 2);
    assert_eq!(certificate.subject, "CN=sec1.test,O=Example");
    assert_eq!(parse(&secret("t", &chain, PKCS1.1)).unwrap_err(), CertificateError::KeyMismatch);
}

/// `tls.crt`, `tls.key`, and what is said of them.
type Case<'t> = (&'t str, &'t str, fn(&CertificateError) -> bool);

#[test]
fn every_kind_of_rubbish_has_its_error() {
    let (chain, key) = SEC1;
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let half = &chain[..chain.len() / 2];
    let cases: [Case<'_>; 10] = [
        ("", key, |e| *e == CertificateError::NoData("tls.crt")),
        (chain, "", |e| *e == CertificateError::NoData("tls.key")),
        ("garbage", key, |e| *e == CertificateError::NoCertificate),
        (half, key, |e| *e == CertificateError::NoCertificate),
        (key, key, |e| *e == CertificateError::NoCertificate),
        (broken, key, |e| matches!(e, CertificateError::BadCertificate { position: 1, .. })),
        (chain, "garbage", |e| *e == CertificateError::NoPrivateKey),
        (chain, chain, |e| *e == CertificateError::NoPrivateKey),
        (chain, broken_key, |e| *e == CertificateError::BadPrivateKey),
        (chain, PKCS1.1, |e| *e == CertificateError::KeyMismatch),
    ];
    for (number, (chain, key, is_expected)) in cases.into_iter().enumerate() {
        let error = parse(&secret("t", chain, key)).unwrap_err();
        assert!(is_expected(&error), "case {number}: {error:?}");
        assert!(!error.mend().is_empty());
    }
}

#[test]
fn no_error_shows_key_material() {
    let body: String = SEC1.1.lines().filter(|line| !line.starts_with('-')).collect();
    for key in [&SEC1.1[..100], body.as_str(), &SEC1.1.replace("EC PRIVATE", "PRIVATE")] {
        let Err(error) = parse(&secret("t", SEC1.0, key)) else { continue };
        let text = format!("{error} {error:?}");
        assert!(!text.contains(&body[..16]), "{text}");
    }
    let certificate = parse(&secret("t", SEC1.0, SEC1.1)).unwrap();
    assert!(format!("{:?}", certificate.key).contains("redacted"));
}

#[test]
fn a_certificate_covers_what_its_names_cover() {
    let certificate = parse(&secret("t", SEC1.0, SEC1.1)).unwrap();
    for (host, covered) in [
        ("sec1.test", true),
        ("a.sec1.test", true),
        ("*.sec1.test", true),
        ("a.b.sec1.test", false),
        ("*.a.sec1.test", false),
        ("test", false),
        ("", false),
    ] {
        assert_eq!(certificate.covers(&host.parse().unwrap()), covered, "{host}");
    }
}

#[test]
fn the_generated_default_looks_like_ingress_nginxs() {
    let certificate = generate_default(&["ingress.local".to_owned()]).unwrap();
    assert_eq!(certificate.subject, "CN=Kubernetes Ingress Controller Fake Certificate,O=Acme Co");
    assert_eq!(certificate.names, ["ingress.local"]);
    assert!(certificate.origin.is_none());
    let now = jiff::Timestamp::now().as_second();
    assert!(certificate.not_before < now && now + 364 * 86_400 < certificate.not_after);
    assert!(generate_default(&["\u{e4}".to_owned()]).is_err());
}
