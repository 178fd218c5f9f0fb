#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgeward_routing::certificate::{Certificate, CertificateTable, TicketSecret};
use rustls::NamedGroup;
use rustls::crypto::aws_lc_rs::ALL_KX_GROUPS;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::fixture::{Client, Fixture, certificate, tls_client, tls_client_with, tls_connect};

fn table(entries: &[(&str, &Arc<Certificate>)], default: Option<&Arc<Certificate>>) -> CertificateTable {
    let by_host: BTreeMap<_, _> =
        entries.iter().map(|(host, certificate)| (host.parse().unwrap(), Arc::clone(certificate))).collect();
    CertificateTable { by_host, default: default.cloned(), ..Default::default() }
}

/// The certificate that a client gets.
async fn served(fixture: &Fixture, name: &str) -> Vec<u8> {
    let mut config = tls_client(&[], rustls::ALL_VERSIONS);
    config.enable_sni = !name.is_empty();
    let name = if name.is_empty() { "no.name.example" } else { name };
    let tls = tls_connect(fixture.https, name, config).await.unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn the_certificate_goes_by_exact_name_then_wildcard_then_default() {
    let [exact, wildcard, default] = [["a"], ["b"], ["c"]].map(|names| certificate(&names));
    let entries = [("www.example.com", &exact), ("*.example.com", &wildcard)];
    let fixture = Fixture::with_certificates(table(&entries, Some(&default)), |_| {}).await;
    for (name, expected) in [
        ("www.example.com", &exact),
        ("WWW.Example.COM", &exact),
        ("other.example.com", &wildcard),
        ("two.labels.example.com", &default),
        ("example.com", &default),
        ("example.org", &default),
        ("", &default),
    ] {
        assert_eq!(served(&fixture, name).await, *expected.chain[0], "{name}");
    }
}

#[tokio::test]
async fn a_new_snapshot_brings_new_certificates() {
    let [old, new] = [["a"], ["b"]].map(|names| certificate(&names));
    let mut fixture = Fixture::with_certificates(table(&[("a.example", &old)], None), |_| {}).await;
    assert_eq!(served(&fixture, "a.example").await, *old.chain[0]);
    let mut snapshot = (*fixture.publisher.reader().load()).clone();
    snapshot.certificates = Arc::new(table(&[("a.example", &new)], None));
    fixture.publisher.publish(snapshot);
    assert_eq!(served(&fixture, "a.example").await, *new.chain[0]);
}

#[tokio::test]
async fn a_key_that_does_not_parse_leaves_its_host_to_the_default() {
    let default = certificate(&["default"]);
    let broken = certificate(&["broken"]);
    let mut broken = Arc::into_inner(broken).unwrap();
    broken.key.der = [1, 2, 3].into();
    let broken = Arc::new(broken);
    let fixture = Fixture::with_certificates(table(&[("broken.example", &broken)], Some(&default)), |_| {}).await;
    assert_eq!(served(&fixture, "broken.example").await, *default.chain[0]);
}

#[tokio::test]
async fn without_any_certificate_the_handshake_fails_and_is_counted() {
    let fixture = Fixture::with_certificates(table(&[], None), |_| {}).await;
    assert!(tls_connect(fixture.https, "a.example", tls_client(&[], rustls::ALL_VERSIONS)).await.is_err());
    fixture.events.saw("HandshakeFailed").await;
    fixture.is_empty().await;
}

#[tokio::test]
async fn sessions_resume_on_every_worker() {
    let fixture = Fixture::start(|options| options.listener.workers = 3).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = Arc::new(tls_client(&[], &[version]));
        let mut resumed = 0;
        for _ in 0..12 {
            let tls = tls_connect(fixture.https, "localhost", Arc::clone(&config)).await.unwrap();
            let mut client = Client::new(tls);
            // Tickets of TLS 1.3 come with the first data.
            let body = client.get("/connection").await.body;
            resumed += usize::from(body.contains("resumed: true"));
        }
        assert_eq!(resumed, 11, "{version:?}");
    }
}

