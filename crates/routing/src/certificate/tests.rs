#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn certificate(subject: &str) -> Arc<Certificate> {
    Arc::new(Certificate {
        fingerprint: [0; 32],
        chain: Vec::new(),
        key: PrivateKey { der: b"secret".as_slice().into(), format: KeyFormat::Pkcs8 },
        subject: subject.to_owned(),
        names: Vec::new(),
        hosts: BTreeSet::new(),
        not_before: 0,
        not_after: 0,
        serial: String::new(),
        origin: None,
        parsed: Attachment::default(),
    })
}

#[test]
fn a_server_name_finds_exact_then_one_label_wildcard_then_the_default() {
    let by_host = ["a.test", "*.a.test", "x.a.test"].map(|host| (host.parse().unwrap(), certificate(host)));
    let table =
        CertificateTable { by_host: by_host.into(), default: Some(certificate("default")), ..Default::default() };
    for (name, subject) in [
        (Some("a.test"), "a.test"),
        (Some("x.a.test"), "x.a.test"),
        (Some("y.a.test"), "*.a.test"),
        (Some("y.x.a.test"), "default"),
        (Some("unknown"), "default"),
        (None, "default"),
    ] {
        assert_eq!(table.find(name).unwrap().subject, subject, "{name:?}");
    }
    let bare = CertificateTable { default: None, ..table };
    assert!(bare.find(Some("unknown.test")).is_none());
    assert!(bare.find(None).is_none());
}

#[test]
fn a_key_is_never_shown() {
    let shown = format!("{:?}", certificate("a.test"));
    assert!(shown.contains("redacted"), "{shown}");
    let bytes = format!("{:?}", b"secret").replace(['[', ']'], "");
    assert!(!shown.contains("secret") && !shown.contains(&bytes), "{shown}");
}
