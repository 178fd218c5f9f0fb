#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::crypto::aws_lc_rs::default_provider;

use super::*;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    change(&mut params);
    params
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

fn root(name: &str) -> Issuer {
    CertifiedIssuer::self_signed(params(name, authority), KeyPair::generate().unwrap()).unwrap()
}

fn intermediate(name: &str, by: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> Issuer {
    let params = params(name, |params| {
        authority(params);
        change(params);
    });
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), by).unwrap()
}

fn leaf(by: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    params("client", change).signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().clone()
}

fn trust(certificates: &[&Issuer], depth: u32) -> ClientAuthority {
    ClientAuthority {
        fingerprint: [0; 32],
        certificates: certificates.iter().map(|issuer| issuer.der().to_vec().into()).collect(),
        revocations: Vec::new(),
        depth,
        parsed: Default::default(),
    }
}

fn now() -> i64 {
    // rcgen's certificates are good from 1975 to 4096.
    1_800_000_000
}

fn of(authority: &ClientAuthority, chain: &[CertificateDer<'_>]) -> Verdict {
    verdict(authority, &Trusted::by(authority), chain, now(), &default_provider().signature_verification_algorithms)
}

#[test]
fn a_chain_to_a_trusted_root_is_good() {
    let root = root("root");
    let middle = intermediate("middle", &root, |_| {});
    let client = leaf(&middle, |_| {});
    assert_eq!(of(&trust(&[&root], 1), &[leaf(&root, |_| {})]), Verdict::Good);
    assert_eq!(of(&trust(&[&root], 1), &[client.clone(), middle.der().clone()]), Verdict::Good);
    assert_eq!(of(&trust(&[&root, &middle], 1), std::slice::from_ref(&client)), Verdict::Good);
    // A root is none by being shown, and an intermediate is none by being trusted (X509_V_FLAG_PARTIAL_CHAIN is off).
    let unknown = "unable to get local issuer certificate";
    assert_eq!(
        of(&trust(&[&self::root("other")], 1), &[client.clone(), middle.der().clone()]),
        Verdict::Unknown(unknown)
    );
    let shown = [client.clone(), middle.der().clone(), root.der().clone()];
    let other = trust(&[&self::root("other")], 1);
    assert_eq!(of(&other, &shown), Verdict::Unknown("self-signed certificate in certificate chain"));
    assert_eq!(
        of(&trust(&[&middle], 1), std::slice::from_ref(&client)),
        Verdict::Bad("unable to get issuer certificate")
    );
    assert_eq!(of(&other, &[client]), Verdict::Unknown("unable to verify the first certificate"));
    assert_eq!(of(&trust(&[&middle], 1), &[]), BAD_ENCODING);
    assert_eq!(of(&trust(&[&middle], 1), &[CertificateDer::from(vec![0x30, 1])]), BAD_ENCODING);
}

#[test]
fn the_depth_counts_what_is_between() {
    let root = root("root");
    let one = intermediate("one", &root, |_| {});
    let two = intermediate("two", &one, |_| {});
    let chain = [leaf(&two, |_| {}), two.der().clone(), one.der().clone()];
    assert_eq!(of(&trust(&[&root], 2), &chain), Verdict::Good);
    assert_eq!(of(&trust(&[&root], 1), &chain), Verdict::Bad("certificate chain too long"));
    assert_eq!(of(&trust(&[&root], 0), &[leaf(&root, |_| {})]), Verdict::Good);
}

#[test]
fn one_who_only_has_the_name_of_an_authority_is_none() {
    let client = leaf(&root("root"), |_| {});
    assert_eq!(of(&trust(&[&root("root")], 1), &[client]), Verdict::Bad("certificate signature failure"));
    let of_itself = root("stranger");
    assert_eq!(
        of(&trust(&[&root("root")], 1), &[of_itself.der().clone()]),
        Verdict::Unknown("self-signed certificate")
    );
}

#[test]
fn who_is_no_authority_issues_nothing() {
    let root = root("root");
    let trusted = trust(&[&root], 3);
    let through = |middle: &Issuer| of(&trusted, &[leaf(middle, |_| {}), middle.der().clone()]);
    for change in [
        (|params| params.is_ca = IsCa::NoCa) as fn(&mut CertificateParams),
        |params| params.is_ca = IsCa::ExplicitNoCa,
        |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
    ] {
        let middle = intermediate("middle", &root, change);
        assert_eq!(through(&middle), Verdict::Bad("invalid CA certificate"));
    }
    let short = intermediate("short", &root, |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert_eq!(through(&short), Verdict::Good);
    let below = intermediate("below", &short, |_| {});
    let chain = [leaf(&below, |_| {}), below.der().clone(), short.der().clone()];
    assert_eq!(of(&trusted, &chain), Verdict::Bad("path length constraint exceeded"));
    let constrained = intermediate("constrained", &root, |params| {
        let permitted_subtrees = vec![rcgen::GeneralSubtree::DnsName("a.test".to_owned())];
        let excluded_subtrees = Vec::new();
        params.name_constraints = Some(rcgen::NameConstraints { permitted_subtrees, excluded_subtrees });
    });
    assert_eq!(through(&constrained), Verdict::Bad("unsupported name constraint type"));
}

#[test]
fn a_certificate_must_be_for_clients_and_of_these_days() {
    let root = root("root");
    let trusted = trust(&[&root], 1);
    for (change, expected) in [
        (
            (|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])
                as fn(&mut CertificateParams),
            Verdict::Bad("unsuitable certificate purpose"),
        ),
        (|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth], Verdict::Good),
        (
            |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
            Verdict::Bad("unsuitable certificate purpose"),
        ),
        (|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature], Verdict::Good),
        (|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1), Verdict::Bad("certificate has expired")),
        (|params| params.not_before = rcgen::date_time_ymd(2090, 1, 1), Verdict::Bad("certificate is not yet valid")),
        (
            |params| {
                let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                unknown.set_criticality(true);
                params.custom_extensions.push(unknown);
            },
            Verdict::Bad("unhandled critical extension"),
        ),
    ] {
        assert_eq!(of(&trusted, &[leaf(&root, change)]), expected);
    }
    // A bad one stays bad where nobody has to vouch for it.
    let stranger = self::root("stranger");
    let expired = leaf(&stranger, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert_eq!(of(&trusted, &[expired]), Verdict::Bad("certificate has expired"));
}

