//! Which certificate is shown, and what TLS does with it.

use edgeward_tests::backend::Start;
use edgeward_tests::certificate::{Authority, KeyKind, Validity};
use edgeward_tests::client::{Connection, Request, send};
use edgeward_tests::edgeward::{Edgeward, Launch};
use edgeward_tests::manifest::{Ingress, Manifests, service, tls_secret};
use edgeward_tests::tls::Hello;
use edgeward_tests::turn;

use crate::site::Site;

#[tokio::test]
async fn an_exact_name_wins_over_a_wildcard_and_that_over_the_default() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("web").await;
    for (secret, name) in [("exact", "a.wild.test"), ("wild", "*.wild.test"), ("default", "default.test")] {
        site.manifests.write(&format!("{secret}.yaml"), tls_secret(secret, &authority.pair(name)));
    }
    site.ingress(
        &Ingress::new("web")
            .tls(&["a.wild.test"], Some("exact"))
            .tls(&["*.wild.test"], Some("wild"))
            .host("a.wild.test", "web")
            .host("*.wild.test", "web"),
    );
    let edgeward = site.launch().argument("--default-ssl-certificate=default/default").start().await;
    for (hello, subject) in [
        (Hello::name("a.wild.test"), "CN=a.wild.test"),
        (Hello::name("A.WILD.test"), "CN=a.wild.test"),
        (Hello::name("b.wild.test"), "CN=*.wild.test"),
        (Hello::name("b.c.wild.test"), "CN=default.test"),
        (Hello::name("wild.test"), "CN=default.test"),
        (Hello::name("elsewhere.test"), "CN=default.test"),
        (Hello::nameless(), "CN=default.test"),
    ] {
        for hello in [hello.clone(), hello.clone().tls12()] {
            let connection = Connection::open_tls(edgeward.https, &hello).await;
            assert_eq!(connection.certificate().0, subject, "{hello:?}");
        }
    }
    let hello = Hello::name("b.wild.test").verify(authority.certificate());
    let mut connection = Connection::open_tls(edgeward.https, &hello).await;
    assert_eq!(connection.exchange(&Request::get("b.wild.test", "/")).await.status(), 200);
}

#[tokio::test]
async fn ecdsa_rsa_and_ed25519_keys_are_served() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let mut site = Site::new();
    site.service("web").await;
    let hosts = [("ecdsa.test", KeyKind::Ecdsa), ("rsa.test", KeyKind::Rsa), ("ed25519.test", KeyKind::Ed25519)];
    let mut ingress = Ingress::new("web");
    for (host, kind) in hosts {
        let secret = host.trim_end_matches(".test");
        let pair = authority.issue(&[host], kind, Validity::Current);
        site.manifests.write(&format!("{secret}.yaml"), tls_secret(secret, &pair));
        ingress = ingress.host(host, "web").tls(&[host], Some(secret));
    }
    site.ingress(&ingress);
    let edgeward = site.serve().await;
    for (host, kind) in hosts {
        for hello in [Hello::name(host), Hello::name(host).tls12()] {
            let hello = hello.verify(authority.certificate());
            let mut connection = Connection::open_tls(edgeward.https, &hello).await;
            assert_eq!(connection.certificate().0, format!("CN={host}"), "{kind:?}");
            assert_eq!(connection.exchange(&Request::get(host, "/")).await.status(), 200, "{kind:?}");
        }
    }
}

/// Two instances behind one address, each with a file or a Secret of its own that says the same.
#[tokio::test]
async fn sessions_are_resumed_at_another_instance_that_has_the_same_secret() {
    let _turn = turn::shared().await;
    let site = Site::with_host("resume.test", "web").await;
    let secret = |key: &str, value: &str| {
        serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tickets"}, "stringData": {key: value}})
            .to_string()
    };
    let (old, new) = ("an old secret of more than 32 bytes", "another secret of more than 32 bytes");
    site.manifests.write("tickets.json", secret("ticket.key", old));
    let launch = || site.launch().argument("--tls-session-ticket-secret=default/tickets");
    let [one, other] = [launch().start().await, launch().start().await];
    let alone = site.serve().await;
    let hello = Hello::name("resume.test").resuming();
    let visit = async |edgeward: &Edgeward| {
        let mut connection = Connection::open_tls(edgeward.https, &hello).await;
        let is_resumed = connection.is_resumed();
        // Tickets of TLS 1.3 come with the first answer.
        connection.exchange(&Request::get("resume.test", "/")).await;
        is_resumed
    };
    assert!(!visit(&one).await);
    assert!(visit(&other).await && visit(&one).await);
    assert!(!visit(&alone).await, "an instance without the secret");

    // A new secret, with the old one beside it, loses no session.
    assert!(!visit(&one).await, "this session is the other instance's");
    let both = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tickets"},
        "stringData": {"ticket.key": new, "ticket.previous.key": old}});
    site.manifests.write("tickets.json", both.to_string());
    for edgeward in [&one, &other] {
        edgeward.reaches_generation(2).await;
    }
    assert!(visit(&other).await, "sealed with the old secret");
    assert!(visit(&one).await, "sealed with the new one");
}

#[tokio::test]
async fn sessions_are_resumed_whichever_worker_takes_the_connection() {
    let _turn = turn::shared().await;
    let site = Site::with_host("resume.test", "web").await;
    let edgeward = site.serve().await;
    for hello in [Hello::name("resume.test").resuming(), Hello::name("resume.test").tls12().resuming()] {
        let mut resumed = 0;
        for _ in 0..10 {
            let mut connection = Connection::open_tls(edgeward.https, &hello).await;
            resumed += usize::from(connection.is_resumed());
            // Tickets of TLS 1.3 come behind the handshake.
            assert_eq!(connection.exchange(&Request::get("resume.test", "/")).await.status(), 200);
        }
        assert_eq!(resumed, 9, "{hello:?}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_made_where_none_is_given() {
    let _turn = turn::shared().await;
    let site = Site::with_host("plain.test", "web").await;
    let edgeward = site.serve().await;
    let mut connection = Connection::open_tls(edgeward.https, &Hello::name("plain.test")).await;
    let answer = connection.exchange(&Request::get("plain.test", "/")).await;
    assert_eq!((answer.status(), answer.backend()), (200, Some("web")));
    // Without a certificate of its own the host is not redirected.
    assert_eq!(send(edgeward.http, &Request::get("plain.test", "/")).await.status(), 200);
}

#[tokio::test]
async fn a_backend_may_speak_tls() {
    let _turn = turn::shared().await;
    let authority = Authority::new();
    let backend = Start::default().tls(authority.pair("inner.test")).start("secure").await;
    let manifests = Manifests::new();
    manifests.write("service.yaml", service("secure", &[backend.addr()]));
    manifests.write(
        "ingress.yaml",
        Ingress::new("secure").annotation("backend-protocol", "HTTPS").host("outer.test", "secure").text(),
    );
    let edgeward = Launch::new(manifests.path()).start().await;
    let mut connection = Connection::open(edgeward.http).await;
    for size in [1, 100_000] {
        let answer = connection.exchange(&Request::post("outer.test", "/", vec![b'u'; size])).await;
        assert_eq!((answer.status(), answer.backend()), (200, Some("secure")));
        assert_eq!(answer.json()["body_length"], size);
    }
    assert_eq!(backend.recording().last().unwrap().header("x-forwarded-proto"), Some("http"));
}