/// Two instances behind one address: the client comes to the other one next time.
#[tokio::test]
async fn sessions_resume_at_another_instance_with_the_same_secret() {
    let certificate = certificate(&["localhost"]);
    let with_secret = |byte: u8| CertificateTable {
        default: Some(Arc::clone(&certificate)),
        ticket_secrets: vec![TicketSecret { bytes: vec![byte; 32].into(), parsed: Default::default() }],
        ..Default::default()
    };
    let one = Fixture::with_certificates(with_secret(1), |_| {}).await;
    for (secret, resumes) in [(1, true), (2, false)] {
        let other = Fixture::with_certificates(with_secret(secret), |_| {}).await;
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let config = Arc::new(tls_client(&[], &[version]));
            for (https, expected) in [(one.https, false), (other.https, resumes)] {
                let tls = tls_connect(https, "localhost", Arc::clone(&config)).await.unwrap();
                let body = Client::new(tls).get("/connection").await.body;
                assert!(body.contains(&format!("resumed: {expected}")), "{version:?} {secret}: {body}");
            }
        }
    }
}

#[tokio::test]
async fn tickets_can_be_switched_off() {
    let fixture = Fixture::start(|options| options.tls.tickets = false).await;
    let config = Arc::new(tls_client(&[], rustls::ALL_VERSIONS));
    for _ in 0..3 {
        let tls = tls_connect(fixture.https, "localhost", Arc::clone(&config)).await.unwrap();
        assert!(Client::new(tls).get("/connection").await.body.contains("resumed: false"));
    }
}

#[tokio::test]
async fn options_rule_versions_protocols_and_key_exchange() {
    let group = |tls: &tokio_rustls::client::TlsStream<TcpStream>| {
        tls.get_ref().1.negotiated_key_exchange_group().map(|group| group.name())
    };
    let fixture = Fixture::start(|_| {}).await;
    let config = tls_client(&["h2", "http/1.1"], rustls::ALL_VERSIONS);
    let tls = tls_connect(fixture.https, "localhost", config).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(group(&tls), Some(NamedGroup::X25519MLKEM768));
    let tls = tls_connect(fixture.https, "localhost", tls_client(&[], &[&rustls::version::TLS12])).await.unwrap();
    let body = Client::new(tls).get("/connection").await.body;
    assert!(body.contains("TLSv1.2") && body.contains("\"ECDHE-ECDSA-AES"), "{body}");

    let fixture = Fixture::start(|options| {
        options.tls =
            TlsSettings { min_version: TlsVersion::V1_3, post_quantum: false, http2: false, ..TlsSettings::default() };
    })
    .await;
    let config = tls_client(&["h2", "http/1.1"], rustls::ALL_VERSIONS);
    let tls = tls_connect(fixture.https, "localhost", config).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_ne!(group(&tls), Some(NamedGroup::X25519MLKEM768));
    assert!(tls_connect(fixture.https, "localhost", tls_client(&[], &[&rustls::version::TLS12])).await.is_err());
}

#[tokio::test]
async fn post_quantum_key_exchange_is_for_those_who_put_it_first() {
    use NamedGroup::{X25519, X25519MLKEM768, secp256r1};
    for (offered, post_quantum, expected, kind) in [
        (&[X25519MLKEM768, X25519][..], true, X25519MLKEM768, HandshakeKind::Full),
        (&[X25519, X25519MLKEM768], true, X25519, HandshakeKind::Full),
        (&[X25519, secp256r1], true, X25519, HandshakeKind::Full),
        // The client sent no share for what is left.
        (&[X25519MLKEM768, secp256r1], false, secp256r1, HandshakeKind::FullWithHelloRetryRequest),
        // Of the hybrid the client sends both parts, for servers that know one only.
        (&[X25519MLKEM768, X25519], false, X25519, HandshakeKind::Full),
    ] {
        let fixture = Fixture::start(|options| options.tls.post_quantum = post_quantum).await;
        let mut provider = default_provider();
        let find = |name: &NamedGroup| *ALL_KX_GROUPS.iter().find(|group| group.name() == *name).unwrap();
        provider.kx_groups = offered.iter().map(find).collect();
        let config = tls_client_with(provider, &[], &[&rustls::version::TLS13]);
        let tls = tls_connect(fixture.https, "localhost", config).await.unwrap();
        let tls = tls.get_ref().1;
        assert_eq!(tls.negotiated_key_exchange_group().unwrap().name(), expected, "{offered:?} {post_quantum}");
        assert_eq!(tls.handshake_kind(), Some(kind), "{offered:?} {post_quantum}");
    }
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let fixture = Fixture::start(|options| options.limits.handshake_timeout = Duration::from_millis(300)).await;
    let mut client = Client::new(TcpStream::connect(fixture.https).await.unwrap());
    client.io.write_all(b"\x16\x03\x01").await.unwrap();
    assert_eq!(client.rest().await, b"");
    fixture.events.saw("HandshakeFailed timeout").await;
}
