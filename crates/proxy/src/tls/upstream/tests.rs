#![allow(clippy::unwrap_used, reason = "a test may panic")]

use edgeward_routing::policy::Authority;
use edgeward_routing::template::{Part, Template};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;

/// An authority, below `issuer` if there is one.
fn authority(issuer: Option<&CertifiedIssuer<'static, KeyPair>>) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec!["ca.test".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    match issuer {
        Some(issuer) => CertifiedIssuer::signed_by(params, key, &**issuer).unwrap(),
        None => CertifiedIssuer::self_signed(params, key).unwrap(),
    }
}

fn leaf(issuer: &CertifiedIssuer<'static, KeyPair>) -> CertificateDer<'static> {
    let params = CertificateParams::new(vec!["inner.test".to_owned()]).unwrap();
    params.signed_by(&KeyPair::generate().unwrap(), &**issuer).unwrap().der().clone()
}

fn terms(authority: &[u8], depth: u8, not_after: i64) -> UpstreamTls {
    UpstreamTls {
        name: Template { parts: vec![Part::Literal("inner.test".into())] },
        sends_name: false,
        verifies: true,
        authorities: [Authority { der: authority.into(), not_before: 0, not_after }].into(),
        depth,
        identity: None,
        tls12: true,
        tls13: true,
        suites: Box::default(),
        client: Default::default(),
    }
}

fn verdict(
    tls: &UpstreamTls,
    leaf: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    name: &str,
) -> Option<rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier { trust: Trust::of(tls), provider };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(leaf, between, &name, &[], UnixTime::now()).err()
}

#[test]
fn a_certificate_is_good_for_its_name_and_within_the_depth() {
    let root = authority(None);
    let (first, leaf_of_root) = (authority(Some(&root)), leaf(&root));
    let second = authority(Some(&first));
    let der = |issuer: &CertifiedIssuer<'static, KeyPair>| issuer.der().clone();
    let tls = |depth| terms(root.der(), depth, i64::MAX);
    assert_eq!(verdict(&tls(1), &leaf_of_root, &[], "inner.test"), None);
    assert!(verdict(&tls(1), &leaf_of_root, &[], "other.test").is_some());
    let between = [der(&second), der(&first)];
    assert_eq!(verdict(&tls(1), &leaf(&first), &between[1..], "inner.test"), None);
    assert!(verdict(&tls(1), &leaf(&second), &between, "inner.test").is_some(), "longer than the depth");
    assert_eq!(verdict(&tls(2), &leaf(&second), &between, "inner.test"), None);
    assert!(verdict(&tls(9), &leaf(&authority(None)), &[], "inner.test").is_some(), "of another authority");
}

#[test]
fn a_certificate_that_is_trusted_itself_is_good_while_it_is_valid() {
    let own = authority(None);
    let der = own.der().clone();
    assert_eq!(verdict(&terms(&der, 1, i64::MAX), &der, &[], "ca.test"), None);
    assert!(verdict(&terms(&der, 1, i64::MAX), &der, &[], "other.test").is_some());
    assert!(verdict(&terms(&der, 1, 1), &der, &[], "ca.test").is_some(), "it has expired");
}

#[test]
fn suites_are_known_by_their_names_in_openssl() {
    let known: Vec<_> = aws_lc_rs::default_provider().cipher_suites.into_iter().filter_map(openssl_name).collect();
    for name in UpstreamTls::SUITES {
        assert!(known.iter().any(|known| known == name), "{name} is none of {known:?}");
    }
    let one = UpstreamTls { suites: [UpstreamTls::SUITES[0]].into(), ..terms(&[], 1, 0) };
    let left = suites(&one);
    assert_eq!(left.iter().filter(|suite| suite.version().version == ProtocolVersion::TLSv1_2).count(), 1);
}
