#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const OURS: [u8; 32] = [1; 32];

fn asks(verify: Verify) -> ClientCertificates {
    let authority = ClientAuthority {
        fingerprint: OURS,
        certificates: Vec::new(),
        revocations: Vec::new(),
        depth: 1,
        parsed: Default::default(),
    };
    let authority = Arc::new(authority);
    ClientCertificates { verify, authority, subject: None, error_page: None, passes_certificate: false }
}

fn shown(verdict: Verdict) -> ClientCertificate {
    let (subject, issuer) = ("CN=alice".into(), "CN=ca".into());
    ClientCertificate { subject, issuer, der: b"\xfb\xff\0".as_slice().into(), escaped: OnceLock::new(), verdict }
}

fn status(asks: &ClientCertificates, client: Option<TlsClient<'_>>) -> u16 {
    asks.refusal("a.test", client, |name| name == "b.test").map_or(200, |(status, _)| status)
}

#[test]
fn a_certificate_is_judged_by_what_the_host_asks_for() {
    use Verdict::{Bad, Good, Unknown};
    for (verify, expected) in [
        (Verify::On, [400, 200, 400, 400]),
        (Verify::Off, [200, 200, 200, 200]),
        (Verify::Optional, [200, 200, 400, 400]),
        (Verify::OptionalNoCa, [200, 200, 200, 400]),
    ] {
        let certificates =
            [None, Some(Good), Some(Unknown("self-signed certificate")), Some(Bad("certificate revoked"))];
        let got = certificates.map(|verdict| {
            let certificate = verdict.map(shown);
            let client =
                TlsClient { server_name: Some("A.test"), asked: Some(&OURS), certificate: certificate.as_ref() };
            status(&asks(verify), Some(client))
        });
        assert_eq!(got, expected, "{verify:?}");
    }
}

#[test]
fn a_handshake_for_another_name_counts_for_nothing() {
    let good = shown(Verdict::Good);
    let client = |server_name, asked| Some(TlsClient { server_name, asked, certificate: Some(&good) });
    let on = asks(Verify::On);
    // Another host that is served, or this one under other demands: the client may try a new connection.
    assert_eq!(status(&on, client(Some("b.test"), Some(&OURS))), 421);
    assert_eq!(status(&on, client(Some("a.test"), None)), 421);
    assert_eq!(status(&on, client(Some("a.test"), Some(&[2; 32]))), 421);
    // A name that nobody has, or none: nothing was asked for.
    assert_eq!(status(&on, client(Some("unknown.test"), None)), 400);
    assert_eq!(status(&on, client(None, Some(&[2; 32]))), 400);
    assert_eq!(status(&asks(Verify::Optional), client(Some("unknown.test"), None)), 200);
    assert_eq!(status(&asks(Verify::Optional), client(Some("b.test"), None)), 421);
    assert_eq!(status(&asks(Verify::Off), client(Some("b.test"), None)), 200);
    // In the clear there is nothing to show (recorded: c357, c362).
    assert_eq!(status(&on, None), 200);
}

#[test]
fn the_subject_must_match_in_the_clear_too() {
    let mut asks = asks(Verify::On);
    asks.subject = Some(Expression::new("CN=alice").unwrap());
    let mut certificate = shown(Verdict::Good);
    fn of(certificate: &ClientCertificate) -> Option<TlsClient<'_>> {
        Some(TlsClient { server_name: Some("a.test"), asked: Some(&OURS), certificate: Some(certificate) })
    }
    assert_eq!(status(&asks, of(&certificate)), 200);
    certificate.subject = "CN=bob".into();
    assert_eq!(status(&asks, of(&certificate)), 403);
    assert_eq!(status(&asks, None), 403);
}

#[test]
fn endpoints_are_told_what_the_proxy_found_and_nothing_else() {
    let told = |asks: &ClientCertificates, client| {
        let mut told = Vec::new();
        asks.edit_upstream_headers(client, |edit| match edit {
            Edit::Set(name, value) | Edit::Append(name, value) => {
                told.push(format!("{name}: {}", String::from_utf8_lossy(value)))
            }
            Edit::Remove(name) => told.push(format!("{name} removed")),
        });
        told
    };
    let mut asks = asks(Verify::OptionalNoCa);
    let certificate = shown(Verdict::Unknown("self-signed certificate"));
    let client = TlsClient { server_name: Some("a.test"), asked: Some(&OURS), certificate: Some(&certificate) };
    assert!(told(&asks, Some(client)).contains(&"ssl-client-cert removed".to_owned()));
    assert_eq!(certificate.escaped.get(), None, "it is written where it is passed on, and nowhere else");
    asks.passes_certificate = true;
    let expected = [
        "ssl-client-verify: FAILED:self-signed certificate",
        "ssl-client-subject-dn: CN=alice",
        "ssl-client-issuer-dn: CN=ca",
        "ssl-client-cert: -----BEGIN%20CERTIFICATE-----%0A%2B%2F8A%0A-----END%20CERTIFICATE-----%0A",
    ];
    assert_eq!(told(&asks, Some(client)), expected);
    let nothing = ["ssl-client-subject-dn removed", "ssl-client-issuer-dn removed", "ssl-client-cert removed"];
    let elsewhere = TlsClient { asked: None, ..client };
    assert_eq!(told(&asks, Some(elsewhere)), [&["ssl-client-verify: NONE"][..], &nothing].concat());
    assert_eq!(told(&asks, None), [&["ssl-client-verify removed"][..], &nothing].concat());
}