#[test]
fn revoked_certificates_are_bad_and_every_issuer_needs_a_list() {
    let with_usage = |params: &mut CertificateParams| {
        authority(params);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    };
    let of_root = || CertifiedIssuer::self_signed(params("root", with_usage), KeyPair::generate().unwrap()).unwrap();
    let root = of_root();
    let list = |by: &Issuer, serials: &[u64], next: i32| {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(next, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(by).unwrap().der().to_vec().into_boxed_slice()
    };
    let client = |serial: u64| leaf(&root, |params| params.serial_number = Some(SerialNumber::from(serial)));
    let judged = |lists: Vec<Box<[u8]>>, serial| {
        let authority = ClientAuthority { revocations: lists, ..trust(&[&root], 1) };
        of(&authority, &[client(serial)])
    };
    assert_eq!(judged(vec![list(&root, &[7], 2090)], 8), Verdict::Good);
    assert_eq!(judged(vec![list(&root, &[7], 2090)], 7), Verdict::Bad("certificate revoked"));
    assert_eq!(judged(vec![list(&root, &[], 2021)], 8), Verdict::Bad("CRL has expired"));
    assert_eq!(judged(vec![list(&of_root(), &[], 2090)], 8), Verdict::Bad("unable to get certificate CRL"));
    let broken = vec![vec![0x30, 0].into_boxed_slice()];
    assert_eq!(judged(broken, 8), Verdict::Bad("unable to get certificate CRL"));
}

/// A root is trusted for what it is; many are signed with SHA-1, or by nobody who can be asked any more.
#[test]
fn the_signature_of_a_trusted_root_tells_nothing() {
    let root = root("root");
    let client = leaf(&root, |_| {});
    let mut unsigned = root.der().to_vec();
    *unsigned.last_mut().unwrap() ^= 1;
    let trusted = ClientAuthority { certificates: vec![unsigned.clone().into()], ..trust(&[], 1) };
    assert_eq!(of(&trusted, std::slice::from_ref(&client)), Verdict::Good);
    assert_eq!(of(&trusted, &[client.clone(), unsigned.clone().into()]), Verdict::Good);
    assert_eq!(of(&trusted, &[unsigned.clone().into()]), Verdict::Good);
    // One that is only shown is nothing without it.
    let other = trust(&[&self::root("other")], 1);
    let of_stranger = of(&other, &[client, unsigned.into()]);
    assert_eq!(of_stranger, Verdict::Unknown("unable to get local issuer certificate"));
}

/// A root that is renewed keeps its name and key, so that what it has issued stays good. Both may be in the file.
#[test]
fn a_renewed_authority_counts_whatever_stands_before_it() {
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let key = || KeyPair::from_pem(&pem).unwrap();
    let dated = |from: i32, to: i32| {
        let params = params("root", |params| {
            authority(params);
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        });
        CertifiedIssuer::self_signed(params, key()).unwrap()
    };
    let (old, new, next) = (dated(2000, 2020), dated(2020, 2090), dated(2080, 2099));
    let client = [leaf(&old, |_| {})];
    for trusted in [[&old, &new, &next], [&next, &old, &new], [&new, &old, &next]] {
        assert_eq!(of(&trust(&trusted, 1), &client), Verdict::Good);
    }
    assert_eq!(of(&trust(&[&old], 1), &client), Verdict::Bad("certificate has expired"));
    assert_eq!(of(&trust(&[&next], 1), &client), Verdict::Bad("certificate is not yet valid"));
}

#[test]
fn a_list_counts_for_the_key_that_signed_it_alone() {
    let with_usage = |params: &mut CertificateParams| {
        authority(params);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    };
    let root = || CertifiedIssuer::self_signed(params("root", with_usage), KeyPair::generate().unwrap()).unwrap();
    let (one, two) = (root(), root());
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2020, 1, 1),
        next_update: rcgen::date_time_ymd(2090, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let revocations = vec![list.signed_by(&one).unwrap().der().to_vec().into_boxed_slice()];
    let authority = ClientAuthority { revocations, ..trust(&[&one, &two], 1) };
    let trusted = Trusted::by(&authority);
    let algorithms = default_provider().signature_verification_algorithms;
    // What was found out for one handshake is no answer for another one.
    for (by, expected) in [
        (&one, Verdict::Good),
        (&two, Verdict::Bad("unable to get certificate CRL")),
        (&one, Verdict::Good),
        (&two, Verdict::Bad("unable to get certificate CRL")),
    ] {
        assert_eq!(verdict(&authority, &trusted, &[leaf(by, |_| {})], now(), &algorithms), expected);
    }
}

#[test]
fn a_long_chain_of_strangers_costs_little() {
    let begun = std::time::Instant::now();
    let mut issuers = vec![root("0")];
    for number in 1..20 {
        let next = intermediate(&number.to_string(), &issuers[number - 1], |_| {});
        issuers.push(next);
    }
    let mut chain = vec![leaf(issuers.last().unwrap(), |_| {})];
    chain.extend(issuers.iter().rev().map(|issuer| issuer.der().clone()));
    assert!(matches!(of(&trust(&[&root("other")], u32::MAX), &chain), Verdict::Bad(_) | Verdict::Unknown(_)));
    assert!(begun.elapsed() < Duration::from_secs(20));
}
